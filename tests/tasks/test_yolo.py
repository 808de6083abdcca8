"""``yolo``: its loss against plain loops, its boxes by hand, and that it learns to find what is drawn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from boda import models, tasks
from boda.data import synthetic
from boda.data.dataset import Batch, Pictures
from boda.data.prepare import Preparation
from boda.errors import UsageError
from boda.metrics.detection import Detection
from boda.ops.assignment import assign_aligned
from boda.ops.boxes import ciou
from boda.tasks.detect.task import found, truth
from boda.tasks.detect.yolo import Config, Yolo

SIDE = 64


def small(classes: int = 3) -> Yolo:
    torch.manual_seed(0)
    net = models.create("yolo", classes=classes, width=0.125)
    return Yolo(net, Preparation(SIDE, SIDE), Config())


def batch(count: int = 3) -> Batch:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, SIDE, SIDE), dtype=torch.uint8, generator=generator)
    boxes = [torch.tensor([[4.0, 6, 30, 40], [20, 20, 60, 62]]), torch.zeros(0, 4)]
    labels = [torch.tensor([0, 2]), torch.zeros(0, dtype=torch.int64)]
    boxes, labels = (boxes * count)[:count], (labels * count)[:count]
    return Batch(images, torch.zeros(count).long(), torch.arange(count), boxes, labels)


def test_the_tensors_are_those_of_the_notes() -> None:
    """S × S × A × (5 + C) for each of the three strides."""
    out = small().net(torch.zeros(2, 3, SIDE, 2 * SIDE))
    assert [tuple(each.shape) for each in out] == [
        (2, 8, 16, 1, 8), (2, 4, 8, 1, 8), (2, 2, 4, 1, 8)
    ]  # fmt: skip


def test_a_cell_tells_its_box() -> None:
    """bx = x + stride·(3σ(tx) − 1.5), bh = 4·stride·exp(th): by hand."""
    numbers = torch.tensor([[[0.0, 0.4, -0.2, math.log(0.5), math.log(0.25), 0.0]]])
    box = Yolo.boxes(numbers, torch.tensor([[20.0, 36.0]]), torch.tensor([8.0]))[0, 0].tolist()
    x = 20 + 8 * (3 / (1 + math.exp(-0.4)) - 1.5)
    y = 36 + 8 * (3 / (1 + math.exp(0.2)) - 1.5)
    assert box == pytest.approx([x - 4, y - 8, x + 4, y + 8], rel=1e-5)


def test_the_loss_is_that_of_plain_loops() -> None:
    method, given = small(), batch()
    method.eval()
    numbers, centres, strides = method.raw(given.images)
    boxes = method.boxes(numbers, centres, strides)
    assert given.boxes is not None and given.box_labels is not None
    total = shares = objectness = box_loss = class_loss = 0.0
    targets = torch.zeros(numbers.shape[:2])
    for i in range(len(given)):
        scores = torch.sigmoid(numbers[i, :, :1]) * torch.sigmoid(numbers[i, :, 5:])
        chosen = assign_aligned(
            scores[:, given.box_labels[i]], boxes[i], given.boxes[i], centres, strides, 10
        )
        for cell, k, share, quality in zip(*(each.tolist() for each in chosen), strict=True):
            targets[i, cell] = quality
            total, shares = total + quality, shares + share
            box_loss += share * (1 - ciou(boxes[i, cell], given.boxes[i][k])).item()
            for c in range(3):
                p = torch.sigmoid(numbers[i, cell, 5 + c]).item()
                is_c = int(given.box_labels[i][k]) == c
                class_loss -= share * math.log(p if is_c else 1 - p)
    for row, wanted in zip(numbers, targets, strict=True):
        for cell, t in zip(row[:, 0].tolist(), wanted.tolist(), strict=True):
            p = 1 / (1 + math.exp(-cell))
            objectness -= t * math.log(p) + (1 - t) * math.log(1 - p)
    total = max(total, 1.0)
    losses = {name: value.item() for name, value in method(given).items()}
    assert losses["objectness"] == pytest.approx(objectness / total, rel=1e-3)
    assert losses["box"] == pytest.approx(5 * box_loss / shares, rel=1e-3)
    assert losses["classes"] == pytest.approx(class_loss / shares, rel=1e-3)


def test_pictures_without_objects_teach_that_there_is_nothing() -> None:
    method, given = small(), batch(2)
    given = given.first(2)
    given.boxes, given.box_labels = [torch.zeros(0, 4)] * 2, [torch.zeros(0).long()] * 2
    losses = method(given)
    assert losses["box"] == losses["classes"] == 0
    sum(losses.values()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in method.parameters())


def test_the_output_is_sorted_and_padded() -> None:
    method = small().eval()
    with torch.inference_mode():
        rows = method.output(batch().images)
    assert rows.shape == (3, 100, 6)
    scores = rows[..., 4]
    assert (scores[:, :-1] >= scores[:, 1:]).all()
    assert (rows[scores == 0] == 0).all()
    boxes = rows[scores > 0]
    assert (boxes[:, :4] >= 0).all() and (boxes[:, :4] <= SIDE).all()


def test_what_makes_no_sense_is_refused() -> None:
    for wrong in ({"iou": 0.0}, {"cells": 0}, {"box": -1.0}, {"optimizer": "sdg"}):
        with pytest.raises(UsageError):
            Config(**wrong)
    with pytest.raises(UsageError, match="--size 64"):
        small().net(torch.zeros(1, 3, 48, 64))


def test_it_learns_to_find_what_is_drawn() -> None:
    """Overfitted to eight drawn scenes, it finds nearly everything in them."""
    samples = synthetic.dataset(12, 64, seed=3).splits["train"][:8]
    preparation = Preparation(SIDE, SIDE, rule="letterbox")
    images = np.stack([preparation(s.image).transpose(2, 0, 1) for s in samples])
    pictures = Pictures(samples, preparation, images)
    method = tasks.method("yolo")
    torch.manual_seed(0)
    yolo = method(models.create("yolo", classes=6, width=0.25), preparation, method.Config())
    (optimizer,) = yolo.optimizers(2e-3)
    (given,) = pictures.in_order(8)
    yolo.train()
    for _ in range(80):
        optimizer.zero_grad()
        sum(yolo(given).values()).backward()
        optimizer.step()
    yolo.eval()
    metrics = Detection(list(synthetic.SHAPES))
    with torch.inference_mode():
        rows = yolo.output(given.images).numpy()
    for row, sample in zip(rows, samples, strict=True):
        metrics.update(found(row, sample, pictures), truth(sample))
    assert metrics.compute()["map50"] > 0.9
