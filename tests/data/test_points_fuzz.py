"""Points that were damaged anyhow: only problems and ``DataError`` come out, nothing is lost."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from boda.errors import DataError, Problem
from boda.types import Dataset
from tests.data import points_sets as sets
from tests.data.fuzzing import EDITS, LONG, QUICK, Changes, Edits, Target, changed, changes, values

MORE = settings(QUICK, max_examples=120)
VALUES = values([7, 9, 1, 2, 3, "left_eye"], ["keypoints"], most=9)
POINT = st.tuples(st.integers(-9, 50) | st.floats(-9, 50), st.integers(-9, 50), st.integers(0, 2))
KEYPOINTS = st.lists(POINT, min_size=2, max_size=4).map(
    lambda points: [v for p in points for v in p]
)
CHANGES = changes(sets.COCO, ("iscrowd",), VALUES | KEYPOINTS)
COLUMNS = [
    *("", "file", "0", "1", "2", "3", "x0", "y0", "v0", "x1", "a_x", "A_x", "a_y", "a_v", "b_x"),
    *("split", "class", "가_x", "가_y", " ", '"'),
]
CELLS = ["", "1.png", "0", "1", "2", "5.5", "train", "x", '"']


def legal(dataset: Dataset) -> int:
    """How many samples there are, each of them legal and to be read, or refused in words."""
    count = 0
    for samples in dataset.splits.values():
        assert len({sample.id for sample in samples}) == len(samples)
        for sample in samples:
            points, (height, width) = sample.points, sample.size
            assert points.shape == (len(dataset.classes), 3) and points.dtype == np.float32
            there = points[:, 2] > 0
            assert there.any() and np.isin(points[:, 2], (0, 1, 2)).all()
            assert (points[~there] == 0).all()
            if "#" not in sample.id:  # else a part: the limit is of its picture
                limit = np.array([width, height])
                slack = np.maximum(0.1 * limit, 0.5) + 1e-3
                inside = (points[there, :2] >= -slack) & (points[there, :2] <= limit + slack)
                assert inside.all()
            try:
                assert sample.read().shape == (height, width, 3)
            except DataError as error:
                assert error.problems[0].fix
            except AssertionError:  # the annotation lies about a whole picture; ``check`` says so
                assert dataset.format == "keypoints" and "#" not in sample.id
            count += 1
    return count


def in_table(data: bytes) -> int:
    rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    return sum(any(row) for row in rows) - 1


def in_json(data: bytes) -> int:
    records = json.loads(data)["annotations"]
    marked = (r for r in records if r.get("keypoints") and not r.get("iscrowd"))
    return sum(any(r["keypoints"][2::3]) for r in marked)


def is_missing(problem: Problem) -> bool:
    return problem.severity == "error" or "left out" in problem.why


RULES = (legal, is_missing)
COCO = json.dumps(sets.COCO)
TARGETS = {
    "csv": Target(sets.points, "points", "points.csv", sets.CSV, in_table, *RULES),
    "pts": Target(sets.pts, "pts", "1.pts", sets.PTS_1, lambda data: 2, *RULES),
    "json": Target(sets.keypoints, "keypoints", "person_keypoints.json", COCO, in_json, *RULES),
}


@pytest.mark.parametrize("name", TARGETS)
@MORE
@given(edits=EDITS)
@example(edits=[("insert", 0.5, 1, b"[" * 5000)])
@example(edits=[("replace", 0.0, 30, b"\xff\xfe")])
@example(edits=[("cut", 0.0, 10_000, b"")])
def test_damage_is_named(name: str, edits: Edits) -> None:
    TARGETS[name].attack(edits)


@MORE
@given(edits=CHANGES)
@example(edits=[(("categories", 0, "id"), [1])])
@example(edits=[(("annotations", 1, "image_id"), 7)])
def test_any_value_of_json_is_named(edits: Changes) -> None:
    TARGETS["json"].survives(changed(sets.COCO, edits))


@MORE
@given(
    header=st.lists(st.sampled_from(COLUMNS), max_size=8),
    cells=st.lists(st.sampled_from(CELLS), max_size=8),
)
def test_any_header_is_understood_or_named(header: list[str], cells: list[str]) -> None:
    text = f"{','.join(header)}\n{','.join(cells)}\n"
    TARGETS["csv"].survives(text.encode())


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
