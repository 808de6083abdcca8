"""Errors of points: against plain loops, an integral in small steps, and numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from boda.metrics.landmarks import FAILED, Landmarks, normalizer

EYES = ["nose", "right_eye", "left_eye", "chin"]


def some(count: int = 12, spread: float = 3.0) -> list[tuple[np.ndarray, np.ndarray]]:
    generator = np.random.default_rng(0)
    pairs = []
    for _ in range(count):
        true = np.concatenate([generator.uniform(0, 100, (4, 2)), np.full((4, 1), 2)], 1)
        true[generator.integers(0, 4, 1) * (generator.random() < 0.5), 2] = 0  # the nose or none
        true[1:3, 2] = 2
        pairs.append((true[:, :2] + generator.normal(0, spread, (4, 2)), true))
    return pairs


def test_the_figures_are_a_loop() -> None:
    metric, errors, per_point = Landmarks(EYES), [], {name: [] for name in EYES}
    for said, true in some():
        told = metric.update(said.astype(np.float32), true.astype(np.float32))
        length = math.dist(true[1, :2], true[2, :2])
        own = []
        for name, a, b in zip(EYES, said, true, strict=True):
            if b[2] > 0:
                own.append(math.dist(a, b[:2]) / length)
                per_point[name].append(own[-1])
        errors.append(sum(own) / len(own))
        assert told == pytest.approx(errors[-1], rel=1e-5)
    figures = metric.compute()
    assert figures["nme"] == pytest.approx(sum(errors) / len(errors), rel=1e-5)
    assert figures["median_nme"] == pytest.approx(float(np.median(errors)), rel=1e-5)
    assert figures["failure_rate"] == sum(e > FAILED for e in errors) / len(errors)
    assert 0 < figures["failure_rate"] < 1
    steps = (np.arange(20_000) + 0.5) / 20_000 * FAILED
    area = np.mean([sum(e <= step for e in errors) / len(errors) for step in steps])
    assert figures["auc"] == pytest.approx(area, abs=1e-4) and area > 0
    for name, row in metric.per_point().items():
        assert row["support"] == len(per_point[name])
        assert row["nme"] == pytest.approx(np.mean(per_point[name]), rel=1e-5)
    assert len(per_point["nose"]) < len(per_point["chin"]), "some noses are not marked"


def test_what_is_not_marked_does_not_count() -> None:
    true = np.array([[0.0, 0, 0], [10, 0, 2], [20, 0, 2], [15, 9, 1]])
    said = np.array([[99.0, 99], [10, 0], [20, 0], [15, 10]])
    assert Landmarks(EYES).update(said, true) == pytest.approx(0.1 / 3)


def test_pictures_without_the_length_are_counted_apart() -> None:
    metric = Landmarks(EYES)
    true = np.array([[0.0, 0, 2], [10, 0, 0], [20, 0, 2], [15, 9, 2]])
    assert math.isnan(metric.update(true[:, :2], true))
    assert metric.without == 1 and metric.errors == []
    with pytest.raises(ValueError, match="distance of left_eye and right_eye"):
        metric.compute()


@pytest.mark.parametrize(
    ("names", "pair"),
    [
        ([str(i) for i in range(68)], (36, 45)),  # 300-W
        (EYES, (2, 1)),
        (["leftEye", "rightEye"], (0, 1)),
        (["눈", "코"], None),
        (["left_eye", "right_eye", "left_shoulder"], None),  # a body
        (["tip", "base"], None),
    ],
)
def test_the_length_follows_from_the_names(names: list[str], pair: tuple[int, int] | None) -> None:
    assert normalizer(names).pair == pair


def test_else_it_is_the_diagonal_of_the_marked_points() -> None:
    points = np.array([[0.0, 0], [3, 4], [100, 100]])
    by = normalizer(["a", "b", "c"])
    assert by(points, np.array([True, True, False])) == 5
    assert by(points, np.zeros(3, bool)) == 0
