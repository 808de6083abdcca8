"""Means over like neighbours against slow loops, numerical slopes, and what they are for."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from boda.ops import edge_avoiding
from boda.ops.edge_avoiding import NEXT, Alike, opposite

Sigmas = dict[int, float]
AROUND = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if y or x]


def likeness(guide: Tensor, y: int, x: int, v: int, u: int, sigma: float) -> float:
    """Of two pixels of a (G, H, W) picture; 0 beyond it."""
    if not (0 <= v < guide.shape[1] and 0 <= u < guide.shape[2]):
        return 0.0
    apart = float(((guide[:, y, x] - guide[:, v, u]) ** 2).sum())
    alike = max(0.0, 1 - apart / (16 * sigma**2)) ** 8
    assert abs(alike - math.exp(-apart / (2 * sigma**2))) < 0.04
    return alike


def slow(values: Tensor, guide: Tensor, sigmas: Sigmas) -> Tensor:
    """The definition, pixel by pixel."""
    height, width = values.shape[-2:]
    counts = torch.ones(height, width).double()
    for step, sigma in sigmas.items():
        if step == min(sigmas):
            for y in range(height):
                for x in range(width):
                    like = [
                        likeness(guide, y, x, y + step * v, x + step * u, sigma) for v, u in AROUND
                    ]
                    counts[y, x] = max(0.01, sum(like) / 8)
        out = torch.empty_like(values)
        for y in range(height):
            for x in range(width):
                total, sums = counts[y, x], counts[y, x] * values[:, y, x]
                for v, u in ((y + step * down, x + step * right) for down, right in AROUND):
                    if alike := likeness(guide, y, x, v, u, sigma):
                        total = total + alike * counts[v, u]
                        sums = sums + alike * counts[v, u] * values[:, v, u]
                out[:, y, x] = sums / total
        values = out
    return values


def some(*shape: int) -> Tensor:
    return torch.randn(
        *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape))
    )


@pytest.mark.parametrize("sigmas", [{1: 0.8}, {3: 0.8, 1: 1.2}, {4: 1, 2: 0.8, 1: 0.8}, {8: 0.8}])
@pytest.mark.parametrize("part", [1, 2**18])
def test_the_definition(sigmas: Sigmas, part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge_avoiding, "PART", part)
    values, guide = some(2, 4, 7, 6), some(2, 3, 7, 6)
    expected = torch.stack([slow(v, g, sigmas) for v, g in zip(values, guide, strict=True)])
    torch.testing.assert_close(Alike(guide, sigmas).mean(values), expected)
    inside = values.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(Alike(guide, sigmas).mean(inside), expected)


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (5, 1), (2, 2), (4, 2)])
def test_the_definition_in_tiny_pictures(size: tuple[int, int]) -> None:
    """Where neighbours to two sides are the same distance away in memory, or there are none."""
    values, guide = some(1, 2, *size), some(1, 3, *size)
    sigmas = {2: 0.8, 1: 1.2}
    torch.testing.assert_close(
        Alike(guide, sigmas).mean(values)[0], slow(values[0], guide[0], sigmas)
    )


@pytest.mark.parametrize("part", [1, 2**18])
def test_slopes(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the values alone, and of the colours too."""
    monkeypatch.setattr(edge_avoiding, "PART", part)
    values, guide = some(2, 2, 5, 6).requires_grad_(), some(2, 3, 5, 6)
    sigmas = {2: 0.8, 1: 1.2}
    assert torch.autograd.gradcheck(lambda v: Alike(guide, sigmas).mean(v), values)
    guide.requires_grad_()
    assert torch.autograd.gradcheck(lambda v, g: Alike(g, sigmas).mean(v), (values, guide))
    assert torch.autograd.gradcheck(lambda g: Alike(g, sigmas).places(2), guide)


