"""The pictures on which a detector did worst, with what is there and what it said drawn on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from boda.data.dataset import Pictures
from boda.judged import marked
from boda.metrics.detection import Found, Truth
from boda.outputs import CONFIDENT

OVERLAP = 0.5  # IoU from which an object counts as found


def worst(
    classes: Sequence[str], pairs: Sequence[tuple[Found, Truth]], pictures: Pictures, most: int
) -> list[dict[str, Any]]:
    """See ``Task.mistakes``; a picture's score is its number of missed and of invented objects."""
    rows = []
    for i, (said, there) in enumerate(pairs):
        sure = said.scores >= CONFIDENT
        right, hit = _right(Found(said.boxes[sure], said.scores[sure], said.labels[sure]), there)
        missed, invented = int((~hit).sum()), int((~right).sum())
        if missed + invented:
            rows.append((missed + invented, i, missed, invented))
    rows.sort(key=lambda row: (-row[0], row[1]))
    return [
        _told(classes, pairs[i], pictures, i, missed, invented)
        for _, i, missed, invented in rows[:most]
    ]


def _told(
    classes: Sequence[str],
    pair: tuple[Found, Truth],
    pictures: Pictures,
    i: int,
    missed: int,
    invented: int,
) -> dict[str, Any]:
    said, there = pair
    sure = said.scores >= CONFIDENT
    sample = pictures.samples[i]
    picture = sample.image if sample.read is None else sample.read()
    counts = ~there.crowd if there.crowd is not None else np.ones(len(there.boxes), bool)
    truth = [(box, classes[k], None) for box, k in zip(there.boxes, there.labels, strict=True)]
    told = [
        (box, classes[k], float(score))
        for box, k, score in zip(
            said.boxes[sure], said.labels[sure], said.scores[sure], strict=True
        )
    ]
    return {
        "image": marked(picture, truth, told),
        "source": sample.source,
        "truth": f"{int(counts.sum())} there",
        "predicted": f"{missed} missed, {invented} not there",
        "score": float(said.scores[sure].max()) if sure.any() else 0.0,
    }


def _right(said: Found, there: Truth) -> tuple[np.ndarray, np.ndarray]:
    """Which boxes are right, and which objects are found: surest first, of the object's own class.

    What lies on a crowd is not wrong, and a crowd is not missed.
    """
    crowd = np.zeros(len(there.boxes), bool) if there.crowd is None else there.crowd
    right, hit = np.zeros(len(said.boxes), bool), crowd.copy()
    if not len(there.boxes):
        return right, hit
    for i in np.argsort(-said.scores, kind="stable"):
        overlap = _overlaps(said.boxes[i], there.boxes)
        fits = (overlap >= OVERLAP) & (there.labels == said.labels[i])
        free = np.where(fits & ~hit, overlap, 0)
        if free.any():
            hit[free.argmax()] = right[i] = True
        else:
            right[i] = bool((fits & crowd).any())
    return right, hit


def _overlaps(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """IoU of one box with each of several."""
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    both = (high - low).clip(0).prod(1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1) + (box[2:] - box[:2]).prod()
    return both / np.maximum(areas - both, 1e-9)
