"""How good a detector is: COCO's average precision and recall, VOC's, curves, confusion. NumPy only.

COCO: Lin et al. 2014 (arXiv 1405.0312) and the evaluation its authors published: IoU 0.50 to 0.95
in steps of 0.05, precision at 101 recalls, at most 100 detections a class in a picture, objects
small up to 32² pixels, large from 96². VOC: Everingham et al. 2010 (the Pascal VOC Challenge): 11
recalls until 2009, all of them since.

A *crowd* is a region of uncounted objects (VOC: a "difficult" object): finding it is neither right
nor wrong, nor is missing it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from boda.metrics import NothingToMeasure
from boda.metrics.matching import (
    Columns,
    Curves,
    Pairs,
    Shared,
    match,
    pair_up,
    voc_average,
    voc_matches,
)
from boda.metrics.objects import Found, Truth, checked, shared_masks

__all__ = ["Detection", "Found", "Truth"]

IOUS = np.linspace(0.5, 0.95, 10)
MOST = 100  # detections a class in a picture
# In square pixels, both ends included, as in COCO: an object of exactly 32² is small and medium.
AREAS = {"": (0, 1e10), "_small": (0, 32**2), "_medium": (32**2, 96**2), "_large": (96**2, 1e10)}


class Detection:
    """Right and wrong boxes of a detector, or its masks, fed picture by picture.

    Of equal scores the picture given first comes first, within a picture the box given first. A
    class without objects (crowds do not count) has no figures and enters no mean. All numbers are
    pixels of the picture as the person has it: sizes small to large refer to those.

    Args:
        classes: the classes' names in the order of the labels.
        masks: the masks' overlap counts, not the boxes', and so do their pixels where detections
            are to be small to large; ``compute`` puts ``mask_`` before its figures' names. The
            masks themselves are not kept.
    """

    def __init__(self, classes: list[str], masks: bool = False) -> None:
        if not classes:
            raise ValueError("a detector has at least one class")
        self.classes, self.masks = list(classes), masks
        self._found: list[tuple[np.ndarray, ...]] = []  # boxes, scores, labels
        self._truth: list[tuple[np.ndarray, ...]] = []  # boxes, labels, crowd, areas
        self._shared: list[Shared] = []  # of the masks, where they count
        self._curves: dict[str, Curves] = {}

    def update(self, found: Found, truth: Truth) -> None:
        """Count one picture, empty or not.

        Raises:
            ValueError: shapes that do not fit, numbers that are not finite, boxes with x2 < x1,
                labels that are not class indices, masks that are missing. Nothing is counted then.
        """
        columns, real = checked(found, truth, len(self.classes))
        if self.masks:
            shared = shared_masks(found, truth)
            if truth.areas is None:
                real = (*real[:3], shared.truth)
            self._shared.append(shared)
        self._found.append(columns)
        self._truth.append(real)
        self._curves.clear()

    def merge(self, other: Detection) -> None:
        """Add what ``other`` has counted, as if its pictures had been given here, after these.

        Raises:
            ValueError: ``other`` is about other classes, or not about masks as well.
        """
        if other.classes != self.classes:
            raise ValueError("only metrics of the same classes, in the same order, can be merged")
        if other.masks != self.masks:
            raise ValueError("figures of boxes and of masks cannot be merged")
        self._found += other._found
        self._truth += other._truth
        self._shared += other._shared
        self._curves.clear()

    @property
    def samples(self) -> int:
        """How many pictures have been counted."""
        return len(self._truth)

    def compute(self) -> dict[str, float]:
        """The figures of everything counted so far, all in 0..1.

        Returns:
            ``map`` (mean over IoU 0.50 to 0.95), ``map50``, ``map75``, ``map_small``,
            ``map_medium``, ``map_large``: mean average precision over the classes; ``ar1``,
            ``ar10``, ``ar``: mean recall with at most 1, 10 and 100 detections a class in a
            picture; ``ar_small``, ``ar_medium``, ``ar_large``. A size that no object has is left
            out. Of masks ``mask_map``, ``mask_map50``, ….

        Raises:
            NothingToMeasure: no picture that was counted has an object.
            ValueError: no pictures have been counted.
        """
        everything = self._of_size("")
        if not everything.there.any():
            raise NothingToMeasure(f"there are no objects in these {self.samples:,} pictures")
        precision = {name: _mean(self._of_size(name).precision) for name in AREAS}
        out = {
            "map": precision[""],
            "map50": _mean(everything.precision[:, 0]),
            "map75": _mean(everything.precision[:, 5]),
        }
        out |= {f"map{name}": precision[name] for name in AREAS if name}
        out |= {f"ar{most}": _mean(everything.recall_within(most)) for most in (1, 10)}
        out |= {f"ar{name}": _mean(self._of_size(name).recall_within(MOST)) for name in AREAS}
        prefix = "mask_" * self.masks
        return {prefix + name: float(value) for name, value in out.items() if not np.isnan(value)}

    def per_class(self) -> dict[str, dict[str, Any]]:
        """Each class's figures, 0..1, None where it has no objects.

        Returns:
            name → ``{"ap", "ap50", "ap75", "ar", "support"}``, in class order; ``support`` counts
            the objects without crowds.
        """
        curves = self._of_size("")
        recall = curves.recall_within(MOST)
        rows: dict[str, dict[str, Any]] = {}
        for k, name in enumerate(self.classes):
            p = curves.precision[k].mean(axis=1)
            figures = {"ap": p.mean(), "ap50": p[0], "ap75": p[5], "ar": recall[k].mean()}
            known = {f: float(v) if curves.there[k] else None for f, v in figures.items()}
            rows[name] = {**known, "support": int(curves.there[k])}
        return rows

    def curve(self, label: int, iou: float = 0.5) -> dict[str, np.ndarray]:
        """One class's precision and recall as the score from which boxes count falls.

        Args:
            label: the class's index.
            iou: one of 0.50, 0.55, … 0.95.

        Returns:
            ``recall``, ``precision`` (as measured, not raised to a falling line) and ``scores``,
            (D,) each, one for each detection of the class that is right or wrong, surest first.

        Raises:
            ValueError: another IoU, no such class, a class without objects.
        """
        t = np.flatnonzero(np.isclose(IOUS, iou))
        if not len(t):
            raise ValueError(f"curves exist for IoU 0.50, 0.55, … 0.95, not for {iou}")
        if not 0 <= label < len(self.classes):
            raise ValueError(f"class {label}; 0..{len(self.classes) - 1} is meant")
        curves = self._of_size("")
        if not curves.there[label]:
            raise ValueError(f"there are no objects of the class '{self.classes[label]}'")
        mine = curves.labels == label
        right, counts = curves.right[mine, t[0]], curves.counts[mine, t[0]]
        right, scores = right[counts], curves.scores[mine][counts]
        hits = np.cumsum(right)
        places = np.arange(1, len(hits) + 1)
        recall = hits / curves.there[label]
        return {"recall": recall, "precision": hits / places, "scores": scores}

    def voc(self, points: int | None = None, iou: float = 0.5) -> dict[str, float | None]:
        """Average precision of each class as Pascal VOC computes it, 0..1, None without objects.

        A detection belongs to the object it overlaps most, and is wrong where that one is found
        already; all detections of a picture count. Crowds are VOC's "difficult" objects.

        Args:
            points: 11 for the rule until 2009 (mean of the best precision from recall 0, 0.1, …
                1 on), None for all points (area under the curve made falling).
            iou: what counts as found, from this on.

        Returns:
            name → average precision; their mean is VOC's mAP.

        Raises:
            ValueError: other ``points``.
        """
        if points not in (11, None):
            raise ValueError(f"points={points}; 11 or None (all points) is meant")
        pairs = self._pairs()
        counts, right = voc_matches(pairs, iou)
        out: dict[str, float | None] = dict.fromkeys(self.classes)
        for k, name in enumerate(self.classes):
            there = int(((pairs.truth_labels == k) & ~pairs.crowd).sum())
            mine = np.flatnonzero((pairs.labels == k) & counts)
            mine = mine[np.argsort(-pairs.scores[mine], kind="stable")]
            if there:
                out[name] = voc_average(right[mine], there, points)
        return out

    def confusion(self, score: float = 0.25, iou: float = 0.5) -> np.ndarray:
        """What is taken for what, and what for background.

        Detections of at least ``score`` choose, surest first, the free object of any class that
        they overlap most, from ``iou`` on; those that find only a crowd do not count.

        Returns:
            (K + 1, K + 1) int64 counts: rows are the truth, columns what was said. The last row
            holds detections where no object is, the last column objects that were missed.
        """
        pairs = self._pairs(MOST, apart=False, least=score)
        k = len(self.classes)
        matched = match(pairs, pairs.crowd, np.array([iou]))[:, 0]
        found, missed = matched >= 0, ~pairs.crowd
        missed[matched[found]] = False
        truth = np.append(pairs.truth_labels, k)[matched]  # −1 is the background's place
        sound = ~np.append(pairs.crowd, False)[matched]
        table = np.zeros((k + 1, k + 1), np.int64)
        np.add.at(table, (truth[sound], pairs.labels[sound]), 1)
        np.add.at(table, (pairs.truth_labels[missed], k), 1)
        return table

    def _pairs(self, most: float = np.inf, apart: bool = True, least: float = -np.inf) -> Pairs:
        """All pictures' pairs; of the detections only those of at least that score."""
        if not self._truth:
            raise ValueError("there are no pictures to compute metrics of")
        found: Columns = self._found
        shared = self._shared
        if least > -np.inf:
            sure = [columns[1] >= least for columns in found]
            found = [tuple(c[kept] for c in cs) for cs, kept in zip(found, sure, strict=True)]
            if self.masks:
                shared = [
                    Shared(each.both[kept], each.found[kept], each.truth)
                    for each, kept in zip(shared, sure, strict=True)
                ]
        k = len(self.classes)
        return pair_up(found, self._truth, k, most, apart, shared if self.masks else None)

    def _of_size(self, name: str) -> Curves:
        """The curves where only objects of one of the sizes count; computed once."""
        if not self._curves:
            pairs = self._pairs(MOST)
            k = len(self.classes)
            self._curves = {size: Curves(pairs, AREAS[size], IOUS, k) for size in AREAS}
        return self._curves[name]


def _mean(values: np.ndarray) -> float:
    """The mean over the classes that have objects; NaN where none has."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else np.nan
