"""SRCNN: the paper's count, and the luminance alone."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from boda.errors import UsageError
from boda.models.srcnn import SRCNN, srcnn
from boda.ops.color import grayscale
from boda.ops.resampling import enlarge


def test_the_count_is_the_papers() -> None:
    """Section 4.3 and table 3: 8,032 weights for 9-1-5, 57,184 for 9-5-5; and a bias a map."""
    for kernels, weights in (((9, 1, 5), 8_032), ((9, 3, 5), 24_416), ((9, 5, 5), 57_184)):
        net = SRCNN(kernels=kernels)
        assert sum(p.numel() for p in net.parameters() if p.ndim > 1) == weights
        assert sum(p.numel() for p in net.parameters()) == weights + 64 + 32 + 1


def test_its_three_layers_by_hand() -> None:
    torch.manual_seed(0)
    net, x = SRCNN(channels=1, scale=3), torch.rand(2, 1, 7, 6)
    y = F.pad(enlarge(x, 3), (4, 4, 4, 4), mode="replicate")
    y = F.conv2d(y, net.patches.weight, net.patches.bias).relu()
    y = F.conv2d(y, net.mapping.weight, net.mapping.bias).relu()
    y = F.pad(y, (2, 2, 2, 2), mode="replicate")
    y = F.conv2d(y, net.reconstruction.weight, net.reconstruction.bias)
    torch.testing.assert_close(net(x), y)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_colours_stay_bicubic(scale: int) -> None:
    """Of YCbCr only Y changes: so do R − Y and B − Y not."""
    torch.manual_seed(0)
    net, x = srcnn(0, 3, scale), torch.rand(1, 3, 8, 10)
    out, large = net(x), enlarge(x, scale)
    assert out.shape == large.shape == (1, 3, 8 * scale, 10 * scale)
    torch.testing.assert_close(out - grayscale(out), large - grayscale(large))
    gray = SRCNN(1, scale)
    gray.load_state_dict(net.state_dict())
    torch.testing.assert_close(grayscale(out), gray(grayscale(x)), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_beyond_its_reach_nothing_matters(scale: int) -> None:
    torch.manual_seed(0)
    net, x = SRCNN(1, scale).double(), torch.rand(1, 1, 30, 30, dtype=torch.float64)
    x.requires_grad_()
    y = 15 * scale
    (slope,) = torch.autograd.grad(net(x)[0, 0, y : y + scale, y : y + scale].sum(), x)
    places = (slope[0, 0] != 0).nonzero()
    assert places.min() >= 15 - net.reach and places.max() <= 15 + net.reach
    assert places.min() <= 15 - net.reach + 1


def test_what_it_cannot_be() -> None:
    for wrong in ({"channels": 2}, {"scale": 1}, {"kernels": (9, 2, 5)}):
        with pytest.raises(UsageError, match="SRCNN takes 1 or 3"):
            SRCNN(**wrong)
