"""Identities in their splits: how many pictures each has, who is in two splits, pairs, rotations.

An identity that is in train and in test makes the test say less than it seems: what is asked of a
network is to tell apart those it has never seen.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from boda.data.split import labels_of
from boda.errors import Problem, UsageError
from boda.types import Dataset, Episode, Image, Pair, Sample

ORDER = ("train", "all", "test", "val")  # the first that has an identity may keep it
TURNS = ("", "@90", "@180", "@270")  # degrees, anticlockwise
NAMED = 10  # names that a message holds


def group_of(identity: str) -> str:
    """What an identity belongs to: the alphabet of "Greek/character01"; "" where nothing is said."""
    return identity.rpartition("/")[0]


def counts(dataset: Dataset) -> dict[str, Any]:
    """How many identities there are, and how many pictures each has.

    Returns:
        ``{"count", "splits": {name: count}, "pictures": {"min", "median", "max"}}``, and ``"pairs"``
        and ``"episodes"`` where there are any.
    """
    splits = {name: np.unique(labels_of(part)) for name, part in dataset.splits.items()}
    labels = [labels_of(part) for part in dataset.splits.values()]
    _, pictures = np.unique(np.concatenate(labels or [np.empty(0)]), return_counts=True)
    out: dict[str, Any] = {
        "count": len(pictures),
        "splits": {name: len(found) for name, found in splits.items()},
        "pictures": {
            "min": int(pictures.min(initial=pictures.max(initial=0))),
            "median": float(np.median(pictures)) if len(pictures) else 0.0,
            "max": int(pictures.max(initial=0)),
        },
    }
    listed = {"pairs": len(dataset.pairs), "episodes": len(dataset.episodes)}
    return out | {name: count for name, count in listed.items() if count}


def single(dataset: Dataset, sound: dict[str, np.ndarray]) -> list[Problem]:
    """One warning for all identities with one sound picture only.

    Args:
        dataset: for ``match``.
        sound: split → (N,) bool.
    """
    kept = [labels_of(part)[sound[name]] for name, part in dataset.splits.items()]
    identities, pictures = np.unique(np.concatenate(kept), return_counts=True)
    alone = [dataset.classes[identity] for identity in identities[pictures == 1]]
    if not alone:
        return []
    have = "identity has" if len(alone) == 1 else "identities have"
    return [
        Problem(
            f"{len(alone):,} {have} one picture only: {_shown(alone)}",
            "Add a second one: with one alone, somebody can be mistaken for others but not known again.",
            str(dataset.root),
            severity="warning",
        )
    ]


def leaks(dataset: Dataset) -> tuple[list[Problem], dict[str, np.ndarray]]:
    """Identities that are in two splits.

    Returns:
        An error for each two splits that share some, which names them; and split → (N,) bool, true
        for the pictures of an identity that an earlier split (train, then test, then val) has: without
        these, no identity is in two.
    """
    problems: list[Problem] = []
    leaked = {name: np.zeros(len(part), bool) for name, part in dataset.splits.items()}
    there = [name for name in ORDER if name in dataset.splits]
    labels = {name: labels_of(dataset.splits[name]) for name in there}
    for place, one in enumerate(there):
        for other in there[place + 1 :]:
            shared = np.intersect1d(labels[one], labels[other])
            if len(shared):
                leaked[other] |= np.isin(labels[other], shared)
                names = [dataset.classes[identity] for identity in shared]
                fix = "Take each out of one split: the test is on those who have never been seen. "
                fix += f"--drop leaves them out of {other}."
                why = f"{_in_both(names)} both {one} and {other}: {_shown(names)}"
                problems.append(Problem(why, fix, str(dataset.root)))
    return problems, leaked


def known_before(dataset: Dataset, learned: Collection[str]) -> tuple[Dataset, list[Problem]]:
    """What a network may be tested on that has learned other data.

    Args:
        dataset: to test on.
        learned: the identities that the network has learned from, or was chosen by.

    Returns:
        The data set without the pictures of those identities, and an error that names them; itself
        and nothing where there are none.
    """
    known = set(dataset.classes) & set(learned)
    if not known:
        return dataset, []
    splits: dict[str, Sequence[Sample]] = {
        split: [sample for sample in samples if sample.identity not in known]
        for split, samples in dataset.splits.items()
    }
    names = sorted(known)
    why = f"{_in_both(names)} this data and what the network was fitted with: {_shown(names)}"
    fix = "Take them out: the test is on those who have never been seen. --drop leaves them out."
    left, _ = without_lost(dataclasses.replace(dataset, splits=splits), dataset)
    return left, [Problem(why, fix, str(dataset.root))]


def pairs_in(dataset: Dataset, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The listed pairs of a split.

    Returns:
        (N, 2) int64 indices into the split's samples, (N,) bool whether they show the same, and (N,)
        int64 folds. Pairs of which a picture has been left out are not among them.
    """
    place = {sample.id: index for index, sample in enumerate(dataset.splits[split])}
    found = [
        (place[pair.first], place[pair.second], pair.same, pair.fold)
        for pair in dataset.pairs
        if pair.split == split and pair.first in place and pair.second in place
    ]
    table = np.array(found, np.int64).reshape(-1, 4)
    return table[:, :2], table[:, 2].astype(bool), table[:, 3]


