"""YOLO v1: its loss against plain loops, who is responsible for what, and a fit that finds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from boda import models
from boda.data.dataset import Batch
from boda.data.prepare import Preparation
from boda.errors import UsageError
from boda.tasks.detect.yolo_v1 import Config, YoloV1
from tests.slow_reference import yolo as slow
from tests.tasks.overfitting import learned_by_heart

t = torch.tensor
SIZE = (96, 160)


def method(size: tuple[int, int] = SIZE, config: Config | None = None, **options: int) -> YoloV1:
    torch.manual_seed(0)
    net = models.create("yolo-v1-fast", width=0.125, **options)
    return YoloV1(net, Preparation(*size, 3, "letterbox"), config or Config())


def batch(things: list[list[tuple[float, ...]]], size: tuple[int, int] = SIZE) -> Batch:
    """Pictures with objects (x1, y1, x2, y2, label)."""
    count = len(things)
    images = torch.zeros(count, 3, *size, dtype=torch.uint8)
    rows = [torch.tensor(own, dtype=torch.float32).view(-1, 5) for own in things]
    number = torch.arange(count)
    return Batch(images, number, number, [r[:, :4] for r in rows], [r[:, 4].long() for r in rows])


def saying(fit: YoloV1, told: Tensor) -> YoloV1:
    """The method with a network that says this to every batch."""
    fit.logits = lambda images: told  # type: ignore[method-assign]
    return fit


def thrown(seed: int, count: int, size: tuple[int, int] = SIZE) -> list[tuple[float, ...]]:
    """Objects on whole pixels: several in a cell, some of equal areas."""
    draw = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        w, h = draw.choice([8, 16, 24, 40], 2)
        x, y = draw.integers(0, size[1] - w), draw.integers(0, size[0] - h)
        found.append((float(x), float(y), float(x + w), float(y + h), int(draw.integers(3))))
    return found


@pytest.mark.parametrize("grid, boxes", [(3, 2), (4, 1), (2, 3)])
@pytest.mark.parametrize("seed", range(4))
def test_the_loss_is_the_papers(seed: int, grid: int, boxes: int) -> None:
    things = [thrown(seed, 9), [], thrown(seed + 100, 2)]
    torch.manual_seed(seed)
    told = torch.randn(3, grid, grid, 5 * boxes + 3, dtype=torch.float64)
    fit = saying(method(grid=grid, boxes=boxes, classes=3), told)
    losses = fit(batch(things))
    each = [
        slow.v1_loss(numbers, own, boxes, SIZE)
        for numbers, own in zip(told.tolist(), things, strict=True)
    ]
    assert set(losses) == set(each[0])
    for name, loss in losses.items():
        assert loss.item() == pytest.approx(sum(one[name] for one in each) / 3, rel=2e-4), name


def test_weights_are_lambda_coord_and_lambda_noobj() -> None:
    config = Config(coordinates=2.0, background=3.0)
    told = torch.randn(1, 3, 3, 13, generator=torch.Generator().manual_seed(0))
    things = thrown(0, 3)
    losses = saying(method(config=config, grid=3, classes=3), told)(batch([things]))
    expected = slow.v1_loss(told[0].tolist(), things, 2, SIZE, coordinates=2.0, noobj=3.0)
    assert {n: v.item() for n, v in losses.items()} == pytest.approx(expected, rel=2e-4)
    assert Config().coordinates == 5 and Config().background == 0.5  # section 2.2


def test_the_numbers_are_the_notes() -> None:
    """100×100 on 3×3, y = [Pc, bx, by, bh, bw, c1, c2, c3]: a car in the cell right below."""
    fit = method((100, 100), grid=3, boxes=1, classes=3)
    told = torch.zeros(1, 3, 3, 8)
    # The middle of the last cell, 50 high (half of the picture), 25 wide (a quarter); a car.
    told[0, 2, 2] = t([1, 0.5, 0.5, 0.5**0.5, 0.25**0.5, 0, 1, 0])
    x = 100 * 2.5 / 3
    box = (x - 12.5, x - 25, x + 12.5, x + 25)
    losses = saying(fit, told)(batch([[(*box, 1)]], (100, 100)))
    assert sum(losses.values()).item() == pytest.approx(0, abs=1e-8)
    boxes, scores = fit.candidates(torch.zeros(1, 3, 100, 100, dtype=torch.uint8))
    assert boxes.shape == (1, 9, 4) and scores.shape == (1, 9, 3)
    assert boxes[0, 8].tolist() == pytest.approx(box, abs=1e-4)
    assert scores[0, 8].tolist() == [0, 1, 0] and scores[0, :8].sum() == 0
    rows = fit.eval().output(torch.zeros(1, 3, 100, 100, dtype=torch.uint8))[0]
    assert rows[0].tolist() == pytest.approx([box[0], box[1], box[2], 100, 1, 1], abs=1e-4)
    assert rows[1:].sum() == 0


def test_the_box_of_the_highest_iou_is_responsible() -> None:
    fit = method((100, 100), grid=1, boxes=3, classes=1)
    truth = (30.0, 30.0, 70.0, 70.0, 0)
    told = torch.zeros(1, 1, 1, 16)
    told[0, 0, 0, :15] = t(
        [[0, 0.5, 0.5, 0.5, 0.5], [0, 0.5, 0.5, 0.63, 0.63], [0, 0.6, 0.6, 0.63, 0.63]]
    ).flatten()
    told.requires_grad_()
    losses = saying(fit, told)(batch([[truth]], (100, 100)))
    sum(losses.values()).backward()
    assert told.grad is not None
    moved = told.grad[0, 0, 0, :15].view(3, 5) != 0
    assert moved.any(1).tolist() == [False, True, False]
    # Its Pc is to be the IoU: 0.63⁴ of the picture's area in 0.16 of it.
    assert losses["objectness"].item() == pytest.approx((0.63**4 / 0.16) ** 2, rel=1e-4)


def test_where_no_box_touches_the_nearest_is_responsible() -> None:
    fit = method((100, 100), grid=1, boxes=2, classes=1)
    told = torch.zeros(1, 1, 1, 11)
    told[0, 0, 0, :10] = t([0, 0.9, 0.9, 0.1, 0.1, 0, 0.8, 0.8, 0.1, 0.1])
    told.requires_grad_()
    losses = saying(fit, told)(batch([[(10.0, 10.0, 20.0, 20.0, 0)]], (100, 100)))
    losses["box"].backward()
    assert (
        told.grad is not None
        and (told.grad[0, 0, 0, :10] != 0).tolist() == [False] * 6 + [True] * 4
    )
    assert losses["objectness"] == 0


def test_a_cell_learns_one_object_the_largest() -> None:
    fit = method((100, 100), grid=1, boxes=1, classes=3)
    told = torch.zeros(1, 1, 1, 8, requires_grad=True)
    small, large, other = (40, 40, 60, 60, 0), (20, 40, 80, 60, 1), (40, 20, 60, 80, 2)
    for own in ([small, large, other], [large, small, other]):
        losses = saying(fit, told)(batch([own], (100, 100)))
        (gradient,) = torch.autograd.grad(losses["classes"], told, retain_graph=True)
        assert gradient[0, 0, 0, 5:].tolist() == [0, -2, 0]  # of the equal ones the first


def test_no_gradient_goes_through_the_iou() -> None:
    told = torch.randn(2, 3, 3, 13, generator=torch.Generator().manual_seed(1)).requires_grad_()
    losses = saying(method(grid=3, classes=3), told)(batch([thrown(0, 4), thrown(1, 4)]))
    (losses["objectness"] + losses["background"]).backward()
    assert told.grad is not None
    of_numbers = told.grad[..., :10].unflatten(-1, (2, 5)).abs().sum((0, 1, 2, 3))
    assert of_numbers[0] > 0 and of_numbers[1:].sum() == 0 and told.grad[..., 10:].abs().sum() == 0


@pytest.mark.parametrize("name", ["yolo-v1", "yolo-v1-fast"])
@pytest.mark.parametrize("things", [[thrown(0, 3), []], [[], []], None])
def test_every_parameter_learns(name: str, things: list[list[tuple[float, ...]]] | None) -> None:
    torch.manual_seed(0)
    fit = YoloV1(models.create(name, width=0.125), Preparation(64, 64), Config())
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    number = torch.arange(2)
    known = batch(things, (64, 64)) if things else Batch(images, number, number)
    known.images = images
    losses = fit(known)
    if not any(things or []):
        assert losses["box"] == losses["objectness"] == losses["classes"] == 0
    sum(losses.values()).backward()
    for parameter_name, parameter in fit.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


@pytest.mark.parametrize(
    "settings",
    [{"iou": 0}, {"background": -1}, {"coordinates": float("nan")}, {"optimizer": "adan"}],
)
def test_impossible_settings_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Config(**settings)  # type: ignore[arg-type]


def squares(count: int, size: int) -> Batch:
    """A red square in the left half and a green one in the right, on dark noise."""
    draw = np.random.default_rng(0)
    images = draw.integers(0, 40, (count, 3, size, size)).astype(np.uint8)
    things = []
    for i in range(count):
        own = []
        for colour in range(2):
            w, h = draw.integers(size // 5, size // 3, 2)
            x = draw.integers(0, size // 2 - w) + colour * size // 2
            y = draw.integers(0, size - h)
            images[i, colour, y : y + h, x : x + w] = 200
            own.append((float(x), float(y), float(x + w), float(y + h), colour))
        things.append(own)
    known = batch(things, (size, size))
    known.images = torch.from_numpy(images)
    return known


def test_a_few_squares_are_found() -> None:
    known = squares(4, 128)
    torch.manual_seed(0)
    net = models.create("yolo-v1-fast", classes=2, width=0.125, grid=4)
    fit = YoloV1(net, Preparation(128, 128), Config())
    assert learned_by_heart(fit, known, 1e-3, 120) > 0.9
