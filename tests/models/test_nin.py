"""Network in network: its size, and the perceptron that slides."""

from __future__ import annotations

import torch
from torch import nn

from boda import models
from boda.look import summary
from boda.models.nin import mlpconv


def test_counts_by_hand() -> None:
    with torch.device("meta"):
        found = summary(models.create("nin"), (3, 32, 32))
    # kernel side, channels in, channels out, pixels of the output
    layers = [
        *[(5, 3, 192, 1024), (1, 192, 160, 1024), (1, 160, 96, 1024)],
        *[(5, 96, 192, 256), (1, 192, 192, 256), (1, 192, 192, 256)],
        *[(3, 192, 192, 64), (1, 192, 192, 64), (1, 192, 10, 64)],
    ]
    assert found.parameters == sum(k * k * i * o + o for k, i, o, _ in layers) == 966_986
    assert found.multiply_adds == sum(k * k * i * o * n for k, i, o, n in layers)


def test_mlpconv_is_a_perceptron_on_every_patch() -> None:
    torch.manual_seed(0)
    layers = mlpconv(2, (6, 5, 4), 3)
    x = torch.randn(1, 2, 5, 5)
    perceptron = nn.Sequential(nn.Linear(18, 6), nn.Linear(6, 5), nn.Linear(5, 4))
    with torch.no_grad():
        for dense, conv in zip(perceptron, layers[::2], strict=True):
            dense.weight.copy_(conv.weight.flatten(1))
            dense.bias.copy_(conv.bias)
        out = nn.Sequential(*layers)(x)
        for row in range(1, 4):
            for column in range(1, 4):
                value = x[0, :, row - 1 : row + 2, column - 1 : column + 2].flatten()
                for dense in perceptron:
                    value = dense(value).relu()
                torch.testing.assert_close(out[0, :, row, column], value)
