"""Omniglot as its authors publish it: archives of alphabets, whose characters are the identities.

Lake, Salakhutdinov and Tenenbaum 2015, Human-level concept learning through probabilistic program
induction (Science 350). An identity is "Greek/character01"; its alphabet is the group in which
characters are told apart within (``boda.data.identities.group_of``). Several sets in one folder are
one: of drawings of a character that are equal in every pixel, in two sets, the first stays.
"""

from __future__ import annotations

import hashlib
import posixpath
from collections import Counter
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from boda.data.image import PictureReader, is_picture_name
from boda.data.readers import READERS
from boda.data.readers._identities import CHARACTER, has_characters, identified, left_over
from boda.data.readers._splits import Record, split_of
from boda.data.tree import Tree
from boda.errors import DataError, Problem
from boda.types import Dataset

EVALUATION = "images_evaluation"  # the set the authors test on, what is beside it being train
STRAY = "Put them into Alphabet/characterNN; Omniglot's fixed runs are read when named themselves."


@dataclass(frozen=True, slots=True)
class Drawing:
    """A record, and the set in which it was found: the folder above the alphabets."""

    above: str
    record: Record


@READERS.register("omniglot")
class Omniglot:
    """``images_background_small1.zip`` and others beside it; or one of them, or unpacked."""

    name: ClassVar[str] = "omniglot"
    tasks: ClassVar[tuple[str, ...]] = ("match",)
    description: ClassVar[str] = "Omniglot: alphabets of characters of drawings"
    layout: ClassVar[str] = "DATA/images_background/Greek/character01/0394_01.png"

    def recognizes(self, tree: Tree) -> bool:
        """Whether pictures lie in folders like ``Greek/character01``."""
        return tree.kind != "file" and has_characters(tree)

    def read(self, tree: Tree) -> Dataset:
        """All sets as one; what is in two is said."""
        if not self.recognizes(tree):
            why = "there are no drawings in folders like Greek/character01"
            raise DataError(why, file=tree.root, fix=f"As {self.layout}")
        drawings = _drawings(tree)
        used = {drawing.record.entry.source for drawing in drawings}
        problems = left_over(tree, used, "lie in no character's folder", STRAY)
        problems += _empty(tree, drawings)
        records = _merged(tree, drawings, problems)
        return identified(tree.root, self.name, records, problems)


def _drawings(tree: Tree) -> list[Drawing]:
    """The drawings, set after set; each with the split that a folder above, or its set, says."""
    found: list[Drawing] = []
    for name, entry in tree.files.items():
        place = CHARACTER.fullmatch(posixpath.dirname(name))
        if place is None or not is_picture_name(name):
            continue
        identity = f"{place['alphabet']}/{place['character']}"
        inside = f"{identity}/{posixpath.basename(name)}"
        above = place["above"] or ""
        split = next((s for part in above.split("/") if (s := split_of(part))), "all")
        found.append(Drawing(above, Record(split, inside, entry.source, identity, entry)))
    tested = [posixpath.basename(drawing.above) == EVALUATION for drawing in found]
    if all(tested) or not any(tested) or any(drawing.record.split != "all" for drawing in found):
        return found
    return [
        replace(drawing, record=replace(drawing.record, split="test" if own else "train"))
        for drawing, own in zip(found, tested, strict=True)
    ]


def _merged(tree: Tree, drawings: list[Drawing], problems: list[Problem]) -> list[Record]:
    """The records; of drawings equal in another set of the same split the first only, which is said."""
    sets: dict[tuple[str, str], set[str]] = {}
    for drawing in drawings:
        sets.setdefault((drawing.record.split, drawing.record.name), set()).add(drawing.above)
    first: dict[tuple[str, str, str], str] = {}  # split, identity and pixels → the set
    again: Counter[tuple[str, str]] = Counter()
    taken: set[tuple[str, str]] = set()
    kept: list[Record] = []
    for drawing in drawings:
        record = drawing.record
        if len(sets[record.split, record.name]) > 1:
            owner = first.setdefault((record.split, record.name, _pixels(record)), drawing.above)
            if owner != drawing.above:
                again[owner, drawing.above] += 1
                continue
        if (record.split, record.id) in taken:  # another drawing of that name in another set
            record = replace(record, id=f"{drawing.above}/{record.id}")
        taken.add((record.split, record.id))
        kept.append(record)
    problems += [
        Problem(
            f"{count:,} drawings are those of {tree.shown(owner)}, equal in every pixel: "
            "the sets are read as one, with each of these once",
            "Nothing has to be done; the drawings may be taken out of one set.",
            tree.shown(other),
            severity="warning",
        )
        for (owner, other), count in again.items()
    ]
    return kept


def _pixels(record: Record) -> str:
    """Equal for equal drawings; what cannot be decoded is equal to nothing, and the check names it."""
    try:
        picture = PictureReader(record.entry)()
    except DataError:
        return record.source
    shape = f"{picture.shape}".encode()
    return hashlib.blake2b(shape + np.ascontiguousarray(picture).tobytes()).hexdigest()


def _empty(tree: Tree, drawings: list[Drawing]) -> list[Problem]:
    """A warning for each folder of a character without a drawing, in sets that have any."""
    full = {(drawing.above, drawing.record.name) for drawing in drawings}
    sets = {above for above, _ in full}
    problems = []
    for folder in sorted(tree.folders):
        place = CHARACTER.fullmatch(folder)
        if place is None or (above := place["above"] or "") not in sets:
            continue
        if (above, f"{place['alphabet']}/{place['character']}") not in full:
            why, fix = "the character's folder holds no drawings", "Get the archive again."
            problems.append(Problem(why, fix, tree.shown(folder), severity="warning"))
    return problems
