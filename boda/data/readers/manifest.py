"""A table that names pictures and their classes: CSV, TSV or JSONL, a picture a row.

A row that is wrong becomes a ``Problem`` with its line and column; the others are read. Where a
class is a number, classes are in the order of the numbers, else of their names.
"""

from __future__ import annotations

import csv
import io
import json
import posixpath
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, ClassVar

from boda.data.readers import READERS
from boda.data.readers._splits import Record, assemble, by_code_point, nfc, split_of
from boda.data.tree import Entry, Tree
from boda.errors import DataError, Problem
from boda.types import Dataset

FILE_COLUMNS = ("file", "filename", "file_name", "image", "path", "filepath")
LABEL_COLUMNS = ("label", "class", "class_name", "name", "category")
BOX_COLUMNS = {"xmin", "x1", "bbox", "boxes"}  # then a row is a box, which is another format
SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")
MOST_BYTES = 1 << 30
HEAD = 1 << 16

Row = tuple[int, dict[str, Any] | str]  # line and its cells, or what is wrong with it


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
            names = ", ".join(PurePosixPath(table.entry.source).name for table in tables)
            raise DataError(
                f"several tables could be the manifest: {names}",
                file=tree.root,
                fix="Name the file itself, or call them train, val and test.",
            )
        records: list[Record] = []
        problems: list[Problem] = []
        for table in tables:
            records += _records(table, tree)
            problems += table.problems
        return assemble(tree.root, self.name, records, problems, _class_order)


def _tables(tree: Tree) -> list[Table]:
    """The tables on top of the tree (below single wrapping folders) that have the columns."""
    folder = ""
    while True:
        folders, files = tree.children(folder)
        names = [name for name in files if name.lower().endswith(SUFFIXES)]
        if names or len(folders) != 1:
            break
        folder = posixpath.join(folder, folders[0])
    tables = []
    for name in names:
        entry = tree.files[posixpath.join(folder, name)]
        split = split_of(PurePosixPath(name).stem) if tree.kind != "file" else None
        if _has_columns(entry):
            tables.append(Table(entry, folder, split))
    named = [table for table in tables if table.split]
    return named if len(named) > 1 else tables


def _has_columns(entry: Entry) -> bool:
    try:
        # Cut at a line's end: half a letter of Korean could not be decoded.
        head = entry.head(HEAD)
        text = _decode(entry, head[: head.rfind(b"\n") + 1] if len(head) == HEAD else head)
    except DataError:
        return False
    _, first = next(_rows(entry, text), (1, "nothing"))
    return (
        isinstance(first, dict)
        and _column(first, FILE_COLUMNS) is not None
        and _column(first, LABEL_COLUMNS) is not None
        and not BOX_COLUMNS & first.keys()
    )


def _column(cells: Iterable[str], known: tuple[str, ...]) -> str | None:
    cells = set(cells)
    return next((name for name in known if name in cells), None)


def _decode(entry: Entry, data: bytes) -> str:
    """UTF-8 with or without a mark, UTF-16 with one (Excel), CP949 (Korean Windows)."""
    marked = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    for encoding in ["utf-16"] if marked else ["utf-8-sig", "cp949"]:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    entry.fail("is neither UTF-8 nor CP949 text", "Save it as UTF-8.")


def _rows(entry: Entry, text: str) -> Iterator[Row]:
    """Each row's line and its cells by lower-case column; where it is broken, a text instead."""
    if entry.source.lower().endswith((".jsonl", ".ndjson")):
        yield from _json_rows(text)
        return
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    if entry.source.lower().endswith(".tsv"):
        delimiter = "\t"
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] | None = None
    while True:
        line = reader.line_num + 1  # where the row begins: a quoted cell may go over several lines
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            lines = f", lines {line} to {reader.line_num}" if reader.line_num > line else ""
            yield line, f"the row cannot be parsed ({error}{lines})"
            continue
        if not any(cells):
            continue
        if header is None:
            header = [cell.strip().casefold() for cell in cells]
            yield 0, dict.fromkeys(header)  # line 0 tells the columns, also of an empty table
        elif len(cells) != len(header):
            yield line, f"the row has {len(cells)} cells, the header {len(header)}"
        else:
            yield line, dict(zip(header, cells, strict=True))


def _json_rows(text: str) -> Iterator[Row]:
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        try:
            cells = json.loads(content)
        except (ValueError, RecursionError) as error:
            yield line, f"the line is no JSON ({str(error)[:80]})"
            continue
        if isinstance(cells, dict):
            yield line, {str(key).strip().casefold(): value for key, value in cells.items()}
        else:
            yield line, "the line is no JSON object"


def _records(table: Table, tree: Tree) -> list[Record]:
    rows = [row for row in _rows(table.entry, _decode(table.entry, table.entry.read(MOST_BYTES)))]
    uses_split = any(isinstance(cells, dict) and cells.get("split") for line, cells in rows if line)
    seen: dict[str, tuple[int, str]] = {}
    records: list[Record] = []
    for line, cells in rows:
        if line == 0:
            continue
        if isinstance(cells, str):
            table.problem(line, None, cells, "Correct the row.")
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
    column = _column(cells, FILE_COLUMNS)
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
    column = _column(cells, LABEL_COLUMNS)
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
