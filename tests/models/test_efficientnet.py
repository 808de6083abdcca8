"""EfficientNets: counts, the compound rule, stochastic depth."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from boda import models
from boda.look import summary
from boda.models.efficientnet import PUBLISHED, MBConv, compound_scaling
from boda.models.layers import StochasticDepth

COUNTS = {  # parameters and multiply-adds at the network's own size
    "efficientnet-b0": (224, 5_288_548, 385_814_752),
    "efficientnet-b1": (240, 7_794_184, 686_802_832),
    "efficientnet-b2": (260, 9_109_994, 993_561_872),
    "efficientnet-b3": (300, 12_233_232, 1_827_141_392),
    "efficientnet-b4": (380, 19_341_616, 4_393_771_024),
    "efficientnet-b5": (456, 30_389_784, 10_266_384_752),
    "efficientnet-b6": (528, 43_040_704, 19_067_593_536),
    "efficientnet-b7": (600, 66_347_960, 37_745_884_192),
}


@pytest.mark.parametrize("name", COUNTS)
def test_published_counts(name: str) -> None:
    size, *counts = COUNTS[name]
    with torch.device("meta"):
        found = summary(models.create(name), (3, size, size))
    assert models.entry(name).size == (size, size)
    assert [found.parameters, found.multiply_adds] == counts


@pytest.mark.parametrize("number", range(8))
def test_epsilon_and_momentum_of_the_public_weights(number: int) -> None:
    with torch.device("meta"):
        net = models.create(f"efficientnet-b{number}")
    norms = {(m.eps, m.momentum) for m in net.modules() if isinstance(m, nn.BatchNorm2d)}
    assert norms == {(1e-3, 0.01) if number >= 5 else (1e-5, 0.1)}


def test_the_compound_rule_doubles_the_cost() -> None:
    one = compound_scaling(1)
    assert one == (1.2, 1.1, 1.15)
    assert one.depth * one.width**2 * one.resolution**2 == pytest.approx(2, rel=0.05)
    assert compound_scaling(0) == (1, 1, 1)


@pytest.mark.parametrize(
    ("number", "phi"), [(0, 0), (1, 0.5), (2, 1), (3, 2), (5, 5), (6, 6), (7, 7)]
)
def test_the_published_networks_follow_the_rule_roughly(number: int, phi: float) -> None:
    """Widths and sides nearly; depths up to B3, from where they stay behind."""
    rule, row = compound_scaling(phi), PUBLISHED[number]
    assert row.width == pytest.approx(rule.width, abs=0.0514)
    assert row.side == pytest.approx(224 * rule.resolution, abs=10)
    behind = rule.depth - row.depth
    assert abs(behind) < 0.05 if number <= 3 else 0.25 < behind < 0.5


def test_b4_lies_between_three_and_four() -> None:
    three, four = compound_scaling(3), compound_scaling(4)
    row = PUBLISHED[4]
    assert three.depth < row.depth < four.depth
    assert three.width < row.width < four.width
    assert three.resolution < row.side / 224 < four.resolution


def test_stochastic_depth_leaves_pictures_out_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    x = torch.ones(20_000, 2, 1, 1)
    out = StochasticDepth(0.3)(x)
    assert torch.equal(out[:, 0], out[:, 1])  # a picture as a whole
    assert out.unique().tolist() == pytest.approx([0, 1 / 0.7])
    assert (out == 0).float().mean() == pytest.approx(0.3, abs=0.02)
    assert StochasticDepth(0.3).eval()(x) is x


def test_blocks_are_left_out_more_often_the_later_they_stand() -> None:
    with torch.device("meta"):
        net = models.create("efficientnet-b0")
    blocks = [m for m in net.modules() if isinstance(m, MBConv)]
    chances = [(i, block.drop.p) for i, block in enumerate(blocks) if block.drop is not None]
    assert len(blocks) == 16 and len(chances) == 9
    assert [p for _, p in chances] == pytest.approx([0.2 * i / 16 for i, _ in chances])


def test_a_block_with_probability_one_is_its_shortcut() -> None:
    block, x = MBConv(4, 4, drop=1 - 1e-9), torch.randn(3, 4, 5, 5)
    assert torch.equal(block(x), x)
    assert not torch.equal(block.eval()(x), x)