@dataclass(frozen=True, eq=False)
class Listed:
    """What the data itself asks about the pictures of a split, as places in it.

    Attributes:
        pairs, same, folds: see ``pairs_in``.
        episodes: (S,) places of the pictures that are known, (Q,) of those that are asked about, and
            (Q,) which of the S each is, for each fixed problem.
    """

    pairs: np.ndarray
    same: np.ndarray
    folds: np.ndarray
    episodes: tuple[tuple[np.ndarray, np.ndarray, np.ndarray], ...]


def listed(dataset: Dataset, split: str) -> Listed | None:
    """The listed pairs and fixed episodes of a split; None where there are none of either."""
    place = {sample.id: index for index, sample in enumerate(dataset.splits[split])}
    episodes = []
    for each in dataset.episodes:
        ids = {*each.support, *each.queries}
        if each.split == split and ids <= place.keys():
            support, queries = ([place[i] for i in row] for row in (each.support, each.queries))
            episodes.append((np.array(support), np.array(queries), np.array(each.answers)))
    found = Listed(*pairs_in(dataset, split), tuple(episodes))
    return found if len(found.pairs) or episodes else None


def numbered(dataset: Dataset) -> Dataset:
    """The identities numbered so that those of train are 0 to n − 1, which is what is learned.

    By their names, wherever the samples come from: who has the same name in two splits is the same.
    """
    first = names_in(dataset, "train")
    rest = {name for split in dataset.splits for name in names_in(dataset, split)}
    classes = [*first, *sorted(rest - set(first))]
    number = {name: index for index, name in enumerate(classes)}
    splits: dict[str, Sequence[Sample]] = {
        split: [dataclasses.replace(sample, label=number[sample.identity or ""]) for sample in part]
        for split, part in dataset.splits.items()
    }
    return dataclasses.replace(dataset, classes=classes, splits=splits)


def learned(dataset: Dataset) -> list[str]:
    """The names of those in train, of a data set that is ``numbered``."""
    labels = labels_of(dataset.splits["train"])
    return dataset.classes[: int(labels.max(initial=-1)) + 1]


def names_in(dataset: Dataset, split: str) -> list[str]:
    """The names of those in a split, sorted; none where there is no such split."""
    return sorted({sample.identity or "" for sample in dataset.splits.get(split, ())})


