"""A table that names pictures and their classes: CSV, TSV or JSONL, a picture a row.

A row that is wrong becomes a ``Problem`` with its line and column; the others are read. Where a
class is a number, classes are in the order of the numbers, else of their names.
"""

from __future__ import annotations

import posixpath
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, ClassVar

from boda.data.readers import READERS
from boda.data.readers._splits import Record, assemble, by_code_point, nfc, split_of
from boda.data.readers._tables import (
    FILE_COLUMNS,
    JSON_SUFFIXES,
    LINE,
    SUFFIXES,
    beginning,
    column_of,
    decode_text,
    header_of,
    on_top,
    rows_of,
    several,
    tell_split,
)
from boda.data.tree import Entry, Tree
from boda.errors import DataError, Problem
from boda.types import Dataset

LABEL_COLUMNS = ("label", "class", "class_name", "name", "category")
BOX_COLUMNS = {"xmin", "x1", "bbox", "boxes"}  # then a row is a box, which is another format
MOST_BYTES = 1 << 30
HEAD = 1 << 16  # bytes in which a header is looked for


@dataclass
class Table:
    """One manifest while it is read."""

    entry: Entry
    folder: str  # of the tree, that paths are relative to
    split: str | None  # where the file's name says it
    problems: list[Problem] = field(default_factory=list)

    def problem(self, line: int, column: str | None, why: str, fix: str, **more: Any) -> None:
        """Note what is wrong with a row."""
        self.problems.append(Problem(why, fix, self.entry.source, line, column, **more))


@READERS.register("manifest")
class Manifest:
    """Columns file and label, and perhaps split; or one table a split."""

    name: ClassVar[str] = "manifest"
    tasks: ClassVar[tuple[str, ...]] = ("classify",)
    description: ClassVar[str] = "a CSV, TSV or JSONL table of pictures and their classes"
    layout: ClassVar[str] = 'labels.csv with "file,label,split" / "a/1.jpg,고양이,train"'

    def recognizes(self, tree: Tree) -> bool:
        """Whether a table on top has the columns of a manifest."""
        return bool(_tables(tree))

    def read(self, tree: Tree) -> Dataset:
        """The rows; what is wrong with one names its line."""
        tables = _tables(tree)
        if not tables:
            raise DataError(
                "there is no table with the columns file and label",
                file=tree.root,
                fix=f"As {self.layout}",
            )
        if len(tables) > 1 and not all(table.split for table in tables):
            names = [PurePosixPath(table.entry.source).name for table in tables]
            raise several(tree, "be the manifest", names)
        records: list[Record] = []
        problems: list[Problem] = []
        for table in tables:
            records += _records(table, tree)
            problems += table.problems
        return assemble(tree.root, self.name, records, problems, _class_order)


def _tables(tree: Tree) -> list[Table]:
    """The tables on top of the tree that have the columns."""
    found = on_top(tree, SUFFIXES + JSON_SUFFIXES, _has_columns, split_of)
    return [Table(tree.files[name], posixpath.dirname(name), split) for name, split in found]


def _has_columns(entry: Entry) -> bool:
    try:
        header = header_of(entry, beginning(entry, HEAD))
    except DataError:
        return False
    return (
        column_of(header, FILE_COLUMNS) is not None
        and column_of(header, LABEL_COLUMNS) is not None
        and not BOX_COLUMNS & set(header)
    )


def _records(table: Table, tree: Tree) -> list[Record]:
    text = decode_text(table.entry, table.entry.read(MOST_BYTES))
    rows = list(rows_of(table.entry, text))
    uses_split = tell_split(rows)
    seen: dict[str, tuple[int, str]] = {}
    records: list[Record] = []
    for line, cells in rows:
        if line == 0:
            continue
        if isinstance(cells, str):
            table.problem(line, None, cells, LINE)
            continue
        found = _picture(table, line, cells, tree)
        name = _label(table, line, cells)
        split = table.split or (_split(table, line, cells) if uses_split else "all")
        if found is None or name is None or split is None:
            continue
        picture, entry = found
        if picture in seen:
            _repeated(table, line, name, seen[picture])
            continue
        seen[picture] = (line, name)
        records.append(Record(split, picture, f"{table.entry.source}:{line}", name, entry))
    return records


def _picture(
    table: Table, line: int, cells: dict[str, Any], tree: Tree
) -> tuple[str, Entry] | None:
    """The picture a row names: its name in the tree, and its entry."""
    column = column_of(cells, FILE_COLUMNS)
    value = cells.get(column) if column else None
    if not isinstance(value, str) or not value.strip():
        table.problem(line, column or "file", "names no picture", "Give the picture's path.")
        return None
    path = value.strip().replace("\\", "/")
    if path.startswith("/") or path[1:3] == ":/":
        table.problem(
            line, column, f"the path '{value}' is absolute", "Give it relative to the table."
        )
        return None
    name = nfc(posixpath.normpath(posixpath.join(table.folder, path)))
    if name.startswith("../") or name == "..":
        table.problem(
            line,
            column,
            f"the path '{value}' leads out of the data",
            "Keep pictures in the folder.",
        )
        return None
    if (entry := _find(tree, name, path)) is None:
        table.problem(
            line, column, f"the picture '{value}' is missing", "Put it there or take the row out."
        )
        return None
    return name, entry


def _find(tree: Tree, name: str, path: str) -> Entry | None:
    """The entry of that name; for a table that was named itself, the file beside it."""
    if tree.kind != "file":
        return tree.files.get(name)
    for spelled in (path, name, unicodedata.normalize("NFD", name)):
        beside = tree.root.parent / spelled
        if beside.is_file():
            return Entry(str(beside), str(beside))
    return None


def _label(table: Table, line: int, cells: dict[str, Any]) -> str | None:
    column = column_of(cells, LABEL_COLUMNS)
    value = cells.get(column) if column else None
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value) if abs(value) < 10**9 else None
    if not isinstance(value, str) or not value.strip():
        table.problem(line, column or "label", "names no class", "Give the picture's class.")
        return None
    return nfc(value.strip())


def _split(table: Table, line: int, cells: dict[str, Any]) -> str | None:
    value = cells.get("split")
    split = split_of(value) if isinstance(value, str) else None
    if split is None:
        table.problem(line, "split", f"'{value or ''}' is no split", "Write train, val or test.")
    return split


def _repeated(table: Table, line: int, name: str, before: tuple[int, str]) -> None:
    first, other = before
    if other == name:
        table.problem(
            line,
            None,
            f"left out: the picture is in line {first} already",
            "Take one of the rows out.",
            severity="warning",
        )
    else:
        table.problem(
            line,
            None,
            f"the picture is '{name}' here and '{other}' in line {first}",
            "Keep the row that is right.",
        )


def _class_order(names: Iterable[str]) -> list[str]:
    """By number where every class is one, else by code point."""
    names = list(names)
    if all(name.isascii() and name.removeprefix("-").isdigit() for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return by_code_point(names)
