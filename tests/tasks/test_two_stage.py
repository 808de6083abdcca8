"""Faster and Mask R-CNN: their losses against plain loops, masks by hand, pictures learned by heart."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from boda import models, tasks
from boda.data.dataset import Batch
from boda.data.prepare import Preparation
from boda.errors import UsageError
from boda.metrics.detection import Detection, Found, Truth
from boda.outputs import BOX, pasted
from boda.tasks.detect.two_stage import Config, Regions, TwoStage
from boda.tasks.instances.mask_rcnn import mask_targets
from tests.tasks.overfitting import learned_by_heart

SIDE = 64
COLOURS = ((200, 40, 40), (40, 180, 60))


def method(name: str, config: Config | None = None, side: int = SIDE) -> TwoStage:
    torch.manual_seed(0)
    kind = tasks.method(name)
    net = models.create(f"{name}-resnet18-fpn", classes=2, width=0.25)
    made = kind(net, Preparation(side, side, 3, "letterbox"), config or Config())
    assert isinstance(made, TwoStage)
    return made


def squares(count: int, side: int = SIDE) -> Batch:
    """Red and green rectangles, one to three a picture; the last picture is empty."""
    draw = np.random.default_rng(3)
    images = draw.integers(90, 130, (count, 3, side, side)).astype(np.uint8)
    boxes, labels, masks = [], [], []
    for i in range(count):
        own, kinds, shapes = [], [], []
        for k in range(0 if i == count - 1 else 1 + i % 3):
            w, h = draw.integers(12, 22, 2)
            x, y = int(draw.integers(0, 20) + 21 * k), int(draw.integers(0, side - h))
            w = min(w, side - x)
            label = int(draw.integers(2))
            images[i, :, y : y + h, x : x + w] = np.array(COLOURS[label])[:, None, None]
            mask = torch.zeros(side, side, dtype=torch.bool)
            mask[y : y + h, x : x + w] = True
            own.append((x, y, x + w, y + h))
            kinds.append(label)
            shapes.append(mask)
        boxes.append(torch.tensor(own, dtype=torch.float32).view(-1, 4))
        labels.append(torch.tensor(kinds, dtype=torch.int64))
        masks.append(torch.stack(shapes) if shapes else torch.zeros(0, side, side).bool())
    number = torch.arange(count)
    return Batch(torch.from_numpy(images), number, number, boxes, labels, masks)


def overlap(a: list[float], b: list[float]) -> float:
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    both = max(0.0, w) * max(0.0, h)
    whole = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both
    return both / whole


def offsets(box: list[float], anchor: list[float]) -> list[float]:
    aw, ah = anchor[2] - anchor[0], anchor[3] - anchor[1]
    w, h = box[2] - box[0], box[3] - box[1]
    return [
        (box[0] + w / 2 - anchor[0] - aw / 2) / aw,
        (box[1] + h / 2 - anchor[1] - ah / 2) / ah,
        math.log(w / aw),
        math.log(h / ah),
    ]


def smooth(x: float, beta: float = 1 / 9) -> float:
    return 0.5 * x * x / beta if abs(x) < beta else abs(x) - beta / 2


def first_loss_by_loops(
    logits: Tensor, deltas: Tensor, anchors: Tensor, batch: Batch
) -> tuple[float, float]:
    """The first stage's losses where every anchor that is one thing or the other is drawn."""
    said: list[float] = []
    moved = 0.0
    for i in range(len(batch)):
        own = [] if batch.boxes is None else batch.boxes[i].tolist()
        places = anchors.tolist()
        table = [[overlap(a, b) for b in own] for a in places]
        best = [max((row[j] for row in table), default=0.0) for j in range(len(own))]
        for k, row in enumerate(table):
            high = max(row, default=0.0)
            # torch's IoU is float32's: a claim is an anchor that is as good as the best one.
            claims = [j for j in range(len(own)) if row[j] > 0 and abs(row[j] - best[j]) < 1e-6]
            x = float(logits[i, k])
            if high >= 0.7 or claims:
                j = max(claims, key=lambda j: row[j]) if claims else row.index(high)
                said.append(math.log1p(math.exp(-x)))
                wanted = offsets(own[j], places[k])
                moved += sum(
                    smooth(float(d) - w) for d, w in zip(deltas[i, k], wanted, strict=True)
                )
            elif high < 0.3:
                said.append(math.log1p(math.exp(x)))
    return sum(said) / len(said), moved / len(said)


