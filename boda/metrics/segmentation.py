"""How good a class for every pixel is: IoU, Dice, accuracy, contours, confusion. NumPy and SciPy.

IoU and its mean: Everingham et al. 2010 (the Pascal VOC Challenge). Boundary F1: Csurka, Larlus &
Perronnin 2013 ("What is a good evaluation measure for semantic segmentation?", BMVC): a pixel of a
contour is right where the other contour of its class is within 0.75 % of the picture's diagonal.

Deviations: contours run one pixel wide within their class; the picture's edge and the edge of what
is not known are none.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from boda.metrics import NothingToMeasure
from boda.ops.borders import contours, found_within
from boda.types import IGNORED

TOLERANCE = 0.0075  # of the diagonal
# Sums of real numbers are kept as integers of 2^-32, as in ``classification``: the order and the
# grouping of the pictures change no bit of them.
FIXED = 2.0**32


class Segmentation:
    """Counts of right and wrong pixels, fed picture by picture; memory is O(K²) for K classes.

    Pixels whose truth is 255 count nowhere, whatever is said of them. A class that is neither in
    the truth nor said anywhere has no figures and enters no mean; ``absent`` names it. A class
    that is said but in no truth has IoU 0, and that counts.

    Args:
        classes: the classes' names; their places are the values in the maps.
    """

    def __init__(self, classes: list[str]) -> None:
        if not 0 < len(classes) <= IGNORED:
            raise ValueError(f"{len(classes)} classes; 1 to {IGNORED} fit in a map")
        k = len(classes)
        self.classes = list(classes)
        self.samples = 0
        self._confusion = np.zeros((k, k), np.int64)
        self._contour_sums = [
            0
        ] * k  # F1 of the pictures, in FIXED; Python's integers never overflow
        self._contour_pictures = np.zeros(k, np.int64)

    def update(self, said: np.ndarray, truth: np.ndarray) -> None:
        """Count one picture.

        Args:
            said: (H, W) integers in 0..K-1 wherever the truth is known.
            truth: (H, W) integers in 0..K-1, or 255 = not known.

        Raises:
            ValueError: shapes that differ, values that are no class. Nothing is counted then.
        """
        said, truth = self._checked(said, truth)
        k = len(self.classes)
        known = truth != IGNORED
        pairs = truth[known].astype(np.int64) * k + said[known]
        there = np.bincount(pairs, minlength=k * k).reshape(k, k)
        self._confusion += there
        self._count_contours(np.where(known, said, np.uint8(IGNORED)), truth, there.sum(1) > 0)
        self.samples += 1

    def _count_contours(self, said: np.ndarray, truth: np.ndarray, present: np.ndarray) -> None:
        """Boundary F1 of each class that is in this picture's truth.

        Where a class has no contour on either side, as one that fills the picture, nothing is told.
        """
        k, distance = len(self.classes), TOLERANCE * np.hypot(*truth.shape)
        ours, theirs = contours(said), contours(truth)
        precision, lines = _shares(*found_within(ours, theirs, distance), k)
        recall, real = _shares(*found_within(theirs, ours, distance), k)
        both = precision + recall
        f1 = np.divide(2 * precision * recall, both, out=np.zeros(k), where=both > 0)
        for c in np.flatnonzero(present & (lines + real > 0)):
            self._contour_sums[c] += round(f1[c] * FIXED)
            self._contour_pictures[c] += 1

    def merge(self, other: Segmentation) -> None:
        """Add what ``other`` has counted, as if its pictures had been given here, to the last bit.

        Raises:
            ValueError: ``other`` is about other classes.
        """
        if other.classes != self.classes:
            raise ValueError("only metrics of the same classes, in the same order, can be merged")
        self.samples += other.samples
        self._confusion += other._confusion
        self._contour_pictures += other._contour_pictures
        pairs = zip(self._contour_sums, other._contour_sums, strict=True)
        self._contour_sums = [a + b for a, b in pairs]

    def compute(self) -> dict[str, float]:
        """The figures of everything counted so far, all in 0..1.

        Returns:
            ``miou`` and ``dice``: the means over the classes that are in the truth or said;
            ``pixel_accuracy``: the share of pixels that is right; ``mean_accuracy``: the mean
            recall of the classes in the truth; ``boundary_f1``: of each class the mean over the
            pictures whose truth has it, and of those the mean, left out where there is no contour.

        Raises:
            NothingToMeasure: no pixel of the pictures has a class.
            ValueError: no pictures have been counted.
        """
        if not self.samples:
            raise ValueError("there are no pictures to compute metrics of")
        pixels = self._confusion.sum()
        if not pixels:
            raise NothingToMeasure(
                f"no pixel of these {self.samples:,} pictures has a class, all are ignored"
            )
        rows = self.per_class().values()
        means = {
            "miou": _mean([row["iou"] for row in rows]),
            "dice": _mean([row["dice"] for row in rows]),
            "pixel_accuracy": float(np.trace(self._confusion) / pixels),
            "mean_accuracy": _mean([row["recall"] for row in rows]),
            "boundary_f1": _mean([row["boundary_f1"] for row in rows]),
        }
        return {name: value for name, value in means.items() if value is not None}

    def per_class(self) -> dict[str, dict[str, Any]]:
        """Each class's figures, 0..1, or None where there is nothing to divide by.

        Returns:
            name → ``{"iou", "dice", "precision", "recall", "boundary_f1", "support"}``, in class
            order; ``support`` counts the pixels that are truly of the class.
        """
        hits = np.diag(self._confusion)
        support, predicted = self._confusion.sum(axis=1), self._confusion.sum(axis=0)
        out: dict[str, dict[str, Any]] = {}
        for i, name in enumerate(self.classes):
            hit, truth, said = int(hits[i]), int(support[i]), int(predicted[i])
            pictures = int(self._contour_pictures[i])
            out[name] = {
                "iou": hit / (truth + said - hit) if truth + said else None,
                "dice": 2 * hit / (truth + said) if truth + said else None,
                "precision": hit / said if said else None,
                "recall": hit / truth if truth else None,
                "boundary_f1": self._contour_sums[i] / FIXED / pictures if pictures else None,
                "support": truth,
            }
        return out

    @property
    def confusion(self) -> np.ndarray:
        """(K, K) int64 pixels: rows are the truth, columns what was said; a copy."""
        return self._confusion.copy()

    @property
    def absent(self) -> list[str]:
        """The classes that are neither in the truth nor said, and so in no mean."""
        there = self._confusion.sum(0) + self._confusion.sum(1) > 0
        return [name for name, is_there in zip(self.classes, there, strict=True) if not is_there]

    def _checked(self, said: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Both as uint8, or an error that says what is wrong."""
        said, truth = np.asarray(said), np.asarray(truth)
        if truth.ndim != 2 or said.shape != truth.shape:
            raise ValueError(f"maps of {said.shape} and {truth.shape}; (H, W) twice is meant")
        k, known = len(self.classes), truth != IGNORED
        for what, values in (("the truth", truth), ("what is said", said)):
            if not np.issubdtype(values.dtype, np.integer):
                raise ValueError(f"{what} is {values.dtype}; integers are meant")
            wrong = values[known & ((values < 0) | (values >= k))]
            if len(wrong):
                raise ValueError(
                    f"{what} has {len(wrong):,} pixels that are no class, such as {wrong[0]}; "
                    f"0..{k - 1} is meant"
                )
        return said.astype(np.uint8), truth.astype(np.uint8)


def _shares(kinds: np.ndarray, found: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """For each class the share of its pixels that was found, 0 where it has none; and how many."""
    count = np.bincount(kinds, minlength=classes)
    hits = np.bincount(kinds[found], minlength=classes)
    return hits / np.maximum(count, 1), count


def _mean(values: list[float | None]) -> float | None:
    """The mean of what is known; None where nothing is."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
