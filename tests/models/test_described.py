"""Shades and directions of edges, against plain loops; and the vector that is made of its parts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from boda import models
from boda.models.described import CELLS, FAINT, gradients, shades


def ramp(degrees: float, side: int = 24) -> torch.Tensor:
    """(1, 1, side, side), rising by 0.1 a pixel in a direction; y points down."""
    turn = math.radians(degrees)
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return 0.1 * (math.cos(turn) * x + math.sin(turn) * y)[None, None]


@pytest.mark.parametrize("place", range(8))
def test_a_ramp_has_its_direction(place: int) -> None:
    found = gradients(ramp(45 * place), 4).view(8, 3, 3)
    inner = found[:, 1, 1]
    assert int(inner.argmax()) == place
    beside = inner[[(place + 1) % 8, (place - 1) % 8]]
    # cos⁴ of 45° is a quarter, and the root of it a half.
    torch.testing.assert_close(beside / inner[place], torch.full((2,), 0.5), atol=0.01, rtol=0)
    assert inner[(place + 4) % 8] < 0.01


def test_gradients_are_those_of_a_plain_loop() -> None:
    picture = np.random.default_rng(0).normal(size=(12, 12))
    padded = np.pad(picture, 1, mode="edge")
    maps = np.zeros((8, 12, 12))
    for y in range(12):
        for x in range(12):
            across = padded[y + 1, x + 2] - padded[y + 1, x]
            down = padded[y + 2, x + 1] - padded[y, x + 1]
            for k in range(8):
                angle = math.atan2(down, across) - k * math.pi / 4
                maps[k, y, x] = math.hypot(across, down) * max(0, math.cos(angle)) ** 4
    cells = np.zeros((8, 3, 3))
    for i in range(3):
        for j in range(3):  # 6×6 pixels, by 3
            cells[:, i, j] = maps[:, 3 * i : 3 * i + 6, 3 * j : 3 * j + 6].mean((1, 2))
    expected = np.sqrt(cells / np.sqrt((cells**2).sum(0) + FAINT))
    found = gradients(torch.from_numpy(picture)[None, None], 4).view(8, 3, 3)
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_light_changes_shades_but_not_directions() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 1, 32, 24)
    torch.testing.assert_close(gradients(x + 3, 5), gradients(x, 5))
    torch.testing.assert_close(shades(x + 3, 5), shades(x, 5) + 3)


def test_the_vector_is_five_of_equal_length() -> None:
    torch.manual_seed(0)
    net = models.create("embedding-conv4-described", width=0.125, dimension=6, kept=10).eval()
    x = torch.randn(3, 1, 32, 24)
    with torch.inference_mode():
        net.mean1.fill_(0.25)
        net.map1.normal_()
        vector, learned = net(x), net.learned(x)
        described = (gradients(x, CELLS[0]) - 0.25) @ net.map1
    assert vector.shape == (3, 6 + 4 * 10)
    for part in vector.split([6, 10, 10, 10, 10], 1):
        assert part.norm(dim=1).tolist() == pytest.approx([0.2**0.5] * 3, abs=1e-5)
    torch.testing.assert_close(vector[:, :6], learned / learned.norm(dim=1, keepdim=True) / 5**0.5)
    expected = described / described.norm(dim=1, keepdim=True) / 5**0.5
    torch.testing.assert_close(vector[:, 16:26], expected, atol=1e-5, rtol=1e-4)
