"""The arithmetic of one value against the network's own, over layers, paddings, strides and groups."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from boda import models
from boda.errors import UsageError
from boda.look import arithmetic

torch.manual_seed(3)
LAYERS = {
    "padded": nn.Conv2d(4, 6, 3, padding=1),
    "strided": nn.Conv2d(4, 6, (3, 5), stride=(2, 1), padding=(0, 2), bias=False),
    "dilated": nn.Conv2d(4, 6, 3, padding=2, dilation=2),
    "same": nn.Conv2d(4, 6, 4, padding="same"),
    "reflect": nn.Conv2d(4, 6, 3, padding=2, padding_mode="reflect"),
    "replicate": nn.Conv2d(4, 6, 3, padding=2, padding_mode="replicate"),
    "circular": nn.Conv2d(4, 6, 3, padding=2, padding_mode="circular"),
    "same circular": nn.Conv2d(4, 6, 4, padding="same", padding_mode="circular"),
    "grouped": nn.Conv2d(4, 6, 3, groups=2),
    "depthwise": nn.Conv2d(4, 8, 3, padding=1, groups=4),
    "transposed": nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1),
    "transposed, grouped": nn.ConvTranspose2d(4, 6, 4, stride=3, dilation=2, groups=2),
    "max": nn.MaxPool2d(3, 2, padding=1),
    "max, dilated": nn.MaxPool2d(2, 1, dilation=2, ceil_mode=True),
    "average": nn.AvgPool2d(2),
    "average, padded": nn.AvgPool2d(3, 2, padding=1),
    "average, inside only": nn.AvgPool2d(3, 2, padding=1, count_include_pad=False),
    "average, ceil": nn.AvgPool2d(3, 2, ceil_mode=True),
    "average, ceil and padded": nn.AvgPool2d(4, 3, padding=2, ceil_mode=True),
    "average, divisor": nn.AvgPool2d(3, divisor_override=4),
    "adaptive": nn.AdaptiveAvgPool2d((3, None)),
    "adaptive max": nn.AdaptiveMaxPool2d(4),
    "global": nn.AdaptiveAvgPool2d(1),
    "normalization": nn.BatchNorm2d(4),
    "response normalization": nn.LocalResponseNorm(3, alpha=2.0, k=0.5),
    "response normalization, even": nn.LocalResponseNorm(2, alpha=2.0, beta=1.5),
    "relu": nn.ReLU(),
    "tanh": nn.Tanh(),
    "sigmoid": nn.Sigmoid(),
    "gelu": nn.GELU(),
}


def check(net, picture, layer, at):
    found = arithmetic(net, picture, layer, at)
    assert found.value == pytest.approx(found.network, abs=1e-5)
    return found


@settings(max_examples=12, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("name", LAYERS)
def test_every_value_is_the_network_s(name, data):
    layer = LAYERS[name]
    with torch.no_grad():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(), layer.running_var.uniform_(0.5, 2)
            layer.weight.normal_(), layer.bias.normal_()
    picture = torch.randn(4, 9, 10, generator=torch.Generator().manual_seed(7))
    shape = layer.eval()(picture[None]).shape[1:]
    at = tuple(data.draw(st.integers(0, n - 1)) for n in shape)
    found = check(nn.Sequential(layer), picture, "0", at)
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["at"] == list(at)
    assert "the network's own" in str(found)


def test_the_notes_transposed_convolution():
    # notes §2: 2×2 → 4×4 with f = 3, p = 1, s = 2 and output_padding 1; overlaps add up
    layer = nn.ConvTranspose2d(1, 1, 3, 2, 1, output_padding=1, bias=False)
    found = check(nn.Sequential(layer), torch.randn(1, 2, 2), "0", (0, 1, 1))
    assert found.output_shape == (1, 4, 4) and found.parts[0].patch.shape == (2, 2)
    empty = nn.ConvTranspose2d(
        1, 1, 1, stride=2
    )  # between the values that are laid down lies nothing
    found = check(nn.Sequential(empty), torch.randn(1, 3, 3), "0", (0, 1, 1))
    assert found.worked.total == 0 and "no input value" in str(found) and found.picture().ndim == 3


def test_dense_layers_and_their_activation():
    net, picture = models.create("lenet5"), torch.randn(1, 32, 32)
    found = check(net, picture, "f6", (3,))
    assert found.activation == "tanh" and found.activated == pytest.approx(
        np.tanh(found.value), abs=1e-6
    )
    assert check(net, picture, "output", (3, 0, 0)).activation is None
    assert "the 8 heaviest products" in str(found)
    assert check(net, picture, "c1", (0, 5, 5)).activation == "tanh"
    assert check(net, picture, "s2", (0, 5, 5)).activation is None


def test_activation_modules_and_work_in_place():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True), nn.Conv2d(2, 2, 3))
    found = check(net, torch.randn(1, 8, 8), "0", (1, 2, 2))
    assert found.activation == "relu" and found.activated == pytest.approx(
        max(0, found.value), abs=1e-6
    )
    assert check(net, torch.randn(1, 8, 8), "1", (1, 2, 2)).value >= 0


def test_the_parts_are_the_patch_and_the_kernel():
    net, picture = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1)), torch.randn(2, 5, 5)
    found = check(net, picture, "0", (1, 0, 2))
    part = found.parts[1]
    assert part.rows == [-1, 0, 1] and part.columns == [1, 2, 3] and not part.inside[0].any()
    np.testing.assert_allclose(part.patch[1:], picture[1, 0:2, 1:4], rtol=1e-6)
    np.testing.assert_allclose(part.kernel, net[0].weight[1, 1].detach(), rtol=1e-6)
    assert "(0.00)" in str(found) and "padding" in str(found)


@pytest.mark.parametrize("layer", ["conv1", "bn1", "layer1.0.conv1", "fc"])
def test_pictures(layer):
    net = models.create("resnet20")
    at = (3,) if layer == "fc" else (0, 0, 5)
    found = check(net, torch.randn(3, 32, 32), layer, at)
    picture = found.picture()
    assert picture.dtype == np.uint8 and picture.shape[2] == 3 and picture.shape[1] < 1400
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 10
    assert "12 more channels" in str(found) or layer != "layer1.0.conv1"


def test_wide_windows_are_abbreviated():
    found = check(nn.Sequential(nn.AdaptiveAvgPool2d(1)), torch.randn(1, 40, 40), "0", (0, 0, 0))
    assert "40×40 values from" in str(found) and found.picture().shape[0] < 700


def test_network_stays_as_it_is():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout()).train()
    before, state = {k: v.clone() for k, v in net.state_dict().items()}, torch.get_rng_state()
    arithmetic(net, torch.ones(1, 8, 8), "0", (0, 0, 0))
    assert net.training and torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert not net[0]._forward_hooks and net[0].weight.grad is None


class Spare(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.spare, self.lstm = nn.Conv2d(1, 2, 3), nn.Conv2d(1, 2, 3), nn.LSTM(6, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.lstm(self.conv1(x)[0])[0]


@pytest.mark.parametrize(
    ("layer", "at", "words"),
    [
        (
            "conv1",
            (0, 6, 0),
            r"0,6,0 lies outside of the output of conv1, which is 2×6×6.*0\.\.1,0\.\.5,0\.\.5",
        ),
        ("conv1", (0, -1, 0), "outside"),
        ("conv1", (0,), "channel, y, x"),
        ("conf1", (0, 0, 0), "Did you mean conv1"),
        ("spare", (0, 0, 0), "not used"),
        ("lstm", (0, 0), "LSTM, is not known here"),
    ],
)
def test_errors(layer, at, words):
    with pytest.raises(UsageError, match=words):
        arithmetic(Spare(), torch.randn(1, 8, 8), layer, at)


def test_a_picture_that_does_not_fit():
    with pytest.raises(UsageError, match="cannot take a picture"):
        arithmetic(nn.Sequential(nn.Conv2d(3, 2, 3)), torch.randn(1, 8, 8), "0", (0, 0, 0))
    with pytest.raises(UsageError, match="no float tensor"):
        arithmetic(Spare(), torch.zeros(1, 8, 8, dtype=torch.uint8), "conv1", (0, 0, 0))
