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
from boda.models.pyramid import Backbone, narrowed
from boda.models.region_proposals import RegionHead
from boda.ops.boxes import decode_boxes
from boda.ops.roi import pool_levels

PAPER = "Ren, He, Girshick, Sun 2015, arXiv 1506.01497, and Lin et al. 2016, arXiv 1612.03144"
STRIDES = (4, 8, 16, 32)  # of the maps; a backbone may lack the last
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
SMALL = Sizes(64, 256, 4, 256, 128, norm=True)


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
        self.strides = (
            *self.backbone.strides,
            2 * self.backbone.strides[-1],
        )  # the pyramid adds one
        if not sizes.norm:
            fix_norms(self.backbone)
        self.pyramid = FeaturePyramid(self.backbone.widths, sizes.width, sizes.norm)
        self.regions = RegionHead(sizes.width, self.strides, sizes.anchor, sizes.before, sizes.norm)
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
        size, regions = x.shape[-2:], self.regions
        boxes = clipped(decode_boxes(deltas.detach(), regions.anchors(maps, size)), size)
        scores = logits.detach().sigmoid()
        boxes, _ = regions.propose(scores, boxes, regions.levels(maps), self.sizes.proposals)
        return boxes, owners(boxes)


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
    return FasterRCNN(backbone, SMALL, classes, channels, narrowed(width))


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
    return FasterRCNN("mobilenet-v2", SMALL, classes, channels, narrowed(width))
