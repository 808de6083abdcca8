"""Detection metrics against pycocotools (recorded), plain loops and numbers worked out by hand."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boda.metrics.detection import Detection, Found, Truth
from tests.slow_reference.boxes import coco_class, confusion, iou, voc_class

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "detection.json").read_text("utf-8"))
STATS = [  # in the order of pycocotools
    *("map", "map50", "map75", "map_small", "map_medium", "map_large"),
    *("ar1", "ar10", "ar", "ar_small", "ar_medium", "ar_large"),
]
quick = settings(max_examples=60, deadline=None)


def columns(rows, width):
    table = np.array(rows, float).reshape(-1, width)
    boxes = table[:, :4].copy()
    boxes[:, 2:] += boxes[:, :2]
    return boxes, table[:, 4:].T


def recorded():
    metric = Detection([f"c{k}" for k in range(GOLDEN["classes"])])
    for picture in GOLDEN["pictures"]:
        boxes, (scores, labels) = columns(picture["found"], 6)
        real, (classes, crowd, areas) = columns(picture["truth"], 7)
        metric.update(
            Found(boxes, scores, labels.astype(int)),
            Truth(real, classes.astype(int), crowd.astype(bool), areas),
        )
    return metric


def test_the_twelve_figures_are_pycocotools():
    ours = recorded().compute()
    assert list(ours) == STATS
    assert np.abs(np.array(list(ours.values())) - GOLDEN["stats"]).max() < 1e-9
    assert ours["map"] > 0.1  # the record is not one of zeros


def test_the_figures_of_each_class_are_pycocotools():
    rows = list(recorded().per_class().values())
    for ours, theirs in [("ap", "ap"), ("ap50", "ap50"), ("ar", "ar")]:
        for row, value in zip(rows, GOLDEN[theirs], strict=True):
            assert (row[ours] is None) == (value == -1)
            assert row[ours] is None or row[ours] == pytest.approx(value, abs=1e-9)
    assert [row["support"] > 0 for row in rows] == [True] * 4 + [False] * 2
    truth = [row for picture in GOLDEN["pictures"] for row in picture["truth"]]
    assert rows[0]["support"] == sum(row[4] == 0 and not row[5] for row in truth)


def test_a_curve_raised_to_fall_is_pycocotools():
    curve = recorded().curve(0, iou=0.75)
    best = [
        max([p for p, r in zip(curve["precision"], curve["recall"], strict=True) if r >= t] + [0])
        for t in np.linspace(0, 1, 101)
    ]
    assert best == pytest.approx(GOLDEN["precision75_of_class_0"], abs=1e-9)
    assert (np.diff(curve["scores"]) <= 0).all() and len(curve["scores"]) > 100


def test_confusion_counts_what_pycocotools_finds_without_classes():
    theirs = GOLDEN["whatever the class"]
    table = recorded().confusion(score=theirs["score"])
    k = GOLDEN["classes"]
    assert table[:k, :k].sum() == theirs["right"] and table[k].sum() == theirs["wrong"]
    truth = [row for picture in GOLDEN["pictures"] for row in picture["truth"]]
    assert table[:k].sum() == sum(not row[5] for row in truth)  # each object once


@st.composite
def scenes(draw):
    """A few pictures with few different places and scores, so that everything ties."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    k = draw(st.integers(1, 3))
    step = draw(st.sampled_from([1, 5, 40]))
    scenes = []
    for _ in range(draw(st.integers(1, 4))):
        n, m = rng.integers(0, 9), rng.integers(0, 5)
        boxes = rng.integers(0, 80 // step, (n + m, 4)) * step
        boxes = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:] + 8], 1).astype(float)
        if m and n:  # most detections lie near an object
            near = rng.integers(0, m, n)
            shift = rng.integers(-4, 5, (n, 4))
            close = boxes[n + near] + shift
            close[:, 2:] = np.maximum(close[:, 2:], close[:, :2])
            boxes[:n] = np.where(rng.random((n, 1)) < 0.7, close, boxes[:n])
        scores = rng.integers(0, 5, n) / 4
        crowd = rng.random(m) < 0.25
        found = Found(boxes[:n], scores, rng.integers(0, k, n))
        scenes.append((found, Truth(boxes[n:], rng.integers(0, k, m), crowd)))
    return k, scenes


def measured(k, pictures):
    metric = Detection([f"c{i}" for i in range(k)])
    for found, truth in pictures:
        metric.update(found, truth)
    return metric


