"""What the numbers a network puts out mean, task by task. NumPy only.

Training, the ``predict`` verb and an exported file on a machine without torch all read their
outputs here, so they cannot disagree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from boda.data.prepare import Preparation
from boda.masks import paste
from boda.registry import Registry
from boda.types import Image, Prediction

TOP = 5  # classes a classifier's prediction lists
CONFIDENT = 0.25  # score from which a box is told
BOX = 6  # numbers that tell a box: its corners, its score, its class
PRESENT = 0.5  # Pc from which a picture is said to have an object
readers: Registry = Registry("task")


@dataclass(frozen=True)
class Seen:
    """A picture that went through a network.

    Attributes:
        picture: the original, (H, W, 3) uint8.
        source: where it came from.
        preparation: how it was brought to the network.
    """

    picture: Image
    source: str
    preparation: Preparation

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the original."""
        return self.picture.shape[0], self.picture.shape[1]

    def original(self, boxes: np.ndarray) -> np.ndarray:
        """(N, 4) xyxy of the working picture → of the original, clipped to it; float32."""
        corners = self.preparation.moved_back(boxes.reshape(-1, 2, 2), self.size)
        return corners.clip(0, self.size[::-1]).reshape(-1, 4).astype(np.float32)


@readers.register("classify")
def classify(scores: np.ndarray, classes: Sequence[str], seen: Seen) -> Prediction:
    """The best classes, best first; of equal scores the lower class index.

    Args:
        scores: (K,) probabilities.
        classes: K names.
        seen: the picture.
    """
    best = np.argsort(-scores, kind="stable")[:TOP]
    return Prediction(
        source=seen.source,
        size=seen.size,
        labels=best,
        names=[classes[i] for i in best],
        scores=scores[best],
        _picture=seen.picture,
    )


@readers.register("localize")
def localize(row: np.ndarray, classes: Sequence[str], seen: Seen) -> Prediction:
    """One box in pixels of the original picture, or none where Pc is below one half.

    Args:
        row: (5 + K,) Pc, then x1, y1, x2, y2 in pixels of the working picture, then K probabilities.
        classes: K names.
        seen: the picture.

    Returns:
        The prediction; the box's score is Pc times the probability of its class.
    """
    found = [int(row[5:].argmax())] if row[0] >= PRESENT else []
    label = np.array(found, np.int64)
    return Prediction(
        source=seen.source,
        size=seen.size,
        labels=label,
        names=[classes[i] for i in found],
        scores=row[0] * row[5 + label],
        boxes=seen.original(row[None, 1:5])[: len(found)],
        _picture=seen.picture,
    )


@readers.register("landmarks")
def landmarks(points: np.ndarray, names: Sequence[str], seen: Seen) -> Prediction:
    """The points in pixels of the original picture; one may lie a little outside.

    Args:
        points: (K, 2) x and y in pixels of the working picture.
        names: of the K points.
        seen: the picture.
    """
    return Prediction(
        source=seen.source,
        size=seen.size,
        names=list(names),
        points=seen.preparation.moved_back(points, seen.size),
        _picture=seen.picture,
    )


@readers.register("detect")
def detect(rows: np.ndarray, classes: Sequence[str], seen: Seen) -> Prediction:
    """Boxes in pixels of the original picture, the surest first.

    Args:
        rows: (K, 6) x1, y1, x2, y2 in pixels of the working picture, score, class; a row of score 0
            is no box.
        classes: names.
        seen: the picture.
    """
    rows = rows[rows[:, 4] > 0]
    labels = rows[:, 5].astype(np.int64)
    return Prediction(
        source=seen.source,
        size=seen.size,
        labels=labels,
        names=[classes[i] for i in labels],
        scores=rows[:, 4],
        boxes=seen.original(rows[:, :4]),
        _picture=seen.picture,
    )


@readers.register("instances")
def instances(rows: np.ndarray, classes: Sequence[str], seen: Seen) -> Prediction:
    """Boxes and masks in pixels of the original picture, the surest first.

    Args:
        rows: (K, 6 + s·s) as those of ``detect``, then a mask of s×s probabilities over the box.
        classes: names.
        seen: the picture.
    """
    found = detect(rows[:, :BOX], classes, seen)
    masks = pasted(rows[rows[:, 4] > 0], seen.preparation, seen.size)
    return replace(found, masks=masks)


def pasted(rows: np.ndarray, preparation: Preparation, size: tuple[int, int]) -> np.ndarray:
    """The masks of rows as ``instances`` reads them, (N, H, W) bool of an original of (H, W) pixels."""
    side = math.isqrt(rows.shape[1] - BOX)
    small = rows[:, BOX:].reshape(-1, side, side)
    corners = preparation.moved_back(rows[:, :4].reshape(-1, 2, 2), size)
    return paste(small, corners.reshape(-1, 4), size)


def boxes_difference(a: np.ndarray, b: np.ndarray) -> float:
    """Of two detectors' outputs (N, K, 6), whatever the order of boxes that are equally sure.

    Each box of one is compared with the most similar of its class in the other; boxes count
    as shares of the largest coordinate.
    """
    scale = max(1.0, float(np.abs(a[..., :4]).max(initial=0)))
    worst = 0.0
    for one, other in ((a, b), (b, a)):
        for rows, theirs in zip(one / _units(scale), other / _units(scale), strict=True):
            for row in rows[rows[:, 4] > 0]:
                same = theirs[(theirs[:, 5] == row[5]) & (theirs[:, 4] > 0)]
                apart = np.abs(same - row).max(1)
                worst = max(worst, float(apart.min()) if len(apart) else 1.0)
    return worst


def _units(scale: float) -> np.ndarray:
    return np.array([scale] * 4 + [1, 1], np.float32)
