"""SegNet against VGG-16's count and its mirror image, and against the same steps written out."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from boda import models
from boda.errors import UsageError

WIDTHS = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)


def convolutions(net: nn.Module) -> list[tuple[int, int]]:
    return [(m.in_channels, m.out_channels) for m in net.modules() if isinstance(m, nn.Conv2d)]


def test_it_is_vgg16_and_its_mirror_image() -> None:
    with torch.device("meta"):
        net, vgg = models.create("segnet", width=1.0), models.create("vgg16")
    down = list(zip((3, *WIDTHS), WIDTHS, strict=False))
    up = [(after, before) for before, after in reversed(down)]
    found = convolutions(net)
    assert found[:13] == convolutions(vgg)[:13] == down
    assert found[13:-1] == up[:-1] and found[-1] == (64, 11)
    kernels = sum(9 * before * after for before, after in found)
    norms = 2 * (sum(after for _, after in found[:-1]))
    total = sum(p.numel() for p in net.parameters())
    assert total == kernels + norms + 11
    assert round(total / 1e6, 1) == 29.4  # 29.5 in the paper, whose convolutions have biases too
    assert round((total + norms / 2) / 1e6, 2) == 29.45


@pytest.mark.parametrize("size", [(32, 32), (45, 61), (96, 33)])
def test_maxima_go_back_where_they_stood(size: tuple[int, int]) -> None:
    """The same with PyTorch's own un-pooling."""
    torch.manual_seed(0)
    net = models.create("segnet", classes=4, width=1 / 16).eval()
    x = torch.randn(2, 3, *size)

    def stage(x: Tensor, layers: nn.Module) -> Tensor:
        for convolution, norm, _ in layers:
            x = F.conv2d(x, convolution.weight, padding=1)
            x = F.relu(F.batch_norm(x, norm.running_mean, norm.running_var))
        return x

    places, sizes, out = [], [], x
    for layers in net.down:
        out = stage(out, layers)
        sizes.append(out.shape[-2:])
        out, switches = F.max_pool2d(out, 2, ceil_mode=True, return_indices=True)
        places.append(switches)
    for layers in net.up:
        before = sizes.pop()
        even = [side + side % 2 for side in before]  # PyTorch's takes no other
        width, switches = before[1], places.pop()
        switches = switches // width * even[1] + switches % width
        out = F.max_unpool2d(out, switches, 2, output_size=even)[..., : before[0], : before[1]]
        out = stage(out, layers)
    out = F.conv2d(out, net.head.weight, net.head.bias, padding=1)
    assert out.shape == (2, 4, *size)
    torch.testing.assert_close(net(x), out, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("width", [0, -1, 0.001, float("nan"), 17])
def test_no_width_without_channels(width: float) -> None:
    with pytest.raises(UsageError, match="Give a factor"):
        models.create("segnet", width=width)
