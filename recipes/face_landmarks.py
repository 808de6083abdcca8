"""The 68 points of a face from 220 pictures, against always saying the mean shape.

Command:  python recipes/face_landmarks.py FACE-KEYPOINTS --out runs/faces [--minutes 4]
Result:   nme 0.137, the mean shape 0.295 (46 % of it): 25,040 looks of resnet20-strided at 64 px, 4
          minutes of one thread of a busy AMD EPYC, float32, torch 2.13 CPU, seed 0.

FACE-KEYPOINTS holds a table of points and its pictures, parted into training and test. All training
pictures are learned from, and the last weights are kept (there is nothing to choose by); the test
pictures are met once. The error is the mean distance of the points over that of the outer eye
corners. The baseline is the mean place of each point in the training pictures, each of which is
letterboxed into the working size, laid back into the test picture in the same way.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import boda


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=4)
    parser.add_argument("--size", default="64")
    parser.add_argument("--precision", default="auto")
    chosen = parser.parse_args()
    run = boda.fit(
        "landmarks",
        chosen.data,
        out=chosen.out,
        val="none",
        minutes=chosen.minutes,
        size=chosen.size,
        precision=chosen.precision,
    )
    told = boda.evaluate(run.path, split="test")
    nme, baseline = told["metrics"]["nme"], told["metrics"]["baseline_nme"]
    looks = run.history()[-1]["steps"] * run.record["plan"]["batch"]
    print(
        f"{run.record['model']}, {looks:,} looks, {told['measured']} test pictures: nme {nme:.4f}, "
        f"mean shape {baseline:.4f}, {nme / baseline:.0%} of it; by the {told['normalizer']}"
    )


if __name__ == "__main__":
    main()
