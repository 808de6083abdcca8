"""Annotations that were damaged anyhow: only problems and ``DataError`` come out, nothing is lost."""

from __future__ import annotations

import csv
import io
import json
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import example, given

from boda.errors import Problem
from boda.types import Dataset
from tests.data import detection_sets as sets
from tests.data.fuzzing import EDITS, LONG, QUICK, Changes, Edits, Target, changed, changes, values


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


def is_error(problem: Problem) -> bool:
    return problem.severity == "error"


RULES = (count_boxes, is_error)
TARGETS = {
    "json": Target(sets.coco, "coco", "instances.json", json.dumps(sets.COCO), in_json, *RULES),
    "xml": Target(sets.voc, "voc", "Annotations/1.xml", sets.XML_1, in_xml, *RULES),
    "txt": Target(sets.yolo, "yolo", "labels/1.txt", sets.YOLO_1, in_lines, *RULES),
    "csv": Target(sets.boxes, "boxes", "boxes.csv", sets.CSV, in_table, *RULES),
    "yaml": Target(sets.yolo, "yolo", "data.yaml", "nc: 2\n" + sets.YAML, lambda data: 3, *RULES),
}
CHANGES = changes(
    sets.COCO,
    ("segmentation", "area", "difficult"),
    values([7, 9, 3, 90, "dog"], ["size", "counts"], most=4),
)


@pytest.mark.parametrize("name", TARGETS)
@QUICK
@given(edits=EDITS)
@example(edits=[("insert", 0.5, 1, b"[" * 5000)])
@example(edits=[("replace", 0.0, 30, b"\xff\xfe")])
@example(edits=[("cut", 0.0, 10_000, b"")])
def test_damage_is_named(name: str, edits: Edits) -> None:
    TARGETS[name].attack(edits)


@QUICK
@given(edits=CHANGES)
def test_any_value_of_json_is_named(edits: Changes) -> None:
    TARGETS["json"].survives(changed(sets.COCO, edits))


@pytest.mark.slow
@LONG
@given(edits=CHANGES)
def test_many_values_of_json_are_named(edits: Changes) -> None:
    TARGETS["json"].survives(changed(sets.COCO, edits))


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
@LONG
@given(edits=EDITS)
def test_much_damage_is_named(name: str, edits: Edits) -> None:
    TARGETS[name].attack(edits)
