"""A network that gives any picture one style in a single pass.

Johnson, Alahi, Fei-Fei, "Perceptual losses for real-time style transfer and super-resolution", 2016,
arXiv 1603.08155; norms as Ulyanov, Vedaldi, Lempitsky, "Instance normalization: the missing
ingredient for fast stylization", 2016, arXiv 1607.08022. Deviations: every convolution is padded by
reflection, so blocks keep their size; sizes double by repeating pixels before a convolution, since
transposed ones leave checkerboards (Odena et al. 2016); the last activation is a sigmoid, for
pictures in 0..1. For pictures in tiles the norms take what they saw in a small copy of the whole:
Chen et al. 2021, arXiv 2103.11784.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from boda.models.layers import initialize

STRIDE = 4  # of the blocks: sizes are multiples of it


class StyleNetwork(nn.Module):
    """Down to a quarter of the size, five residual blocks, and up again.

    1,679,235 parameters of the paper's width.

    Args:
        width: channels at full size; 32 is the paper's.
        blocks: residual ones; 5 is the paper's.
    """

    def __init__(self, width: int = 32, blocks: int = 5) -> None:
        super().__init__()
        self.down = nn.Sequential(
            Unit(3, width, 9),
            Unit(width, 2 * width, 3, stride=2),
            Unit(2 * width, 4 * width, 3, stride=2),
        )
        self.blocks = nn.Sequential(*(Block(4 * width) for _ in range(blocks)))
        self.up = nn.Sequential(
            nn.Upsample(scale_factor=2),
            Unit(4 * width, 2 * width, 3),
            nn.Upsample(scale_factor=2),
            Unit(2 * width, width, 3),
            nn.Conv2d(width, 3, 9, padding=4, padding_mode="reflect"),
        )
        initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) RGB in 0..1 → the same shape, in 0..1; H and W of 16 or more."""
        height, width = x.shape[-2:]
        x = F.pad(x - 0.5, (0, -width % STRIDE, 0, -height % STRIDE), mode="reflect")
        out = torch.sigmoid(self.up(self.blocks(self.down(x))))
        return out[..., :height, :width]

    @contextmanager
    def seeing(self, small: Tensor) -> Iterator[None]:
        """Inside, all norms take the averages of this (1, 3, h, w) picture, and not the input's."""
        norms = [part for part in self.modules() if isinstance(part, InstanceNorm)]
        for norm in norms:
            norm.looking = True
        try:
            with torch.no_grad():
                self(small)
            for norm in norms:
                norm.looking = False
            yield
        finally:
            for norm in norms:
                norm.looking, norm.held = False, None


class InstanceNorm(nn.Module):
    """Each map of each picture less its mean, over its deviation, then scaled and shifted.

    (N, C, H, W) → the same shape. ``held`` are another picture's mean and variance, (1, C, 1, 1).
    """

    eps = 1e-5

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.looking = False
        self.held: tuple[Tensor, Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """As ``F.instance_norm`` where nothing is held."""
        if self.looking:
            variance, mean = torch.var_mean(x, (2, 3), correction=0, keepdim=True)
            self.held = mean, variance
        elif self.held is not None:
            mean, variance = self.held
            scale = self.weight.view(1, -1, 1, 1) * (variance + self.eps).rsqrt()
            return (x - mean) * scale + self.bias.view(1, -1, 1, 1)
        return F.instance_norm(x, weight=self.weight, bias=self.bias, eps=self.eps)


class Unit(nn.Sequential):
    """Convolution, norm, ReLU: (N, C, H, W) → (N, C', H/stride, W/stride)."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int = 1) -> None:
        convolution = nn.Conv2d(channels, out, kernel, stride, kernel // 2, padding_mode="reflect")
        super().__init__(convolution, InstanceNorm(out), nn.ReLU(inplace=True))


class Block(nn.Module):
    """Two convolutions added to what came in, nothing behind the sum: the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        first, second = Unit(channels, channels, 3), Unit(channels, channels, 3)
        self.steps = nn.Sequential(*first, *list(second)[:2])

    def forward(self, x: Tensor) -> Tensor:
        """What came in, plus F of it."""
        return x + self.steps(x)
