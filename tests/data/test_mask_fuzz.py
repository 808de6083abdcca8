"""Masks that were damaged anyhow: only problems and ``DataError`` come out, and all can be drawn."""

from __future__ import annotations

import io
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from boda.data.readers import read
from boda.errors import DataError
from boda.masks import of_outline
from boda.types import Dataset
from tests.data import detection_sets, mask_sets
from tests.data.fuzzing import EDIT, EDITS, LONG, QUICK, Edits, Target, values
from tests.data.test_detection_fuzz import count_boxes, is_error


def count_masks(dataset: Dataset) -> int:
    """The objects; each has a legal box, and an outline that can be drawn inside it."""
    for samples in dataset.splits.values():
        for sample in samples:
            outlines = sample.outlines or []
            assert sample.outlines is None or len(outlines) == len(sample.boxes)
            for outline, (x1, y1, x2, y2) in zip(outlines, sample.boxes, strict=False):
                mask = of_outline(outline, sample.size)
                y, x = np.nonzero(mask)
                if len(x):  # the pixel whose middle is nearest to the edge may lie on either side
                    assert x.min() + 1 >= x1 and x.max() <= x2
                    assert y.min() + 1 >= y1 and y.max() <= y2
    return count_boxes(dataset)


def in_via(data: bytes) -> int:
    content = json.loads(data.decode("utf-8-sig"))
    content = content.get("_via_img_metadata", content)
    return sum(len(record.get("regions") or ()) for record in content.values())


def in_labelme(data: bytes) -> int:
    content = json.loads(data.decode("utf-8-sig"))
    alone = [shape for shape in content["shapes"] if shape.get("group_id") is None]
    groups = {
        (shape["label"].strip(), shape["group_id"])
        for shape in content["shapes"]
        if shape.get("group_id") is not None
    }
    return len(alone) + len(groups) + 1  # 2.json, which is sound, has one


SHAPES = [
    mask_sets.shape(mask_sets.RECTANGLE, group_id=1),
    mask_sets.shape([(22, 2), (30, 9)], group_id=1, shape_type="rectangle"),
    mask_sets.shape([(22, 12), (27, 12)], shape_type="circle"),
]
LABELME = {**mask_sets.LABELME["1.png"], "shapes": SHAPES}
SAID = {"name": "object"}
REGIONS: list[Any] = [
    mask_sets.region(mask_sets.RECTANGLE, **SAID),
    *(
        {"shape_attributes": shape, "region_attributes": SAID}
        for shape in (
            {"name": "rect", "x": 4, "y": 5, "width": 16, "height": 20},
            {"name": "ellipse", "cx": 20, "cy": 15, "rx": 6, "ry": 3, "theta": 0.5},
        )
    ),
]
VIA: dict[str, Any] = {
    "1.png0": {"filename": "1.png", "size": 0, "regions": REGIONS},
    "2.png1": mask_sets.VIA["2.png1"],
}
RULES = (count_masks, is_error)
TARGETS = {
    "via": Target(mask_sets.via, "via", "via_region_data.json", json.dumps(VIA), in_via, *RULES),
    "labelme": Target(
        mask_sets.labelme, "labelme", "1.json", json.dumps(LABELME, indent=1), in_labelme, *RULES
    ),
}
NEW = values([1, "object", "polygon", "rect", "circle", "mask"], ["name", "r", "label"], most=4)
PATHS = {
    "via": [
        *(["1.png0", key] for key in ("filename", "regions")),
        *(["1.png0", "regions", i, "shape_attributes", key]
          for i, region in enumerate(REGIONS) for key in region["shape_attributes"]),
        *(["1.png0", "regions", i, "region_attributes"] for i in range(3)),
        *(["1.png0", "regions", i] for i in range(3)),
    ],
    "labelme": [
        *([key] for key in LABELME),
        *(["shapes", i, key] for i in range(3) for key in (*SHAPES[0], "mask")),
        *(["shapes", i] for i in range(3)),
    ],
}  # fmt: skip
SOUND: dict[str, Any] = {"via": VIA, "labelme": LABELME}


@st.composite
def changed(draw: st.DrawFn, kind: str) -> bytes:
    """Sound JSON of which up to three values are anything."""
    content = json.loads(json.dumps(SOUND[kind]))
    for path in draw(st.lists(st.sampled_from(PATHS[kind]), min_size=1, max_size=3)):
        inner = content
        for step in path[:-1]:
            try:
                inner = inner[step]
            except (TypeError, KeyError, IndexError):
                inner = None
        key = path[-1]
        fits = isinstance(inner, list) and isinstance(key, int) and key < len(inner)
        if fits or (isinstance(inner, dict) and isinstance(key, str)):
            inner[key] = draw(NEW)
    return json.dumps(content).encode()


