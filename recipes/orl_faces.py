"""Faces of ten people who were never seen, known again from one picture: the mean of five splits.

Command:  python recipes/orl_faces.py FACES --out runs/orl [--minutes 1] [--splits 5] [--settings …]
Result:   see docs/ledger.md. The rows are appended to OUT/results.jsonl.

FACES is the face database of AT&T Laboratories Cambridge (formerly ORL): 40 people with ten pictures
each, a folder a person. Each split draws, by its number as the seed, 30 people to learn from and
leaves 10; its pictures are written to OUT/split-N. The fit is `boda fit match OUT/split-N --val none`
with everything else left to it but the minutes, so the ten decide nothing. Then `boda evaluate`, once:
10-way one-shot over seeded episodes, and every pair of the hundred pictures. What the nearest picture
by its bare pixels tells stands beside.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

import numpy as np
from PIL import Image
from timed import fit_and_measure

from boda.data import readers

LEFT = 10  # people to measure on
TOLD = ("accuracy", "pixels_accuracy", "auc", "pixels_auc", "eer", "recall_at_1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("faces", help="the folder or archive of people")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--settings", nargs=argparse.REMAINDER, default=[], help="of boda fit")
    asked = parser.parse_args()
    rows = []
    for number in range(asked.splits):
        data = asked.out / f"split-{number}"
        write_split(asked.faces, data, number)
        how = ["--minutes", str(asked.minutes), "--seed", str(number), "--val", "none"]
        run = asked.out / f"run-{number}"
        told = fit_and_measure("match", data, [*how, *asked.settings], "test", run)
        row = {"minutes": asked.minutes, "split": number, **told}
        with open(asked.out / "results.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(row | {"settings": " ".join(asked.settings)}) + "\n")
        rows.append(told["figures"])
        figures = ", ".join(f"{name} {told['figures'][name]:.4f}" for name in TOLD)
        print(f"split {number}: {figures}; {told['epochs']} epochs in {told['seconds']:.0f} s")
    for name in TOLD:
        values = [row[name] for row in rows]
        low, high = min(values), max(values)
        print(f"{name}: mean {statistics.fmean(values):.4f}, from {low:.4f} to {high:.4f}")


def write_split(faces: str, out: Path, seed: int) -> None:
    """``train`` and ``test`` with a folder a person each; what is there is left as it is."""
    if out.exists():
        return
    dataset = readers.read(faces, task="match")
    people = np.random.default_rng(seed).permutation(dataset.classes)
    tested = set(people[:LEFT].tolist())
    for samples in dataset.splits.values():
        for sample in samples:
            split = "test" if sample.identity in tested else "train"
            file = out / split / str(sample.identity) / f"{Path(sample.id).stem}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(sample.image).save(file)


if __name__ == "__main__":
    main()
