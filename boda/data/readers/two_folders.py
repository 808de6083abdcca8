"""Two folders of pictures, A and B: pairs where their names agree, else two domains without pairs.

The folders are ``A`` and ``B`` or have other names, of which the first by code point is A. Splits are
``trainA``, ``trainB``, ``testA``, ``testB``, as CycleGAN's data has them, ``train/A`` or ``A/train``.
Names agree where at least half of the pictures to learn from have a partner of the same name, whatever
its suffix; then those without one are errors. In val and test of two domains, pictures of one name
are taken to be each other's truth: they are measured by, and never learned from.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import ClassVar

from boda.data.entries import Entry
from boda.data.image import PictureReader, is_picture_name
from boda.data.readers import READERS
from boda.data.readers._boxes import size_of
from boda.data.readers._splits import ORDER, nfc, split_of
from boda.data.readers.folders import NOT_CLASSES
from boda.data.readers.pictures import spoken_of
from boda.data.tree import Tree
from boda.errors import DataError, Problem
from boda.types import Dataset, Sample

LETTERED = re.compile(r"(?P<split>[a-z]+?)[ _-]?(?P<domain>[ab])", re.IGNORECASE)  # trainA
TWO = 2
ENOUGH = 0.5  # of the pictures, whose partners make them pairs


@dataclass
class Domains:
    """What lies in the two folders.

    Attributes:
        names: of A and B.
        splits: split → the pictures of A and of B, by the name they share with their partner.
        doubled: pictures whose name another one of their folder has too, but for its suffix.
    """

    names: tuple[str, str]
    splits: dict[str, tuple[dict[str, Entry], dict[str, Entry]]]
    doubled: list[tuple[Entry, Entry]] = field(default_factory=list)

    def agree(self, split: str) -> bool:
        """Whether the names of a split do."""
        one, other = self.splits[split]
        return len(one.keys() & other.keys()) >= ENOUGH * max(len(one), len(other))


@READERS.register("two-folders")
class TwoFolders:
    """``A/1.jpg`` with ``B/1.jpg``, or ``trainA/1.jpg`` and ``trainB/2.jpg``."""

    name: ClassVar[str] = "two-folders"
    tasks: ClassVar[tuple[str, ...]] = ("translate",)
    description: ClassVar[str] = (
        "two folders of pictures, with or without partners of the same name"
    )
    layout: ClassVar[str] = "DATA/trainA/1.jpg  DATA/trainB/1.jpg\nDATA/A/1.jpg  DATA/B/1.jpg"

    def recognizes(self, tree: Tree) -> bool:
        """Whether all pictures lie right in two folders, below those of splits or not, and no more."""
        return tree.kind != "file" and not spoken_of(tree) and _domains(tree) is not None

    def read(self, tree: Tree) -> Dataset:
        """Pairs, or pictures with the number of their domain."""
        found = _domains(tree)
        if found is None:
            why = "there are not two folders with pictures"
            raise DataError(why, file=tree.root, fix=f"As {self.layout}")
        problems = [_doubled(*both) for both in found.doubled]
        learned = "train" if "train" in found.splits else next(iter(found.splits))
        if found.agree(learned):
            splits = {split: _pairs(found, split, problems) for split in found.splits}
            classes: list[str] = []
        else:
            splits = {split: _unpaired(found, split, split != learned) for split in found.splits}
            classes = list(found.names)
        ordered = {split: splits[split] for split in ORDER if splits.get(split)}
        if not ordered:
            raise DataError(problems=[p for p in problems if p.severity == "error"])
        return Dataset(tree.root, self.name, "translate", classes, dict(ordered), problems)


def _domains(tree: Tree) -> Domains | None:
    """The two folders; None where it is not two."""
    pictures = {name: entry for name, entry in tree.files.items() if is_picture_name(name)}
    placed: dict[str, tuple[str, str, str]] = {}
    above = _common(pictures)
    for name in pictures:
        place = _place(name.split("/")[above:])
        if place is None:
            return None
        placed[name] = place
    names = sorted({domain for _, domain, _ in placed.values()})
    if len(names) != TWO or all(name.casefold() in NOT_CLASSES for name in names):
        return None
    found = Domains((names[0], names[1]), {})
    for name, (split, domain, key) in placed.items():
        both = found.splits.setdefault(split, ({}, {}))
        here = both[names.index(domain)]
        if key in here:
            found.doubled.append((here[key], pictures[name]))
        here.setdefault(key, pictures[name])
    if not all(one and other for one, other in found.splits.values()):
        return None
    return found


def _common(names: dict[str, Entry]) -> int:
    """How many folders all pictures lie in, one in the other, above those that mean something."""
    parts = [name.split("/")[:-1] for name in names]
    depth = 0
    while parts and all(len(part) > depth + 1 for part in parts):
        tops = {part[depth] for part in parts}
        if len(tops) > 1 or split_of(next(iter(tops))) is not None:
            break
        depth += 1
    return depth


def _place(parts: list[str]) -> tuple[str, str, str] | None:
    """Split, domain and the name within it, of the parts of a picture's path."""
    *folders, last = parts
    if not folders:
        return None
    split, rest = "all", folders[1:]
    domain = folders[0]
    lettered = LETTERED.fullmatch(domain)
    if lettered is not None and (told := split_of(lettered["split"])) is not None:
        split, domain = told, lettered["domain"].upper()
    elif (told := split_of(domain)) is not None:
        if not rest:
            return None
        split, domain, rest = told, rest[0], rest[1:]
    elif rest and (told := split_of(rest[0])) is not None:
        split, rest = told, rest[1:]
    # Folders in folders mean something else, such as the characters of an alphabet.
    return None if rest else (split, nfc(domain), nfc(PurePosixPath(last).stem))


def _pairs(found: Domains, split: str, problems: list[Problem]) -> list[Sample]:
    """The pairs of a split; what has no partner of its size is an error by its file."""
    one, other = found.splits[split]
    samples = []
    for mine, theirs, where in ((one, other, found.names[1]), (other, one, found.names[0])):
        for key in mine.keys() - theirs.keys():
            why = f"has no partner of this name in {where}"
            problems.append(Problem(why, "Put it there, or take this away.", mine[key].source))
    for key, entry in one.items():
        if key not in other:
            continue
        try:
            size, theirs_size = size_of(entry), size_of(other[key])
        except DataError as error:
            problems += error.problems
            continue
        if size != theirs_size:
            (h, w), (height, width) = size, theirs_size
            why = f"is {width}×{height}, its partner {entry.source} is {w}×{h}"
            problems.append(Problem(why, "Bring both to one size.", other[key].source))
            continue
        target = PictureReader(other[key])
        samples.append(
            Sample(key, entry.source, PictureReader(entry), size=size, read_target=target)
        )
    return samples


def _unpaired(found: Domains, split: str, measured: bool) -> list[Sample]:
    """The pictures of both domains; with their truth where names agree, of a split to measure by."""
    truths = measured and found.agree(split)
    samples = []
    one, other = found.splits[split]
    for label, (mine, theirs) in enumerate(((one, other), (other, one))):
        for key, entry in mine.items():
            aim = theirs.get(key) if truths else None
            target = None if aim is None else PictureReader(aim)
            name = f"{found.names[label]}/{key}"
            samples.append(
                Sample(name, entry.source, PictureReader(entry), label, read_target=target)
            )
    return samples


def _doubled(first: Entry, second: Entry) -> Problem:
    why = f"has the name of {first.source}, but for the suffix"
    return Problem(why, "Rename one of them, or take it away.", second.source)
