"""Darknet-19: VGG's 3×3 convolutions with 1×1 between them, and a batch norm behind each.

Redmon, Farhadi, "YOLO9000: Better, Faster, Stronger", 2016, arXiv 1612.08242, table 6. The backbone
of YOLO v2. Deviations: none in the layers; the initial weights are He's (arXiv 1502.01852).
"""

from __future__ import annotations

from torch import Tensor, nn

from boda.errors import UsageError
from boda.models import register
from boda.models.layers import ConvNorm, at_least, initialize

PAPER = "Redmon, Farhadi 2016, arXiv 1612.08242"
SLOPE = 0.1  # of the leaky ReLU below zero
# The paper's table 6 up to the head: channels of every convolution, the stages parted by a pooling.
# They are 3×3, but where the channels become fewer for a moment: those are 1×1.
STAGES = (
    (32,),
    (64,),
    (128, 64, 128),
    (256, 128, 256),
    (512, 256, 512, 256, 512),
    (1024, 512, 1024, 512, 1024),
)
SMALLEST = 32  # five poolings by two leave one value of it


def leaky(channels: int, out_channels: int, kernel: int) -> ConvNorm:
    """k×k convolution, batch norm, leaky ReLU: (N, C, H, W) → (N, C', H, W)."""
    layer = ConvNorm(channels, out_channels, kernel)
    layer.append(nn.LeakyReLU(SLOPE, inplace=True))
    return layer


class Darknet19(nn.Module):
    """Eighteen convolutions in six stages, then a 1×1 convolution with a map a class, averaged.

    Args:
        classes, channels: of the output and of the pictures.
        width: factor of all channels; 1 is the paper's.

    Raises:
        UsageError: a width that leaves no channels, or is far too large.
    """

    def __init__(self, classes: int = 1000, channels: int = 3, width: float = 1.0) -> None:
        super().__init__()
        if not 1 / 32 <= width <= 16:
            raise UsageError(f"a Darknet-19 of width {width}. Give a factor from 0.03125 to 16.")
        layers: list[nn.Module] = []
        for number, stage in enumerate(STAGES):
            layers += [nn.MaxPool2d(2)] * (number > 0)
            for place, count in enumerate(stage):
                wide = round(width * count)
                layers.append(leaky(channels, wide, 1 if place % 2 else 3))
                channels = wide
        self.features = nn.Sequential(*layers)
        last = nn.Conv2d(channels, classes, 1)
        self.classifier = nn.Sequential(last, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        initialize(self)
        nn.init.normal_(last.weight, std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) → (N, classes) logits."""
        at_least(x, SMALLEST, "Darknet-19")
        return self.classifier(self.features(x))


@register("darknet19", size=224, smallest=SMALLEST, classes=1000, paper=PAPER)
def darknet19(classes: int, channels: int, width: float = 1.0) -> Darknet19:
    """Darknet-19, the backbone of YOLO v2; 20,842,376 parameters with 1,000 classes."""
    return Darknet19(classes, channels, width)
