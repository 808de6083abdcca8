"""Residual networks: a block learns what to add to its input, H(x) = F(x) + x.

He, Zhang, Ren, Sun, "Deep residual learning for image recognition", 2015, arXiv 1512.03385. The
CIFAR networks of its section 4.2 have option A shortcuts, as there. Deviations in the ImageNet ones,
so that the public weights fit: the shortcuts are option B in ResNet-18 and 34 too, and a bottleneck
halves the picture in its 3×3 and not in its first 1×1 ("v1.5"; the paper's is in ``senet``).
Tensors are named as in torchvision's files, those of the CIFAR networks as in akamaster's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from boda.models import register
from boda.models.layers import at_least, initialize, rounded

PAPER = "He, Zhang, Ren, Sun 2015, arXiv 1512.03385"


class ZeroPadding(nn.Module):
    """The shortcut of option A: every ``stride``-th pixel, and zeros for the new channels.

    (N, C, H, W) → (N, C', ⌈H/stride⌉, ⌈W/stride⌉) without parameters. Of the C' − C channels of
    zeros one half stands before the old ones and one half behind.
    """

    def __init__(self, channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.new_channels, self.stride = out_channels - channels, stride

    def forward(self, x: Tensor) -> Tensor:
        """A copy: the pixels that the stride meets, between zeros."""
        before = self.new_channels // 2
        x = x[:, :, :: self.stride, :: self.stride]
        return F.pad(x, (0, 0, 0, 0, before, self.new_channels - before))


class Projection(nn.Sequential):
    """The shortcut of options B and C: a 1×1 convolution with ``stride``, and batch norm.

    (N, C, H, W) → (N, C', ⌈H/stride⌉, ⌈W/stride⌉).
    """

    def __init__(self, channels: int, out_channels: int, stride: int) -> None:
        convolution = nn.Conv2d(channels, out_channels, 1, stride, bias=False)
        super().__init__(convolution, nn.BatchNorm2d(out_channels))


Across = type[ZeroPadding] | type[Projection]


class ResidualBlock(nn.Module, ABC):
    """relu(F(x) + shortcut(x)): (N, C, H, W) → (N, C', ⌈H/stride⌉, ⌈W/stride⌉).

    A subclass says what F is, and sets ``downsample``: the shortcut where input and output differ
    in size, None where it is the identity. ``se`` is empty, or a gate on F(x) (``senet``).
    """

    expansion = 1  # channels of the output to one of the block's width
    out_channels: int
    se: nn.Module | None
    downsample: nn.Module | None

    @abstractmethod
    def residual(self, x: Tensor) -> Tensor:
        """F(x), what the block adds to its input."""

    def gated(self, x: Tensor) -> Tensor:
        """F(x), times the gate where there is one."""
        out = self.residual(x)
        return out if self.se is None else self.se(out)

    def shortcut(self, x: Tensor) -> Tensor:
        """The input, brought to the size of the output."""
        return x if self.downsample is None else self.downsample(x)

    def forward(self, x: Tensor) -> Tensor:
        """H(x), after ReLU."""
        return F.relu(self.gated(x).add_(self.shortcut(x)), inplace=True)


class BasicBlock(ResidualBlock):
    """3×3, 3×3 and a shortcut; ``width`` is C'.

    Args:
        channels: of the input.
        width: of both convolutions and of the output.
        stride: of the first convolution.
        across: the shortcut where the sizes differ, ``ZeroPadding`` (option A) or ``Projection`` (B).
    """

    def __init__(
        self, channels: int, width: int, stride: int = 1, across: Across = ZeroPadding
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.register_module("se", None)
        self.out_channels = width
        same = stride == 1 and channels == width
        self.downsample = None if same else across(channels, width, stride)

    def residual(self, x: Tensor) -> Tensor:
        """Two convolutions, each with batch norm, and a ReLU between."""
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return self.bn2(self.conv2(out))


class Bottleneck(ResidualBlock):
    """1×1, 3×3, 1×1 and a shortcut; C' is 4·width.

    Args:
        channels: of the input.
        width: of the first two convolutions.
        stride: of the 3×3.
        across: the shortcut where the sizes differ, ``ZeroPadding`` (option A) or ``Projection`` (B).
    """

    expansion = 4
    stride_first = False  # whether the first 1×1 has the stride, and not the 3×3

    def __init__(
        self, channels: int, width: int, stride: int = 1, across: Across = Projection
    ) -> None:
        super().__init__()
        out = self.expansion * width
        first, second = (stride, 1) if self.stride_first else (1, stride)
        self.conv1 = nn.Conv2d(channels, width, 1, first, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, second, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.register_module("se", None)
        self.out_channels = out
        same = stride == 1 and channels == out
        self.downsample = None if same else across(channels, out, stride)

    def residual(self, x: Tensor) -> Tensor:
        """Down to ``width`` channels, 3×3, up again; batch norm after each, ReLU between."""
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        out = F.relu(self.bn2(self.conv2(out)), inplace=True)
        return self.bn3(self.conv3(out))


class CifarResNet(nn.Module):
    """Stem, three stages of ``blocks`` blocks, global average, one dense layer.

    Args:
        blocks: blocks a stage; the depth is 6·blocks + 2.
        classes, channels: of the output and of the pictures.
        widths: channels of the three stages.
        strided: halve the pictures twice before the first stage, for pictures larger than CIFAR's.
        block: ``BasicBlock`` or one like it.
    """

    def __init__(
        self,
        blocks: int,
        classes: int = 10,
        channels: int = 3,
        widths: tuple[int, int, int] = (16, 32, 64),
        strided: bool = False,
        block: type[ResidualBlock] = BasicBlock,
    ) -> None:
        super().__init__()
        self.smallest = 9 if strided else 3  # with 2, a stride of 2 gets a single pixel
        kernel, stride = (7, 2) if strided else (3, 1)
        self.conv1 = nn.Conv2d(channels, widths[0], kernel, stride, kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.pool = nn.MaxPool2d(3, 2, padding=1) if strided else nn.Identity()
        self.layer1 = _stage(block, ZeroPadding, blocks, widths[0], widths[0], stride=1)
        self.layer2 = _stage(block, ZeroPadding, blocks, widths[0], widths[1], stride=2)
        self.layer3 = _stage(block, ZeroPadding, blocks, widths[1], widths[2], stride=2)
        self.fc = nn.Linear(widths[2], classes)
        initialize(self)

    def stem(self, x: Tensor) -> Tensor:
        """The first convolution, with batch norm and ReLU."""
        return F.relu(self.bn1(self.conv1(x)), inplace=True)

    def trunk(self) -> Sequence[Callable[[Tensor], Tensor]]:
        """The steps before the head."""
        return self.stem, self.pool, self.layer1, self.layer2, self.layer3

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) → (N, classes) logits."""
        at_least(x, self.smallest, "this residual network")
        for step in self.trunk():
            x = step(x)
        return self.fc(x.mean((2, 3)))


class ResNet(nn.Module):
    """Stem of stride 4, four stages, each of twice the channels, global average, one dense layer.

    Args:
        block: ``BasicBlock``, ``Bottleneck`` or one like them.
        depths: blocks of each stage.
        classes, channels: of the output and of the pictures.
        across: the shortcut where the sizes differ.
        width: multiplies the channels; 1 in the paper.
    """

    smallest = 17  # with less, a stride of 2 gets a single pixel

    def __init__(
        self,
        block: type[ResidualBlock],
        depths: tuple[int, int, int, int],
        classes: int = 1000,
        channels: int = 3,
        across: Across = Projection,
        width: float = 1.0,
    ) -> None:
        super().__init__()
        e = block.expansion
        a, b, c, d = (rounded(width * stage) for stage in (64, 128, 256, 512))
        self.conv1 = nn.Conv2d(channels, a, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(a)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = _stage(block, across, depths[0], a, a, stride=1)
        self.layer2 = _stage(block, across, depths[1], a * e, b, stride=2)
        self.layer3 = _stage(block, across, depths[2], b * e, c, stride=2)
        self.layer4 = _stage(block, across, depths[3], c * e, d, stride=2)
        self.fc = nn.Linear(d * e, classes)
        initialize(self)

    def stem(self, x: Tensor) -> Tensor:
        """The first convolution, with batch norm and ReLU."""
        return F.relu(self.bn1(self.conv1(x)), inplace=True)

    def trunk(self) -> Sequence[Callable[[Tensor], Tensor]]:
        """The steps before the head: strides 2, 4, 4, 8, 16 and 32."""
        return self.stem, self.maxpool, self.layer1, self.layer2, self.layer3, self.layer4

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) → (N, classes) logits."""
        at_least(x, self.smallest, "this residual network")
        for step in self.trunk():
            x = step(x)
        return self.fc(x.mean((2, 3)))


def _stage(
    block: type[ResidualBlock], across: Across, blocks: int, channels: int, width: int, stride: int
) -> nn.Sequential:
    first = block(channels, width, stride, across)
    channels = block.expansion * width
    return nn.Sequential(first, *(block(channels, width, 1, across) for _ in range(blocks - 1)))


@register("resnet20", size=32, smallest=3, paper=PAPER)
def resnet20(classes: int, channels: int) -> CifarResNet:
    """ResNet-20 for CIFAR-sized pictures; 269,722 parameters with ten classes."""
    return CifarResNet(3, classes, channels)


@register("resnet20-strided", size=128, smallest=9, paper=PAPER)
def resnet20_strided(classes: int, channels: int) -> CifarResNet:
    """ResNet-20 twice as wide behind a stem of stride 4, for pictures from about 64 to 256 pixels."""
    return CifarResNet(3, classes, channels, widths=(32, 64, 128), strided=True)


@register("resnet32", size=32, smallest=3, paper=PAPER)
def resnet32(classes: int, channels: int) -> CifarResNet:
    """ResNet-32 for CIFAR-sized pictures; 464,154 parameters with ten classes."""
    return CifarResNet(5, classes, channels)


@register("resnet44", size=32, smallest=3, paper=PAPER)
def resnet44(classes: int, channels: int) -> CifarResNet:
    """ResNet-44 for CIFAR-sized pictures; 658,586 parameters with ten classes."""
    return CifarResNet(7, classes, channels)


@register("resnet56", size=32, smallest=3, paper=PAPER)
def resnet56(classes: int, channels: int) -> CifarResNet:
    """ResNet-56 for CIFAR-sized pictures; 853,018 parameters with ten classes."""
    return CifarResNet(9, classes, channels)


@register("resnet110", size=32, smallest=3, paper=PAPER)
def resnet110(classes: int, channels: int) -> CifarResNet:
    """ResNet-110 for CIFAR-sized pictures; 1,727,962 parameters with ten classes."""
    return CifarResNet(18, classes, channels)


@register("resnet18", size=224, smallest=17, classes=1000, paper=PAPER)
def resnet18(classes: int, channels: int, width: float = 1.0) -> ResNet:
    """ResNet-18 for ImageNet; 11,689,512 parameters with a thousand classes."""
    return ResNet(BasicBlock, (2, 2, 2, 2), classes, channels, width=width)


@register("resnet34", size=224, smallest=17, classes=1000, paper=PAPER)
def resnet34(classes: int, channels: int, width: float = 1.0) -> ResNet:
    """ResNet-34 for ImageNet; 21,797,672 parameters with a thousand classes."""
    return ResNet(BasicBlock, (3, 4, 6, 3), classes, channels, width=width)


@register("resnet50", size=224, smallest=17, classes=1000, paper=PAPER)
def resnet50(classes: int, channels: int, width: float = 1.0) -> ResNet:
    """ResNet-50 for ImageNet; 25,557,032 parameters with a thousand classes."""
    return ResNet(Bottleneck, (3, 4, 6, 3), classes, channels, width=width)


@register("resnet101", size=224, smallest=17, classes=1000, paper=PAPER)
def resnet101(classes: int, channels: int, width: float = 1.0) -> ResNet:
    """ResNet-101 for ImageNet; 44,549,160 parameters with a thousand classes."""
    return ResNet(Bottleneck, (3, 4, 23, 3), classes, channels, width=width)


@register("resnet152", size=224, smallest=17, classes=1000, paper=PAPER)
def resnet152(classes: int, channels: int, width: float = 1.0) -> ResNet:
    """ResNet-152 for ImageNet; 60,192,808 parameters with a thousand classes."""
    return ResNet(Bottleneck, (3, 8, 36, 3), classes, channels, width=width)
