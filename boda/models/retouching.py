"""A generator that begins as the identity: it says by how much each pixel becomes brighter, and more.

Without pairs nothing tells a generator which colour is to become which: of noise at first, it may well
turn pink into green and green back into pink. This one starts where nothing is changed. As in Gharbi,
Chen, Barron, Hasinoff, Durand, "Deep bilateral learning for real-time image enhancement", 2017, arXiv
1707.02880, what is learned is not the picture but an affine change of its colours, here of each
channel of each pixel by itself. It is said by a U-Net as light as ``unet``: squares of 2×2 pixels are
one place (Shi et al. 2016, arXiv 1609.05158), and maps that skip are added.

With ``slow=True``, for domains that differ in their light, the gain changes slowly, as the paper's: it is
said for places eight pixels apart. So a lamp cannot light one thing and leave the next one dark. What is
added is averaged with weights of 1, 2, 1 in both directions, which leave nothing of a checkerboard
(Sugawara, Shiota, Kiya 2018, arXiv 1806.02658): else generators draw one to look grainy. Shapes do not
change so.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from boda.errors import UsageError
from boda.models.style_network import Unit
from boda.models.upsampling import divisible, sized, upsampling

DEPTH = 4  # levels of maps
WIDEST = 4  # times the first level's width
MOST = 4.0  # a gain is at most e to the power of it


class Retouching(nn.Module):
    """(N, channels, H, W) → the same: light times a gain, and more, for each pixel's channels.

    Light is 0 where a picture is −1. In use what leaves −1..1 is cut; in training it is not, so that
    slopes remain.

    Args:
        channels: of the pictures, −1 to 1.
        width: maps of the first level; each of the three below has twice as many, four times at most.
        slow: whether gains change slowly.

    Raises:
        UsageError: a number that leaves no layer.
    """

    def __init__(self, channels: int = 3, width: int = 32, slow: bool = False) -> None:
        super().__init__()
        if min(channels, width) < 1:
            raise UsageError(f"{channels} channels and width {width}. Give 1 or more of each.")
        widths = [width * min(WIDEST, 2**level) for level in range(DEPTH)]
        self.first = Unit(4 * channels, width, 3)
        self.down = nn.ModuleList(Unit(a, b, 3, stride=2) for a, b in pairwise(widths))
        steps = list(pairwise(widths))[::-1]
        self.enlarge = nn.ModuleList(upsampling("bilinear", b, a) for a, b in steps)
        self.up = nn.ModuleList(Unit(a, a, 3) for a, _ in steps)
        self.light = nn.Conv2d(steps[0][0], channels, 1) if slow else None
        self.head = nn.Conv2d(width, (1 if slow else 2) * 4 * channels, 3, padding=1)
        for layer in (self.light, self.head):
            if layer is not None:
                nn.init.zeros_(layer.weight)
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Sides that 16 does not divide are continued by their edge meanwhile."""
        size = x.shape[-2:]
        x = divisible(x, 2**DEPTH)
        maps = [self.first(F.pixel_unshuffle(x, 2))]
        for convolve in self.down:
            maps.append(convolve(maps[-1]))
        y = maps.pop()
        said: list[Tensor] = []  # behind each step up: of pixels eight, four and two times as large
        for enlarge, convolve in zip(self.enlarge, self.up, strict=True):
            skip = maps.pop()
            y = convolve(skip + enlarge(y, skip.shape[-2:]))
            said.append(y)
        gain, more = self._change(said, x.shape[-2:])
        out = (x.float() + 1) * torch.exp(gain.clamp(-MOST, MOST)) - 1 + more
        return sized(out if self.training else out.clamp(-1, 1), size)

    def _change(self, said: list[Tensor], size: Sequence[int]) -> tuple[Tensor, Tensor]:
        """The gains, as exponents, and what is added: (N, channels, H, W) float32 each."""
        fine = F.pixel_shuffle(self.head(said[-1]), 2).float()
        if self.light is None:
            gain, more = fine.chunk(2, 1)
            return gain, more
        slow = self.light(said[0]).float()
        return F.interpolate(slow, list(size), mode="bilinear"), _averaged(fine)


def _averaged(pixels: Tensor) -> Tensor:
    """With weights of 1, 2, 1 in both directions: the mean of 2×2 pixels, taken twice."""
    around = F.pad(pixels, (1, 1, 1, 1), mode="replicate")
    return F.avg_pool2d(F.avg_pool2d(around, 2, 1), 2, 1)
