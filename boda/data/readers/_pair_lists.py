"""Lists of pairs as they are written: LFW's text, and tables with columns file1, file2 and same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from boda.data.entries import Entry
from boda.data.readers._boxes import Wrong, shown
from boda.data.readers._pictures import relative
from boda.data.readers._splits import nfc, split_of
from boda.data.readers._tables import (
    LINE,
    SUFFIXES,
    beginning,
    column_of,
    decode_text,
    header_of,
    rows_of,
)
from boda.errors import DataError, Problem

FILE_COLUMNS = tuple(
    tuple(f"{word}{number}" for word in ("file", "image", "path", "picture", "img"))
    for number in (1, 2)
)
SAME_COLUMNS = ("same", "is_same", "issame", "label", "match")
ANSWERS = dict.fromkeys(("1", "true", "yes", "same"), True)
ANSWERS |= dict.fromkeys(("0", "-1", "false", "no", "different"), False)
NUMBER = re.compile("[0-9]{1,9}")
AGAIN = "Get the list again, or correct the line."


@dataclass(frozen=True, slots=True)
class Numbered:
    """A picture by the name of who is shown and its number, as LFW's lists name it."""

    name: str
    number: int


@dataclass(frozen=True, slots=True)
class Listed:
    """One pair as it is listed.

    Attributes:
        line: of the list.
        first, second: a path, or name and number.
        same: whether they show the same.
        fold: 0-based.
    """

    line: int
    first: Numbered | str
    second: Numbered | str
    same: bool
    fold: int


def is_list(entry: Entry) -> bool:
    """Whether a file is a list of pairs; a text is asked only where its name says "pair"."""
    name = PurePosixPath(entry.source).name.lower()
    table = name.endswith(SUFFIXES)
    if not table and not (name.endswith(".txt") and "pair" in name):
        return False
    try:
        text = beginning(entry)
        return None not in _columns(header_of(entry, text)) if table else _is_text(text)
    except DataError:
        return False


def stated_split(name: str) -> str | None:
    """The split that a word of a list's name says: "pairsDevTest.txt" → "test"; else None."""
    words = re.findall("[A-Z]?[a-z]+|[A-Z]+", PurePosixPath(name).stem)
    return next((split for word in words if (split := split_of(word))), None)


def listed(entry: Entry, problems: list[Problem]) -> list[Listed]:
    """The pairs of a list; an error is added for each line that is wrong.

    Raises:
        DataError: the list has not as many pairs as it says, so that folds cannot be told, or none.
    """
    text = decode_text(entry, entry.read())
    table = entry.source.lower().endswith(SUFFIXES)
    before = len(problems)
    found: list[Listed] = []
    for line, cells in _table(entry, text) if table else _text(entry, text):
        try:
            found.append(_pair(line, cells))
        except Wrong as wrong:
            problems.append(wrong.at(entry.source, line))
    if not found and len(problems) == before:
        entry.fail("holds no pairs", "Write a pair a line.")
    return _from_zero(found)


def _columns(header: list[str]) -> tuple[str | None, ...]:
    first, second = FILE_COLUMNS
    return tuple(column_of(header, known) for known in (first, second, SAME_COLUMNS))


def _is_text(text: str) -> bool:
    """Whether the first two lines that say something are LFW's header and a pair."""
    lines = (line.split() for line in text.splitlines() if line.strip())
    header, pair = next(lines, []), next(lines, [])
    numbers = [field for field in pair if NUMBER.fullmatch(field)]
    return (
        len(header) in (1, 2)
        and all(map(NUMBER.fullmatch, header))
        and len(pair) >= 3
        and len(numbers) >= 2
    )


def _text(entry: Entry, text: str) -> Iterator[tuple[int, list[str]]]:
    """The lines of a text behind its header: number of the line and its fields, the fold first."""
    rows = [(i, line) for i, line in enumerate(text.splitlines(), start=1) if line.strip()]
    (line, first), *rows = rows or [(1, "")]
    header = first.split()
    if len(header) not in (1, 2) or not all(map(NUMBER.fullmatch, header)):
        why = "the first line does not say how many folds and pairs there are"
        raise DataError(why, file=entry.source, line=line, fix='As "10 300".')
    folds, half = (int(number) for number in (["1", *header])[-2:])
    if len(rows) != folds * 2 * half:
        why = f"says {folds:,} × {half:,} pairs of the same and as many of different identities, "
        why += f"{folds * 2 * half:,} in all; there are {len(rows):,}"
        raise DataError(why, file=entry.source, line=line, fix="Get the list again.")
    for place, (line, row) in enumerate(rows):
        fields = row.strip().split("\t") if "\t" in row else row.split()
        yield line, [str(place // (2 * half)), *(field.strip() for field in fields)]


def _table(entry: Entry, text: str) -> Iterator[tuple[int, dict[str, Any] | str]]:
    for line, cells in rows_of(entry, text):
        if line:
            yield line, cells
        elif isinstance(cells, str) or None in _columns(list(cells)):
            entry.fail("has not the columns of pairs", "As file1,file2,same.")


def _pair(line: int, cells: list[str] | dict[str, Any] | str) -> Listed:
    if isinstance(cells, str):
        raise Wrong(cells, LINE)
    return _numbered(line, cells) if isinstance(cells, list) else _row(line, cells)


def _numbered(line: int, fields: list[str]) -> Listed:
    """NAME 3 7, or NAME 3 OTHER 7, behind the fold."""
    fold, *words = fields
    if len(words) not in (3, 4):
        raise Wrong(f"the line has {len(words)} words, not three or four", AGAIN)
    name, other = nfc(words[0]), nfc(words[-2] if len(words) == 4 else words[0])
    numbers = words[1], words[-1]
    for number in numbers:
        if not NUMBER.fullmatch(number):
            raise Wrong(f"{shown(number)} is no number of a picture", AGAIN)
    if len(words) == 4 and name == other:
        raise Wrong(f"both are of {shown(name)}: such a pair has three words", AGAIN)
    first, second = Numbered(name, int(numbers[0])), Numbered(other, int(numbers[1]))
    return Listed(line, first, second, len(words) == 3, int(fold))


def _row(line: int, cells: dict[str, Any]) -> Listed:
    first, second, same = (str(column) for column in _columns(list(cells)))
    paths = relative(cells[first], first), relative(cells[second], second)
    if (answer := ANSWERS.get(str(cells[same]).strip().casefold())) is None:
        raise Wrong(f"{shown(cells[same])} is neither 1 nor 0", LINE, same)
    fold = str(cells.get("fold") or "0").strip()
    if not NUMBER.fullmatch(fold):
        raise Wrong(f"{shown(fold)} is no number of a fold", LINE, "fold")
    return Listed(line, *paths, answer, int(fold))


def _from_zero(pairs: list[Listed]) -> list[Listed]:
    """Folds in their order, from 0 on: tables may count from 1."""
    order = {fold: index for index, fold in enumerate(sorted({pair.fold for pair in pairs}))}
    return [
        Listed(pair.line, pair.first, pair.second, pair.same, order[pair.fold]) for pair in pairs
    ]
