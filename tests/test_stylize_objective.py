"""The loss of style transfer and its gradient, whole and in tiles."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from boda.errors import DataError, UsageError
from boda.stylizing.features import Source
from boda.stylizing.objective import Objective, Style, Weights, windows
from tests.slow_reference.style import content_loss, style_loss
from tests.style_weights import normalised

WEIGHTS = Weights({"relu2_2": 2.0}, {"conv1_1": 0.5, "relu2_1": 1.0, "conv3_1": 3.0}, 0.1)


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Sequential, Source]:
    file = tmp_path_factory.mktemp("weights") / "vgg.pth"
    return normalised(file), Source("vgg19", file)


def picture(height: int, width: int, seed: int) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def styles(masked: bool) -> list[Style]:
    mask = torch.zeros(52, 61)
    mask[:, :20] = 1
    mask[:30, 20:40] = 0.5
    return [
        Style(picture(40, 35, 1), 0.75, mask if masked else None),
        Style(picture(33, 70, 2), 0.25, 1 - mask if masked else None),
    ]


def test_the_layout_computes_what_its_own_row_of_layers_does(
    known: tuple[nn.Sequential, Source],
) -> None:
    net, source = known
    x = picture(37, 42, 0)
    maps = source.features(["conv1_1", "relu1_2", "pool1", "conv3_1"])(x)
    for name, end in {"conv1_1": 3, "relu1_2": 7, "pool1": 8, "conv3_1": len(net)}.items():
        wanted = net[:end](x)
        torch.testing.assert_close(maps[name], wanted, rtol=1e-4, atol=1e-4 * wanted.abs().max())


def test_what_the_weights_do_not_reach_is_told(known: tuple[nn.Sequential, Source]) -> None:
    _, source = known
    assert source.there[-3:] == ["pool2", "conv3_1", "relu3_1"]
    assert source.default_layers() == (("relu1_1", "relu2_1", "relu3_1"), "relu3_1")
    with pytest.raises(DataError, match=r"do not reach relu4_2.*conv1_1.*relu3_1"):
        source.features(["relu1_1", "relu4_2"])
    with pytest.raises(UsageError, match=r"unknown layer of vgg19 'relu6_1'. Did you mean relu"):
        source.features(["relu6_1"])


def test_nothing_behind_the_deepest_layer_is_computed(known: tuple[nn.Sequential, Source]) -> None:
    features = known[1].features(["conv1_1", "relu2_1"])
    used: list[nn.Module] = []
    for layer in features.net.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(lambda layer, _given, _out: used.append(layer))
    features(picture(32, 32, 0))
    assert len(used) == 3


def test_a_layer_keeps_its_values_though_the_next_works_in_place(
    known: tuple[nn.Sequential, Source],
) -> None:
    maps = known[1].features(["conv1_1", "relu1_1"])(picture(32, 32, 0))
    assert maps["conv1_1"].min() < 0
    torch.testing.assert_close(maps["conv1_1"].relu(), maps["relu1_1"])


@pytest.mark.parametrize("masked", [False, True])
def test_the_loss_is_that_of_plain_loops(known: tuple[nn.Sequential, Source], masked: bool) -> None:
    _, source = known
    features, x, content = source.features(WEIGHTS.layers), picture(52, 61, 3), picture(52, 61, 4)
    told = Objective(features, content, styles(masked), WEIGHTS).losses(x)
    ours, theirs = features(x), features(content)
    wanted = 2.0 * content_loss(ours["relu2_2"][0].numpy(), theirs["relu2_2"][0].numpy())
    assert told.content == pytest.approx(wanted, rel=1e-4)
    wanted = 0.0
    for style in styles(masked):
        target = features(style.picture)
        for name, weight in WEIGHTS.style.items():
            share = None
            if style.mask is not None:
                size = ours[name].shape[2:]
                share = nn.functional.adaptive_avg_pool2d(style.mask[None], size)[0].numpy()
            wanted += style.weight * weight * loops(ours[name], target[name], share)
    assert told.style == pytest.approx(wanted, rel=1e-3)
    steps = (x.diff(dim=-1) ** 2).mean() + (x.diff(dim=-2) ** 2).mean()
    assert told.variation == pytest.approx(0.1 * steps.item(), rel=1e-5)
    assert told.total == pytest.approx(told.content + told.style + told.variation)


def loops(maps: torch.Tensor, target: torch.Tensor, share: np.ndarray | None) -> float:
    """The style loss of one layer by NumPy's einsum, in float64."""
    part = np.ones(maps.shape[2:]) if share is None else share.astype(np.float64)
    ours, theirs = maps[0].numpy().astype(np.float64), target[0].numpy().astype(np.float64)
    gram = np.einsum("khw,lhw,hw->kl", ours, ours, part / part.sum(), optimize=True)
    other = np.einsum("khw,lhw->kl", theirs, theirs, optimize=True) / theirs[0].size
    return style_loss(gram, other, positions=1)


@pytest.mark.parametrize("masked", [False, True])
def test_tiles_have_the_loss_and_the_gradient_of_the_whole(
    known: tuple[nn.Sequential, Source], masked: bool
) -> None:
    _, source = known
    features, x, content = source.features(WEIGHTS.layers), picture(52, 61, 3), picture(52, 61, 4)
    whole = Objective(features, content, styles(masked), WEIGHTS)
    margin = source.margin("conv3_1")
    assert margin == 16
    tiled = Objective(features, content, styles(masked), WEIGHTS, tile=8, margin=margin)
    assert (len(whole.windows), len(tiled.windows)) == (1, 12)
    told, wanted = whole.gradient(x)
    there, grad = tiled.gradient(x)
    assert (there.content, there.style) == pytest.approx((told.content, told.style), rel=1e-4)
    assert tiled.losses(x).total == pytest.approx(told.total, rel=1e-4)
    assert (grad - wanted).norm() < 1e-4 * wanted.norm()


def test_the_gradient_is_the_slope_of_the_loss(known: tuple[nn.Sequential, Source]) -> None:
    _, source = known
    features, content = source.features(WEIGHTS.layers), picture(52, 61, 4)
    features.double()
    features.dtype = torch.float64
    doubled = [Style(s.picture.double(), s.weight, None) for s in styles(False)]
    objective = Objective(features, content.double(), doubled, WEIGHTS)
    x, way = picture(52, 61, 3).double(), picture(52, 61, 5).double() - 0.5
    _, grad = objective.gradient(x)
    # A larger step would cross the bends of ReLUs and poolings.
    after, before = (objective.losses(x + step * way).total for step in (1e-8, -1e-8))
    assert (grad * way).sum().item() == pytest.approx((after - before) / 2e-8, rel=1e-5)


def test_windows_make_up_the_picture() -> None:
    counts = torch.zeros(52, 61)
    assert len(windows((52, 61), 8, 16)) == 3 * 4
    for window in windows((52, 61), 8, 16):
        y1, x1, y2, x2 = window.tile
        counts[y1:y2, x1:x2] += 1
        maps = window.of(torch.arange(52 * 61).view(52, 61))
        assert window.core(maps, 1).shape == (y2 - y1, x2 - x1)
        assert window.core(maps, 1)[0, 0] == y1 * 61 + x1
    assert (counts == 1).all()
