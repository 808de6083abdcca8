"""What every registered network must do; a new one is tested by being registered."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from boda import models
from boda.errors import UsageError
from boda.onnx_export import export
from boda.trained import Trained
from tests.stirring import stirred

NAMES = models.names()
CLASSIFIERS = models.names("classify")
MILLIONS = 20  # parameters above which a network is too large for the default suite


def smallest_of_each_family() -> set[str]:
    families: dict[str, models.Entry] = {}
    for entry in map(models.entry, NAMES):
        smallest = families.setdefault(entry.family, entry)
        if entry.parameters < smallest.parameters:
            families[entry.family] = entry
    return {e.name for e in families.values() if e.parameters < MILLIONS * 10**6}


SMALLEST = smallest_of_each_family()
for_a_family = (
    pytest.mark.parametrize(  # what takes seconds; the others' turn is with the slow tests
        "name", [n if n in SMALLEST else pytest.param(n, marks=pytest.mark.slow) for n in NAMES]
    )
)


HEAVY = ("mask-rcnn-resnet50-fpn",)  # made by the lines of mask-rcnn-resnet18-fpn


@pytest.fixture(
    params=[pytest.param(n, marks=pytest.mark.slow) if n in HEAVY else n for n in NAMES]
)
def entry(request: pytest.FixtureRequest) -> models.Entry:
    return models.entry(request.param)


# What net(pictures) goes through, where a network has an adversary beside it or makes its pictures
# of noise; that the rest learns too is for the contract of its method.
ADVERSARIES = {"generate": "discriminator.", "srgan": "generator.", "translate": "generator."}


def flat(output: torch.Tensor | tuple[torch.Tensor, ...]) -> torch.Tensor:
    """(N, values): whatever a network puts out, in one row a picture."""
    parts = output if isinstance(output, tuple) else (output,)
    return torch.cat([part.flatten(1) for part in parts], 1)


def before_choosing(
    output: torch.Tensor | tuple[torch.Tensor, ...],
) -> torch.Tensor | tuple[torch.Tensor, ...]:
    """Of a network that looks at regions of its own choice, what it chooses by: rounding chooses others."""
    return output[:2] if isinstance(output, tuple) and output[0].ndim == 2 else output


def at_smallest(entry: models.Entry) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    huge = entry.parameters > 200 * 10**6 and "width" in entry.options
    net = stirred(models.create(entry.name, classes=7, **({"width": 1 / 8} if huge else {})))
    return net, torch.randn(2, entry.channels, entry.smallest, entry.smallest)


def judged(entry: models.Entry, net: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that net(pictures) goes through."""
    prefix = ADVERSARIES.get(entry.task, ADVERSARIES.get(entry.name, ""))
    return {name: p for name, p in net.named_parameters() if name.startswith(prefix)}


def test_the_entry_is_complete(entry: models.Entry) -> None:
    assert entry.name == entry.name.lower()
    assert " " not in entry.name and "_" not in entry.name
    assert entry.paper and entry.summary.endswith(".")
    assert entry.smallest <= min(entry.size)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_forward_gives_one_logit_a_class(name: str) -> None:
    net, x = at_smallest(models.entry(name))
    assert net(x).shape == (2, 7)
    assert net.eval()(x[:1]).shape == (1, 7)


def test_every_parameter_receives_a_gradient(entry: models.Entry) -> None:
    # In evaluation mode: batch norm cancels a constant before it, stochastic depth leaves blocks out.
    net, x = at_smallest(entry)
    flat(net.eval()(x)).square().sum().backward()
    for name, parameter in judged(entry, net).items():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_two_of_the_smallest_pictures_can_be_learned_from(entry: models.Entry) -> None:
    net, x = at_smallest(entry)
    flat(net(x)).square().sum().backward()
    gradients = [p.grad for p in net.parameters() if p.grad is not None]
    assert len(gradients) == len(judged(entry, net))
    assert all(g.isfinite().all() for g in gradients) and any(g.abs().sum() > 0 for g in gradients)


@for_a_family
def test_other_channels_and_the_paper_size(name: str) -> None:
    entry = models.entry(name)
    net = entry.build(classes=3, channels=4 - entry.channels).eval()
    out = net(torch.zeros(1, 4 - entry.channels, *entry.size))
    if entry.task == "classify":
        assert out.shape == (1, 3)
    if entry.task == "segment" and not hasattr(net, "margins"):
        assert out.shape == (1, 3, *entry.size)
    assert len(flat(out)) == 1 and flat(out).isfinite().all()


