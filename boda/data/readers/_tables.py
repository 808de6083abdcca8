"""What the readers of tables share: text and its rows, the tables on top of a tree, known columns.

Tables are CSV or TSV with a header, or JSONL, where each line names its columns.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any

from boda.data.entries import Entry
from boda.data.tree import Tree, join
from boda.errors import DataError

FILE_COLUMNS = ("file", "filename", "file_name", "image", "path", "filepath")
PICTURE_COLUMNS = (*FILE_COLUMNS, "image_path", "img")  # tables of annotations know more names
CLASS_COLUMNS = ("class", "label", "class_name", "name", "category")
EDGES = ("x1", "y1", "x2", "y2")
VOC_EDGES = ("xmin", "ymin", "xmax", "ymax")
JSON_SUFFIXES = (".jsonl", ".ndjson")
SUFFIXES = (".csv", ".tsv")
FOLDERS = ("", "images", "Images", "JPEGImages", "imgs")  # beside a table, where pictures may lie
LITTLE, BIG = b"\xff\xfe", b"\xfe\xff"  # the marks of UTF-16
HEAD = 1 << 14  # bytes in which a header is looked for
LINE = "Correct the row."

Row = tuple[int, dict[str, Any] | str]  # line and its cells, or what is wrong with it


def on_top(
    tree: Tree,
    suffixes: tuple[str, ...],
    fits: Callable[[Entry], bool],
    split: Callable[[str], str | None],
) -> list[tuple[str, str | None]]:
    """The tables on top of the tree (below single wrapping folders), each with its split.

    Args:
        tree: of the data.
        suffixes: of the tables' names, lower case.
        fits: whether a table is of the format.
        split: the split that a table's stem says; not asked of a table that was named itself.

    Returns:
        (name in the tree, split or None). Where two or more say a split, only those: "labels.csv"
        beside train_labels.csv and test_labels.csv is all of them once more.
    """
    folder = ""
    while True:
        folders, files = tree.children(folder)
        names = [join(folder, name) for name in files if name.lower().endswith(suffixes)]
        if names or len(folders) != 1:
            break
        folder = join(folder, folders[0])
    said = {
        name: split(PurePosixPath(name).stem) if tree.kind != "file" else None
        for name in names
        if fits(tree.files[name])
    }
    named = [name for name, own in said.items() if own]
    return [(name, said[name]) for name in (named if len(named) > 1 else said)]


def one_a_split(
    tree: Tree, tables: list[tuple[str, str | None]], kind: str, layout: str
) -> list[tuple[str, str]]:
    """The tables of ``on_top``, "all" being the split of one that says none.

    Raises:
        DataError: there is no table, or two are of one split.
    """
    if not tables:
        raise DataError(f"there is no table of {kind}", file=tree.root, fix=f"As {layout}")
    known = [(name, split or "all") for name, split in tables]
    if len({split for _, split in known}) < len(known):
        raise several(tree, "be meant", [name for name, _ in known])
    return known


def several(tree: Tree, what: str, names: Iterable[str]) -> DataError:
    """The refusal of several tables that could ``what``."""
    return DataError(
        f"several tables could {what}: {', '.join(names)}",
        file=tree.root,
        fix="Name the file itself, or call them train, val and test.",
    )


def column_of(cells: Iterable[str], known: tuple[str, ...]) -> str | None:
    """The first of the known columns that is there; None where none is."""
    cells = set(cells)
    return next((name for name in known if name in cells), None)


def box_columns(header: list[str]) -> tuple[str, ...]:
    """The four columns of the box, where the table has them and a file's and a class's."""
    if column_of(header, PICTURE_COLUMNS) is None or column_of(header, CLASS_COLUMNS) is None:
        return ()
    return next((four for four in (EDGES, VOC_EDGES) if set(four) <= set(header)), ())


def tell_split(rows: Iterable[Row]) -> bool:
    """Whether any row says its split."""
    return any(isinstance(cells, dict) and cells.get("split") for line, cells in rows if line)


def beginning(entry: Entry, most: int = HEAD) -> str:
    """The text of the first bytes, ``most`` of them.

    Raises:
        DataError: it cannot be read, or is no text.
    """
    head = entry.head(most)
    if len(head) == most:  # cut at a line's end: half a letter could not be decoded
        newline = b"\n\0" if head[:2] == LITTLE else b"\n"
        head = head[: head.rfind(newline) + len(newline)]
    return decode_text(entry, head)


def decode_text(entry: Entry, data: bytes) -> str:
    """UTF-8 with or without a mark, UTF-16 with one (Excel), CP949 (Korean Windows).

    Raises:
        DataError: it is none of them.
    """
    marked = data[:2] in (LITTLE, BIG)
    for encoding in ["utf-16"] if marked else ["utf-8-sig", "cp949"]:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    entry.fail("is neither UTF-8 nor CP949 text", "Save it as UTF-8.")


def header_of(entry: Entry, text: str) -> list[str]:
    """The columns of the first row, lower case, each once; none where it cannot be read."""
    _, cells = next(rows_of(entry, text), (0, ""))
    return list(cells) if isinstance(cells, dict) else []


def rows_of(entry: Entry, text: str) -> Iterator[Row]:
    """Each row's line and its cells by lower-case column; where it is broken, a text instead.

    Line 0 of CSV and TSV is the header.
    """
    name = entry.source.lower()
    return _json_rows(text) if name.endswith(JSON_SUFFIXES) else _csv_rows(name, text)


def _csv_rows(name: str, text: str) -> Iterator[Row]:
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    if name.endswith(".tsv"):
        delimiter = "\t"
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    columns: list[str] | None = None
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
        if columns is None:
            columns = [cell.strip().casefold() for cell in cells]
            yield 0, dict.fromkeys(columns)  # line 0 tells the columns, also of an empty table
        elif len(cells) != len(columns):
            yield line, f"the row has {len(cells)} cells, the header {len(columns)}"
        else:
            yield line, dict(zip(columns, cells, strict=True))


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
