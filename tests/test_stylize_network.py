"""The network that gives a picture a style in one pass: fitted, written, applied."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import boda
from boda import api
from boda.errors import DataError, UsageError
from boda.models.style_network import InstanceNorm, StyleNetwork
from boda.stylizing import network
from tests.style_weights import normalised


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth, as photographs are."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def small_network() -> StyleNetwork:
    torch.manual_seed(0)
    return StyleNetwork(4, 1).eval().requires_grad_(False)


def test_parameters_are_the_published_count() -> None:
    with torch.device("meta"):
        net = StyleNetwork()
    assert sum(p.numel() for p in net.parameters()) == 1_679_235


@pytest.mark.parametrize("size", [(16, 16), (17, 30), (35, 18)])
def test_every_size_stays(size: tuple[int, int]) -> None:
    out = small_network()(torch.rand(2, 3, *size))
    assert out.shape == (2, 3, *size)
    assert out.min() >= 0 and out.max() <= 1


def test_the_norm_is_pytorchs() -> None:
    ours, theirs = InstanceNorm(5), nn.InstanceNorm2d(5, affine=True)
    for parameter in (*ours.parameters(), *theirs.parameters()):
        nn.init.uniform_(parameter, generator=torch.Generator().manual_seed(parameter.numel()))
    x = 3 + torch.randn(2, 5, 6, 7)
    torch.testing.assert_close(ours(x), theirs(x))


def test_norms_of_the_same_picture_change_nothing_and_are_forgotten() -> None:
    net, x = small_network(), torch.rand(1, 3, 24, 20)
    wanted = net(x)
    with net.seeing(x):
        torch.testing.assert_close(net(x), wanted)
        other = net(torch.rand(1, 3, 24, 20) ** 4)
    assert (net(x) - wanted).abs().max() == 0
    assert (other - wanted).abs().max() > 0.01


def test_tiles_have_the_tone_of_the_whole() -> None:
    net, large = small_network(), picture(150, 170)
    whole = network.apply(net, large).astype(int)
    tiled = network.apply(net, large, tile=96).astype(int)
    assert whole.shape == tiled.shape == (150, 170, 3)
    apart = np.abs(whole - tiled)
    assert apart.mean() < 2
    # With norms of its own, each tile would be normed for itself.
    alone = network.apply(net, large[:96, :96]).astype(int)
    assert np.abs(whole[:60, :60] - alone[:60, :60]).mean() > 2 * apart[:60, :60].mean()


def test_fitting_writes_a_network_that_stylize_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "CROP", 32)
    normalised(tmp_path / "vgg.pth")
    (tmp_path / "photos").mkdir()
    for number in range(3):
        Image.fromarray(picture(40, 50, number)).save(tmp_path / "photos" / f"{number}.png")
    given = {"weights": str(tmp_path / "vgg.pth"), "precision": "32", "size": 48}
    file = tmp_path / "style.safetensors"
    fitted = api.fit_style(picture(40, 40, 9), tmp_path / "photos", file, 0.02, **given)
    assert fitted.steps >= 1 and fitted.pictures == 3 and np.isfinite(fitted.loss)
    header = file.read_bytes()
    length = int.from_bytes(header[:8], "little")
    about = json.loads(json.loads(header[8 : 8 + length])["__metadata__"]["boda"])
    assert about["kind"] == "style-network" and about["steps"] == fitted.steps
    made = boda.stylize(picture(40, 50), network=str(file))
    assert made.picture.shape == (40, 50, 3)
    wanted = network.apply(network.open_network(file), picture(40, 50))
    np.testing.assert_array_equal(made.picture, wanted)
    with pytest.raises(UsageError, match="has its style already"):
        boda.stylize(picture(40, 50), [picture(40, 40)], network=str(file))
    with pytest.raises(UsageError, match=r"is a \.safetensors file"):
        api.fit_style(picture(40, 40), tmp_path / "photos", tmp_path / "a.pth", 0.01, **given)
    with pytest.raises(DataError, match="no picture in this folder"):
        (tmp_path / "empty").mkdir()
        api.fit_style(picture(40, 40), tmp_path / "empty", file, 0.01, **given)


def test_a_file_of_another_network_is_told(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(DataError, match="no network for a style"):
        boda.stylize(picture(40, 50), network=str(tmp_path / "other.safetensors"))
    with pytest.raises(DataError, match="no such file"):
        boda.stylize(picture(40, 50), network=str(tmp_path / "none.safetensors"))
