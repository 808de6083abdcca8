"""``unet-<backbone>``: U-Net's way up behind any classifier, whose public weights it can begin with.

The way up and the skips are those of Ronneberger, Fischer, Brox, "U-Net", 2015, arXiv 1505.04597; the
way down is a classifier without its head. Deviations, for a CPU: no map skips at full resolution and
no 3×3 convolution runs there. The scores are made at stride 2 and enlarged by a transposed
convolution that begins as bilinear interpolation. The way up is narrow; maps become narrow before
they are enlarged, by default by bilinear interpolation.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from boda.errors import UsageError
from boda.models import register
from boda.models.layers import at_least, initialize
from boda.models.pyramid import Backbone, narrowed
from boda.models.unet import PAPER, pair, score
from boda.models.upsampling import Transposed, divisible, upsampling

STRIDES = (2, 4, 8, 16, 32)  # of the maps that skip; a backbone may lack the coarsest
SMALLEST = 64
DECODER = (128, 64, 48, 32)  # channels of the way up at strides 16, 8, 4 and 2


class BackboneUNet(nn.Module):
    """A classifier's maps, and the way up: (N, channels, H, W) → (N, classes, H, W) logits.

    Takes any size from 64 on: the picture is continued by its edge until the coarsest stride divides
    it, and the scores are cut.

    Args:
        backbone: name of a classifier.
        classes, channels: of the output and of the pictures.
        options: of the backbone.
        decoder: channels of the way up, coarsest first; of a backbone that ends at stride 16 the
            first is not used.
        up: "bilinear", "transposed" or "2x2"; see ``upsampling``. With transposed convolutions a
            step of learning takes a fifth longer.

    Raises:
        UsageError: the backbone has no maps of these strides, too few numbers in ``decoder``, or no
            such way up.

    Attributes:
        per_class: the layers with rows a class, for weights with other classes.
    """

    per_class: tuple[str, ...] = ("head", "enlarge")

    def __init__(
        self,
        backbone: str,
        classes: int,
        channels: int,
        options: dict[str, Any],
        decoder: Sequence[float] = DECODER,
        up: str = "bilinear",
    ) -> None:
        super().__init__()
        if up == "unpool":
            raise UsageError(
                "a backbone keeps no switches for un-pooling. Use --set up=bilinear or up=transposed; "
                "unet and segnet un-pool."
            )
        self.backbone = Backbone(backbone, channels, STRIDES, options, fewer=True)
        skips, coarsest = self.backbone.widths[:-1], self.backbone.widths[-1]
        widths = [round(width) for width in decoder][-len(skips) :]
        if len(widths) < len(skips) or min(widths) < 1:
            raise UsageError(
                f"decoder={','.join(map(str, decoder))} does not fit {backbone}: give {len(skips)} "
                f"channels from 1 up, coarsest first, such as {','.join(map(str, DECODER))}."
            )
        inside = [coarsest, *widths[:-1]]
        self.ups = nn.ModuleList(upsampling(up, a, b) for a, b in zip(inside, widths, strict=True))
        self.merges = nn.ModuleList(
            pair(skip + width, width) for skip, width in zip(reversed(skips), widths, strict=True)
        )
        self.head = score(widths[-1], classes)
        self.enlarge = Transposed(classes, classes)
        initialize(self.merges)

    def forward(self, x: Tensor) -> Tensor:
        """Down, up, and a score a class for every pixel."""
        at_least(x, SMALLEST, "a U-Net with a backbone")
        size = x.shape[-2:]
        *skips, x = self.backbone(divisible(x, self.backbone.strides[-1]))
        for up, merge, skip in zip(self.ups, self.merges, reversed(skips), strict=True):
            x = merge(torch.cat([skip, up(x, skip.shape[-2:])], 1))
        return self.enlarge(self.head(x), size)


_registered = partial(
    register,
    size=256,
    smallest=SMALLEST,
    classes=21,
    paper=PAPER,
    task="segment",
    method="segmenter",
)


@_registered("unet-resnet18")
def unet_resnet18(
    classes: int,
    channels: int,
    backbone: str = "resnet18",
    width: float = 1.0,
    decoder: tuple[int, ...] = DECODER,
    up: str = "bilinear",
) -> BackboneUNet:
    """U-Net on ResNet-18, or on any classifier that ``backbone`` names."""
    return BackboneUNet(backbone, classes, channels, narrowed(width), decoder, up)


@_registered("unet-resnet34")
def unet_resnet34(
    classes: int,
    channels: int,
    width: float = 1.0,
    decoder: tuple[int, ...] = DECODER,
    up: str = "bilinear",
) -> BackboneUNet:
    """U-Net on ResNet-34."""
    return BackboneUNet("resnet34", classes, channels, narrowed(width), decoder, up)


@_registered("unet-resnet50")
def unet_resnet50(
    classes: int,
    channels: int,
    width: float = 1.0,
    decoder: tuple[int, ...] = DECODER,
    up: str = "bilinear",
) -> BackboneUNet:
    """U-Net on ResNet-50."""
    return BackboneUNet("resnet50", classes, channels, narrowed(width), decoder, up)


@_registered("unet-mobilenet-v2")
def unet_mobilenet_v2(
    classes: int,
    channels: int,
    width: float = 1.0,
    decoder: tuple[int, ...] = DECODER,
    up: str = "bilinear",
) -> BackboneUNet:
    """U-Net on MobileNet v2."""
    return BackboneUNet("mobilenet-v2", classes, channels, narrowed(width), decoder, up)


@_registered("unet-squeezenet")
def unet_squeezenet(
    classes: int, channels: int, decoder: tuple[int, ...] = DECODER, up: str = "bilinear"
) -> BackboneUNet:
    """U-Net on SqueezeNet 1.1, the smallest, whose coarsest map has stride 16."""
    return BackboneUNet("squeezenet-1.1", classes, channels, {}, decoder, up)
