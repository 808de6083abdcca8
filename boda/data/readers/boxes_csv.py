"""A table of boxes: CSV or TSV, a row a box; a row with empty cells is a picture without objects.

Columns x1, y1, x2, y2 are continuous edges in pixels. Columns xmin, ymin, xmax, ymax are taken from
Pascal VOC's XML, as the usual converters do, and count pixels as it does (``_voc_numbers``). The
other columns may have any of the names that are in use; width, height and split may be left away.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import PurePosixPath
from typing import Any, ClassVar

from boda.data.readers import READERS
from boda.data.readers._boxes import (
    Marked,
    Wrong,
    class_name,
    classes_of,
    gather,
    number,
    shown,
    size_of,
)
from boda.data.readers._pictures import find, relative, split_in, unread
from boda.data.readers._splits import nfc, split_of
from boda.data.readers._voc_numbers import Raw, Written, convention, convert
from boda.data.readers.manifest import _column, _rows
from boda.data.readers.manifest import _decode as decode_text
from boda.data.tree import Entry, Tree, join
from boda.errors import DataError, Problem
from boda.types import Dataset

FILES = ("file", "filename", "file_name", "image", "path", "filepath", "image_path", "img")
CLASSES = ("class", "label", "class_name", "name", "category")
EDGES = ("x1", "y1", "x2", "y2")
VOC_EDGES = ("xmin", "ymin", "xmax", "ymax")
SUFFIXES = (".csv", ".tsv")
FOLDERS = ("", "images", "Images", "JPEGImages", "imgs")
HEAD = 1 << 14
LINE = "Correct the row."


@READERS.register("boxes")
class Boxes:
    """Columns file, x1, y1, x2, y2, class; one table, or one a split."""

    name: ClassVar[str] = "boxes"
    tasks: ClassVar[tuple[str, ...]] = ("detect",)
    description: ClassVar[str] = "a CSV or TSV table of boxes"
    layout: ClassVar[str] = 'boxes.csv with "file,x1,y1,x2,y2,class" / "a/1.jpg,10,20,50,80,고양이"'

    def recognizes(self, tree: Tree) -> bool:
        """Whether a table on top has the columns of boxes."""
        return bool(_tables(tree))

    def read(self, tree: Tree) -> Dataset:
        """The rows; what is wrong with one names its line and column."""
        tables = _tables(tree)
        if not tables:
            raise DataError("there is no table of boxes", file=tree.root, fix=f"As {self.layout}")
        if len(tables) > 1 and len({split for _, split in tables}) < len(tables):
            names = ", ".join(name for name, _ in tables)
            raise DataError(
                f"several tables could be meant: {names}",
                file=tree.root,
                fix="Name the file itself, or call them train, val and test.",
            )
        problems: list[Problem] = []
        edges: list[Raw] = []
        counted: list[Raw] = []
        for name, split in tables:
            raws, columns = _Table(tree, name, split, problems).read()
            (edges if columns == EDGES else counted).extend(raws)
        convert(edges, 0, 0, problems)
        convert(counted, *convention(tree, counted, problems), problems)
        pictures = [raw.picture for raw in edges + counted]
        listed = {raw.picture.entry.source for raw in edges + counted}
        fix = "Give each a row; one without objects has empty cells."
        problems += unread(tree, listed, "that no row names", fix)
        return gather(tree.root, self.name, pictures, classes_of(pictures), problems)


def _tables(tree: Tree) -> list[tuple[str, str]]:
    """(name, split) of the tables on top (below single wrapping folders) with the columns."""
    folder = ""
    while True:
        folders, files = tree.children(folder)
        names = [name for name in files if name.lower().endswith(SUFFIXES)]
        if names or len(folders) != 1:
            break
        folder = join(folder, folders[0])
    found = [join(folder, n) for n in names if _edge_columns(_header(tree.files[join(folder, n)]))]
    splits = {name: split_in(PurePosixPath(name).stem) for name in found}
    named = [(name, split) for name, split in splits.items() if split]
    if tree.kind == "file" or not named:
        return [(name, "all") for name in found]
    # "labels.csv" beside train_labels.csv and test_labels.csv is all of them once more.
    return named if len(named) > 1 else [(name, splits[name] or "all") for name in found]


def _header(entry: Entry) -> list[str]:
    try:
        head = entry.head(HEAD)
        # Cut at a line's end: half a letter of Korean could not be decoded.
        text = decode_text(entry, head[: head.rfind(b"\n") + 1] if len(head) == HEAD else head)
        _, cells = next(_rows(entry, text), (0, ""))
    except DataError:
        return []
    return list(cells) if isinstance(cells, dict) else []


def _edge_columns(header: list[str]) -> tuple[str, ...]:
    """The four columns of the box, where the table has them and a file's and a class's."""
    if _column(header, FILES) is None or _column(header, CLASSES) is None:
        return ()
    return next((four for four in (EDGES, VOC_EDGES) if set(four) <= set(header)), ())


class _Table:
    """One table while it is read."""

    def __init__(self, tree: Tree, name: str, split: str, problems: list[Problem]) -> None:
        self.tree, self.name, self.split, self.problems = tree, name, split, problems
        self.entry = tree.files[name]
        self.raws: dict[str, Raw] = {}
        self.uses_split = False
        self.columns: tuple[str, ...] = ()
        self.gone: set[str] = set()  # pictures that have been named as missing or damaged

    def read(self) -> tuple[list[Raw], tuple[str, ...]]:
        """The pictures in the order they come, and the columns of the box."""
        text = decode_text(self.entry, self.entry.read())
        rows = list(_rows(self.entry, text))
        unread: list[int] = []
        self.uses_split = any(
            isinstance(cells, dict) and cells.get("split") for line, cells in rows if line
        )
        for line, cells in rows:
            if line == 0 and isinstance(cells, dict):
                self.columns = _edge_columns(list(cells))
                if len(set(cells)) == 0 or not self.columns:
                    self.entry.fail("has not the columns of boxes", f"As {Boxes.layout}")
                continue
            try:
                if isinstance(cells, str):
                    unread.append(line)
                    raise Wrong(cells, LINE)
                self._row(line, cells)
            except Wrong as wrong:
                self.problems.append(wrong.at(self.entry.source, line))
        # A row that could not be read was a box of a picture, which now lacks it.
        lines = text.split("\n") if unread else []
        for line in unread:
            for cell in re.split("[,;\t]", lines[line - 1] if line <= len(lines) else ""):
                path = posixpath.normpath(nfc(cell.strip().strip('"').replace("\\", "/")))
                if path in self.raws:
                    self.raws[path].picture.broken = True
        return list(self.raws.values()), self.columns

    def _row(self, line: int, cells: dict[str, Any]) -> None:
        raw = self._picture(line, cells)
        if raw is None:
            return
        try:
            texts = [str(cells[column]).strip() for column in self.columns]
            named = str(cells[str(_column(cells, CLASSES))]).strip()
            if not any(texts) and not named:
                return  # a picture without objects
            name = class_name(named, "class")
            numbers = [
                number(text, column) for text, column in zip(texts, self.columns, strict=True)
            ]
            raw.objects.append(Written(name, tuple(numbers), line))
        except Wrong:
            raw.picture.broken = True
            raise

    def _picture(self, line: int, cells: dict[str, Any]) -> Raw | None:
        """The picture of a row, entered when it is first met; None where it has been named as bad."""
        column = str(_column(cells, FILES))
        path = relative(cells[column], column)
        if path in self.gone:
            return None
        split = self.split
        if self.uses_split:
            split = split_of(str(cells["split"])) or ""
            if not split:
                raise Wrong(
                    f"{shown(cells['split'])} is no split", "Write train, val or test.", "split"
                )
        if (raw := self.raws.get(path)) is not None:
            if raw.picture.split != split:
                raw.picture.broken = True
                raise Wrong(f"the picture is in {raw.picture.split} above", LINE, "split")
            return raw
        try:
            here = posixpath.dirname(self.name)
            wanted = [join(here, f) for f in (*FOLDERS, split, f"images/{split}")]
            if self.tree.kind == "file":  # splits/train.csv beside images/
                wanted += ["../images", ".."]
            _, entry = find(self.tree, wanted, path, column)
            size = _size(cells, entry)
        except Wrong:
            self.gone.add(path)
            raise
        source = f"{self.entry.source}:{line}"
        self.raws[path] = Raw(Marked(split, path, source, entry, size), self.entry.source)
        return self.raws[path]


def _size(cells: dict[str, Any], entry: Entry) -> tuple[int, int]:
    """(H, W) as the row says, or the picture's header."""
    height, width = str(cells.get("height") or ""), str(cells.get("width") or "")
    if not height.strip() or not width.strip():
        try:
            return size_of(entry)
        except DataError as error:
            raise Wrong(error.problems[0].why, error.problems[0].fix) from None
    values = [number(text.strip(), name) for text, name in ((height, "height"), (width, "width"))]
    if not all(0 < value < 1 << 24 and value == int(value) for value in values):
        raise Wrong(f"the size is {width[:20]} × {height[:20]}", "Give pixels.", "width")
    return int(values[0]), int(values[1])
