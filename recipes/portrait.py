"""The portrait mode: people told from the ground, and two photographs with their ground blurred.

Command:  python recipes/portrait.py PENNFUDAN --out runs/portrait [--minutes 10] [--blur N] [--seed 0]
          [--settings …]
Result:   see docs/ledger.md; the photographs are OUT/portraits.

PENNFUDAN is parted as `recipes/penn_fudan.py` says: 120 pictures to learn from, 50 of the test. Its
masks number the pedestrians; for `boda fit segment` every number is a person. `boda evaluate` is run
once on the test. `boda portrait` then keeps the people sharp in the two test pictures that people
fill most, which were chosen by their masks, before anything was fitted.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import penn_fudan
from PIL import Image
from timed import BODA, fit_and_measure, print_classes

from boda.errors import BodaError

SHOWN = 2  # photographs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path, help="Penn-Fudan as it was unpacked")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--size", default="256")
    parser.add_argument("--blur", type=float, help="radius in pixels; else boda's own")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--settings", nargs=argparse.REMAINDER, default=[], help="of boda fit")
    asked = parser.parse_args()
    data = asked.out / "pennfudan"
    try:
        if not data.exists():
            penn_fudan.split(asked.data, data)
    except BodaError as problem:
        print(problem, file=sys.stderr)
        sys.exit(problem.exit_status)
    pictures = fullest(data / "test")
    run = asked.out / f"people-{asked.seed}"
    how = ["--format", "instance-png", "--size", asked.size, "--minutes", str(asked.minutes)]
    how += ["--seed", str(asked.seed), *asked.settings]
    told = fit_and_measure("segment", data, how, "test", run)
    with open(asked.out / "results.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps({"seed": asked.seed, "size": asked.size, **told}) + "\n")
    print_classes(told["per_class"], ("iou", "dice", "precision", "recall", "boundary_f1"))
    print(f"miou {told['figures']['miou']:.3f}")
    portraits = asked.out / "portraits"
    portraits.mkdir(exist_ok=True)
    blur = [] if asked.blur is None else ["--blur", str(asked.blur)]
    for picture in pictures:
        made = portraits / f"{picture.stem}-{asked.seed}.png"
        command = ["portrait", str(picture), "--run", str(run), "--out", str(made), *blur]
        subprocess.run([*BODA, *command], check=True)


def fullest(split: Path) -> list[Path]:
    """The photographs that people fill most, the fullest first; of equal ones the first by name."""
    shares = []
    for mask in sorted((split / "PedMasks").iterdir()):
        people = np.asarray(Image.open(mask)) > 0
        stem = mask.stem.removesuffix("_mask")
        (picture,) = (split / "Images").glob(f"{stem}.*")
        shares.append((-people.mean(), picture.name, picture))
    return [picture for _, _, picture in sorted(shares)[:SHOWN]]


if __name__ == "__main__":
    main()
