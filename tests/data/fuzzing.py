"""Annotations that are damaged anyhow, and what reading them may end in.

Shared by the tests of the readers of boxes and of points.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from boda.data.readers import read
from boda.errors import DataError, Problem
from boda.types import Dataset

TOKENS = [
    *("nan", "inf", "-1", "0", "1", "1e999", "-0.0", "1e-320", "9" * 400, "1_0", "٣", "0x1f", "½"),
    *(
        "\0",
        "\ufeff",
        "é",
        "\u202e",
        "\ud7ff",
        '"',
        "'",
        "\\",
        "\\ud800",
        "\\u0000",
        "\x1c",
        "\x85",
    ),
    *("[", "]", "{", "}", ":", ",", ";", "\n", "\r", "\t", " ", "null", "true", "[[", "{}", "[]"),
    *("<", ">", "/>", "&amp;", "&x;", "<!--", "<![CDATA[", "<object>", "</object>", "<name>"),
    *("../", "/", "..", "1.png", "2.png", "dog", "names:", "- ", "? ", "!!python/object:os.system"),
    *("&a ", "*a", "<<: ", "0b1", "1:1:1", "2001-99-99", "~", "%", "@", "`", "|", "#"),
    "[" * 5000,
    "<a>" * 100,
    '{"a":' * 3000,
    "<!DOCTYPE a [<!ENTITY x 'y'>]>",
]
EDIT = st.tuples(
    st.sampled_from(["insert", "replace", "cut", "repeat"]),
    st.floats(0, 1),
    st.integers(1, 30),
    st.one_of(st.sampled_from(TOKENS).map(str.encode), st.binary(max_size=4)),
)
EDITS = st.lists(EDIT, min_size=1, max_size=4)
Edits = list[tuple[str, float, int, bytes]]
Changes = list[tuple[tuple[str, int, str | None], object]]
QUICK = settings(max_examples=60, deadline=3000, suppress_health_check=list(HealthCheck))
LONG = settings(QUICK, max_examples=3000)


def damaged(text: str, edits: Edits) -> bytes:
    data = text.encode()
    for how, where, count, token in edits:
        at = int(where * len(data))
        before, middle, after = data[:at], data[at : at + count], data[at + count :]
        if how == "insert":
            data = before + token + middle + after
        elif how == "replace":
            data = before + token + after
        elif how == "cut":
            data = before + after
        else:
            data = before + middle + middle + after
    return data


def values(known: list[object], keys: list[str], most: int) -> st.SearchStrategy[object]:
    """Anything that JSON can say, also what is ``known`` elsewhere in the file."""
    anything = (st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5))
    return st.recursive(
        st.one_of(*anything, st.sampled_from([*known, "1.png", "../1.png", -1, 1e999, 1 << 80])),
        lambda inner: (
            st.lists(inner, max_size=most)
            | st.dictionaries(st.sampled_from([*keys, "id", "bbox", "x"]), inner, max_size=3)
        ),
        max_leaves=max(most, 6),
    )


def changes(
    content: dict[str, Any], more: tuple[str, ...], new: st.SearchStrategy[object]
) -> st.SearchStrategy[Changes]:
    """Up to three of the fields of COCO's records, or of ``more``, or whole records, made new."""
    places = [
        (key, index, field)
        for key, records in content.items()
        for index, record in enumerate(records)
        for field in (*record, *more, None)
    ]
    return st.lists(st.tuples(st.sampled_from(places), new), min_size=1, max_size=3)


def changed(content: dict[str, Any], edits: Changes) -> bytes:
    """Sound JSON whose values are anything."""
    content = json.loads(json.dumps(content))
    for (key, index, field), value in edits:
        if field is None:
            content[key][index] = value
        elif isinstance(content[key][index], dict):
            content[key][index][field] = value
    return json.dumps(content).encode()


@dataclass(frozen=True)
class Target:
    """One set of a format, of which one file is damaged.

    Attributes:
        make: writes the set.
        format: of the reader.
        file: the one that is damaged.
        text: what it holds while it is sound.
        count: of the records, by other means than the reader's.
        legal: asserts that all that was read is legal, and counts it.
        excuses: whether a problem says that a record is missing.
    """

    make: Callable[[Path], Path]
    format: str
    file: str
    text: str
    count: Callable[[bytes], int]
    legal: Callable[[Dataset], int]
    excuses: Callable[[Problem], bool]

    def attack(self, edits: Edits) -> None:
        self.survives(damaged(self.text, edits))

    def survives(self, data: bytes) -> None:
        """Reading ends in a data set or a ``DataError``; nothing is missing that is not said."""
        root = Path(tempfile.mkdtemp())
        try:
            self.make(root)
            (root / self.file).write_bytes(data)
            try:
                dataset = read(root, self.format)
            except DataError as error:
                assert all(problem.why and problem.fix for problem in error.problems)
                str(error).encode()
                return
            found = self.legal(dataset)
            for problem in dataset.problems:
                assert problem.why and problem.fix
                str(problem).encode()
            ids = [sample.id for samples in dataset.splits.values() for sample in samples]
            json.dumps([dataset.classes, ids]).encode()
            "".join(dataset.classes).encode()
            if not any(self.excuses(problem) for problem in dataset.problems):
                try:
                    there = self.count(data)
                except UnicodeDecodeError:
                    return  # read as CP949; the count is only of UTF-8
                assert found == there, data
        finally:
            shutil.rmtree(root)