@pytest.mark.parametrize("size", [(8, 6), (7, 6), (6, 9)])
@pytest.mark.parametrize("step", [1, 2, 4])
def test_places_tell_of_each_neighbour(step: int, size: tuple[int, int]) -> None:
    """Means over squares of 2×2 pixels, of those that lie in the picture."""
    guide = some(2, 3, *size)
    alike = Alike(guide, {step: 0.8})
    maps = alike.places(step)
    assert maps.shape == (2, 4, (size[0] + 1) // 2, (size[1] + 1) // 2)
    for picture in range(2):
        for index, (down, right) in enumerate(NEXT):
            for row in range(maps.shape[2]):
                for column in range(maps.shape[3]):
                    like = [
                        likeness(guide[picture], y, x, y + step * down, x + step * right, 0.8)
                        for y in range(2 * row, min(2 * row + 2, size[0]))
                        for x in range(2 * column, min(2 * column + 2, size[1]))
                    ]
                    told = float(maps[picture, index, row, column])
                    assert told == pytest.approx(sum(like) / len(like), abs=1e-9)


@pytest.mark.parametrize("far", [1, 2])
def test_the_opposite_neighbours_are_those_of_the_picture_turned_round(far: int) -> None:
    guide = some(1, 3, 12, 8)
    maps = Alike(guide, {2 * far: 0.8}).places(2 * far)
    turned = Alike(guide.flip(2, 3), {2 * far: 0.8}).places(2 * far).flip(2, 3)
    torch.testing.assert_close(opposite(maps, far), turned)


def test_where_no_neighbour_fits_nobody_is_alike() -> None:
    wide = Alike(some(1, 3, 2, 9), {8: 0.8, 2: 0.8, 1: 0.8})
    assert (wide.places(8).amax((0, 2, 3)) > 0).tolist() == [True, False, False, False]
    assert (wide.places(2)[:, 1:] == 0).all()
    values = some(1, 2, 1, 1)
    torch.testing.assert_close(Alike(values, {2: 0.8, 1: 0.8}).mean(values), values)


def test_blurred_scores_get_the_picture_s_border() -> None:
    """A blurred step in the scores, a sharp one in the picture, a pixel and a half beside it."""
    guide = torch.zeros(1, 3, 16, 24)
    guide[..., 10:] = 1
    scores = torch.sigmoid((torch.arange(24.0) - 11) / 2).expand(1, 1, 16, 24) - 0.5
    assert ((scores > 0) != (guide[:, :1] > 0.5)).any()
    snapped = Alike(guide, {4: 0.1, 2: 0.1, 1: 0.1}).mean(scores)
    torch.testing.assert_close(snapped > 0, guide[:, :1] > 0.5)


@pytest.mark.parametrize(("share", "side"), [(0.35, -1.0), (0.65, 1.0)])
def test_a_pixel_on_an_edge_takes_what_the_side_says_that_it_is_more_like(
    share: float, side: float
) -> None:
    """A column of two colours, whose own scores lean to the other side; such pixels count less."""
    guide = torch.zeros(1, 3, 12, 12)
    guide[..., 6:] = 1
    guide[..., 6] = share
    scores = torch.where(torch.arange(12) < 6, -1.0, 1.0).expand(1, 1, 12, 12).clone()
    scores[..., 6] = -0.3 * side
    mean = Alike(guide, {1: 0.4}).mean(scores)
    assert (mean[..., 6].sign() == side).all()
    assert (mean[..., :6] < 0).all()
    assert (mean[..., 7:] > 0).all()


def test_a_constant_stays_and_one_colour_is_a_mean() -> None:
    """In the middle a plain one: at the border a pixel has fewer neighbours, and counts less."""
    guide = some(1, 3, 6, 6)
    torch.testing.assert_close(
        Alike(guide.float(), {4: 0.5, 2: 0.5, 1: 0.5}).mean(torch.full((1, 2, 6, 6), 3.0)),
        torch.full((1, 2, 6, 6), 3.0),
    )
    values, flat = some(1, 1, 6, 6), torch.zeros(1, 1, 6, 6, dtype=torch.float64)
    mean = Alike(flat, {1: 0.5}).mean(values)
    torch.testing.assert_close(mean[0, 0, 2, 3], values[0, 0, 1:4, 2:5].mean())
