"""``yolo``: a grid of cells at three strides; the cell that holds an object tells its box and class.

In the line of Redmon, Divvala, Girshick, Farhadi, "You only look once", 2015, arXiv 1506.02640: one
pass, a grid, objectness Pc, box and classes for every cell. From its successors: maps of three
sizes and a pyramid (YOLO v3, arXiv 1804.02767), no anchor shapes and a branch each for box and class
(YOLOX, Ge et al. 2021, arXiv 2107.08430). The backbone is any classifier
that names its steps (``boda.models.parts.maps``) and has maps of strides 8, 16 and 32.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from boda.models import register
from boda.models.layers import ConvNorm, at_least, initialize
from boda.models.pyramid import Backbone, Pyramid, narrowed

PAPER = "Redmon, Divvala, Girshick, Farhadi 2015, arXiv 1506.02640, and Ge et al. 2021, arXiv 2107.08430"
PRIOR = 0.01  # share of cells that hold an object, about: what Pc says before it has learned


class Head(nn.Module):
    """What a map's cells say: (N, width, S, S) → (N, S, S, 1, 5 + C).

    Two branches of 3×3 convolutions: one for the classes, one for Pc and the box.
    """

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.seen = ConvNorm(width, width, 3, activation=nn.SiLU)
        self.placed = ConvNorm(width, width, 3, activation=nn.SiLU)
        self.classes = nn.Conv2d(width, classes, 1)
        self.boxes = nn.Conv2d(width, 5, 1)

    def sure_of_little(self) -> None:
        """Biases so that nothing is found anywhere at first: else all cells would unlearn that."""
        for layer in (self.classes, self.boxes):
            nn.init.normal_(layer.weight, std=0.01)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
        with torch.no_grad():
            self.boxes.bias[0] = -math.log((1 - PRIOR) / PRIOR)  # type: ignore[index]

    def forward(self, x: Tensor) -> Tensor:
        """Pc, bx, by, bh, bw, c1 … cC of every cell, as raw numbers."""
        raw = torch.cat([self.boxes(self.placed(x)), self.classes(self.seen(x))], 1)
        return raw.permute(0, 2, 3, 1).unsqueeze(3)


class Yolo(nn.Module):
    """Backbone, pyramid, and a head for each of three strides.

    Args:
        backbone: name of a classifier.
        width: channels of the pyramid.
        depth: residual pairs in each merging of the pyramid.
        classes, channels: of the output and of the pictures.
        options: of the backbone.

    Attributes:
        strides: pixels from one cell to the next, for each tensor of the output.
    """

    strides = (8, 16, 32)

    def __init__(
        self,
        backbone: str,
        width: int,
        depth: int,
        classes: int,
        channels: int,
        options: dict[str, Any],
    ) -> None:
        super().__init__()
        self.backbone = Backbone(backbone, channels, self.strides, options)
        self.pyramid = Pyramid(self.backbone.widths, width, depth)
        heads = [Head(width, classes) for _ in self.strides]
        self.heads = nn.ModuleList(heads)
        initialize(self.pyramid)
        for head in heads:
            initialize(head)
            head.sure_of_little()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, channels, H, W) → for each stride (N, H/stride, W/stride, 1, 5 + classes) raw numbers."""
        at_least(x, 64, "yolo")
        maps = self.pyramid(self.backbone(x))
        return tuple(head(each) for head, each in zip(self.heads, maps, strict=True))


@register("yolo", size=416, smallest=64, classes=80, paper=PAPER, task="detect", method="yolo")
def yolo(classes: int, channels: int, backbone: str = "resnet18", width: float = 0.5) -> Yolo:
    """Nano: ResNet-18 of half width, a pyramid of 96 channels; for a CPU and a few hundred pictures."""
    return Yolo(backbone, 96, 1, classes, channels, narrowed(width))


@register(
    "yolo-small", size=416, smallest=64, classes=80, paper=PAPER, task="detect", method="yolo"
)
def yolo_small(classes: int, channels: int, backbone: str = "resnet18", width: float = 1.0) -> Yolo:
    """Small: ResNet-18, which has public weights, and a pyramid of 128 channels."""
    return Yolo(backbone, 128, 1, classes, channels, narrowed(width))


@register(
    "yolo-medium", size=416, smallest=64, classes=80, paper=PAPER, task="detect", method="yolo"
)
def yolo_medium(
    classes: int, channels: int, backbone: str = "resnet34", width: float = 1.0
) -> Yolo:
    """Medium: ResNet-34, which has public weights, and a pyramid of 192 channels, twice as deep."""
    return Yolo(backbone, 192, 2, classes, channels, narrowed(width))
