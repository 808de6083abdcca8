"""The networks of pix2pix, CycleGAN and DiscoGAN: their sizes, what they see, what they keep."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from boda import models
from boda.errors import UsageError
from boda.models.cyclegan import ResidualGenerator, TwoWays
from boda.models.patchgan import PatchGAN
from boda.models.pix2pix import Pix2Pix, TranslatingUNet
from boda.models.retouching import Retouching


def count(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def test_the_papers_have_their_parameters() -> None:
    """As the authors' PyTorch implementation prints them: 54.414, 2.769, 11.378 and 2.765 million."""
    with torch.device("meta"):
        pix2pix, cyclegan = models.create("pix2pix-2016"), models.create("cyclegan-2017")
        assert count(TranslatingUNet(depth=7)) == 41_829_571  # for 128×128
        discogan = models.create("discogan-2017")
    assert isinstance(pix2pix, Pix2Pix) and isinstance(cyclegan, TwoWays)
    assert count(pix2pix.generator) == 54_414_531
    assert count(pix2pix.discriminator) == 2_768_705
    scales = 2 * (2 * (64 + 128) + 256 + 9 * 2 * 256)  # of the norms, which there have none
    assert count(cyclegan.generator) == count(cyclegan.back) == 11_378_179 + scales
    assert count(cyclegan.judge_a) == 2_764_737
    assert isinstance(discogan, TwoWays)
    kernels = 2 * 16 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512)
    norms = 2 * (2 * (128 + 256) + 512 + 64)
    assert count(discogan.generator) == kernels + norms
    assert count(discogan.judge_b) == kernels // 2 + 2 * (128 + 256 + 512) + 16 * 512


@pytest.mark.parametrize(("layers", "seen"), [(1, 16), (2, 34), (3, 70)])
def test_a_patch_is_as_large_as_the_paper_says(layers: int, seen: int) -> None:
    """By the pixels that change one logit in the middle."""
    torch.manual_seed(0)
    net = PatchGAN(1, 2, layers, "none").double()
    for parameter in net.parameters():  # no leaky slope may cancel another
        nn.init.uniform_(parameter, 0.1, 1)
    x = torch.rand(1, 1, 128, 128, dtype=torch.float64, requires_grad=True)
    out = net(x)
    middle = out.shape[-1] // 2
    out[0, 0, middle, middle].backward()
    assert x.grad is not None
    rows, columns = torch.nonzero(x.grad[0, 0], as_tuple=True)
    assert rows.max() - rows.min() + 1 == columns.max() - columns.min() + 1 == seen


