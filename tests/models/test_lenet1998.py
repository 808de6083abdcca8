"""LeNet-5 of 1998 against the paper's counts, and its layers against plain loops."""

from __future__ import annotations

import math

import pytest
import torch

from boda import models
from boda.models import lenet1998
from boda.models.lenet1998 import TABLE, connections

# Table I of the paper, its rows: the maps of C3 that each map of S2 goes to.
ROWS = [
    [0, 4, 5, 6, 9, 10, 11, 12, 14, 15],
    [0, 1, 5, 6, 7, 10, 11, 12, 13, 15],
    [0, 1, 2, 6, 7, 8, 11, 13, 14, 15],
    [1, 2, 3, 6, 7, 8, 9, 12, 14, 15],
    [2, 3, 4, 7, 8, 9, 10, 12, 13, 15],
    [3, 4, 5, 8, 9, 10, 11, 13, 14, 15],
]


def test_trainable_parameters_of_each_layer() -> None:
    net = models.create("lenet5-1998")
    parts = {**dict(net.named_children()), **dict(net.head.named_children())}
    names = ["c1", "s2", "c3", "s4", "c5", "f6", "output"]
    counts = [sum(p.numel() for p in parts[name].parameters()) for name in names]
    assert counts == [156, 12, 1_516, 32, 48_120, 10_164, 0]
    assert sum(p.numel() for p in net.parameters()) == 60_000


def test_connections_of_each_layer() -> None:
    found = connections(models.create("lenet5-1998"))
    assert found == {
        "c1": 122_304,
        "s2": 5_880,
        "c3": 151_600,
        "s4": 2_000,
        "c5": 48_120,
        "f6": 10_164,
        "output": 840,
    }
    assert sum(found.values()) == 340_908


def test_the_table_reads_the_same_by_rows() -> None:
    assert [[to for to, maps in enumerate(TABLE) if row in maps] for row in range(6)] == ROWS


def test_c3_sees_what_the_table_says() -> None:
    layer = lenet1998.PartialConvolution()
    x = torch.randn(1, 6, 7, 8)
    out = layer(x)[0]
    number = 0
    for to, sources in enumerate(TABLE):
        expected = layer.bias[to].detach().clone().repeat(3, 4)
        for source in sources:
            kernel = layer.weight[number].detach()
            number += 1
            for row in range(3):
                for column in range(4):
                    patch = x[0, source, row : row + 5, column : column + 5]
                    expected[row, column] += (patch * kernel).sum()
        torch.testing.assert_close(out[to].detach(), expected, atol=1e-5, rtol=1e-5)
    assert number == 60


def test_subsampling_by_hand() -> None:
    layer = lenet1998.Subsampling(2)
    x = torch.arange(32.0).view(1, 2, 4, 4)
    sums = torch.tensor([[10.0, 18.0], [42.0, 50.0]])  # 0+1+4+5 and so on
    for channel, offset in enumerate((0, 64)):
        expected = (sums + offset) * layer.coefficient[channel] + layer.bias[channel]
        torch.testing.assert_close(layer(x)[0, channel], expected)


def test_the_squashing_meets_the_codes_where_it_bends_most() -> None:
    x = torch.linspace(-3, 3, 6001, dtype=torch.float64)
    y = lenet1998.squash(x)
    assert y[4000] == pytest.approx(1, abs=1e-4)  # f(1) = 1
    assert y[-1] == pytest.approx(1.7159 * math.tanh(2))
    bend = (y[2:] - 2 * y[1:-1] + y[:-2]).abs()
    assert x[1:-1][bend.argmax()].abs() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_the_output_is_minus_the_squared_distance(classes: int) -> None:
    layer = lenet1998.RadialBasis(classes)
    x = torch.randn(3, 84)
    out = layer(x)
    for code in (0, classes - 1):
        expected = -sum((x[1, j] - layer.codes[code, j]) ** 2 for j in range(84))
        assert out[1, code] == pytest.approx(float(expected), rel=1e-5)
    assert layer(layer.codes[-1:]).argmax() == classes - 1
    assert layer.codes.abs().eq(1).all() and not list(layer.parameters())
    assert torch.equal(layer.codes, lenet1998.RadialBasis(classes).codes)


def test_the_digits_are_pictures_that_differ() -> None:
    codes = lenet1998.digits()
    assert codes.shape == (10, 84)
    seven = codes[7].view(12, 7)
    assert seven[0].eq(1).all() and seven[1:, :2].eq(-1).all()  # a bar, and nothing below its left
    for one in range(10):
        for other in range(one):
            assert (codes[one] != codes[other]).sum() >= 12
