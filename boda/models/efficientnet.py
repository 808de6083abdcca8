"""EfficientNets: one small network, made deeper, wider and finer together.

Tan, Le, "EfficientNet: rethinking model scaling for convolutional neural networks", 2019, arXiv
1905.11946. Tensors are named as in torchvision's files. Deviation, as in those: batch norm has
the original code's epsilon 1e-3 and momentum 0.01 in B5 to B7 only, and PyTorch's defaults below.
"""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from boda.models import register
from boda.models.layers import (
    ConvNorm,
    SqueezeExcitation,
    StochasticDepth,
    at_least,
    initialize,
    rounded,
)

PAPER = "Tan, Le 2019, arXiv 1905.11946"
ALPHA, BETA, GAMMA = 1.2, 1.1, 1.15  # the paper's grid search on B0
SMALLEST = 17  # with less, a stride of 2 gets a single pixel


class Scaling(NamedTuple):
    """What B0's blocks a stage, channels, and pixels along a side are multiplied by."""

    depth: float
    width: float
    resolution: float


def compound_scaling(phi: float) -> Scaling:
    """The compound rule: depth α^φ, width β^φ, resolution γ^φ with α = 1.2, β = 1.1, γ = 1.15.

    Multiply-adds grow with the depth, with the square of the width and with the square of the
    resolution: α·β²·γ² ≈ 1.92 times for each φ, about 2.

    ``PUBLISHED`` follows it roughly, rounded to tenths: see there.
    """
    return Scaling(ALPHA**phi, BETA**phi, GAMMA**phi)


class Variant(NamedTuple):
    """A published network: its depth and width, the side of its pictures, its last dropout."""

    depth: float
    width: float
    side: int
    dropout: float


# B1 is φ = 0.5, B2 1, B3 2, B5 5, B6 6 and B7 7; B4 lies between 3 and 4. Widths are the rule's,
# rounded to tenths (B7: 2.0 for 1.95), and so are sides, within six pixels of 224·γ^φ. Depths are
# the rule's up to B3 and stay behind it from B5 on: 2.2, 2.6, 3.1 for 2.5, 3.0, 3.6.
PUBLISHED = (
    Variant(1.0, 1.0, 224, 0.2),
    Variant(1.1, 1.0, 240, 0.2),
    Variant(1.2, 1.1, 260, 0.3),
    Variant(1.4, 1.2, 300, 0.3),
    Variant(1.8, 1.4, 380, 0.4),
    Variant(2.2, 1.6, 456, 0.4),
    Variant(2.6, 1.8, 528, 0.5),
    Variant(3.1, 2.0, 600, 0.5),
)


