"""Bicubic resampling against plain loops, Pillow, and what Keys proved of his kernel."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from boda.errors import UsageError
from boda.ops.resampling import enlarge, reduce, resize, weights
from tests.slow_reference import resampling as slow

SIZES = [((7, 5), (14, 10)), ((6, 9), (18, 27)), ((12, 8), (3, 2)), ((9, 12), (3, 4))]
SIZES += [((5, 8), (7, 3)), ((1, 1), (4, 4)), ((3, 2), (1, 1)), ((10, 11), (10, 11))]


@pytest.mark.parametrize(("before", "after"), SIZES)
def test_it_is_a_plain_loop(before: tuple[int, int], after: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).random(before)
    wanted = slow.resize(picture, after)
    found = resize(torch.from_numpy(picture), after)
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-6)  # the matrices are float32
    levels = (picture * 255).astype(np.uint8)
    found = resize(torch.from_numpy(levels), after)
    wanted = slow.resize(levels, after).clip(0, 255)
    assert found.dtype == torch.uint8
    assert np.abs(found.numpy() - wanted).max() <= 0.5 + 1e-3, "rounded once"


@pytest.mark.parametrize(("before", "after"), [((40, 56), (80, 112)), ((60, 48), (20, 16))])
def test_inside_it_is_pillows(before: tuple[int, int], after: tuple[int, int]) -> None:
    """Which rounds nothing in mode F; at the borders it cuts the kernel off instead of mirroring."""
    picture = np.random.default_rng(1).random(before).astype(np.float32)
    theirs = np.asarray(Image.fromarray(picture).resize(after[::-1], Image.Resampling.BICUBIC))
    ours = resize(torch.from_numpy(picture), after).numpy()
    inside = np.s_[4:-4, 4:-4]
    np.testing.assert_allclose(ours[inside], theirs[inside], atol=2e-6)
    assert np.abs(ours - theirs).max() > 1e-3
    levels = (80 + picture * 90).astype(np.uint8)  # so that it does not clip either
    theirs = np.asarray(Image.fromarray(levels).resize(after[::-1], Image.Resampling.BICUBIC))
    ours = resize(torch.from_numpy(levels), after).numpy()
    apart = np.abs(ours[inside].astype(int) - theirs[inside])
    assert apart.max() == 1 and 0 < (apart > 0).mean() < 0.3, "it rounds between its passes"


def test_a_parabola_is_continued_exactly() -> None:
    """Keys, section IV: with a = −1/2 the error is of third order."""
    x = torch.arange(20, dtype=torch.float64)
    found = enlarge((0.3 * x**2 - 2 * x + 1).expand(20, 20), 3)[0]
    fine = (torch.arange(60, dtype=torch.float64) + 0.5) / 3 - 0.5
    wanted = 0.3 * fine**2 - 2 * fine + 1
    torch.testing.assert_close(found[6:-6], wanted[6:-6], atol=1e-4, rtol=0)


def test_what_shrinks_does_not_alias() -> None:
    """Stripes of one pixel become gray; without a wider kernel they would stay stripes or vanish."""
    stripes = torch.arange(64).remainder(2).float().expand(64, 64)
    small = reduce(stripes, 4)
    assert (small[4:-4, 4:-4] - 0.5).abs().max() < 0.01


@pytest.mark.parametrize(("length", "count"), [(8, 3), (3, 8), (5, 5), (2, 100), (100, 2)])
def test_rows_sum_to_one_and_mirror(length: int, count: int) -> None:
    matrix = weights(length, count)
    np.testing.assert_allclose(matrix.sum(1), 1)
    np.testing.assert_allclose(matrix, matrix[::-1, ::-1], atol=1e-12)
    assert not matrix.flags.writeable, "it is kept"


def test_it_is_linear_and_has_its_gradient() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 6, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda y: enlarge(y, 2), (x,))
    assert torch.autograd.gradcheck(lambda y: reduce(y, 2), (x,))


def test_autocast_does_not_make_it_coarse() -> None:
    torch.manual_seed(0)
    x = torch.rand(1, 3, 16, 16)
    with torch.autocast("cpu", torch.bfloat16):
        found = enlarge(x, 2)
    assert torch.equal(found, enlarge(x, 2))


class Enlarging(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return enlarge(2 * x, 3)


def test_it_can_be_exported_and_outlined() -> None:
    """Its matrices become constants of the graph; shapes can be told without numbers."""
    x = torch.rand(1, 3, 5, 4)
    graph = torch.export.export(Enlarging(), (x,)).module()
    again = torch.rand(1, 3, 5, 4)
    torch.testing.assert_close(graph(again), enlarge(2 * again, 3))
    assert Enlarging()(x.to("meta")).shape == (1, 3, 15, 12)


def test_sizes_that_cannot_be() -> None:
    x = torch.zeros(3, 9, 8)
    with pytest.raises(UsageError, match="9×8 cannot be reduced by 2"):
        reduce(x, 2)
    with pytest.raises(UsageError, match="9 pixels cannot become 0"):
        resize(x, (0, 8))
    for wrong in (torch.zeros(5), torch.zeros(3, 4, 4, dtype=torch.int64)):
        with pytest.raises(UsageError, match=r"Give \(…, H, W\)"):
            resize(wrong, (2, 2))
