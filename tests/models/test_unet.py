"""U-Net against its paper's sizes and counts, and against the same steps written out."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from boda import models
from boda.errors import UsageError
from boda.look import summary
from boda.models import parts
from boda.models.upsampling import KINDS
from boda.ops.edge_avoiding import Alike, opposite

SIGMAS = {16: 0.2, 8: 0.2, 4: 0.2, 2: 0.2, 1: 0.5}  # of the light one


def count(name: str, **options: object) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in models.create(name, **options).parameters())


# ---------------------------------------------------------------- the paper's


def test_the_paper_s_counts_and_sizes() -> None:
    assert count("unet-2015") == 31_030_658
    assert count("unet-2015", channels=3) == 31_030_658 + 2 * 64 * 9
    with torch.device("meta"):
        net = models.create("unet-2015")
        assert net(torch.zeros(1, 1, 572, 572)).shape == (1, 2, 388, 388)
        assert net(torch.zeros(1, 1, 188, 220)).shape == (1, 2, 4, 36)


def test_the_paper_s_steps_written_out() -> None:
    """Figure 1: 572 → 570 → 568, cut to 392 and so on; here with 188."""
    torch.manual_seed(0)
    net = models.create("unet-2015").eval()
    state = net.state_dict()
    x = torch.randn(1, 1, 188, 188)

    def two(x: Tensor, name: str) -> Tensor:
        for layer in (0, 2):
            x = F.relu(F.conv2d(x, state[f"{name}.{layer}.weight"], state[f"{name}.{layer}.bias"]))
        return x

    maps = [two(x, "down.0")]
    for level in range(1, 5):
        maps.append(two(F.max_pool2d(maps[-1], 2), f"down.{level}"))
    assert [each.shape[-1] for each in maps] == [184, 88, 40, 16, 4]
    out = maps[-1]
    for step in range(4):
        weight, bias = state[f"enlarge.{step}.weight"], state[f"enlarge.{step}.bias"]
        out = F.conv_transpose2d(out, weight, bias, stride=2)
        skip = maps[3 - step]
        cut = (skip.shape[-1] - out.shape[-1]) // 2
        skip = skip[..., cut : cut + out.shape[-1], cut : cut + out.shape[-1]]
        out = two(torch.cat([skip, out], 1), f"up.{step}")
    out = F.conv2d(out, state["head.weight"], state["head.bias"])
    torch.testing.assert_close(net(x), out, atol=1e-4, rtol=1e-4)


def test_only_the_end_of_the_way_down_drops() -> None:
    torch.manual_seed(0)
    net = models.create("unet-2015").train()
    seen: list[Tensor] = []
    net.drop.register_forward_hook(lambda module, given, out: seen.append(out))
    with torch.inference_mode():
        net(torch.randn(1, 1, 188, 188))
    assert [each.shape[1] for each in seen] == [512, 1024]
    assert all((each == 0).float().mean() > 0.4 for each in seen)


@pytest.mark.parametrize("size", [(388, 388), (512, 512), (1, 5), (389, 404), (300, 517)])
def test_margins_cover_the_picture(size: tuple[int, int]) -> None:
    with torch.device("meta"):
        net = models.create("unet-2015")
        top, bottom, left, right = net.margins(*size)
        padded = torch.zeros(1, 1, top + size[0] + bottom, left + size[1] + right)
        out = net(padded).shape[-2:]
    for covered, side, before, after in zip(out, size, (top, left), (bottom, right), strict=True):
        assert before == 92 and after >= 92
        assert max(side, 4) <= covered < max(side, 4) + 16  # no more than is needed


@pytest.mark.parametrize(
    ("size", "legal"), [((570, 572), "572×572"), ((189, 188), "204×188"), ((256, 321), "268×332")]
)
def test_illegal_sizes_are_refused_with_the_next(size: tuple[int, int], legal: str) -> None:
    with torch.device("meta"):
        net = models.create("unet-2015")
        with pytest.raises(UsageError, match=f"Pad them to {legal}"):
            net(torch.zeros(1, 1, *size))


# ---------------------------------------------------------------- the one people use


def test_the_usual_counts() -> None:
    assert count("unet", light=False, width=64, up="2x2") == 31_037_698
    bigger = sum(12 * 2 * w * w for w in (64, 128, 256, 512))  # 4×4 for 2×2
    assert count("unet", light=False, width=64, up="transposed") == 31_037_698 + bigger


@pytest.mark.parametrize(
    ("kind", "light"),
    [
        (kind, light)
        for kind in KINDS
        for light in (True, False)
        if (kind, light) != ("unpool", True)
    ],
)
@pytest.mark.parametrize("size", [(16, 16), (37, 50), (64, 33)])
def test_any_size_with_any_way_up(kind: str, light: bool, size: tuple[int, int]) -> None:
    net = models.create("unet", classes=3, width=4, up=kind, light=light).eval()
    assert net(torch.randn(2, 3, *size)).shape == (2, 3, *size)


def disturb(net: torch.nn.Module) -> None:
    """Statistics that are not those of a new network."""
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)


def test_the_usual_steps_written_out() -> None:
    torch.manual_seed(0)
    net = models.create("unet", classes=3, width=4, up="bilinear", light=False).eval()
    disturb(net)
    state = net.state_dict()
    x = torch.randn(2, 3, 48, 80)

    def two(x: Tensor, name: str) -> Tensor:
        for layer in (0, 1):
            x = F.conv2d(x, state[f"{name}.{layer}.0.weight"], padding=1)
            norm = [state[f"{name}.{layer}.1.{n}"] for n in ("running_mean", "running_var")]
            affine = [state[f"{name}.{layer}.1.{n}"] for n in ("weight", "bias")]
            x = F.relu(F.batch_norm(x, *norm, *affine))
        return x

    maps = [two(x, "down.0")]
    for level in range(1, 5):
        maps.append(two(F.max_pool2d(maps[-1], 2), f"down.{level}"))
    out = maps[-1]
    for step in range(4):
        out = F.conv2d(out, state[f"enlarge.{step}.mix.weight"], state[f"enlarge.{step}.mix.bias"])
        out = F.interpolate(out, scale_factor=2, mode="bilinear")
        out = two(torch.cat([maps[3 - step], out], 1), f"up.{step}")
    out = F.conv2d(out, state["head.weight"], state["head.bias"])
    torch.testing.assert_close(net(x), out, atol=1e-5, rtol=1e-4)


def test_the_light_one_s_steps_written_out() -> None:
    """Squares of 2×2 pixels as channels, sums of maps, and each place's scores for its four pixels."""
    torch.manual_seed(0)
    net = models.create("unet", classes=3).eval()
    disturb(net)
    state = net.state_dict()
    x = torch.randn(2, 3, 64, 96)

    def one(x: Tensor, name: str) -> Tensor:
        norm = [state[f"{name}.1.{n}"] for n in ("running_mean", "running_var", "weight", "bias")]
        return F.relu(F.batch_norm(F.conv2d(x, state[f"{name}.0.weight"], padding=1), *norm))

    corners = [x[..., row::2, column::2] for row in (0, 1) for column in (0, 1)]
    alike = Alike(x, SIGMAS)
    told = [alike.places(8), alike.places(4), alike.places(2), alike.places(1)]
    told[1:1] = [opposite(told[0], 4)]
    told[3:3] = [opposite(told[2], 2)]
    places = torch.cat([torch.stack(corners, 2).flatten(1, 2), *(2 * each - 1 for each in told)], 1)
    maps = [one(places, "first")]
    for level in range(4):
        maps.append(one(one(F.max_pool2d(maps[-1], 2), f"down.{level}.0"), f"down.{level}.1"))
    assert [each.shape[1] for each in maps] == [32, 64, 96, 96, 96]
    out = maps[-1]
    for step in range(4):
        if maps[3 - step].shape[1] != out.shape[1]:
            mix = [state[f"enlarge.{step}.mix.{n}"] for n in ("weight", "bias")]
            out = F.conv2d(out, *mix)
        out = F.interpolate(out, scale_factor=2, mode="bilinear")
        out = one(maps[3 - step] + out, f"up.{step}")
    places = F.conv2d(out, state["head.weight"], state["head.bias"])
    scores = torch.empty(2, 3, 64, 96)
    for corner, part in enumerate(places.unflatten(1, (3, 4)).unbind(2)):
        scores[..., corner // 2 :: 2, corner % 2 :: 2] = part
    torch.testing.assert_close(net(x), alike.mean(scores), atol=1e-5, rtol=1e-4)


def test_the_light_one_learns_without_the_means_until_it_learns_as_it_is_used() -> None:
    torch.manual_seed(0)
    net = models.create("unet", classes=3)
    x = torch.randn(2, 3, 32, 48)
    plain = net(x)
    net.as_used = True
    torch.testing.assert_close(net(x), Alike(x, SIGMAS).mean(plain))
    net(x).square().sum().backward()
    assert (net.head.weight.grad != 0).any()


def test_the_light_one_without_edges_looks_at_colours_alone() -> None:
    """As the same network with them, where weights of likeness are 0, before the last means."""
    torch.manual_seed(0)
    net = models.create("unet", classes=3).eval()
    disturb(net)
    state = net.state_dict()
    plain = models.create("unet", classes=3, edges=False).eval()
    state["first.0.weight"][:, 12:] = 0
    x = torch.randn(1, 3, 33, 50)
    with_them = net(x)
    plain.load_state_dict(state | {"first.0.weight": state["first.0.weight"][:, :12]})
    means = Alike(x, SIGMAS).mean(plain(x))
    torch.testing.assert_close(with_them, means, atol=1e-5, rtol=1e-4)


def test_the_light_one_does_less_than_a_tenth_of_the_work() -> None:
    """Of the usual one with as many channels at first."""
    with torch.device("meta"):
        light, usual = (
            summary(models.create("unet", width=32, light=each), (3, 128, 128)).multiply_adds
            for each in (True, False)
        )
    assert 0.08 < light / usual < 0.1


def test_the_light_one_does_not_unpool() -> None:
    with pytest.raises(UsageError, match="--set light=false"):
        models.create("unet", up="unpool")


def test_no_width_without_channels() -> None:
    for light in (True, False):
        with pytest.raises(UsageError, match="Give 1 or more"):
            models.create("unet", width=0, light=light)


# ---------------------------------------------------------------- behind a backbone


def test_a_backbone_s_maps_skip() -> None:
    torch.manual_seed(0)
    net = models.create("unet-resnet18", classes=3, width=1 / 8).eval()
    x = torch.randn(2, 3, 70, 97)
    continued = F.pad(x, (0, 128 - 97, 0, 96 - 70), mode="replicate")
    maps = parts.maps(net.backbone.net, continued, (2, 4, 8, 16, 32))
    out = maps[-1]
    for step, skip in enumerate(maps[-2::-1]):
        mix = net.ups[step].mix
        out = F.interpolate(F.conv2d(out, mix.weight, mix.bias), scale_factor=2, mode="bilinear")
        out = torch.cat([skip, out], 1)
        for convolution, norm, _ in net.merges[step]:
            out = F.conv2d(out, convolution.weight, padding=1)
            out = F.relu(F.batch_norm(out, norm.running_mean, norm.running_var))
    out = F.conv2d(out, net.head.weight, net.head.bias)
    out = F.interpolate(out, scale_factor=2, mode="bilinear")[..., :70, :97]
    inside = (..., slice(1, None), slice(1, None))  # the last step is a transposed convolution
    torch.testing.assert_close(net(x)[inside], out[inside], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "backbone", ["resnet50", "vgg11", "efficientnet-b0", "squeezenet-1.1", "mobilenet-v2"]
)
def test_any_size_with_any_backbone(backbone: str) -> None:
    """Some round up where a side is odd, some down, and SqueezeNet does not pad."""
    with torch.device("meta"):
        net = models.create("unet-resnet18", classes=3, backbone=backbone)
        for size in ((64, 64), (65, 94), (127, 81), (64, 300)):
            assert net(torch.zeros(2, 3, *size)).shape == (2, 3, *size)


def test_the_way_up_is_an_option() -> None:
    with torch.device("meta"):
        net = models.create("unet-resnet18", decoder=(16.0, 12.0, 10.0, 8.0))
        assert [merge[-1][0].out_channels for merge in net.merges] == [16, 12, 10, 8]
        net = models.create("unet-squeezenet", decoder=[16, 12, 10, 8])
        assert [merge[-1][0].out_channels for merge in net.merges] == [12, 10, 8]
        net = models.create("unet-resnet18", up="transposed")
        assert [up.up.kernel_size for up in net.ups] == 4 * [(4, 4)]
        with pytest.raises(UsageError, match="give 4 channels"):
            models.create("unet-resnet18", decoder=(16, 8))
        with pytest.raises(UsageError, match="unet and segnet un-pool"):
            models.create("unet-resnet18", up="unpool")
