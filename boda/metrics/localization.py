"""How well one object a picture is found: whether it is there, where, and what it is.

The overlap of two boxes is their intersection over union (IoU). NumPy only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from boda.metrics import NothingToMeasure

OVERLAP = 0.5  # IoU from which an object counts as localized


@dataclass(frozen=True)
class One:
    """One picture's object, or what was said of it.

    Attributes:
        label: its class.
        box: (4,) x1, y1, x2, y2 in pixels; None where there is none.
    """

    label: int = -1
    box: np.ndarray | None = None


class Localization:
    """Collects what was said and what is true, picture by picture.

    Args:
        classes: names, in the order of the labels.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = list(classes)
        self.rows: list[
            tuple[int, int, float]
        ] = []  # true class, class that was said, IoU; −1 none

    def update(self, said: One, true: One) -> float:
        """Take in one picture; returns the IoU, 0 where one of the boxes is missing."""
        overlap = 0.0
        if said.box is not None and true.box is not None:
            overlap = box_iou(said.box, true.box)
        self.rows.append(
            (
                -1 if true.box is None else true.label,
                -1 if said.box is None else said.label,
                overlap,
            )
        )
        return overlap

    def compute(self) -> dict[str, float]:
        """The figures, flat, each 0..1.

        Returns:
            mean_iou: over the pictures with an object; one that is not found counts 0.
            iou50: share of the same whose IoU is at least 0.5.
            localized: share of the same with that and the right class.
            class_accuracy: share of the right class among those that are found.
            presence_accuracy: share of all pictures in which it is rightly said whether there is an
                object.

        Where nothing is found, class_accuracy is 0.

        Raises:
            NothingToMeasure: no picture has an object.
        """
        true, said, overlap = self._columns()
        there, found = true >= 0, said >= 0
        if not there.any():
            raise NothingToMeasure(f"there is no object in these {len(self.rows):,} pictures")
        right = (true == said) & there
        return {
            "mean_iou": _mean(overlap[there]),
            "iou50": _mean(overlap[there] >= OVERLAP),
            "localized": _mean((overlap >= OVERLAP)[there] & right[there]),
            "class_accuracy": _mean(right[there & found]),
            "presence_accuracy": _mean(there == found),
        }

    def per_class(self) -> dict[str, dict[str, Any]]:
        """``{name: {"mean_iou", "iou50", "class_accuracy", "support"}}`` of the pictures that show it."""
        true, said, overlap = self._columns()
        table = {}
        for label, name in enumerate(self.classes):
            own = true == label
            table[name] = {
                "mean_iou": _mean(overlap[own]),
                "iou50": _mean(overlap[own] >= OVERLAP),
                "class_accuracy": _mean(said[own & (said >= 0)] == label),
                "support": int(own.sum()),
            }
        return table

    def presence(self) -> dict[str, int]:
        """How many objects were found and missed, and how many empty pictures were taken for others."""
        true, said, _ = self._columns()
        there, found = true >= 0, said >= 0
        return {
            "found": int((there & found).sum()),
            "missed": int((there & ~found).sum()),
            "invented": int((~there & found).sum()),
            "rightly_empty": int((~there & ~found).sum()),
        }

    def _columns(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        table = np.array(self.rows, np.float64).reshape(-1, 3)
        return table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2]


def box_iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes (4,) xyxy; 0 where both are empty."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    both = (np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])).clip(0).prod()
    either = (a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - both
    return float(both / either) if either > 0 else 0.0


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else 0.0
