"""How far found points lie from the true ones, as a share of a length of the face or thing itself.

The normalized mean error (NME) of a picture is the mean distance over its marked points, divided by
a length: for the 68 points of 300-W the distance of the outer eye corners (Sagonas et al., "300
faces in-the-wild challenge", 2013), for named points that of the two eyes, else the diagonal of the
upright box around the true points: a body's eyes are too near each other to measure it by. NumPy
only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from boda.metrics import NothingToMeasure

FAILED = 0.08  # NME above which a picture counts as failed, the usual limit of 300-W
EYES_OF_68 = (36, 45)  # the outer corners
SHORTEST = 1e-6  # pixels; a length below it is none
# Names that mean an eye as a whole or its outer corner, the first that is there.
EYES = (
    ("left_eye", "right_eye"),
    ("leftEye", "rightEye"),
    ("eye_left", "eye_right"),
    ("left_eye_outer", "right_eye_outer"),
    ("left_eye_outer_corner", "right_eye_outer_corner"),
    ("left_eye_center", "right_eye_center"),
    ("l_eye", "r_eye"),
    ("왼쪽_눈", "오른쪽_눈"),
)
BODY = ("shoulder", "hip", "knee", "어깨")


@dataclass(frozen=True)
class Normalizer:
    """By what distances are divided.

    Attributes:
        pair: the two points whose distance it is; None for the diagonal of the points' box.
        name: for people.
    """

    pair: tuple[int, int] | None
    name: str

    def __call__(self, points: np.ndarray, marked: np.ndarray) -> float:
        """The length in a picture, pixels; 0 where the pair is not marked in it.

        Args:
            points: (K, 2), true.
            marked: (K,) bool.
        """
        if self.pair is not None:
            first, second = points[list(self.pair)]
            there = bool(marked[list(self.pair)].all())
            return float(np.linalg.norm(first - second)) if there else 0.0
        seen = points[marked]
        return float(np.linalg.norm(seen.max(0) - seen.min(0))) if len(seen) else 0.0


def normalizer(names: Sequence[str]) -> Normalizer:
    """What suits points of these names."""
    if len(names) == 68:
        return Normalizer(EYES_OF_68, "distance of the outer eye corners, points 36 and 45 of 68")
    place = {name.replace(" ", "_"): index for index, name in enumerate(names)}
    body = any(part in name.lower() for name in names for part in BODY)
    for left, right in EYES:
        if left in place and right in place and not body:
            return Normalizer((place[left], place[right]), f"distance of {left} and {right}")
    return Normalizer(None, "diagonal of the box around the points")


class Landmarks:
    """Collects what was said and what is true, picture by picture.

    Args:
        names: of the K points.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names, self.by = list(names), normalizer(names)
        self.errors: list[np.ndarray] = []  # (K,) each: distances over the length, NaN = not marked
        self.without = 0  # pictures whose length cannot be told

    def update(self, said: np.ndarray, true: np.ndarray) -> float:
        """Take in one picture; returns its NME, NaN where it cannot be told.

        Args:
            said: (K, 2) in pixels of the original picture.
            true: (K, 2), or (K, 3) with visibility, of which 0 is not marked and does not count.

        A picture without the points that the length is between, or where they are in one place,
        counts not at all.
        """
        said, true = said.astype(np.float64), true.astype(np.float64)
        marked = true[:, 2] > 0 if true.shape[1] == 3 else np.ones(len(true), bool)
        length = self.by(true[:, :2], marked)
        if length < SHORTEST:
            self.without += 1
            return float("nan")
        errors = np.linalg.norm(said - true[:, :2], axis=1) / length
        self.errors.append(np.where(marked, errors, np.nan))
        return float(np.nanmean(self.errors[-1]))

    def compute(self) -> dict[str, float]:
        """The figures, flat.

        Returns:
            nme: mean of the pictures' NME, which is a share: 0.05 is five hundredths of the length.
            median_nme: of the same.
            failure_rate: share of the pictures whose NME is above 0.08.
            auc: area below the share of pictures with at most an error, over errors from 0 to 0.08,
                through 0.08: 1 is all without error, 0 is all failed.

        Raises:
            ValueError: there is no picture that could be measured.
        """
        each = self.of_pictures()
        if not len(each):
            raise NothingToMeasure(
                f"errors are measured by the {self.by.name}, which none of these "
                f"{self.without:,} pictures has"
            )
        return {
            "nme": float(each.mean()),
            "median_nme": float(np.median(each)),
            "failure_rate": float((each > FAILED).mean()),
            # The share is a step at each error, so the area is what remains to the right of it.
            "auc": float((1 - each / FAILED).clip(0).mean()),
        }

    def of_pictures(self) -> np.ndarray:
        """(N,) the NME of each picture that has one."""
        return np.array([np.nanmean(row) for row in self.errors])

    def per_point(self) -> dict[str, dict[str, Any]]:
        """``{name: {"nme", "support"}}``: the mean error of each point, over the pictures that mark it."""
        table = np.array(self.errors).reshape(-1, len(self.names))
        found = {}
        for name, column in zip(self.names, table.T, strict=True):
            marked = column[~np.isnan(column)]
            found[name] = {
                "nme": float(marked.mean()) if len(marked) else None,
                "support": len(marked),
            }
        return found
