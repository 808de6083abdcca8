"""Up-sampling against interpolation, plain loops and the arithmetic of the checkerboard."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from boda import ops
from boda.errors import UsageError
from boda.models.upsampling import (
    KINDS,
    bilinear_kernel,
    coverage,
    divisible,
    pool,
    put_back,
    sized,
    upsampling,
)


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_the_kernel_is_bilinear_interpolation(factor: int) -> None:
    x = torch.randn(2, 1, 6, 5)
    kernel = bilinear_kernel(factor)[None, None]
    out = F.conv_transpose2d(x, kernel, stride=factor, padding=factor // 2)
    wanted = F.interpolate(x, scale_factor=factor, mode="bilinear")
    inside = (..., slice(factor, -factor), slice(factor, -factor))
    torch.testing.assert_close(out[inside], wanted[inside])
    assert not torch.allclose(out[..., 0, :], wanted[..., 0, :])  # beyond the edge there are zeros


def test_the_transposed_convolution_begins_as_interpolation() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 6, 7, 5)
    same = upsampling("transposed", 6, 6)
    wanted = F.interpolate(x, scale_factor=2, mode="bilinear")
    inside = (..., slice(1, -1), slice(1, -1))
    torch.testing.assert_close(same(x, (14, 10))[inside], wanted[inside])
    fewer = upsampling("transposed", 6, 4)
    mixing = fewer.up.weight.detach()[:, :, 1, 1].t() / 0.75**2
    mixed = torch.einsum("oc,nchw->nohw", mixing, wanted)
    torch.testing.assert_close(fewer(x, (14, 10))[inside], mixed[inside], atol=1e-5, rtol=1e-5)
    assert mixing.std() > 0.1


def test_two_by_two_begins_as_nearest_neighbours() -> None:
    x = torch.randn(1, 3, 4, 5)
    out = upsampling("2x2", 3, 3)(x, (8, 10))
    torch.testing.assert_close(out, F.interpolate(x, scale_factor=2, mode="nearest"))


def test_bilinear_mixes_before_it_interpolates() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 6, 4, 5)
    up = upsampling("bilinear", 6, 4)
    large = F.interpolate(x, scale_factor=2, mode="bilinear")
    wanted = torch.einsum("oc,nchw->nohw", up.mix.weight[:, :, 0, 0], large)
    torch.testing.assert_close(up(x, (8, 10)), wanted, atol=1e-5, rtol=1e-5)
    assert not list(upsampling("bilinear", 4, 4).parameters())


@pytest.mark.parametrize("size", [(6, 8), (7, 9), (5, 5), (1, 1)])
def test_unpooling_is_a_plain_loop(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, *size)
    values, switches = pool(x)
    wanted = torch.zeros_like(x)
    for n, c in itertools.product(range(2), range(3)):
        for top, left in itertools.product(range(0, size[0], 2), range(0, size[1], 2)):
            window = [
                (x[n, c, i, j].item(), i, j)
                for i in range(top, min(top + 2, size[0]))
                for j in range(left, min(left + 2, size[1]))
            ]
            most, i, j = max(window)
            assert values[n, c, top // 2, left // 2] == most
            wanted[n, c, i, j] = 10 * most
    assert torch.equal(put_back(10 * values, switches, size), wanted)
    assert torch.equal(ops.unpool(10 * values, switches, size), wanted)


def test_unpooling_has_its_gradient_and_is_deterministic() -> None:
    x = torch.randn(1, 2, 5, 4, dtype=torch.float64)
    values, switches = pool(x)
    assert torch.autograd.gradcheck(
        lambda v: put_back(v, switches, (5, 4)), (values.clone().requires_grad_(),)
    )
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        small = values.clone().requires_grad_()
        put_back(small, switches, (5, 4)).square().sum().backward()
        assert torch.equal(small.grad, 2 * values)
    finally:
        torch.use_deterministic_algorithms(before)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_the_size_that_is_asked_for(kind: str) -> None:
    pooled, switches = pool(torch.randn(2, 4, 7, 5))
    up = upsampling(kind, 6, 4)
    x = torch.randn(2, 6, *pooled.shape[-2:])
    assert up(x, (7, 5), switches).shape == (2, 4, 7, 5)


def test_what_is_short_repeats_its_edge() -> None:
    x = torch.arange(6.0).view(1, 1, 2, 3)
    assert sized(x, (3, 2))[0, 0].tolist() == [[0, 1], [3, 4], [3, 4]]
    assert sized(x, (2, 5))[0, 0].tolist() == [[0, 1, 2, 2, 2], [3, 4, 5, 5, 5]]


def test_a_picture_is_continued_until_the_stride_divides_it() -> None:
    x = torch.randn(1, 2, 5, 8)
    out = divisible(x, 4)
    assert out.shape == (1, 2, 8, 8) and torch.equal(out[..., :5, :], x)
    assert torch.equal(out[..., 5:, :], x[..., 4:, :].expand(1, 2, 3, 8))


def test_an_unknown_kind_is_told_the_nearest() -> None:
    with pytest.raises(UsageError, match="transposed"):
        upsampling("transpose", 4, 4)


# ---------------------------------------------------------------- checkerboard


@pytest.mark.parametrize("kernel", [2, 3, 4, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_coverage_is_a_plain_loop(kernel: int, stride: int) -> None:
    count = 6
    reached = [0] * ((count - 1) * stride + kernel)
    for value in range(count):
        for tap in range(kernel):
            reached[value * stride + tap] += 1
    found = coverage(kernel, stride, count).tolist()
    assert found == reached
    if stride <= kernel:
        within = set(found[kernel - 1 : 1 - kernel or None])
        assert (len(within) == 1) == (kernel % stride == 0)


def ripple(weight: Tensor, stride: int) -> float:
    """Of a constant map's output, the variance within a channel as a share of the mean square."""
    ones = torch.ones(1, weight.shape[0], 12, 12)
    side = weight.shape[-1]
    out = F.conv_transpose2d(ones, weight, stride=stride)[0, :, side:-side, side:-side]
    out = out[:, : out.shape[1] // stride * stride, : out.shape[2] // stride * stride]
    return (out.var((1, 2), correction=0).mean() / out.square().mean()).item()


def test_a_constant_map_ripples_with_random_weights_and_not_with_ours() -> None:
    torch.manual_seed(0)
    for side in (3, 4):
        assert ripple(torch.randn(8, 4000, side, side), 2) == pytest.approx(0.75, abs=0.02)
    assert ripple(upsampling("transposed", 64, 32).up.weight.detach(), 2) < 1e-10
    assert ripple(upsampling("2x2", 64, 32).up.weight.detach(), 2) < 1e-10


def test_energy_is_uneven_where_coverage_is() -> None:
    """Four kinds of pixels: with 3×3 by 1, 2, 2 and 4 values, with 4×4 by four each."""
    torch.manual_seed(0)
    for side, shares in ((3, [1, 2, 2, 4]), (4, [1, 1, 1, 1])):
        out = (
            F.conv_transpose2d(torch.ones(1, 8, 6, 6), torch.randn(8, 4000, side, side), stride=2)[
                0
            ]
            .square()
            .mean(0)[4:8, 4:8]
        )
        kinds = sorted(out[i::2, j::2].mean().item() for i in (0, 1) for j in (0, 1))
        wanted = [sum(kinds) * share / sum(shares) for share in shares]
        assert kinds == pytest.approx(wanted, rel=0.1)
