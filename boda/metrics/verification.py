"""Do two pictures show the same? ROC, AUC, equal error rate, accuracy, thresholds.

The ten folds are the protocol of Labeled Faces in the Wild (Huang, Ramesh, Berg, Learned-Miller
2007): a threshold is chosen on nine, and holds for the tenth. A score says how alike two pictures
are, such as the cosine; a pair is accepted where its score is the threshold or more. NumPy and SciPy.

Deviation: where pairs come without folds, all pairs of the same and as many of two, drawn at
random, are dealt into ten, seeded: LFW has as many of each too, and of all pairs of a test set
hardly any shows the same, so that "never" would be right nearly always. The people of LFW's folds
are different ones, those of dealt folds need not be.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from boda.metrics import NothingToMeasure
from boda.metrics.embeddings import unit

FOLDS = 10
RATES = (1e-2, 1e-3)  # of false accepts, at which true accepts are told


class Roc(NamedTuple):
    """What is accepted as the threshold falls, from nothing to everything; (T + 1,) each.

    Attributes:
        false_accept: the share of pairs of two that is accepted, rising from 0 to 1.
        true_accept: the share of pairs of the same that is accepted, rising from 0 to 1.
        scores: from which on; infinite at first, then the distinct scores, falling.
    """

    false_accept: np.ndarray
    true_accept: np.ndarray
    scores: np.ndarray


class Threshold(NamedTuple):
    """From which score on a pair is accepted, and the shares 0..1 that are then."""

    score: float
    false_accept: float
    true_accept: float


def roc(scores: np.ndarray, same: np.ndarray) -> Roc:
    """The receiver operating characteristic, a point for every distinct score.

    Args:
        scores: (P,) finite, larger where pictures are more alike.
        same: (P,) bool.

    Raises:
        NothingToMeasure: there are only pairs of one kind.
        ValueError: shapes that do not fit, scores that are not finite.
    """
    scores, same = _checked(scores, same)
    if same.all() or not same.any():
        kind = "different people" if len(same) and same.all() else "the same"
        raise NothingToMeasure(f"none of these {len(same):,} pairs shows {kind}")
    distinct, place = np.unique(-scores, return_inverse=True)
    right = np.bincount(place[same], minlength=len(distinct)).cumsum()
    wrong = np.bincount(place[~same], minlength=len(distinct)).cumsum()
    true_accept = np.concatenate([[0.0], right / right[-1]])
    false_accept = np.concatenate([[0.0], wrong / wrong[-1]])
    return Roc(false_accept, true_accept, np.concatenate([[np.inf], -distinct]))


def auc(curve: Roc) -> float:
    """The area under the curve: how often, of two pairs, the one of the same has the higher score.

    A tie counts a half.
    """
    steps = np.diff(curve.false_accept)
    return float((steps * (curve.true_accept[1:] + curve.true_accept[:-1]) / 2).sum())


def equal_error_rate(curve: Roc) -> float:
    """The share wrong, 0..1, where as many of the same are refused as others are accepted.

    Between two points of the curve it runs straight.
    """
    return float(np.interp(0.0, curve.false_accept + curve.true_accept - 1, curve.false_accept))


def threshold_at(curve: Roc, rate: float) -> Threshold:
    """The lowest threshold at which no more than this share of pairs of two is accepted.

    It lies half way to the next score. With fewer than 1/rate pairs of two none is accepted: nothing
    is known then of rates that small.

    Args:
        curve: see ``roc``.
        rate: of false accepts, 0..1.

    Raises:
        ValueError: a rate outside of 0..1.
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"a rate of false accepts of {rate}; 0..1 is meant")
    return _threshold(curve, int(np.searchsorted(curve.false_accept, rate, side="right")) - 1)


