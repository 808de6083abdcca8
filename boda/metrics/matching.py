"""Which detection found which object, and the precision and recall that follow. NumPy only.

All pictures at once: detections of one turn (the surest of each group, then the second, …) choose
together, so that a loop runs over turns, not over pictures, classes and thresholds. A *group* is a
class in a picture. COCO's rules are those of Lin et al.'s published evaluation (arXiv 1405.0312),
VOC's those of the challenge's development kit (Everingham et al. 2010).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

Columns = Sequence[tuple[np.ndarray, ...]]  # a tuple of columns for each picture
RECALLS = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True)
class Pairs:
    """Detections and objects of all pictures, and each pair of a detection and an object.

    Attributes:
        labels, scores, areas: (D,) of the detections, group by group, surest first.
        group: (D,) which group.
        rank: (D,) place in the group, from 0.
        truth_labels, crowd, truth_areas: (G,) of the objects.
        found, truth: (P,) indices of detections, ascending, and objects of the same group.
        iou: (P,) intersection over union.
        inside: (P,) the share of the detection that lies in the object.
    """

    labels: np.ndarray
    scores: np.ndarray
    areas: np.ndarray
    group: np.ndarray
    rank: np.ndarray
    truth_labels: np.ndarray
    crowd: np.ndarray
    truth_areas: np.ndarray
    found: np.ndarray
    truth: np.ndarray
    iou: np.ndarray
    inside: np.ndarray


@dataclass(frozen=True)
class Shared:
    """How far the masks of one picture overlap, all in pixels.

    Attributes:
        both: (N, M) of each detection and each object.
        found: (N,) of each detection.
        truth: (M,) of each object.
    """

    both: np.ndarray
    found: np.ndarray
    truth: np.ndarray


def pair_up(
    found: Columns,
    truth: Columns,
    classes: int,
    most: float,
    apart: bool = True,
    shared: Sequence[Shared] | None = None,
) -> Pairs:
    """Bring the detections and objects of each group together.

    Args:
        found: boxes, scores, labels for each picture.
        truth: boxes, labels, crowd, areas for each picture.
        classes: how many there are.
        most: so many detections of a group count, the surest.
        apart: False makes a group of a whole picture, whatever the classes.
        shared: for each picture how far its masks overlap; without it the boxes' overlap counts.
    """
    boxes, scores, labels = (np.concatenate(column) for column in zip(*found, strict=True))
    real, kinds, crowd, sizes = (np.concatenate(column) for column in zip(*truth, strict=True))
    group = _groups(found, labels, classes, apart)
    chosen = np.lexsort((-scores, group))  # stable: of equal scores the one given first
    rank = _places(group[chosen])
    chosen, rank = chosen[rank < most], rank[rank < most]
    boxes, scores, labels, group = boxes[chosen], scores[chosen], labels[chosen], group[chosen]

    home = _groups(truth, kinds, classes, apart)
    order = np.argsort(home, kind="stable")
    real, kinds, crowd, sizes, home = (x[order] for x in (real, kinds, crowd, sizes, home))
    begin, end = np.searchsorted(home, group), np.searchsorted(home, group, side="right")
    one = np.repeat(np.arange(len(boxes)), end - begin)
    other = begin[one] + _places(one)

    if shared is None:
        areas, extents, both = (
            box_areas(boxes),
            box_areas(real),
            _box_shared(boxes[one], real[other]),
        )
    else:
        areas = np.concatenate([picture.found for picture in shared])[chosen]
        extents = np.concatenate([picture.truth for picture in shared])[order]
        both = _mask_shared(shared, chosen[one], order[other])
    union = areas[one] + extents[other] - both
    iou, inside = _share(both, union), _share(both, areas[one])
    return Pairs(labels, scores, areas, group, rank, kinds, crowd, sizes, one, other, iou, inside)


def match(pairs: Pairs, ignored: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """COCO's matching, greedy in the order of the scores.

    A detection takes, of its group's objects that are still free and that it overlaps by the
    threshold at least, the one it overlaps most (of equal ones the last); an ignored one only where
    no other is left. A crowd is always free, and what counts is how much of the detection is in it.

    Args:
        pairs: (D detections, G objects).
        ignored: (G,) bool, the objects that do not count.
        thresholds: (T,).

    Returns:
        (D, T) int64, the object's index or −1.
    """
    limits = np.minimum(thresholds, 1 - 1e-10)
    overlap = np.where(pairs.crowd[pairs.truth], pairs.inside, pairs.iou)
    near = overlap >= limits.min()
    found, truth, overlap = pairs.found[near], pairs.truth[near], overlap[near]
    seekers, row = np.unique(found, return_inverse=True)
    turn = _places(pairs.group[seekers])[row]
    # By turn, then by detection, whose most wanted object comes last.
    order = np.lexsort((truth, overlap, ~ignored[truth], found, turn))
    found, truth, overlap, turn = found[order], truth[order], overlap[order], turn[order]

    matched = np.full((len(pairs.labels), len(limits)), -1)
    taken = np.zeros((len(ignored), len(limits)), bool)
    bounds = np.flatnonzero(np.diff(turn, prepend=-1, append=-1))
    for begin, end in pairwise(bounds):
        who, what = found[begin:end], truth[begin:end]
        free = ~taken[what] | pairs.crowd[what, None]
        wanted = free & (overlap[begin:end, None] >= limits)
        places = np.where(wanted, np.arange(len(who))[:, None], -1)
        starts = np.flatnonzero(np.diff(who, prepend=-1))
        best = np.maximum.reduceat(places, starts, axis=0)
        chosen = np.where(best >= 0, what[best], -1)
        matched[who[starts]] = chosen
        hit, threshold = np.nonzero(best >= 0)
        taken[chosen[hit, threshold], threshold] = True
    return matched


class Curves:
    """Right and wrong detections where only objects of some size count.

    Args:
        pairs: of all pictures.
        size: smallest and largest area in square pixels, both included.
        thresholds: (T,) IoUs.
        classes: how many there are, K.

    Attributes:
        there: (K,) objects that count.
        labels, scores, rank: (D,) class by class, surest first.
        right: (D, T) bool, found an object that counts.
        counts: (D, T) bool, right or wrong, not ignored.
        precision: (K, T, 101) the best precision from each recall on; NaN without objects.
    """

    def __init__(
        self, pairs: Pairs, size: tuple[float, float], thresholds: np.ndarray, classes: int
    ) -> None:
        ignored = pairs.crowd | _outside(pairs.truth_areas, size)
        matched = match(pairs, ignored, thresholds)
        hit = matched >= 0
        aside = np.where(
            hit, np.append(ignored, False)[matched], _outside(pairs.areas, size)[:, None]
        )
        order = np.lexsort((-pairs.scores, pairs.labels))  # stable: the pictures' order
        self.labels, self.scores = pairs.labels[order], pairs.scores[order]
        self.rank = pairs.rank[order]
        self.right, self.counts = (hit & ~aside)[order], ~aside[order]
        self.there = np.bincount(pairs.truth_labels[~ignored], minlength=classes)
        self.precision = np.full((classes, len(thresholds), len(RECALLS)), np.nan)
        ends = np.searchsorted(self.labels, np.arange(classes + 1))
        for k in np.flatnonzero(self.there).tolist():
            mine = slice(ends[k], ends[k + 1])
            self._interpolate(k, self.right[mine], self.counts[mine])

    def _interpolate(self, k: int, right: np.ndarray, counts: np.ndarray) -> None:
        hits = right.cumsum(axis=0)
        recall = hits / self.there[k]
        # The tiny summand is COCO's, for the places before the first that counts.
        precision = hits / (counts.cumsum(axis=0) + np.spacing(1.0))
        falling = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
        falling = np.vstack([falling, np.zeros(falling.shape[1])])  # recalls not reached
        for t in range(falling.shape[1]):
            self.precision[k, t] = falling[np.searchsorted(recall[:, t], RECALLS), t]

    def recall_within(self, most: int) -> np.ndarray:
        """(K, T) recall with the ``most`` surest detections a group; NaN without objects."""
        hits = np.zeros((len(self.there), self.right.shape[1]))
        np.add.at(hits, self.labels, self.right & (self.rank < most)[:, None])
        there = np.where(self.there > 0, self.there, np.nan)
        return np.asarray(hits / there[:, None])


def voc_matches(pairs: Pairs, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """VOC's matching: each detection belongs to the object it overlaps most, free or not.

    Returns:
        (D,) bool twice: which detections count (those of crowds do not), and which of these are
        right (the surest of those that overlap their object by the threshold at least).
    """
    order = np.lexsort((-pairs.truth, pairs.iou, pairs.found))  # of equal overlaps the first
    found, truth, iou = pairs.found[order], pairs.truth[order], pairs.iou[order]
    best = np.flatnonzero(np.diff(found, append=-1))  # the last pair of each detection
    best = best[iou[best] >= threshold]
    found, truth = found[best], truth[best]
    counts, right = np.ones(len(pairs.labels), bool), np.zeros(len(pairs.labels), bool)
    counts[found[pairs.crowd[truth]]] = False
    right[found[np.unique(truth, return_index=True)[1]]] = True
    return counts, right


def voc_average(right: np.ndarray, there: int, points: int | None) -> float:
    """Average precision of one class, VOC's.

    Args:
        right: (D,) bool, surest detection first.
        there: how many objects there are, at least 1.
        points: 11, or None for all.
    """
    hits = right.cumsum()
    precision = hits / np.arange(1, len(hits) + 1)
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    if points is None:  # each hit adds 1/there to the recall
        return float(falling[right].sum() / there)
    reached = np.searchsorted(hits / there, np.arange(points) / (points - 1))
    return float(np.append(falling, 0.0)[reached].mean())


def box_areas(boxes: np.ndarray) -> np.ndarray:
    """(N, 4) → (N,) square pixels; 0 where a side is negative."""
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).clip(min=0).prod(axis=1))


def _box_shared(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    low, high = np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, 2:], b[:, 2:])
    return box_areas(np.hstack([low, high]))


def _mask_shared(shared: Sequence[Shared], found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(P,) pixels of pairs of a detection and an object, both numbered through all pictures."""
    rows = np.repeat([picture.both.shape[1] for picture in shared], [len(p.both) for p in shared])
    begins = np.cumsum(rows) - rows  # of each detection's row among all numbers
    columns = np.concatenate([np.arange(picture.both.shape[1]) for picture in shared])
    numbers = np.concatenate([picture.both.ravel() for picture in shared])
    return np.asarray(numbers[begins[found] + columns[truth]].astype(np.float64))


def _groups(pictures: Columns, labels: np.ndarray, classes: int, apart: bool) -> np.ndarray:
    picture = np.repeat(np.arange(len(pictures)), [len(columns[0]) for columns in pictures])
    return picture * classes + labels if apart else picture


def _places(groups: np.ndarray) -> np.ndarray:
    """(N,) equal neighbours → 0, 1, 2, … in each run: 7 7 9 → 0 1 0."""
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    lengths = np.diff(starts, append=len(groups))
    return np.arange(len(groups)) - np.repeat(starts, lengths)


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _outside(areas: np.ndarray, size: tuple[float, float]) -> np.ndarray:
    return (areas < size[0]) | (areas > size[1])
