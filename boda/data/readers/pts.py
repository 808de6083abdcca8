"""``.pts`` files beside pictures: one face a file, as 300-W has them.

Sagonas et al. 2016, 300 faces in-the-wild challenge: database and results (Image and Vision
Computing 47).

The format counts pixels from 1, and a landmark on the centre of the first pixel is written (1, 1).
Here the first pixel spans 0 to 1, so 0.5 is taken from x and y. Points have no names: they are "0",
"1", … in the file's order. Every file must have as many as most of the files to learn from.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import ClassVar

import numpy as np

from boda.data.entries import Entry
from boda.data.image import IMAGE_SUFFIXES, is_picture_name
from boda.data.readers import READERS
from boda.data.readers._boxes import REMOVE, Wrong, size_of
from boda.data.readers._pictures import ROLES, find, inside, split_folder, unread
from boda.data.readers._points import SEEN, Pointed, gather_points, marked, point
from boda.data.readers._tables import decode_text
from boda.data.tree import Tree, join
from boda.errors import DataError, Problem
from boda.types import Dataset

CENTRE = 0.5  # of the pixel that the format calls 1
FOLDERS = ("pts", "points", "landmarks", "annotations", "annots", "labels")
HEADER = (
    (re.compile(r"version\s*:\s*1(\.0*)?"), "does not begin with 'version: 1'"),
    (
        re.compile(r"n_points\s*:\s*0*[1-9][0-9]{0,5}"),
        "has no 'n_points: ' with how many there are",
    ),
    (re.compile(r"\{"), "has no '{' before the points"),
)
FORM = "As: version: 1 / n_points: 68 / { / a line 'x y' a point / }"
MOST_BYTES = 1 << 24


@dataclass(frozen=True)
class Face:
    """What one file says.

    Attributes:
        points: x, y, visibility of each, in pixels with continuous edges.
        lines: of each.
        count_line: of ``n_points``.
    """

    points: list[list[float]]
    lines: list[int]
    count_line: int


@READERS.register("pts")
class Pts:
    """``1.pts`` beside ``1.jpg``, or in a folder beside that of the pictures."""

    name: ClassVar[str] = "pts"
    tasks: ClassVar[tuple[str, ...]] = ("landmarks",)
    description: ClassVar[str] = "300-W .pts files of points"
    layout: ClassVar[str] = "DATA/train/1.jpg  DATA/train/1.pts"

    def recognizes(self, tree: Tree) -> bool:
        """Whether a ``.pts`` file begins with its version; scanners write others of that name."""
        return any(_begins(tree.files[name].head(200)) for name in _files(tree))

    def read(self, tree: Tree) -> Dataset:
        """The faces; what is wrong with a file names its line."""
        if not self.recognizes(tree):
            raise DataError("there is no .pts file", file=tree.root, fix=f"As {self.layout}")
        problems: list[Problem] = []
        read: dict[str, Face] = {}
        for name in _files(tree):
            try:
                read[name] = parse(tree.files[name])
            except DataError as error:
                problems += error.problems
        splits = {name: split_at(name) if tree.kind != "file" else "all" for name in read}
        learned = [read[name] for name in read if splits[name] in ("train", "all")]
        counts = Counter(len(face.points) for face in learned or read.values())
        names = [str(index) for index in range(counts.most_common(1)[0][0] if counts else 0)]
        beside, base = _Pictures(tree), _base(tree)
        pictures: list[Pointed] = []
        listed: set[str] = set()
        first: dict[str, str] = {}  # picture → the .pts that is its own
        for name, face in read.items():
            source, split = tree.files[name].source, splits[name]
            try:
                place, picture = beside.of(name)
                listed.add(picture.source)
                if (other := first.setdefault(place, name)) != name:
                    fix = "Keep the file that is right."
                    raise Wrong(f"{tree.files[other].source} is of the same picture", fix)
                size, points = _checked(face, names, picture)
            except Wrong as wrong:
                problems.append(wrong.at(source, _line(wrong, face)))
                continue
            id = inside(place[len(base) :], split)
            pictures.append(Pointed(split, id, source, picture, size, points))
        problems += unread(tree, listed, "that have no .pts file", "Mark them, if they are meant.")
        return gather_points(tree.root, self.name, pictures, names, problems)


def _line(wrong: Wrong, face: Face) -> int | None:
    """The line of the point that is wrong, or of their number."""
    if wrong.field == "n_points":
        return face.count_line
    return face.lines[int(wrong.field)] if wrong.field else None


def _files(tree: Tree) -> list[str]:
    return [name for name in tree.files if name.lower().endswith(".pts")]


def _begins(head: bytes) -> bool:
    text = head.decode("utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8", "ignore")
    return bool(re.match(r"\ufeff?\s*version\s*:", text))


def split_at(name: str) -> str:
    """The split of the nearest folder above that is one: "helen/trainset/1.pts" → "train"."""
    for part in reversed(PurePosixPath(name).parts[:-1]):
        if split := split_folder(part) or split_folder(part.casefold().removesuffix("set")):
            return split
    return "all"


def parse(entry: Entry) -> Face:
    """The points of one file.

    Raises:
        DataError: the file cannot be read, or is not of this form; names the line.
    """
    lines = decode_text(entry, entry.read(MOST_BYTES)).removeprefix("\ufeff").split("\n")
    told = [(line, text.strip()) for line, text in enumerate(lines, start=1) if text.strip()]

    def text_at(index: int) -> str:
        return told[index][1] if index < len(told) else ""

    def refuse(index: int, why: str, fix: str = FORM) -> DataError:
        line = told[index][0] if index < len(told) else len(lines)
        return DataError(why, file=entry.source, line=line, fix=fix)

    for index, (pattern, why) in enumerate(HEADER):
        if not pattern.fullmatch(text_at(index)):
            raise refuse(index, why)
    points: list[list[float]] = []
    index = len(HEADER)
    while text_at(index) not in ("}", ""):
        try:
            points.append(_point(text_at(index)))
        except Wrong as wrong:
            raise refuse(index, wrong.why, wrong.fix) from None
        index += 1
    if text_at(index) != "}":
        raise refuse(index, "the '}' behind the points is missing: the file is cut off")
    if index + 1 < len(told):
        raise refuse(index + 1, "there is more behind the '}'", "Take it out.")
    if (count := int(text_at(1).rpartition(":")[2])) != len(points):
        why = f"n_points is {count}, but there are {len(points)}"
        raise refuse(1, why, "Correct the number, or the points.")
    return Face(points, [line for line, _ in told[len(HEADER) : index]], told[1][0])


def _point(text: str) -> list[float]:
    """x, y, visibility of one line, in pixels with continuous edges."""
    words = text.split()
    if len(words) != 2:
        raise Wrong(f"the line has {len(words)} words, not an x and a y", FORM)
    x, y, seen = point(words[0], words[1], SEEN, ("x", "y", "v"))
    return [x - CENTRE, y - CENTRE, seen]


def _base(tree: Tree) -> str:
    """The single folders that wrap everything, as an archive may have them: "300W/"."""
    folder = ""
    while True:
        folders, files = tree.children(folder)
        if files or len(folders) != 1 or split_folder(folders[0]):
            return f"{folder}/" if folder else ""
        folder = join(folder, folders[0])


class _Pictures:
    """The pictures of a tree by their names without suffix."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._found: dict[str, list[str]] = {}
        for name in tree.files:
            if is_picture_name(name):
                self._found.setdefault(posixpath.splitext(name)[0], []).append(name)
        self._roles: dict[str, list[str]] = {}  # folder → its folders of pictures
        for folder in sorted(tree.folders):
            above, _, last = folder.rpartition("/")
            if last.casefold() in ROLES:
                self._roles.setdefault(above, []).append(last)

    def of(self, name: str) -> tuple[str, Entry]:
        """The picture of a ``.pts`` file: its name in the tree, and its entry.

        Raises:
            Wrong: there is none, or there are several.
        """
        stem = PurePosixPath(name).stem
        if self.tree.kind == "file":
            return self._beside(stem)
        for folder in self._folders(posixpath.dirname(name)):
            if found := self._found.get(join(folder, stem)):
                if len(found) > 1:
                    names = " and ".join(PurePosixPath(each).name for each in found)
                    raise Wrong(f"several pictures could be meant: {names}", "Keep one of them.")
                return found[0], self.tree.files[found[0]]
        raise Wrong("its picture is missing", REMOVE)

    def _beside(self, stem: str) -> tuple[str, Entry]:
        for suffix in sorted(IMAGE_SUFFIXES):
            try:
                return find(self.tree, [""], stem + suffix, "")
            except Wrong:
                continue
        raise Wrong("its picture is missing", REMOVE)

    def _folders(self, folder: str) -> Iterator[str]:
        """The folder itself, and for landmarks/train also images/train and train."""
        yield folder
        parts = folder.split("/")
        for depth, part in enumerate(parts):
            if part.casefold() in FOLDERS:
                above, below = parts[:depth], parts[depth + 1 :]
                for role in self._roles.get("/".join(above), []):
                    yield "/".join([*above, role, *below])
                yield "/".join([*above, *below])


def _checked(face: Face, names: list[str], picture: Entry) -> tuple[tuple[int, int], np.ndarray]:
    """(H, W) of the picture, and the points as a sample has them; ``Wrong`` where they are none."""
    if len(face.points) != len(names):
        why = f"has {len(face.points)} points, most of the files have {len(names)}"
        raise Wrong(why, "Mark all of them, or take the file out.", "n_points")
    try:
        size = size_of(picture)
    except DataError as error:
        raise Wrong(f"its picture {error.problems[0].why}", error.problems[0].fix) from None
    return size, marked(face.points, size, names)
