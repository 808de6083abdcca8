"""How good a classifier is: accuracy, per-class figures, confusion and calibration. NumPy only.

Calibration: Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", 2017
(arXiv 1706.04599), section 2: bins of equal width on the top score, half-open at the bottom.
"""

from __future__ import annotations

from typing import Any

import numpy as np

BINS = 15
EDGES = np.linspace(0.0, 1.0, BINS + 1)
# Sums of real numbers are kept as integers of 2^-32: integer sums do not depend on the order or
# the grouping of the batches, so one process and eight that are merged give the same bytes.
FIXED = 2.0**32
# A softmax in float32 can give exactly 0; the log is taken of this instead: at most 87.3 nats.
SMALLEST = float(np.finfo(np.float32).tiny)


class Classification:
    """Counts of a classifier's rights and wrongs, fed batch by batch.

    Memory is O(K²) for K classes, however many samples. A class with no samples has no recall and
    no F1 (None, not 0) and is left out of ``balanced_accuracy`` and ``macro_f1``; a class that is
    never predicted has no precision. Of equal scores the class with the lower index wins.

    Args:
        classes: the classes' names in the order of the scores' columns.
    """

    def __init__(self, classes: list[str]) -> None:
        if not classes:
            raise ValueError("a classifier has at least one class")
        k = len(classes)
        self.classes = list(classes)
        self._confusion = np.zeros((k, k), np.int64)
        self._top5 = 0
        self._nll = 0  # a Python integer: it has no largest value
        self._bin_count = np.zeros(BINS, np.int64)
        self._bin_right = np.zeros(BINS, np.int64)
        self._bin_confidence = [0] * BINS

    def update(self, scores: np.ndarray, labels: np.ndarray) -> None:
        """Count one batch.

        Args:
            scores: (N, K) probabilities, a row per sample, each in 0..1.
            labels: (N,) integers in 0..K-1, the truth.

        Raises:
            ValueError: shapes that do not fit, scores that are not finite or not probabilities,
                labels that are not class indices. Nothing is counted then.
        """
        scores, labels = self._checked(scores, labels)
        if len(labels) == 0:
            return
        rows = np.arange(len(labels))
        predicted = scores.argmax(axis=1)
        top, own = scores[rows, predicted], scores[rows, labels]
        right = predicted == labels

        np.add.at(self._confusion, (labels, predicted), 1)
        # The truth's place in the ranking: how many classes come before it (ties: lower index).
        before = (scores > own[:, None]) | (
            (scores == own[:, None]) & (np.arange(scores.shape[1]) < labels[:, None])
        )
        self._top5 += int((before.sum(axis=1) < 5).sum())
        self._nll += int(_fixed(-np.log(np.clip(own, SMALLEST, 1.0))).sum())

        bins = np.clip(np.searchsorted(EDGES, top, side="left") - 1, 0, BINS - 1)
        self._bin_count += np.bincount(bins, minlength=BINS)
        self._bin_right += np.bincount(bins[right], minlength=BINS)
        confidence = np.zeros(BINS, np.int64)
        np.add.at(confidence, bins, _fixed(top))
        for i in range(BINS):
            self._bin_confidence[i] += int(confidence[i])

    def merge(self, other: Classification) -> None:
        """Add what ``other`` has counted, as if its batches had been given here, to the last bit.

        Raises:
            ValueError: ``other`` is about other classes.
        """
        if other.classes != self.classes:
            raise ValueError("only metrics of the same classes, in the same order, can be merged")
        self._confusion += other._confusion
        self._top5 += other._top5
        self._nll += other._nll
        self._bin_count += other._bin_count
        self._bin_right += other._bin_right
        pairs = zip(self._bin_confidence, other._bin_confidence, strict=True)
        self._bin_confidence = [a + b for a, b in pairs]

    @property
    def samples(self) -> int:
        """How many samples have been counted."""
        return int(self._confusion.sum())

    def compute(self) -> dict[str, float]:
        """The figures of everything counted so far.

        Returns:
            ``accuracy``, ``top5_accuracy`` (only with more than five classes),
            ``balanced_accuracy`` (mean recall) and ``macro_f1`` (mean F1), both over the classes
            that have samples, ``nll`` (mean negative log-likelihood in nats, at most 87.3 for one
            sample) and ``ece`` (expected calibration error): all but ``nll`` in 0..1.

        Raises:
            ValueError: no samples have been counted.
        """
        n = self.samples
        if n == 0:
            raise ValueError("there are no samples to compute metrics of")
        present = [row for row in self.per_class().values() if row["support"]]
        out = {"accuracy": float(np.trace(self._confusion) / n)}
        if len(self.classes) > 5:
            out["top5_accuracy"] = self._top5 / n
        out["balanced_accuracy"] = float(np.mean([row["recall"] for row in present]))
        out["macro_f1"] = float(np.mean([row["f1"] for row in present]))
        out["nll"] = self._nll / FIXED / n
        out["ece"] = sum(
            row["count"] / n * abs(row["accuracy"] - row["confidence"])
            for row in self.calibration()
            if row["count"]
        )
        return out

    def per_class(self) -> dict[str, dict[str, Any]]:
        """Precision, recall, F1 (0..1, or None where there is nothing to divide by) and support.

        Returns:
            name → ``{"precision", "recall", "f1", "support"}``, in class order. ``recall`` and
            ``f1`` are None for a class with no samples, ``precision`` for one never predicted.
        """
        hits = np.diag(self._confusion)
        support, predicted = self._confusion.sum(axis=1), self._confusion.sum(axis=0)
        out: dict[str, dict[str, Any]] = {}
        for i, name in enumerate(self.classes):
            hit, truth, said = int(hits[i]), int(support[i]), int(predicted[i])
            out[name] = {
                "precision": hit / said if said else None,
                "recall": hit / truth if truth else None,
                "f1": 2 * hit / (truth + said) if truth else None,
                "support": truth,
            }
        return out

    def confusion(self) -> np.ndarray:
        """(K, K) int64 counts: rows are the truth, columns what was predicted; a copy."""
        return self._confusion.copy()

    def calibration(self) -> list[dict[str, Any]]:
        """The bins behind ``ece``, lowest first: does 80 % mean right eight times in ten?

        Returns:
            15 of ``{"low", "high", "count", "confidence", "accuracy"}``: a sample is in the bin
            with ``low < top score <= high`` (a score of 0 is in the first); ``confidence`` is the
            mean top score, ``accuracy`` the share that was right, both None in an empty bin.
        """
        out: list[dict[str, Any]] = []
        for i in range(BINS):
            count = int(self._bin_count[i])
            out.append(
                {
                    "low": float(EDGES[i]),
                    "high": float(EDGES[i + 1]),
                    "count": count,
                    "confidence": self._bin_confidence[i] / FIXED / count if count else None,
                    "accuracy": int(self._bin_right[i]) / count if count else None,
                }
            )
        return out

    def _checked(self, scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """``scores`` as float64 and ``labels`` as int64, or an error that says what is wrong."""
        scores, labels = np.asarray(scores, np.float64), np.asarray(labels)
        k = len(self.classes)
        if scores.ndim != 2 or scores.shape[1] != k:
            raise ValueError(f"scores have shape {scores.shape}; (N, {k}) is meant")
        if labels.shape != scores.shape[:1]:
            raise ValueError(f"labels have shape {labels.shape}; ({len(scores)},) is meant")
        bad = np.flatnonzero(~np.isfinite(scores).all(axis=1))
        if len(bad):
            raise ValueError(
                f"{len(bad)} of {len(scores)} samples have scores that are not finite, "
                f"first at row {bad[0]}"
            )
        # bfloat16 rounds a probability up by as much as 0.4 %.
        if scores.size and (scores.min() < 0 or scores.max() > 1.005):
            raise ValueError("scores are probabilities in 0..1; apply a softmax to logits first")
        if len(labels) == 0:
            return scores, labels.astype(np.int64)
        if not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(f"labels are {labels.dtype}; integers are meant")
        if labels.min() < 0 or labels.max() >= k:
            raise ValueError(f"labels span {labels.min()}..{labels.max()}; 0..{k - 1} is meant")
        return np.minimum(scores, 1.0), labels.astype(np.int64)


def _fixed(values: np.ndarray) -> np.ndarray:
    return np.rint(values * FIXED).astype(np.int64)
