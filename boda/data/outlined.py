"""Every object with an outline, as ``instances`` wants it: a picture with one that has none is named."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence

import numpy as np

from boda.errors import DataError, Problem
from boda.types import ArraySamples, Dataset, Sample


def with_outlines(dataset: Dataset) -> Dataset:
    """The data set without the pictures that have an object without an outline, an error for each.

    Crowds and difficult objects are not learned, and may lack theirs.

    Raises:
        DataError: no object has one.
    """
    splits: dict[str, Sequence[Sample]] = {}
    problems = list(dataset.problems)
    whole = 0
    for split, samples in dataset.splits.items():
        splits[split] = kept = []
        for sample in samples if not isinstance(samples, ArraySamples) else ():
            objects, missing = int(learned(sample).sum()), _missing(sample)
            whole += objects - missing
            if not missing:
                kept.append(sample)
                continue
            why = f"{missing:,} of its {objects:,} objects have no outline that can be read"
            fix = "Draw them, or find the boxes alone: boda fit detect"
            problems.append(Problem(why, fix, sample.source))
    if not whole:
        raise DataError(
            "no object has an outline, so there are no masks to learn",
            file=dataset.root,
            fix="If boxes are enough: boda fit detect. Else draw polygons, or give masks.",
        )
    return dataclasses.replace(dataset, splits=splits, problems=problems)


def learned(sample: Sample) -> np.ndarray:
    """(N,) bool, which objects are to be learned: not crowds, not difficult ones."""
    kept = np.ones(0 if sample.boxes is None else len(sample.boxes), bool)
    for left_out in (sample.crowd, sample.difficult):
        kept &= True if left_out is None else ~left_out
    return kept


def digest(dataset: Dataset) -> str:
    """A short text that is equal for equal outlines, whatever the order of the pictures."""
    lines = []
    for split, samples in dataset.splits.items():
        for sample in samples if not isinstance(samples, ArraySamples) else ():
            hashed = hashlib.blake2b(f"{split}\t{sample.id}".encode("utf-8", "replace"))
            for outline in sample.outlines or ():
                polygons = outline if isinstance(outline, list) else ()
                hashed.update(repr([points.tolist() for points in polygons] or outline).encode())
            lines.append(hashed.hexdigest())
    return hashlib.blake2b("\n".join(sorted(lines)).encode(), digest_size=16).hexdigest()


def _missing(sample: Sample) -> int:
    """How many objects that are to be learned have no outline."""
    if sample.masks is not None:
        return 0
    wanted = np.flatnonzero(learned(sample))
    if sample.outlines is None:
        return len(wanted)
    return sum(sample.outlines[i] is None for i in wanted)
