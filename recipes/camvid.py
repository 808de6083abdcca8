"""A driving scene's eleven classes from 184 pictures and random weights, in minutes on two cores.

Command:  python recipes/camvid.py CAMVID --out runs/camvid [--minutes 12] [--seed 0]
          [--peer FILE …] [--settings …]
Result:   see docs/ledger.md. The rows are appended to OUT/results.jsonl.

CAMVID is in the layout of SegNet's authors (train, trainannot and so on; arXiv 1511.00561): 184, 51
and 117 pictures of 480×360. The fit is `boda fit segment` with everything left to it but the size
and the minutes, which count from the command's start; then `boda evaluate`, once, on the test
pictures at their own size. Pixels of no class do not count.

FILE is what `benchmarks/camvid_peer.py --json` wrote with the same minutes and threads: its classes
are printed beside, and how many times as good ours is.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from timed import fit_and_measure, print_classes

TOLD = ("miou", "dice", "pixel_accuracy", "boundary_f1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", help="the folder of CamVid")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=12)
    parser.add_argument("--size", default="192x256")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--peer", type=Path, nargs="+", default=[], metavar="FILE")
    parser.add_argument("--settings", nargs=argparse.REMAINDER, default=[], help="of boda fit")
    asked = parser.parse_args()
    how = ["--size", asked.size, "--minutes", str(asked.minutes), "--seed", str(asked.seed)]
    run = asked.out / f"camvid-{asked.seed}"
    told = fit_and_measure("segment", asked.data, [*how, *asked.settings], "test", run)
    row = {"size": asked.size, "seed": asked.seed, "settings": " ".join(asked.settings), **told}
    with open(asked.out / "results.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    show(told, [json.loads(file.read_text(encoding="utf-8")) for file in asked.peer])


def show(told: dict[str, Any], peers: list[dict[str, Any]]) -> None:
    """Print the classes and the totals; with the peers' IoU beside, where there are any."""
    rows = {name: dict(row) for name, row in told["per_class"].items()}
    names = [f"peer {number}" for number, _ in enumerate(peers, 1)]
    for name, peer in zip(names, peers, strict=True):
        for label, row in rows.items():
            row[name] = peer["per_class"][label]["iou"]
    print_classes(rows, ("iou", *names, "dice", "boundary_f1"))
    figures = ", ".join(f"{name} {told['figures'][name]:.3f}" for name in TOLD)
    print(f"{figures}; {told['epochs']} epochs in {told['seconds']:.0f} s")
    for name, peer in zip(names, peers, strict=True):
        miou = peer["metrics"]["miou"]
        print(
            f"{name}: {peer['loss']}, {peer['precision']}, miou {miou:.3f} after {peer['epochs']} "
            f"epochs; ours is {told['figures']['miou'] / miou:.2f} times as good"
        )


if __name__ == "__main__":
    main()
