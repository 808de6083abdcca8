"""A generator that begins as the identity: it says by how much each pixel becomes brighter, and more.

Without pairs nothing tells a generator which colour is to become which: of noise at first, it may well
turn pink into green and green back into pink. This one starts where nothing is changed. As in Gharbi,
Chen, Barron, Hasinoff, Durand, "Deep bilateral learning for real-time image enhancement", 2017, arXiv
1707.02880, what is learned is not the picture but an affine change of its colours, and the gain, as
light does, changes slowly: it is said for places eight pixels apart. So a lamp cannot light one thing
and leave the next one dark. What is added is said for each pixel, and then averaged with weights of 1,
2, 1 in both directions, which leave nothing of a checkerboard (Sugawara, Shiota, Kiya 2018, arXiv
1806.02658): else generators draw one to look grainy. Both come from a U-Net as light as ``unet``:
squares of 2×2 pixels are one place (Shi et al. 2016, arXiv 1609.05158), and maps that skip are added.

Deviation: each channel has a gain of its own, without the paper's 3×4 matrices and its bilateral grid.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from boda.errors import UsageError
from boda.models.style_network import Unit
from boda.models.upsampling import divisible, sized, upsampling

DEPTH = 4  # levels of maps
SLOW = 0  # step up behind which the gains are said: pixels are eight times as fine there
WIDEST = 4  # times the first level's width
MOST = 4.0  # a gain is at most e to the power of it


class Retouching(nn.Module):
    """(N, channels, H, W) → the same: light times a gain, and more, for each pixel's channels.

    Light is 0 where a picture is −1. In use what leaves −1..1 is cut; in training it is not, so that
    slopes remain.

    Args:
        channels: of the pictures, −1 to 1.
        width: maps of the first level; each of the three below has twice as many, four times at most.

    Raises:
        UsageError: a number that leaves no layer.
    """

    def __init__(self, channels: int = 3, width: int = 32) -> None:
        super().__init__()
        if min(channels, width) < 1:
            raise UsageError(f"{channels} channels and width {width}. Give 1 or more of each.")
        widths = [width * min(WIDEST, 2**level) for level in range(DEPTH)]
        self.first = Unit(4 * channels, width, 3)
        self.down = nn.ModuleList(Unit(a, b, 3, stride=2) for a, b in pairwise(widths))
        steps = list(pairwise(widths))[::-1]
        self.enlarge = nn.ModuleList(upsampling("bilinear", b, a) for a, b in steps)
        self.up = nn.ModuleList(Unit(a, a, 3) for a, _ in steps)
        self.light = nn.Conv2d(steps[SLOW][0], channels, 1)
        self.head = nn.Conv2d(width, 4 * channels, 3, padding=1)
        for layer in (self.light, self.head):
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
        said: list[Tensor] = []
        for enlarge, convolve in zip(self.enlarge, self.up, strict=True):
            skip = maps.pop()
            y = convolve(skip + enlarge(y, skip.shape[-2:]))
            said.append(y)
        more = _averaged(F.pixel_shuffle(self.head(y), 2).float())
        light = self.light(said[SLOW]).float().clamp(-MOST, MOST)
        gain = torch.exp(F.interpolate(light, x.shape[-2:], mode="bilinear"))
        out = (x.float() + 1) * gain - 1 + more
        return sized(out if self.training else out.clamp(-1, 1), size)


def _averaged(pixels: Tensor) -> Tensor:
    """With weights of 1, 2, 1 in both directions: twice the mean of 2×2 pixels."""
    around = F.pad(pixels, (1, 1, 1, 1), mode="replicate")
    return F.avg_pool2d(F.avg_pool2d(around, 2, 1), 2, 1)