def without_lost(dataset: Dataset, before: Dataset) -> tuple[Dataset, dict[str, int]]:
    """The data set without pairs and episodes of which it lacks a picture that was there before.

    Returns:
        That, and how many of these were lost: ``{"pairs", "episodes"}``.
    """
    if not dataset.pairs and not dataset.episodes:
        return dataset, {}
    now, then = (
        {split: {sample.id for sample in samples} for split, samples in each.splits.items()}
        for each in (dataset, before)
    )
    asked: list[tuple[Pair | Episode, set[str]]] = [(p, {p.first, p.second}) for p in dataset.pairs]
    asked += [(e, {*e.support, *e.queries}) for e in dataset.episodes]
    gone = {
        each
        for each, ids in asked
        if ids <= then.get(each.split, set()) and not ids <= now[each.split]
    }
    pairs = [pair for pair in dataset.pairs if pair not in gone]
    episodes = [episode for episode in dataset.episodes if episode not in gone]
    counts = {"pairs": len(dataset.pairs) - len(pairs)}
    counts["episodes"] = len(dataset.episodes) - len(episodes)
    return dataclasses.replace(dataset, pairs=pairs, episodes=episodes), counts


@dataclass(frozen=True, eq=False)
class Turned:
    """Reads a sample's picture and turns it when called; picklable.

    Attributes:
        sample: whose picture it is.
        turns: by 90°, anticlockwise.
    """

    sample: Sample
    turns: int

    def __call__(self) -> Image:
        """(H, W, 3) uint8 RGB, or (W, H, 3)."""
        read = self.sample.read
        picture = self.sample.image if read is None else read()
        return np.ascontiguousarray(np.rot90(picture, self.turns))


def rotated(dataset: Dataset, splits: Sequence[str] | None = None) -> Dataset:
    """Each identity four times, turned by 0°, 90°, 180° and 270°: a turned character is another one.

    Santoro et al. 2016 (arXiv 1605.06065) made new classes of Omniglot's characters in this way.
    Pictures are turned when they are read. "Greek/character01" becomes "Greek/character01" and
    "Greek/character01@90" and so on, so that its group stays; ids get the same endings.

    Args:
        dataset: for ``match``.
        splits: those that are turned; all by default.

    Raises:
        UsageError: it has been turned already.
    """
    chosen = set(dataset.splits if splits is None else splits)
    if any(name.endswith(TURNS[1:]) for name in dataset.classes):
        raise UsageError("the identities are turned already: leave the rotations away.")
    more = {
        sample.identity
        for split in chosen & dataset.splits.keys()
        for sample in dataset.splits[split]
    }
    classes = sorted([*dataset.classes, *(f"{name}{end}" for name in more for end in TURNS[1:])])
    number = {name: index for index, name in enumerate(classes)}
    turned: dict[str, Sequence[Sample]] = {
        split: [
            _turned(sample, turns, number)
            for turns in range(len(TURNS) if split in chosen else 1)
            for sample in samples
        ]
        for split, samples in dataset.splits.items()
    }
    return dataclasses.replace(dataset, classes=classes, splits=turned)


def _turned(sample: Sample, turns: int, number: dict[str, int]) -> Sample:
    identity = f"{sample.identity}{TURNS[turns]}"
    named = dataclasses.replace(sample, identity=identity, label=number[identity])
    if not turns:
        return named
    size = sample.size[::-1] if sample.size is not None and turns % 2 else sample.size
    own = f"{sample.id}{TURNS[turns]}"
    return dataclasses.replace(named, id=own, read=Turned(sample, turns), size=size, _image=None)


def _in_both(names: Sequence[str]) -> str:
    return "1 identity is in" if len(names) == 1 else f"{len(names):,} identities are in"


def _shown(names: Sequence[str]) -> str:
    """The names, or their groups where there are many and all have one."""
    groups = Counter(map(group_of, names))
    told = [f"'{name}'" for name in names]
    if len(names) > NAMED and "" not in groups and len(groups) <= NAMED:
        told = [f"{count:,} of '{group}'" for group, count in sorted(groups.items())]
    more = f" and {len(told) - NAMED:,} more" if len(told) > NAMED else ""
    return f"{', '.join(told[:NAMED])}{more}"
