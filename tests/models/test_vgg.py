"""VGG against its paper's counts, and what ``width`` does to it."""

from __future__ import annotations

import pytest
import torch

from boda import models
from boda.errors import UsageError
from boda.look import summary

COUNTS = {
    "vgg11": (132_863_336, 7_609_090_048),
    "vgg13": (133_047_848, 11_308_466_176),
    "vgg16": (138_357_544, 15_470_264_320),
    "vgg19": (143_667_240, 19_632_062_464),
    "vgg11-bn": (132_868_840, 7_609_090_048),
    "vgg13-bn": (133_053_736, 11_308_466_176),
    "vgg16-bn": (138_365_992, 15_470_264_320),
    "vgg19-bn": (143_678_248, 19_632_062_464),
}


@pytest.mark.parametrize("name", COUNTS)
def test_published_counts(name: str) -> None:
    with torch.device("meta"):
        found = summary(models.create(name), (3, 224, 224))
    assert (found.parameters, found.multiply_adds) == COUNTS[name]


def test_width_scales_every_layer() -> None:
    with torch.device("meta"):
        net = models.create("vgg13", width=0.125, classes=7, channels=1)
    expected, channels = 0, 1
    for widths in ((8, 8), (16, 16), (32, 32), (64, 64), (64, 64)):
        for out_channels in widths:
            expected += channels * out_channels * 9 + out_channels
            channels = out_channels
    for inputs, outputs in ((64 * 49, 512), (512, 512), (512, 7)):
        expected += inputs * outputs + outputs
    assert sum(p.numel() for p in net.parameters()) == expected


@pytest.mark.parametrize("width", [0, -1, 0.001, float("nan"), 17])
def test_no_width_without_channels(width: float) -> None:
    with pytest.raises(UsageError, match="Give a factor"):
        models.create("vgg11", width=width)


def test_a_stage_of_three_sees_seven_by_seven() -> None:
    with torch.device("meta"):
        layers = {row.name: row for row in summary(models.create("vgg16"), (3, 64, 64)).layers}
    # Section 2.3; the third stage begins where a value sees 16 pixels and lies 4 from the next.
    assert layers["features.9"].receptive_field == 16 and layers["features.9"].stride == 4
    assert layers["features.14"].receptive_field == 16 + (7 - 1) * 4
