"""Residual and plain networks: counts of the papers, and the notes' argument for the shortcut."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from boda import models
from boda.look import summary
from boda.models.plain import PlainBlock
from boda.models.resnet import BasicBlock, Bottleneck, Projection, ZeroPadding

COUNTS = {  # parameters and multiply-adds
    "resnet20": (269_722, 40_551_040),
    "resnet32": (464_154, 68_862_592),
    "resnet44": (658_586, 97_174_144),
    "resnet56": (853_018, 125_485_696),
    "resnet110": (1_727_962, 252_887_680),
    "resnet18": (11_689_512, 1_814_073_344),
    "resnet34": (21_797_672, 3_663_761_408),
    "resnet50": (25_557_032, 4_089_184_256),
    "resnet101": (44_549_160, 7_801_405_440),
    "resnet152": (60_192_808, 11_513_626_624),
}
COUNTS |= {f"plain{depth}": COUNTS[f"resnet{depth}"] for depth in (20, 32, 44, 56)}
# Without the three projections of ResNet-18 and 34: 64·128 + 128·256 + 256·512 weights and the
# batch norms' 2·(128 + 256 + 512), on 28², 14² and 7² places.
COUNTS |= {
    f"plain{depth}": (
        COUNTS[f"resnet{depth}"][0] - 173_824,
        COUNTS[f"resnet{depth}"][1] - 19_267_584,
    )
    for depth in (18, 34)
}


@pytest.mark.parametrize("name", COUNTS)
def test_published_counts(name: str) -> None:
    entry = models.entry(name)
    with torch.device("meta"):
        found = summary(models.create(name), (entry.channels, *entry.size))
    assert (found.parameters, found.multiply_adds) == COUNTS[name]


@pytest.mark.parametrize(
    "name", [n for n in COUNTS if models.entry(n).family in ("resnet", "plain")]
)
def test_the_depth_is_in_the_name(name: str) -> None:
    layers = [m for n, m in models.create(name).named_modules() if "downsample" not in n]
    weighted = sum(isinstance(m, nn.Conv2d | nn.Linear) for m in layers)
    assert name.endswith(str(weighted))


@pytest.mark.parametrize("across", [ZeroPadding, Projection])
@pytest.mark.parametrize(("side", "half"), [(8, 4), (7, 4), (1, 1)])
def test_shortcuts_fit_what_the_convolutions_leave(across: type, side: int, half: int) -> None:
    for block in (BasicBlock(4, 8, 2, across), Bottleneck(4, 2, 2, across)):
        assert block.eval()(torch.randn(1, 4, side, side)).shape == (1, 8, half, half)


def test_the_three_shortcuts() -> None:
    x = torch.randn(2, 4, 6, 6)
    assert BasicBlock(4, 4).shortcut(x) is x
    padded = BasicBlock(4, 7, 2).shortcut(x)  # an odd number of new channels: one more behind
    assert torch.equal(padded[:, 1:5], x[:, :, ::2, ::2]) and not padded[:, [0, 5, 6]].any()
    block = BasicBlock(4, 8, 2, Projection).eval()
    weight = block.downsample[0].weight[:, :, 0, 0]
    expected = torch.einsum("oc,nchw->nohw", weight, x[:, :, ::2, ::2]) / (1 + 1e-5) ** 0.5
    torch.testing.assert_close(block.shortcut(x), expected)


@pytest.mark.parametrize("block", [BasicBlock(8, 8), Bottleneck(8, 2)])
def test_a_block_of_zero_weights_is_the_identity(block: nn.Module) -> None:
    for parameter in block.parameters():
        nn.init.zeros_(parameter)
    x = torch.rand(2, 8, 5, 5)
    assert torch.equal(block.eval()(x), x)


def test_a_plain_block_of_zero_weights_forgets_its_input() -> None:
    block = PlainBlock(8, 8).eval()
    for parameter in block.parameters():
        nn.init.zeros_(parameter)
    assert not block(torch.rand(2, 8, 5, 5)).any()


@pytest.mark.parametrize(("kind", "width"), [(BasicBlock, 8), (Bottleneck, 2)])
def test_the_derivative_of_a_block_is_that_of_its_residual_plus_one(kind, width: int) -> None:
    torch.manual_seed(0)
    block = kind(8, width).double().eval()
    last = block.bn2 if isinstance(block, BasicBlock) else block.bn3
    nn.init.constant_(last.bias, 100.0)  # so that the last ReLU lets everything through
    x = torch.randn(1, block.conv1.in_channels, 3, 3, dtype=torch.float64)
    n = x.numel()
    whole = torch.autograd.functional.jacobian(block, x).reshape(n, n)
    residual = torch.autograd.functional.jacobian(block.residual, x).reshape(n, n)
    torch.testing.assert_close(whole, residual + torch.eye(n, dtype=torch.float64))
    assert residual.abs().sum() > 1  # F does something


def test_the_derivative_of_a_plain_block_is_that_of_its_function() -> None:
    torch.manual_seed(0)
    block = PlainBlock(2, 2).double().eval()
    nn.init.constant_(block.bn2.bias, 100.0)
    x = torch.randn(1, 2, 3, 3, dtype=torch.float64)
    whole = torch.autograd.functional.jacobian(block, x)
    torch.testing.assert_close(whole, torch.autograd.functional.jacobian(block.residual, x))


def test_28_pixels_are_enough_for_the_networks_of_imagenet() -> None:
    assert models.create("resnet18", channels=1, classes=10)(torch.zeros(2, 1, 28, 28)).shape == (
        2,
        10,
    )
