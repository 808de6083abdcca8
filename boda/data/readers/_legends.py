"""What the numbers and colours of masks mean: a list of names, or a legend of names and colours.

Known are ``classes.txt`` (a name a line), ``classes.csv`` and ``class_dict.csv`` (name, r, g, b, or name
and value), ``label_colors.txt`` as CamVid publishes it ("64 128 64<tab>Animal"), CVAT's ``labelmap.txt``
("name:r,g,b::") and ``classes.json`` ({"name": [r, g, b]}, {"name": value} or a list of names). They lie
beside the masks or above them.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from boda.data.entries import Entry
from boda.data.readers._boxes import Wrong, class_name, shown
from boda.data.readers._tables import column_of, decode_text, rows_of
from boda.data.tree import Tree, join
from boda.errors import DataError, Problem

MOST = 255  # classes: 255 itself is "ignore"
MOST_BYTES = 1 << 20
# Names that say that a pixel is of no class.
VOID = frozenset(("void", "ignore", "ignored", "unlabelled", "unlabeled", "don't care"))
NAME_COLUMNS = ("name", "class", "class_name", "label", "category")
VALUE_COLUMNS = ("value", "pixel value", "pixel_value", "index", "id", "number")
COLOURS = (("r", "g", "b"), ("red", "green", "blue"))
COLOURED_LINE = re.compile(r"(\S+)[\s,]+(\S+)[\s,]+(\S+)[\s,]+(\S.*)")
NUMBERED_LINE = re.compile(r"(\d{1,5})\s*[:,\t]\s*(\S.*)")
ROW = "Write a name, and its colour as three numbers from 0 to 255."

Row = tuple[int, str, int | None, int | None]  # line, name, value, colour


@dataclass(frozen=True)
class Legend:
    """Names, and what each is in the masks.

    Attributes:
        source: the file that says so; "" for a legend that the format itself has.
        names: NFC, also those that mean "no class".
        values: of each name, in masks of numbers.
        colours: of each name, see ``colour``; None where the file tells none.
    """

    source: str
    names: tuple[str, ...]
    values: tuple[int, ...]
    colours: tuple[int, ...] | None = None

    @property
    def classes(self) -> list[str]:
        """The names that are classes: without void and its like, if two at least are left."""
        left = [name for name in self.names if name.casefold() not in VOID]
        return left if len(left) > 1 else list(self.names)

    def meaning(self, keys: Iterable[int]) -> dict[int, int]:
        """Value or colour → class index, 255 for what is no class."""
        number = {name: index for index, name in enumerate(self.classes)}
        return {key: number.get(name, 255) for key, name in zip(keys, self.names, strict=True)}


def colour(red: int, green: int, blue: int) -> int:
    """R + 256·G + 65536·B, as ``_bitmaps.numbers`` reads them."""
    return red | green << 8 | blue << 16


def shown_colour(code: int) -> str:
    """(R, G, B)."""
    return f"({code & 255}, {code >> 8 & 255}, {code >> 16})"


def legend_of(tree: Tree, masks: Iterable[str], problems: list[Problem]) -> Legend | None:
    """The legend beside the masks or nearest above them; None where there is none.

    Args:
        tree: of the data.
        masks: their names in the tree.
        problems: get a warning for another legend that says otherwise.

    Raises:
        DataError: a line of it is wrong, or two names have one value or colour.
    """
    chosen: Legend | None = None
    for name in legend_files(tree, masks):
        legend = read_legend(tree.files[name], FILES[posixpath.basename(name).casefold()])
        if chosen is None:
            chosen = legend
        elif legend.names != chosen.names or legend.colours not in (None, chosen.colours):
            why = f"not used: says other classes than {chosen.source}"
            fix = "Take away the one that is wrong."
            problems.append(Problem(why, fix, legend.source, severity="warning"))
    return chosen


def legend_files(tree: Tree, masks: Iterable[str]) -> list[str]:
    """The legends beside and above the masks: the deepest first, with colours before names alone."""
    folders: set[str] = set()
    for name in masks:
        folder = posixpath.dirname(name)
        while folder not in folders:
            folders.add(folder)
            folder = posixpath.dirname(folder)
    spelled = {name.casefold(): name for name in tree.files if name.casefold().endswith(ENDS)}
    deepest = sorted(folders, key=lambda folder: (-folder.count("/") - bool(folder), folder))
    places = (join(folder, name).casefold() for folder in deepest for name in FILES)
    return [spelled[place] for place in places if place in spelled]


def read_legend(entry: Entry, rows_in: Callable[[Entry, str], list[Row | Problem]]) -> Legend:
    """One file.

    Raises:
        DataError: every line that is wrong.
    """
    rows = rows_in(entry, decode_text(entry, entry.read(MOST_BYTES)))
    problems = [row for row in rows if isinstance(row, Problem)]
    good = [row for row in rows if not isinstance(row, Problem)]
    coloured = any(own is not None for *_, own in good)
    seen: Counter[Any] = Counter()
    for line, name, value, own in good:
        for what, said in (("name", name), ("value", value), ("colour", own)):
            if said is None:
                if what == "colour" and coloured:
                    problems.append(
                        Problem("the colour is missing", ROW, entry.source, line or None)
                    )
                continue
            seen[what, said] += 1
            if seen[what, said] == 2:
                told = shown_colour(own or 0) if what == "colour" else shown(said)
                why = f"the {what} {told} is there twice"
                fix = "Give each class a name, a value and a colour of its own."
                problems.append(Problem(why, fix, entry.source, line or None))
    if not good and not problems:
        problems.append(Problem("names no class", "Write a name a line.", entry.source))
    if len(good) > MOST:
        why = f"names {len(good):,} classes; a map can tell {MOST} apart"
        problems.append(Problem(why, "Join some.", entry.source))
    if problems:
        raise DataError(problems=problems)
    return Legend(
        entry.source,
        tuple(name for _, name, *_ in good),
        tuple(i if value is None else value for i, (*_, value, _) in enumerate(good)),
        tuple(own or 0 for *_, own in good) if coloured else None,
    )


def _row(line: int, name: Any, value: Any = None, parts: Iterable[Any] | None = None) -> Row:
    """A row whose cells are checked.

    Raises:
        Wrong: no name, no whole number, a colour that is none.
    """
    own = class_name(name, "name")
    number = None if value is None else _whole(value, 65535, "value")
    if parts is None:
        return line, own, number, None
    three = [_whole(part, 255, "colour") for part in parts]
    if len(three) != 3:
        raise Wrong(f"the colour has {len(three)} numbers", ROW, "colour")
    return line, own, number, colour(*three)


def _whole(value: Any, most: int, field: str) -> int:
    text = str(value).strip() if not isinstance(value, bool) else ""
    if not (text.isascii() and text.isdecimal() and len(text) < 6 and int(text) <= most):
        raise Wrong(f"{shown(value)} is no whole number from 0 to {most:,}", ROW, field)
    return int(text)


def _from_lines(parse: Callable[[int, str], Row]) -> Callable[[Entry, str], list[Row | Problem]]:
    """Of a text whose every line, blank ones at the end and comments aside, is one class."""

    def rows_in(entry: Entry, text: str) -> list[Row | Problem]:
        rows: list[Row | Problem] = []
        for line, content in enumerate(text.rstrip().splitlines(), start=1):
            if content.startswith("#"):
                continue
            try:
                rows.append(parse(line, content.strip()))
            except Wrong as wrong:
                rows.append(wrong.at(entry.source, line or None))
        return rows

    return rows_in


def _names(entry: Entry, text: str) -> list[Row | Problem]:
    """A name a line; or "0: name" in every line."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    found = [NUMBERED_LINE.fullmatch(line.strip()) for line in lines]
    if lines and all(found):
        numbered = lambda line, text: _row(line, *NUMBERED_LINE.fullmatch(text).groups()[::-1])  # type: ignore[union-attr]  # noqa: E731
        return _from_lines(numbered)(entry, text)
    return _from_lines(_row)(entry, text)


