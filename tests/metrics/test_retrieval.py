"""Recall@k, R-precision and MAP@R against loops and pytorch-metric-learning's recorded figures."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boda.metrics import NothingToMeasure, retrieval
from boda.metrics.embeddings import cosine_distances, euclidean_distances
from boda.metrics.retrieval import Retrieval
from tests.slow_reference import triplets as slow

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "metric_learning.json").read_text())
KS = (1, 2, 5)


def measured(vectors, names, measure=euclidean_distances):
    metric = Retrieval(KS, measure)
    metric.update(vectors, names)
    return metric.compute()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 25), st.sampled_from([1, 2, 100]))
def test_against_a_loop(seed, n, fine):
    """Vectors on a grid: many are equally far, and some the same."""
    rng = np.random.default_rng(seed)
    vectors = rng.integers(-fine, fine + 1, (n, 2)).astype(np.float64)
    who = rng.integers(0, rng.integers(1, 7), n)
    names = [f"p{k}" for k in who]
    if np.bincount(who).max() < 2:
        return
    table = slow.table(vectors.tolist(), vectors.tolist(), slow.squared)
    expected = slow.retrieval(table, names, KS)
    found = measured(vectors, names)
    assert list(found) == ["recall_at_1", "recall_at_2", "recall_at_5", "r_precision", "map_at_r"]
    assert list(found.values()) == pytest.approx(expected)

    order = rng.permutation(n)
    again = measured(vectors[order], [names[i] for i in order])
    assert list(again.values()) == pytest.approx(expected, abs=1e-12)


def test_against_pytorch_metric_learning():
    vectors, labels = np.array(GOLDEN["many"]), [str(k) for k in GOLDEN["many labels"]]
    found, theirs = measured(vectors, labels, cosine_distances), GOLDEN["figures"]
    assert found["recall_at_1"] == pytest.approx(theirs["precision_at_1"], abs=1e-12)
    assert found["r_precision"] == pytest.approx(theirs["r_precision"], abs=1e-12)
    assert found["map_at_r"] == pytest.approx(theirs["mean_average_precision_at_r"], abs=1e-12)


def test_blocks_and_merged_parts_give_the_same(monkeypatch):
    rng = np.random.default_rng(0)
    vectors, names = rng.normal(size=(50, 4)).astype(np.float32), [f"{i % 7}" for i in range(50)]
    expected = measured(vectors, names)
    monkeypatch.setattr(retrieval, "BLOCK", 7)
    parts = [Retrieval(KS, euclidean_distances) for _ in range(3)]
    for part, places in zip(parts, np.array_split(np.arange(50), 3), strict=True):
        part.update(vectors[places], [names[i] for i in places])
    parts[0].merge(parts[1])
    parts[0].merge(parts[2])
    assert parts[0].compute() == pytest.approx(expected, abs=1e-12)


def test_an_example_by_hand():
    """On a line: a 0, b 1, a 2, a 4. Of a at 0, R = 2: ranks 2 and 3; precision at R ½ of ½."""
    metric = Retrieval((1, 2), euclidean_distances)
    metric.update(np.array([[0.0], [1.0], [2.0], [4.0]]), ["a", "b", "a", "a"])
    # a at 2: b is at 1, then both a at 2: ranks 2, 3. a at 4: a, b, a: ranks 1, 3.
    found = metric.compute()
    assert found["recall_at_1"] == pytest.approx(1 / 3) and found["recall_at_2"] == 1.0
    assert found["r_precision"] == pytest.approx(0.5)
    assert found["map_at_r"] == pytest.approx((0.25 + 0.25 + 0.5) / 3)


def test_one_vector_for_everything_finds_nothing():
    found = measured(np.ones((20, 8)), [f"{i // 5}" for i in range(20)], cosine_distances)
    assert found["recall_at_5"] == 0 and found["map_at_r"] == 0


def test_who_is_shown_once_is_found_but_asks_nothing():
    vectors = np.array([[0.0], [3.0], [1.0]])
    found = measured(vectors, ["a", "a", "alone"])
    assert found["recall_at_1"] == 0.0 and found["recall_at_2"] == 1.0


def test_nothing_to_measure_and_wrong_shapes():
    with pytest.raises(ValueError, match="no pictures"):
        Retrieval().compute()
    with pytest.raises(NothingToMeasure, match="nobody is shown twice in these 3"):
        measured(np.eye(3), ["a", "b", "c"])
    metric = Retrieval()
    for vectors, names, message in (
        (np.eye(3), ["a"], r"\(1, D\) is meant"),
        (np.array([[1.0, np.nan]]), ["a"], "1 of 1 embeddings are not finite, first at row 0"),
    ):
        with pytest.raises(ValueError, match=message):
            metric.update(vectors, names)
    metric.update(np.eye(2), ["a", "a"])
    with pytest.raises(ValueError, match="those before have 2"):
        metric.update(np.eye(3), ["a", "b", "c"])
    with pytest.raises(ValueError, match="1 and more"):
        Retrieval((0,))
    assert set(metric.compute()) >= {"recall_at_1", "recall_at_10"}
