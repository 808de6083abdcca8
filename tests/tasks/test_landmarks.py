"""Points: the loss by plain loops, what does not count, mirrors that swap sides, and a whole fit."""

from __future__ import annotations

import csv
import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import boda
from boda import features, models, outputs, tasks
from boda.data import drawn_faces, synthetic
from boda.data.classes import by_name
from boda.data.dataset import Batch, Pictures
from boda.data.prepare import Preparation
from boda.data.transforms import policies, random_table
from boda.draw import draw
from boda.errors import DataError, UsageError
from boda.judged import pointed
from boda.metrics import NothingToMeasure
from boda.metrics.landmarks import Landmarks
from boda.models import parts
from boda.options import Plan
from boda.progress import Progress
from boda.tasks.landmarks import REACH, Pointer, mean_shape, wing
from boda.types import Dataset, Prediction, Sample
from tests.tasks.test_localize import Fixed

SIZE = (40, 60)  # (H, W)
NAMES = ["left_eye", "right_eye", "nose"]


def pointer(numbers: torch.Tensor, **config) -> Pointer:
    return Pointer(Fixed(numbers), Preparation(*SIZE), Pointer.Config(**config))


def batch_of(points: torch.Tensor) -> Batch:
    count = len(points)
    zero = torch.zeros(count, dtype=torch.int64)
    images = torch.zeros(count, 3, *SIZE, dtype=torch.uint8)
    return Batch(images, zero, torch.arange(count), points=points)


