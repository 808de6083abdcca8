"""ROC, AUC, equal error rate, ten folds and thresholds against scikit-learn, SciPy and loops."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize
from sklearn import metrics as sk

from boda.metrics import NothingToMeasure
from boda.metrics.verification import (
    Verification,
    auc,
    best_threshold,
    deal,
    equal_error_rate,
    pair_scores,
    roc,
    tenfold,
    threshold_at,
)
from tests.slow_reference import triplets as slow


@st.composite
def pairs(draw):
    """Scores on a grid, so that many tie; at least one pair of each kind."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, fine = draw(st.integers(2, 60)), draw(st.sampled_from([2, 10, 10**9]))
    same = rng.random(n) < draw(st.sampled_from([0.2, 0.5]))
    same[:2] = True, False
    scores = rng.integers(0, fine, n) / fine + draw(st.sampled_from([0, 0.3, 2])) * same
    return scores - 0.5, same


@settings(max_examples=80, deadline=None)
@given(pairs())
def test_curve_and_area_against_scikit_learn_and_a_loop(case):
    scores, same = case
    curve = roc(scores, same)
    false, true, thresholds = sk.roc_curve(same, scores, drop_intermediate=False)
    assert curve.scores.tolist() == thresholds.tolist()
    assert curve.false_accept == pytest.approx(false) and curve.true_accept == pytest.approx(true)
    assert auc(curve) == pytest.approx(sk.roc_auc_score(same, scores), abs=1e-12)
    assert auc(curve) == pytest.approx(slow.auc(scores.tolist(), same.tolist()), abs=1e-12)


@settings(max_examples=80, deadline=None)
@given(pairs())
def test_equal_error_rate_against_a_root(case):
    """Where the straight lines between scikit-learn's points meet false accept = 1 − true accept."""
    scores, same = case
    false, true, _ = sk.roc_curve(same, scores, drop_intermediate=False)
    way = np.arange(len(false))  # along the points: the curve may run straight up
    gap = lambda t: np.interp(t, way, false) + np.interp(t, way, true) - 1  # noqa: E731
    expected = np.interp(optimize.brentq(gap, 0, way[-1], xtol=1e-13), way, false)
    assert equal_error_rate(roc(scores, same)) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=80, deadline=None)
@given(pairs(), st.sampled_from([0.0, 0.01, 0.1, 0.3, 1.0]))
def test_thresholds_against_loops(case, rate):
    scores, same = case
    curve, lists = roc(scores, same), (scores.tolist(), same.tolist())
    steps = sorted(set(lists[0]))
    for found in (threshold_at(curve, rate), best_threshold(curve, same.mean())):
        assert (found.false_accept, found.true_accept) == pytest.approx(
            slow.rates(*lists, found.score)
        )
    found = threshold_at(curve, rate)
    assert found.false_accept <= rate
    lower = [s for s in steps if s < found.score]  # any lower one would accept too many
    assert not lower or slow.rates(*lists, lower[-1])[0] > rate
    best = best_threshold(curve, same.mean())
    right = lambda cut: sum((s >= cut) == t for s, t in zip(*lists, strict=True))  # noqa: E731
    assert right(best.score) == max(right(cut) for cut in [*steps, steps[-1] + 1])
    accepted = min([s for s in steps if s >= best.score], default=np.inf)  # best lies below it
    assert all(right(s) < right(best.score) for s in [*steps, steps[-1] + 1] if s > accepted)
    assert np.isfinite(best.score)


@settings(max_examples=40, deadline=None)
@given(pairs(), st.integers(2, 10))
def test_folds_against_a_loop(case, count):
    scores, same = case
    scores, same = np.tile(scores, 4), np.tile(same, 4)
    folds = np.random.default_rng(len(scores)).integers(0, count, len(scores))
    for fold in np.unique(folds):
        kinds = same[folds != fold]
        if kinds.all() or not kinds.any():
            return
    if len(np.unique(folds)) < 2:
        return
    expected = slow.tenfold(scores.tolist(), same.tolist(), folds.tolist())
    assert tenfold(scores, same, folds).tolist() == pytest.approx(expected)


def test_the_threshold_of_a_fold_is_chosen_on_the_others():
    """A fold whose scores are shifted: its own best threshold would be right everywhere."""
    same = np.array([True, False] * 10)
    folds = np.repeat([0, 1, 2, 3, 4], 4)
    scores = np.where(same, 0.8, 0.2) + np.where(folds == 4, 5.0, 0.0)
    assert tenfold(scores, same, folds).tolist() == [1.0, 1.0, 1.0, 1.0, 0.5]


def lfw_like(seed=0, n=600, folds=10):
    rng = np.random.default_rng(seed)
    same = np.arange(n) % 2 == 0
    return rng.normal(size=n) + 2 * same, same, np.arange(n) * folds // n


def test_figures():
    scores, same, folds = lfw_like()
    metric = Verification()
    for part in np.array_split(np.arange(600), 7):
        metric.update(scores[part], same[part], folds[part])
    found = metric.compute()
    values = tenfold(scores, same, folds)
    assert found["auc"] == pytest.approx(sk.roc_auc_score(same, scores), abs=1e-12)
    assert found["verification_accuracy"] == pytest.approx(values.mean())
    error = np.sqrt(((values - values.mean()) ** 2).sum() / 9) / np.sqrt(10)  # as LFW has it
    assert found["verification_accuracy_error"] == pytest.approx(error)
    assert found["verification_accuracy"] == pytest.approx(0.841, abs=0.03)  # Φ(1)
    assert found["eer"] == pytest.approx(0.159, abs=0.03)
    assert found["threshold"] == pytest.approx(1.0, abs=0.4)
    assert "tar_at_far_0.001" not in found  # 300 pairs of two cannot tell
    strict = slow.rates(scores.tolist(), same.tolist(), threshold_at(metric.curve, 0.01).score)
    assert strict[0] <= 0.01 and found["tar_at_far_0.01"] == pytest.approx(strict[1])
    json.dumps(found, allow_nan=False)


