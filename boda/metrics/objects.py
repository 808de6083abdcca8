"""What a detector found in a picture and what is there, and whether that can be counted. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from boda import masks as bitmaps
from boda.metrics.matching import Shared, box_areas


@dataclass(frozen=True)
class Found:
    """What a detector found in one picture.

    Attributes:
        boxes: (N, 4) xyxy, pixels.
        scores: (N,) higher is surer.
        labels: (N,) class indices.
        masks: (N, H, W) bool, where masks are to be measured.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    masks: np.ndarray | None = None


@dataclass(frozen=True)
class Truth:
    """What is in one picture.

    Attributes:
        boxes: (M, 4) xyxy, pixels.
        labels: (M,) class indices.
        crowd: (M,) bool: neither right nor wrong to find; none where not given.
        areas: (M,) square pixels, deciding small, medium, large: as COCO says them; where not given,
            those of the masks that are measured, else of the boxes.
        masks: (M, H, W) bool, where masks are to be measured.
    """

    boxes: np.ndarray
    labels: np.ndarray
    crowd: np.ndarray | None = None
    areas: np.ndarray | None = None
    masks: np.ndarray | None = None


def checked(
    found: Found, truth: Truth, classes: int
) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """The columns that are counted: boxes, scores, labels, and boxes, labels, crowd, areas.

    Raises:
        ValueError: shapes that do not fit, numbers that are not finite, boxes with x2 < x1, labels
            that are not class indices.
    """
    boxes, labels = _boxes_and_labels(found, "detections", classes)
    scores = _column(found.scores, len(boxes), np.float64, "scores")
    real, kinds = _boxes_and_labels(truth, "objects", classes)
    crowd = np.zeros(len(real), bool)
    if truth.crowd is not None:
        crowd = _column(truth.crowd, len(real), bool, "crowd")
    areas = box_areas(real)
    if truth.areas is not None:
        areas = _column(truth.areas, len(real), np.float64, "areas")
    return (boxes, scores, labels), (real, kinds, crowd, areas)


def shared_masks(found: Found, truth: Truth) -> Shared:
    """How far the masks of a picture overlap.

    Raises:
        ValueError: masks that are not there, are not one a box, or are of different sizes.
    """
    ours, theirs = _masks(found, "detections"), _masks(truth, "objects")
    if len(ours) and len(theirs) and ours.shape[1:] != theirs.shape[1:]:
        raise ValueError(f"masks of {ours.shape[1:]} and of {theirs.shape[1:]} in one picture")
    both = np.zeros((len(ours), len(theirs)), np.int32)
    if both.size:
        both = bitmaps.shared(ours, theirs).astype(np.int32)
    sizes = (bitmaps.areas(each).astype(np.float64) for each in (ours, theirs))
    return Shared(both, *sizes)


def _masks(told: Found | Truth, what: str) -> np.ndarray:
    if told.masks is None and len(told.boxes) == 0:
        return np.zeros((0, 0, 0), bool)
    if told.masks is None:
        raise ValueError(f"the {what} have no masks")
    masks = np.asarray(told.masks)
    if masks.ndim != 3 or len(masks) != len(told.boxes) or masks.dtype != bool:
        raise ValueError(
            f"masks of the {what}: {masks.dtype} {masks.shape}; "
            f"bool ({len(told.boxes)}, H, W) is meant, one a box"
        )
    return masks


def _boxes_and_labels(
    told: Found | Truth, what: str, classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes as float64 and labels as int64, or an error that says what is wrong."""
    boxes = np.asarray(told.boxes, np.float64)
    if boxes.size == 0:
        boxes = boxes.reshape(0, 4)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"boxes of the {what} have shape {boxes.shape}; (N, 4) is meant")
    if not np.isfinite(boxes).all() or (boxes[:, 2:] < boxes[:, :2]).any():
        raise ValueError(f"a box of the {what} is not finite, or has x2 < x1 or y2 < y1")
    labels = np.asarray(told.labels)
    if labels.size and not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"labels of the {what} are {labels.dtype}; integers are meant")
    labels = _column(labels, len(boxes), np.int64, f"labels of the {what}")
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(
            f"labels of the {what} span {labels.min()}..{labels.max()}; 0..{classes - 1} is meant"
        )
    return boxes, labels


def _column(values: np.ndarray, length: int, dtype: type, name: str) -> np.ndarray:
    values = np.asarray(values)
    if values.shape != (length,):
        raise ValueError(f"{name}: shape {values.shape}; ({length},) is meant, one a box")
    values = values.astype(dtype)
    if not np.isfinite(values).all():
        raise ValueError(f"{name}: not all numbers are finite")
    return values
