"""SRResNet: the paper's count, what it begins as, and no checkerboard."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F

from boda.errors import UsageError
from boda.models.srresnet import SRResNet, SubPixel, srresnet, srresnet_2016
from boda.ops.resampling import enlarge


def count(net: torch.nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def test_the_counts_are_the_papers() -> None:
    """1.5 million in the paper; layer by layer, k²·C·C' + C', 2C of a norm and 1 of a PReLU."""

    def convolution(c: int, d: int, k: int) -> int:
        return k * k * c * d + d

    block = 2 * (convolution(64, 64, 3) + 2 * 64) + 1
    paper = (
        convolution(3, 64, 9) + 1
        + 16 * block
        + convolution(64, 64, 3) + 2 * 64
        + 2 * (convolution(64, 256, 3) + 1)
        + convolution(64, 3, 9)
    )  # fmt: skip
    assert count(srresnet_2016(0, 3)) == paper == 1_549_462
    # EDSR's baseline has 1.37 million at ×2: with its 64 → 256 and 64 → 3 in the place of 64 → 12.
    edsr = SRResNet(3, 2, 16, 64, norm=False)
    ends = convolution(64, 256, 3) + convolution(64, 3, 3) - convolution(64, 12, 3)
    assert count(edsr) + ends == 1_369_859
    assert (count(srresnet(0, 3)), count(srresnet(0, 3, 4))) == (161_580, 171_984)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("build", [srresnet, srresnet_2016])
def test_any_size_is_enlarged(build, scale: int) -> None:
    net = build(0, 3, scale) if build is srresnet else SRResNet(3, scale, 1, 4)
    x = torch.rand(2, 3, 5, 9)
    net(x).square().mean().backward()
    assert net(x).shape == (2, 3, 5 * scale, 9 * scale)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
    assert SRResNet(1, scale, 1, 4)(x[:, :1]).shape == (2, 1, 5 * scale, 9 * scale)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_it_begins_as_the_bicubic_picture(scale: int) -> None:
    torch.manual_seed(0)
    x = torch.rand(1, 3, 8, 8)
    net = srresnet(0, 3, scale, blocks=2, width=8)
    assert torch.equal(net(x), enlarge(x, scale))
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    for _ in range(2):  # the first step moves the last layer alone, the second all of them
        before = [p.detach().clone() for p in net.parameters()]
        optimizer.zero_grad()
        F.mse_loss(net(x), torch.rand(1, 3, 8 * scale, 8 * scale)).backward()
        optimizer.step()
    assert all(not torch.equal(p, old) for p, old in zip(net.parameters(), before, strict=True))


@pytest.mark.parametrize("scale", [2, 3])
def test_a_sub_pixel_convolution_is_a_plain_loop(scale: int) -> None:
    """Shi et al., equation 4: the map c·s² + s·(y mod s) + (x mod s), counted row by row."""
    torch.manual_seed(0)
    layer, x = SubPixel(3, 2, scale), torch.randn(1, 3, 4, 5)
    out, maps = layer(x), layer[0](x)
    for c, y, z in itertools.product(range(2), range(4 * scale), range(5 * scale)):
        own = maps[0, c * scale**2 + scale * (y % scale) + z % scale, y // scale, z // scale]
        assert out[0, c, y, z] == own


@pytest.mark.parametrize("scale", [2, 3])
def test_it_begins_without_a_checkerboard(scale: int) -> None:
    """ICNR: nearest neighbours of one convolution. Without it a constant map becomes a pattern."""
    torch.manual_seed(0)
    layer, x = SubPixel(4, 3, scale), torch.randn(1, 4, 6, 6)
    flat = torch.ones(1, 4, 6, 6)

    def pattern() -> float:
        inside = layer(flat)[0, :, scale:-scale, scale:-scale]
        return inside.var((1, 2)).mean().item()

    assert pattern() > 1e-3
    layer.begin()
    assert pattern() < 1e-10
    small = F.conv2d(x, layer[0].weight[:: scale**2], layer[0].bias[:: scale**2], padding=1)
    wanted = F.interpolate(small, scale_factor=scale, mode="nearest")
    torch.testing.assert_close(layer(x), wanted)
    for net in (SRResNet(3, scale, 1, 8), SRResNet(3, scale, 1, 8, norm=False)):
        (last,) = [each for each in net.tail if isinstance(each, SubPixel)]
        kernels = last[0].weight.unflatten(0, (-1, scale**2))
        assert (kernels == kernels[:, :1]).all() and kernels.std() > 0


def test_a_block_is_the_papers() -> None:
    torch.manual_seed(0)
    net, x = SRResNet(3, 2, 2, 8).train(), torch.randn(4, 8, 6, 6)
    layers = net.body[0].layers
    y = F.conv2d(x, layers[0].weight, layers[0].bias, padding=1)
    y = F.batch_norm(y, None, None, training=True)
    y = torch.where(y > 0, y, 0.25 * y)
    y = F.conv2d(y, layers[3].weight, layers[3].bias, padding=1)
    y = x + F.batch_norm(y, None, None, training=True)
    torch.testing.assert_close(net.body[0](x), y, atol=1e-5, rtol=1e-5)


def test_values_keep_their_size() -> None:
    """Sixteen blocks without a norm would double the variance sixteen times."""
    torch.manual_seed(0)
    out = SRResNet(3, 2, 16, 16, norm=False)(torch.rand(2, 3, 24, 24))
    assert 0.01 < out.std() < 2


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("norm", [True, False])
def test_beyond_its_reach_nothing_matters(scale: int, norm: bool) -> None:
    torch.manual_seed(0)
    net = SRResNet(1, scale, 2, 4, norm=norm).double().eval()
    x = torch.rand(1, 1, 40, 40, dtype=torch.float64, requires_grad=True)
    y = 20 * scale
    (slope,) = torch.autograd.grad(net(x)[0, 0, y : y + scale, y : y + scale].sum(), x)
    places = (slope[0, 0] != 0).nonzero()
    assert places.min() >= 20 - net.reach and places.max() <= 20 + net.reach
    assert places.min() <= 20 - net.reach + 1


def test_what_it_cannot_be() -> None:
    for wrong in ({"scale": 5}, {"blocks": 0}, {"width": 0}):
        with pytest.raises(UsageError, match="Scales are 2, 3 and 4"):
            SRResNet(**wrong)
