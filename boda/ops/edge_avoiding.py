"""Means over neighbours that look alike: scores get the borders that the picture has.

Aurich, Weule 1995, "Non-linear Gaussian filters performing edge preserving diffusion"; Tomasi, Manduchi
1998, "Bilateral filtering for gray and color images"; by the colours of another picture, Petschnigg et
al. 2004, "Digital photography with flash and no-flash image pairs". A large window is made of a few
small ones, whose places lie further and further apart: Dammertz, Sewtz, Hanika, Lensch 2010,
"Edge-avoiding à-trous wavelet transform for fast global illumination filtering".

Deviations: a window has 3×3 places that differ by their colours alone, where the paper's has 5×5 that
also count less further out; the widest window comes first, so that the last word has the nearest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

NEXT = ((0, 1), (1, 1), (1, 0), (1, -1))  # four of the eight neighbours; the others lie opposite
UNLIKE = 60.0  # exp(−60) is as good as nothing; below about exp(−87) a processor takes fifty times as long
PART = 2**17  # values that are worked on at a time on a CPU, so that they stay in its cache


def edge_avoiding(values: Tensor, guide: Tensor, sigma: float, steps: Sequence[int]) -> Tensor:
    """Every value becomes the mean of its like neighbours and itself, once for each of ``steps``.

    Args:
        values: (N, C, H, W) of any scale.
        guide: (N, G, H, W) the colours that tell who is alike. A gradient reaches them where they ask
            for one.
        sigma: the distance of two colours, in their own scale, at which a neighbour counts exp(−1/2).
        steps: pixels to the neighbours, 1 or more.

    Returns:
        (N, C, H, W). Beyond the picture there are no neighbours. What a pixel gets lies within the sum of
        ``steps`` of it.
    """
    values = values.contiguous()
    windows = [_window(guide, sigma, step) for step in steps]
    if torch.compiler.is_compiling() or (torch.is_grad_enabled() and guide.requires_grad):
        return _filtered(values, windows)
    filtered: Any = _Parts.apply
    return filtered(values, windows)


class _Window(NamedTuple):
    """How much every place of a picture, whose rows lie one behind the other, takes of its neighbours.

    Attributes:
        alike: distance → (N, 1, n), 0 to 1: how like the first n places are to those that far on.
        weight: (N, 1, H·W), 1 over the sum of a place's shares, with its own of 1.
    """

    alike: dict[int, Tensor]
    weight: Tensor

    def of(self, part: slice) -> _Window:
        """That of some of the pictures."""
        return _Window({at: share[part] for at, share in self.alike.items()}, self.weight[part])


def _filtered(values: Tensor, windows: Sequence[_Window]) -> Tensor:
    flat = values.flatten(2)
    for window in windows:
        flat = _sum(flat, window.alike) * window.weight
    return flat.view(values.shape)


class _Parts(torch.autograd.Function):
    """A few pictures at a time, by windows that have no gradient.

    Who is alike is so both ways, so a window is its own adjoint.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, windows: list[_Window]) -> Tensor:
        ctx.windows = windows
        parts = _parts(values)
        return torch.cat([_filtered(values[p], [w.of(p) for w in windows]) for p in parts])

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        slope, out = slope.contiguous(), []
        for part in _parts(slope):
            flat = slope[part].flatten(2)
            for window in reversed([each.of(part) for each in ctx.windows]):
                flat = _sum(flat * window.weight, window.alike)
            out.append(flat)
        return torch.cat(out).view(slope.shape), None


def _parts(values: Tensor) -> list[slice]:
    """So few pictures each that they stay in a processor's cache; elsewhere all at once."""
    size = len(values)
    some = PART // max(1, values[0].numel()) if values.device.type == "cpu" and size else size
    return [slice(i, i + max(1, some)) for i in range(0, max(1, size), max(1, some))]


def _window(guide: Tensor, sigma: float, step: int) -> _Window:
    """Of neighbours ``step`` pixels away."""
    height, width = guide.shape[-2:]
    alike = {}
    for y, x in NEXT:
        down, right, left = step * y, step * max(0, x), step * max(0, -x)
        if height <= down or width <= right + left:
            continue
        here = guide[..., : height - down, left : width - right]
        there = guide[..., down:, right : width - left]
        apart = torch.zeros_like(here[:, :1])
        for colour, other in zip(here.split(1, 1), there.split(1, 1), strict=True):
            difference = colour - other
            apart = torch.addcmul(apart, difference, difference, value=-0.5 / sigma**2)
        share = torch.exp(apart.clamp(min=-UNLIKE))
        alike[down * width + right - left] = F.pad(share, (left, right)).flatten(2)
    return _Window(alike, _sum(torch.ones_like(guide[:, :1]).flatten(2), alike).reciprocal())


def _sum(flat: Tensor, alike: dict[int, Tensor]) -> Tensor:
    """(N, C, H·W): every value and those of its neighbours, as far as they are alike."""
    total, length = flat.clone(), flat.shape[-1]
    for distance, shares in alike.items():
        count = min(shares.shape[-1], length - distance)
        here, there, share = slice(count), slice(distance, distance + count), shares[..., :count]
        if torch.compiler.is_compiling():  # an exported file adds whole maps several times as fast
            total = total + F.pad(share * flat[..., there], (0, length - count))
            total = total + F.pad(share * flat[..., here], (distance, length - count - distance))
        else:
            total[..., here].addcmul_(share, flat[..., there])
            total[..., there].addcmul_(share, flat[..., here])
    return total