@given(scenes())
@quick
def test_coco_is_the_plain_loop(drawn):
    k, pictures = drawn
    metric = measured(k, pictures)
    slow = {
        name: [coco_class(pictures, label, *size) for label in range(k)]
        for name, size in {
            "": (0, 1e10),
            "_small": (0, 1024),
            "_medium": (1024, 9216),
            "_large": (9216, 1e10),
        }.items()
    }
    if all(row is None for row in slow[""]):
        with pytest.raises(ValueError, match="no objects"):
            metric.compute()
        return
    ours = metric.compute()
    for name, rows in slow.items():
        known = [row for row in rows if row]
        assert (f"map{name}" in ours) == (f"ar{name}" in ours) == bool(known)
        if known:
            ap = np.mean([row["ap"] for row in known])
            assert ours[f"map{name}"] == pytest.approx(ap, abs=1e-9)
            recall = np.mean([row["ar"] for row in known])
            assert ours[f"ar{name}"] == pytest.approx(recall, abs=1e-9)
    known = [row for row in slow[""] if row]
    assert ours["map50"] == pytest.approx(np.mean([row["aps"][0] for row in known]), abs=1e-9)
    assert ours["map75"] == pytest.approx(np.mean([row["aps"][5] for row in known]), abs=1e-9)


@given(scenes(), st.sampled_from([0.3, 0.5, 0.75]))
@quick
def test_voc_is_the_plain_loop(drawn, threshold):
    k, pictures = drawn
    metric = measured(k, pictures)
    for points in (11, None):
        ours = metric.voc(points, threshold)
        for label, value in enumerate(ours.values()):
            expected = voc_class(pictures, label, points, threshold)
            assert value == (None if expected is None else pytest.approx(expected, abs=1e-9))


@given(scenes(), st.sampled_from([0.0, 0.5]))
@quick
def test_confusion_is_the_plain_loop(drawn, score):
    k, pictures = drawn
    ours = measured(k, pictures).confusion(score=score, iou=0.4)
    assert ours.tolist() == confusion(pictures, k, score, 0.4)


@given(scenes())
@quick
def test_merged_is_as_if_fed_to_one(drawn):
    k, pictures = drawn
    whole, first, second = measured(k, pictures), measured(k, pictures[:1]), measured(k, [])
    for found, truth in pictures[1:]:
        second.update(found, truth)
    first.voc()  # something computed before must not stay
    first.merge(second)
    assert first.samples == len(pictures)
    assert first.per_class() == whole.per_class() and first.voc() == whole.voc()


# --- by hand --------------------------------------------------------------------------------------

BOX = np.array([[10.0, 10, 60, 60]])
FAR = BOX + 200
NONE = np.zeros((0, 4))


def one(found, scores, truth, crowd=None, labels=None):
    metric = Detection(["cat", "dog"])
    labels = np.zeros(len(found), int) if labels is None else np.array(labels)
    kinds = np.zeros(len(truth), int)
    metric.update(Found(found, np.array(scores), labels), Truth(truth, kinds, crowd))
    return metric


def test_a_perfect_detector():
    metric = one(BOX, [0.9], BOX)
    figures = metric.compute()
    assert set(figures) == set(STATS) - {"map_small", "map_large", "ar_small", "ar_large"}
    assert all(value == pytest.approx(1) for value in figures.values())
    assert metric.voc() == metric.voc(11) == {"cat": 1, "dog": None}
    assert metric.per_class()["dog"] == dict.fromkeys(["ap", "ap50", "ap75", "ar"]) | {"support": 0}
    assert metric.confusion().tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]


def test_a_worked_average_precision():
    # Right, wrong, right; two objects: precision 1, 1/2, 2/3 at recall 1/2, 1/2, 1.
    truth, found = np.concatenate([BOX, FAR]), np.concatenate([BOX, BOX + 500, FAR])
    metric = one(found, [0.9, 0.8, 0.7], truth)
    assert metric.voc()["cat"] == pytest.approx((1 + 2 / 3) / 2)
    assert metric.voc(11)["cat"] == pytest.approx((6 * 1 + 5 * 2 / 3) / 11)
    assert metric.compute()["map50"] == pytest.approx((51 * 1 + 50 * 2 / 3) / 101)
    curve = metric.curve(0)
    assert curve["precision"] == pytest.approx([1, 1 / 2, 2 / 3])
    assert curve["recall"].tolist() == [0.5, 0.5, 1] and curve["scores"].tolist() == [0.9, 0.8, 0.7]
    assert metric.compute()["ar1"] == 0.5 and metric.compute()["ar10"] == 1


