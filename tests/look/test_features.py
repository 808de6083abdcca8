"""Feature maps are the layer's own output, and their picture shows all of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from boda import models
from boda.errors import UsageError
from boda.look import feature_maps, grid, layer_names


def test_maps_are_the_layer_s_output():
    net, picture = models.create("lenet5").eval(), torch.randn(1, 32, 32)
    with torch.no_grad():
        expected = net.c1(picture[None])[0].numpy()
    np.testing.assert_array_equal(feature_maps(net, picture, "c1"), expected)
    assert feature_maps(net, picture, "f6").shape == (84, 1, 1)


def test_a_block_can_be_looked_at():
    net = models.create("resnet20")
    assert feature_maps(net, torch.randn(3, 32, 32), "layer2").shape == (32, 16, 16)


def test_what_is_overwritten_later_is_shown_as_it_was():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True))
    assert feature_maps(net, torch.randn(1, 8, 8), "0").min() < 0
    assert feature_maps(net, torch.randn(1, 8, 8), "1").min() >= 0


def test_names():
    assert layer_names(models.create("lenet5")) == ["c1", "s2", "c3", "s4", "c5", "f6", "output"]
    assert layer_names(nn.Linear(2, 3)) == ["(network)"]


@pytest.mark.parametrize(
    "shape", [(1, 5, 5), (6, 28, 28), (7, 3, 9), (100, 8, 8), (3, 300, 200), (84, 1, 1)]
)
def test_grids(shape):
    maps = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    picture = grid(maps, "a title")
    assert picture.dtype == np.uint8 and picture.shape[2] == 3
    assert 100 < picture.shape[0] < 2600 and 100 < picture.shape[1] < 2000


def test_one_scale_for_all_maps():
    maps = np.zeros((2, 4, 4), np.float32)
    maps[0], maps[1] = 1.0, -0.01
    picture = grid(maps).reshape(-1, 3)
    assert (picture == (103, 0, 31)).all(1).any()  # the strongest red for 1
    assert not (picture == (5, 48, 97)).all(1).sum() > 100  # and hardly blue for −0.01


@pytest.mark.parametrize("maps", [np.zeros((2, 2)), np.zeros((0, 2, 2)), np.zeros((1, 0, 2))])
def test_what_is_no_map(maps):
    with pytest.raises(UsageError, match="feature maps are"):
        grid(maps)


def test_constant_maps_can_be_drawn():
    assert grid(np.zeros((3, 4, 4), np.float32)).size


def test_unknown_layer():
    with pytest.raises(UsageError, match="Did you mean c1"):
        feature_maps(models.create("lenet5"), torch.randn(1, 32, 32), "c11")
