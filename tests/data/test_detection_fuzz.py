"""Annotations that were damaged anyhow: only problems and ``DataError`` come out, nothing is lost."""

from __future__ import annotations

import csv
import io
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from boda.data.readers import read
from boda.errors import DataError
from boda.types import Dataset
from tests.data import detection_sets as sets

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


def count_boxes(dataset: Dataset) -> int:
    """The boxes, each of them legal."""
    count = 0
    for samples in dataset.splits.values():
        for sample in samples:
            height, width = sample.size
            x1, y1, x2, y2 = sample.boxes.T
            assert np.isfinite(sample.boxes).all()
            assert ((x1 >= 0) & (x1 < x2) & (x2 <= width)).all()
            assert ((y1 >= 0) & (y1 < y2) & (y2 <= height)).all()
            assert (sample.labels >= 0).all() and (sample.labels < len(dataset.classes)).all()
            count += len(sample.boxes)
    return count


def in_json(data: bytes) -> int:
    return len(json.loads(data)["annotations"])


def in_xml(data: bytes) -> int:
    # 2.xml, which is sound, has one more.
    return len(ElementTree.fromstring(data).findall("object")) + 1


def in_lines(data: bytes) -> int:
    return sum(bool(line.split()) for line in data.decode("utf-8-sig").split("\n")) + 1


def in_table(data: bytes) -> int:
    rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))[1:]
    return sum(any(cell.strip() for cell in row[1:]) for row in rows)


def survives(
    make: Callable[[Path], Path], format: str, file: str, data: bytes, count: Callable[[bytes], int]
) -> None:
    """Reading ends in a data set or a ``DataError``; without errors, every record was read."""
    root = Path(tempfile.mkdtemp())
    try:
        make(root)
        (root / file).write_bytes(data)
        try:
            dataset = read(root, format)
        except DataError as error:
            assert all(problem.why and problem.fix for problem in error.problems)
            str(error).encode()
            return
        read_boxes = count_boxes(dataset)
        for problem in dataset.problems:
            assert problem.why and problem.fix
            str(problem).encode()
        json.dumps([dataset.classes, [s.id for p in dataset.splits.values() for s in p]]).encode()
        "".join(dataset.classes).encode()
        if all(problem.severity == "warning" for problem in dataset.problems):
            try:
                there = count(data)
            except UnicodeDecodeError:
                return  # read as CP949; the count is only of UTF-8
            assert read_boxes == there, data
    finally:
        shutil.rmtree(root)


VALUES = st.recursive(
    st.one_of(
        *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
        st.sampled_from([7, 9, 3, 90, "1.png", "../1.png", "dog", -1, 1e999, 1 << 80]),
    ),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["id", "bbox", "size", "counts", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
PLACES = [
    (key, index, field)
    for key, records in sets.COCO.items()
    for index, record in enumerate(records)
    for field in (*record, "segmentation", "area", "difficult", None)
]
CHANGES = st.lists(st.tuples(st.sampled_from(PLACES), VALUES), min_size=1, max_size=3)
Changes = list[tuple[tuple[str, int, str | None], object]]


def attack_values(changes: Changes) -> None:
    """Sound JSON whose values are anything."""
    content = json.loads(json.dumps(sets.COCO))
    for (key, index, field), value in changes:
        if field is None:
            content[key][index] = value
        elif isinstance(content[key][index], dict):
            content[key][index][field] = value
    survives(sets.coco, "coco", "instances.json", json.dumps(content).encode(), in_json)


TARGETS = {
    "json": (sets.coco, "coco", "instances.json", json.dumps(sets.COCO), in_json),
    "xml": (sets.voc, "voc", "Annotations/1.xml", sets.XML_1, in_xml),
    "txt": (sets.yolo, "yolo", "labels/1.txt", sets.YOLO_1, in_lines),
    "csv": (sets.boxes, "boxes", "boxes.csv", sets.CSV, in_table),
    "yaml": (sets.yolo, "yolo", "data.yaml", "nc: 2\n" + sets.YAML, lambda data: 3),
}
QUICK = settings(max_examples=60, deadline=3000, suppress_health_check=list(HealthCheck))
LONG = settings(QUICK, max_examples=3000)


def attack(name: str, edits: Edits) -> None:
    make, format, file, text, count = TARGETS[name]
    survives(make, format, file, damaged(text, edits), count)


@pytest.mark.parametrize("name", TARGETS)
@QUICK
@given(edits=EDITS)
@example(edits=[("insert", 0.5, 1, b"[" * 5000)])
@example(edits=[("replace", 0.0, 30, b"\xff\xfe")])
@example(edits=[("cut", 0.0, 10_000, b"")])
def test_damage_is_named(name: str, edits: Edits) -> None:
    attack(name, edits)


@QUICK
@given(changes=CHANGES)
def test_any_value_of_json_is_named(changes: Changes) -> None:
    attack_values(changes)


@pytest.mark.slow
@LONG
@given(changes=CHANGES)
def test_many_values_of_json_are_named(changes: Changes) -> None:
    attack_values(changes)


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
@LONG
@given(edits=EDITS)
def test_much_damage_is_named(name: str, edits: Edits) -> None:
    attack(name, edits)
