"""Parting samples: train and val where the data has no splits, and the little that is held back.

Both are stratified by class, and depend on nothing but the samples' ids, the seed and the
fraction: not on the order of files on a disk, nor on the platform. For ``match`` it is identities
that are parted, never the pictures of one. Where pictures have no class of their own, a series stays
together: a slice of a patient, or a frame of a film, says nearly all of the one beside it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from boda.errors import DataError
from boda.types import ArraySamples, Dataset, Sample

Samples = Sequence[Sample]
HELD_BACK = 0.1  # of the identities of train: with fewer than ten there is little to tell apart
FEWEST = 5  # series that can be parted
_LAST_NUMBER = re.compile(r"\d+(?=\D*$)")


def complete(dataset: Dataset, seed: int, fraction: float = 0.2) -> tuple[Dataset, dict[str, Any]]:
    """Part a data set that has one split only ("all" or "train") into train and val.

    Args:
        dataset: as it was read; one with splits of its own is returned as it is.
        seed: decides which samples go where.
        fraction: the share of val, in every class of at least two samples; for ``match`` of the
            identities.

    Returns:
        The data set, and the record of how: ``{"rule", "counts"}`` and, where it was parted,
        ``{"seed", "fraction", "digests"}``, for ``match`` ``{"identities"}`` too; a digest tells
        whether two runs parted alike.

    Raises:
        DataError: there are too few identities to part.
    """
    if set(dataset.splits) not in ({"all"}, {"train"}):
        counts = {name: len(samples) for name, samples in dataset.splits.items()}
        return dataset, {"rule": "as the data has it", "counts": counts}
    (samples,) = dataset.splits.values()
    if by_identity := dataset.task == "match":
        rest, taken = part_identities(samples, seed, fraction)
    else:
        rest, taken = _part(samples, seed, fraction, len(samples))
    parts = {"train": rest, "val": taken}
    record = {
        "rule": "by identity" if by_identity else _rule(samples),
        "seed": seed,
        "fraction": fraction,
        "counts": {name: len(part) for name, part in parts.items()},
        "digests": {name: digest(part) for name, part in parts.items()},
    }
    if by_identity:
        record["identities"] = {name: len(np.unique(labels_of(p))) for name, p in parts.items()}
    return dataclasses.replace(dataset, splits=parts), record


def hold_back(
    samples: Samples, seed: int, fraction: float = 0.02, most: int = 1000
) -> tuple[Samples, Samples]:
    """Take a small part out of train, to watch the training by.

    Args:
        samples: train.
        seed: decides which.
        fraction: about how many.
        most: never more than so many, unless there are more classes.

    Returns:
        (the rest, what is held back): at least one sample of every class that has two, or whole
        series, in the order they had.
    """
    return _part(samples, seed, fraction, most)


def part_identities(samples: Samples, seed: int, fraction: float) -> tuple[Samples, Samples]:
    """Take whole identities out: the drawn share of those with several pictures, and of the others.

    An identity is what a label says. One with a single picture can be asked about by none of its
    own, so both parts are given two at least of the others.

    Args:
        samples: with labels.
        seed: decides which.
        fraction: the share of the identities that is taken, 0..1.

    Returns:
        (the rest, what is taken), in the order they had.

    Raises:
        DataError: fewer than four identities have several pictures.
    """
    identities, where, counts = np.unique(
        labels_of(samples), return_inverse=True, return_counts=True
    )
    several = counts > 1
    if several.sum() < 4:
        raise DataError(
            f"{several.sum()} identities have two pictures or more: too few to learn from some and "
            "to try it on others",
            fix="Add pictures; or learn from all, with --val none.",
        )
    draws = np.random.default_rng(seed).random(len(identities))
    taken = np.zeros(len(identities), bool)
    for group, least in ((several, 2), (~several, 0)):
        size = int(group.sum())
        count = min(max(round(size * fraction), least), size - least)
        taken[np.flatnonzero(group)[np.argsort(draws[group], kind="stable")[:count]]] = True
    return _take(samples, ~taken[where]), _take(samples, taken[where])


def labels_of(samples: Samples) -> np.ndarray:
    """The class of each sample, (N,) int64; -1 where it has none."""
    if isinstance(samples, ArraySamples):
        return np.asarray(samples.labels, np.int64)
    labels = (-1 if sample.label is None else sample.label for sample in samples)
    return np.fromiter(labels, np.int64, len(samples))


def _ranks(samples: Samples) -> np.ndarray:
    """The rank of each sample when sorted by id, (N,); an array's ids are numbers, in order."""
    if isinstance(samples, ArraySamples):
        return np.arange(len(samples))
    order = sorted(range(len(samples)), key=lambda index: samples[index].id)
    ranks = np.empty(len(samples), np.int64)
    ranks[order] = np.arange(len(samples))
    return ranks


def series(samples: Samples) -> np.ndarray | None:
    """Which pictures belong together, by names that differ in their last number alone.

    Such are ``patient07_slice012.png``, or ``film3/0012.png``.

    Returns:
        (N,) int64, the number of each sample's series; None where pictures have classes, or where
        fewer than five series hold half of the pictures or more.
    """
    if isinstance(samples, ArraySamples) or any(s.label is not None for s in samples):
        return None
    paths = [PurePosixPath(sample.id) for sample in samples]
    names = [f"{path.parent}/{_LAST_NUMBER.sub('#', path.stem)}" for path in paths]
    _, numbers, counts = np.unique(names, return_inverse=True, return_counts=True)
    several = counts > 1
    enough = several.sum() >= FEWEST and 2 * counts[several].sum() >= len(samples)
    return numbers if enough else None


