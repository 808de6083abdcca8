"""LeNet-5, the convolutional network that read cheques.

LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition", 1998.
Deviations, as in every later account: C3 sees all six maps of S2, the sub-sampling layers are plain average
pooling, the output layer is linear (softmax stands in the loss) and not a bank of radial basis functions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from boda.models import register
from boda.models.layers import at_least


class LeNet5(nn.Module):
    """C1 6@28 → S2 6@14 → C3 16@10 → S4 16@5 → C5 120@1 → F6 84 → classes.

    Takes (N, channels, H, W) with H, W >= 32. In pictures larger than 32 the 120 maps of C5 are larger than
    1×1 and are averaged, so that the layers behind them stay the same.
    """

    def __init__(self, classes: int = 10, channels: int = 1) -> None:
        super().__init__()
        self.c1 = nn.Conv2d(channels, 6, 5)
        self.s2 = nn.AvgPool2d(2)
        self.c3 = nn.Conv2d(6, 16, 5)
        self.s4 = nn.AvgPool2d(2)
        self.c5 = nn.Conv2d(16, 120, 5)
        self.f6 = nn.Linear(120, 84)
        self.output = nn.Linear(84, classes)

    def forward(self, x: Tensor) -> Tensor:  # (N, channels, H, W) → (N, classes)
        at_least(x, 32, "lenet5")
        x = self.s2(torch.tanh(self.c1(x)))
        x = self.s4(torch.tanh(self.c3(x)))
        x = torch.tanh(self.c5(x)).mean((2, 3))
        return self.output(torch.tanh(self.f6(x)))


@register(
    "lenet5",
    size=32,
    smallest=32,
    channels=1,
    paper="LeCun, Bottou, Bengio, Haffner 1998",
)
def lenet5(classes: int, channels: int) -> LeNet5:
    """LeNet-5 for gray pictures of 32×32; 61,706 parameters with ten classes."""
    return LeNet5(classes, channels)
