"""Classification metrics against scikit-learn and plain loops."""

import math
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from boda.metrics.classification import BINS, EDGES, Classification


def names(k):
    return [f"c{i}" for i in range(k)]


def measure(scores, labels):
    metric = Classification(names(scores.shape[1]))
    metric.update(scores, labels)
    return metric


@st.composite
def batches(draw):
    """Scores and labels where some classes never occur and some are never predicted."""
    k = draw(st.integers(2, 9))
    n = draw(st.integers(1, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    labels = rng.integers(0, draw(st.integers(1, k)), n)
    sharpness = draw(st.sampled_from([0.1, 1.0, 10.0]))
    logits = rng.normal(size=(n, k)) * sharpness
    logits[np.arange(n), labels] += draw(st.sampled_from([0.0, 2.0]))
    scores = np.exp(logits - logits.max(1, keepdims=True))
    scores /= scores.sum(1, keepdims=True)
    return scores.astype(draw(st.sampled_from([np.float32, np.float64]))), labels


def slow_ece(scores, labels):
    """Guo et al. 2017, equation 3, as it stands."""
    total = 0.0
    for m in range(BINS):
        low, high = EDGES[m], EDGES[m + 1]
        inside = []
        for row, label in zip(scores.tolist(), labels.tolist(), strict=True):
            top = max(row)
            if low < top <= high or (m == 0 and top == 0):
                inside.append((top, row.index(top) == label))
        if inside:
            confidence = sum(c for c, _ in inside) / len(inside)
            accuracy = sum(r for _, r in inside) / len(inside)
            total += len(inside) / len(labels) * abs(accuracy - confidence)
    return total


@settings(max_examples=150, deadline=None)
@given(batches())
def test_against_scikit_learn(batch):
    scores, labels = batch
    k = scores.shape[1]
    metric, predicted = measure(scores, labels), scores.argmax(1)
    found, present = metric.compute(), np.unique(labels)

    assert np.array_equal(
        metric.confusion(), sk.confusion_matrix(labels, predicted, labels=range(k))
    )
    assert metric.confusion().dtype == np.int64
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(labels, predicted))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "y_pred contains classes not in y_true": so it does
        balanced = sk.balanced_accuracy_score(labels, predicted)
    assert found["balanced_accuracy"] == pytest.approx(balanced)
    macro = sk.f1_score(labels, predicted, labels=present, average="macro", zero_division=0)
    assert found["macro_f1"] == pytest.approx(macro)
    own = scores.astype(np.float64)[np.arange(len(labels)), labels]
    assert found["nll"] == pytest.approx(-np.log(np.maximum(own, 1.2e-38)).mean(), abs=1e-8)
    assert found["ece"] == pytest.approx(slow_ece(scores, labels), abs=1e-8)

    precision, recall, f1, support = sk.precision_recall_fscore_support(
        labels, predicted, labels=range(k), zero_division=np.nan
    )
    for i, row in enumerate(metric.per_class().values()):
        assert row["support"] == support[i]
        if support[i]:
            assert row["recall"] == pytest.approx(recall[i])
            assert row["f1"] == pytest.approx(f1[i])
        else:
            assert row["recall"] is None and row["f1"] is None
        if math.isnan(precision[i]):
            assert row["precision"] is None
        else:
            assert row["precision"] == pytest.approx(precision[i])


@settings(max_examples=60, deadline=None)
@given(batches())
def test_top5(batch):
    scores, labels = batch
    k = scores.shape[1]
    found = measure(scores, labels).compute()
    if k <= 5:
        assert "top5_accuracy" not in found
        return
    hits = 0
    for row, label in zip(scores.tolist(), labels.tolist(), strict=True):
        hits += label in sorted(range(k), key=lambda c: (-row[c], c))[:5]
    assert found["top5_accuracy"] == hits / len(labels)
    assert found["top5_accuracy"] == pytest.approx(
        sk.top_k_accuracy_score(labels, scores, k=5, labels=range(k))
    )


def test_nll_against_log_loss():
    rng = np.random.default_rng(0)
    scores, labels = rng.dirichlet(np.ones(7), 200), rng.integers(0, 7, 200)
    expected = sk.log_loss(labels, scores, labels=range(7))
    assert measure(scores, labels).compute()["nll"] == pytest.approx(expected, abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(batches(), st.integers(0, 2**32 - 1))
def test_grouping_does_not_matter(batch, seed):
    """Any split into batches and workers, in any order, gives the same figures to the last bit."""
    scores, labels = batch
    whole = measure(scores, labels)
    order = np.random.default_rng(seed).permutation(len(labels))
    parts = [Classification(names(scores.shape[1])) for _ in range(3)]
    for i, chunk in enumerate(np.array_split(order, 7)):
        parts[i % 3].update(scores[chunk], labels[chunk])
    for part in parts[1:]:
        parts[0].merge(part)
    assert parts[0].compute() == whole.compute()
    assert parts[0].per_class() == whole.per_class()
    assert parts[0].calibration() == whole.calibration()
    assert np.array_equal(parts[0].confusion(), whole.confusion())


def test_bins():
    scores = np.array([[1.0, 0.0], [0.4, 0.6], [0.5, 0.5]])
    bins = measure(scores, np.array([0, 0, 0])).calibration()
    assert len(bins) == 15 and bins[0]["low"] == 0.0 and bins[-1]["high"] == 1.0
    assert sum(row["count"] for row in bins) == 3
    assert bins[-1] == {
        "low": EDGES[14], "high": 1.0, "count": 1, "confidence": 1.0, "accuracy": 1.0,
    }  # fmt: skip
    assert bins[0]["confidence"] is None and bins[0]["accuracy"] is None
    middle = next(row for row in bins if row["low"] < 0.5 <= row["high"])
    assert middle["count"] == 1 and middle["accuracy"] == 1.0  # of equal scores, the first class


def test_an_exact_zero_is_finite():
    found = measure(np.array([[1.0, 0.0]], np.float32), np.array([1])).compute()
    assert found["nll"] == pytest.approx(87.3365, abs=1e-3)


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([[np.nan, 0.5]], [0], "not finite, first at row 0"),
        ([[0.5, 0.5], [np.inf, 0.0]], [0, 1], "not finite, first at row 1"),
        ([[3.0, -2.0]], [0], "softmax"),
        ([[0.5, 0.5]], [2], r"0\.\.1 is meant"),
        ([[0.5, 0.5]], [-1], r"0\.\.1 is meant"),
        ([[0.5, 0.5]], [0.0], "integers"),
        ([[0.5, 0.5]], [0, 1], "shape"),
        ([[0.2, 0.3, 0.5]], [0], r"\(N, 2\)"),
    ],
)
def test_bad_input_is_refused_and_not_counted(scores, labels, message):
    metric = Classification(["a", "b"])
    with pytest.raises(ValueError, match=message):
        metric.update(np.array(scores), np.array(labels))
    assert metric.samples == 0


def test_nothing_counted():
    metric = Classification(["a", "b"])
    metric.update(np.zeros((0, 2)), np.zeros(0, np.int64))
    with pytest.raises(ValueError, match="no samples"):
        metric.compute()
    with pytest.raises(ValueError, match="same classes"):
        metric.merge(Classification(["b", "a"]))


def test_confusion_is_a_copy():
    metric = measure(np.array([[0.9, 0.1]]), np.array([0]))
    metric.confusion()[:] = 99
    assert metric.samples == 1


def test_no_torch():
    import subprocess

    code = "import sys, boda.metrics.classification; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
