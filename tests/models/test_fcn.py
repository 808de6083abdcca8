"""FCN against its sum written out plainly."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from boda import models
from boda.models import parts


@pytest.mark.parametrize(
    ("name", "strides"), [("fcn-32s", (32,)), ("fcn-16s", (16, 32)), ("fcn-8s", (8, 16, 32))]
)
def test_scores_are_added_from_coarse_to_fine(name: str, strides: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    net = models.create(name, classes=5, width=1 / 8).eval()
    x = torch.randn(2, 3, 75, 97)
    continued = F.pad(x, (0, 128 - 97, 0, 96 - 75), mode="replicate")
    maps = parts.maps(net.backbone.net, continued, strides)
    scores = [
        torch.einsum("oc,nchw->nohw", score.weight[:, :, 0, 0], each)
        for score, each in zip(net.scores, maps, strict=True)
    ]
    sides = [(96 // stride, 128 // stride) for stride in strides]
    assert [tuple(each.shape) for each in scores] == [(2, 5, *side) for side in sides]
    total = scores[-1]
    for finer in scores[-2::-1]:
        zeros = F.pad(total, (1, 1, 1, 1))  # beyond the edge: kernels reach a value further
        large = F.interpolate(zeros, scale_factor=2, mode="bilinear")[..., 2:-2, 2:-2]
        total = finer + large[..., : finer.shape[-2], : finer.shape[-1]]
    wanted = F.interpolate(total, scale_factor=strides[0], mode="bilinear")[..., :75, :97]
    torch.testing.assert_close(net(x), wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("backbone", ["vgg11", "mobilenet-v2", "efficientnet-b0", "squeezenet-1.1"])
def test_other_backbones(backbone: str) -> None:
    with torch.device("meta"):
        net = models.create("fcn-8s", classes=5, backbone=backbone).eval()
        for size in ((64, 64), (67, 90), (94, 127)):
            assert net(torch.zeros(1, 3, *size)).shape == (1, 5, *size)
    last = 16 if backbone == "squeezenet-1.1" else 32
    assert net.backbone.strides[-1] == last and len(net.ups) == len(net.scores) - 1


def test_nobody_is_sure_at_the_start() -> None:
    torch.manual_seed(0)
    out = models.create("fcn-8s", classes=5)(torch.randn(2, 3, 64, 64))
    assert all(not score.bias.any() for score in models.create("fcn-8s").scores)
    assert F.softmax(out, 1).amax() < 0.99
