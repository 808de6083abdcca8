"""The perceptual distance against a loop over positions; with real weights it hears blur before shift."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from boda import models
from boda.errors import UsageError
from boda.ops.blur import gaussian_blur
from boda.ops.perceptual import LAYERS, Features, perceptual_distance
from boda.stylizing.features import Source


def small() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(inplace=True), nn.Conv2d(5, 4, 3, 2)).double()


def layers(net: nn.Sequential, *places: int) -> Features:
    """The maps behind some of its layers."""
    return lambda x: {str(place): net[: place + 1](x) for place in places}


def test_it_is_a_loop_over_positions() -> None:
    """1 minus the cosine, twice; zeros have none, and are as far from others as 1."""
    net = small()
    one, other = (torch.rand(2, 3, 7, 6, dtype=torch.float64) for _ in range(2))
    found = perceptual_distance(layers(net, 1, 2), one, other)
    plain = perceptual_distance(layers(net, 1, 2), one, other, unit=False)
    for n in range(2):
        wanted, squares = 0.0, 0.0
        for depth in (2, 3):
            a, b = (net[:depth](x[n : n + 1])[0].detach() for x in (one, other))
            height, width = a.shape[1:]
            for y, x in itertools.product(range(height), range(width)):
                u, v = a[:, y, x].numpy(), b[:, y, x].numpy()
                lengths = np.linalg.norm(u), np.linalg.norm(v)
                cosine = u @ v / (lengths[0] * lengths[1]) if min(lengths) > 0 else None
                apart = 2 - 2 * cosine if cosine is not None else float(max(lengths) > 0)
                wanted += apart / (height * width)
                squares += ((u - v) ** 2).mean() / (height * width)
        assert found[n].item() == pytest.approx(wanted, abs=1e-6)
        assert plain[n].item() == pytest.approx(squares, rel=1e-9)


@pytest.mark.parametrize("unit", [True, False])
def test_its_gradient_is_of_what_is_said_alone(unit: bool) -> None:
    net = small()
    said = torch.rand(1, 3, 6, 6, dtype=torch.float64, requires_grad=True)
    truth = torch.rand(1, 3, 6, 6, dtype=torch.float64, requires_grad=True)

    def distance(x: Tensor) -> Tensor:
        return perceptual_distance(layers(net, 0, 2), x, truth, unit)

    assert torch.autograd.gradcheck(distance, (said,))
    distance(said).sum().backward()
    assert truth.grad is None and said.grad is not None
    dark = torch.zeros(1, 3, 6, 6, dtype=torch.float64, requires_grad=True)
    no_bias = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False)).double()
    perceptual_distance(layers(no_bias, 0), dark, truth.detach(), unit).sum().backward()
    assert dark.grad.isfinite().all(), "features of length 0"


def test_what_does_not_fit() -> None:
    net, x = small(), torch.rand(1, 3, 8, 8, dtype=torch.float64)
    with pytest.raises(UsageError, match=r"\(N, C, H, W\) twice"):
        perceptual_distance(layers(net, 0), x, x[..., 1:])
    flat = nn.Sequential(*net, nn.Flatten())
    with pytest.raises(UsageError, match=r"'3' puts out .*, no maps"):
        perceptual_distance(layers(flat, 3), x, x)


@pytest.mark.parametrize(("name", "count"), [("squeezenet-1.1", 7), ("alexnet", 5), ("vgg16", 5)])
def test_the_papers_layers_are_behind_relu(name: str, count: int) -> None:
    with torch.device("meta"):
        modules = dict(models.create(name).named_modules())
    assert len(LAYERS[name]) == len(set(LAYERS[name])) == count
    for layer in LAYERS[name]:
        if name == "vgg16":
            assert layer.startswith("relu")
        else:
            inside = [m for m in modules[layer].modules() if not [*m.children()]]
            assert isinstance(inside[-1], nn.ReLU)


def test_with_real_weights_blur_is_worse_than_a_shift(shared_data: Path) -> None:
    """The paper's figure 1: pixels prefer the blurred picture, features and people the other one."""
    file = shared_data / "weights" / "squeezenet1_1_fp16.npz"
    features = Source("squeezenet-1.1", file).features(LAYERS["squeezenet-1.1"])
    path = shared_data / "superres" / "Set14" / "image_SRF_4" / "img_009_SRF_4_HR.png"
    with Image.open(path) as picture:
        whole = torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)[None].float()
    whole = whole[..., :160, :160] / 255
    truth, shifted = whole[..., 1:, 1:], whole[..., :-1, :-1]
    blurred = gaussian_blur(truth, 1.0)
    pixels = [(x - truth).square().mean().item() for x in (blurred, shifted)]
    with torch.no_grad():
        seen = [perceptual_distance(features, x, truth).item() for x in (blurred, shifted, truth)]
    assert pixels[0] < pixels[1] and seen[0] > seen[1] > seen[2] == 0
