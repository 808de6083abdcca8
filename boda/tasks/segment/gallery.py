"""The pictures of which most pixels are wrong, with what is there and what was said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from boda.data.dataset import Pictures
from boda.draw_maps import coloured
from boda.types import IGNORED, is_ground

SEAM = 2  # white columns between the two


def worst(
    classes: Sequence[str], maps: np.ndarray, pictures: Pictures, most: int
) -> list[dict[str, Any]]:
    """See ``Task.mistakes``; a picture's score is its share of wrong pixels.

    Args:
        classes: the names.
        maps: (N, h, w) uint8, what was said of each pixel of the working pictures.
        pictures: with what is true of them.
        most: pictures.
    """
    assert pictures.semantic is not None
    rows = []
    for i, said in enumerate(maps):
        there = pictures.semantic[i].numpy()
        counts = there != IGNORED
        wrong = counts & (said != there)
        if wrong.any():
            rows.append((float(wrong.sum() / counts.sum()), i))
    rows.sort(key=lambda row: (-row[0], row[1]))
    return [_told(classes, maps[i], pictures, i, share) for share, i in rows[:most]]


def _told(
    classes: Sequence[str], said: np.ndarray, pictures: Pictures, i: int, share: float
) -> dict[str, Any]:
    assert pictures.semantic is not None
    there = pictures.semantic[i].numpy()
    picture = np.broadcast_to(image := pictures.prepared(i), (*image.shape[:2], 3))
    seam = np.full((picture.shape[0], SEAM, 3), 255, np.uint8)
    bare = next((i for i, name in enumerate(classes) if is_ground(name)), None)
    left, right = (coloured(picture, each, len(classes), bare) for each in (there, said))
    most = _most_confused(there, said, len(classes))
    return {
        "image": np.concatenate([left, seam, right], 1),
        "source": pictures.samples[i].source,
        "truth": f"most of it: {classes[most[0]]} taken for {classes[most[1]]}",
        "predicted": f"{100 * share:.1f} % of the pixels wrong",
        "score": share,
    }


def _most_confused(there: np.ndarray, said: np.ndarray, classes: int) -> tuple[int, int]:
    """The class that was there and the one it was taken for, of most wrong pixels."""
    wrong = (there != IGNORED) & (said != there)
    pairs = np.bincount(there[wrong].astype(np.int64) * classes + said[wrong])
    truth, taken = divmod(int(pairs.argmax()), classes)
    return truth, taken
