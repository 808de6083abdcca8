"""Where CNNs are weak: the same digits, moved by a few pixels.

The notes' claim: a CNN is not robust to where a thing lies, so AlexNet was given augmented
pictures. Five networks are fitted to digits that all lie in the middle of a 32×32 frame, and
measured on test digits moved by 0 to 8 pixels to each of the four sides:

  MLP                every pixel has weights of its own
  no pooling         LeNet-5 that keeps every second pixel where S2 and S4 would average four
  LeNet-5            with its average pooling; as many weights as the one above
  LeNet-5, digits    fitted with `--augment digits`, which moves them by up to 2 pixels
  LeNet-5, light     fitted with `--augment light`, which moves by up to 4 and mirrors every second

Command:  python recipes/shifted_pictures.py [MNIST-FOLDER] [--epochs 2] [--seeds 0 1 2] [--out FILE.svg]
Result:   % of MNIST's test digits by pixels moved; 2 epochs, means of seeds 0 to 2; 9 minutes on one
          thread of an AMD EPYC (Zen 4) that did other work beside, torch 2.13 CPU:

            pixels                0     1     2     3     4     5     6     7     8
            MLP                97.8  95.1  79.0  51.2  28.4  15.7  10.8   9.9  10.5
            no pooling         98.2  96.9  87.7  66.4  43.2  27.5  19.0  14.8  13.0
            LeNet-5            98.6  97.6  91.4  73.2  49.9  32.6  23.2  18.7  15.8
            LeNet-5, digits    98.8  98.7  98.0  95.6  86.7  66.9  44.1  29.4  21.4
            LeNet-5, light     94.3  94.2  94.0  93.3  91.8  87.5  76.6  59.6  43.3

          Convolution alone mends little, pooling a little more, augmentation most, as far as it
          moved the digits and some pixels beyond; mirrored digits cost `light` four points.

Without a folder the digits are scikit-learn's 1,797, at 20×20 in that frame, every third of them
for the test. MNIST's lie in two more rows and columns of zeros, so that a shift by 6 pixels cuts
about 1 % of their ink off, and one by 8 about 5 %. No validation: every network keeps its last
weights, and the test digits are looked at once a network.
"""

from __future__ import annotations

import argparse
import statistics
import struct
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

import boda
from boda import models
from boda.data import readers
from boda.errors import BodaError, DataError
from boda.models.lenet import LeNet5
from boda.progress import Progress
from boda.runs import Run
from boda.types import ArraySamples

SIDE, FARTHEST = 32, 8
WAYS = ((0, 1), (0, -1), (1, 0), (-1, 0))  # right, left, down, up
NETWORKS = {  # name: (model, augmentation, colour of its line)
    "MLP": ("mlp", "none", "#888888"),
    "no pooling": ("lenet5-unpooled", "none", "#c0392b"),
    "LeNet-5": ("lenet5", "none", "#2563a8"),
    "LeNet-5, digits": ("lenet5", "digits", "#d98200"),
    "LeNet-5, light": ("lenet5", "light", "#2a8a4a"),
}


class EverySecond(torch.nn.Module):
    """(N, C, H, W) → (N, C, H/2, W/2): one pixel of four, where pooling takes all of them."""

    def forward(self, x: Tensor) -> Tensor:
        """The upper left pixel of each 2×2."""
        return x[:, :, ::2, ::2]


@models.register("lenet5-unpooled", size=SIDE, smallest=SIDE, channels=1, paper="recipe")
def unpooled(classes: int, channels: int) -> LeNet5:
    """LeNet-5 without its pooling."""
    net = LeNet5(classes, channels)
    net.s2, net.s4 = EverySecond(), EverySecond()
    return net


Digits = tuple[np.ndarray, np.ndarray]  # (N, 32, 32) uint8 with a digit in the middle; (N,) labels


def mnist(data: str) -> tuple[Digits, Digits]:
    """Training and test digits, with two more rows and columns of zeros on each side."""
    splits = readers.read(data, task="classify").splits
    found = []
    for name in ("train", "test"):
        samples = splits.get(name)
        if not isinstance(samples, ArraySamples) or samples.images.shape[1:] != (28, 28):
            raise DataError("is not MNIST", file=data, fix="Name the folder of its four files.")
        found.append((np.pad(samples.images, ((0, 0), (2, 2), (2, 2))), samples.labels))
    return found[0], found[1]


