"""GoogLeNet against its paper's tables, and what its auxiliary heads do."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from boda import models
from boda.look import summary
from boda.models.googlenet import AuxiliaryHead

# Table 1 of the paper: channels and side of what comes out of each module. (Its counts of parameters
# do not follow from its own widths in 4a and from 4c on, so they are not compared.)
TABLE = {
    **{"3a": (256, 28), "3b": (480, 28)},
    **{"4a": (512, 14), "4b": (512, 14), "4c": (512, 14), "4d": (528, 14), "4e": (832, 14)},
    **{"5a": (832, 7), "5b": (1024, 7)},
}


@pytest.mark.parametrize(
    ("name", "auxiliary", "parameters", "cost"),
    [
        ("googlenet", False, 6_624_904, 1_498_376_192),
        ("googlenet", True, 13_004_888, 1_498_376_192),
        ("googlenet-2014", False, 6_998_552, 1_582_671_872),
    ],
)
def test_published_counts(name: str, auxiliary: bool, parameters: int, cost: int) -> None:
    with torch.device("meta"):
        found = summary(models.create(name, auxiliary=auxiliary), (3, 224, 224))
    assert (found.parameters, found.multiply_adds) == (parameters, cost)


def test_the_papers_table_of_modules() -> None:
    with torch.device("meta"):
        net = models.create("googlenet-2014")
        outputs = {}
        for name in TABLE:
            module = net.get_submodule(f"inception{name}")
            module.register_forward_hook(lambda _m, _i, out, n=name: outputs.update({n: out}))
        net(torch.empty(1, 3, 224, 224))
    sizes = {name: (out.shape[1], out.shape[2]) for name, out in outputs.items()}
    assert sizes == TABLE


@pytest.mark.parametrize("name", ["googlenet", "googlenet-2014"])
def test_auxiliary_heads_judge_in_training_only(name: str) -> None:
    torch.manual_seed(0)
    entry = models.entry(name)
    net = models.create(name, classes=5, auxiliary=True)
    x = torch.randn(2, 3, entry.smallest, entry.smallest)
    outputs = net(x)
    assert [out.shape for out in outputs] == [(2, 5)] * 3
    sum(out.square().sum() for out in outputs).backward()
    for parameter_name, parameter in net.named_parameters():
        assert parameter.grad.abs().sum() > 0, parameter_name
    assert net.eval()(x).shape == (2, 5)


def test_each_auxiliary_head_sees_what_is_below_it() -> None:
    net = models.create("googlenet", classes=5, auxiliary=True)
    _, first, second = net(torch.randn(2, 3, 64, 64))
    above = {
        name: net.get_submodule(f"inception{name}.branch1.conv").weight
        for name in ("4a", "4b", "4d", "4e")
    }

    def reached(out: Tensor) -> list[str]:
        weights = list(above.values())
        found = torch.autograd.grad(out.sum(), weights, allow_unused=True, retain_graph=True)
        return [name for name, gradient in zip(above, found, strict=True) if gradient is not None]

    assert reached(first) == ["4a"] and reached(second) == ["4a", "4b", "4d"]


def test_the_papers_auxiliary_pooling() -> None:
    head = AuxiliaryHead(2, 3, norm=False).eval()
    seen: list[Tensor] = []
    head.conv.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    x = torch.rand(1, 2, 14, 14)
    head(x)
    for i in range(4):
        for j in range(4):
            window = x[0, :, 3 * i : 3 * i + 5, 3 * j : 3 * j + 5]
            torch.testing.assert_close(seen[0][0, :, i, j], window.mean((1, 2)))