def test_smaller_pictures_are_refused_with_the_fix(entry: models.Entry) -> None:
    if entry.task == "upscale":  # they enlarge any; below that size nothing can be measured
        return
    net, x = at_smallest(entry)
    with pytest.raises(UsageError, match=f"--size {entry.smallest}"):
        net(x[..., 1:, 1:])


@pytest.mark.parametrize("name", models.names("segment"))
def test_a_segmenter_answers_for_every_pixel(name: str) -> None:
    entry = models.entry(name)
    with torch.device("meta"):
        net = models.create(name, classes=7)
        for taller, wider in ((0, 0), (1, 0), (13, 38)):
            height, width = entry.smallest + taller, entry.smallest + wider
            if hasattr(net, "margins"):  # less comes out than goes in
                top, bottom, left, right = net.margins(height, width)
                x = torch.zeros(2, entry.channels, top + height + bottom, left + width + right)
                covered = net(x).shape
                assert covered[:2] == (2, 7) and covered[2] >= height and covered[3] >= width
            else:
                out = net(torch.zeros(2, entry.channels, height, width))
                assert out.shape == (2, 7, height, width)


@for_a_family
def test_bfloat16_agrees_with_float32(name: str) -> None:
    net, x = at_smallest(models.entry(name))
    net.eval()
    with torch.autocast("cpu", torch.bfloat16):
        rough = flat(before_choosing(net(x))).float()
    exact = flat(before_choosing(net(x)))
    assert (rough - exact).abs().max() < 0.1 * exact.abs().max() + 0.05


def test_eval_does_not_depend_on_the_batch(entry: models.Entry) -> None:
    net, x = at_smallest(entry)
    net.eval()
    together, alone = flat(before_choosing(net(x)))[:1], flat(before_choosing(net(x[:1])))
    # A detector's answer is thirty layers and three grids away: rounding adds up on the way.
    atol = 1e-5 if entry.task == "classify" else 1e-4
    atol *= max(1.0, alone.abs().max().item())
    torch.testing.assert_close(together, alone, atol=atol, rtol=1e-4)


@for_a_family
def test_the_exported_network_agrees_with_onnx_runtime(name: str, tmp_path: Path) -> None:
    trained = Trained.of_model(name)
    size = models.entry(name).size
    pictures = np.random.default_rng(0).integers(0, 256, (3, 3, *size), dtype=np.uint8)
    record = {
        "task": trained.task,
        "classes": trained.classes,
        "preparation": trained.preparation.to_dict(),
    }
    if trained.method.unexportable:
        with pytest.raises(UsageError, match=trained.method.unexportable):
            export(trained.method, record, pictures, tmp_path / "model.onnx")
        assert not (tmp_path / "model.onnx").exists()
        return
    assert export(trained.method, record, pictures, tmp_path / "model.onnx") <= 1e-4


def test_an_unknown_option_is_told_the_nearest() -> None:
    with pytest.raises(UsageError, match="lenet5"):
        models.create("lenet5", widht=2)


def test_an_unknown_name_is_told_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean resnet20"):
        models.create("resnet-20")


def test_larger_pictures_pass_through_lenet() -> None:
    assert models.create("lenet5")(torch.zeros(1, 1, 48, 40)).shape == (1, 10)


def test_a_residual_block_of_zeros_is_the_identity() -> None:
    from boda.models.resnet import BasicBlock

    block = BasicBlock(8, 8).eval()
    for parameter in block.parameters():
        nn.init.zeros_(parameter)
    x = torch.rand(2, 8, 5, 5)
    assert torch.equal(block(x), x)


def test_the_shortcut_pads_with_zeros_on_both_sides() -> None:
    from boda.models.resnet import BasicBlock

    x = torch.arange(2 * 16.0).view(1, 2, 4, 4)
    out = BasicBlock(2, 4, stride=2).shortcut(x)
    assert out.shape == (1, 4, 2, 2)
    assert torch.equal(out[:, 1:3], x[:, :, ::2, ::2])
    assert out[:, 0].abs().sum() == out[:, 3].abs().sum() == 0
