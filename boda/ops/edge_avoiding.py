"""Who is alike in a picture: how like its pixels are to their neighbours, and means over those that are.

Aurich, Weule 1995, "Non-linear Gaussian filters performing edge preserving diffusion"; Tomasi, Manduchi
1998, "Bilateral filtering for gray and color images"; by the colours of another picture, Petschnigg et
al. 2004, "Digital photography with flash and no-flash image pairs". A large window is made of a few
small ones, whose places lie further and further apart: Dammertz, Sewtz, Hanika, Lensch 2010,
"Edge-avoiding à-trous wavelet transform for fast global illumination filtering". As something to look
at, likeness tells shapes whatever their colours are: Shechtman, Irani 2007, "Matching local
self-similarities across images and videos".

Deviations: a window has 3×3 places that differ by their colours alone, where the paper's has 5×5 that
also count less further out; the widest window comes first, so that the last word has the nearest. Of
colours d apart the likeness is (1 − d²/16σ²)⁸, and 0 from 4σ on: as exp(−d²/2σ²) is to 0.04, in less time.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

NEXT = ((0, 1), (1, 1), (1, 0), (1, -1))  # four of the eight neighbours; the others lie opposite
PART = 2**17  # values that are worked on at a time on a CPU, so that they stay in its cache


class Alike:
    """How like the pixels of a picture are to their neighbours.

    Args:
        guide: (N, G, H, W) the colours that tell who is alike. A gradient reaches them where they ask
            for one.
        sigma: the distance of two colours, in their own scale, at which a neighbour counts 0.6.
        steps: pixels to the neighbours, 1 or more.
    """

    def __init__(self, guide: Tensor, sigma: float, steps: Sequence[int]) -> None:
        self.size = guide.shape[-2:]
        colours = (guide / (4 * sigma)).flatten(2)
        # Of each step: distance → (N, 1, n), how like the pixels n and n + distance are, whose rows lie one
        # behind the other.
        self.windows = {step: _window(colours, self.size, step) for step in steps}

    def maps(self, step: int) -> Tensor:
        """How like each pixel is to its neighbours so far away, one of the steps.

        Returns:
            (N, up to 8, H, W), 0 to 1, and 0 beyond the picture: of each of ``NEXT`` that lies within the
            picture anywhere, that neighbour and the opposite one.
        """
        told = [
            F.pad(share, ends)
            for distance, share in self.windows[step].items()
            for ends in ((0, distance), (distance, 0))
        ]
        return torch.cat(told, 1).view(-1, len(told), *self.size)

    def mean(self, values: Tensor) -> Tensor:
        """Every value becomes the mean of its like neighbours and itself, once for each step.

        Args:
            values: (N, C, H, W) of any scale.

        Returns:
            (N, C, H, W). Beyond the picture there are no neighbours. What a pixel gets lies within the
            sum of the steps of it.
        """
        out = []
        for part in _parts(values):
            flat = values[part].flatten(2)
            for window in self.windows.values():
                alike = {distance: share[part] for distance, share in window.items()}
                flat = _sum(flat, alike) / _sum(torch.ones_like(flat[:, :1]), alike)
            out.append(flat)
        return torch.cat(out).view(values.shape)


def _parts(values: Tensor) -> list[slice]:
    """So few pictures each that they stay in a processor's cache; elsewhere all at once."""
    if torch.compiler.is_compiling():  # an exported file takes any number of pictures
        return [slice(None)]
    size = len(values)
    some = PART // max(1, values[0].numel()) if values.device.type == "cpu" and size else size
    return [slice(i, i + max(1, some)) for i in range(0, max(1, size), max(1, some))]


def _window(colours: Tensor, size: Sequence[int], step: int) -> dict[int, Tensor]:
    """Of neighbours ``step`` pixels away; of (N, G, H·W) colours, 1 apart where they are not alike at all."""
    height, width = size
    column = torch.arange(height * width, device=colours.device) % width
    window = {}
    for y, x in NEXT:
        distance = step * (y * width + x)
        if height <= step * y or width <= step * abs(x):
            continue
        here, there = colours[..., :-distance], colours[..., distance:]
        like = torch.ones_like(here[:, :1])
        for colour, other in zip(here.split(1, 1), there.split(1, 1), strict=True):
            difference = colour - other
            like.addcmul_(difference, difference, value=-1)
        share = like.clamp(min=0).square().square().square()
        if x:  # the end of a row is no neighbour of the next one's beginning
            beside = column < width - step if x > 0 else column >= step
            share = share * beside[:-distance]
        window[distance] = share
    return window


def _sum(flat: Tensor, alike: dict[int, Tensor]) -> Tensor:
    """(N, C, H·W): every value and those of its neighbours, as far as they are alike."""
    total = flat.clone()
    for distance, share in alike.items():
        here, there = flat[..., :-distance], flat[..., distance:]
        if torch.compiler.is_compiling():  # an exported file adds whole maps several times as fast
            total = total + F.pad(share * there, (0, distance))
            total = total + F.pad(share * here, (distance, 0))
        else:
            total[..., :-distance].addcmul_(share, there)
            total[..., distance:].addcmul_(share, here)
    return total
