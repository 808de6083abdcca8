"""YOLO: a .txt a picture, a line a box: class, centre x, centre y, width, height, in shares.

Redmon et al. 2016, You only look once (arXiv 1506.02640), as its program darknet reads labels; the
``data.yaml`` and the lines of polygons (class, x, y, x, y, …) are Ultralytics'. Of a polygon the
box is the hull. Shares are of the picture as it is shown, its EXIF orientation considered.

Ids of ``names`` that are not 0, 1, 2 … (COCO's, from 1 to 90) are numbered anew in their order.
"""

from __future__ import annotations

import dataclasses
import posixpath
from pathlib import PurePosixPath
from typing import ClassVar

import numpy as np

from boda.data.readers import READERS
from boda.data.readers._boxes import Marked, Wrong, gather, number, shown, size_of
from boda.data.readers._pictures import inside
from boda.data.readers._shapes import bounded
from boda.data.readers._tables import decode_text
from boda.data.readers._yolo_layout import Folders, find_layout
from boda.data.readers._yolo_layout import recognizes as recognizes_layout
from boda.data.readers._yolo_names import Names
from boda.data.tree import Entry, Tree
from boda.errors import DataError, Problem
from boda.types import Dataset

FIX = "Write: class, centre x, centre y, width, height, as shares of the picture (0 to 1)."
LOST = "Put them there: labels/ beside images/, with the same names."
MOST_BYTES = 64 << 20  # of one .txt


@READERS.register("yolo")
class Yolo:
    """``images/train/1.jpg`` with ``labels/train/1.txt``, or both in one folder; ``data.yaml``."""

    name: ClassVar[str] = "yolo"
    tasks: ClassVar[tuple[str, ...]] = ("detect", "localize", "instances", "segment")
    description: ClassVar[str] = "YOLO txt: a file a picture, a line a box"
    layout: ClassVar[str] = "DATA/data.yaml  DATA/images/train/1.jpg  DATA/labels/train/1.txt"

    def recognizes(self, tree: Tree) -> bool:
        """Whether there are files of five numbers a line beside pictures, or a YAML of names."""
        return recognizes_layout(tree)

    def read(self, tree: Tree) -> Dataset:
        """The pictures of all splits; what is wrong with a line names it."""
        layout = find_layout(tree)
        problems = layout.problems
        pictures: list[Marked] = []
        read: dict[str, int] = {}  # ids that were met → how many boxes
        for folders in layout.folders:
            pictures += _split(layout.tree, folders, layout.names, problems, read)
        if layout.names is None:
            highest = max((int(name) for name in read), default=-1)
            classes = [str(number) for number in range(min(highest, 9999) + 1)]
        else:
            classes = list(layout.names.by_id.values())
        problems += _one_based(tree, layout.names, read)
        return gather(tree.root, self.name, pictures, classes, problems)


def _split(
    tree: Tree, folders: Folders, names: Names | None, problems: list[Problem], read: dict[str, int]
) -> list[Marked]:
    """The pictures of one split."""
    pictures: list[Marked] = []
    used: set[str] = set()
    for name in folders.pictures:
        entry = tree.files[name]
        below = posixpath.relpath(name, folders.images) if folders.images else name
        label = posixpath.join(folders.labels, str(PurePosixPath(below).with_suffix(".txt")))
        if label in used:
            wrong = Wrong("two pictures have this name but for the suffix", "Rename one of them.")
            problems.append(dataclasses.replace(wrong.at(entry.source), severity="warning"))
        used.add(label)
        try:
            size = size_of(entry)
        except DataError as error:
            problems += error.problems
            continue
        written = tree.files.get(label)
        source = written.source if written else entry.source
        picture = Marked(folders.split, inside(name, folders.split), source, entry, size)
        if written is not None:
            _lines(written, picture, names, problems, read)
        pictures.append(picture)
    if pictures and not any(label in tree.files for label in used):
        # Not negative examples: then the labels lie elsewhere, or nobody has made any.
        wrong = Wrong(f"no picture of {folders.split} has a label file here", LOST)
        problems.append(wrong.at(tree.shown(folders.labels)))
        return []
    for label in folders.texts:
        if label not in used:
            wrong = Wrong("there is no picture of this name", "Put it there, or take this away.")
            problems.append(wrong.at(tree.files[label].source))
    return pictures


def _lines(
    entry: Entry,
    picture: Marked,
    names: Names | None,
    problems: list[Problem],
    read: dict[str, int],
) -> None:
    try:
        text = decode_text(entry, entry.read(MOST_BYTES))
    except DataError as error:
        problems += error.problems
        picture.broken = True
        return
    for line, content in enumerate(text.split("\n"), start=1):
        cells = content.split()
        if not cells:
            continue
        try:
            key = _class_id(cells[0])
            read[str(key)] = read.get(str(key), 0) + 1
            box, outline = _shape(cells, picture.size)
            picture.add(_name(key, names), box, outline=outline)
        except Wrong as wrong:
            picture.broken = True
            problems.append(wrong.at(entry.source, line))


def _class_id(cell: str) -> int:
    if not (cell.isascii() and cell.isdecimal()) or len(cell) > 9:
        raise Wrong(f"the class {shown(cell)} is no whole number from 0 on", FIX, "class")
    return int(cell)


def _name(key: int, names: Names | None) -> str:
    if names is None:
        if key > 9999:
            raise Wrong(f"the class {key} is too large without names", "Add a data.yaml.", "class")
        return str(key)
    if key not in names.by_id:
        why = f"the class {key} is not among the {len(names.by_id)} names of {names.source}"
        raise Wrong(why, "Correct the id, which counts from 0, or add the name.", "class")
    return names.by_id[key]


def _shape(cells: list[str], size: tuple[int, int]) -> tuple[list[float], list[np.ndarray] | None]:
    """The box of a line, xyxy in pixels, and its polygon where it is one."""
    height, width = size
    count = len(cells)
    if count < 5 or count % 2 == 0:
        hint = "; the sixth seems to be a score" if count == 6 else ""
        raise Wrong(f"the line has {count} columns, not 5{hint}", FIX)
    shares = [number(cell, "xywh" if count == 5 else "polygon") for cell in cells[1:]]
    if max(shares) > 2:
        why = f"{max(shares):g} is no share of the picture: these seem to be pixels"
        raise Wrong(why, FIX)
    if count > 5:
        points = np.array(shares, np.float64).reshape(-1, 2) * (width, height)
        bounded(points, size, "polygon")
        box = [*points.min(0).tolist(), *points.max(0).tolist()]
        return box, [points]
    x, y, w, h = shares
    if w <= 0 or h <= 0:
        raise Wrong(f"the box is {w:g} wide and {h:g} high", FIX)
    edges = ((x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height)
    return list(edges), None


def _one_based(tree: Tree, names: Names | None, read: dict[str, int]) -> list[Problem]:
    """Where no box has class 0, but one has a class behind the last, ids were counted from 1."""
    ids = {int(key) for key in read}
    if not ids or 0 in ids or (names is not None and 0 not in names.by_id):
        return []
    root = str(tree.root)
    if names is None:
        why = f"no box has the class 0; the ids are {min(ids)} to {max(ids)}: from 1 on?"
        fix = "YOLO's ids count from 0: subtract 1, or add a data.yaml with the names."
        return [Problem(why, fix, root, field="class", severity="warning")]
    if max(ids) != len(names.by_id):
        return []
    why = f"the ids are 1-based: {min(ids)} to {max(ids)} for {len(names.by_id)} names"
    return [Problem(why, "Subtract 1 from every id: they count from 0.", root, field="class")]