def test_iou_of_exactly_a_half_is_correct():
    half = np.array([[10.0, 10, 60, 35]])
    assert iou(half[0], BOX[0]) == 0.5
    figures = one(half, [0.9], BOX).compute()
    assert figures["map50"] == pytest.approx(1) and figures["map"] == pytest.approx(0.1)
    assert one(half, [0.9], BOX).voc()["cat"] == 1


def test_a_second_box_on_an_object_is_wrong_and_one_on_a_crowd_is_not():
    twice = np.concatenate([BOX, BOX])
    assert one(twice, [0.9, 0.8], BOX).curve(0)["precision"].tolist() == [1, 0.5]
    both, crowd = np.concatenate([BOX, FAR]), np.array([False, True])
    metric = one(np.concatenate([BOX, FAR, FAR]), [0.7, 0.9, 0.8], both, crowd)
    assert metric.compute()["map"] == pytest.approx(1) and metric.voc()["cat"] == 1
    assert metric.confusion().sum() == 1 and metric.per_class()["cat"]["support"] == 1


def test_of_two_objects_overlapped_alike_coco_takes_the_last_and_voc_the_first():
    truth = np.array([[0.0, 0, 10, 10], [4, 0, 14, 10]])
    found = np.array([[2.0, 0, 12, 10], [0, 0, 10, 10]])  # IoU 2/3 with both; the first object
    metric = one(found, [0.9, 0.8], truth)
    assert metric.compute()["ar"] == pytest.approx((4 * 2 + 6 * 1) / 20)  # both up to IoU 0.65
    assert metric.voc()["cat"] == 0.5  # the second detection comes to an object that is taken
    assert one(found, [0.9, 0.8], truth[::-1]).voc()["cat"] == 1


def test_confusion_names_the_wrong_class_the_missed_and_the_background():
    truth = np.concatenate([BOX, FAR])
    metric = one(np.concatenate([BOX, BOX + 500]), [0.9, 0.5], truth, labels=[1, 0])
    assert metric.confusion().tolist() == [[0, 1, 1], [0, 0, 0], [1, 0, 0]]
    assert metric.confusion(score=0.6).tolist() == [[0, 1, 1], [0, 0, 0], [0, 0, 0]]


def test_nothing_found_is_zero_and_no_picture_is_an_error():
    figures = one(NONE, [], BOX).compute()
    assert set(figures.values()) == {0.0}
    empty = Detection(["cat"])
    for ask in (empty.compute, empty.per_class, empty.voc, empty.confusion):
        with pytest.raises(ValueError, match="no pictures"):
            ask()
    empty.update(Found(BOX, np.ones(1), np.zeros(1, int)), Truth([], np.zeros(0, int)))
    with pytest.raises(ValueError, match="no objects"):
        empty.compute()
    assert empty.confusion().tolist() == [[0, 0], [1, 0]]


def test_a_picture_that_is_refused_is_not_counted():
    labels = np.zeros(1, int)
    good = Truth(BOX, labels)
    for found, truth in [
        (Found(BOX[:, :3], np.ones(1), labels), good),
        (Found(BOX, np.ones(2), labels), good),
        (Found(BOX, np.array([math.nan]), labels), good),
        (Found(BOX * math.inf, np.ones(1), labels), good),
        (Found(BOX[:, ::-1], np.ones(1), labels), good),
        (Found(BOX, np.ones(1), labels + 2), good),
        (Found(BOX, np.ones(1), labels - 1), good),
        (Found(BOX, np.ones(1), labels.astype(float)), good),
        (Found(BOX, np.ones(1), labels), Truth(BOX, labels, crowd=np.zeros(2, bool))),
        (Found(BOX, np.ones(1), labels), Truth(BOX, labels, areas=np.array([math.nan]))),
    ]:
        metric = Detection(["cat", "dog"])
        with pytest.raises(ValueError):
            metric.update(found, truth)
        assert metric.samples == 0
    with pytest.raises(ValueError, match="same classes"):
        Detection(["cat"]).merge(Detection(["dog"]))
    with pytest.raises(ValueError, match="at least one"):
        Detection([])
    metric = one(BOX, [0.9], BOX)
    for call in (
        lambda: metric.voc(10),
        lambda: metric.curve(0, 0.52),
        lambda: metric.curve(1),
        lambda: metric.curve(2),
    ):
        with pytest.raises(ValueError):
            call()


def test_metrics_do_not_import_torch():
    code = "import sys, boda.metrics.detection; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
