"""The names of YOLO's classes: ``names`` of a YAML, or a list, a line a name."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import Any

import yaml

from boda.data.readers._boxes import Wrong, class_name, shown
from boda.data.readers._tables import decode_text
from boda.data.tree import Entry, Tree, join
from boda.errors import DataError, Problem

YAML = (".yaml", ".yml")
MOST_BYTES = 1 << 18
MOST_DEPTH = 16
NAMES_LINE = re.compile(r"^(names|\"names\"|'names')\s*:", re.MULTILINE)
NAME_LISTS = ("classes.txt", "obj.names", "classes.names", "names.txt", "_darknet.labels")
QUOTE = "Put the name in quotation marks: YAML reads yes, no, null and dates as other things."
SHAPE = "Write names: [cat, dog], or names: with a line '0: cat' for each."


@dataclass
class Names:
    """Class id → name, in the order of the ids, and the file that says so."""

    by_id: dict[int, str]
    source: str


def has_names(entry: Entry) -> bool:
    """Whether a YAML has ``names`` on top; never raises."""
    return bool(NAMES_LINE.search(entry.head(MOST_BYTES).decode("utf-8", "ignore")))


def load_yaml(entry: Entry) -> dict[str, Any]:
    """The top of a small YAML file, plain values only.

    Raises:
        DataError: it is no YAML, no mapping, or uses aliases, by which a few lines can mean gigabytes.
    """
    text = decode_text(entry, entry.read(MOST_BYTES))
    try:
        _refuse_growth(entry, text)
        content = yaml.safe_load(text)
    except DataError:
        raise
    except Exception as error:  # also ValueError, TypeError, RecursionError come out of PyYAML
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else None
        what = " ".join(str(getattr(error, "problem", None) or error).split())[:120]
        why = f"cannot be read as YAML ({what})"
        raise DataError(why, file=entry.source, line=line, fix=SHAPE) from None
    if not isinstance(content, dict):
        entry.fail("is no YAML of names", SHAPE)
    return {key: value for key, value in content.items() if isinstance(key, str)}


def _refuse_growth(entry: Entry, text: str) -> None:
    """No aliases, and nothing nested deep, on which PyYAML spends the square of the length."""
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            entry.fail("uses aliases (*name), which are not read", "Write the values out.")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MOST_DEPTH:
            entry.fail(f"its lists lie in one another more than {MOST_DEPTH} deep", SHAPE)


def yaml_names(content: dict[str, Any], entry: Entry, problems: list[Problem]) -> Names:
    """``names`` of a YAML: a list, or a mapping of ids.

    Raises:
        DataError: there are none.
    """
    names = content.get("names")
    pairs = list(enumerate(names)) if isinstance(names, list) else []
    if isinstance(names, dict):
        pairs = list(names.items())
    if not pairs:
        raise DataError("there are no names", file=entry.source, field="names", fix=SHAPE)
    found = _numbered(pairs, entry, problems)
    count = content.get("nc")
    if count is not None and count != len(pairs):
        why = f"nc is {shown(count)}, but there are {len(pairs)} names"
        problems.append(Problem(why, "Correct nc, or the names.", entry.source, field="nc"))
    if found and list(found) != list(range(len(found))):
        why = f"the ids are not 0 to {len(found) - 1}: classes are numbered anew in their order"
        fix = "Nothing need be done: classes go by their names."
        problems.append(Problem(why, fix, entry.source, field="names", severity="warning"))
    return Names(found, entry.source)


def listed_names(
    tree: Tree, base: str, folders: list[str], problems: list[Problem]
) -> Names | None:
    """The names of a list beside the data or the labels, an id a line; None where there is none."""
    places = (join(folder, name) for folder in (base, *folders) for name in NAME_LISTS)
    name = next((posixpath.normpath(place) for place in places if place in tree.files), None)
    if name is None:
        why = "there are no names of classes: they are called by their numbers"
        fix = "Add a data.yaml or a classes.txt."
        problems.append(Problem(why, fix, str(tree.root), severity="warning"))
        return None
    entry = tree.files[name]
    lines = decode_text(entry, entry.read(MOST_BYTES)).rstrip().split("\n")
    return Names(_numbered(list(enumerate(lines)), entry, problems, lined=True), entry.source)


def _numbered(
    pairs: list[tuple[Any, Any]], entry: Entry, problems: list[Problem], lined: bool = False
) -> dict[int, str]:
    found: dict[int, str] = {}
    seen: dict[str, int] = {}
    for written, value in pairs:
        text = isinstance(written, str) and written.isascii() and written.isdecimal()
        key = int(written) if text and len(written) < 10 else written
        try:
            if isinstance(key, bool) or not isinstance(key, int) or key < 0:
                raise Wrong(f"the id {shown(key)} is no whole number from 0 on", SHAPE)
            if isinstance(value, bool) or not isinstance(value, int | str):
                raise Wrong(f"the name of {key} is read as {shown(value)}", QUOTE)
            name = class_name(str(value), "")  # classes may be digits
            if name in seen:
                why = f"the ids {seen[name]} and {key} have one name, '{name}'"
                raise Wrong(why, "Give each class a name of its own.")
            seen[name] = key
            found[key] = name
        except Wrong as wrong:
            at = (key + 1, None) if lined else (None, f"names[{shown(key)}]")
            problems.append(wrong.at(entry.source, *at))
    return dict(sorted(found.items()))
