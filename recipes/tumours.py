"""Tumours in slices of heads, by a U-Net: synthetic slices, drawn on real textures, of no patient.

Command:  python recipes/tumours.py TEXTURES --out runs/tumours [--minutes 6] [--seed 0]
          [--patients 80] [--settings …]
Result:   see docs/ledger.md. The rows are appended to OUT/results.jsonl.

`recipes/slices.py` draws the slices into OUT/slices and says how; TEXTURES is a folder of pictures,
one a patient. They come as a hospital's folders do: `images` and `masks` with the same names, 0 and
255, a folder a patient, no patient in two splits. The same commands fit real slices; the figures
below say nothing about those, since here the same hand drew what is learned and what is measured.

`boda fit segment --model unet` learns from the train patients, and `boda evaluate` measures once on
the test patients. Beside it stands what needs no network: the band of gray values that tells most
tumour pixels of train from the others, in the test slices.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from slices import CLASSES, draw
from timed import fit_and_measure, print_classes

from boda.errors import BodaError

SIZE = 160


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("textures", type=Path, help="a folder of pictures, one a patient or more")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=6)
    parser.add_argument("--patients", type=int, default=80)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--settings", nargs=argparse.REMAINDER, default=[], help="of boda fit")
    asked = parser.parse_args()
    data = asked.out / "slices"
    try:
        if not data.exists():
            draw(asked.textures, data, asked.patients, slices=8, size=SIZE, seed=0)
    except BodaError as problem:
        print(problem, file=sys.stderr)
        sys.exit(problem.exit_status)
    how = ["--model", "unet", "--size", str(SIZE), "--minutes", str(asked.minutes)]
    how += ["--seed", str(asked.seed), *asked.settings]
    told = fit_and_measure("segment", data, how, "test", asked.out / f"unet-{asked.seed}")
    low, high = best_band(*histograms(data / "train"))
    by_gray = band_dice(*histograms(data / "test"), low, high)
    row = {"seed": asked.seed, "by_gray": by_gray, **told}
    with open(asked.out / "results.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    print("Synthetic slices, drawn, of no patient:")
    print_classes(told["per_class"], ("iou", "dice", "precision", "recall", "boundary_f1"))
    dice = told["per_class"][CLASSES[1]]["dice"]
    print(f"miou {told['figures']['miou']:.3f}, Dice of the tumours {dice:.3f}")
    print(f"all pixels of a gray value from {low} to {high}: Dice {by_gray:.3f}")


def histograms(split: Path) -> tuple[np.ndarray, np.ndarray]:
    """How many pixels have each gray value: (256,) where a tumour is, (256,) elsewhere."""
    within, beside = np.zeros(256, np.int64), np.zeros(256, np.int64)
    for file in sorted((split / "images").rglob("*.png")):
        gray = np.asarray(Image.open(file))
        there = np.asarray(Image.open(split / "masks" / file.relative_to(split / "images"))) > 0
        within += np.bincount(gray[there], minlength=256)
        beside += np.bincount(gray[~there], minlength=256)
    return within, beside


def best_band(tumour: np.ndarray, other: np.ndarray) -> tuple[int, int]:
    """The lowest and the highest gray value of the band with the best Dice; both belong to it."""
    bands = ((low, high) for low in range(256) for high in range(low, 256))
    return max(bands, key=lambda band: band_dice(tumour, other, *band))


def band_dice(tumour: np.ndarray, other: np.ndarray, low: int, high: int) -> float:
    """Dice of the pixels from ``low`` to ``high`` with the tumours."""
    right, wrong = tumour[low : high + 1].sum(), other[low : high + 1].sum()
    return float(2 * right / max(1, right + wrong + tumour.sum()))


if __name__ == "__main__":
    main()
