"""Check the data and take it into memory in one pass: no file is decoded twice."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from boda.data.check import CheckReport, check
from boda.data.dataset import GIB, Pictures, memory_budget
from boda.data.identities import listed
from boda.data.prepare import Preparation
from boda.data.scaled import ScaledPictures
from boda.errors import DataError
from boda.progress import Progress
from boda.types import ArraySamples, Dataset

WHOLE = {"upscale": ScaledPictures}  # tasks whose pictures keep their size, and how they are held


@dataclass
class Loaded:
    """A data set ready to learn from.

    Attributes:
        dataset: without what was dropped.
        pictures: split → prepared pictures, of the wanted splits that are there.
        report: of the check.
        dropped: split → how many were left out.
        note: where the pictures are kept, for the person.
    """

    dataset: Dataset
    pictures: dict[str, Pictures]
    report: CheckReport
    dropped: dict[str, int]
    note: str


def load(
    dataset: Dataset,
    preparation: Preparation,
    drop: bool,
    progress: Progress,
    wanted: tuple[str, ...] = ("train", "val"),
) -> Loaded:
    """Check every picture, and keep those of the wanted splits prepared in memory where they fit.

    Raises:
        DataError: there are errors, and ``drop`` does not say to leave those samples out.
    """
    shape = (preparation.channels, preparation.height, preparation.width)
    decoded = {
        split: len(samples)
        for split, samples in dataset.splits.items()
        if split in wanted and not isinstance(samples, ArraySamples) and dataset.task not in WHOLE
    }
    size = sum(decoded.values()) * math.prod(shape)
    fits = size <= memory_budget()
    cache = {split: np.empty((n, *shape), np.uint8) for split, n in decoded.items()} if fits else {}

    def keep(split: str, index: int, picture: np.ndarray) -> None:
        if split in cache:
            cache[split][index] = preparation(picture).transpose(2, 0, 1)

    with progress.working("checking the pictures"):
        report = check(dataset, progress=progress.advance, visit=keep if cache else None)
    if report.errors and not drop:
        many = len(report.errors)
        fix = (
            f"{many} errors. Mend them, or leave these records out with --drop." if many > 1 else ""
        )
        raise DataError(
            problems=report.errors, summary=fix or "Mend it, or leave it out with --drop."
        )
    whole = dataset.splits
    dataset, dropped = report.drop(dataset)
    empty = [
        split for split in wanted if len(whole.get(split, ())) and not len(dataset.splits[split])
    ]
    if empty:
        raise DataError(
            f"every picture of {' and '.join(empty)} has an error",
            file=dataset.root,
            fix="Mend some.",
        )
    pictures = {}
    for split in wanted:
        samples = dataset.splits.get(split)
        if samples is None or len(samples) == 0:
            continue
        if isinstance(samples, ArraySamples):
            images = preparation.batch(samples.images)
        elif split in cache:
            sound = report.sound[split]
            images = cache.pop(split)
            images = images if len(samples) == len(whole[split]) else images[sound]
        else:
            images = None
        kind = WHOLE.get(dataset.task, Pictures)
        pictures[split] = kind(samples, preparation, images, dataset.task)
        if dataset.task == "match":
            pictures[split].listed = listed(dataset, split)
    note = (
        f"{size / GIB:.1f} GiB of prepared pictures do not fit in {memory_budget() / GIB:.1f} GiB: "
        "they are decoded anew each epoch"
    )
    return Loaded(dataset, pictures, report, dropped, "" if fits else note)
