"""The pictures that were taken for somebody else, each beside the one that it was taken for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image as Pillow

from boda.metrics.recognition import Recognition

GAP = 4  # white pixels between two pictures
SIDE = 64  # pixels of a thumbnail's longer side


def worst(metrics: Recognition, names: Sequence[str], most: int) -> list[tuple[int, int, float]]:
    """Places of a picture and of the most similar other one, which shows somebody else; their distance.

    Args:
        metrics: with all vectors.
        names: who is shown.
        most: of them, the nearest first.
    """
    who = np.unique(np.asarray(names), return_inverse=True)[1]
    found: list[tuple[float, int, int]] = []
    for asked, known, far in metrics.questions():
        nearest = far.argmin(1)
        taken, distance = known[nearest], far[np.arange(len(asked)), nearest]
        # A question can only be answered where another picture shows the same.
        answered = ((who[asked][:, None] == who[known]) & np.isfinite(far)).any(1)
        wrong = np.flatnonzero(answered & (who[taken] != who[asked]))
        found += [(float(distance[i]), int(asked[i]), int(taken[i])) for i in wrong]
    return [(asked, taken, far) for far, asked, taken in sorted(found)[:most]]


def beside(picture: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Two prepared pictures (H, W, C) uint8 side by side, (H, 2·W + 4, 3)."""
    gap = np.full((len(picture), GAP, picture.shape[2]), 255, np.uint8)
    row = np.concatenate([picture, gap, other], 1)
    return np.broadcast_to(row, (*row.shape[:2], 3))


def thumbnail(picture: np.ndarray) -> np.ndarray:
    """A prepared picture (H, W, C) uint8 with sides of at most 64 pixels."""
    longer = max(picture.shape[:2])
    if longer <= SIDE:
        return picture
    height, width = (max(1, round(side * SIDE / longer)) for side in picture.shape[:2])
    small = Pillow.fromarray(picture.squeeze()).resize((width, height), Pillow.Resampling.BOX)
    return np.asarray(small)
