"""An epoch on kept features against one that computes them anew, with everything but the head frozen.

Command:  python benchmarks/features.py FOLDER [--model resnet18] [--weights FILE] [--size 224]

Result:   resnet18 at 224: 219 times as fast (6.35 s and 29 ms an epoch); squeezenet-1.1, whose head
          takes 512 maps of 13×13, 5 times (2.7 s and 0.6 s): 400 pictures, two cores, bfloat16;
          the heads differ by 0.7 and 3.9 % of their largest weight (float32: tests/test_transfer.py).

Both are whole epochs of ``boda fit --freeze all`` on the same pictures: steps, validation and what
is written. The first epoch is left out. The heads must come out alike: their largest difference is
printed.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

import boda
from boda import models
from boda.models.parts import head
from boda.progress import Progress


def epoch_seconds(history: list[dict]) -> float:
    """The median of what the epochs after the first took."""
    ends = [row["seconds"] for row in history]
    return statistics.median(b - a for a, b in itertools.pairwise(ends))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data")
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--weights", help="random ones where none are named")
    parser.add_argument("--size", default="224")
    parser.add_argument("--epochs", type=int, default=6)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        weights = chosen.weights or f"{folder}/random.safetensors"
        if not chosen.weights:
            torch.manual_seed(0)
            net = models.create(chosen.model)
            save_file(net.state_dict(), weights)
        found = {}
        for keep in ("yes", "no"):
            run = boda.fit(
                "classify",
                chosen.data,
                model=chosen.model,
                weights=weights,
                freeze="all",
                size=chosen.size,
                epochs=chosen.epochs,
                out=Path(folder) / keep,
                settings={"views": "2", "keep_features": keep, "schedule": "constant"},
                progress=Progress(quiet=True),
            )
            found[keep] = epoch_seconds(run.history())
        heads = [load_file(Path(folder) / keep / "model.safetensors") for keep in ("yes", "no")]
        name = head(models.create(chosen.model))[0]
        apart = max(
            (heads[0][key] - heads[1][key]).abs().max().item() / heads[1][key].abs().max().item()
            for key in heads[0]
            if key.startswith(name)
        )
        print(
            f"{chosen.model} at {chosen.size}: {found['no']:.2f} s an epoch computing, "
            f"{1000 * found['yes']:.0f} ms keeping: {found['no'] / found['yes']:.0f} times as fast; "
            f"the heads differ by {apart:.1e} of their largest weight"
        )


if __name__ == "__main__":
    main()
