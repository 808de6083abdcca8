"""Faster R-CNN against what torchvision's finds, and its parts against plain loops.

``benchmarks/record_two_stage.py`` wrote the record.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from boda import models, tasks
from boda.models.faster_rcnn import FasterRCNN, Sizes
from boda.models.layers import FixedNorm, fix_norms, fold_eps
from tests.golden.filling import digest
from tests.golden.small_detectors import PREPARATION, answering, found, small

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "two_stage.json").read_text("utf-8"))
TINY = Sizes(width=8, hidden=16, anchor=4, before=20, proposals=10, norm=True)


def iou(a: list[float], b: list[float]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    both = max(0, width) * max(0, height)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return both / (areas - both)


def test_the_network_is_torchvision_s_to_the_tensor() -> None:
    with torch.device("meta"):
        net = models.create("faster-rcnn-resnet50-fpn")
    assert sum(p.numel() for p in net.parameters()) == 41_755_286
    assert len(net.state_dict()) == 295
    assert digest(net) == GOLDEN["tensors"]["faster"]


@pytest.mark.parametrize(
    "told", GOLDEN["anchors"], ids=lambda told: "x".join(map(str, told["size"]))
)
def test_anchors_are_torchvision_s(told: dict[str, Any]) -> None:
    with torch.device("meta"):
        net = models.create("faster-rcnn-resnet50-fpn")
    sides = [[-(-side // stride) for side in told["size"]] for stride in (4, 8, 16, 32)]
    sides.append([-(-side // 2) for side in sides[-1]])
    anchors = net.regions.anchors([torch.zeros(1, 1, *each) for each in sides], told["size"])
    assert len(anchors) == told["count"] and anchors[:3].tolist() == told["first"]
    whole = anchors.numpy().astype("<i4")
    assert (whole == anchors.numpy()).all()
    assert hashlib.sha256(whole.tobytes()).hexdigest() == told["digest"]


def test_the_maps_of_a_picture_have_the_sizes_the_anchors_expect() -> None:
    torch.manual_seed(0)
    net = FasterRCNN("resnet18", TINY, 2, 3, {"width": 1 / 8}).eval()
    maps, logits, deltas = net.first(torch.randn(2, 3, 97, 130))
    sides = [(25, 33), (13, 17), (7, 9), (4, 5), (2, 3)]
    assert [tuple(each.shape) for each in maps] == [(2, 8, *side) for side in sides]
    count = 3 * sum(h * w for h, w in sides)
    assert logits.shape == (2, count) and deltas.shape == (2, count, 4)
    assert net.regions.levels(maps) == [3 * h * w for h, w in sides]
    assert net.regions.anchors(maps, (97, 130)).shape == (count, 4)


def test_the_objectness_of_an_anchor_is_that_of_its_place() -> None:
    """Level by level, row by row, three shapes a place: a loop over one map."""
    torch.manual_seed(0)
    net = FasterRCNN("resnet18", TINY, 2, 3, {"width": 1 / 8}).eval()
    x = torch.randn(2, 8, 3, 4)
    logits, deltas = net.regions([x])
    hidden = net.regions.norm(net.regions.conv(x)).relu()
    planes, offsets = net.regions.objectness(hidden), net.regions.deltas(hidden)
    for place, (row, column, shape) in enumerate(np.ndindex(3, 4, 3)):
        assert torch.equal(logits[:, place], planes[:, shape, row, column])
        assert torch.equal(deltas[:, place], offsets[:, 4 * shape : 4 * shape + 4, row, column])


def test_detections_are_torchvision_s() -> None:
    golden = GOLDEN["faster"]
    for rows, theirs in zip(found(False, golden["answers"]), golden["found"], strict=True):
        compare(rows, theirs)


def compare(rows: Tensor, theirs: dict[str, Any]) -> None:
    """Every one that is told has its own among ours, in the same order; and there are as many."""
    rows = rows[rows[:, 4] > 0].numpy()
    assert len(rows) == theirs["count"]
    count = len(theirs["boxes"])
    assert count >= 30 and len(set(theirs["labels"])) == 3
    np.testing.assert_allclose(rows[:count, :4], theirs["boxes"], atol=0.1)
    np.testing.assert_allclose(rows[:count, 4], theirs["scores"], atol=1e-3)
    assert rows[:count, 5].tolist() == theirs["labels"]


# ---------------------------------------------------------------- regions


@pytest.mark.parametrize("seed", range(3))
def test_proposals_are_those_of_a_loop(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    levels, before, count = [40, 15, 5], TINY.before, TINY.proposals
    corner = 30 * torch.rand(2, sum(levels), 2, generator=generator)
    boxes = torch.cat([corner, corner + 25 * torch.rand(corner.shape, generator=generator)], 2)
    boxes[:, ::7, 2] = boxes[:, ::7, 0]  # some are lines
    scores = torch.rand(2, sum(levels), generator=generator)
    net = FasterRCNN("resnet18", TINY, 2, 3, {"width": 1 / 8})
    regions, sure = net.regions.propose(scores, boxes, levels, count)
    for picture in range(2):
        wanted = []
        for level, number in enumerate(levels):
            start = sum(levels[:level])
            order = sorted(range(start, start + number), key=lambda i: -scores[picture, i].item())
            kept: list[int] = []
            for i in order[:before]:
                box = boxes[picture, i].tolist()
                if min(box[2] - box[0], box[3] - box[1]) < 1e-3:
                    continue
                if all(iou(box, boxes[picture, j].tolist()) <= 0.7 for j in kept):
                    kept.append(i)
            wanted += kept
        wanted = sorted(wanted, key=lambda i: -scores[picture, i].item())[:count]
        assert len(wanted) == count
        assert torch.equal(regions[picture], boxes[picture, wanted])
        assert torch.equal(sure[picture], scores[picture, wanted])


def test_what_lies_outside_takes_the_place_of_others() -> None:
    """As in torchvision: the surest of a level are chosen first."""
    net = FasterRCNN("resnet18", TINY, 2, 3, {"width": 1 / 8})
    boxes = torch.tensor(
        [[0.0, 0.0, 0.0, 9.0]] * 19 + [[10.0 * i, 0, 10 * i + 9, 9] for i in range(9)]
    )
    scores = torch.linspace(0.9, 0.1, len(boxes))
    regions, sure = net.regions.propose(scores[None], boxes[None], [len(boxes)], 10)
    assert (sure > 0).tolist() == [[True] + 9 * [False]]
    assert torch.equal(regions[0, 0], boxes[19])


def test_boxes_without_sides_are_not_told() -> None:
    """Objects that the second stage moves out of the picture have score 0, whatever it says."""
    kind = tasks.method("faster-rcnn")
    net = answering(small(False), GOLDEN["faster"]["answers"])
    method = kind(net, PREPARATION, kind.Config()).eval()
    with torch.no_grad():  # the first class is moved by a hundred widths, the last stays
        net.head.boxes.weight.zero_()
        net.head.boxes.bias.zero_()[4] = 1000.0
    with torch.inference_mode():
        boxes, scores = method.second(*method.first(torch.zeros(1, 3, 96, 128, dtype=torch.uint8)))
    sides = (boxes[..., 2:] - boxes[..., :2]).amin(-1)
    assert (sides[..., 0] == 0).all() and (scores[..., 0] == 0).all()
    assert (scores[..., 2] > 0).any()


# ---------------------------------------------------------------- fixed norms


def test_a_fixed_norm_is_a_batch_norm_in_evaluation_mode() -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(6)
    for tensor in (norm.weight.data, norm.bias.data, norm.running_mean):
        tensor.normal_()
    norm.running_var.uniform_(1e-5, 2)
    net = nn.Sequential(nn.Sequential(norm))
    x = torch.randn(3, 6, 5, 4)
    wanted = net.eval()(x)
    fix_norms(net)
    fixed = net[0][0]
    assert isinstance(fixed, FixedNorm) and not list(fixed.parameters())
    before = {name: tensor.clone() for name, tensor in fixed.state_dict().items()}
    for training in (False, True):
        torch.testing.assert_close(net.train(training)(x), wanted, rtol=1e-5, atol=1e-5)
    assert all(torch.equal(fixed.state_dict()[name], tensor) for name, tensor in before.items())


def test_the_large_networks_have_no_norm_that_learns_and_the_small_ones_do() -> None:
    with torch.device("meta"):
        large, little = (
            models.create(f"faster-rcnn-{name}-fpn") for name in ("resnet50", "resnet18")
        )
    assert not any(isinstance(m, nn.BatchNorm2d) for m in large.modules())
    assert sum(isinstance(m, FixedNorm) for m in large.modules()) == 53
    assert not any(isinstance(m, FixedNorm) for m in little.modules())


def test_another_eps_is_folded_into_the_weights() -> None:
    generator = np.random.default_rng(0)
    weight, bias, mean = generator.normal(size=(3, 7))
    variance = 10.0 ** -np.arange(7)  # down to a tenth of our eps
    x = generator.normal(size=(2, 7, 3, 3))
    wanted = (x - mean[:, None, None]) * (weight / np.sqrt(variance))[:, None, None]
    wanted += bias[:, None, None]
    numbers = {"weight": weight, "bias": bias, "running_mean": mean, "running_var": variance}
    tensors = {f"a.bn1.{k}": torch.from_numpy(v).float() for k, v in numbers.items()}
    tensors["fc.weight"] = torch.ones(2, 2)
    folded = fold_eps(tensors, 0.0)
    assert all(folded[name] is tensor for name, tensor in tensors.items() if name != "a.bn1.weight")
    norm = FixedNorm(7)
    norm.load_state_dict({k.removeprefix("a.bn1."): v for k, v in folded.items() if k[0] == "a"})
    np.testing.assert_allclose(
        norm(torch.from_numpy(x).float()).numpy(), wanted, rtol=2e-4, atol=1e-3
    )


# ---------------------------------------------------------------- forward


@pytest.mark.parametrize("name", ["faster-rcnn-resnet18-fpn", "faster-rcnn-mobilenet-v2-fpn"])
def test_the_small_ones_run_at_their_smallest(name: str) -> None:
    torch.manual_seed(0)
    net = models.create(name, classes=3).eval()
    with torch.inference_mode():
        logits, deltas, classes, boxes = net(torch.randn(2, 3, 64, 96))
    anchors = 3 * (16 * 24 + 8 * 12 + 4 * 6 + 2 * 3 + 1 * 2)
    assert logits.shape == (2, anchors) and deltas.shape == (2, anchors, 4)
    assert classes.shape[::2] == (2, 4) and boxes.shape == (*classes.shape, 4)
    assert classes.shape[1] <= net.sizes.proposals
