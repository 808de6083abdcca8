"""``embedding-conv4-described``: what four convolutions have learned, beside fixed descriptions.

With few people to learn from, what convolutions learn is these people. Shades and directions of
edges are the same for all; what of them changes in the pictures of one person, and so tells
nothing, is known in closed form (``boda.ops.whitening``). Dalal, Triggs, "Histograms of oriented
gradients for human detection", 2005. Deviations: gradients have a sign and count for all near
directions, cos³ as much; a cell is normalized by itself alone, and the root of it is taken.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from boda.models import register
from boda.models.embedding import EmbeddingNet
from boda.models.layers import cell_means
from boda.models.pyramid import narrowed
from boda.ops.distances import l2_normalize, product

PAPER = "Dalal, Triggs 2005"
SHADES = 24  # cells a side
CELLS = (8, 6, 5)  # a side, before each 2×2 are taken together
DIRECTIONS = 8
FAINT = (
    0.015  # added to a cell's energy, in squared deviations of the pixels: faint edges are noise
)
TINY = 1e-6


class DescribedNet(EmbeddingNet):
    """A learned vector and four described ones, all of one length: (N, C, H, W) → (N, D).

    The learned one has ``dimension`` numbers, the others ``kept`` each. Until it is concluded, the
    latter are the descriptions' first numbers.

    Args:
        channels, options, dimension, grid: of the learned part, see ``EmbeddingNet``.
        kept: numbers of each description.

    Attributes:
        means: of the descriptions.
        maps: that make ``kept`` numbers of each.
    """

    def __init__(
        self, channels: int, options: dict[str, Any], dimension: int, grid: int, kept: int
    ) -> None:
        super().__init__("conv4", channels, options, dimension, grid)
        for place, numbers in enumerate(self.numbers()):
            self.register_buffer(f"mean{place}", torch.zeros(numbers))
            self.register_buffer(f"map{place}", torch.eye(numbers, kept))

    @staticmethod
    def numbers() -> list[int]:
        """How many numbers each description has."""
        return [SHADES**2, *(DIRECTIONS * (cells - 1) ** 2 for cells in CELLS)]

    def learned(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, dimension), of any length."""
        return super().forward(x)

    def descriptions(self, x: Tensor) -> list[Tensor]:
        """(N, C, H, W) → (N, numbers) each."""
        return [shades(x, SHADES), *(gradients(x, cells) for cells in CELLS)]

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, dimension + 4·kept), of length 1."""
        parts = [self.learned(x)]
        for place, each in enumerate(self.descriptions(x)):
            mean, linear = self.get_buffer(f"mean{place}"), self.get_buffer(f"map{place}")
            parts.append(product(each - mean, linear.T))
        return torch.cat([l2_normalize(part) for part in parts], 1) / math.sqrt(len(parts))


def shades(x: Tensor, grid: int) -> Tensor:
    """The means of grid × grid cells: (N, C, H, W) → (N, grid²), of all channels together."""
    return cell_means(x.mean(1, keepdim=True), grid).flatten(1)


def gradients(x: Tensor, grid: int) -> Tensor:
    """How much a picture changes in each of eight directions, in overlapping cells.

    Args:
        x: (N, C, H, W) floating, of a deviation of about 1; the channels are averaged.
        grid: cells a side before each 2×2 neighbours are taken together.

    Returns:
        (N, 8·(grid − 1)²), from 0 to 1.
    """
    x = F.pad(x.mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    across = x[..., 1:-1, 2:] - x[..., 1:-1, :-2]
    down = x[..., 2:, 1:-1] - x[..., :-2, 1:-1]
    size = (across.square() + down.square() + TINY).sqrt()
    turned = torch.arange(DIRECTIONS, device=x.device) * (2 * math.pi / DIRECTIONS)
    turned = turned.view(1, -1, 1, 1)
    along = F.relu(across * turned.cos() + down * turned.sin())
    cells = F.avg_pool2d(cell_means(along * (along / size) ** 3, grid), 2, 1)
    energy = cells.square().sum(1, keepdim=True) + FAINT
    return (cells / energy.sqrt() + TINY).sqrt().flatten(1)


@register(
    "embedding-conv4-described",
    task="match",
    method="whitened",
    classes=64,
    channels=1,
    size=64,
    smallest=16,
    paper=PAPER,
)
def embedding_conv4_described(
    classes: int,
    channels: int,
    dimension: int = 128,
    width: float = 1.0,
    grid: int = 4,
    kept: int = 256,
) -> DescribedNet:
    """128 learned numbers beside whitened shades and gradients, for few people."""
    return DescribedNet(channels, narrowed(width), dimension, grid, kept)