def best_threshold(curve: Roc, share_same: float = 0.5) -> Threshold:
    """The threshold with the most right answers, half way to the next score; of equals the highest.

    Args:
        curve: see ``roc``.
        share_same: of the pairs that one expects, those that show the same, 0..1.
    """
    right = share_same * curve.true_accept + (1 - share_same) * (1 - curve.false_accept)
    # Sums of shares differ in their last digits where counts are equal.
    return _threshold(curve, int(np.argmax(right >= right.max() - 1e-12)))


def tenfold(scores: np.ndarray, same: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """(F,) accuracies, 0..1: of each fold, with the best threshold of all the others.

    Args:
        scores: (P,) finite, larger where pictures are more alike.
        same: (P,) bool.
        folds: (P,) integers, which fold each pair is in.

    Raises:
        NothingToMeasure: a single fold, or one beside which there are only pairs of one kind.
        ValueError: shapes that do not fit, scores that are not finite.
    """
    scores, same = _checked(scores, same)
    folds = np.asarray(folds)
    if folds.shape != scores.shape:
        raise ValueError(f"{folds.shape} folds of {scores.shape} pairs")
    names = np.unique(folds)
    if len(names) < 2:
        raise NothingToMeasure("all pairs are in one fold: there are no others for its threshold")
    out = np.empty(len(names))
    for i, name in enumerate(names):
        tested = folds == name
        rest = roc(scores[~tested], same[~tested])
        threshold = best_threshold(rest, float(same[~tested].mean())).score
        out[i] = ((scores[tested] >= threshold) == same[tested]).mean()
    return out


def pair_scores(embeddings: np.ndarray, identities: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Every pair of two pictures once: the cosines, and whether both show the same.

    Args:
        embeddings: (N, D); 10,000 pictures are 50 million pairs, and half a gigabyte.
        identities: N names.

    Returns:
        (N(N−1)/2,) float64 and bool, the first with all others, then the second with those behind it.
    """
    from scipy.spatial.distance import pdist  # takes longer to load than all of NumPy

    if len(embeddings) < 2:
        return np.zeros(0), np.zeros(0, bool)
    names = np.unique(identities, return_inverse=True)[1]
    same = [names[i + 1 :] == name for i, name in enumerate(names)]
    return 1 - pdist(unit(embeddings), "sqeuclidean") / 2, np.concatenate(same)


class Verification:
    """Scores of pairs, fed batch by batch: 9 bytes each, 17 with folds."""

    def __init__(self) -> None:
        self._scores: list[np.ndarray] = []
        self._same: list[np.ndarray] = []
        self._folds: list[np.ndarray] = []

    def update(self, scores: np.ndarray, same: np.ndarray, folds: np.ndarray | None = None) -> None:
        """Count a batch of pairs.

        Args:
            scores: (P,) finite, larger where pictures are more alike.
            same: (P,) bool.
            folds: (P,) integers, which fold each pair is in; given always or never.

        Raises:
            ValueError: shapes that do not fit, scores that are not finite, folds with some of the
                batches only. Nothing is counted then.
        """
        scores, same = _checked(scores, same)
        if not len(scores):
            return
        if folds is not None and np.shape(folds) != scores.shape:
            raise ValueError(f"{np.shape(folds)} folds of {scores.shape} pairs")
        if folds is not None and np.min(folds) < 0:
            raise ValueError("folds are 0 and more")
        if self._scores and (folds is None) == bool(self._folds):
            raise ValueError("give folds with every batch, or with none")
        self._scores.append(scores)
        self._same.append(same)
        if folds is not None:
            self._folds.append(np.asarray(folds, np.int64))

    def merge(self, other: Verification) -> None:
        """Count what ``other`` has counted; the order of the pairs changes no figure."""
        for i, scores in enumerate(other._scores):
            self.update(scores, other._same[i], other._folds[i] if other._folds else None)

    @property
    def curve(self) -> Roc:
        """The ROC of all pairs; see ``roc``."""
        if not self._scores:
            raise ValueError("there are no pairs to compute metrics of")
        return roc(np.concatenate(self._scores), np.concatenate(self._same))

    def compute(self) -> dict[str, float]:
        """The figures of everything counted so far, in 0..1 but the threshold.

        Returns:
            ``auc``; ``eer``, the equal error rate; ``verification_accuracy`` and
            ``verification_accuracy_error``, mean and standard error over the folds, left out where
            there are too few pairs for two; ``threshold``, the best one where half of the pairs
            show the same, by which no figure here is made; ``tar_at_far_0.01`` and
            ``tar_at_far_0.001``, the share of the same that is accepted at such a rate of false
            accepts, left out where there are fewer pairs of two than can show it.

        Raises:
            NothingToMeasure: there are only pairs of one kind.
            ValueError: no pairs have been counted.
        """
        curve = self.curve
        scores, same = np.concatenate(self._scores), np.concatenate(self._same)
        out = {"auc": auc(curve), "eer": equal_error_rate(curve)}
        values = self._fold_accuracies(scores, same)
        if values is not None:
            out["verification_accuracy"] = float(values.mean())
            error = values.std(ddof=1) / np.sqrt(len(values))
            out["verification_accuracy_error"] = float(error)
        out["threshold"] = best_threshold(curve).score
        for rate in RATES:
            if (~same).sum() * rate >= 1:
                out[f"tar_at_far_{rate:g}"] = threshold_at(curve, rate).true_accept
        return out

    def _fold_accuracies(self, scores: np.ndarray, same: np.ndarray) -> np.ndarray | None:
        if self._folds:
            folds = np.concatenate(self._folds)
        elif min(same.sum(), (~same).sum()) >= 2:
            folds = deal(scores, same)
        else:
            return None
        try:
            return tenfold(scores[folds >= 0], same[folds >= 0], folds[folds >= 0])
        except NothingToMeasure:
            return None


def deal(scores: np.ndarray, same: np.ndarray) -> np.ndarray:
    """(P,) int64 folds, 0..9, or fewer where a kind has fewer pairs; −1 for those not drawn.

    As many pairs of the same as of two are drawn, and every fold gets as many of each, but for one.

    Args:
        scores: (P,); equal pairs in another order are dealt alike.
        same: (P,) bool.
    """
    most = int(min(same.sum(), (~same).sum()))
    folds, rng = np.full(len(same), -1), np.random.default_rng(0)
    for kind in (True, False):
        pairs = np.flatnonzero(same == kind)
        pairs = rng.permutation(pairs[np.argsort(scores[pairs], kind="stable")])
        folds[pairs[:most]] = np.arange(most) % min(FOLDS, most)
    return folds


def _threshold(curve: Roc, last: int) -> Threshold:
    """The threshold that accepts up to this point of the curve, half way to the next score."""
    if last == 0:
        score = np.nextafter(curve.scores[1], np.inf)
    elif last == len(curve.scores) - 1:
        score = curve.scores[last]
    else:
        accepted, refused = curve.scores[last], curve.scores[last + 1]
        middle = refused + (accepted - refused) / 2
        score = middle if middle > refused else accepted
    return Threshold(float(score), float(curve.false_accept[last]), float(curve.true_accept[last]))


def _checked(scores: np.ndarray, same: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores as float64 and truths as bool, or an error that says what is wrong."""
    scores, same = np.asarray(scores, np.float64), np.asarray(same)
    if scores.ndim != 1 or scores.shape != same.shape:
        raise ValueError(f"scores have shape {scores.shape}, truths {same.shape}; (P,) is meant")
    if len(same) and same.dtype != np.bool_:
        raise ValueError(f"truths are {same.dtype}; bool is meant")
    bad = np.flatnonzero(~np.isfinite(scores))
    if len(bad):
        raise ValueError(f"{len(bad)} of {len(scores)} scores are not finite, first at {bad[0]}")
    return scores, same.astype(bool)
