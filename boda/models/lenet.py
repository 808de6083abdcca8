"""LeNet-5, the convolutional network that read cheques.

LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition", 1998.
Deviations, as in every later account: C3 sees all six maps of S2, the sub-sampling layers are plain
average pooling, the output layer is linear (softmax stands in the loss) and not a bank of radial
basis functions.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
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

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) → (N, classes) logits."""
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


class CourseLeNet5(nn.Module):
    """CONV1 6@28 → POOL1 6@14 → CONV2 16@10 → POOL2 16@5 → FC3 120 → FC4 84 → classes.

    The network example of the lecture notes, on colour pictures: max pooling and ReLU, and its 400 values are
    flattened. Takes (N, channels, H, W) with H, W >= 32; the maps of larger pictures are averaged to 5×5, so
    that the dense layers stay the same.
    """

    def __init__(self, classes: int = 10, channels: int = 3) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 6, 5)
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.pool2 = nn.MaxPool2d(2)
        self.fc3 = nn.Linear(5 * 5 * 16, 120)
        self.fc4 = nn.Linear(120, 84)
        self.output = nn.Linear(84, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) → (N, classes) logits."""
        at_least(x, 32, "lenet5-course")
        x = self.pool1(torch.relu(self.conv1(x)))
        x = self.pool2(torch.relu(self.conv2(x)))
        if x.shape[-2:] != (5, 5):
            x = F.adaptive_avg_pool2d(x, 5)
        x = torch.relu(self.fc3(x.flatten(1)))
        return self.output(torch.relu(self.fc4(x)))


@register(
    "lenet5-course",
    size=32,
    smallest=32,
    channels=3,
    paper="the lecture notes, after LeCun, Bottou, Bengio, Haffner 1998",
)
def lenet5_course(classes: int, channels: int) -> CourseLeNet5:
    """The course's LeNet-5 for colour pictures of 32×32; 62,006 parameters with ten classes."""
    return CourseLeNet5(classes, channels)
