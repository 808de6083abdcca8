"""pytorch-metric-learning's triplets, semi-hard, on Omniglot: the figure to hold boda's against.

Command:  python benchmarks/omniglot_peer.py SMALL1 SMALL2 [--minutes 12] [--model embedding-conv4]
          [--size 64] [--people 32] [--pictures 4] [--lr 0.001] [--cosine] [--no-rotations] [--bf16]
          [--threads 2] [--seed 0] [--json FILE]
          in an environment that has pytorch-metric-learning as well as boda

SMALL1 and SMALL2 are Omniglot's two reduced archives; the characters of SMALL2 that are in SMALL1 too
are left out. Network, pictures, augmentation (`digits`) and rotations as new classes are boda's, so
that the loss and its sampling differ and nothing else: ``MPerClassSampler``, ``TripletMarginMiner``
with ``semihard`` triplets at a margin of 0.2, and ``TripletMarginLoss`` with the same, all with the
library's own distance of normalized vectors, in a plain loop with Adam at 1e-3. ``--cosine`` lets the
rate fall within the minutes. float32 on the CPU, or autocast with ``--bf16``.

Two things favour it: all pictures are decoded before the clock starts, and its minutes are of
training alone. No epoch is chosen by its score, the last weights count. The figures are
``boda.metrics.recognition``'s: the same episodes, by the cosine.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peer_training import Clock, tell
from torch import Tensor, nn

from boda import models
from boda.data.change import pictures as changed
from boda.data.identities import group_of, known_before, learned, numbered, rotated
from boda.data.prepare import Preparation
from boda.data.readers import read
from boda.data.transforms import policies, random_table
from boda.errors import TrainingError
from boda.metrics.recognition import Recognition
from boda.types import Dataset, Sample

try:
    from pytorch_metric_learning.losses import TripletMarginLoss
    from pytorch_metric_learning.miners import TripletMarginMiner
    from pytorch_metric_learning.samplers import MPerClassSampler
except ImportError as problem:
    sys.exit(f"this trains with pytorch-metric-learning ({problem}); make peers has it")

MARGIN = 0.2


def to_learn(data: str, turned: bool) -> Dataset:
    """SMALL1 as one split, train."""
    dataset = read(data, task="match")
    dataset.splits = {"train": [each for part in dataset.splits.values() for each in part]}
    return numbered(rotated(dataset) if turned else dataset)


def to_measure(data: str, known: list[str]) -> list[Sample]:
    """The drawings of characters that are not known."""
    left, _ = known_before(read(data, task="match"), known)
    return [each for part in left.splits.values() for each in part]


def prepared(samples: list[Sample], side: int) -> Tensor:
    """(N, 1, side, side) uint8."""
    bring = Preparation(side, side, 1, "letterbox", (0.5,), (0.25,))
    row = (bring(each.image if each.read is None else each.read()) for each in samples)
    return torch.from_numpy(np.stack([picture.transpose(2, 0, 1) for picture in row]))


class Net(nn.Module):
    """boda's network behind the same normalization: uint8 → vectors of any length."""

    def __init__(self, name: str, images: Tensor) -> None:
        super().__init__()
        self.net = models.create(name, channels=1)
        pixels = images[:4096].float() / 255
        self.mean, self.std = float(pixels.mean()), float(pixels.std())

    def forward(self, images: Tensor) -> Tensor:
        """(N, 1, H, W) uint8 → (N, D)."""
        pixels = (images.float() / 255 - self.mean) / self.std
        return self.net(pixels.to(memory_format=torch.channels_last)).float()


def train(net: Net, images: Tensor, labels: Tensor, options: argparse.Namespace) -> Clock:
    """Train until the minutes are over; returns what was done.

    Raises:
        TrainingError: the loss is not finite.
    """
    net.train()
    batch = options.people * options.pictures
    sampler = MPerClassSampler(labels, options.pictures, batch, length_before_new_iter=len(labels))
    miner = TripletMarginMiner(margin=MARGIN, type_of_triplets="semihard")
    criterion = TripletMarginLoss(margin=MARGIN)
    optimizer = torch.optim.Adam(net.parameters(), lr=options.lr)
    clock, epoch, side = Clock(options.minutes), 0, tuple(images.shape[-2:])
    clock.start()
    while clock.spent < 1:
        numbers = random_table(len(labels), options.seed, epoch)
        order = torch.tensor(list(sampler))
        for index in order.split(batch):
            change = policies["digits"].draw(numbers[index], side)
            with torch.autocast("cpu", torch.bfloat16, enabled=options.bf16):
                vectors = net(changed(images[index], change))
            loss = criterion(vectors, labels[index], miner(vectors, labels[index]))
            if not torch.isfinite(loss):
                raise TrainingError(f"the loss is {loss.item()} after {clock.batches} batches")
            if options.cosine:
                fall = (1 + math.cos(math.pi * min(1.0, clock.spent))) / 2
                optimizer.param_groups[0]["lr"] = options.lr * fall
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            clock.count(len(index))
            if clock.spent >= 1:
                break
        epoch += 1
        print(
            f"{clock.seconds:6.0f} s  {clock.looks:,} looks  loss {loss.item():.4f}",
            file=sys.stderr,
        )
    return clock


@torch.inference_mode()
def measure(net: Net, images: Tensor, samples: list[Sample]) -> dict[str, float]:
    """The same figures as ``boda evaluate``."""
    net.eval()
    metrics = Recognition()
    names = [str(each.identity) for each in samples]
    for start in range(0, len(names), 256):
        some = names[start : start + 256]
        vectors = net(images[start : start + 256]).numpy()
        metrics.update(vectors, some, [group_of(name) for name in some])
    return metrics.compute()


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """Everything that is printed."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    np.random.seed(options.seed)  # the library's sampler draws from it
    dataset = to_learn(options.small1, options.rotations)
    samples = to_measure(options.small2, learned(dataset))
    images = prepared(list(dataset.splits["train"]), options.size)
    labels = torch.tensor([each.label for each in dataset.splits["train"]])
    net = Net(options.model, images).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    clock = train(net, images, labels, options)
    return {
        "model": f"pytorch-metric-learning, semi-hard triplets, {options.model}",
        "parameters": sum(weight.numel() for weight in net.parameters()),
        "metrics": measure(net, prepared(samples, options.size), samples),
        "drawings": {"train": len(labels), "test": len(samples)},
        "identities": len(dataset.classes),
        **{name: value for name, value in vars(options).items() if name != "json"},
        "seconds": round(clock.seconds, 1),
        "cpu_seconds": round(clock.cpu, 1),
        "looks": clock.looks,
        "batches": clock.batches,
        "versions": {
            package: importlib.metadata.version(package)
            for package in ("torch", "pytorch-metric-learning", "boda")
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("small1", help="images_background_small1.zip")
    parser.add_argument("small2", help="images_background_small2.zip")
    parser.add_argument("--model", default="embedding-conv4")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--people", type=int, default=32)
    parser.add_argument("--pictures", type=int, default=4)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--cosine", action="store_true", help="the rate falls")
    parser.add_argument("--no-rotations", dest="rotations", action="store_false")
    parser.add_argument("--bf16", action="store_true", help="autocast")
    parser.add_argument("--minutes", type=float, default=12, help="of training")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the figures there too")
    options = parser.parse_args()
    if min(options.minutes, options.lr) <= 0 or min(options.threads, options.people - 1) < 1:
        parser.error("--minutes and --lr are more than 0, --threads 1 or more, --people 2 or more.")
    tell(compare, options)


if __name__ == "__main__":
    main()
