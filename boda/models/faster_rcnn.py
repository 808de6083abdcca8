"""Faster R-CNN: a network proposes regions, and a second one looks at each and says what it is.

Ren, He, Girshick, Sun, "Faster R-CNN", 2015, arXiv 1506.01497; its second stage is that of Girshick,
"Fast R-CNN", 2015, arXiv 1504.08083; with a feature pyramid (Lin et al. 2016, arXiv 1612.03144) and
RoI align (He et al. 2017, arXiv 1703.06870). The network with ResNet-50 is torchvision's to the
tensor: its batch norms are fixed. The small ones have batch norms that learn, in the pyramid too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from boda.models import register
from boda.models.feature_pyramid import FeaturePyramid
from boda.models.layers import at_least, fix_norms
from boda.models.pyramid import Backbone
from boda.ops.boxes import decode_boxes
from boda.ops.roi import pool_levels
from boda.ops.together import best, keep

PAPER = "Ren, He, Girshick, Sun 2015, arXiv 1506.01497, and Lin et al. 2016, arXiv 1612.03144"
STRIDES = (4, 8, 16, 32)  # of the maps; a backbone may lack the last
RATIOS = (0.5, 1.0, 2.0)  # height / width of the anchors
OVERLAP = 0.7  # of regions that are proposed: others are the same region
LEAST = 1e-3  # pixels that a region must be wide and high
GRID = 7  # cells of a region, each way
WEIGHTS = (10.0, 10.0, 5.0, 5.0)  # of tx, ty, tw, th of the second stage (Fast R-CNN: by deviation)


@dataclass(frozen=True)
class Sizes:
    """How large a Faster R-CNN is.

    Attributes:
        width: channels of the pyramid.
        hidden: of the two dense layers that look at a region.
        anchor: side of the anchors, in strides of their level.
        before: regions a level that go into non-max suppression.
        proposals: regions a picture that come out of it.
        norm: batch norms that learn; else those of the backbone are fixed.
        side: of a region that is looked up at stride 16, pixels. With 224, as in the paper, a
            small region has 7×7 pixels of the finest map: more place, less meaning.
    """

    width: int
    hidden: int
    anchor: int
    before: int
    proposals: int
    norm: bool
    side: int = 224


LARGE = Sizes(256, 1024, 8, 1000, 1000, norm=False)
SMALL = Sizes(64, 256, 4, 256, 128, norm=True, side=56)


class RegionHead(nn.Module):
    """The region proposal network: does an anchor hold an object, and where exactly is it?

    Args:
        width: channels of the maps.
        anchors: shapes in every place.
        norm: batch norm behind the convolution that the two answers share.
    """

    def __init__(self, width: int, anchors: int, norm: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1, bias=not norm)
        self.norm = nn.BatchNorm2d(width) if norm else nn.Identity()
        self.objectness = nn.Conv2d(width, anchors, 1)
        self.deltas = nn.Conv2d(width, 4 * anchors, 1)
        for layer in (self.conv, self.objectness, self.deltas):
            nn.init.normal_(layer.weight, std=0.01)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Maps (N, C, H, W) → logits (N, A) and tx, ty, tw, th (N, A, 4), level by level, row by row."""
        logits, deltas = [], []
        for each in maps:
            x = F.relu(self.norm(self.conv(each)))
            logits.append(self.objectness(x).permute(0, 2, 3, 1).flatten(1))
            deltas.append(self.deltas(x).permute(0, 2, 3, 1).reshape(x.shape[0], -1, 4))
        return torch.cat(logits, 1).float(), torch.cat(deltas, 1).float()


