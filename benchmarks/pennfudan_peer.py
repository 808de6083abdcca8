"""torchvision's Faster and Mask R-CNN trained on Penn-Fudan: the figures to hold boda's against.

Command:  python benchmarks/pennfudan_peer.py DATA [--model faster|mask] [--minutes 15]
          [--backbone resnet18|resnet50|mobilenet | --squeezenet FILE] [--size 256] [--lr 0.005]
          [--batch 2] [--threads 2] [--seed 0] [--json FILE]
          in an environment that has torchvision as well as boda

DATA is what ``recipes/penn_fudan.py`` writes: 120 pictures to learn from, 50 to measure on. The
network is torchvision's own with random weights, batch norms that learn, and all layers trained;
nothing is downloaded. With ``--squeezenet`` the backbone is its SqueezeNet 1.1 with ImageNet's
weights from FILE, in any layout that boda reads, under its pyramid with maps of strides 4, 8 and
16. Two things are added there for its good: its first convolution is padded, so that the maps lie
where the anchors take them to be, and its pyramid has batch norms, since SqueezeNet has none and
its maps are large.

The recipe is that of torchvision's object-detection tutorial: SGD at 0.005 with momentum 0.9 and
weight decay 5e-4, two pictures a batch, horizontal flips, and in the first epoch a rate that grows
from a thousandth. In place of steps down, the rate falls as a cosine within the minutes; where an
epoch is more than a tenth of them, it grows in that tenth. float32 on the CPU. The longer side of
every picture is SIZE.

Four things favour it. All pictures are decoded before the clock starts, and its minutes are of
training alone. It learns from all of train. Boxes count from a score of 0.001, as boda's do, where
it would leave out those below 0.05; so do MobileNet's proposals, from 0. And ``--lr 0.02`` and
``--batch`` may be tried: its best is what counts.

No epoch is chosen by its score, the last weights count. It predicts the test pictures one at a
time; scaling, non-max suppression, at most 100 objects, and masks pasted into the original picture
are its own. ``map50`` to ``mask_map`` are boda's metric on these. ``seconds_a_picture`` is the
median of this prediction, from a decoded picture on; as it hardly leaves a box out, ten pictures
are timed with its own threshold as well. ``cpu_seconds`` tell by how much others kept the threads
waiting in training. ``memory_mib`` is the most that the process held until its end, its libraries
and the decoded pictures included.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import math
import resource
import statistics
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peer_training import Clock, tell, train_and_test
from torch import Tensor, nn

from boda import models
from boda.errors import TrainingError
from boda.masks import of_outline
from boda.metrics.detection import Detection, Found, Truth
from boda.models import weights
from boda.types import Sample

try:
    from torchvision.models import squeezenet1_1
    from torchvision.models.detection import (
        FasterRCNN,
        MaskRCNN,
        fasterrcnn_mobilenet_v3_large_320_fpn,
    )
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.models.detection.backbone_utils import BackboneWithFPN, resnet_fpn_backbone
except ImportError as problem:
    sys.exit(f"this trains torchvision's networks ({problem}); make peers has an environment")

KINDS = {"faster": FasterRCNN, "mask": MaskRCNN}
BACKBONES = ("resnet18", "resnet50", "mobilenet")
LEAST, USUAL = 0.001, 0.05  # score of a box that counts here, and of one that torchvision tells
WARM = 0.1  # of the minutes: the longest in which the rate grows
TIMED = 10  # pictures
MAPS = {"4": 128, "7": 256, "12": 512}  # SqueezeNet's last maps of strides 4, 8, 16: channels
FIGURES = ("map50", "map", "mask_map50", "mask_map")


def load(data: str) -> tuple[list[str], dict[str, list[tuple[Tensor, Truth]]]]:
    """The classes, and of each split the decoded pictures, (3, H, W) uint8, with what is there.

    Raises:
        DataError: there are records with errors.
        UsageError: there is no train or no test split.
    """
    made = "recipes/penn_fudan.py makes them."
    dataset = train_and_test(data, "instances", made)
    pairs = {name: [pair(each) for each in dataset.splits[name]] for name in ("train", "test")}
    return list(dataset.classes), pairs


def pair(sample: Sample) -> tuple[Tensor, Truth]:
    """A picture, decoded, and its objects with their masks."""
    outlines = sample.outlines or []
    masks = [of_outline(outline, sample.shape) for outline in outlines]
    stacked = np.stack(masks) if masks else np.zeros((0, *sample.shape), bool)
    picture = torch.from_numpy(np.ascontiguousarray(sample.image.transpose(2, 0, 1)))
    return picture, Truth(sample.boxes, sample.labels, masks=stacked)


def build(options: argparse.Namespace, classes: int) -> nn.Module:
    """The network for the classes and the ground, which is its class 0.

    Raises:
        DataError: the file of weights cannot be read, or is not SqueezeNet's.
    """
    told = {
        "num_classes": 1 + classes,
        "min_size": options.size,  # both: the longer side is scaled to it
        "max_size": options.size,
        "box_score_thresh": LEAST,
    }
    kind = KINDS[options.model]
    if options.squeezenet:
        return on_squeezenet(partial(kind, **told), options.squeezenet)
    if options.backbone == "mobilenet":
        return fasterrcnn_mobilenet_v3_large_320_fpn(
            weights=None, weights_backbone=None, rpn_score_thresh=0.0, **told
        )
    body = resnet_fpn_backbone(
        backbone_name=options.backbone,
        weights=None,
        norm_layer=nn.BatchNorm2d,
        trainable_layers=5,
    )
    return kind(body, **told)


def on_squeezenet(kind: partial[nn.Module], file: Path) -> nn.Module:
    """A detector over SqueezeNet 1.1, which sees pictures as its weights were fitted to them."""
    ours, theirs = models.create("squeezenet-1.1"), squeezenet1_1(weights=None)
    layout = weights.load(ours, file, "squeezenet-1.1").layout
    theirs.load_state_dict(ours.state_dict())
    theirs.features[0].padding = (1, 1)
    names = {place: str(level) for level, place in enumerate(MAPS)}
    widths = list(MAPS.values())
    body = BackboneWithFPN(theirs.features, names, widths, 256, norm_layer=nn.BatchNorm2d)
    sides = tuple((8 * stride,) for stride in (4, 8, 16, 32))  # the last map is a pooled one
    anchors = AnchorGenerator(sides, ((0.5, 1.0, 2.0),) * len(sides))
    return kind(body, rpn_anchor_generator=anchors, image_mean=layout.mean, image_std=layout.std)


def sheet(picture: Tensor, truth: Truth, masks: bool, flip: bool) -> tuple[Tensor, dict]:
    """A picture 0..1 and its objects as torchvision wants them, from right to left where flipped."""
    x, width = picture.float() / 255, picture.shape[-1]
    boxes = torch.from_numpy(truth.boxes)
    target = {"labels": 1 + torch.from_numpy(truth.labels)}
    if flip:
        x = x.flip(-1)
        boxes = torch.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], 1)
    target["boxes"] = boxes
    if masks:
        whole = torch.from_numpy(truth.masks).to(torch.uint8)
        target["masks"] = whole.flip(-1) if flip else whole
    return x, target


def train(net: nn.Module, pairs: list[tuple[Tensor, Truth]], options: argparse.Namespace) -> Clock:
    """Train until the minutes are over; returns what was done.

    Raises:
        TrainingError: the loss is not finite.
    """
    net.train()
    learned = [weight for weight in net.parameters() if weight.requires_grad]
    optimizer = torch.optim.SGD(learned, lr=options.lr, momentum=0.9, weight_decay=5e-4)
    epoch = math.ceil(len(pairs) / options.batch)
    chance = np.random.default_rng(options.seed)
    clock = Clock(options.minutes)
    clock.start()
    while clock.spent < 1:
        losses = []
        for chosen in chunks(chance.permutation(len(pairs)), options.batch):
            flips = chance.random(len(chosen)) < 0.5
            sheets = [
                sheet(*pairs[i], options.model == "mask", flip)
                for i, flip in zip(chosen, flips, strict=True)
            ]
            loss = sum(net([x for x, _ in sheets], [target for _, target in sheets]).values())
            if not torch.isfinite(loss):
                raise TrainingError(
                    f"the loss is {loss.item()} after {clock.batches} batches; lower --lr."
                )
            rise = min(1.0, 1e-3 + max(clock.batches / epoch, clock.spent / WARM))
            fall = (1 + math.cos(math.pi * min(1.0, clock.spent))) / 2
            optimizer.param_groups[0]["lr"] = options.lr * rise * fall
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            clock.count(len(chosen))
            if clock.spent >= 1:
                break
        mean = statistics.fmean(losses)
        print(f"{clock.seconds:6.0f} s  {clock.looks:,} looks  loss {mean:.3f}", file=sys.stderr)
    return clock


def chunks(order: np.ndarray, size: int) -> list[np.ndarray]:
    """The order in parts of a size; the last may be smaller."""
    return [order[i : i + size] for i in range(0, len(order), size)]


@torch.inference_mode()
def found_in(net: nn.Module, picture: Tensor) -> tuple[dict[str, Tensor], float]:
    """What the network finds in one picture, and the seconds this takes."""
    began = time.perf_counter()
    (said,) = net([picture.float() / 255])
    return said, time.perf_counter() - began


def measure(
    net: nn.Module, pairs: list[tuple[Tensor, Truth]], metrics: list[Detection]
) -> tuple[dict[str, float], dict[str, float]]:
    """The figures of the test pictures, and the median of the seconds a picture by the threshold."""
    net.eval()
    times = []
    for picture, truth in pairs:
        said, seconds = found_in(net, picture)
        times.append(seconds)
        masks = (said["masks"][:, 0] > 0.5).numpy() if "masks" in said else None
        boxes, labels = said["boxes"].numpy(), said["labels"].numpy() - 1
        for metric in metrics:
            metric.update(Found(boxes, said["scores"].numpy(), labels, masks), truth)
    figures: dict[str, float] = {}
    for metric in metrics:
        figures |= metric.compute()
    net.roi_heads.score_thresh = USUAL
    usual = [found_in(net, picture)[1] for picture, _ in pairs[:TIMED]]
    medians = {str(LEAST): statistics.median(times), str(USUAL): statistics.median(usual)}
    return figures, {threshold: round(each, 4) for threshold, each in medians.items()}


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """Everything that is printed."""
    torch.set_num_threads(options.threads)
    classes, splits = load(options.data)
    torch.manual_seed(options.seed)
    net = build(options, len(classes))
    clock = train(net, splits["train"], options)
    metrics = [Detection(classes)]
    if options.model == "mask":
        metrics.append(Detection(classes, masks=True))
    figures, seconds_a_picture = measure(net, splits["test"], metrics)
    return {
        "model": f"torchvision {options.model}-rcnn",
        "backbone": "squeezenet-1.1, ImageNet" if options.squeezenet else options.backbone,
        "parameters": sum(weight.numel() for weight in net.parameters()),
        "weights": "last",
        **{name: figures[name] for name in FIGURES if name in figures},
        "pictures": {name: len(pairs) for name, pairs in splits.items()},
        "size": options.size,
        "batch": options.batch,
        "rate": options.lr,
        "minutes": options.minutes,
        "seed": options.seed,
        "seconds": round(clock.seconds, 1),
        "cpu_seconds": round(clock.cpu, 1),
        "looks": clock.looks,
        "batches": clock.batches,
        "epochs": round(clock.looks / len(splits["train"]), 2),
        "threads": torch.get_num_threads(),
        "seconds_a_picture": seconds_a_picture,
        "memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "versions": {
            package: importlib.metadata.version(package)
            for package in ("torch", "torchvision", "boda")
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", help="Penn-Fudan in train and test")
    parser.add_argument("--model", choices=KINDS, default="mask")
    parser.add_argument("--backbone", choices=BACKBONES, help="from random weights; resnet18")
    parser.add_argument("--squeezenet", type=Path, metavar="FILE", help="ImageNet's weights of it")
    parser.add_argument("--size", type=int, default=256, help="of the longer side, pixels")
    parser.add_argument("--lr", type=float, default=0.005)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=15, help="of training")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the figures there too")
    options = parser.parse_args()
    if min(options.minutes, options.lr) <= 0 or min(options.threads, options.batch) < 1:
        parser.error("--minutes and --lr are more than 0, --threads and --batch 1 or more.")
    if options.size < 64:
        parser.error("--size is 64 or more.")
    if options.squeezenet and options.backbone:
        parser.error("--squeezenet is a backbone: leave --backbone out.")
    options.backbone = options.backbone or "resnet18"
    if options.model == "mask" and options.backbone == "mobilenet":
        parser.error("torchvision has no Mask R-CNN with MobileNet; --model faster has it.")
    tell(compare, options)


if __name__ == "__main__":
    main()
