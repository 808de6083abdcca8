"""Colours for gray photographs, learned from a folder of coloured ones in minutes.

Command:  python recipes/colouring.py PICTURES --out runs/colouring [--minutes 15] [--seed 0]
          [--settings …]
Result:   see docs/ledger.md. The rows are appended to OUT/results.jsonl.

PICTURES is any folder of pictures, in class folders or not, with splits or not. `boda fit translate
--pairs gray` makes the pairs: the lightness of each picture is given, its colours (a and b of Lab) are
to be found; then `boda evaluate`, once. Beside the error of the colours stand that of gray, and that of
the mean colour of the very pictures that are measured, which nobody could know.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from timed import append, fit_and_evaluate, told

TOLD = ("ab_error", "input_ab_error", "mean_ab_error", "psnr", "ssim")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", help="a folder of pictures")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--settings", nargs=argparse.REMAINDER, default=[], help="of boda fit")
    asked = parser.parse_args()
    how = ["--pairs", "gray", "--minutes", str(asked.minutes), "--seed", str(asked.seed)]
    run = asked.out / f"colouring-{asked.seed}"
    row = fit_and_evaluate("translate", asked.data, [*how, *asked.settings], [], run)
    append(asked.out, {"seed": asked.seed, "settings": " ".join(asked.settings), **row})
    print(told(row, TOLD))


if __name__ == "__main__":
    main()
