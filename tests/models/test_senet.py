"""Squeeze and excitation: the gate's formula, and where gates are attached."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from boda import models
from boda.errors import UsageError
from boda.look import summary
from boda.models.layers import SqueezeExcitation
from boda.models.parts import head
from boda.models.resnet import BasicBlock
from boda.models.senet import with_squeeze_excitation

SMALL = [
    name
    for name in models.names("classify")
    if models.entry(name).parameters < 15_000_000
    and models.entry(name).family not in ("mlp", "senet")
]


@pytest.mark.parametrize(
    ("name", "parameters", "cost"),
    [
        ("seresnet50", 28_088_024, 3_860_488_192),
        ("seresnet18", 11_778_592, 1_814_160_384),
        ("seresnet20", 272_782, 40_553_728),
    ],
)
def test_counts(name: str, parameters: int, cost: int) -> None:
    entry = models.entry(name)
    with torch.device("meta"):
        found = summary(models.create(name), (3, *entry.size))
    assert (found.parameters, found.multiply_adds) == (parameters, cost)


def test_the_gates_of_seresnet20_by_hand() -> None:
    gates = sum(3 * ((c * 4 + 4) + (4 * c + c)) for c in (16, 32, 64))
    assert models.entry("seresnet20").parameters == 269_722 + gates


def test_gates_on_resnet50_cost_what_the_paper_says() -> None:
    """The stride in the 3×3: 28,088,024 parameters and 4,091,699,200 multiply-adds."""
    with torch.device("meta"):
        found = summary(with_squeeze_excitation(models.create("resnet50")), (3, 224, 224))
    assert (found.parameters, found.multiply_adds) == (28_088_024, 4_091_699_200)


def test_the_gate_is_its_formula() -> None:
    torch.manual_seed(0)
    gate, x = SqueezeExcitation(6, 2), torch.randn(3, 6, 4, 5)
    w1, b1, w2, b2 = (t.detach().flatten(1) if t.ndim > 1 else t for t in gate.parameters())
    out = torch.empty_like(x)
    for n in range(3):
        z = torch.stack([x[n, c].sum() / 20 for c in range(6)])
        s = 1 / (1 + torch.exp(-(w2 @ torch.clamp(w1 @ z + b1, min=0) + b2)))
        for c in range(6):
            out[n, c] = x[n, c] * s[c]
    torch.testing.assert_close(gate(x), out)


def test_a_block_is_gated_before_its_shortcut() -> None:
    torch.manual_seed(0)
    block, x = BasicBlock(8, 8).eval(), torch.randn(2, 8, 5, 5)
    block.se = SqueezeExcitation(8, 2)
    expected = torch.relu(x + block.se(block.residual(x)))
    torch.testing.assert_close(block(x), expected)
    assert [name for name, _ in block.named_children()] == ["conv1", "bn1", "conv2", "bn2", "se"]


@pytest.mark.parametrize("name", SMALL)
def test_gates_can_be_attached_to_every_network(name: str) -> None:
    """Wide open they change nothing, shut they shut; the head stays the head."""
    torch.manual_seed(0)
    entry = models.entry(name)
    net = models.create(name, classes=5).eval()
    size = max(entry.smallest, 32)
    x = torch.randn(2, entry.channels, size, size)
    with torch.no_grad():
        before = net(x)
    parameters, last = sum(p.numel() for p in net.parameters()), head(net)[1]
    assert with_squeeze_excitation(net, size=size) is net
    gates = [
        m for n, m in net.named_modules() if n.endswith(".se") and isinstance(m, SqueezeExcitation)
    ]
    added = sum(p.numel() for gate in gates for p in gate.parameters())
    assert gates and sum(p.numel() for p in net.parameters()) == parameters + added
    assert head(net)[1] is last

    out = net(x)
    out.square().sum().backward()
    assert any(gate.fc1.weight.grad.any() for gate in gates)
    assert (out - before).abs().max() > 0
    for gate in gates:
        nn.init.zeros_(gate.fc2.weight)
        nn.init.constant_(gate.fc2.bias, 40.0)
    torch.testing.assert_close(net(x), before, rtol=1e-4, atol=1e-4 * before.abs().max().item())


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("resnet20", [f"layer{i}.{j}" for i in (1, 2, 3) for j in range(3)]),
        ("vgg11-bn", ["features.1", "features.5", "features.9", "features.12"]),
        ("squeezenet-1.1", ["features.3", "features.4", "features.6", "features.7"]),
        ("googlenet", ["inception3a", "inception3b", "inception4a", "inception4b"]),
        ("mobilenet-v1", ["blocks.0.0", "blocks.1.0", "blocks.1.1", "blocks.2.0"]),
        ("lenet5", ["c1", "c3", "c5"]),
    ],
)
def test_the_places_of_the_gates(name: str, places: list[str]) -> None:
    net = with_squeeze_excitation(models.create(name))
    found = [n.removesuffix(".se") for n, m in net.named_modules() if n.endswith(".se") and m]
    assert found[: len(places)] == places


@pytest.mark.parametrize(
    ("name", "words"), [("mlp", "no convolutions"), ("seresnet20", "layer1.0 has a gate already")]
)
def test_where_gates_do_not_belong(name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        with_squeeze_excitation(models.create(name))


def test_no_reduction_below_one() -> None:
    with pytest.raises(UsageError, match="1 or more"):
        with_squeeze_excitation(models.create("resnet20"), r=0)
