"""YOLO v2: its loss against plain loops, anchors from data and in the notes' example, a fit that finds."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import boda
from boda import models
from boda.data import synthetic_folder
from boda.data.dataset import Batch, Pictures
from boda.data.prepare import Preparation
from boda.errors import UsageError
from boda.progress import Progress
from boda.tasks.detect.cells import objects
from boda.tasks.detect.yolo_v2 import VOC, Config, YoloV2, general
from boda.types import Sample
from tests.slow_reference import yolo as slow
from tests.tasks.overfitting import learned_by_heart

t = torch.tensor
SIZE = (96, 160)
SHAPES = (0.1, 0.3, 0.25, 0.15, 0.5, 0.5)


def method(size: tuple[int, int] = SIZE, config: Config | None = None, **options: Any) -> YoloV2:
    torch.manual_seed(0)
    config = config or Config(shapes=SHAPES)
    options = {"width": 0.125, "anchors": len(config.shapes) // 2, **options}
    return YoloV2(models.create("yolo-v2", **options), Preparation(*size, 3, "letterbox"), config)


def batch(things: list[list[tuple[float, ...]]], size: tuple[int, int] = SIZE) -> Batch:
    """Pictures with objects (x1, y1, x2, y2, label)."""
    count = len(things)
    images = torch.zeros(count, 3, *size, dtype=torch.uint8)
    rows = [torch.tensor(own, dtype=torch.float32).view(-1, 5) for own in things]
    number = torch.arange(count)
    return Batch(images, number, number, [r[:, :4] for r in rows], [r[:, 4].long() for r in rows])


def saying(fit: YoloV2, told: Tensor) -> YoloV2:
    """The method with a network that says this to every batch."""
    fit.logits = lambda images: told  # type: ignore[method-assign]
    return fit


def thrown(seed: int, count: int) -> list[tuple[float, ...]]:
    """Objects that share cells and anchors."""
    draw = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        w, h = draw.integers(5, 60, 2)
        x, y = draw.integers(0, SIZE[1] - w), draw.integers(0, SIZE[0] - h)
        found.append((float(x), float(y), float(x + w), float(y + h), int(draw.integers(4))))
    return found


@pytest.mark.parametrize("ignore", [0.6, 0.2])
@pytest.mark.parametrize("seed", range(4))
def test_the_loss_is_what_was_released(seed: int, ignore: float) -> None:
    things = [thrown(seed, 25), [], thrown(seed + 50, 3)]
    torch.manual_seed(seed)
    told = torch.randn(3, 3, 5, 3, 9) / 2
    config = Config(
        shapes=SHAPES, ignore=ignore, coordinates=2, objectness=3, background=4, classes=5
    )
    losses = saying(method(config=config, classes=4), told)(batch(things))
    shapes = list(zip(SHAPES[::2], SHAPES[1::2], strict=True))
    each = [
        slow.v2_loss(numbers, own, shapes, SIZE, ignore, (2, 3, 4, 5))
        for numbers, own in zip(told.tolist(), things, strict=True)
    ]
    assert set(losses) == set(each[0])
    for name, loss in losses.items():
        assert loss.item() == pytest.approx(sum(one[name] for one in each) / 3, rel=1e-4), name


def test_the_weights_are_those_of_the_released_configuration() -> None:
    config = Config()
    weights = config.coordinates, config.objectness, config.background, config.classes
    assert (*weights, config.ignore) == (1, 5, 1, 1, 0.6)


def test_a_gradient_is_a_weight_times_a_difference() -> None:
    told = torch.zeros(1, 1, 1, 1, 7)
    told[..., 3:] = t([0.3, -0.2, 0.4, -0.1])
    told.requires_grad_()
    fit = saying(method((32, 32), Config(shapes=(0.5, 0.5)), classes=2), told)
    losses = fit(batch([[(8.0, 12.0, 24.0, 28.0, 1)]], (32, 32)))
    sum(losses.values()).backward()
    assert told.grad is not None
    pc, x, y, h, w, c0, c1 = told.grad.flatten().tolist()
    found = slow.v2_box(told.flatten().tolist(), 0, 0, (1, 1), (0.5, 0.5), (32, 32))
    overlap = slow.iou(found, [8, 12, 24, 28])
    assert pc == pytest.approx(5 * (0.5 - overlap) * 0.25, rel=1e-4)
    assert (x, y) == pytest.approx((0, (0.5 - 20 / 32) * 0.25), abs=1e-6)
    assert (h, w) == pytest.approx((0.3, -0.2), rel=1e-4)  # the object has its anchor's shape
    second = math.exp(-0.1) / (math.exp(0.4) + math.exp(-0.1))
    assert (c0, c1) == pytest.approx((1 - second, second - 1), rel=1e-4)


def test_two_anchors_in_one_cell_of_the_notes() -> None:
    """3×3×2×8: a pedestrian and a car with the same middle; a third object finds no place."""
    tall, wide = (35.0, 20.0, 65.0, 80.0), (15.0, 35.0, 85.0, 65.0)
    shapes = t([[0.25, 0.6], [0.6, 0.25]]) * 3  # in cells
    cells = [t([wide, tall]) * 0.03]
    given = objects(cells, [t([1, 0])], shapes, (3, 3))
    assert [each.tolist() for each in given.place] == [[0, 0], [1, 1], [1, 1]]
    assert given.anchor.tolist() == [1, 0] and given.labels.tolist() == [1, 0]
    assert given.within.flatten().tolist() == pytest.approx([0.5] * 4)
    third = (30.0, 35.0, 70.0, 65.0)
    given = objects([t([wide, tall, third]) * 0.03], [t([1, 0, 2])], shapes, (3, 3))
    assert given.labels.tolist() == [1, 0]
    fit = method((96, 96), Config(shapes=(0.25, 0.6, 0.6, 0.25)), classes=3)
    told = fit.raw(torch.zeros(1, 3, 96, 96, dtype=torch.uint8))
    assert told.shape == (1, 3, 3, 2, 8)


def test_a_network_that_says_nothing_tells_its_anchors() -> None:
    told = torch.zeros(1, 3, 5, 3, 7)
    fit = saying(method(classes=2), told)
    boxes, scores = fit.candidates(torch.zeros(1, 3, *SIZE, dtype=torch.uint8))
    assert boxes.shape == (1, 45, 4) and (scores == 0.25).all()  # σ(0) · 1/2
    x, y = 32 * 4.5, 32 * 1.5
    for a, (w, h) in enumerate(zip(SHAPES[::2], SHAPES[1::2], strict=True)):
        half = w * SIZE[1] / 2, h * SIZE[0] / 2
        expected = [x - half[0], y - half[1], x + half[0], y + half[1]]
        assert boxes[0, (1 * 5 + 4) * 3 + a].tolist() == pytest.approx(expected, abs=1e-3)


def test_what_almost_finds_an_object_is_no_background() -> None:
    told = torch.zeros(1, 1, 2, 1, 6)
    told[0, 0, 0, 0, 1] = 4  # the left cell's box stands at its right border
    told[0, 0, 1, 0, 1] = -4  # the right cell's at the left border
    thing = (22.0, 8.0, 38.0, 24.0, 0)  # its middle, 30, is in the left cell of 32
    for ignore, counted in [(0.6, 0), (0.9, 1)]:
        config = Config(shapes=(0.25, 0.5), ignore=ignore)
        fit = saying(method((32, 64), config, classes=1), told)
        right = slow.v2_box(told[0, 0, 1, 0].tolist(), 0, 1, (1, 2), (0.25, 0.5), (32, 64))
        assert 0.6 < slow.iou(right, thing[:4]) < 0.9
        losses = fit(batch([[thing]], (32, 64)))
        assert losses["background"].item() == pytest.approx(counted * 0.25 / 2)


@pytest.mark.parametrize("things", [[thrown(0, 3), []], [[], []], None])
def test_every_parameter_learns(things: list[list[tuple[float, ...]]] | None) -> None:
    fit, number = method(classes=4), torch.arange(2)
    images = torch.randint(0, 256, (2, 3, *SIZE), dtype=torch.uint8)
    known = batch(things) if things else Batch(images, number, number)
    known.images = images
    losses = fit(known)
    if not any(things or []):
        assert losses["box"] == losses["objectness"] == losses["classes"] == 0
    sum(losses.values()).backward()
    for parameter_name, parameter in fit.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


# --- anchors from data ----------------------------------------------------------------------------


def pictures(sides: list[tuple[int, int]], size: tuple[int, int] = (64, 128)) -> Pictures:
    """One picture of that size with a box of each of these widths and heights."""
    boxes = np.array([[0, 0, w, h] for w, h in sides], np.float32).reshape(-1, 4)
    image = np.zeros((*size, 3), np.uint8)
    labels = np.zeros(len(boxes), np.int64)
    sample = Sample("a", "a.png", boxes=boxes, labels=labels, size=size, _image=image)
    return Pictures([sample], Preparation(*size, 3, "letterbox"))


def test_shapes_are_the_means_of_clear_groups() -> None:
    groups = [(10, 10), (12, 12), (40, 8), (44, 8), (60, 60), (64, 60)]
    found = YoloV2.learned(pictures(groups), {"anchors": 3}, ["a"])["shapes"]
    expected = [11 / 128, 11 / 64, 42 / 128, 8 / 64, 62 / 128, 60 / 64]
    assert found.value == pytest.approx(expected, abs=1e-4)
    overlap = np.mean([100 / 121, 121 / 144, 40 / 42, 42 / 44, 60 / 62, 62 / 64])
    assert f"{overlap:.2f}" in found.reason


def test_too_few_boxes_are_no_error() -> None:
    found = YoloV2.learned(pictures([(32, 32), (32, 32)]), {"anchors": 3}, ["a"])["shapes"]
    assert len(found.value) == 6 and found.value[:2] == (0.25, 0.5)
    assert all(0 < side <= 1 for side in found.value) and "only 1" in found.reason
    nothing = YoloV2.learned(pictures([]), {"anchors": 4}, ["a"])["shapes"]
    assert len(nothing.value) == 8 and len(set(nothing.value)) == 4
    assert len(general(0)) == 0
    Config(shapes=nothing.value)


def test_shapes_of_another_network_are_refused() -> None:
    with pytest.raises(UsageError, match="give 6"):
        method(config=Config(shapes=(0.5, 0.5)), anchors=3)
    for wrong in ((0.5,), (0.5, 0.0), (0.5, -1.0)):
        with pytest.raises(UsageError, match="above 0"):
            Config(shapes=wrong)
    assert Config().shapes == pytest.approx([side / 13 for side in VOC], abs=1e-4)


def test_a_run_keeps_its_anchors(tmp_path: Path) -> None:
    """From the data into the record, from there into the network of the run."""
    synthetic_folder.write(tmp_path / "drawn", count=8, size=64, seed=0)
    run = boda.fit(
        "detect",
        tmp_path / "drawn" / "scenes",
        model="yolo-v2",
        epochs=1,
        batch=4,
        size="64x96",
        val="none",
        settings={"width": "0.0625", "anchors": "3"},
        out=tmp_path / "run",
        progress=Progress(quiet=True),
    )
    record = json.loads((tmp_path / "run" / "run.json").read_text("utf-8"))
    shapes = record["config"]["shapes"]
    assert len(shapes) == 6 and record["defaults"]["shapes"]["value"] == shapes
    assert run.trained().method.shapes.flatten().tolist() == pytest.approx(shapes)


def squares(count: int, size: int) -> Batch:
    """A red and a green square in every picture, on dark noise."""
    draw = np.random.default_rng(0)
    images = draw.integers(0, 40, (count, 3, size, size)).astype(np.uint8)
    things = []
    for i in range(count):
        own = []
        for colour in range(2):
            w, h = draw.integers(size // 5, size // 2, 2)
            x, y = draw.integers(0, size - w), draw.integers(0, size - h)
            images[i, colour, y : y + h, x : x + w] = 200
            own.append((float(x), float(y), float(x + w), float(y + h), colour))
        things.append(own)
    known = batch(things, (size, size))
    known.images = torch.from_numpy(images)
    return known


def test_a_few_squares_are_found() -> None:
    known = squares(4, 96)
    fit = method((96, 96), Config(), classes=2)
    assert learned_by_heart(fit, known, 3e-3, 60) > 0.9
