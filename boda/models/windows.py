"""The lecture notes' network for sliding windows: is it a pedestrian, a car, a motorcycle, nothing?

After Sermanet, Eigen, Zhang, Mathieu, Fergus, LeCun, "OverFeat", 2013, arXiv 1312.6229, whose
figure the notes retell: 14×14×3 → 10×10×16 → 5×5×16 → 400 → 400 → 4. ReLU stands between the
layers, softmax in the loss. ``boda.models.convolutional`` makes one convolution of it.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from boda.models import register
from boda.models.layers import at_least


class CourseWindows(nn.Module):
    """CONV 16@10 → POOL 16@5 → FC1 400 → FC2 400 → classes.

    Takes (N, channels, H, W) with H, W >= 14; the maps of larger pictures are averaged to 5×5, so
    that the dense layers stay the same.
    """

    def __init__(self, classes: int = 4, channels: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 16, 5)
        self.pool = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(5 * 5 * 16, 400)
        self.fc2 = nn.Linear(400, 400)
        self.output = nn.Linear(400, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) → (N, classes) logits."""
        at_least(x, 14, "windows-course")
        x = self.pool(F.relu(self.conv(x), inplace=True))
        if x.shape[-2:] != (5, 5):
            x = F.adaptive_avg_pool2d(x, 5)
        x = F.relu(self.fc1(x.flatten(1)), inplace=True)
        return self.output(F.relu(self.fc2(x), inplace=True))


@register(
    "windows-course",
    size=14,
    smallest=14,
    classes=4,
    paper="the lecture notes, after Sermanet et al. 2013, arXiv 1312.6229",
)
def windows_course(classes: int, channels: int) -> CourseWindows:
    """The course's network for windows of 14×14; 323,620 parameters with four classes."""
    return CourseWindows(classes, channels)
