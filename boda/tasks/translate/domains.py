"""The data as a method wants it: pairs in one direction, or pictures of two domains, A and B."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from boda.data.image import PictureReader
from boda.errors import DataError, UsageError
from boda.types import ArraySamples, Dataset, Sample

BACK = "b2a"
LETTERS = ("A", "B")
UNDERSTOOD = (
    "Put the two of a pair side by side into one picture, or under the same name into two folders, "
    "A/1.jpg and B/1.jpg. Pairs can also be made of each picture: --pairs gray, edges or small; and "
    "two folders of pictures without pairs are for --model cyclegan."
)


def arranged(dataset: Dataset, settings: dict[str, Any]) -> Dataset:
    """Pairs in the direction that is asked for, or two domains.

    Args:
        dataset: as it was read.
        settings: with ``pairs`` where pairs are learned from, else for two domains.

    Raises:
        UsageError: pairs are to be made of pictures that are pairs already.
        DataError: there are no pairs, or no two domains.
    """
    paired = bool(len(dataset)) and all(map(_paired, dataset.splits.values()))
    paired = paired and not dataset.classes
    if "pairs" not in settings:
        return _apart(dataset) if paired else _two_domains(dataset)
    if settings["pairs"] != "data":
        if paired:
            raise UsageError(
                f"{dataset.root} holds pairs already: leave --pairs away, or name a folder of single "
                "pictures."
            )
        return dataset
    if not paired:
        raise DataError("there are no pairs to learn from", file=dataset.root, fix=UNDERSTOOD)
    if settings["direction"] != BACK:
        return dataset
    turned = {name: [_turned(s) for s in samples] for name, samples in dataset.splits.items()}
    return dataclasses.replace(dataset, splits=dict(turned))


def _paired(samples: Sequence[Sample]) -> bool:
    return not isinstance(samples, ArraySamples) and all(sample.has_target for sample in samples)


def _turned(sample: Sample) -> Sample:
    """What was the target is given, and the other way round."""
    aim = sample.read_target
    source = aim.entry.source if isinstance(aim, PictureReader) else sample.source
    given, target = sample.target, sample._image
    return dataclasses.replace(
        sample, source=source, read=aim, read_target=sample.read, _image=given, target=target
    )


def _two_domains(dataset: Dataset) -> Dataset:
    """Itself, where it is two.

    Raises:
        DataError: it is not.
    """
    if len(dataset.classes) == len(LETTERS) and not _without_label(dataset):
        return dataset
    raise DataError(
        f"there are {len(dataset.classes)} kinds of pictures, and two domains are meant",
        file=dataset.root,
        fix="Put those of one into trainA, those of the other into trainB; for tests, testA and testB.",
    )


def _without_label(dataset: Dataset) -> bool:
    return any(
        isinstance(samples, ArraySamples) or any(sample.label is None for sample in samples)
        for samples in dataset.splits.values()
    )


def _apart(dataset: Dataset) -> Dataset:
    """Pairs as two domains: what belongs together is known in val and test alone, to measure by."""
    splits: dict[str, Sequence[Sample]] = {}
    for split, samples in dataset.splits.items():
        learned = split in ("train", "all")
        both = [(sample, _turned(sample)) for sample in samples]
        splits[split] = [
            dataclasses.replace(
                each[label],
                id=f"{letter}/{each[label].id}",
                label=label,
                target=None if learned else each[label].target,
                read_target=None if learned else each[label].read_target,
            )
            for label, letter in enumerate(LETTERS)
            for each in both
        ]
    return dataclasses.replace(dataset, splits=splits, classes=list(LETTERS))
