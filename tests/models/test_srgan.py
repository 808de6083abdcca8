"""SRGAN's discriminator: the paper's layers, counted one by one."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from boda.errors import UsageError
from boda.models.srgan import Discriminator, srgan, srgan_2016


def test_the_count_layer_by_layer() -> None:
    """Figure 4: k3n64s1, then 64, 128, 128, 256, 256, 512, 512 with norms, 1024, 1; 96×96."""
    with torch.device("meta"):
        net = srgan_2016(0, 3)
    widths = [64, 64, 128, 128, 256, 256, 512, 512]
    paper = 9 * 3 * 64 + 64
    paper += sum(9 * a * b + 2 * b for a, b in pairwise(widths))
    paper += 512 * 6 * 6 * 1024 + 1024 + 1024 + 1
    assert sum(p.numel() for p in net.discriminator.parameters()) == paper == 23_563_649
    assert sum(p.numel() for p in net.generator.parameters()) == 1_549_462
    layers = [m for m in net.discriminator.modules() if isinstance(m, nn.Conv2d)]
    assert [m.out_channels for m in layers] == widths
    assert [m.stride[0] for m in layers] == [1, 2] * 4
    slopes = [m.negative_slope for m in net.discriminator.modules() if isinstance(m, nn.LeakyReLU)]
    assert slopes == [0.2] * 9
    assert net.discriminator(torch.empty(2, 3, 96, 96, device="meta")).shape == (2,)


@pytest.mark.parametrize("side", [16, 40, 57])
def test_any_size_where_means_are_taken(side: int) -> None:
    net = Discriminator(1, 0, 4)
    x = torch.rand(3, 1, side, side + 3, requires_grad=True)
    net(x).sum().backward()
    assert net(x).shape == (3,) and x.grad.abs().sum() > 0


def test_a_mean_is_a_mean_of_the_maps() -> None:
    torch.manual_seed(0)
    net, x = Discriminator(3, 0, 4).eval(), torch.rand(2, 3, 48, 32)
    means = net.features(2 * x - 1).mean((2, 3))
    torch.testing.assert_close(net(x), net.judge[2:](means)[:, 0])


def test_the_pair_enlarges_by_its_generator() -> None:
    net, x = srgan(0, 3, 3, blocks=1, width=4), torch.rand(1, 3, 8, 6)
    assert net.scale == 3 and torch.equal(net(x), net.generator(x))
    assert net(x).shape == (1, 3, 24, 18)


def test_what_it_cannot_judge() -> None:
    with pytest.raises(UsageError, match="multiple of 16"):
        Discriminator(size=90)
    with pytest.raises(UsageError, match="judges pictures of 32×32, not of 48×48"):
        Discriminator(3, 32, 2)(torch.zeros(1, 3, 48, 48))
    with pytest.raises(UsageError, match="Use --size 16"):
        Discriminator(3, 0, 2)(torch.zeros(1, 3, 15, 48))
