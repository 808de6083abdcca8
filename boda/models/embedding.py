"""``embedding-<backbone>``: any classifier without its head, and D numbers in the place of classes.

What is near in these numbers shows the same: FaceNet (Schroff, Kalenichenko, Philbin 2015, arXiv
1503.03832) for the idea, the backbones' papers for the rest. ``prototypical-conv4`` is the same
network for episodes (Snell, Swersky, Zemel 2017, arXiv 1703.05175). Deviations: behind the paper's
four convolutions stands a dense layer, which theirs do without.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor, nn

from boda.errors import UsageError
from boda.models import register
from boda.models.conv4 import PAPER as VINYALS
from boda.models.conv4 import SMALLEST
from boda.models.layers import at_least, cell_means
from boda.models.pyramid import Backbone, narrowed
from boda.models.resnet import PAPER as HE

SNELL = "Snell, Swersky, Zemel 2017, arXiv 1703.05175"
SANDLER = "Sandler, Howard, Zhu, Zhmoginov, Chen 2018, arXiv 1801.04381"
IANDOLA = "Iandola, Han, Moskewicz, Ashraf, Dally, Keutzer 2016, arXiv 1602.07360"


class EmbeddingNet(nn.Module):
    """A trunk, its last map averaged over a grid, and a dense layer: (N, channels, H, W) → (N, D).

    The numbers have any length; the method makes them unit vectors.

    Args:
        backbone: name of a classifier.
        channels: of the pictures.
        options: of the backbone.
        dimension: D.
        grid: cells a side over which the last map is averaged: with 1 it is forgotten where
            something was, which faces can do without and the strokes of a character cannot.
        smallest: side of the smallest pictures that it takes.

    Raises:
        UsageError: there is no such classifier or option, no numbers or no cells.
    """

    def __init__(
        self,
        backbone: str,
        channels: int,
        options: dict[str, Any],
        dimension: int = 128,
        grid: int = 1,
        smallest: int = SMALLEST,
    ) -> None:
        super().__init__()
        if min(dimension, grid) < 1:
            raise UsageError(
                f"dimension={dimension}, grid={grid}: give 1 or more, such as 128 numbers and 1 cell."
            )
        self.backbone = Backbone(backbone, channels, (), options)
        self.grid, self.smallest = grid, smallest
        self.embed = nn.Linear(self.backbone.widths[0] * grid**2, dimension)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) → (N, D), of any length."""
        at_least(x, self.smallest, "an embedding network")
        (last,) = self.backbone(x)
        return self.embed(cell_means(last, self.grid).flatten(1))


_registered = partial(register, task="match", method="metric", classes=64)
_drawings = partial(_registered, size=64, smallest=SMALLEST, channels=1)


@_drawings("embedding-conv4", paper=VINYALS)
def embedding_conv4(
    classes: int,
    channels: int,
    backbone: str = "conv4",
    dimension: int = 128,
    width: float = 1.0,
    grid: int = 4,
) -> EmbeddingNet:
    """128 numbers from four convolutions, or from any classifier that ``backbone`` names."""
    return EmbeddingNet(backbone, channels, narrowed(width), dimension, grid)


@_registered("embedding-resnet20", size=64, smallest=SMALLEST, paper=HE)
def embedding_resnet20(
    classes: int, channels: int, dimension: int = 128, grid: int = 1
) -> EmbeddingNet:
    """128 numbers from ResNet-20, for pictures of about 32 to 64 pixels."""
    return EmbeddingNet("resnet20", channels, {}, dimension, grid)


@_registered("embedding-resnet20-strided", size=128, smallest=SMALLEST, paper=HE)
def embedding_resnet20_strided(
    classes: int, channels: int, dimension: int = 128, grid: int = 1
) -> EmbeddingNet:
    """128 numbers from a wide ResNet-20 behind a stem of stride 4, for about 64 to 256 pixels."""
    return EmbeddingNet("resnet20-strided", channels, {}, dimension, grid)


@_registered("embedding-resnet18", size=224, smallest=17, paper=HE)
def embedding_resnet18(
    classes: int, channels: int, dimension: int = 128, width: float = 1.0, grid: int = 1
) -> EmbeddingNet:
    """128 numbers from ResNet-18, whose public weights it can begin with."""
    return EmbeddingNet("resnet18", channels, narrowed(width), dimension, grid, smallest=17)


@_registered("embedding-mobilenet-v2", size=224, smallest=17, paper=SANDLER)
def embedding_mobilenet_v2(
    classes: int, channels: int, dimension: int = 128, width: float = 1.0, grid: int = 1
) -> EmbeddingNet:
    """128 numbers from MobileNet v2, whose public weights it can begin with."""
    return EmbeddingNet("mobilenet-v2", channels, narrowed(width), dimension, grid, smallest=17)


@_registered("embedding-squeezenet", size=224, smallest=17, paper=IANDOLA)
def embedding_squeezenet(
    classes: int, channels: int, dimension: int = 128, grid: int = 1
) -> EmbeddingNet:
    """128 numbers from SqueezeNet 1.1, the smallest with public weights."""
    return EmbeddingNet("squeezenet-1.1", channels, {}, dimension, grid, smallest=17)


@_drawings("prototypical-conv4", paper=SNELL, method="prototypical")
def prototypical_conv4(
    classes: int,
    channels: int,
    backbone: str = "conv4",
    dimension: int = 64,
    width: float = 1.0,
    grid: int = 1,
) -> EmbeddingNet:
    """64 numbers from four convolutions, fitted by episodes; or from another ``backbone``."""
    return EmbeddingNet(backbone, channels, narrowed(width), dimension, grid)