def _rule(samples: Samples) -> str:
    """How samples without identities are parted, for the record."""
    found = series(samples)
    if found is None:
        return "stratified by class"
    return f"by series: {len(np.unique(found)):,} by their names, of which none is in two splits"


def _part(samples: Samples, seed: int, fraction: float, most: int) -> tuple[Samples, Samples]:
    """(The rest, what is drawn), by class, or by series where there are some."""
    if (found := series(samples)) is not None:
        chosen = _whole_series(found, seed, min(fraction * len(samples), most))
        return _take(samples, ~chosen), _take(samples, chosen)
    chosen = np.zeros(len(samples), bool)
    chosen[_draw(samples, _ranks(samples), seed, fraction, most)] = True
    return _take(samples, ~chosen), _take(samples, chosen)


def _draw(samples: Samples, ranks: np.ndarray, seed: int, fraction: float, most: int) -> np.ndarray:
    """Indices of the chosen samples: a share of each class, at least one, never a whole class."""
    labels = labels_of(samples)
    draws = np.random.default_rng(seed).random(len(samples))[ranks]
    classes, counts = np.unique(labels, return_counts=True)
    share = min(fraction, most / max(1, len(samples)))
    wanted = np.clip(np.rint(counts * share).astype(int), 1, None)
    while wanted.sum() > max(most, len(classes)):  # rounding up gave a few too many
        wanted[wanted.argmax()] -= 1
    wanted = np.minimum(wanted, counts - 1)
    order = np.lexsort((draws, labels))  # class after class, each in the order of its draws
    starts = np.cumsum(counts) - counts
    parts = [order[start : start + count] for start, count in zip(starts, wanted, strict=True)]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def _whole_series(numbers: np.ndarray, seed: int, wanted: float) -> np.ndarray:
    """(N,) bool: drawn series, until there are about as many pictures; one at least, never all."""
    counts = np.bincount(numbers)
    order = np.random.default_rng(seed).permutation(len(counts))
    before = np.cumsum(counts[order]) - counts[order]
    # A series is taken where that comes nearer to what is wanted.
    count = int(np.count_nonzero(before + counts[order] / 2 <= wanted))
    return np.isin(numbers, order[: min(max(1, count), len(counts) - 1)])


def _take(samples: Samples, mask: np.ndarray) -> Samples:
    if isinstance(samples, ArraySamples):
        return samples.take(np.flatnonzero(mask))
    return [sample for sample, kept in zip(samples, mask, strict=True) if kept]


def digest(samples: Samples) -> str:
    """Tells whether two splits hold the same samples; by id, of an array by the pictures themselves."""
    found = hashlib.blake2b(digest_size=16)
    if isinstance(samples, ArraySamples):
        found.update(np.ascontiguousarray(samples.labels).tobytes())
        found.update(
            np.ascontiguousarray(samples.images[:: max(1, len(samples) // 1000)]).tobytes()
        )
    else:
        found.update("\n".join(sorted(sample.id for sample in samples)).encode())
    return found.hexdigest()


def arrange(dataset: Dataset, seed: int, val: bool = True) -> tuple[Dataset, dict[str, Any]]:
    """The splits a fit works with: train, val unless it is not wanted, test where the data has one.

    No split at all is parted 80/20; of train and test alone, a little of train is held back, so that
    nothing is chosen by looking at test. For ``match`` whole identities are parted and held back; that
    none of those given is in two splits is for the check to see.

    Returns:
        The data set with the splits it is to be fitted with, and the record of how they came about.

    Raises:
        DataError: there is nothing to learn from, or too few identities to part.
    """
    splits = dict(dataset.splits)
    if len(splits) > 1 and "all" in splits and "train" not in splits:
        splits["train"] = splits.pop("all")  # what is not said to be for a test is to learn from
    if not splits.get("train") and not splits.get("all"):
        raise DataError(
            f"there is nothing to learn from: only {' and '.join(splits) or 'nothing'}",
            file=dataset.root,
            fix="Put the pictures to learn from into train/, or leave the split folders away.",
        )
    if not val:
        splits.pop("val", None)
        splits["train"] = splits.pop("all", splits.get("train", []))
        record: dict[str, Any] = {"rule": "no validation: everything is learned from"}
    elif "val" in splits:
        record = {"rule": "as the data has it"}
    elif "test" in splits:
        if dataset.task == "match":
            splits["train"], splits["val"] = part_identities(splits["train"], seed, HELD_BACK)
        else:
            splits["train"], splits["val"] = hold_back(splits["train"], seed)
        how = "by identity" if dataset.task == "match" else _rule(dataset.splits["train"])
        record = {"rule": f"a little of train is held back as val, {how}", "seed": seed}
        record["digests"] = {name: digest(splits[name]) for name in ("train", "val")}
    else:
        return complete(dataset, seed)
    record["counts"] = {name: len(samples) for name, samples in splits.items()}
    return dataclasses.replace(dataset, splits=splits), record
