"""Drawn scenes by day become scenes by night, learned from pairs or without any.

Command:  python recipes/day_and_night.py --out runs/night [--model pix2pix] [--minutes 10]
          [--count 3000] [--size 64] [--seed 0] [--settings …]
Result:   see docs/ledger.md. The rows are appended to OUT/results.jsonl.

`boda synth` draws the scenes: of COUNT, 70 % to learn from, 15 % to watch it by and 15 % to measure
on. pix2pix learns from the pairs. For cyclegan and discogan, one half of the scenes to learn from is
seen by day alone, the other by night alone, so that no picture has its counterpart there; in test the
counterparts are there, under the same names, and are measured by; they are fitted with
`--settings --set slow=true`, which is for domains that differ in their light, discogan also with
`--set loss=least-squares`. Whatever is told, the untouched picture's figures stand beside.
"""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

import numpy as np
from PIL import Image
from timed import BODA, append, fit_and_measure, told

TOLD = ("ssim", "l1", "psnr", "input_ssim", "input_l1")


def apart(pairs: Path, out: Path) -> Path:
    """The halves of pairs as trainA, trainB, …; of train, every second scene by day alone."""
    for split in ("train", "val", "test"):
        for number, path in enumerate(sorted((pairs / split).glob("*.png"))):
            picture = np.asarray(Image.open(path))
            middle = picture.shape[1] // 2
            for domain, half in (("A", picture[:, :middle]), ("B", picture[:, middle:])):
                if split == "train" and (number % 2 == 0) != (domain == "A"):
                    continue
                folder = out / f"{split}{domain}"
                folder.mkdir(parents=True, exist_ok=True)
                Image.fromarray(half).save(folder / path.name)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="pix2pix")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--settings", nargs=argparse.REMAINDER, default=[], help="of boda fit")
    asked = parser.parse_args()
    drawn, paired = asked.out / "drawn", asked.model.startswith("pix2pix")
    if not drawn.exists():
        numbers = ["--count", str(asked.count), "--size", str(asked.size), "--kind", "scenes"]
        subprocess.run([*BODA, "synth", str(drawn), *numbers], check=True)
    data = drawn / "day_night"
    if not paired:
        data = asked.out / "apart"
        if not data.exists():
            apart(drawn / "day_night", data)
    how = ["--model", asked.model, "--minutes", str(asked.minutes), "--seed", str(asked.seed)]
    run = asked.out / f"{asked.model}-{asked.seed}"
    row = fit_and_measure("translate", data, [*how, *asked.settings], "test", run)
    head = {"model": asked.model, "seed": asked.seed, "settings": " ".join(asked.settings)}
    append(asked.out, {**head, **row})
    print(told(row, TOLD))


if __name__ == "__main__":
    main()
