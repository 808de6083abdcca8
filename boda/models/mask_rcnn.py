"""Mask R-CNN: Faster R-CNN with one branch more, which says pixel by pixel where the object is.

He, Gkioxari, Dollár, Girshick, "Mask R-CNN", 2017, arXiv 1703.06870. The network with ResNet-50 is
torchvision's to the tensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from boda.models import register
from boda.models.faster_rcnn import LARGE, SMALL, FasterRCNN, Sizes, owners
from boda.models.layers import Doubling, initialize
from boda.models.pyramid import narrowed

PAPER = "He, Gkioxari, Dollár, Girshick 2017, arXiv 1703.06870"
GRID = 14  # cells of a region, each way, from which its mask is made
SIDE = 2 * GRID  # of the mask
MOST = 100  # regions a picture that ``forward`` makes masks of


class MaskHead(nn.Module):
    """A mask a class for a region: (R, C, 14, 14) → (R, 1 + classes, 28, 28) logits.

    The first is the background's, which nobody asks; the public weights have it.

    Args:
        width: C.
        depth: 3×3 convolutions; four in the paper.
        classes: without the background.
    """

    def __init__(self, width: int, depth: int, classes: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(depth))
        self.enlarge = Doubling(width, width)
        self.masks = nn.Conv2d(width, 1 + classes, 1)
        initialize(self)
        nn.init.kaiming_normal_(self.enlarge.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Convolve, enlarge, and one 1×1 convolution a class."""
        for conv in self.convs:
            x = F.relu(conv(x))
        return self.masks(F.relu(self.enlarge(x)))


class MaskRCNN(FasterRCNN):
    """Faster R-CNN with masks.

    Args:
        depth: convolutions of the mask's head; the others are ``FasterRCNN``'s.
    """

    per_class = (*FasterRCNN.per_class, "mask_head.masks")

    def __init__(
        self,
        backbone: str,
        sizes: Sizes,
        depth: int,
        classes: int,
        channels: int,
        options: dict[str, Any],
    ) -> None:
        super().__init__(backbone, sizes, classes, channels, options)
        self.mask_head = MaskHead(sizes.width, depth, classes)

    def masks(self, maps: Sequence[Tensor], boxes: Tensor, pictures: Tensor) -> Tensor:
        """Regions (R, 4) of the ``pictures`` (R,) → (R, 1 + classes, 28, 28) logits, float32."""
        cells = self.pooled(maps, boxes, pictures, GRID)
        return self.mask_head(cells.contiguous(memory_format=torch.channels_last)).float()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """One pass over its own proposals: Faster R-CNN's four, and masks (N, K', 1 + classes, 28, 28).

        Masks are of the surest regions, at most a hundred, as many as are told of a picture.
        """
        maps, logits, deltas = self.first(x)
        boxes, pictures = self._proposed(x, maps, logits, deltas)
        second = self.second(maps, boxes.flatten(0, 1), pictures)
        surest = boxes[:, :MOST]
        masks = self.masks(maps, surest.flatten(0, 1), owners(surest))
        return (
            *(logits, deltas),
            *(each.unflatten(0, boxes.shape[:2]) for each in second),
            masks.unflatten(0, surest.shape[:2]),
        )


@register(
    "mask-rcnn-resnet50-fpn",
    size=800,
    smallest=64,
    classes=90,
    paper=PAPER,
    task="instances",
    method="mask-rcnn",
)
def mask_rcnn_resnet50_fpn(classes: int, channels: int, backbone: str = "resnet50") -> MaskRCNN:
    """With ResNet-50, as torchvision has it; 44,401,393 parameters with COCO's 90 numbers of classes."""
    return MaskRCNN(backbone, LARGE, 4, classes, channels, {})


@register(
    "mask-rcnn-resnet18-fpn",
    size=320,
    smallest=64,
    classes=80,
    paper=PAPER,
    task="instances",
    method="mask-rcnn",
)
def mask_rcnn_resnet18_fpn(
    classes: int, channels: int, backbone: str = "resnet18", width: float = 0.5
) -> MaskRCNN:
    """Small, for a CPU: ResNet-18 of half width, a pyramid of 64 channels, masks by two convolutions."""
    return MaskRCNN(backbone, SMALL, 2, classes, channels, narrowed(width))