def some_points(count: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    places = torch.rand(count, 3, 2, generator=generator) * torch.tensor([60.0, 40])
    seen = torch.tensor([[2.0, 1, 0]]).expand(count, 3)[..., None]
    return torch.cat([places, seen], 2)


def test_the_loss_is_a_loop() -> None:
    """Wing on shares of the picture; the third point is not marked, a hidden one (1) is."""
    numbers = torch.randn(3, 6, generator=torch.Generator().manual_seed(1))
    shape = (0.2, 0.3, 0.8, 0.3, 0.5, 0.6)
    points = some_points()
    method = pointer(numbers, mean_shape=shape, width=0.05, curvature=0.01)
    constant = 0.05 - 0.05 * math.log(1 + 0.05 / 0.01)
    total = []
    for row, own in zip(numbers.tolist(), points.tolist(), strict=True):
        for k, (x, y, seen) in enumerate(own):
            for axis, true in enumerate((x / 60, y / 40)):
                gap = abs(shape[2 * k + axis] + 0.1 * row[2 * k + axis] - true)
                near = 0.05 * math.log(1 + gap / 0.01)
                if seen:
                    total.append((near if gap < 0.05 else gap - constant) / 0.05)
    assert len(total) == 12
    losses = method(batch_of(points))
    assert set(losses) == {"wing"}
    assert losses["wing"].item() == pytest.approx(sum(total) / 12, rel=1e-5)


def test_wing_is_continuous_and_steep_near_zero() -> None:
    x = torch.tensor([0.0, 0.0001, 0.0499999, 0.0500001, 1.0, -1.0], dtype=torch.float64)
    x.requires_grad_()
    value = wing(x, 0.05, 0.01)
    assert value[0] == 0 and value[2].item() == pytest.approx(value[3].item(), abs=1e-6)
    assert value[4] == value[5]
    value.sum().backward()
    assert x.grad[1].item() == pytest.approx(0.05 / 0.0101, rel=1e-6)
    assert x.grad[4] == 1 and x.grad[5] == -1


def test_points_that_are_not_marked_have_no_gradient() -> None:
    method = pointer(torch.randn(3, 6, generator=torch.Generator().manual_seed(2)))
    method(batch_of(some_points()))["wing"].backward()
    gradient = method.net.numbers.grad
    assert (gradient[:, 4:] == 0).all() and (gradient[:, :4] != 0).all()
    nothing = some_points()
    nothing[..., 2] = 0
    assert method(batch_of(nothing))["wing"] == 0


def test_a_silent_network_says_the_mean_shape() -> None:
    shape = (0.2, 0.3, 0.8, 0.3, 0.5, 0.6)
    method = pointer(torch.zeros(1, 6), mean_shape=shape)
    told = method.output(torch.zeros(1, 3, *SIZE, dtype=torch.uint8))
    assert told.shape == (1, 3, 2)
    assert told[0].tolist() == [pytest.approx(p) for p in ([12, 12], [48, 12], [30, 24])]
    moved = pointer(torch.ones(1, 6), mean_shape=shape).output(torch.zeros(1, 3, *SIZE))
    assert (moved - told)[0, 0].tolist() == pytest.approx([REACH * 60, REACH * 40])


def pictures_of(points: list[np.ndarray], size: tuple[int, int] = (40, 60)) -> Pictures:
    samples = [
        Sample(
            str(i),
            str(i),
            points=p.astype(np.float32),
            size=size,
            _image=np.zeros((*size, 3), np.uint8),
        )
        for i, p in enumerate(points)
    ]
    return Pictures(samples, Preparation(*SIZE, rule="letterbox"))


def test_the_mean_shape_is_a_loop_over_marked_points() -> None:
    first = np.array([[6.0, 4, 2], [30, 20, 2], [0, 0, 0]])
    second = np.array([[12.0, 8, 2], [0, 0, 0], [0, 0, 0]])
    mean = mean_shape(pictures_of([first, second]))
    assert mean.tolist() == [pytest.approx([0.15, 0.15]), [0.5, 0.5], [0.5, 0.5]]


def test_what_is_learned_of_the_data_goes_into_the_pictures() -> None:
    faces = [synthetic.face(0, i, 32).points for i in range(20)]
    pictures = pictures_of(faces, (32, 32))
    learned = Pointer.learned(pictures, {}, drawn_faces.POINTS)
    config = {name: default.value for name, default in learned.items()}
    assert config["mirror_order"] == (1, 0, 3, 2, 5, 4, 6, 8, 7, 9)
    assert len(config["mean_shape"]) == 20
    net = Fixed(torch.zeros(1, 20))
    Pointer(net, Preparation(*SIZE), Pointer.Config(**config)).begin(pictures)
    assert pictures.mirror_order.tolist() == list(config["mirror_order"])
    unknown = Pointer.learned(pictures, {}, ["left_a", *"bcdefghij"])
    assert unknown["mirror_order"].value == () and "not mirrored" in unknown["mirror_order"].reason
    config["mirror_order"] = ()
    Pointer(net, Preparation(*SIZE), Pointer.Config(**config)).begin(pictures)
    assert pictures.mirror_order is None


def dotted(points: torch.Tensor, size: int = 64) -> torch.Tensor:
    """A picture a row: the k-th point is a square in the k-th channel."""
    images = torch.zeros(len(points), 3, size, size, dtype=torch.uint8)
    for image, own in zip(images, points.round().long().tolist(), strict=True):
        for k, (x, y) in enumerate(own):
            image[k, y - 3 : y + 3, x - 3 : x + 3] = 255
    return images


@pytest.mark.parametrize("known", [True, False])
def test_poses_move_points_with_their_pictures(known: bool) -> None:
    """The left eye is red, the right one green: where the mirror is known they swap, else none is."""
    points = torch.tensor([[[24.0, 28], [40, 28]]]).expand(16, 2, 2)
    images = dotted(points)
    order = torch.tensor([1, 0]) if known else None
    seen = torch.full((16, 2, 1), 2.0)
    zero = torch.zeros(16, dtype=torch.int64)
    batch = Batch(images, zero, zero, points=torch.cat([points, seen], 2), mirror_order=order)
    numbers = random_table(16, 0, 0)
    drawn = policies["poses"].draw
    plain = dataclasses.replace(policies["poses"], draw=lambda n, s: without_colour(drawn(n, s)))
    moved = plain.augment(batch, numbers)
    swapped = 0
    for image, own in zip(moved.images, moved.points, strict=True):
        red, green = middle_of(image[0]), middle_of(image[1])
        still = math.dist(own[0, :2], red) < math.dist(own[0, :2], green)
        first, second = (red, green) if still else (green, red)
        assert math.dist(own[0, :2], first) < 1 and math.dist(own[1, :2], second) < 1
        assert own[0, 0] < own[1, 0], "the left eye stays on the left"
        swapped += not still
    assert swapped == ((numbers[:, 0] < 0.5).sum() if known else 0)


def without_colour(change):
    return dataclasses.replace(change, colour=None, fill=0)


def middle_of(image: torch.Tensor) -> tuple[float, float]:
    rows, columns = (image > 127).nonzero().unbind(1)
    return float(columns.float().mean() + 0.5), float(rows.float().mean() + 0.5)


def test_the_baseline_is_a_loop() -> None:
    """The mean shape in the letterboxed picture: 80 × 80 in 60 × 40 is at half its size."""
    task = tasks.task("landmarks")
    shape = (0.4, 0.4, 0.6, 0.4, 0.5, 0.6)
    points = [
        np.array([[20.0, 20], [50, 20], [40, 60]]),
        np.array([[10.0, 30], [60, 30], [40, 50]]),
    ]
    pictures = pictures_of(points, (80, 80))
    method = pointer(torch.zeros(1, 6), mean_shape=shape)
    errors = []
    for own in points:
        length = math.dist(own[0], own[1])
        away = [
            math.dist(((60 * shape[2 * k] - 10) * 2, 40 * shape[2 * k + 1] * 2), own[k]) / length
            for k in range(3)
        ]
        errors.append(sum(away) / 3)
    told = task.baseline(method, NAMES, pictures)
    assert told == {"baseline_nme": pytest.approx(sum(errors) / 2, rel=1e-5)}


def test_worst_pictures_come_first_and_unmeasurable_ones_are_told() -> None:
    task = tasks.task("landmarks")
    points = [np.array([[20.0, 20, 2], [40, 20, 2], [30, 30, 2]])] * 3
    pictures = pictures_of(points)
    said = np.stack([points[0][:, :2] + shift for shift in (1, 5, 2)])
    found = task.mistakes(NAMES, said, pictures, 2)
    assert [row["source"] for row in found] == ["1", "2"]
    assert found[0]["score"] == pytest.approx(math.dist((0, 0), (5, 5)) / 20)
    assert found[0]["image"].dtype == np.uint8
    metrics = task.metrics(NAMES)
    eyeless = pictures_of([np.array([[0.0, 0, 0], [40, 20, 2], [30, 30, 2]])])
    task.update(metrics, said[:1], eyeless, torch.tensor([0]))
    with pytest.raises(NothingToMeasure, match="none of these 1 pictures"):
        metrics.compute()


def test_a_prediction_is_in_pixels_of_the_original_and_can_be_drawn() -> None:
    picture = np.zeros((300, 300, 3), np.uint8)
    seen = outputs.Seen(picture, "memory", Preparation(30, 30))
    found = outputs.readers["landmarks"](np.array([[3.0, 6], [30, 33]]), ["a", "b"], seen)
    assert found.points.tolist() == [[30, 60], [300, 330]] and found.names == ["a", "b"]
    assert found.to_dict()["points"] == [[30, 60], [300, 330]]
    drawn = draw(found)
    assert drawn.shape == picture.shape and drawn[60, 30].any() and not drawn[200, 100].any()


def test_names_stand_beside_few_points_alone() -> None:
    picture = np.zeros((300, 300, 3), np.uint8)
    places = np.stack([np.linspace(20, 200, 13), np.linspace(20, 280, 13)], 1)
    names = [f"point {i}" for i in range(13)]
    lit = [
        (
            draw(Prediction("x", (300, 300), names=names[:k], points=places[:k], _picture=picture))
            > 0
        ).sum()
        for k in (12, 13)
    ]
    assert lit[0] > 3 * lit[1]


def test_true_points_are_rings_and_others_discs() -> None:
    picture = np.zeros((320, 320, 3), np.uint8)
    drawn = pointed(picture, np.array([[100.0, 100]]), np.array([[200.0, 200]]))
    assert drawn.shape == picture.shape and not drawn[100, 100].any() and drawn[200, 200].any()
    assert (drawn[94:107, 94:107] == 255).all(2).sum() > 8


def test_points_of_other_data_are_matched_by_their_names() -> None:
    points = np.array([[1.0, 2], [3, 4]], np.float32)
    data = Dataset(
        Path("x"),
        "points",
        "landmarks",
        ["nose", "left_eye"],
        {"all": [Sample("a", "a", points=points)]},
    )
    found = by_name(data, NAMES)
    assert found.classes == NAMES
    assert found.splits["all"][0].points.tolist() == [[3, 4, 2], [0, 0, 0], [1, 2, 2]]
    with pytest.raises(DataError, match="left_eye"):
        by_name(data, ["nose", "right_eye"])


def test_features_are_not_kept_where_points_would_have_to_move_with_pictures() -> None:
    net = models.create("lenet5", classes=Pointer.values(3))
    method = Pointer(net, Preparation(32, 32, 1, mean=(0.5,), std=(0.25,)), Pointer.Config())
    method.freeze(len(parts.blocks(net)))
    assert features.wanted(method, Plan(epochs=1, augment="none"))
    assert not features.wanted(method, Plan(epochs=1, augment="poses"))


def test_settings_are_checked() -> None:
    with pytest.raises(UsageError, match="curvature"):
        Pointer.Config(curvature=0)
    with pytest.raises(UsageError, match="adamw"):
        Pointer.Config(optimizer="adam")


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> boda.runs.Run:
    folder = tmp_path_factory.mktemp("landmarks")
    (folder / "data").mkdir()
    for split, indices in {"train": range(40), "test": range(40, 48)}.items():
        with open(folder / "data" / f"{split}.csv", "w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["file", *(f"{n}_{axis}" for n in drawn_faces.POINTS for axis in "xy")])
            for i in indices:
                drawn = synthetic.face(0, i, 32)
                Image.fromarray(drawn.image).save(folder / "data" / f"{i}.png")
                table.writerow([f"{i}.png", *drawn.points.ravel().tolist()])
    return boda.fit(
        "landmarks",
        folder / "data",
        out=folder / "run",
        epochs=30,
        size="32",
        precision="32",
        val="none",
        progress=Progress(quiet=True),
    )


def test_a_fit_is_better_than_the_mean_shape(fitted: boda.runs.Run) -> None:
    told = boda.evaluate(fitted.path, split="train")
    assert told["metrics"]["nme"] < 0.8 * told["metrics"]["baseline_nme"]
    assert told["normalizer"] == "distance of left_eye and right_eye" and told["measured"] == 40
    test = boda.evaluate(fitted.path)
    assert set(test["per_class"]) == set(drawn_faces.POINTS)
    assert test["metrics"]["nme"] > 0 and "off by" in fitted.report.read_text("utf-8")
    assert fitted.record["defaults"]["mirror_order"]["reason"] == "by the names of the points"


def test_figures_are_those_of_predictions(fitted: boda.runs.Run) -> None:
    """What ``evaluate`` says is what comes of ``predict`` and the table, by the metric alone."""
    folder = Path(fitted.record["data"]["root"])
    predictor, metric = fitted.trained().predictor(), Landmarks(drawn_faces.POINTS)
    for i in range(40, 48):
        metric.update(
            predictor.predict(folder / f"{i}.png").points, synthetic.face(0, i, 32).points
        )
    assert metric.compute()["nme"] == pytest.approx(
        boda.evaluate(fitted.path)["metrics"]["nme"], rel=1e-4
    )


def test_the_exported_file_says_the_same(fitted: boda.runs.Run, tmp_path: Path) -> None:
    file, difference = boda.export(fitted.path, tmp_path / "model.onnx")
    assert difference < 1e-5
    picture = Path(fitted.record["data"]["root"]) / "3.png"
    ours = fitted.trained().predictor().predict(picture)
    theirs = boda.runtime.load(file).predict(picture)
    assert theirs.names == list(drawn_faces.POINTS)
    np.testing.assert_allclose(ours.points, theirs.points, atol=1e-3)
