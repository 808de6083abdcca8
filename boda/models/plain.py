"""Plain networks: residual networks without their shortcuts, the other side of the comparison.

He, Zhang, Ren, Sun, "Deep residual learning for image recognition", 2015, arXiv 1512.03385, sections
3.3 and 4.2. They have as many parameters as the residual networks with option A shortcuts, under the
same names, and show the degradation: the deeper one fits its own training pictures worse.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from boda.models import register
from boda.models.resnet import PAPER, Across, BasicBlock, CifarResNet, ResNet, ZeroPadding


class PlainBlock(BasicBlock):
    """The same two convolutions without a shortcut, relu(F(x)): what residual blocks improve on."""

    def __init__(
        self, channels: int, width: int, stride: int = 1, across: Across = ZeroPadding
    ) -> None:
        super().__init__(channels, width, stride, across)
        self.downsample = None

    def forward(self, x: Tensor) -> Tensor:
        """F(x), after ReLU."""
        return F.relu(self.gated(x), inplace=True)


@register("plain20", size=32, smallest=3, paper=PAPER)
def plain20(classes: int, channels: int) -> CifarResNet:
    """ResNet-20 without its shortcuts: as many parameters, harder to optimize the deeper."""
    return CifarResNet(3, classes, channels, block=PlainBlock)


@register("plain32", size=32, smallest=3, paper=PAPER)
def plain32(classes: int, channels: int) -> CifarResNet:
    """ResNet-32 without its shortcuts: as many parameters, harder to optimize the deeper."""
    return CifarResNet(5, classes, channels, block=PlainBlock)


@register("plain44", size=32, smallest=3, paper=PAPER)
def plain44(classes: int, channels: int) -> CifarResNet:
    """ResNet-44 without its shortcuts: as many parameters, harder to optimize the deeper."""
    return CifarResNet(7, classes, channels, block=PlainBlock)


@register("plain56", size=32, smallest=3, paper=PAPER)
def plain56(classes: int, channels: int) -> CifarResNet:
    """ResNet-56 without its shortcuts: as many parameters, harder to optimize the deeper."""
    return CifarResNet(9, classes, channels, block=PlainBlock)


@register("plain18", size=224, smallest=17, classes=1000, paper=PAPER)
def plain18(classes: int, channels: int) -> ResNet:
    """ResNet-18 without its shortcuts."""
    return ResNet(PlainBlock, (2, 2, 2, 2), classes, channels)


@register("plain34", size=224, smallest=17, classes=1000, paper=PAPER)
def plain34(classes: int, channels: int) -> ResNet:
    """ResNet-34 without its shortcuts."""
    return ResNet(PlainBlock, (3, 4, 6, 3), classes, channels)