def test_neither_order_nor_parts_change_a_figure():
    scores, same, folds = lfw_like()
    order = np.random.default_rng(1).permutation(600)
    for given_folds in (folds, None):
        whole, first, second = Verification(), Verification(), Verification()
        take = (lambda i: given_folds[i]) if given_folds is not None else (lambda i: None)  # noqa: B023
        whole.update(scores, same, given_folds)
        first.update(scores[order[:250]], same[order[:250]], take(order[:250]))
        second.update(scores[order[250:]], same[order[250:]], take(order[250:]))
        first.merge(second)
        assert first.compute() == pytest.approx(whole.compute(), abs=1e-12)


def test_dealt_folds_have_as_many_of_each_kind():
    scores, same, _ = lfw_like(n=506)
    same[:100] = False
    folds, drawn = deal(scores, same), np.arange(506)[deal(scores, same) >= 0]
    assert len(drawn) == 2 * same.sum() and set(np.flatnonzero(same)) <= set(drawn)
    for kind in (True, False):
        counts = np.bincount(folds[drawn][same[drawn] == kind], minlength=10)
        assert len(counts) == 10 and counts.max() - counts.min() <= 1
    left = np.flatnonzero(folds < 0)  # no better or worse than those drawn
    assert abs(scores[left].mean() - scores[drawn][~same[drawn]].mean()) < 0.5
    assert deal(scores[:4], np.array([True, True, False, False])).max() == 1


def test_where_hardly_any_pair_shows_the_same_never_is_not_right():
    """Scores that tell nothing: half right, not as often as there are pairs of two."""
    rng = np.random.default_rng(0)
    metric = Verification()
    metric.update(rng.normal(size=20_000), np.arange(20_000) % 50 == 0)
    found = metric.compute()
    assert found["verification_accuracy"] == pytest.approx(0.5, abs=0.06)
    assert found["auc"] == pytest.approx(0.5, abs=0.05)


def test_separable_pairs_are_told_apart_half_way():
    scores, same = np.array([0.9, 0.8, 0.2, 0.1]), np.array([True, True, False, False])
    curve = roc(scores, same)
    assert best_threshold(curve, 0.5).score == pytest.approx(0.5)
    assert threshold_at(curve, 0.0).score == pytest.approx(0.5)
    assert auc(curve) == 1.0 and equal_error_rate(curve) == 0.0
    metric = Verification()
    metric.update(scores, same)
    assert metric.compute()["verification_accuracy"] == 1.0


def test_neighbouring_numbers_stay_on_their_sides():
    low = 1.0
    high = np.nextafter(low, 2)
    found = best_threshold(roc(np.array([high, low]), np.array([True, False])), 0.5)
    assert found.score == high and found.false_accept == 0


def test_a_rate_that_nothing_reaches_accepts_nothing():
    curve = roc(np.array([0.9, 0.5, 0.4]), np.array([False, True, False]))
    found = threshold_at(curve, 0.1)
    assert found.score > 0.9 and found.true_accept == found.false_accept == 0


def test_pairs_of_embeddings():
    rng = np.random.default_rng(0)
    vectors, names = rng.normal(size=(9, 4)).astype(np.float32), list("abacabbca")
    scores, same = pair_scores(vectors, names)
    first, second = np.triu_indices(9, 1)
    expected = sk.pairwise.cosine_similarity(vectors.astype(np.float64))[first, second]
    assert scores == pytest.approx(expected, abs=1e-12)
    assert same.tolist() == [names[i] == names[j] for i, j in zip(first, second, strict=True)]
    assert len(pair_scores(vectors[:1], names[:1])[0]) == 0
    equal = np.tile(vectors[0], (30, 1))
    assert len(np.unique(pair_scores(equal, names[:1] * 30)[0])) == 1  # ties are ties


def test_nothing_to_measure_and_wrong_input():
    with pytest.raises(ValueError, match="no pairs"):
        Verification().compute()
    metric = Verification()
    metric.update(np.zeros(0), np.zeros(0, bool))
    metric.update(np.array([0.5, 0.6]), np.array([True, True]))
    with pytest.raises(NothingToMeasure, match="none of these 2 pairs shows different people"):
        metric.compute()
    with pytest.raises(ValueError, match="with every batch, or with none"):
        metric.update(np.array([0.5]), np.array([False]), np.array([0]))
    with pytest.raises(ValueError, match=r"\(2,\) folds of \(1,\)"):
        metric.update(np.array([0.5]), np.array([False]), np.array([0, 1]))
    for scores, same, message in (
        ([0.5, np.nan], [True, False], "1 of 2 scores are not finite, first at 1"),
        ([0.5], [True, False], r"\(P,\) is meant"),
        ([0.5], [1], "bool is meant"),
    ):
        with pytest.raises(ValueError, match=message):
            metric.update(np.array(scores), np.array(same))
    metric.update(np.array([0.1]), np.array([False]))
    found = metric.compute()  # one pair of two: no folds, no rates
    assert set(found) == {"auc", "eer", "threshold"}
    with pytest.raises(NothingToMeasure, match="one fold"):
        tenfold(np.array([0.1, 0.2]), np.array([True, False]), np.zeros(2))
    with pytest.raises(ValueError, match=r"0\.\.1 is meant"):
        threshold_at(metric.curve, 1.5)
