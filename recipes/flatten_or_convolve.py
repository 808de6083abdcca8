"""What flattening loses: pictures as they are, and with one fixed shuffle of their pixels.

Command:  python recipes/flatten_or_convolve.py [--mnist FOLDER] [--seeds 0 1 2]
Result:   see docs/ledger.md; this file prints its own table.

The notes' first claim: a network that takes a picture as a flat vector does not see where its
pixels lie. So one fixed permutation of the 32×32 positions, the same for every picture, must not
matter to the MLP, and must cost LeNet-5, whose filters look for neighbours. The data are
scikit-learn's 1,797 digits, every third of them for the test, or MNIST for three epochs; no
augmentation, since that would move neighbours. On the small digits the loss is hardly larger than
the spread of the seeds: 8×8 pixels have little to say about neighbourhood. On MNIST it is plain.
"""

from __future__ import annotations

import argparse
import statistics
import struct
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

import boda
from boda.cli.demo import write_digits
from boda.data import readers
from boda.progress import Progress

SIDE = 32


def write_sets(folder: Path) -> dict[str, Path]:
    """The digits at 32×32, plain and shuffled, as class folders."""
    source = folder / "scans"
    write_digits(source)
    order = np.random.default_rng(0).permutation(SIDE * SIDE)
    for path in sorted(source.rglob("*.png")):
        picture = np.asarray(Image.open(path).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
        shuffled = picture.reshape(-1)[order].reshape(SIDE, SIDE)
        for name, pixels in (("plain", picture), ("shuffled", shuffled)):
            target = folder / name / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(target)
    return {name: folder / name for name in ("plain", "shuffled")}


def write_mnist(source: str, folder: Path) -> dict[str, Path]:
    """MNIST in a frame of zeros, 32×32, plain and shuffled, as IDX files."""
    order = np.random.default_rng(0).permutation(SIDE * SIDE)
    for split, prefix in (("train", "train"), ("test", "t10k")):
        samples = readers.read(source).splits[split]
        framed = np.pad(samples.images, ((0, 0), (2, 2), (2, 2)))
        shuffled = framed.reshape(len(framed), -1)[:, order].reshape(framed.shape)
        for name, images in (("plain", framed), ("shuffled", shuffled)):
            target = folder / name
            target.mkdir(exist_ok=True)
            head = struct.pack(">IIII", 0x803, *images.shape)
            (target / f"{prefix}-images-idx3-ubyte").write_bytes(head + images.tobytes())
            labels = samples.labels.astype(np.uint8).tobytes()
            head = struct.pack(">II", 0x801, len(images))
            (target / f"{prefix}-labels-idx1-ubyte").write_bytes(head + labels)
    return {name: folder / name for name in ("plain", "shuffled")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--mnist", help="the folder of MNIST's files, in place of the small digits")
    arguments = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        mnist = arguments.mnist
        sets = write_mnist(mnist, Path(folder)) if mnist else write_sets(Path(folder))
        epochs = 3 if mnist else None
        for model in ("mlp", "lenet5"):
            for name, data in sets.items():
                scores = []
                for seed in arguments.seeds:
                    out = Path(folder) / f"{model}-{name}-{seed}"
                    quiet = Progress(quiet=True)
                    boda.fit(
                        "classify",
                        data,
                        model=model,
                        augment="none",
                        seed=seed,
                        epochs=epochs,
                        out=out,
                        progress=quiet,
                    )
                    scores.append(100 * boda.evaluate(out, split="test")["metrics"]["accuracy"])
                each = ", ".join(f"{score:.2f}" for score in scores)
                print(
                    f"{model:<8}{name:<10}{statistics.mean(scores):6.2f} %   ({each})", flush=True
                )
    print(f"{(time.monotonic() - began) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
