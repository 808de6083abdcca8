"""VGG: nothing but 3×3 convolutions, and a pooling wherever the number of channels doubles.

Simonyan, Zisserman, "Very deep convolutional networks for large-scale image recognition", 2014,
arXiv 1409.1556. Two 3×3 in a row see 5×5, three see 7×7, with fewer weights and more ReLUs. Batch
norm (``-bn``) is of a later time. Deviations: the last maps are averaged to 7×7 where pictures are
not 224×224; convolutions begin with He's weights (arXiv 1502.01852), so that the deep networks
learn from scratch and need not begin as ``vgg11``. The names are torchvision's.
"""

from __future__ import annotations

from torch import Tensor, nn

from boda.errors import UsageError
from boda.models import register
from boda.models.layers import at_least, initialize

PAPER = "Simonyan, Zisserman 2014, arXiv 1409.1556"
WIDTHS = (64, 128, 256, 512, 512)
# Convolutions of each width: the paper's columns A, B, D and E.
DEPTHS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
SMALLEST = 32  # five poolings by two leave one value of it


class VGG(nn.Module):
    """Five stages of 3×3 convolutions, each ended by a 2×2 pooling; then three dense layers.

    Args:
        depth: 11, 13, 16 or 19 layers with weights.
        classes, channels: of the output and of the pictures.
        norm: a batch norm behind every convolution.
        width: factor of the channels and of the dense layers' 4,096 values; 1 is the paper's.
    """

    def __init__(
        self,
        depth: int,
        classes: int = 1000,
        channels: int = 3,
        norm: bool = False,
        width: float = 1.0,
    ) -> None:
        super().__init__()
        if not 1 / WIDTHS[0] <= width <= 16:
            raise UsageError(
                f"a VGG of width {width}. Give a factor from {1 / WIDTHS[0]:.3g} to 16; the "
                "paper's is 1."
            )
        *stages, hidden = (round(width * n) for n in (*WIDTHS, 4096))
        layers: list[nn.Module] = []
        for repeats, out_channels in zip(DEPTHS[depth], stages, strict=True):
            for _ in range(repeats):
                layers.append(nn.Conv2d(channels, out_channels, 3, padding=1))
                layers += [nn.BatchNorm2d(out_channels)] * norm
                layers.append(nn.ReLU(inplace=True))
                channels = out_channels
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(7)
        self.classifier = nn.Sequential(
            nn.Linear(channels * 7 * 7, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Linear(hidden, classes),
        )
        initialize(self)
        for layer in self.classifier:
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=0.01)
                nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) → (N, classes) logits."""
        at_least(x, SMALLEST, "VGG")
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


@register("vgg11", size=224, smallest=SMALLEST, classes=1000, paper=PAPER)
def vgg11(classes: int, channels: int, width: float = 1.0) -> VGG:
    """VGG-11, the paper's column A; 132,863,336 parameters with 1,000 classes."""
    return VGG(11, classes, channels, width=width)


@register("vgg13", size=224, smallest=SMALLEST, classes=1000, paper=PAPER)
def vgg13(classes: int, channels: int, width: float = 1.0) -> VGG:
    """VGG-13, the paper's column B; 133,047,848 parameters with 1,000 classes."""
    return VGG(13, classes, channels, width=width)


@register("vgg16", size=224, smallest=SMALLEST, classes=1000, paper=PAPER)
def vgg16(classes: int, channels: int, width: float = 1.0) -> VGG:
    """VGG-16, the paper's column D; 138,357,544 parameters with 1,000 classes."""
    return VGG(16, classes, channels, width=width)


@register("vgg19", size=224, smallest=SMALLEST, classes=1000, paper=PAPER)
def vgg19(classes: int, channels: int, width: float = 1.0) -> VGG:
    """VGG-19, the paper's column E; 143,667,240 parameters with 1,000 classes."""
    return VGG(19, classes, channels, width=width)


@register("vgg11-bn", size=224, smallest=SMALLEST, classes=1000, paper=PAPER)
def vgg11_bn(classes: int, channels: int, width: float = 1.0) -> VGG:
    """VGG-11 with batch norm behind every convolution; 132,868,840 parameters."""
    return VGG(11, classes, channels, norm=True, width=width)


@register("vgg13-bn", size=224, smallest=SMALLEST, classes=1000, paper=PAPER)
def vgg13_bn(classes: int, channels: int, width: float = 1.0) -> VGG:
    """VGG-13 with batch norm behind every convolution; 133,053,736 parameters."""
    return VGG(13, classes, channels, norm=True, width=width)


@register("vgg16-bn", size=224, smallest=SMALLEST, classes=1000, paper=PAPER)
def vgg16_bn(classes: int, channels: int, width: float = 1.0) -> VGG:
    """VGG-16 with batch norm behind every convolution; 138,365,992 parameters."""
    return VGG(16, classes, channels, norm=True, width=width)


@register("vgg19-bn", size=224, smallest=SMALLEST, classes=1000, paper=PAPER)
def vgg19_bn(classes: int, channels: int, width: float = 1.0) -> VGG:
    """VGG-19 with batch norm behind every convolution; 143,678,248 parameters."""
    return VGG(19, classes, channels, norm=True, width=width)
