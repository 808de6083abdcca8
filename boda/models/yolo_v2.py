"""``yolo-v2``: no dense layers; every cell of a map has anchor shapes, and a box and classes for each.

Redmon, Farhadi, "YOLO9000: Better, Faster, Stronger", 2016, arXiv 1612.08242, section 2. The finer
map that is passed through goes through a 1×1 convolution of 64 channels first, as in the network that
was released; the text has none. Deviations: the four neighbours that become channels of one cell
stand in the order of PyTorch's ``pixel_unshuffle``; the numbers of a box stand in the notes' order.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from boda.errors import UsageError
from boda.models import register
from boda.models.darknet import leaky
from boda.models.layers import at_least, initialize
from boda.models.pyramid import Backbone

PAPER = "Redmon, Farhadi 2016, arXiv 1612.08242"
STRIDE = 32  # pixels of a cell
WIDE, PASSED = 1024, 64  # channels of the added convolutions


class Cells(nn.Module):
    """(N, A·(5 + C), h, w) → (N, h, w, A, 5 + C)."""

    def __init__(self, anchors: int) -> None:
        super().__init__()
        self.anchors = anchors

    def forward(self, x: Tensor) -> Tensor:
        """What the anchors of a cell say, one after the other."""
        return x.permute(0, 2, 3, 1).unflatten(3, (self.anchors, x.shape[1] // self.anchors))


class YoloV2(nn.Module):
    """Darknet-19, two convolutions of 3×3, a third that sees the finer map as well, and the 1×1.

    Args:
        classes, channels: of the output and of the pictures.
        anchors: A, shapes that every cell has.
        width: factor of all channels; 1 is the paper's.

    Attributes:
        anchors: A.

    Raises:
        UsageError: no anchor, or a width that Darknet-19 does not take.
    """

    def __init__(self, classes: int, channels: int, anchors: int = 5, width: float = 1.0) -> None:
        super().__init__()
        if anchors < 1:
            raise UsageError(f"YOLO v2 with {anchors} anchors. Give at least one.")
        self.anchors = anchors
        self.backbone = Backbone("darknet19", channels, (STRIDE // 2, STRIDE), {"width": width})
        fine, coarse = self.backbone.widths
        wide, passed = round(width * WIDE), max(1, round(width * PASSED))
        self.deeper = nn.Sequential(leaky(coarse, wide, 3), leaky(wide, wide, 3))
        self.passed = leaky(fine, passed, 1)
        self.merged = leaky(wide + 4 * passed, wide, 3)
        last = nn.Conv2d(wide, anchors * (5 + classes), 1)
        self.output = nn.Sequential(last, Cells(anchors))
        for part in (self.deeper, self.passed, self.merged):
            initialize(part)
        nn.init.normal_(last.weight, std=0.01)  # at first every box has its anchor's shape
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) → (N, H/32, W/32, A, 5 + C): S × S × A × (5 + C) of a square picture.

        Pc, bx, by, bh, bw, c1 … cC of every anchor of every cell, raw numbers; H and W are multiples
        of 32. For what they mean see ``boda.tasks.detect.yolo_v2``.
        """
        at_least(x, STRIDE, "YOLO v2")
        height, width = x.shape[-2:]
        if height % STRIDE or width % STRIDE:
            near = "x".join(str(max(1, round(side / STRIDE)) * STRIDE) for side in (height, width))
            raise UsageError(
                f"YOLO v2 cannot take pictures of {height}×{width}: its cells have {STRIDE} pixels. "
                f"Use --size {near}."
            )
        fine, coarse = self.backbone(x)
        passed = F.pixel_unshuffle(self.passed(fine), 2)
        return self.output(self.merged(torch.cat([passed, self.deeper(coarse)], 1)))


@register(
    "yolo-v2",
    size=416,
    smallest=STRIDE,
    classes=20,
    paper=PAPER,
    task="detect",
    method="yolo-v2",
)
def yolo_v2(classes: int, channels: int, anchors: int = 5, width: float = 1.0) -> YoloV2:
    """YOLO v2, five anchors in every cell of 32 pixels; 50,655,389 parameters with 20 classes."""
    return YoloV2(classes, channels, anchors, width)