@pytest.mark.parametrize("name", TARGETS)
@QUICK
@given(edits=EDITS)
@example(edits=[("insert", 0.5, 1, b"[" * 5000)])
@example(edits=[("replace", 0.0, 30, b"\xff\xfe")])
@example(edits=[("cut", 0.0, 10_000, b"")])
def test_damage_is_named(name: str, edits: Edits) -> None:
    TARGETS[name].attack(edits)


@pytest.mark.parametrize("name", TARGETS)
@QUICK
@given(data=st.data())
def test_any_value_of_json_is_named(name: str, data: st.DataObject) -> None:
    TARGETS[name].survives(data.draw(changed(name)))


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
@LONG
@given(edits=EDITS)
def test_much_damage_is_named(name: str, edits: Edits) -> None:
    TARGETS[name].attack(edits)


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
@LONG
@given(data=st.data())
def test_many_values_of_json_are_named(name: str, data: st.DataObject) -> None:
    TARGETS[name].survives(data.draw(changed(name)))


# ---- masks that are pictures


def attack_png(format: str, file: str, edits: Edits) -> None:
    """The file is named, or its objects are those that Pillow alone finds in it."""
    root = Path(tempfile.mkdtemp())
    try:
        mask_sets.MAKERS[format](root)
        data = (root / file).read_bytes()
        for how, where, count, token in edits:
            at = int(where * len(data))
            middle = {"insert": token + data[at : at + count], "replace": token, "cut": b""}
            data = data[:at] + middle.get(how, data[at : at + count] * 2) + data[at + count :]
        (root / file).write_bytes(data)
        try:
            dataset = read(root, format)
        except DataError as error:
            assert all(problem.why and problem.fix for problem in error.problems)
            return
        count_masks(dataset)
        if any(problem.file.endswith(file) for problem in dataset.problems):
            return
        numbers = np.asarray(Image.open(io.BytesIO(data)))
        first = next(s for s in dataset.splits["all"] if Path(s.id).name == "1.png")
        masks = [of_outline(outline, first.size) for outline in first.outlines]
        if format == "dsb":
            np.testing.assert_array_equal(masks[0], numbers > 0)
        else:
            values = [value for value in np.unique(numbers) if value]
            np.testing.assert_array_equal(masks, [numbers == value for value in values])
    finally:
        shutil.rmtree(root)


FILES = {"instance-png": "masks/1.png", "dsb": "1/masks/0a.png"}


@pytest.mark.parametrize("format", FILES)
@QUICK
@given(edits=st.lists(EDIT, max_size=3))
def test_a_damaged_mask_is_named(format: str, edits: Edits) -> None:
    attack_png(format, FILES[format], edits)


@pytest.mark.slow
@pytest.mark.parametrize("format", FILES)
@LONG
@given(edits=st.lists(EDIT, max_size=3))
def test_many_damaged_masks_are_named(format: str, edits: Edits) -> None:
    attack_png(format, FILES[format], edits)


# ---- outlines of COCO: what is read can be drawn


OUTLINE = st.one_of(
    st.lists(st.lists(st.floats() | st.integers(), max_size=9), max_size=2),
    st.fixed_dictionaries(
        {
            "size": st.just([30, 40]) | st.lists(st.integers(), max_size=3),
            "counts": st.text(max_size=20)
            | st.text(st.characters(min_codepoint=48, max_codepoint=112), max_size=20)
            | st.lists(st.integers(-5, 1200) | st.integers(), max_size=4),
        }
    ),
)


def survive_outline(outline: Any) -> None:
    content = json.loads(json.dumps(detection_sets.COCO))
    content["annotations"][0]["segmentation"] = outline
    root = Path(tempfile.mkdtemp())
    try:
        dataset = read(detection_sets.coco(root, json.dumps(content)), "coco")
        for sample in dataset.splits["all"]:
            for each in sample.outlines or ():
                assert of_outline(each, sample.size).shape == sample.size
    finally:
        shutil.rmtree(root)


@QUICK
@given(outline=OUTLINE)
def test_an_outline_that_is_read_can_be_drawn(outline: Any) -> None:
    survive_outline(outline)


@pytest.mark.slow
@LONG
@given(outline=OUTLINE)
def test_many_outlines_that_are_read_can_be_drawn(outline: Any) -> None:
    survive_outline(outline)
