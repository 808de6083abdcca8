"""Blocks and heads: found by a rule, checked on every registered network by running it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from boda import models
from boda.models.parts import blocks, head

SMALL = [n for n in models.names() if models.entry(n).parameters < 20_000_000]


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
