"""A quick look at the data, from which a task chooses its defaults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from boda.data.low_resolution import scale_of
from boda.errors import BodaError
from boda.types import ArraySamples, Dataset, Sample

LOOKED_AT = 64  # pictures, evenly spread


@dataclass(frozen=True)
class Survey:
    """What a look at some pictures tells.

    Attributes:
        samples: pictures to learn from.
        classes: number of classes; of identities, of those in train.
        height, width: medians, pixels.
        gray: no picture looked at has colour.
        largest, smallest: pictures, or boxes, in the largest and the smallest class.
        objects: boxes, where there are boxes; marked points, where there are points.
        share: median side of the boxes, as a share of their picture's longer side; 0 without boxes.
        format: the reader's name.
        drawn: whether the pictures are of ink on paper: nearly all pixels are as dark, or as light,
            as any in their picture.
        scale: how many times the pictures to be produced are as large; 0 where there are none.
    """

    samples: int
    classes: int
    height: int
    width: int
    gray: bool
    largest: int
    smallest: int
    objects: int = 0
    share: float = 0.0
    format: str = ""
    drawn: bool = False
    scale: int = 0


def survey(dataset: Dataset) -> Survey:
    """Look at the training pictures, at all where there are no splits.

    Unreadable ones are passed over here: ``check`` names them.
    """
    samples = dataset.splits.get("train") or dataset.splits.get("all") or []
    positions = np.unique(
        np.linspace(0, len(samples) - 1, min(LOOKED_AT, len(samples))).astype(int)
    )
    pictures = [p for i in positions if (p := _picture(samples[int(i)])) is not None]
    labels = classes_of(samples)
    counts = np.bincount(labels[labels >= 0], minlength=max(1, len(dataset.classes)))
    return Survey(
        samples=len(samples),
        # Of identities, those in train: the others are in other splits.
        classes=int((counts > 0).sum()) if dataset.task == "match" else len(dataset.classes),
        height=int(np.median([p.shape[0] for p in pictures])) if pictures else 0,
        width=int(np.median([p.shape[1] for p in pictures])) if pictures else 0,
        gray=all((p[..., :1] == p).all() for p in pictures),
        largest=int(counts.max()),
        smallest=int(counts.min()),
        objects=len(labels),
        share=_share(samples),
        format=dataset.format,
        drawn=bool(pictures) and all(_two_toned(p) for p in pictures),
        scale=_scale(samples),
    )


def _scale(samples: Sequence[Sample]) -> int:
    if not samples or isinstance(samples, ArraySamples):
        return 0
    try:
        return scale_of(samples[0]) or 0
    except BodaError:  # check names it
        return 0


def _share(samples: Sequence[Sample]) -> float:
    if isinstance(samples, ArraySamples):
        return 0.0
    sides = [
        np.sqrt((s.boxes[:, 2:] - s.boxes[:, :2]).prod(1)) / max(s.size)
        for s in samples
        if s.boxes is not None and s.size is not None
    ]
    found = np.concatenate(sides) if sides else np.empty(0)
    return float(np.median(found)) if len(found) else 0.0


def _two_toned(picture: np.ndarray) -> bool:
    """Whether nine of ten pixels lie within a quarter of the range from its darkest or lightest."""
    low, high = int(picture.min()), int(picture.max())
    middle = (picture > low + (high - low) / 4) & (picture < high - (high - low) / 4)
    return bool(middle.mean() < 0.1)


def _picture(sample: Sample) -> np.ndarray | None:
    try:
        return sample.read() if sample.read is not None else sample.image
    except BodaError:
        return None


def classes_of(samples: Sequence[Sample]) -> np.ndarray:
    """The class of every box, where there are boxes, else of every picture; −1 where it has none.

    Of pictures with points it is the index of every point that is marked.
    """
    if isinstance(samples, ArraySamples):
        return samples.labels
    if samples and all(s.points is not None for s in samples):
        return np.concatenate([np.flatnonzero(_marked(s)) for s in samples])
    found = [np.atleast_1d(-1 if s.label is None else s.label) for s in samples if s.labels is None]
    found += [s.labels for s in samples if s.labels is not None]
    return np.concatenate(found) if found else np.empty(0, np.int64)


def _marked(sample: Sample) -> np.ndarray:
    """(K,) bool, which of the points are marked."""
    assert sample.points is not None
    if sample.points.shape[1] == 3:
        return sample.points[:, 2] > 0
    return np.ones(len(sample.points), bool)
