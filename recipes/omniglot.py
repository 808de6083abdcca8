"""Characters of alphabets that were never seen, known again from one drawing, in minutes on two cores.

Command:  python recipes/omniglot.py SMALL1 SMALL2 --out runs/omniglot [--minutes 12] [--seeds 0 1 2]
          [--settings …]
Result:   see docs/ledger.md. The rows are appended to OUT/results.jsonl.

SMALL1 and SMALL2 are ``images_background_small1.zip`` and ``_small2.zip`` of Lake, Salakhutdinov and
Tenenbaum 2015. The fit is `boda fit match SMALL1` with everything left to it but the minutes, which
count from the command's start, and `--val none`: all 136 characters are learned, none decides which
weights are kept. Then `boda evaluate RUN SMALL2 --drop`, once: Greek and Latin are in both archives,
which is an error, and with `--drop` their 50 characters are left out. What stays are 106 characters
of three alphabets, of which one has fewer than 20.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

from timed import fit_and_evaluate

TOLD = ("accuracy", "accuracy_within", "auc", "eer", "recall_at_1", "map_at_r")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("small1", help="the archive to learn from")
    parser.add_argument("small2", help="the archive to measure on")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=12)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--settings", nargs=argparse.REMAINDER, default=[], help="of boda fit")
    asked = parser.parse_args()
    rows = []
    for seed in asked.seeds:
        how = ["--minutes", str(asked.minutes), "--seed", str(seed), "--val", "none"]
        told = fit_and_evaluate(
            "match",
            asked.small1,
            [*how, *asked.settings],
            [asked.small2, "--drop"],
            asked.out / f"omniglot-{seed}",
        )
        row = {"minutes": asked.minutes, "seed": seed, "settings": " ".join(asked.settings), **told}
        with open(asked.out / "results.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        rows.append(told["figures"])
        figures = ", ".join(f"{name} {_told(told['figures'], name)}" for name in TOLD)
        print(f"seed {seed}: {figures}; {told['epochs']} epochs in {told['seconds']:.0f} s")
        print(f"bare pixels: {', '.join(_pixels(told['figures']))}")
    for name in TOLD[:2]:
        values = [row[name] for row in rows if name in row]
        if len(values) > 1:
            low, high = min(values), max(values)
            print(f"{name}: mean {statistics.fmean(values):.4f}, from {low:.4f} to {high:.4f}")


def _told(figures: dict[str, float], name: str) -> str:
    """A figure, with half the width of its 95 % interval where it has one."""
    half = figures.get(f"{name}_interval")
    told = f"{figures[name]:.4f}" if name in figures else "-"
    return told if half is None else f"{told} ± {half:.4f}"


def _pixels(figures: dict[str, float]) -> list[str]:
    return [
        f"{name.removeprefix('pixels_')} {value:.4f}"
        for name, value in figures.items()
        if name.startswith("pixels_")
    ]


if __name__ == "__main__":
    main()