def test_the_first_stage_learns_by_the_papers_rule() -> None:
    fit, batch = method("faster-rcnn", Config(anchors=10**6)), squares(3)
    fit.eval()
    with torch.no_grad():
        maps, logits, deltas = fit.net.first(fit.normalize(batch.images))
        logits, deltas = logits + torch.randn(logits.shape), deltas + torch.randn(deltas.shape) / 3
        anchors = fit.net.regions.anchors(maps, (SIDE, SIDE))
        found = fit._first_loss(logits, deltas, anchors, batch)
    objectness, region = first_loss_by_loops(logits, deltas, anchors, batch)
    assert float(found["objectness"]) == pytest.approx(objectness, rel=1e-4)
    assert float(found["region"]) == pytest.approx(region, rel=1e-4)


def test_the_second_stage_learns_classes_and_offsets_of_its_regions() -> None:
    fit, batch = method("faster-rcnn", Config(regions=10**6)), squares(4)
    fit.eval()
    with torch.no_grad():
        losses, maps, regions = fit.losses(batch)
        found, moved = fit.net.second(maps, regions.boxes, regions.pictures)
    entropy = offset = 0.0
    seen = []
    for k, (box, i, label) in enumerate(
        zip(regions.boxes.tolist(), regions.pictures.tolist(), regions.labels.tolist(), strict=True)
    ):
        own = batch.boxes[i].tolist()  # type: ignore[index]
        shares = [overlap(box, other) for other in own]
        high = max(shares, default=0.0)
        j = shares.index(high) if own else -1
        expected = 1 + int(batch.box_labels[i][j]) if high >= 0.5 else 0  # type: ignore[index]
        assert label == expected
        seen.append(expected)
        entropy -= float(found[k].log_softmax(0)[label])
        if label:
            wanted = offsets(own[j], box)
            for t, w, scale in zip(moved[k, label].tolist(), wanted, (10, 10, 5, 5), strict=True):
                offset += smooth(scale * (t - w))
    assert 1 in seen and 2 in seen and 0 in seen
    assert float(losses["classes"]) == pytest.approx(entropy / len(seen), rel=1e-4)
    assert float(losses["box"]) == pytest.approx(offset / len(seen), rel=1e-4)


def test_an_object_is_among_its_regions_even_where_none_is_proposed() -> None:
    fit, batch = method("faster-rcnn"), squares(3)
    nothing = torch.zeros(3, 5, 4)
    regions = fit._drawn(nothing, torch.zeros(3, 5), batch)
    assert regions.boxes.tolist() == torch.cat(batch.boxes).tolist()  # type: ignore[arg-type]
    assert regions.pictures.tolist() == [0, 1, 1]
    assert regions.labels.tolist() == [1 + int(k) for k in torch.cat(batch.box_labels)]  # type: ignore[arg-type]
    assert regions.objects.equal(regions.boxes) and regions.which.tolist() == [0, 0, 1]


def test_a_quarter_of_the_regions_at_most_are_objects() -> None:
    fit, batch = method("faster-rcnn", Config(regions=8)), squares(2)
    own = batch.boxes[0]  # type: ignore[index]
    near = own + torch.rand(20, 4)
    far = torch.rand(20, 4) * 8
    proposed = torch.stack([torch.cat([near, far]), torch.zeros(40, 4)])
    regions = fit._drawn(proposed, torch.ones(2, 40), batch)
    first = regions.labels[regions.pictures == 0]
    assert len(first) == 8 and int((first > 0).sum()) == 2


def test_the_mask_of_a_region_is_the_covered_share_of_its_cells() -> None:
    batch = squares(2)
    mask = torch.zeros(1, SIDE, SIDE, dtype=torch.bool)
    mask[0, 10:38, 8:36] = True
    batch.masks = [mask, torch.zeros(0, SIDE, SIDE).bool()]
    boxes = torch.tensor([[8.0, 10, 36, 38], [8, 10, 64, 38], [50, 50, 60, 60]])
    regions = Regions(
        boxes,
        torch.zeros(3).long(),
        torch.ones(3).long(),
        boxes,
        torch.arange(3),
        torch.zeros(3).long(),
    )
    whole, left, outside = mask_targets(batch, regions)
    assert whole.shape == (28, 28)
    assert whole[1:-1, 1:-1].min() == 1  # at the edges what is beside the object is read too
    assert whole.min() > 0.5
    assert left[1:-1, 1:13].min() == 1 and left[:, 15:].max() == 0
    assert outside.max() == 0


