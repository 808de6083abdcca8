"""What the numbers a network puts out mean, task by task. NumPy only.

Training, the ``predict`` verb and an exported file on a machine without torch all read their
outputs here, so they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from boda.registry import Registry
from boda.types import Image, Prediction

TOP = 5  # classes a classifier's prediction lists
readers: Registry = Registry("task")


@readers.register("classify")
def classify(scores: np.ndarray, classes: Sequence[str], picture: Image, source: str) -> Prediction:
    """The best classes, best first; of equal scores the lower class index.

    Args:
        scores: (K,) probabilities.
        classes: K names.
        picture: the original picture, (H, W, 3) uint8.
        source: where it came from.
    """
    best = np.argsort(-scores, kind="stable")[:TOP]
    height, width = picture.shape[:2]
    return Prediction(
        source=source,
        size=(height, width),
        labels=best,
        names=[classes[i] for i in best],
        scores=scores[best],
        _picture=picture,
    )
