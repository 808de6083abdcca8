"""A table of points: CSV or TSV, a picture a row, its points in columns.

The columns of a point are ``name_x, name_y`` and perhaps ``name_v``; or ``x0, y0, x1, y1, …``; or
plain numbers ``0, 1, 2, …``, of which every two are a point. Coordinates are pixels with continuous
edges and are taken as they stand. A point whose cells are empty, or whose ``_v`` is 0, is not
marked.
"""

from __future__ import annotations

import csv
import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, ClassVar

from boda.data.readers import READERS
from boda.data.readers._boxes import Wrong, shown, size_of
from boda.data.readers._pictures import find, relative, split_folder, split_in, unread
from boda.data.readers._points import (
    SEEN,
    Pointed,
    gather_points,
    marked,
    order_of,
    point,
    point_names,
)
from boda.data.readers._splits import SPLITS, split_of
from boda.data.readers._tables import (
    FOLDERS,
    LINE,
    PICTURE_COLUMNS,
    SUFFIXES,
    beginning,
    box_columns,
    decode_text,
    header_of,
    on_top,
    one_a_split,
    rows_of,
    tell_split,
)
from boda.data.tree import Entry, Tree, join
from boda.errors import DataError, Problem
from boda.types import Dataset

PICTURES = (*PICTURE_COLUMNS, "image_id", "image_name", "img_name", "picture")
NUMBERED = re.compile(r"([xyv])_?([0-9]+)", re.IGNORECASE)  # x0, y0
NAMED = re.compile(r"(.*[^_. -])[_. -]([xyv])", re.IGNORECASE)  # left_eye_x


@dataclass(frozen=True)
class Columns:
    """What the columns of a table are.

    Attributes:
        picture: the column with the picture's path.
        names: of the points, as they are spelled.
        points: the columns of x, y and visibility ("" where there is none) of each point.
    """

    picture: str
    names: list[str]
    points: list[tuple[str, str, str]]


@READERS.register("points")
class Points:
    """A picture's path and its points; one table, or one a split."""

    name: ClassVar[str] = "points"
    tasks: ClassVar[tuple[str, ...]] = ("landmarks",)
    description: ClassVar[str] = "a CSV or TSV table of points, a picture a row"
    layout: ClassVar[str] = 'points.csv with "file,left_eye_x,left_eye_y,…" / "a/1.jpg,31.5,40,…"'

    def recognizes(self, tree: Tree) -> bool:
        """Whether a table on top has the columns of points."""
        return bool(_tables(tree))

    def read(self, tree: Tree) -> Dataset:
        """The rows; what is wrong with one names its line and column."""
        tables = one_a_split(tree, _tables(tree), "points", self.layout)
        problems: list[Problem] = []
        pictures: list[Pointed] = []
        listed: set[str] = set()
        names: list[str] = []
        for name, split in sorted(tables, key=lambda pair: pair[1] != "train"):  # its order counts
            table = _Table(tree, name, split, problems)
            names = names or table.columns.names
            pictures += table.read(names)
            listed |= table.listed
        problems += unread(tree, listed, "that no row names", "Give each a row.")
        return gather_points(tree.root, self.name, pictures, names, problems)


def _tables(tree: Tree) -> list[tuple[str, str | None]]:
    """(name, split) of the tables on top of the tree that have the columns."""
    return on_top(tree, SUFFIXES, _recognized, split_in)


def _recognized(entry: Entry) -> bool:
    """Whether the table names pictures and has a point at least, also where a column is wrong."""
    try:
        header = _header(entry, beginning(entry))
    except DataError:
        return False
    if box_columns([cell.casefold() for cell in header]):
        return False  # file, x1, y1, x2, y2, class is a table of boxes
    found = _axes(header) if _picture_column(header) is not None else {}
    return any("x" in axes and "y" in axes for axes in found.values())


def _header(entry: Entry, text: str) -> list[str]:
    """The columns as they are spelled; ``header_of`` tells them in lower case."""
    if not (folded := header_of(entry, text)):
        return []
    first = next((line for line in text.splitlines() if line.strip(",;\t ")), "")
    for delimiter in ",;\t":
        spelled = [cell.strip() for cell in next(csv.reader([first], delimiter=delimiter), [])]
        if list(dict.fromkeys(cell.casefold() for cell in spelled)) == folded:
            return spelled
    return folded


def _picture_column(header: list[str]) -> str | None:
    """The column that names the picture: by its own name, or a first one that has none."""
    folded = [cell.casefold() for cell in header]
    known = next((name for name in PICTURES if name in folded), None)
    return "" if known is None and header and not header[0] else known


