"""One drawn object a picture, or none: where it is, in a few minutes.

Command:  python recipes/localize_synthetic.py --out runs/objects [--minutes 5] [--count 2000]
Result:   mean IoU 0.919, 99.6 % of the right class, on two cores of an AMD EPYC: 143,328 looks of
          resnet20-strided at 64 px in 5 minutes, torch 2.13 CPU, bfloat16, seed 0.

The pictures are those of `boda synth`: a shape of six kinds, turned and shaded, on a textured ground,
and nothing in a fifth of them; 70 % are learned from, 15 % are val, 15 % test. A picture in which the
object is not found counts with an IoU of 0. Nothing is chosen by hand but the size.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import boda
from boda import api


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--model", default=None)
    parser.add_argument("--precision", default="auto")
    chosen = parser.parse_args()
    data = chosen.out / "drawn"
    if not data.exists():
        api.synth(data, chosen.count, chosen.size, seed=0)
    run = boda.fit(
        "localize",
        data / "objects",
        out=chosen.out / "run",
        model=chosen.model,
        minutes=chosen.minutes,
        size=str(chosen.size),
        precision=chosen.precision,
    )
    told = boda.evaluate(run.path, split="test")
    figures = ", ".join(f"{name} {value:.3f}" for name, value in told["metrics"].items())
    looks = run.history()[-1]["steps"] * run.record["plan"]["batch"]
    print(f"{run.record['model']}, {looks:,} looks, {told['samples']} test pictures: {figures}")


if __name__ == "__main__":
    main()
