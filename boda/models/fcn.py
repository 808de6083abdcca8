"""Fully convolutional networks: a classifier that scores every place, enlarged to the picture.

Long, Shelhamer, Darrell, "Fully convolutional networks for semantic segmentation", 2014, arXiv
1411.4038. Scores of the map with stride 32 are enlarged, and those of finer maps added on the way:
``fcn-32s``, ``fcn-16s``, ``fcn-8s``. As there, the steps between maps are transposed convolutions
that begin as bilinear interpolation, and the last step is bilinear interpolation that does not learn.
Deviations: the backbone is any classifier, by default ResNet-18, which a CPU can fit, and has no dense
layers behind it; the last map of each stride is scored, not a pooling; the three are not fitted one
after the other.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from boda.models import register
from boda.models.layers import at_least
from boda.models.pyramid import Backbone, narrowed
from boda.models.unet import score
from boda.models.upsampling import Transposed, divisible, sized

PAPER = "Long, Shelhamer, Darrell 2014, arXiv 1411.4038"
SMALLEST = 64


class FCN(nn.Module):
    """(N, channels, H, W) → (N, classes, H, W) logits, H, W >= 64.

    The picture is continued by its edge until the coarsest stride divides it.

    Args:
        backbone: name of a classifier.
        strides: of the maps that are scored, the finest first; the coarsest may be lacking.
        classes, channels: of the output and of the pictures.
        options: of the backbone.

    Attributes:
        per_class: the layers with rows a class, for weights with other classes.
    """

    per_class: tuple[str, ...] = ("scores", "ups")

    def __init__(
        self,
        backbone: str,
        strides: tuple[int, ...],
        classes: int,
        channels: int,
        options: dict[str, Any],
    ) -> None:
        super().__init__()
        fewer = len(strides) > 1
        self.backbone = Backbone(backbone, channels, strides, options, fewer)
        self.scores = nn.ModuleList(score(width, classes) for width in self.backbone.widths)
        self.ups = nn.ModuleList(Transposed(classes, classes) for _ in self.scores[1:])

    def forward(self, x: Tensor) -> Tensor:
        """Score every map, and add from the coarsest to the finest."""
        at_least(x, SMALLEST, "a fully convolutional network")
        size = x.shape[-2:]
        x = divisible(x, self.backbone.strides[-1])
        maps = zip(self.scores, self.backbone(x), strict=True)
        *finer, total = [score(each) for score, each in maps]
        for up, scores in zip(self.ups, reversed(finer), strict=True):
            total = scores + up(total, scores.shape[-2:])
        factor = float(self.backbone.strides[0])
        return sized(F.interpolate(total, scale_factor=factor, mode="bilinear"), size)


_registered = partial(
    register,
    size=256,
    smallest=SMALLEST,
    classes=21,
    paper=PAPER,
    task="segment",
    method="segmenter",
)


@_registered("fcn-32s")
def fcn_32s(classes: int, channels: int, backbone: str = "resnet18", width: float = 1.0) -> FCN:
    """Scores of the coarsest map alone, enlarged 32 times."""
    return FCN(backbone, (32,), classes, channels, narrowed(width))


@_registered("fcn-16s")
def fcn_16s(classes: int, channels: int, backbone: str = "resnet18", width: float = 1.0) -> FCN:
    """Scores at strides 16 and 32, enlarged 16 times."""
    return FCN(backbone, (16, 32), classes, channels, narrowed(width))


@_registered("fcn-8s")
def fcn_8s(classes: int, channels: int, backbone: str = "resnet18", width: float = 1.0) -> FCN:
    """Scores at strides 8, 16 and 32, enlarged 8 times."""
    return FCN(backbone, (8, 16, 32), classes, channels, narrowed(width))
