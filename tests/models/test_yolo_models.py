"""The networks of YOLO v1 and v2 against the papers' layers, published counts and the notes' shapes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from boda import models
from boda.errors import UsageError
from boda.look import summary
from boda.models import parts
from boda.models.darknet import Darknet19
from boda.models.yolo_v2 import Cells


def outline(name: str, **options: object) -> nn.Module:
    with torch.device("meta"):
        return models.create(name, **options)


def convolutions(net: nn.Module) -> list[nn.Conv2d]:
    return [module for module in net.modules() if isinstance(module, nn.Conv2d)]


def test_darknet19_is_the_table_of_the_paper() -> None:
    found = summary(outline("darknet19"), (3, 224, 224))
    assert f"{2 * found.multiply_adds / 1e9:.2f}" == "5.58"  # section 3: billion operations
    sizes = [conv.kernel_size[0] for conv in convolutions(outline("darknet19"))]
    channels = [conv.out_channels for conv in convolutions(outline("darknet19"))]
    assert sizes == [3, 3, 3, 1, 3, 3, 1, 3, 3, 1, 3, 1, 3, 3, 1, 3, 1, 3, 1]
    assert channels == [
        *(32, 64, 128, 64, 128, 256, 128, 256),
        *(512, 256, 512, 256, 512, 1024, 512, 1024, 512, 1024, 1000),
    ]
    # Weights, a mean and a variance are no parameters; the norm's two numbers a channel are.
    inputs = [3, *channels[:-1]]
    weights = [k * k * i * o for k, i, o in zip(sizes, inputs, channels, strict=True)]
    assert found.parameters == sum(weights) + 2 * sum(channels[:-1]) + 1000 == 20_842_376
    pools = [row.output_shape[1] for row in found.layers if row.kind == "MaxPool2d"]
    assert pools == [112, 56, 28, 14, 7]


def test_darknet19_is_a_backbone() -> None:
    net = Darknet19(classes=3, width=1 / 16)
    found = parts.maps(net, torch.zeros(1, 3, 64, 96), (8, 16, 32))
    assert [tuple(each.shape) for each in found] == [
        (1, 16, 8, 12),
        (1, 32, 4, 6),
        (1, 64, 2, 3),
    ]


def test_yolo_v1_has_the_layers_of_figure_3() -> None:
    net = outline("yolo-v1")
    assert len(convolutions(net)) == 24
    assert len([m for m in net.modules() if isinstance(m, nn.Linear)]) == 2
    found = summary(net, (3, 448, 448))
    sides = [row.output_shape[1] for row in found.layers if row.kind in ("MaxPool2d", "Conv2d")]
    assert sides == [224, 112, 112, 56, *[56] * 4, 28, *[28] * 10, 14, *[14] * 5, 7, 7, 7]
    assert sum(p.numel() for p in net.parameters()) == found.parameters == 271_703_550
    # The authors' page has 40.19 billion operations for the network of this paper as they released it
    # in the end, with the same convolutions and one dense layer, 7·7·256 → 7·7·35.
    of_convolutions = sum(row.multiply_adds for row in found.layers if row.kind == "Conv2d")
    assert f"{2 * (of_convolutions + 49 * 256 * 49 * 35) / 1e9:.2f}" == "40.19"


def test_fast_yolo_has_nine_convolutions() -> None:
    net = outline("yolo-v1-fast")
    channels = [conv.out_channels for conv in convolutions(net)]
    assert channels == [16, 32, 64, 128, 256, 512, 1024, 1024, 1024]
    by_hand = sum(
        9 * i * o + o for i, o in zip([3, *channels], channels, strict=False)
    )  # and the dense layers:
    for i, o in ((49 * 1024, 256), (256, 4096), (4096, 49 * 30)):
        by_hand += i * o + o
    assert sum(p.numel() for p in net.parameters()) == by_hand == 45_089_374
    assert net(torch.empty(1, 3, 448, 448, device="meta")).shape == (1, 7, 7, 30)


def test_yolo_v2_has_the_published_work() -> None:
    # The authors' page: 62.94 billion operations at 608×608 with the classes of COCO.
    found = summary(outline("yolo-v2", classes=80), (3, 608, 608))
    assert f"{2 * found.multiply_adds / 1e9:.2f}" == "62.94"
    assert summary(outline("yolo-v2"), (3, 416, 416)).parameters == 50_655_389


@pytest.mark.parametrize("side, cells", [(416, 13), (320, 10), (608, 19)])
def test_yolo_v2_is_s_by_s_by_a_by_5_and_c(side: int, cells: int) -> None:
    pictures = torch.empty(2, 3, side, side, device="meta")
    assert outline("yolo-v2")(pictures).shape == (2, cells, cells, 5, 5 + 20)


def test_the_volumes_of_the_notes() -> None:
    """Three classes on a grid of 3×3: 3×3×8, and with two anchors 3×3×2×8."""
    v1 = models.create("yolo-v1-fast", classes=3, width=0.125, grid=3, boxes=1)
    assert v1(torch.zeros(1, 3, 100, 100)).shape == (1, 3, 3, 8)
    v2 = models.create("yolo-v2", classes=3, width=0.125, anchors=2)
    assert v2.eval()(torch.zeros(1, 3, 96, 96)).shape == (1, 3, 3, 2, 8)


def test_cells_are_places_of_the_map() -> None:
    x = torch.arange(2 * 6 * 3 * 4.0).view(2, 6, 3, 4)
    out = Cells(2)(x)
    assert out.shape == (2, 3, 4, 2, 3)
    for n, y, across, anchor, value in [(0, 0, 0, 0, 0), (1, 2, 3, 1, 2), (0, 1, 2, 1, 0)]:
        assert out[n, y, across, anchor, value] == x[n, 3 * anchor + value, y, across]


def test_a_change_in_a_corner_reaches_its_cell_through_the_finer_map() -> None:
    """What is passed through stays at its place: no cell far from the change sees it."""
    torch.manual_seed(0)
    net = models.create("yolo-v2", width=1 / 16).eval()
    net.deeper = nn.Sequential(nn.Identity(), nn.Identity())
    seen = {}

    def passed(module: nn.Module, given: tuple[torch.Tensor]) -> None:
        seen["x"] = given[0]

    net.merged.register_forward_pre_hook(passed)
    x = torch.randn(1, 3, 256, 256)
    net(x)
    before = seen["x"]
    x[..., -1, -1] += 10
    net(x)
    changed = (seen["x"] - before)[:, : before.shape[1] - 64].abs().sum((0, 1)) > 0
    assert changed[-1, -1] and not changed[:4, :4].any()


@pytest.mark.parametrize("name", ["yolo-v1", "yolo-v1-fast"])
def test_pictures_of_any_size_give_the_same_grid(name: str) -> None:
    net = outline(name, width=0.125)
    for size in ((64, 64), (100, 130), (448, 448), (640, 480)):
        assert net(torch.empty(1, 3, *size, device="meta")).shape == (1, 7, 7, 30)


@pytest.mark.parametrize("name", ["yolo-v1", "yolo-v1-fast"])
def test_features_and_head_are_the_network(name: str) -> None:
    """What is in front of the head can be computed once and kept."""
    torch.manual_seed(0)
    net = models.create(name, width=0.125).eval()
    x = torch.randn(2, 3, 64, 64)
    head = net.get_submodule(parts.head(net)[0])
    kept = []
    handle = head.register_forward_pre_hook(lambda module, given: kept.append(given[0]))
    out = net(x)
    handle.remove()
    assert torch.equal(head(kept[0]), out)
    inside = sum(p.numel() for block in parts.blocks(net) for m in block for p in m.parameters())
    assert inside + sum(p.numel() for p in head.parameters()) == sum(
        p.numel() for p in net.parameters()
    )


def test_weights_of_darknet19_keep_their_names() -> None:
    net, classifier = outline("yolo-v2"), outline("darknet19")
    theirs = {name: value.shape for name, value in classifier.features.state_dict().items()}
    ours = net.get_submodule("backbone.net.features").state_dict()
    assert {name: value.shape for name, value in ours.items()} == theirs
    assert parts.backbone(net) is net.backbone.net


def test_what_a_network_cannot_take_is_refused_with_the_fix() -> None:
    with pytest.raises(UsageError, match="--size 96x128"):
        outline("yolo-v2", width=0.125)(torch.empty(1, 3, 100, 120, device="meta"))
    for name, options in {
        "yolo-v1": {"width": 0.01},
        "yolo-v1-fast": {"grid": 0},
        "yolo-v2": {"anchors": 0},
        "darknet19": {"width": math.nan},
    }.items():
        with pytest.raises(UsageError, match="Give"):
            models.create(name, **options)