def _coloured_line(line: int, text: str) -> Row:
    """Of ``label_colors.txt``."""
    found = COLOURED_LINE.fullmatch(text)
    if found is None:
        raise Wrong(f"{shown(text)} is no colour and name", "As: 64 128 64 Animal")
    *parts, name = found.groups()
    return _row(line, name, None, parts)


def _cvat_line(line: int, text: str) -> Row:
    """Of ``labelmap.txt``: name:r,g,b:parts:actions."""
    name, _, rest = text.partition(":")
    own = rest.partition(":")[0]
    return _row(line, name, None, own.split(",") if own else None)


def _table(entry: Entry, text: str) -> list[Row | Problem]:
    """Of ``class_dict.csv`` and its like."""
    rows: list[Row | Problem] = []
    for line, cells in rows_of(entry, text):
        if isinstance(cells, str):
            rows.append(Problem(cells, ROW, entry.source, line or None))
            continue
        name, value = column_of(cells, NAME_COLUMNS), column_of(cells, VALUE_COLUMNS)
        three = next((columns for columns in COLOURS if set(columns) <= set(cells)), None)
        if name is None:
            entry.fail("has no column of names", "Give it the columns name,r,g,b.")
        if line:
            said = cells[value] if value else None
            try:
                rows.append(_row(line, cells[name], said, three and [cells[c] for c in three]))
            except Wrong as wrong:
                rows.append(wrong.at(entry.source, line or None))
    return rows


class _Pairs:
    """A JSON object as it is written, also where a name is in it twice."""

    def __init__(self, rows: list[tuple[str, Any]]) -> None:
        self.rows = rows


def _json(entry: Entry, text: str) -> list[Row | Problem]:
    """A list of names, or names with their values or colours, or values with their names."""
    fix = 'As {"road": [128, 64, 128]}, or ["road", "sky"].'
    try:
        content = json.loads(text, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError) as error:
        entry.fail(f"is no JSON ({str(error)[:80]})", fix)
    if isinstance(content, list):
        pairs: list[tuple[Any, Any]] = [(name, None) for name in content]
    elif isinstance(content, _Pairs):
        pairs = [(v, k) if isinstance(v, str) else (k, v) for k, v in content.rows]
    else:
        entry.fail("holds no list of classes", fix)
    rows: list[Row | Problem] = []
    for name, said in pairs:
        three = said if isinstance(said, list) else None
        try:
            rows.append(_row(0, name, None if three else said, three))
        except Wrong as wrong:
            rows.append(wrong.at(entry.source))
    return rows


FILES: dict[str, Callable[[Entry, str], list[Row | Problem]]] = {
    "classes.csv": _table,
    "class_dict.csv": _table,
    "_classes.csv": _table,
    "legend.csv": _table,
    "label_colors.txt": _from_lines(_coloured_line),
    "label_colours.txt": _from_lines(_coloured_line),
    "labelmap.txt": _from_lines(_cvat_line),
    "classes.json": _json,
    "class_dict.json": _json,
    "legend.json": _json,
    "classes.txt": _names,
    "labels.txt": _names,
    "names.txt": _names,
    "class_names.txt": _names,
}
ENDS = tuple(FILES)
