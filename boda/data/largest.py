"""One object a picture, as ``localize`` wants it: of several the largest stays, and that is said."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from boda.errors import Problem
from boda.types import ArraySamples, Dataset, Sample


def largest(boxes: np.ndarray) -> int:
    """The index of the largest of N ≥ 1 boxes (N, 4) xyxy; of equal ones the first."""
    return int((boxes[:, 2:] - boxes[:, :2]).astype(np.float64).prod(1).argmax())


def with_largest(dataset: Dataset) -> Dataset:
    """The data set with at most one object a picture, and a warning with the number of the others.

    A difficult object, or a crowd, stays only where there is no other; it counts like any then, since
    the picture is not one without an object.
    """
    splits: dict[str, Sequence[Sample]] = {
        name: samples if isinstance(samples, ArraySamples) else [_reduced(s) for s in samples]
        for name, samples in dataset.splits.items()
    }
    problems = list(dataset.problems)
    crowded = [
        (sample, len(sample.boxes))
        for samples in dataset.splits.values()
        if not isinstance(samples, ArraySamples)
        for sample in samples
        if sample.boxes is not None and len(sample.boxes) > 1
    ]
    if crowded:
        over = sum(count - 1 for _, count in crowded)
        why = (
            f"{len(crowded):,} pictures have several objects (the first: {crowded[0][0].source}): "
        )
        why += f"the largest of each is learned and measured, {over:,} others are left aside"
        fix = "If all objects are to be found: boda fit detect"
        problems.append(Problem(why, fix, str(dataset.root), severity="warning"))
    return dataclasses.replace(dataset, splits=splits, problems=problems)


def _reduced(sample: Sample) -> Sample:
    if sample.boxes is None or not len(sample.boxes):
        return sample
    aside = np.zeros(len(sample.boxes), bool)
    for mark in (sample.crowd, sample.difficult):
        aside |= False if mark is None else mark
    choice = np.flatnonzero(aside) if aside.all() else np.flatnonzero(~aside)
    one = [int(choice[largest(sample.boxes[choice])])]
    return dataclasses.replace(
        sample,
        boxes=sample.boxes[one],
        labels=_of(sample.labels, one),
        masks=_of(sample.masks, one),
        areas=_of(sample.areas, one),
        outlines=None if sample.outlines is None else [sample.outlines[one[0]]],
        crowd=None,
        difficult=None,
    )


def _of(values: np.ndarray | None, rows: Sequence[int]) -> np.ndarray | None:
    return None if values is None else values[list(rows)]