class BoxHead(nn.Module):
    """Looks at a region: (R, C, 7, 7) → logits (R, 1 + classes), the background first, and deltas.

    The deltas (R, 1 + classes, 4) tell for every class where the object would be.
    """

    def __init__(self, width: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.fc6 = nn.Linear(width * GRID**2, hidden)
        self.fc7 = nn.Linear(hidden, hidden)
        self.classes = nn.Linear(hidden, 1 + classes)
        self.boxes = nn.Linear(hidden, 4 * (1 + classes))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Two dense layers with ReLU, then the two answers."""
        x = F.relu(self.fc7(F.relu(self.fc6(x.flatten(1)))))
        return self.classes(x).float(), self.boxes(x).unflatten(1, (-1, 4)).float()


class FasterRCNN(nn.Module):
    """Backbone, pyramid, region proposals, and a head for each region.

    Args:
        backbone: name of a classifier.
        sizes: of what is behind it.
        classes, channels: of the output, without the background, and of the pictures.
        options: of the backbone.

    Attributes:
        per_class: the layers with rows a class, for weights with other classes.
        background: rows before those of the classes.
    """

    per_class: tuple[str, ...] = ("head.classes", "head.boxes")
    background = 1

    def __init__(
        self, backbone: str, sizes: Sizes, classes: int, channels: int, options: dict[str, Any]
    ) -> None:
        super().__init__()
        self.sizes = sizes
        self.backbone = Backbone(backbone, channels, STRIDES, options, fewer=True)
        self.strides = (*self.backbone.strides, 2 * self.backbone.strides[-1])  # the pyramid adds one
        if not sizes.norm:
            fix_norms(self.backbone)
        self.pyramid = FeaturePyramid(self.backbone.widths, sizes.width, sizes.norm)
        self.regions = RegionHead(sizes.width, len(RATIOS), sizes.norm)
        self.head = BoxHead(sizes.width, sizes.hidden, classes)

    def first(self, x: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
        """The first stage.

        Args:
            x: (N, channels, H, W).

        Returns:
            the pyramid's maps, the anchors' logits (N, A) and their deltas (N, A, 4), float32.
        """
        at_least(x, 64, "Faster R-CNN")
        maps = self.pyramid(self.backbone(x))
        logits, deltas = self.regions(maps)
        return maps, logits, deltas

    def anchors(self, maps: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        """Three shapes at every pixel of every level.

        As in torchvision, whose weights were learned with them: they stand around the upper left
        corner of a pixel, their sides are even numbers, and pixels lie ⌊H/h⌋ apart.

        Args:
            maps: the levels, (N, C, h, w) each.
            size: (H, W) of the pictures.

        Returns:
            (A, 4) xyxy pixels, level by level, row by row.
        """
        ratios, found = torch.tensor(RATIOS), []
        for each, stride in zip(maps, self.strides, strict=True):
            side = stride * self.sizes.anchor / 2
            half = torch.stack([side / ratios.sqrt(), side * ratios.sqrt()], 1).round()
            h, w = each.shape[-2:]
            y, x = torch.arange(h) * (size[0] // h), torch.arange(w) * (size[1] // w)
            corner = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)[:, :, None]
            found.append(torch.cat([corner - half, corner + half], -1).flatten(0, 2))
        return torch.cat(found).to(maps[0].device)

    def propose(
        self, scores: Tensor, boxes: Tensor, levels: Sequence[int], count: int
    ) -> tuple[Tensor, Tensor]:
        """The regions that look most like objects, none twice.

        As in torchvision the surest of each level are chosen before those go that lie outside the
        picture.

        Args:
            scores: (N, A) of the anchors, 0..1.
            boxes: (N, A, 4) xyxy, clipped to the picture.
            levels: how many of the A are of each level.
            count: of regions a picture.

        Returns:
            (N, count, 4), the surest first, and their scores (N, count); a score of 0 is no region.
        """
        chosen, start = [], 0
        for number in levels:
            some = best(scores[:, start : start + number], min(self.sizes.before, number))
            chosen.append(some + start)
            start += number
        of_level = torch.cat([torch.full_like(c[0], i) for i, c in enumerate(chosen)])
        place = torch.cat(chosen, 1)
        boxes = boxes.gather(1, place[..., None].expand(-1, -1, 4))
        sides = boxes[..., 2:] - boxes[..., :2]
        scores = torch.where((sides >= LEAST).all(-1), scores.gather(1, place), 0.0)
        kept = keep(boxes, scores, of_level.expand_as(place), len(levels), OVERLAP)
        scores = torch.where(kept, scores, 0.0)
        first = best(scores, min(count, scores.shape[1]))
        return boxes.gather(1, first[..., None].expand(-1, -1, 4)), scores.gather(1, first)

    def pooled(self, maps: Sequence[Tensor], boxes: Tensor, pictures: Tensor, grid: int) -> Tensor:
        """Regions (R, 4) of the ``pictures`` (R,) → (R, C, grid, grid), each from the level of its size."""
        strides = self.strides[:-1]
        return pool_levels(maps[:-1], strides, boxes, pictures, grid, side=self.sizes.side)

    def second(
        self, maps: Sequence[Tensor], boxes: Tensor, pictures: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The second stage.

        Args:
            maps: of the first.
            boxes: (R, 4) xyxy pixels.
            pictures: (R,) int64, which picture each is in.

        Returns:
            logits (R, 1 + classes), the background first, and deltas (R, 1 + classes, 4), float32.
        """
        logits, deltas = self.head(self.pooled(maps, boxes, pictures, GRID))
        return logits, deltas / deltas.new_tensor(WEIGHTS)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """One pass over its own proposals.

        Args:
            x: (N, channels, H, W).

        Returns:
            logits (N, A) and deltas (N, A, 4) of the anchors; logits (N, K, 1 + classes) and deltas
            (N, K, 1 + classes, 4) of the K regions that are proposed.
        """
        maps, logits, deltas = self.first(x)
        boxes, pictures = self._proposed(x, maps, logits, deltas)
        second = self.second(maps, boxes.flatten(0, 1), pictures)
        return logits, deltas, *(each.unflatten(0, boxes.shape[:2]) for each in second)

    def _proposed(
        self, x: Tensor, maps: Sequence[Tensor], logits: Tensor, deltas: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(N, K, 4) and the picture of each, (N·K,)."""
        boxes = clipped(
            decode_boxes(deltas.detach(), self.anchors(maps, x.shape[-2:])), x.shape[-2:]
        )
        scores = logits.detach().sigmoid()
        boxes, _ = self.propose(scores, boxes, self.levels(maps), self.sizes.proposals)
        return boxes, owners(boxes)

    @staticmethod
    def levels(maps: Sequence[Tensor]) -> list[int]:
        """How many anchors each level has."""
        return [len(RATIOS) * each.shape[2] * each.shape[3] for each in maps]


def clipped(boxes: Tensor, size: Sequence[int]) -> Tensor:
    """Boxes (…, 4) within a picture of (H, W) pixels."""
    edges = boxes.new_tensor([size[1], size[0], size[1], size[0]])
    return torch.minimum(boxes.clamp(min=0), edges)


def owners(boxes: Tensor) -> Tensor:
    """(N, K, 4) → (N·K,) int64: the picture that each region lies in."""
    numbers = torch.arange(boxes.shape[0], device=boxes.device)
    return numbers[:, None].expand(boxes.shape[:2]).flatten()


@register(
    "faster-rcnn-resnet50-fpn",
    size=800,
    smallest=64,
    classes=90,
    paper=PAPER,
    task="detect",
    method="faster-rcnn",
)
def faster_rcnn_resnet50_fpn(classes: int, channels: int, backbone: str = "resnet50") -> FasterRCNN:
    """With ResNet-50, as torchvision has it; 41,755,286 parameters with COCO's 90 numbers of classes."""
    return FasterRCNN(backbone, LARGE, classes, channels, {})


@register(
    "faster-rcnn-resnet18-fpn",
    size=320,
    smallest=64,
    classes=80,
    paper=PAPER,
    task="detect",
    method="faster-rcnn",
)
def faster_rcnn_resnet18_fpn(
    classes: int, channels: int, backbone: str = "resnet18", width: float = 0.5
) -> FasterRCNN:
    """Small, for a CPU: ResNet-18 of half width, a pyramid of 64 channels, 128 regions a picture."""
    return FasterRCNN(backbone, SMALL, classes, channels, {} if width == 1 else {"width": width})


@register(
    "faster-rcnn-mobilenet-v2-fpn",
    size=320,
    smallest=64,
    classes=80,
    paper=PAPER,
    task="detect",
    method="faster-rcnn",
)
def faster_rcnn_mobilenet_v2_fpn(classes: int, channels: int, width: float = 1.0) -> FasterRCNN:
    """Small, with MobileNet v2, which has public weights."""
    return FasterRCNN(
        "mobilenet-v2", SMALL, classes, channels, {} if width == 1 else {"width": width}
    )
