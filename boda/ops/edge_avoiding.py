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
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

NEXT = ((0, 1), (1, 1), (1, 0), (1, -1))  # four of the eight neighbours; the others lie opposite


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
    asked = torch.is_grad_enabled() and guide.requires_grad
    mean: Any = _mean if asked or not values.requires_grad else _Mean.apply
    for step in steps:
        with torch.set_grad_enabled(asked):
            alike = _likenesses(guide, sigma, step)
            total = _spread(torch.ones_like(guide[:, :1]), alike, step)
        values = mean(values, total, step, *alike)
    return values


def _mean(values: Tensor, total: Tensor, step: int, *alike: Tensor) -> Tensor:
    return _spread(values, alike, step) / total


class _Mean(torch.autograd.Function):
    """Of windows that have no gradient: who is alike is so both ways, so a window is its own adjoint."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, total: Tensor, step: int, *alike: Tensor) -> Tensor:
        ctx.step = step
        ctx.save_for_backward(total, *alike)
        return _mean(values, total, step, *alike)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        total, *alike = ctx.saved_tensors
        return _spread(slope / total, alike, ctx.step), None, None, *(None for _ in alike)


def _likenesses(guide: Tensor, sigma: float, step: int) -> list[Tensor]:
    """(N, 1, H, W), 0 to 1, for each neighbour of ``NEXT`` and for the one opposite to it."""
    height, width = guide.shape[-2:]
    rows = []
    for y, x in NEXT:
        down, right, left = step * y, step * max(0, x), step * max(0, -x)
        if height <= down or width <= right + left:
            rows += 2 * [torch.zeros_like(guide[:, :1])]
            continue
        here = guide[..., : height - down, left : width - right]
        there = guide[..., down:, right : width - left]
        alike = torch.exp((here - there).square().sum(1, keepdim=True) * (-0.5 / sigma**2))
        rows += [F.pad(alike, (left, right, 0, down)), F.pad(alike, (right, left, down, 0))]
    return rows


def _spread(values: Tensor, alike: Sequence[Tensor], step: int) -> Tensor:
    """Every value and those of its neighbours, as far as they are alike: their sum."""
    height, width = values.shape[-2:]
    padded = F.pad(values, (step,) * 4)
    total = values.clone()
    both = [way for y, x in NEXT for way in ((y, x), (-y, -x))]
    for (y, x), share in zip(both, alike, strict=True):
        top, left = step * (1 + y), step * (1 + x)
        total.addcmul_(share, padded[..., top : top + height, left : left + width])
    return total
