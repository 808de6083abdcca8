"""A table of boxes: CSV or TSV, a row a box; a row with empty cells is a picture without objects.

Columns x1, y1, x2, y2 are continuous edges in pixels. Columns xmin, ymin, xmax, ymax are taken from
Pascal VOC's XML, as the usual converters do, and count pixels as it does (``_voc_numbers``). The
other columns may have any of the names that are in use; width, height and split may be left away.
"""

from __future__ import annotations

import posixpath
import re
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
from boda.data.readers._tables import (
    CLASS_COLUMNS,
    EDGES,
    FOLDERS,
    LINE,
    PICTURE_COLUMNS,
    SUFFIXES,
    beginning,
    box_columns,
    column_of,
    decode_text,
    header_of,
    on_top,
    one_a_split,
    rows_of,
    tell_split,
)
from boda.data.readers._voc_numbers import Raw, Written, convention, convert
from boda.data.tree import Entry, Tree, join
from boda.errors import DataError, Problem
from boda.types import Dataset


@READERS.register("boxes")
class Boxes:
    """Columns file, x1, y1, x2, y2, class; one table, or one a split."""

    name: ClassVar[str] = "boxes"
    tasks: ClassVar[tuple[str, ...]] = ("detect", "localize")
    description: ClassVar[str] = "a CSV or TSV table of boxes"
    layout: ClassVar[str] = 'boxes.csv with "file,x1,y1,x2,y2,class" / "a/1.jpg,10,20,50,80,고양이"'

    def recognizes(self, tree: Tree) -> bool:
        """Whether a table on top has the columns of boxes."""
        return bool(_tables(tree))

    def read(self, tree: Tree) -> Dataset:
        """The rows; what is wrong with one names its line and column."""
        tables = one_a_split(tree, _tables(tree), "boxes", self.layout)
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


def _tables(tree: Tree) -> list[tuple[str, str | None]]:
    """(name, split) of the tables on top of the tree that have the columns."""
    return on_top(tree, SUFFIXES, _recognized, split_in)


def _recognized(entry: Entry) -> bool:
    try:
        return bool(box_columns(header_of(entry, beginning(entry))))
    except DataError:
        return False


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
        rows = list(rows_of(self.entry, text))
        unread: list[int] = []
        self.uses_split = tell_split(rows)
        for line, cells in rows:
            if line == 0 and isinstance(cells, dict):
                self.columns = box_columns(list(cells))
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
            named = str(cells[str(column_of(cells, CLASS_COLUMNS))]).strip()
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
        column = str(column_of(cells, PICTURE_COLUMNS))
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