def test_without_objects_there_is_still_a_gradient_for_all() -> None:
    for name in ("faster-rcnn", "mask-rcnn"):
        fit, batch = method(name), squares(2)
        batch.boxes = [torch.zeros(0, 4)] * 2
        batch.box_labels = [torch.zeros(0).long()] * 2
        batch.masks = [torch.zeros(0, SIDE, SIDE).bool()] * 2
        sum(fit(batch).values()).backward()  # type: ignore[union-attr]
        assert all(p.grad is not None and p.grad.isfinite().all() for p in fit.parameters()), name


def test_proposals_are_the_surest_without_doubles() -> None:
    net = models.create("faster-rcnn-resnet18-fpn", classes=2, width=0.25)
    boxes = torch.tensor(
        [[[0.0, 0, 10, 10], [0, 0, 10, 11], [20, 20, 40, 40], [5, 5, 5, 9], [0, 0, 10, 10]]]
    )
    scores = torch.tensor([[0.6, 0.9, 0.3, 0.95, 0.8]])
    found, sure = net.regions.propose(scores, boxes, [3, 1, 1], 4)
    # The second suppresses the first, which is of its level; the last is of another one; one is empty.
    assert sure[0].tolist() == pytest.approx([0.9, 0.8, 0.3, 0.0])
    assert found[0, :3].tolist() == [[0, 0, 10, 11], [0, 0, 10, 10], [20, 20, 40, 40]]


def test_boxes_of_every_class_compete_within_their_class() -> None:
    fit = method("faster-rcnn")
    boxes = torch.tensor(
        [[[[0.0, 0, 10, 10], [1, 1, 11, 11]], [[0, 0, 10, 10.5], [30, 30, 40, 40]]]]
    )
    scores = torch.tensor([[[0.9, 0.2], [0.8, 0.5]]])
    rows = fit.finish(boxes, scores)[0]
    told = [[round(v, 3) for v in row] for row in rows.tolist() if row[4] > 0]
    assert told == [[0, 0, 10, 10, 0.9, 0], [30, 30, 40, 40, 0.5, 1], [1, 1, 11, 11, 0.2, 1]]


@pytest.mark.parametrize("changes", [{"iou": 0}, {"iou": 1.5}, {"regions": 2}, {"anchors": 0}])
def test_settings_out_of_range_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Config(**changes)


def test_it_says_its_anchors_and_proposals() -> None:
    told = method("faster-rcnn").describe()
    assert told["anchors"].value == "16 to 256"
    assert told["proposals"].value == 128


@pytest.mark.slow  # Mask R-CNN learns the same boxes, below
def test_faster_rcnn_learns_pictures_by_heart() -> None:
    assert learned_by_heart(method("faster-rcnn"), squares(6), 2e-3, 150) > 0.95


def test_mask_rcnn_learns_pictures_by_heart() -> None:
    fit, known = method("mask-rcnn"), squares(4)
    assert learned_by_heart(fit, known, 2e-3, 120) > 0.95  # its boxes
    metrics = Detection(["red", "green"], masks=True)
    with torch.inference_mode():
        outputs = fit.output(known.images).numpy()
    for rows, boxes, labels, masks in zip(
        outputs,
        known.boxes,
        known.box_labels,
        known.masks,
        strict=True,  # type: ignore[arg-type]
    ):
        sure = rows[rows[:, 4] > 0]
        said = pasted(sure, Preparation(SIDE, SIDE, 3, "letterbox"), (SIDE, SIDE))
        found = Found(sure[:, :4], sure[:, 4], sure[:, 5].astype(np.int64), said)
        metrics.update(found, Truth(boxes.numpy(), labels.numpy(), masks=masks.numpy()))
    assert rows.shape[1] == BOX + 28 * 28
    assert metrics.compute()["mask_map50"] > 0.95
