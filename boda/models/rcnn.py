"""``rcnn``: a network that looks at one region at a time, warped to the size of its crops.

Girshick, Donahue, Darrell, Malik, "Rich feature hierarchies for accurate object detection and
semantic segmentation", 2013, arXiv 1311.2524. See ``boda.tasks.detect.rcnn`` for its stages.
Deviations: any classifier that names its steps is the backbone, in AlexNet's place; support vector
machines, regressors and the softmax all read its last map, with its places (the paper: fc7 and
pool5).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from boda.models import register
from boda.models.layers import at_least
from boda.models.pyramid import Backbone, narrowed

PAPER = "Girshick, Donahue, Darrell, Malik 2013, arXiv 1311.2524"
SMALLEST = 64  # pixels of a crop


class RCNN(nn.Module):
    """Backbone, and a dense layer with a row for the background and one a class.

    Args:
        backbone: name of a classifier.
        stride: of its map that is read.
        classes, channels: of the output, without the background, and of the pictures.
        options: of the backbone.

    Attributes:
        margin: (classes, D + 1), what each class's support vector machine and Platt's scaling make
            of the features, the last column being the bias: a sigmoid gives the score. Zeros until
            it has been fitted.
        offsets: (classes, 4, D + 1): tx, ty, tw, th of each class's regressor, as
            ``ops.boxes.encode_boxes`` writes them. Zeros move nothing.
    """

    margin: Tensor
    offsets: Tensor

    def __init__(
        self, backbone: str, stride: int, classes: int, channels: int, options: dict[str, Any]
    ) -> None:
        super().__init__()
        self.backbone = Backbone(backbone, channels, (stride,), options)
        self.grid = max(1, SMALLEST // stride)
        values = self.backbone.widths[0] * self.grid**2
        self.head = nn.Linear(values, 1 + classes)
        self.register_buffer("margin", torch.zeros(classes, values + 1))
        self.register_buffer("offsets", torch.zeros(classes, 4, values + 1))

    def features(self, crops: Tensor) -> Tensor:
        """(R, channels, h, w) → (R, D): the last map, as a grid of means that keeps the places."""
        (last,) = self.backbone(crops)
        return F.adaptive_avg_pool2d(last, self.grid).flatten(1)

    def forward(self, crops: Tensor) -> Tensor:
        """(R, channels, h, w) → (R, 1 + classes) logits, the background first."""
        at_least(crops, SMALLEST, "rcnn")
        return self.head(self.features(crops))


@register(
    "rcnn", size=227, smallest=SMALLEST, classes=20, paper=PAPER, task="detect", method="rcnn"
)
def rcnn(
    classes: int,
    channels: int,
    backbone: str = "resnet18",
    width: float = 0.5,
    stride: int = 32,
) -> RCNN:
    """R-CNN: one region at a time through half of a ResNet-18."""
    options = narrowed(width)
    return RCNN(backbone, stride, classes, channels, options)
