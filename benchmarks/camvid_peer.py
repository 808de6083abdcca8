"""segmentation_models_pytorch's U-Net trained on CamVid: the figure to hold boda's against.

Command:  python benchmarks/camvid_peer.py DATA [--loss dice|cross-entropy] [--lr RATE] [--bf16]
          [--channels-last] [--augment flips|none|crops] [--constant] [--minutes 12] [--batch 8]
          [--size 192x256] [--threads 2] [--seed 0] [--json FILE]
          in an environment that has segmentation-models-pytorch as well as boda

DATA is CamVid in the layout of SegNet's authors: 184 pictures to learn from, 117 to measure on, 11
classes, and pixels of no class, which neither teach nor count. The network is
``Unet("resnet18", encoder_weights=None, classes=11)``; nothing is downloaded. There are two recipes,
and its better one counts: the library's own Dice loss with Adam at 2e-4, and cross entropy with Adam
at 1e-3. The rate falls as a cosine within the minutes; with ``--constant`` it does not. Pictures are
stretched to 192×256, bilinear, and normalized as for ImageNet; of the map each pixel takes what lies
under its centre. Every second picture is mirrored; ``--augment crops`` also shows windows of half to
all of a side, cut from the full picture. float32 on the CPU, or autocast with ``--bf16``, which with
``--channels-last`` was twice as quick where it was tried: both are to be reported.

Three things favour it: all pictures are decoded and stretched before the clock starts, its minutes
are of training alone, and any rate may be tried. No epoch is chosen by its score, the last weights
count, and the val split is not looked at.

A test picture's probabilities are scaled bilinearly to its own 480×360, where the best class is
taken and compared: the figures are boda's metric on these. ``seconds_a_picture`` is the median, from
a decoded picture on. ``cpu_seconds`` tell by how much others kept the threads waiting in training.
``memory_mib`` is the most that the process held until its end, the decoded pictures included.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import math
import resource
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from peer_training import Clock, tell, train_and_test
from torch import Tensor, nn

from boda.data.prepare import Preparation
from boda.data.working_masks import resampled
from boda.errors import TrainingError
from boda.metrics.segmentation import Segmentation
from boda.types import IGNORED, Sample

try:
    from segmentation_models_pytorch import Unet
    from segmentation_models_pytorch.losses import DiceLoss
except ImportError as problem:
    sys.exit(f"this trains segmentation_models_pytorch's U-Net ({problem}); make peers has it")

RATES = {"dice": 2e-4, "cross-entropy": 1e-3}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LEAST = 0.5  # of the picture's sides, that a window shows


@dataclass
class Pair:
    """A decoded picture with the classes of its pixels.

    Attributes:
        picture: (3, H, W) uint8 RGB.
        classes: (H, W) uint8, 255 = of no class.
        small: the picture, (3, h, w) uint8, at the working size.
        small_classes: (h, w) uint8 likewise.
    """

    picture: Tensor
    classes: Tensor
    small: Tensor
    small_classes: Tensor


def load(data: str, size: tuple[int, int]) -> tuple[list[str], dict[str, list[Pair]]]:
    """The classes, and the decoded pictures of train and test.

    Raises:
        DataError: there are records with errors.
        UsageError: there is no train or no test split.
    """
    dataset = train_and_test(data, "segment")
    stretch = Preparation(*size, rule="stretch")
    pairs = {n: [pair(each, stretch) for each in dataset.splits[n]] for n in ("train", "test")}
    return list(dataset.classes), pairs


def pair(sample: Sample, stretch: Preparation) -> Pair:
    """A sample, decoded, as it is and at the working size."""
    picture, classes = sample.image, sample.class_map
    return Pair(
        _planes(picture),
        torch.from_numpy(np.ascontiguousarray(classes)),
        _planes(stretch(picture)),
        torch.from_numpy(resampled(classes, stretch, IGNORED)),
    )


def _planes(picture: np.ndarray) -> Tensor:
    """(H, W, 3) → (3, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))


def view(shown: Pair, augment: str, chance: np.random.Generator) -> tuple[Tensor, Tensor]:
    """What is learned of a pair: (3, h, w) float32 in 0..255, and (h, w) uint8."""
    x, classes = shown.small.float(), shown.small_classes
    if augment == "crops":
        height, width = shown.classes.shape
        scale = chance.uniform(LEAST, 1)
        h, w = round(scale * height), round(scale * width)
        y0, x0 = int(chance.integers(height - h + 1)), int(chance.integers(width - w + 1))
        window = np.s_[..., y0 : y0 + h, x0 : x0 + w]
        small, part = x.shape[-2:], shown.picture[window].float()[None]
        x = F.interpolate(part, small, mode="bilinear", antialias=True)[0]
        part = shown.classes[window].float()[None, None]
        classes = F.interpolate(part, small, mode="nearest-exact")[0, 0].to(torch.uint8)
    if augment != "none" and chance.random() < 0.5:
        x, classes = x.flip(-1), classes.flip(-1)
    return x, classes


