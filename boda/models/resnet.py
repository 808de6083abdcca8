"""Residual networks: a block learns what to add to its input, H(x) = F(x) + x.

He, Zhang, Ren, Sun, "Deep residual learning for image recognition", 2015, arXiv 1512.03385; here
the CIFAR networks of its section 4.2. Where the sizes differ the shortcut is the paper's option A,
without parameters: every second pixel, and zeros for the new channels, half before and half behind
the old ones.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from boda.models import register
from boda.models.layers import at_least

PAPER = "He, Zhang, Ren, Sun 2015, arXiv 1512.03385"


class BasicBlock(nn.Module):
    """3×3, 3×3 and a shortcut: (N, C, H, W) → (N, C', H/stride, W/stride)."""

    def __init__(self, channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out_channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.stride = stride
        self.new_channels = out_channels - channels

    def shortcut(self, x: Tensor) -> Tensor:
        """Option A: every ``stride``-th pixel, zeros for the new channels."""
        if self.stride == 1 and self.new_channels == 0:
            return x
        half = self.new_channels // 2
        x = x[:, :, :: self.stride, :: self.stride]
        return F.pad(x, (0, 0, 0, 0, half, self.new_channels - half))

    def forward(self, x: Tensor) -> Tensor:
        """F(x) + x."""
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return F.relu(out + self.shortcut(x))


class CifarResNet(nn.Module):
    """Stem, three stages of ``blocks`` basic blocks, global average, one dense layer.

    Args:
        blocks: blocks a stage; the depth is 6·blocks + 2.
        classes, channels: of the output and of the pictures.
        widths: channels of the three stages.
        strided: halve the pictures twice before the first stage, for pictures larger than CIFAR's.
    """

    def __init__(
        self,
        blocks: int,
        classes: int = 10,
        channels: int = 3,
        widths: tuple[int, int, int] = (16, 32, 64),
        strided: bool = False,
    ) -> None:
        super().__init__()
        self.smallest = 32 if strided else 8
        kernel, stride = (7, 2) if strided else (3, 1)
        self.conv1 = nn.Conv2d(channels, widths[0], kernel, stride, kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.pool = nn.MaxPool2d(3, 2, padding=1) if strided else nn.Identity()
        self.layer1 = _stage(widths[0], widths[0], blocks, stride=1)
        self.layer2 = _stage(widths[0], widths[1], blocks, stride=2)
        self.layer3 = _stage(widths[1], widths[2], blocks, stride=2)
        self.fc = nn.Linear(widths[2], classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) → (N, classes) logits."""
        at_least(x, self.smallest, "this residual network")
        x = self.pool(F.relu(self.bn1(self.conv1(x))))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(x.mean((2, 3)))


def _stage(channels: int, out_channels: int, blocks: int, stride: int) -> nn.Sequential:
    first = BasicBlock(channels, out_channels, stride)
    return nn.Sequential(
        first, *(BasicBlock(out_channels, out_channels) for _ in range(blocks - 1))
    )


@register("resnet20", size=32, smallest=8, paper=PAPER)
def resnet20(classes: int, channels: int) -> CifarResNet:
    """ResNet-20 for CIFAR-sized pictures; 269,722 parameters with ten classes."""
    return CifarResNet(3, classes, channels)


@register("resnet20-strided", size=128, smallest=32, paper=PAPER)
def resnet20_strided(classes: int, channels: int) -> CifarResNet:
    """ResNet-20 twice as wide behind a stem of stride 4, for pictures from about 64 to 256 pixels."""
    return CifarResNet(3, classes, channels, widths=(32, 64, 128), strided=True)
