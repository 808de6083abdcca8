"""SqueezeNet: AlexNet's accuracy with a fiftieth of its weights.

Iandola, Han, Moskewicz, Ashraf, Dally, Keutzer, "SqueezeNet: AlexNet-level accuracy with 50x fewer
parameters and <0.5MB model size", 2016, arXiv 1602.07360. Version 1.1 is the authors' later one:
its first convolution is smaller and it pools earlier, for less than half of the work. The names,
the initial weights and the rounding (poolings round up) are torchvision's.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from boda.models import register
from boda.models.layers import at_least


class Fire(nn.Module):
    """Squeeze to a few channels by 1×1, then expand them by 1×1 and by 3×3, half each.

    (N, channels, H, W) → (N, 2·expanded, H, W).
    """

    def __init__(self, channels: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.squeeze_activation = nn.ReLU(inplace=True)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand1x1_activation = nn.ReLU(inplace=True)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)
        self.expand3x3_activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """1×1, then 1×1 and 3×3 side by side."""
        x = self.squeeze_activation(self.squeeze(x))
        narrow = self.expand1x1_activation(self.expand1x1(x))
        wide = self.expand3x3_activation(self.expand3x3(x))
        return torch.cat([narrow, wide], 1)


def pool() -> nn.MaxPool2d:
    """3×3, two apart; a last window may stick out."""
    return nn.MaxPool2d(3, 2, ceil_mode=True)


class SqueezeNet(nn.Module):
    """SqueezeNet 1.1: a convolution, eight fire modules, and a 1×1 convolution with a map a class.

    Takes (N, channels, H, W) with H, W >= 17.
    """

    def __init__(self, classes: int = 1000, channels: int = 3) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(channels, 64, 3, stride=2),
            nn.ReLU(inplace=True),
            pool(),
            Fire(64, 16, 64),
            Fire(128, 16, 64),
            pool(),
            Fire(128, 32, 128),
            Fire(256, 32, 128),
            pool(),
            Fire(256, 48, 192),
            Fire(384, 48, 192),
            Fire(384, 64, 256),
            Fire(512, 64, 256),
        )
        last = nn.Conv2d(512, classes, 1)
        self.classifier = nn.Sequential(
            nn.Dropout(), last, nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                if module is last:
                    nn.init.normal_(module.weight, std=0.01)
                else:
                    nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) → (N, classes) logits, none below zero."""
        at_least(x, 17, "SqueezeNet")
        return self.classifier(self.features(x))


@register(
    "squeezenet-1.1",
    size=224,
    smallest=17,
    classes=1000,
    paper="Iandola, Han, Moskewicz, Ashraf, Dally, Keutzer 2016, arXiv 1602.07360",
)
def squeezenet(classes: int, channels: int) -> SqueezeNet:
    """SqueezeNet 1.1, with torchvision's names; 1,235,496 parameters with 1,000 classes."""
    return SqueezeNet(classes, channels)
