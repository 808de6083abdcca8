"""Blocks and heads: found by a rule, checked on every registered network by running it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from boda import models
from boda.errors import UsageError
from boda.models.layers import Doubling
from boda.models.parts import blocks, head, maps
from boda.models.pyramid import Backbone

SMALL = [n for n in models.names("classify") if models.entry(n).parameters < 20_000_000]


@pytest.fixture(params=SMALL)
def found(request: pytest.FixtureRequest) -> tuple[nn.Module, torch.Tensor]:
    entry = models.entry(request.param)
    torch.manual_seed(0)
    net = models.create(entry.name).eval()
    return net, torch.randn(2, entry.channels, entry.smallest, entry.smallest)


def test_the_heads_output_is_the_networks(found) -> None:
    net, x = found
    seen: list[torch.Tensor] = []
    head(net)[1].register_forward_hook(lambda module, inputs, output: seen.append(output))
    assert len(seen) == 0 and torch.equal(net(x), seen[-1]) and len(seen) == 1


def test_blocks_and_head_hold_everything_once_and_in_the_order_of_use(found) -> None:
    net, x = found
    parts = [*blocks(net), [head(net)[1]]]
    held = [id(t) for part in parts for m in part for t in m.state_dict(keep_vars=True).values()]
    own = [id(t) for t in net.state_dict(keep_vars=True).values()]
    assert sorted(held) == sorted(own) and len(set(held)) == len(held)

    order: list[int] = []
    for number, part in enumerate(parts):
        for module in part:
            module.register_forward_hook(lambda *_, n=number: order.append(n))
    net(x)
    assert order == sorted(order) and set(order) == set(range(len(parts)))


def test_the_blocks_of_resnet20_and_lenet5() -> None:
    assert len(blocks(models.create("resnet20"))) == 1 + 9
    assert head(models.create("resnet20"))[0] == "fc"
    assert len(blocks(models.create("lenet5"))) == 4
    assert head(models.create("lenet5"))[0] == "output"


def test_behind_a_backbone_everything_is_head() -> None:
    net = models.create("yolo", classes=2)
    held = {id(t) for b in blocks(net) for m in b for t in m.state_dict(keep_vars=True).values()}
    assert len(blocks(net)) == 1 + 8  # ResNet-18's stem and its blocks
    own = net.backbone.state_dict(keep_vars=True).values()
    assert held == {id(t) for t in own}


@pytest.mark.parametrize(
    ("name", "size"),
    [("resnet18", 96), ("vgg11-bn", 64), ("mobilenet-v2", 96), ("efficientnet-b0", 64)],
)
def test_maps_are_the_last_of_each_stride(name: str, size: int) -> None:
    net = models.create(name).eval()
    found = maps(net, torch.randn(1, 3, size, size), (8, 16, 32))
    assert [size // each.shape[-1] for each in found] == [8, 16, 32]
    if name == "resnet18":  # what a hook sees behind each stage
        seen: list[torch.Tensor] = []
        for stage in (net.layer2, net.layer3, net.layer4):
            stage.register_forward_hook(lambda _, __, output: seen.append(output))
        x = torch.randn(1, 3, size, size)
        net(x)
        for mine, theirs in zip(maps(net, x, (8, 16, 32)), seen[:3], strict=True):
            assert torch.equal(mine, theirs)


def test_a_network_without_steps_is_no_backbone() -> None:
    with pytest.raises(UsageError, match="cannot be a backbone"):
        maps(models.create("lenet5"), torch.zeros(1, 1, 32, 32), (2,))
    with pytest.raises(UsageError, match="no map of stride 32"):
        maps(models.create("squeezenet-1.1"), torch.zeros(1, 3, 128, 128), (8, 16, 32))


def test_a_backbone_that_does_not_pad_has_its_maps() -> None:
    with torch.device("meta"):
        found = Backbone("squeezenet-1.1", 3, (4, 8, 16, 32), {}, fewer=True)
        alone = Backbone("squeezenet-1.1", 3, (16,), {})
    assert found.strides == (4, 8, 16) and len(found.widths) == 3
    assert alone.widths == [512]


def test_doubling_is_the_transposed_convolution() -> None:
    torch.manual_seed(0)
    ours = Doubling(5, 7).double()
    x = torch.randn(2, 5, 3, 4, dtype=torch.float64, requires_grad=True)
    theirs = F.conv_transpose2d(x, ours.weight, ours.bias, 2)
    assert torch.allclose(ours(x), theirs, atol=1e-12) and ours(x).shape == (2, 7, 6, 8)
    weights = torch.randn_like(theirs)
    wanted = torch.autograd.grad((theirs * weights).sum(), [x, *ours.parameters()])
    found = torch.autograd.grad((ours(x) * weights).sum(), [x, *ours.parameters()])
    for a, b in zip(found, wanted, strict=True):
        assert torch.allclose(a, b, atol=1e-12)