def _axes(header: list[str]) -> dict[str, dict[str, str]]:
    """Point → its axes ("x", "y", "v") → the column."""
    found: dict[str, dict[str, str]] = {}
    plain = [cell for cell in header if cell.isascii() and cell.isdecimal() and len(cell) < 7]
    if plain and [int(cell) for cell in plain] == list(range(len(plain))):
        for index, cell in enumerate(plain):
            found.setdefault(str(index // 2), {})["xy"[index % 2]] = cell
        return found
    for cell in header:
        if match := NUMBERED.fullmatch(cell):
            found.setdefault(match[2], {})[match[1].lower()] = cell.casefold()
        elif match := NAMED.fullmatch(cell):
            found.setdefault(match[1], {})[match[2].lower()] = cell.casefold()
    # A column "grade_v", or "y" alone, is no point; one with x and without y is a mistake.
    return {name: axes for name, axes in found.items() if "x" in axes or len(axes) > 1}


def _columns(header: list[str]) -> Columns:
    """What the columns are.

    Raises:
        Wrong: a point lacks one of its columns, or a column is there twice.
    """
    fix = "Give every point an x and a y."
    axes = _axes(header)
    picture = _picture_column(header)
    if picture is None or not axes:
        raise Wrong("has not the columns of points", f"As {Points.layout}")
    for name, columns in axes.items():
        if missing := {"x", "y"} - columns.keys():
            raise Wrong(f"the point '{name}' has no {missing.pop()}", fix, next(iter(columns)))
    points = [(columns["x"], columns["y"], columns.get("v", "")) for columns in axes.values()]
    used = [cell.casefold() for cell in header]
    for column in (picture, *(cell for three in points for cell in three if cell)):
        if used.count(column) > 1:
            raise Wrong(f"the column '{column}' is there twice", "Take one out.", column)
    return Columns(picture, point_names(axes, "header"), points)


class _Table:
    """One table while it is read.

    Attributes:
        columns: what its columns are.
        listed: sources of the pictures that are named.
    """

    def __init__(self, tree: Tree, name: str, split: str, problems: list[Problem]) -> None:
        self.tree, self.name, self.split, self.problems = tree, name, split, problems
        self.entry = tree.files[name]
        self.listed: set[str] = set()
        self._text = decode_text(self.entry, self.entry.read())
        try:
            self.columns = _columns(_header(self.entry, self._text))
        except Wrong as wrong:
            raise DataError(problems=[wrong.at(self.entry.source, 1)]) from None
        self._found: dict[str, Pointed] = {}  # by the picture's name in the tree
        self._wanted: dict[str, list[str]] = {}  # by split: where its pictures may lie
        self._gone: set[str] = set()  # pictures that two rows contradict each other about

    def read(self, names: list[str]) -> list[Pointed]:
        """The pictures in the order they come, their points in the order of ``names``."""
        try:
            order = order_of(self.columns.names, names)
        except Wrong as wrong:
            raise DataError(problems=[wrong.at(self.entry.source, 1)]) from None
        rows = [(line, cells) for line, cells in rows_of(self.entry, self._text) if line]
        uses_split = tell_split(rows)
        for line, cells in rows:
            try:
                if isinstance(cells, str):
                    raise Wrong(cells, LINE)
                self._row(line, cells, order, uses_split)
            except Wrong as wrong:
                self.problems.append(wrong.at(self.entry.source, line))
        return [found for place, found in self._found.items() if place not in self._gone]

    def _row(self, line: int, cells: dict[str, Any], order: list[int], uses_split: bool) -> None:
        path = relative(cells[self.columns.picture], self.columns.picture)
        split = split_of(str(cells["split"])) if uses_split else self.split
        if split is None:
            fix = "Write train, val or test."
            raise Wrong(f"{shown(cells['split'])} is no split", fix, "split")
        if split not in self._wanted:
            self._wanted[split] = list(self._folders(split))
        place, entry = find(self.tree, self._wanted[split], path, self.columns.picture)
        self.listed.add(entry.source)
        try:
            size = size_of(entry)
        except DataError as error:
            first = error.problems[0]
            raise Wrong(first.why, first.fix, self.columns.picture) from None
        points = [_point(cells, columns) for columns in self.columns.points]
        columns = [self.columns.names[i] for i in order]
        there = marked([points[i] for i in order], size, columns)
        source = f"{self.entry.source}:{line}"
        self._enter(place, Pointed(split, path, source, entry, size, there))

    def _enter(self, place: str, picture: Pointed) -> None:
        before = self._found.setdefault(place, picture)
        if before is picture:
            return
        where = f"line {before.source.rpartition(':')[2]}"
        if (before.points == picture.points).all() and before.split == picture.split:
            why = f"left out: the picture has the same points in {where}"
            fix = "Take one of the rows out."
            at = int(picture.source.rpartition(":")[2])
            file = self.entry.source
            self.problems.append(Problem(why, fix, file, at, severity="warning"))
            return
        self._gone.add(place)
        why = f"the picture has other points, or another split, in {where}; both are left out"
        raise Wrong(why, "Keep the row that is right.", self.columns.picture)

    def _folders(self, split: str) -> Iterable[str]:
        """Where pictures may lie: beside the table, in a folder of pictures, in the split's."""
        here = posixpath.dirname(self.name)
        if self.tree.kind == "file":  # what lies beside it is not in the tree
            said = split if split != "all" else split_in(PurePosixPath(self.name).stem)
            own = [spelled for spelled, means in SPLITS.items() if means == said]
            return (*FOLDERS, *own, *(f"images/{name}" for name in own), "../images", "..")
        own = [name for name in self.tree.children(here)[0] if split_folder(name) == split]
        below = [f"{name}/images" for name in own] + [f"images/{name}" for name in (split, *own)]
        return [join(here, name) if name else here for name in (*FOLDERS, *own, *below)]


def _point(cells: dict[str, Any], columns: tuple[str, str, str]) -> list[float]:
    x, y, seen = (str(cells[column]).strip() if column else None for column in columns)
    if not x and not y and seen in (None, "", "0"):
        return [0.0, 0.0, 0.0]
    return point(x, y, seen or SEEN, columns)
