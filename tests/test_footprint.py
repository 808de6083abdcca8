"""Time and memory of a picture, against networks whose tensors can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from boda.data.prepare import Preparation
from boda.footprint import _Watch, footprint
from boda.tasks import method as method_of


def test_tensors_are_counted_while_they_live() -> None:
    x = torch.zeros(1000)  # 4,000 bytes, made outside: not counted
    with _Watch() as watch:
        y = x + 1
        assert watch.now == 4000
        z = y.view(10, 100) * 2  # a view holds nothing of its own
        assert watch.now == 8000
        y = z.sum()
        assert watch.now == 4004
        del z, y
    assert watch.now == 0 and watch.most >= 8000 and watch.most < 8100


class Two(nn.Module):
    """(N, 3, 8, 8) → two layers of known sizes → (N, 2)."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(192, 50)
        self.out = nn.Linear(50, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.fc(x.flatten(1)))


def test_the_memory_of_a_small_network_by_hand() -> None:
    kind = method_of("classifier")
    method = kind(Two(), Preparation(8, 8), kind.Config()).eval()
    pictures = np.zeros((3, 3, 8, 8), np.uint8)
    told = footprint(method, pictures)
    weights = 4 * (192 * 50 + 50 + 50 * 2 + 2)
    values = 4 * 192  # of the pixels as floats: two of them while they are normalized
    assert told["milliseconds"] > 0
    assert weights + 2 * values <= 1e6 * told["megabytes"] <= weights + 4 * values
    assert footprint(method, pictures)["megabytes"] == told["megabytes"]


@pytest.mark.parametrize("count", [1, 30])
def test_any_number_of_pictures(count: int) -> None:
    kind = method_of("classifier")
    method = kind(Two(), Preparation(8, 8), kind.Config()).eval()
    assert footprint(method, np.zeros((count, 3, 8, 8), np.uint8))["milliseconds"] > 0
