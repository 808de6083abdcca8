"""Means over like neighbours against slow loops, numerical slopes, and what they are for."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from boda.ops.edge_avoiding import NEXT, Alike


def edge_avoiding(values: Tensor, guide: Tensor, sigma: float, steps: tuple[int, ...]) -> Tensor:
    return Alike(guide, sigma, steps).mean(values)


def slow(values: Tensor, guide: Tensor, sigma: float, steps: tuple[int, ...]) -> Tensor:
    """The definition, pixel by pixel."""
    height, width = values.shape[-2:]
    for step in steps:
        out = torch.empty_like(values)
        for y in range(height):
            for x in range(width):
                total, sums = 0.0, torch.zeros_like(values[:, 0, 0])
                for v in (y - step, y, y + step):
                    for u in (x - step, x, x + step):
                        if 0 <= v < height and 0 <= u < width:
                            apart = float(((guide[:, y, x] - guide[:, v, u]) ** 2).sum())
                            alike = max(0.0, 1 - apart / (16 * sigma**2)) ** 8
                            assert abs(alike - math.exp(-apart / (2 * sigma**2))) < 0.04
                            total, sums = total + alike, sums + alike * values[:, v, u]
                out[:, y, x] = sums / total
        values = out
    return values


def some(*shape: int) -> Tensor:
    return torch.randn(
        *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape))
    )


@pytest.mark.parametrize("steps", [(1,), (3, 1), (4, 2, 1), (8,)])
def test_the_definition(steps: tuple[int, ...]) -> None:
    values, guide = some(2, 4, 7, 6), some(2, 3, 7, 6)
    expected = torch.stack([slow(v, g, 0.8, steps) for v, g in zip(values, guide, strict=True)])
    torch.testing.assert_close(edge_avoiding(values, guide, 0.8, steps), expected)


def test_slopes() -> None:
    """Of the values and of the colours."""
    values, guide = some(1, 2, 5, 6).requires_grad_(), some(1, 3, 5, 6).requires_grad_()
    assert torch.autograd.gradcheck(lambda v, g: edge_avoiding(v, g, 1.0, (2, 1)), (values, guide))
    assert torch.autograd.gradcheck(lambda g: Alike(g, 1.0, (2, 1)).maps(2), guide)


@pytest.mark.parametrize("step", [1, 2, 5])
def test_maps_tell_of_each_neighbour(step: int) -> None:
    """Of eight neighbours each its own map, 0 beyond the picture; 5 steps leave two of 7 rows apart."""
    guide = some(2, 3, 7, 6)
    maps = Alike(guide, 0.8, (step,)).maps(step)
    assert maps.shape == (2, 8, 7, 6)
    places = [(way * down, way * right) for down, right in NEXT for way in (step, -step)]
    for index, (down, right) in enumerate(places):
        for y in range(7):
            for x in range(6):
                v, u = y + down, x + right
                expected = torch.zeros(2, dtype=torch.float64)
                if 0 <= v < 7 and 0 <= u < 6:
                    apart = ((guide[..., y, x] - guide[..., v, u]) ** 2).sum(1)
                    expected = (1 - apart / (16 * 0.8**2)).clamp(min=0) ** 8
                torch.testing.assert_close(maps[:, index, y, x], expected)


def test_no_map_where_no_neighbour_fits() -> None:
    wide = Alike(some(1, 3, 2, 9), 0.8, (8, 2, 1))
    assert [wide.maps(step).shape[1] for step in (8, 2, 1)] == [2, 2, 8]
    values = some(1, 2, 1, 1)
    torch.testing.assert_close(edge_avoiding(values, values, 0.8, (2, 1)), values)


def test_blurred_scores_get_the_picture_s_border() -> None:
    """A blurred step in the scores, a sharp one in the picture, a pixel and a half beside it."""
    guide = torch.zeros(1, 3, 16, 24)
    guide[..., 10:] = 1
    scores = torch.sigmoid((torch.arange(24.0) - 11) / 2).expand(1, 1, 16, 24) - 0.5
    assert ((scores > 0) != (guide[:, :1] > 0.5)).any()
    snapped = edge_avoiding(scores, guide, 0.1, (4, 2, 1))
    torch.testing.assert_close(snapped > 0, guide[:, :1] > 0.5)


def test_a_constant_stays_and_one_colour_is_a_plain_mean() -> None:
    guide = some(1, 3, 6, 6)
    torch.testing.assert_close(
        edge_avoiding(torch.full((1, 2, 6, 6), 3.0), guide.float(), 0.5, (4, 2, 1)),
        torch.full((1, 2, 6, 6), 3.0),
    )
    values, flat = some(1, 1, 6, 6), torch.zeros(1, 1, 6, 6, dtype=torch.float64)
    mean = edge_avoiding(values, flat, 0.5, (1,))
    torch.testing.assert_close(mean[0, 0, 2, 3], values[0, 0, 1:4, 2:5].mean())
    torch.testing.assert_close(mean[0, 0, 0, 0], values[0, 0, :2, :2].mean())
