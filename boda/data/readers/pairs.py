"""A list of pairs beside folders of identities: for each pair whether both show the same person.

Huang et al. 2007, Labeled Faces in the Wild (Technical Report 07-49, University of Massachusetts):
``pairs.txt`` begins with the number of folds and of pairs a fold, of the same and of different
people each. "NAME 3 7" are pictures 3 and 7 of one, "NAME 3 OTHER 7" of two people; picture 3 is the
one whose name ends in 3, as ``NAME_0003.jpg``. Or a table with columns file1, file2, same, fold.

The pairs are for the test. Where no folders say the splits, whoever is in a pair is in the list's
split ("test", or what its name says, as in ``pairsDevTrain.txt``), and all others are in train. Of
several lists, unless their names say different splits, the one that is meant has to be named itself.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

from boda.data.image import is_picture_name
from boda.data.readers import READERS
from boda.data.readers._boxes import Wrong, shown
from boda.data.readers._identities import identified
from boda.data.readers._pair_lists import Numbered, is_list, listed, stated_split
from boda.data.readers._splits import Record
from boda.data.readers._tables import LINE, several
from boda.data.readers.folders import records_of
from boda.data.tree import Tree, join, open_tree
from boda.errors import DataError, Problem
from boda.types import Dataset, Pair

MISSING = "Put it there, or take the pair out of the list."
APART = "Take the pair out, or put both people into one split."
FIRST = ("test", "val", "train")  # where someone is who is in several lists
ENDS_IN = re.compile(r"(?<![0-9])([0-9]{1,9})\.[^./]+\Z")


@dataclass(frozen=True, slots=True)
class Found:
    """A pair whose pictures are there; ``split`` is the list's."""

    file: str
    line: int
    split: str
    first: Record
    second: Record
    same: bool
    fold: int


@READERS.register("pairs")
class Pairs:
    """``pairs.txt`` or ``pairs.csv`` beside ``NAME/NAME_0001.jpg``, or beside one folder of these."""

    name: ClassVar[str] = "pairs"
    tasks: ClassVar[tuple[str, ...]] = ("match",)
    description: ClassVar[str] = "a list of pairs beside folders of identities, as LFW's"
    layout: ClassVar[str] = "DATA/pairs.txt  DATA/lfw/Kim_Hana/Kim_Hana_0001.jpg"

    def recognizes(self, tree: Tree) -> bool:
        """Whether a list of pairs is on top."""
        return bool(lists_of(tree))

    def read(self, tree: Tree) -> Dataset:
        """Pictures and pairs; what is wrong with a pair names its line."""
        lists = lists_of(tree)
        if not lists:
            raise DataError("there is no list of pairs", file=tree.root, fix=f"As {self.layout}")
        said = [stated_split(name) for name in lists]
        if len(lists) > 1 and (None in said or len(set(said)) < len(said)):
            raise several(tree, "be meant", lists)
        beside = open_tree(tree.root.parent) if tree.kind == "file" else tree
        problems = [] if beside is tree else list(beside.problems)
        here = posixpath.dirname(lists[0]) if beside is tree else ""
        beside = _with_pictures(beside, here, problems)
        finder = _Finder(beside, records_of(beside, problems, "identity"))
        pairs: list[Found] = []
        for name, split in zip(lists, said, strict=True):
            pairs += finder.pairs(tree, name, split or "test", problems)
        records = _parted(finder.records, pairs)
        dataset = identified(tree.root, self.name, records, problems)
        dataset.pairs = _within_splits(pairs, records, dataset.problems)
        if not dataset.pairs:
            raise DataError(problems=[p for p in dataset.problems if p.severity == "error"])
        return dataset


def lists_of(tree: Tree) -> list[str]:
    """The lists of pairs on top of the tree, below single wrapping folders."""
    folder = ""
    while True:
        folders, files = tree.children(folder)
        names = [join(folder, name) for name in files]
        found = [name for name in names if is_list(tree.files[name])]
        if found or len(folders) != 1:
            return found
        folder = join(folder, folders[0])


