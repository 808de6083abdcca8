"""Figures of maps of classes against scikit-learn and loops over pixels."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from boda.metrics import NothingToMeasure
from boda.metrics.segmentation import TOLERANCE, Segmentation
from tests.slow_reference import segmentation as slow


def names(k):
    return [f"c{i}" for i in range(k)]


def measure(pairs, k):
    metric = Segmentation(names(k))
    for said, truth in pairs:
        metric.update(said, truth)
    return metric


@st.composite
def sets(draw):
    """Pictures of several sizes, with ignored pixels, absent classes, and some only said."""
    k = draw(st.integers(2, 8))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    true = rng.choice(k, rng.integers(1, k + 1), replace=False)
    right = draw(st.sampled_from([0.2, 0.8, 1.0]))
    ignored = draw(st.sampled_from([0.0, 0.3]))
    side = draw(st.integers(1, 4))
    pairs = []
    for _ in range(draw(st.integers(1, 3))):
        shape = rng.integers(3, 8, 2)
        truth = np.kron(rng.choice(true, shape), np.ones((side, side), int)).astype(np.uint8)
        said = np.where(rng.random(truth.shape) < right, truth, rng.integers(0, k))
        said = np.roll(said, rng.integers(0, 3), axis=1).astype(np.uint8)
        truth[rng.random(truth.shape) < ignored] = 255
        truth[0, 0] = true[0]
        pairs.append((said, truth))
    return pairs, k


@settings(max_examples=60, deadline=None)
@given(sets())
def test_against_scikit_learn(case):
    pairs, k = case
    metric = measure(pairs, k)
    truth = np.concatenate([t.ravel() for _, t in pairs])
    said = np.concatenate([s.ravel() for s, _ in pairs])[truth != 255]
    truth = truth[truth != 255]
    found, rows = metric.compute(), metric.per_class()

    assert metric.confusion.dtype == np.int64
    assert np.array_equal(metric.confusion, sk.confusion_matrix(truth, said, labels=range(k)))
    # scikit-learn's macro means are over the classes that are in either, unless told otherwise.
    assert found["miou"] == pytest.approx(sk.jaccard_score(truth, said, average="macro"))
    assert found["dice"] == pytest.approx(sk.f1_score(truth, said, average="macro"))
    assert found["pixel_accuracy"] == pytest.approx(sk.accuracy_score(truth, said))
    there = np.unique(truth)
    recall = sk.recall_score(truth, said, labels=there, average="macro", zero_division=0)
    assert found["mean_accuracy"] == pytest.approx(recall)

    either = np.union1d(truth, said)
    assert metric.absent == [f"c{i}" for i in range(k) if i not in either]
    for i, value in zip(either, sk.jaccard_score(truth, said, average=None), strict=True):
        assert rows[f"c{i}"]["iou"] == pytest.approx(value)
    for i, value in zip(either, sk.f1_score(truth, said, average=None), strict=True):
        assert rows[f"c{i}"]["dice"] == pytest.approx(value)
    for name in metric.absent:
        assert {v for f, v in rows[name].items() if f != "support"} == {None}
    assert [row["support"] for row in rows.values()] == np.bincount(truth, minlength=k).tolist()
    json.dumps([found, rows], allow_nan=False)


@pytest.mark.parametrize("seed", range(12))
def test_boundary_f1_against_a_loop(seed):
    """Sizes at which the tolerance is between 1 and 2 pixels, the map in blocks that are shifted."""
    rng = np.random.default_rng(seed)
    pairs = []
    for _ in range(2):
        height, width = 90 + 17 * (seed % 3), 120 + 11 * (seed % 5)
        blocks = np.kron(rng.integers(0, 5, (6, 8)), np.ones((23, 23), int)).astype(np.uint8)
        truth = blocks[:height, :width].copy()
        said = np.roll(blocks, rng.integers(-3, 4, 2), (0, 1))[:height, :width].copy()
        said[:10] = rng.integers(0, 5)
        truth[rng.random(truth.shape) < 0.02] = 255
        truth[40:60, 30:50] = 255
        truth[truth == 4] = 0  # only said
        pairs.append((said, truth))
    metric = measure(pairs, 6)
    lists = [(said.tolist(), truth.tolist()) for said, truth in pairs]
    expected = slow.boundary_f1(lists, 6, 0.0075)
    rows = metric.per_class()
    for i, value in enumerate(expected):
        assert rows[f"c{i}"]["boundary_f1"] == pytest.approx(value, abs=1e-8)
    known = [value for value in expected if value is not None]
    assert 0.05 < np.mean(known) < 0.95
    assert metric.compute()["boundary_f1"] == pytest.approx(np.mean(known), abs=1e-8)
    assert expected[4] is None and expected[5] is None


def test_boundary_f1_sees_a_shift_beyond_the_tolerance():
    """In 480 × 360 the tolerance is 4.5 pixels: what is 4 off on both sides is right, 5 is wrong."""
    assert TOLERANCE * np.hypot(360, 480) == pytest.approx(4.5)
    columns = np.broadcast_to(np.arange(480), (360, 480))
    truth, four, five = ((columns >= edge).astype(np.uint8) for edge in (240, 244, 245))
    assert measure([(four, truth)], 2).compute()["boundary_f1"] == 1
    assert measure([(five, truth)], 2).compute()["boundary_f1"] == 0


def test_boundary_f1_where_contours_are_missing():
    """A class that fills the picture has none; one that is not found where it has one gets 0."""
    whole, half = np.zeros((20, 20), np.uint8), np.zeros((20, 20), np.uint8)
    half[:, 10:] = 1
    metric = measure([(whole, whole)], 2)
    assert metric.per_class()["c0"]["boundary_f1"] is None
    assert "boundary_f1" not in metric.compute() and metric.compute()["miou"] == 1
    metric.update(whole, half)
    assert metric.compute()["boundary_f1"] == 0
    metric.update(half, half)
    assert metric.compute()["boundary_f1"] == 0.5


def test_a_worked_example():
    truth = np.array([[0, 0, 1, 255], [0, 1, 1, 255]], np.uint8)
    said = np.array([[0, 1, 1, 2], [0, 1, 3, 9]], np.uint8)  # what is said of 255 does not matter
    metric = measure([(said, truth)], 5)
    rows = metric.per_class()
    assert (rows["c0"]["iou"], rows["c1"]["iou"], rows["c3"]["iou"]) == (2 / 3, 2 / 4, 0)
    assert (rows["c3"]["recall"], rows["c3"]["precision"]) == (None, 0)
    assert metric.absent == ["c2", "c4"]
    assert metric.compute()["miou"] == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert metric.compute()["mean_accuracy"] == pytest.approx(2 / 3)


@settings(max_examples=30, deadline=None)
@given(sets())
def test_merged_in_any_order_the_same_bits(case):
    pairs, k = case
    whole, parts = measure(pairs, k), [measure([pair], k) for pair in pairs]
    for order in itertools.permutations(parts):
        merged = Segmentation(names(k))
        for part in order:
            merged.merge(part)
        assert merged.compute() == whole.compute()
        assert merged.per_class() == whole.per_class()
        assert merged.samples == len(pairs)
        assert np.array_equal(merged.confusion, whole.confusion)


def test_nothing_to_measure():
    metric = Segmentation(names(2))
    with pytest.raises(ValueError, match="no pictures"):
        metric.compute()
    metric.update(np.zeros((3, 4), np.uint8), np.full((3, 4), 255, np.uint8))
    with pytest.raises(NothingToMeasure, match="no pixel of these 1 pictures"):
        metric.compute()
    assert metric.absent == ["c0", "c1"]


@pytest.mark.parametrize(
    ("said", "truth", "why"),
    [
        (np.zeros((3, 4), np.uint8), np.zeros((4, 3), np.uint8), r"\(3, 4\) and \(4, 3\)"),
        (np.zeros((1, 3, 4), np.uint8), np.zeros((1, 3, 4), np.uint8), "twice"),
        (np.zeros((3, 4), np.uint8), np.full((3, 4), 7, np.uint8), "the truth has 12 .* such as 7"),
        (np.full((3, 4), 255, np.uint8), np.zeros((3, 4), np.uint8), "what is said has 12"),
        (np.full((3, 4), -1), np.zeros((3, 4), np.uint8), "such as -1"),
        (np.zeros((3, 4)), np.zeros((3, 4), np.uint8), "float64"),
    ],
)
def test_wrong_maps_are_refused_and_not_counted(said, truth, why):
    metric = Segmentation(names(2))
    with pytest.raises(ValueError, match=why):
        metric.update(said, truth)
    assert metric.samples == 0 and not metric.confusion.any()
    with pytest.raises(ValueError, match="same classes"):
        metric.merge(Segmentation(names(3)))
    with pytest.raises(ValueError, match="256 classes"):
        Segmentation(names(256))
