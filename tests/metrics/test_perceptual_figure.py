"""The figure of perceptual distance: of what the border leaves, a mean of pictures."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from boda.errors import UsageError
from boda.metrics.perceptual import Perceptual


class Features(nn.Module):
    """One layer's maps."""

    def __init__(self, net: nn.Sequential) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"layer": self.net(x)}


def figure(border: int = 0) -> Perceptual:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())
    nn.init.ones_(net[0].bias)  # so that no position's features are next to nothing
    return Perceptual(Features(net), border)


def test_it_is_the_mean_over_pictures_of_pixels_apart() -> None:
    """A 1×1 convolution, so that each pixel can be worked out by itself."""
    metrics = figure(border=1)
    said, truth = (torch.randint(0, 256, (3, 3, 6, 5), dtype=torch.uint8) for _ in range(2))
    layer = metrics.features.net[0]
    weight, bias = layer.weight.detach()[:, :, 0, 0], layer.bias.detach()
    wanted = []
    for one, other in zip(said, truth, strict=True):
        total = 0.0
        for y in range(1, 5):
            for x in range(1, 4):
                a, b = (
                    (weight @ (p[:, y, x] / 255) + bias).clamp(min=0).double() for p in (one, other)
                )
                u, v = (each / (each.norm() + 1e-12) for each in (a, b))
                total += (u - v).square().sum().item()
        wanted.append(total / 12)
    found = metrics.update(said, truth)
    assert found == pytest.approx(wanted, abs=1e-5)
    assert metrics.update(said[:1].float() / 255, truth[:1].float() / 255) == pytest.approx(
        found[:1], abs=1e-6
    )
    assert metrics.samples == 4
    assert metrics.compute()["perceptual"] == pytest.approx((sum(wanted) + wanted[0]) / 4, abs=1e-5)


def test_parts_add_up() -> None:
    said, truth = (torch.rand(4, 3, 5, 5) for _ in range(2))
    whole, first, second = figure(), figure(), figure()
    whole.update(said, truth)
    second.update(said[1:], truth[1:])
    first.update(said[:1], truth[:1])
    second.merge(first)
    assert second.compute() == pytest.approx(whole.compute(), rel=1e-6)
    with pytest.raises(ValueError, match="same border"):
        first.merge(figure(border=1))
    with pytest.raises(ValueError, match="no pictures"):
        figure().compute()


def test_pictures_that_are_none() -> None:
    with pytest.raises(UsageError, match=r"Give \(N, C, H, W\)"):
        figure().update(torch.rand(3, 5, 5), torch.rand(3, 5, 5))
    with pytest.raises(UsageError, match="leaves nothing"):
        figure(border=3).update(torch.rand(1, 3, 5, 5), torch.rand(1, 3, 5, 5))
