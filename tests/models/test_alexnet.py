"""AlexNet against its paper."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from boda import models
from boda.look import summary
from boda.models.alexnet import response_norm


@pytest.mark.parametrize(
    ("name", "size", "parameters", "cost"),
    [("alexnet", 224, 61_100_840, 714_188_480), ("alexnet-2012", 227, 60_965_224, 724_406_816)],
)
def test_published_counts(name: str, size: int, parameters: int, cost: int) -> None:
    with torch.device("meta"):
        found = summary(models.create(name), (3, size, size))
    assert (found.parameters, found.multiply_adds) == (parameters, cost)


def test_the_neurons_of_each_layer() -> None:
    # Section 3.5 of the paper counts them; its 253,440 for the first layer is not 55·55·96.
    with torch.device("meta"):
        found = summary(models.create("alexnet-2012"), (3, 227, 227))
    neurons = [row.activation_size for row in found.layers if row.parameters]
    assert neurons == [55 * 55 * 96, 186_624, 64_896, 64_896, 43_264, 4_096, 4_096, 1_000]


def test_response_norm_is_the_papers_formula() -> None:
    a = torch.randn(2, 9, 3, 4, dtype=torch.float64) * 50
    b = torch.empty_like(a)
    for i in range(9):
        low, high = max(0, i - 5 // 2), min(9 - 1, i + 5 // 2)
        total = sum(a[:, j] ** 2 for j in range(low, high + 1))
        b[:, i] = a[:, i] / (2 + 1e-4 * total) ** 0.75
    torch.testing.assert_close(response_norm()(a), b)
    assert (b - a / 2**0.75).abs().max() > 1  # the sum does matter here


@pytest.mark.parametrize(
    ("layer", "halves"), [("conv2", True), ("conv3", False), ("conv4", True), ("conv5", True)]
)
def test_the_halves_meet_in_the_third_convolution_only(layer: str, halves: bool) -> None:
    with torch.device("meta"):
        shape = models.create("alexnet-2012").get_submodule(f"features.{layer}").weight.shape
    conv = nn.Conv2d(shape[1] * (2 if halves else 1), shape[0], 3, groups=2 if halves else 1)
    assert conv.weight.shape[:2] == shape[:2]  # fewer inputs a filter, where there are two groups
    x = torch.randn(1, conv.in_channels, 3, 3, requires_grad=True)
    conv(x)[0, 0].sum().backward()
    other_half = x.grad[0, conv.in_channels // 2 :]
    assert bool(other_half.any()) != halves


def test_biases_begin_as_in_the_paper() -> None:
    net = models.create("alexnet-2012", classes=2)
    biases = {n: t.unique().tolist() for n, t in net.state_dict().items() if n.endswith("bias")}
    ones = [name.split(".")[1] for name, values in biases.items() if values == [1.0]]
    assert ones == ["conv2", "conv4", "conv5", "fc6", "fc7"]
    assert sorted(map(tuple, biases.values())) == [(0.0,)] * 3 + [(1.0,)] * 5
    assert float(net.classifier.fc6.weight.detach().std()) == pytest.approx(0.01, rel=0.01)