def _with_pictures(tree: Tree, here: str, problems: list[Problem]) -> Tree:
    """The tree without folders of other files beside the lists, such as scikit-learn's cache of LFW."""
    start = f"{here}/" if here else ""
    pictured: dict[str, bool] = {}
    for name in tree.files:
        top, slash, _ = name[len(start) :].partition("/")
        if slash and name.startswith(start):
            pictured[top] = pictured.get(top, False) or is_picture_name(name)
    other = [join(here, top) for top, some in pictured.items() if not some]
    problems += [
        Problem(
            "not read: the folder holds files, and no pictures",
            "Nothing has to be done, if none are meant to be.",
            tree.shown(folder),
            severity="warning",
        )
        for folder in other
    ]
    outside = tuple(f"{folder}/" for folder in other)
    files = {name: entry for name, entry in tree.files.items() if not name.startswith(outside)}
    folders = {name for name in tree.folders if not f"{name}/".startswith(outside)}
    return replace(tree, files=files, folders=folders)


def _parted(records: list[Record], pairs: Iterable[Found]) -> list[Record]:
    """Where no folder says a split: with that of the list which has their identity, or train."""
    if any(record.split != "all" for record in records):
        return records
    splits: dict[str, set[str]] = {}
    for pair in pairs:
        for record in (pair.first, pair.second):
            splits.setdefault(record.name, set()).add(pair.split)
    place = {name: next(s for s in FIRST if s in said) for name, said in splits.items()}
    return [replace(record, split=place.get(record.name, "train")) for record in records]


def _within_splits(
    pairs: list[Found], records: list[Record], problems: list[Problem]
) -> list[Pair]:
    """The pairs of one split; an error for each that is across two."""
    split = {record.entry.source: record.split for record in records}
    kept = []
    for pair in pairs:
        first, second = (split[record.entry.source] for record in (pair.first, pair.second))
        if first != second:
            why = f"one of the pair is in {first}, the other in {second}"
            problems.append(Problem(why, APART, pair.file, pair.line))
        else:
            kept.append(Pair(first, pair.first.id, pair.second.id, pair.same, pair.fold))
    return kept


class _Finder:
    """Finds the pictures that lists name.

    Attributes:
        records: all pictures in folders of identities.
    """

    def __init__(self, tree: Tree, records: list[Record]) -> None:
        self.tree, self.records = tree, records
        self.of_file = {record.entry.source: record for record in records}
        self.of_id: dict[str, list[Record]] = {}
        self.numbered: dict[Numbered, list[Record]] = {}
        for record in records:
            self.of_id.setdefault(record.id, []).append(record)
            if number := ENDS_IN.search(record.id):
                named = Numbered(record.name, int(number[1]))
                self.numbered.setdefault(named, []).append(record)
        self.people = {record.name for record in records}

    def pairs(self, tree: Tree, name: str, split: str, problems: list[Problem]) -> list[Found]:
        """The pairs of the list ``name`` of ``tree``; an error for each that is wrong."""
        entry, found = tree.files[name], []
        for row in listed(entry, problems):
            try:
                first, second = (
                    self.record(picture, posixpath.dirname(name))
                    for picture in (row.first, row.second)
                )
                if first is second:
                    raise Wrong("both are the same picture", MISSING)
                if row.same != (first.name == second.name):
                    says = "the same" if row.same else "different people"
                    both = f"{shown(first.name)} and {shown(second.name)}"
                    raise Wrong(f"says {says}; their folders are {both}", LINE)
            except Wrong as wrong:
                problems.append(wrong.at(entry.source, row.line))
                continue
            found.append(Found(entry.source, row.line, split, first, second, row.same, row.fold))
        return found

    def record(self, picture: Numbered | str, here: str) -> Record:
        """The picture by its number, or by its path from the list's folder or that of identities.

        Raises:
            Wrong: it is not there, in no identity's folder, or not the only one.
        """
        if isinstance(picture, Numbered):
            if picture.name not in self.people:
                raise Wrong(f"there is no folder of {shown(picture.name)}", MISSING)
            fitting = self.numbered.get(picture, [])
            what = f"picture {picture.number} of {shown(picture.name)}"
        else:
            what = shown(picture)
            entry = self.tree.files.get(posixpath.normpath(join(here, picture)))
            if entry is not None and entry.source not in self.of_file:
                raise Wrong(f"{what} lies in no identity's folder", MISSING)
            direct = [] if entry is None else [self.of_file[entry.source]]
            fitting = direct or self.of_id.get(picture, [])
        if len(fitting) > 1:
            both = " and ".join(record.entry.source for record in fitting[:2])
            raise Wrong(f"{what} may be {both}", "Rename one.")
        if not fitting:
            raise Wrong(f"{what} is missing", MISSING)
        return fitting[0]