class MBConv(nn.Module):
    """MobileNet v2's inverted residual with SiLU and a gate: (N, C, H, W) → (N, C', ⌈H/stride⌉, …).

    1×1 up, k×k in each channel, squeeze and excitation, 1×1 down; a shortcut where input and output
    have one size. The gate squeezes to a quarter of the block's input channels. ``se`` is empty, or
    a second gate, on F(x) (``senet``).

    Args:
        channels, out_channels: C and C'.
        kernel: k.
        stride: of the k×k.
        expansion: channels of the k×k to one of the input; with 1 there is no first 1×1.
        drop: probability with which training leaves F(x) out, where there is a shortcut.
    """

    se: nn.Module | None

    def __init__(
        self,
        channels: int,
        out_channels: int,
        kernel: int = 3,
        stride: int = 1,
        expansion: int = 6,
        drop: float = 0.0,
    ) -> None:
        super().__init__()
        wide = channels * expansion
        up = [ConvNorm(channels, wide, 1, activation=nn.SiLU)] if expansion != 1 else []
        self.block = nn.Sequential(
            *up,
            ConvNorm(wide, wide, kernel, stride, depthwise=True, activation=nn.SiLU),
            SqueezeExcitation(wide, max(1, channels // 4), partial(F.silu, inplace=True)),
            ConvNorm(wide, out_channels, 1),
        )
        self.register_module("se", None)
        self.out_channels = out_channels
        same = stride == 1 and channels == out_channels
        self.drop = StochasticDepth(drop) if same else None

    def forward(self, x: Tensor) -> Tensor:
        """F(x) + x, or F(x)."""
        out = self.block(x)
        if self.se is not None:
            out = self.se(out)
        return out if self.drop is None else self.drop(out).add_(x)


class EfficientNet(nn.Module):
    """Stem of stride 2, seven stages of MBConv, 1×1 to four times as many, average, one dense layer.

    Args:
        depth, width: multiply the blocks of each stage and the channels of B0; rounded up, and to
            multiples of 8.
        classes, channels: of the output and of the pictures.
        dropout: share of the averages that is left out in training, before the dense layer.
        drop: the last block's probability of being left out in training; the others' rise to it
            evenly from 0.
    """

    # Expansion, kernel, channels, blocks and stride of the first of each stage (paper, table 1).
    STAGES = ((1, 3, 16, 1, 1), (6, 3, 24, 2, 2), (6, 5, 40, 2, 2), (6, 3, 80, 3, 2),
              (6, 5, 112, 3, 1), (6, 5, 192, 4, 2), (6, 3, 320, 1, 1))  # fmt: skip

    def __init__(
        self,
        depth: float = 1.0,
        width: float = 1.0,
        classes: int = 1000,
        channels: int = 3,
        dropout: float = 0.2,
        drop: float = 0.2,
    ) -> None:
        super().__init__()
        inside = rounded(32 * width)
        self.features = nn.Sequential(ConvNorm(channels, inside, 3, stride=2, activation=nn.SiLU))
        depths = [math.ceil(blocks * depth) for *_, blocks, _ in self.STAGES]
        rise = drop / sum(depths)
        before = 0
        for (expansion, kernel, out, _, stride), blocks in zip(self.STAGES, depths, strict=True):
            stage = nn.Sequential()
            for block in range(blocks):
                step = stride if block == 0 else 1
                wide = rounded(out * width)
                stage.append(MBConv(inside, wide, kernel, step, expansion, rise * (before + block)))
                inside = wide
            self.features.append(stage)
            before += blocks
        self.features.append(ConvNorm(inside, 4 * inside, 1, activation=nn.SiLU))
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(4 * inside, classes))
        initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) → (N, classes) logits."""
        at_least(x, SMALLEST, "this EfficientNet")
        return self.classifier(self.features(x).mean((2, 3)))


def _published(number: int, classes: int, channels: int) -> EfficientNet:
    depth, width, _, dropout = PUBLISHED[number]
    net = EfficientNet(depth, width, classes, channels, dropout)
    if number >= 5:  # those weights were converted from the original code's
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps, module.momentum = 1e-3, 0.01
    return net


@register("efficientnet-b0", size=224, smallest=SMALLEST, classes=1000, paper=PAPER)
def efficientnet_b0(classes: int, channels: int) -> EfficientNet:
    """EfficientNet-B0 for pictures of 224×224; 5,288,548 parameters with a thousand classes."""
    return _published(0, classes, channels)


@register("efficientnet-b1", size=240, smallest=SMALLEST, classes=1000, paper=PAPER)
def efficientnet_b1(classes: int, channels: int) -> EfficientNet:
    """EfficientNet-B1 for pictures of 240×240; 7,794,184 parameters with a thousand classes."""
    return _published(1, classes, channels)


@register("efficientnet-b2", size=260, smallest=SMALLEST, classes=1000, paper=PAPER)
def efficientnet_b2(classes: int, channels: int) -> EfficientNet:
    """EfficientNet-B2 for pictures of 260×260; 9,109,994 parameters with a thousand classes."""
    return _published(2, classes, channels)


@register("efficientnet-b3", size=300, smallest=SMALLEST, classes=1000, paper=PAPER)
def efficientnet_b3(classes: int, channels: int) -> EfficientNet:
    """EfficientNet-B3 for pictures of 300×300; 12,233,232 parameters with a thousand classes."""
    return _published(3, classes, channels)


@register("efficientnet-b4", size=380, smallest=SMALLEST, classes=1000, paper=PAPER)
def efficientnet_b4(classes: int, channels: int) -> EfficientNet:
    """EfficientNet-B4 for pictures of 380×380; 19,341,616 parameters with a thousand classes."""
    return _published(4, classes, channels)


@register("efficientnet-b5", size=456, smallest=SMALLEST, classes=1000, paper=PAPER)
def efficientnet_b5(classes: int, channels: int) -> EfficientNet:
    """EfficientNet-B5 for pictures of 456×456; 30,389,784 parameters with a thousand classes."""
    return _published(5, classes, channels)


@register("efficientnet-b6", size=528, smallest=SMALLEST, classes=1000, paper=PAPER)
def efficientnet_b6(classes: int, channels: int) -> EfficientNet:
    """EfficientNet-B6 for pictures of 528×528; 43,040,704 parameters with a thousand classes."""
    return _published(6, classes, channels)


@register("efficientnet-b7", size=600, smallest=SMALLEST, classes=1000, paper=PAPER)
def efficientnet_b7(classes: int, channels: int) -> EfficientNet:
    """EfficientNet-B7 for pictures of 600×600; 66,347,960 parameters with a thousand classes."""
    return _published(7, classes, channels)