def small_digits() -> tuple[Digits, Digits]:
    """scikit-learn's digits, enlarged from 8×8 to 20×20, the size that MNIST's have in 28×28."""
    from sklearn.datasets import load_digits

    scans, labels = load_digits(return_X_y=True)
    images = np.zeros((len(scans), SIDE, SIDE), np.uint8)
    for image, scan in zip(images, scans.reshape(-1, 8, 8), strict=True):
        picture = Image.fromarray((scan * (255 / 16)).round().astype(np.uint8))
        image[6:26, 6:26] = np.asarray(picture.resize((20, 20), Image.Resampling.BILINEAR))
    test = np.arange(len(images)) % 3 == 2
    return (images[~test], labels[~test]), (images[test], labels[test])


def write_idx(folder: Path, digits: Digits) -> None:
    """The digits as the training split of an IDX folder, for ``boda.fit``."""
    images, labels = digits
    head = struct.pack(">IIII", 0x803, *images.shape)
    (folder / "train-images-idx3-ubyte").write_bytes(head + images.tobytes())
    head = struct.pack(">II", 0x801, len(labels))
    (folder / "train-labels-idx1-ubyte").write_bytes(head + labels.astype(np.uint8).tobytes())


def moved(images: Tensor, down: int, right: int) -> Tensor:
    """(N, 1, H, W) pictures moved by whole pixels; zeros move in, what leaves the frame is lost."""
    pad = FARTHEST
    padded = F.pad(images, (pad, pad, pad, pad))
    height, width = images.shape[-2:]
    return padded[..., pad - down : pad - down + height, pad - right : pad - right + width]


def accuracies(run: Run, test: Digits) -> list[float]:
    """Per cent of the test digits that are right when moved by 0, 1, … 8 pixels, over four ways."""
    method = run.trained().method
    images, labels = torch.from_numpy(test[0])[:, None], torch.from_numpy(test[1].astype(np.int64))
    found = []
    for far in range(FARTHEST + 1):
        right = 0
        with torch.inference_mode():
            for down, side in WAYS:
                parts = zip(images.split(1000), labels.split(1000), strict=True)
                for part, truth in parts:
                    guess = method.output(moved(part, far * down, far * side)).argmax(1)
                    right += int((guess == truth).sum())
        found.append(100 * right / (len(WAYS) * len(labels)))
    return found


def draw(curves: dict[str, list[list[float]]], path: Path) -> None:
    """Accuracy against the shift: a line is the mean of a network's seeds, a band their range."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "boda", "font.size": 10})
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3.8), layout="constrained")
    for name, seeds in curves.items():
        values, colour = np.array(seeds), NETWORKS[name][2]
        axes.fill_between(
            range(FARTHEST + 1), values.min(0), values.max(0), color=colour, alpha=0.2, linewidth=0
        )
        axes.plot(values.mean(0), color=colour, linewidth=2, label=name)
    axes.set(xlabel="shift, pixels of 32", ylabel="test accuracy, %", ylim=(0, 101))
    axes.grid(color="#dddddd")
    axes.legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", nargs="?", help="MNIST's folder; else scikit-learn's digits")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, help="by default 3 on MNIST, else 60")
    parser.add_argument("--out", type=Path, default=Path("shifted.svg"), help="the chart")
    arguments = parser.parse_args()
    began = time.monotonic()
    try:
        train, test = mnist(arguments.data) if arguments.data else small_digits()
        epochs = arguments.epochs or (3 if arguments.data else 60)
        curves: dict[str, list[list[float]]] = {name: [] for name in NETWORKS}
        with tempfile.TemporaryDirectory() as folder:
            write_idx(Path(folder), train)
            print("shift".ljust(18) + "".join(f"{far:>7}" for far in range(FARTHEST + 1)))
            for name, (model, augment, _) in NETWORKS.items():
                for seed in arguments.seeds:
                    run = boda.fit(
                        "classify",
                        folder,
                        model=model,
                        augment=augment,
                        epochs=epochs,
                        seed=seed,
                        val="none",
                        out=Path(folder) / f"{model}-{augment}-{seed}",
                        progress=Progress(quiet=True),
                    )
                    curves[name].append(accuracies(run, test))
                means = [statistics.mean(column) for column in zip(*curves[name], strict=True)]
                print(name.ljust(18) + "".join(f"{mean:7.2f}" for mean in means), flush=True)
    except BodaError as problem:
        sys.exit(str(problem))
    draw(curves, arguments.out)
    print(f"{(time.monotonic() - began) / 60:.1f} minutes, {torch.get_num_threads()} threads")


if __name__ == "__main__":
    main()
