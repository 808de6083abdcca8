"""Handwritten digits that nobody wrote: a DCGAN on MNIST, judged by a classifier that never saw it.

Command:  python recipes/digits_gan.py MNIST --out runs/digits [--minutes 15] [--judge RUN] [--settings …]
Result:   see docs/ledger.md; OUT/results.json and OUT/grid.png.

MNIST is the folder of its IDX files. The judge is `boda fit classify MNIST` with everything left to
it, or one that is named; it has to be right on 99 % of the test set. Then `boda fit generate MNIST`.
Of 5,000 made pictures: how often the judge sees each digit, how sure it is, and FID and KID in the
input of its last layer against the first 5,000 test pictures. Beside them stand the last 5,000 test
pictures against the first, which is what can be reached, and a generator that learned nothing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path

import numpy as np
import torch
from timed import BODA, evaluated

from boda import api
from boda.data import readers
from boda.metrics.diversity import class_histogram
from boda.metrics.frechet import Fidelity
from boda.outputs import as_bytes
from boda.runs import Run
from boda.tasks.generate.features import Judge
from boda.trained import build

COUNT = 5000
RIGHT = 0.99  # of the test set, that a judge has to be


def compared(judge: Judge, real: np.ndarray, made: np.ndarray) -> dict[str, object]:
    """FID, KID, shares of the digits and sureness of (N, 1, 28, 28) uint8 pictures each."""
    fidelity = Fidelity(judge.name)
    fidelity.update_real(judge(real)[0])
    features, said = judge(made)
    fidelity.update(features)
    found = class_histogram(said, judge.classes)
    return {**fidelity.compute(), **found.figures(), "shares": found.shares}


def untrained(run: Run) -> np.ndarray:
    """(5000, 1, 28, 28) uint8 of the generator as it began."""
    method = build(run.record)
    with torch.inference_mode():
        noise = method.net.draw(COUNT, torch.Generator().manual_seed(0))
        return as_bytes(method.made(noise).numpy())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--judge", type=Path)
    parser.add_argument("--settings", nargs=argparse.REMAINDER, default=[])
    asked = parser.parse_args()
    judge_run = asked.judge or asked.out / "judge"
    if asked.judge is None:
        subprocess.run([*BODA, "fit", "classify", asked.data, "--out", str(judge_run)], check=True)
    right = evaluated(judge_run, ["--split", "test"])["metrics"]["accuracy"]
    if right < RIGHT:
        raise SystemExit(
            f"the judge is right on {100 * right:.2f} % of the test set: 99 % are meant"
        )
    run = asked.out / "generate"
    fit = [*BODA, "fit", "generate", asked.data, "--minutes", str(asked.minutes), "--out", str(run)]
    subprocess.run([*fit, *asked.settings], check=True)

    judge = Judge(str(judge_run))
    real = readers.read(asked.data, task="generate").splits["test"].images[:, None]
    made = api.generate(run, COUNT)
    pictures = np.stack([picture[..., 0] for picture in made.pictures])[:, None]
    results = {
        "judge": {"run": str(judge_run), "accuracy": right},
        "made": compared(judge, real[:COUNT], pictures),
        "real": compared(judge, real[:COUNT], real[COUNT : 2 * COUNT]),
        "untrained": compared(judge, real[:COUNT], untrained(Run.open(run))),
    }
    (asked.out / "results.json").write_text(json.dumps(results, indent=2), "utf-8")
    subprocess.run(
        [
            *BODA,
            "generate",
            str(run),
            "--count",
            "100",
            "--grid",
            "--out",
            str(asked.out / "sheet"),
        ],
        check=True,
    )
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