def normalized(x: Tensor) -> Tensor:
    """(N, 3, H, W) in 0..255 → as ImageNet's networks are given it."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    return (x / 255 - mean) / std


def logits(net: nn.Module, x: Tensor, options: argparse.Namespace) -> Tensor:
    """(N, 3, h, w) in 0..255 → (N, K, h, w) float32."""
    x = normalized(x)
    if options.channels_last:
        x = x.to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16, enabled=options.bf16):
        return net(x).float()


def train(net: nn.Module, pairs: list[Pair], options: argparse.Namespace) -> Clock:
    """Train until the minutes are over; returns what was done.

    Raises:
        TrainingError: the loss is not finite.
    """
    net.train()
    dice = DiceLoss("multiclass", from_logits=True, ignore_index=IGNORED)
    optimizer = torch.optim.Adam(net.parameters(), lr=options.lr)
    chance = np.random.default_rng(options.seed)
    clock = Clock(options.minutes)
    clock.start()
    while clock.spent < 1:
        losses = []
        order = chance.permutation(len(pairs))
        for start in range(0, len(order), options.batch):
            views = [
                view(pairs[i], options.augment, chance)
                for i in order[start : start + options.batch]
            ]
            x, target = (torch.stack(parts) for parts in zip(*views, strict=True))
            out, target = logits(net, x, options), target.long()
            if options.loss == "dice":
                loss = dice(out, target)
            else:
                loss = F.cross_entropy(out, target, ignore_index=IGNORED)
            if not torch.isfinite(loss):
                raise TrainingError(
                    f"the loss is {loss.item()} after {clock.batches} batches; lower --lr."
                )
            if not options.constant:
                fall = (1 + math.cos(math.pi * min(1.0, clock.spent))) / 2
                optimizer.param_groups[0]["lr"] = options.lr * fall
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            clock.count(len(views))
            if clock.spent >= 1:
                break
        mean = statistics.fmean(losses)
        print(f"{clock.seconds:6.0f} s  {clock.looks:,} looks  loss {mean:.3f}", file=sys.stderr)
    return clock


@torch.inference_mode()
def measure(
    net: nn.Module, pairs: list[Pair], classes: list[str], options: argparse.Namespace
) -> tuple[Segmentation, float]:
    """The test pictures at their own size, and the median of the seconds a picture."""
    net.eval()
    metric, times = Segmentation(classes), []
    stretch = Preparation(*options.size, rule="stretch")
    for each in pairs:
        picture = np.ascontiguousarray(each.picture.permute(1, 2, 0).numpy())
        began = time.perf_counter()
        x = _planes(stretch(picture))[None].float()
        planes = logits(net, x, options).softmax(1)
        planes = F.interpolate(planes, each.classes.shape, mode="bilinear", align_corners=False)
        said = planes[0].argmax(0).to(torch.uint8).numpy()
        times.append(time.perf_counter() - began)
        metric.update(said, each.classes.numpy())
    return metric, statistics.median(times)


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """Everything that is printed."""
    torch.set_num_threads(options.threads)
    classes, splits = load(options.data, options.size)
    torch.manual_seed(options.seed)
    net = Unet("resnet18", encoder_weights=None, classes=len(classes))
    if options.channels_last:
        net = net.to(memory_format=torch.channels_last)
    clock = train(net, splits["train"], options)
    metric, seconds = measure(net, splits["test"], classes, options)
    return {
        "model": "segmentation_models_pytorch Unet, resnet18",
        "parameters": sum(weight.numel() for weight in net.parameters()),
        "loss": options.loss,
        "rate": options.lr,
        "schedule": "constant" if options.constant else "cosine",
        "augment": options.augment,
        "precision": "bf16" if options.bf16 else "32",
        "channels_last": options.channels_last,
        "weights": "last",
        "metrics": metric.compute(),
        "per_class": metric.per_class(),
        "pictures": {name: len(pairs) for name, pairs in splits.items()},
        "size": list(options.size),
        "batch": options.batch,
        "minutes": options.minutes,
        "seed": options.seed,
        "seconds": round(clock.seconds, 1),
        "cpu_seconds": round(clock.cpu, 1),
        "looks": clock.looks,
        "batches": clock.batches,
        "epochs": round(clock.looks / len(splits["train"]), 2),
        "threads": torch.get_num_threads(),
        "seconds_a_picture": round(seconds, 4),
        "memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "versions": {
            package: importlib.metadata.version(package)
            for package in ("torch", "segmentation-models-pytorch", "boda")
        },
    }


def size(text: str) -> tuple[int, int]:
    """``192x256`` → height and width, multiples of 32, which the network needs."""
    sides = [int(side) for side in text.split("x")]
    if len(sides) != 2 or any(side < 32 or side % 32 for side in sides):
        raise argparse.ArgumentTypeError("HxW is meant, both multiples of 32")
    return sides[0], sides[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", help="CamVid with train and test")
    parser.add_argument("--loss", choices=RATES, default="cross-entropy")
    parser.add_argument("--lr", type=float, help="2e-4 with dice, else 1e-3")
    parser.add_argument("--constant", action="store_true", help="the rate does not fall")
    parser.add_argument("--augment", choices=("flips", "none", "crops"), default="flips")
    parser.add_argument("--bf16", action="store_true", help="autocast")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--size", type=size, default=(192, 256), metavar="HxW")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--minutes", type=float, default=12, help="of training")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the figures there too")
    options = parser.parse_args()
    options.lr = RATES[options.loss] if options.lr is None else options.lr
    if min(options.minutes, options.lr) <= 0 or min(options.threads, options.batch) < 1:
        parser.error("--minutes and --lr are more than 0, --threads and --batch 1 or more.")
    tell(compare, options)


if __name__ == "__main__":
    main()
