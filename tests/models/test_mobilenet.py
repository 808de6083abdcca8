"""MobileNets: counts at several widths, and what a depthwise-separable block is."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from boda import models
from boda.errors import UsageError
from boda.look import summary
from boda.models.layers import rounded
from boda.models.mobilenet import DepthwiseSeparable, InvertedResidual


@pytest.mark.parametrize(
    ("name", "width", "parameters", "cost"),
    [
        ("mobilenet-v1", 1.0, 4_231_976, 568_740_352),
        ("mobilenet-v2", 1.0, 3_504_872, 300_774_272),
        ("mobilenet-v2", 1.4, 6_108_776, 582_195_824),  # the paper prints 6.9 and 585 million
    ],
)
def test_published_counts(name: str, width: float, parameters: int, cost: int) -> None:
    with torch.device("meta"):
        found = summary(models.create(name, width=width), (3, 224, 224))
    assert (found.parameters, found.multiply_adds) == (parameters, cost)


@pytest.mark.parametrize(
    ("name", "width", "parameters", "cost"),
    [  # in millions, as the papers' tables round them: v1's table 6
        ("mobilenet-v1", 0.75, 2.6, 325),
        ("mobilenet-v1", 0.5, 1.3, 149),
        ("mobilenet-v1", 0.25, 0.5, 41),
    ],
)
def test_widths_of_the_papers(name: str, width: float, parameters: float, cost: int) -> None:
    with torch.device("meta"):
        found = summary(models.create(name, width=width), (3, 224, 224))
    assert found.parameters / 1e6 == pytest.approx(parameters, abs=0.061)
    assert found.multiply_adds / 1e6 == pytest.approx(cost, rel=0.01)


def test_a_depthwise_separable_block_costs_an_eighth_to_a_ninth() -> None:
    with torch.device("meta"):
        parted = summary(DepthwiseSeparable(64, 128), (64, 14, 14)).multiply_adds
        full = summary(nn.Conv2d(64, 128, 3, padding=1), (64, 14, 14)).multiply_adds
    assert parted / full == pytest.approx(1 / 128 + 1 / 9)


def test_an_inverted_residual_ends_linear_and_adds_its_input() -> None:
    torch.manual_seed(0)
    block, x = InvertedResidual(4, 4).eval(), torch.randn(2, 4, 5, 5)
    added = block(x) - x
    torch.testing.assert_close(added, block.conv(x))
    assert added.min() < 0  # no ReLU behind


def test_an_inverted_residual_that_changes_the_size_has_no_shortcut() -> None:
    for block in (InvertedResidual(4, 4, stride=2), InvertedResidual(4, 8, expansion=1)):
        for parameter in block.eval().parameters():
            nn.init.zeros_(parameter)
        assert not block(torch.rand(2, 4, 5, 5)).any()


@pytest.mark.parametrize(
    ("channels", "width"),
    [(11.2, 16), (7, 8), (12, 16), (19, 24), (33.6, 32), (44.8, 48), (89.6, 88)],
)
def test_rounding_of_widths(channels: float, width: int) -> None:
    # To the nearest multiple of 8, halves up, but never below nine tenths.
    candidates = [n for n in range(8, 200, 8) if n >= 0.9 * channels]
    nearest = min(candidates, key=lambda n: (abs(n - channels), -n))
    assert rounded(channels) == nearest == width


@pytest.mark.parametrize("width", [0, -1.0, float("nan")])
def test_no_width_without_channels(width: float) -> None:
    with pytest.raises(UsageError, match="above 0"):
        models.create("mobilenet-v2", width=width)