@pytest.mark.parametrize("name", ["pix2pix", "cyclegan", "discogan"])
@pytest.mark.parametrize("size", [(64, 64), (67, 90)])
def test_pictures_keep_their_size_and_range(name: str, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    net = models.create(name, width=4).eval()
    out = net(torch.rand(2, 3, *size) * 2 - 1)
    assert out.shape == (2, 3, *size) and out.abs().max() <= 1


def test_what_was_given_skips_to_the_last_convolutions() -> None:
    """With everything below shut, a pixel still changes the 5×5 around it, and nothing else."""
    torch.manual_seed(0)
    net = TranslatingUNet(3, 4, 5, "transposed", "none", 0.0, refined=4).eval()
    nn.init.zeros_(net.enlarge[-1].up.weight)
    x = torch.rand(1, 3, 64, 64)
    other = x.clone()
    other[..., 30, 40] += 1
    rows, columns = torch.nonzero((net(x) - net(other)).abs().sum(1)[0], as_tuple=True)
    assert 28 <= rows.min() <= 30 <= rows.max() <= 32
    assert 38 <= columns.min() <= 40 <= columns.max() <= 42


def test_retouching_begins_with_what_it_is_given() -> None:
    torch.manual_seed(0)
    net, x = Retouching(3, 4), torch.rand(2, 3, 37, 50) * 2 - 1
    torch.testing.assert_close(net(x), x)
    # Then each channel of each pixel has a gain of its light, and something is added.
    nn.init.constant_(net.head.bias[:12], 0.5)  # twelve maps are the gains of 2×2 pixels
    nn.init.constant_(net.head.bias[12:], -0.1)
    expected = (x + 1) * torch.tensor(0.5).exp() - 1 - 0.1
    torch.testing.assert_close(net(x), expected)
    torch.testing.assert_close(net.eval()(x), expected.clamp(-1, 1))
    nn.init.constant_(net.head.bias[:12], 90)
    assert net.train()(x).isfinite().all()


def test_each_pixel_has_its_own_gain() -> None:
    torch.manual_seed(0)
    net = Retouching(1, 4)
    nn.init.normal_(net.head.weight, std=0.3)
    x = torch.rand(1, 1, 32, 32)
    gain = (net(x) + 1) / (x + 1)
    assert gain.std() > 0.05 and (net(x.flip(3)).flip(3) - net(x)).abs().max() > 1e-3


def test_slow_light_begins_and_ends_as_the_other_does() -> None:
    torch.manual_seed(0)
    net, x = Retouching(3, 4, slow=True), torch.rand(2, 3, 37, 50) * 2 - 1
    torch.testing.assert_close(net(x), x)
    assert net.light is not None
    nn.init.constant_(net.light.bias, 0.5)
    nn.init.constant_(net.head.bias, -0.1)
    torch.testing.assert_close(net(x), (x + 1) * torch.tensor(0.5).exp() - 1 - 0.1)
    nn.init.constant_(net.light.bias, 90)
    assert net(x).isfinite().all() and net.eval()(x).abs().max() <= 1


def test_slow_light_changes_slowly_and_what_is_added_from_pixel_to_pixel() -> None:
    """Between the middles of squares of 8×8 pixels gains are exponentials of straight lines."""
    torch.manual_seed(0)
    net, x = Retouching(1, 4, slow=True), torch.rand(1, 1, 64, 64)
    assert net.light is not None
    nn.init.normal_(net.light.weight, std=0.3)
    slow = ((net(x) + 1) / (x + 1)).log()
    assert slow.std() > 0.05
    rows = slow[..., 4:-4].unflatten(-1, (-1, 8))
    assert rows.diff(n=2, dim=-1).abs().max() < 1e-5 < slow.diff(n=2, dim=-1).abs().max()
    nn.init.zeros_(net.light.weight)
    nn.init.normal_(net.head.weight, std=0.3)
    fast = net(x) - x
    assert fast.unflatten(-1, (-1, 8)).diff(n=2, dim=-1).abs().max() > 0.01


def test_what_is_added_is_no_checkerboard() -> None:
    """Where the four pixels of a square are said apart, all the same nothing of period two is left."""
    torch.manual_seed(0)
    net, x = Retouching(1, 4, slow=True), torch.rand(1, 1, 32, 32)
    assert net.head.bias is not None
    net.head.bias.data = torch.tensor([1.0, -1.0, -1.0, 1.0])
    torch.testing.assert_close(net(x)[..., 1:-1, 1:-1], x[..., 1:-1, 1:-1])
    net.head.bias.data = torch.tensor([0.0, 0.0, 0.0, 4.0])  # one pixel of each square
    torch.testing.assert_close(net(x)[..., 1:-1, 1:-1], x[..., 1:-1, 1:-1] + 1)


@pytest.mark.parametrize("name", ["cyclegan", "discogan"])
def test_spectral_judges_see_how_bright_it_is(name: str) -> None:
    torch.manual_seed(0)
    net = models.create(name, width=16)
    assert isinstance(net, TwoWays)
    judge = net.judge_b
    for _ in range(60):  # power iterations, one a look
        judge(torch.zeros(2, 3, 64, 64))
    kernels = [m.weight.flatten(1) for m in judge.modules() if isinstance(m, nn.Conv2d)]
    for kernel in kernels:
        assert torch.linalg.matrix_norm(kernel, 2).item() == pytest.approx(1, abs=0.01)
    assert not any(isinstance(m, nn.InstanceNorm2d | nn.BatchNorm2d) for m in judge.modules())
    dim = torch.rand(1, 3, 64, 64) - 1
    assert (judge(dim) - judge(dim + 0.5)).abs().mean() > 1e-3


def test_no_layers_are_refused() -> None:
    for build, message in (
        (lambda: PatchGAN(3, 0), "width 0"),
        (lambda: PatchGAN(3, 4, norm="layer"), "batch"),
        (lambda: TranslatingUNet(depth=1), "depth of 2"),
        (lambda: TranslatingUNet(up="nearest"), "bilinear"),
        (lambda: ResidualGenerator(blocks=0), "0 blocks"),
        (lambda: models.create("cyclegan", width=0), "width 0"),
        (lambda: models.create("discogan", width=0), "width 0"),
    ):
        with pytest.raises(UsageError, match=message):
            build()
