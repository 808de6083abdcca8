"""A quick look at the data, from which a task chooses its defaults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from boda.errors import BodaError
from boda.types import ArraySamples, Dataset, Sample

LOOKED_AT = 64  # pictures, evenly spread


@dataclass(frozen=True)
class Survey:
    """What a look at some pictures tells.

    Attributes:
        samples: pictures to learn from.
        classes: number of classes.
        height, width: medians, pixels.
        gray: no picture looked at has colour.
        largest, smallest: pictures in the largest and the smallest class.
    """

    samples: int
    classes: int
    height: int
    width: int
    gray: bool
    largest: int
    smallest: int


def survey(dataset: Dataset) -> Survey:
    """Look at the training pictures, at all where there are no splits.

    Unreadable ones are passed over here: ``check`` names them.
    """
    samples = dataset.splits.get("train") or dataset.splits.get("all") or []
    positions = np.unique(
        np.linspace(0, len(samples) - 1, min(LOOKED_AT, len(samples))).astype(int)
    )
    pictures = [p for i in positions if (p := _picture(samples[int(i)])) is not None]
    counts = np.bincount(_labels(samples), minlength=len(dataset.classes))
    return Survey(
        samples=len(samples),
        classes=len(dataset.classes),
        height=int(np.median([p.shape[0] for p in pictures])) if pictures else 0,
        width=int(np.median([p.shape[1] for p in pictures])) if pictures else 0,
        gray=all((p[..., :1] == p).all() for p in pictures),
        largest=int(counts.max()),
        smallest=int(counts.min()),
    )


def _picture(sample: Sample) -> np.ndarray | None:
    try:
        return sample.read() if sample.read is not None else sample.image
    except BodaError:
        return None


def _labels(samples: Sequence[Sample]) -> np.ndarray:
    if isinstance(samples, ArraySamples):
        return samples.labels
    return np.array([sample.label for sample in samples], dtype=int)
