"""Photographs of facades from their label maps, learned from 120 pairs in minutes.

Command:  python recipes/facades.py FACADES --out runs/facades [--minutes 15] [--seed 0]
          [--peer FILE …] [--settings …]
Result:   see docs/ledger.md. The rows are appended to OUT/results.jsonl.

FACADES has pictures of 512×256 in train and test, the photograph on the left and its labels on the
right. The fit is `boda fit translate` with everything left to it but the direction, the minutes, which
count from the command's start, and `--val none`: the last weights are kept, nothing is chosen, so all
120 are there to learn from, as for the peer. Then `boda evaluate` on the 30 test pictures at 128×128.

FILE is what `benchmarks/pix2pix_peer.py --json` wrote with the same minutes and threads.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from timed import append, fit_and_measure, told

TOLD = ("ssim", "l1", "psnr", "input_ssim", "input_l1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", help="the folder of the facades")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--peer", type=Path, nargs="+", default=[], metavar="FILE")
    parser.add_argument("--settings", nargs=argparse.REMAINDER, default=[], help="of boda fit")
    asked = parser.parse_args()
    how = ["--set", "direction=b2a", "--val", "none"]
    how += ["--minutes", str(asked.minutes), "--seed", str(asked.seed)]
    run = asked.out / f"facades-{asked.seed}"
    row = fit_and_measure("translate", asked.data, [*how, *asked.settings], "test", run)
    append(asked.out, {"seed": asked.seed, "settings": " ".join(asked.settings), **row})
    print(told(row, TOLD))
    for file in asked.peer:
        peer = json.loads(file.read_text(encoding="utf-8"))
        for name, figures in peer["metrics"].items():
            print(
                f"{peer['model']}, {name}: ssim {figures['ssim']:.4f}, l1 {figures['l1']:.4f} after "
                f"{peer['looks']:,} looks in {peer['seconds']:.0f} s, {peer['precision']}"
            )


if __name__ == "__main__":
    main()
