"""The readers of drawn shapes: their classes, their areas, and every wrong shape named in its place."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from boda.data.readers import READERS, read
from boda.data.tree import open_tree
from boda.errors import UsageError
from tests.data import detection_sets, mask_sets
from tests.data.mask_sets import RECTANGLE, TRUTH, block, region, save, shape
from tests.data.test_mask_readers import assert_same, errors, masks_of, one_error, told

# ---- VIA


def via_with(root: Path, *regions: Any) -> Path:
    content = {"1.png0": {"filename": "1.png", "size": 0, "regions": list(regions)}}
    return mask_sets.via(root, {**content, "2.png1": mask_sets.VIA["2.png1"]})


def test_projects_and_the_first_version_are_read(tmp_path: Path) -> None:
    project = {
        "_via_settings": {"ui": {}},
        "_via_img_metadata": mask_sets.VIA,
        "_via_attributes": {"region": {}, "file": {}},
    }
    assert_same(told(read(mask_sets.via(tmp_path / "project", project))), TRUTH)
    first = {
        key: {
            "fileref": "",
            "size": 1,
            "filename": record["filename"],
            "base64_img_data": "",
            "regions": {
                str(i): {**region, "region_attributes": {}}
                for i, region in enumerate(record["regions"])
            },
        }
        for key, record in mask_sets.VIA.items()
    }
    dataset = read(mask_sets.via(tmp_path / "first", first))
    assert dataset.classes == ["object"], "no region has attributes"
    assert_same(told(dataset), TRUTH)


def test_the_class_is_an_attribute(tmp_path: Path) -> None:
    checked = {"dog": True, "고양이": False}
    regions = [
        region(RECTANGLE, type="고양이", quality="good"),
        region(RECTANGLE, type=checked, quality="bad"),
        region(RECTANGLE, type=" dog "),
    ]
    content = {"a": {"filename": "1.png", "regions": regions}}
    dataset = read(mask_sets.via(tmp_path / "a", content))
    assert dataset.classes == ["dog", "고양이"]
    assert dataset.splits["all"][0].labels.tolist() == [1, 0, 0]
    content["a"]["regions"] = [region(RECTANGLE, colour="red", quality="good")]
    (problem,) = errors(mask_sets.via(tmp_path / "b", content))
    assert "'colour', 'quality'" in problem.why and "'class'" in problem.fix


def test_shapes_of_via_have_their_area(tmp_path: Path) -> None:
    shapes = [
        ({"name": "rect", "x": 4, "y": 5, "width": 16, "height": 20}, 320.0),
        ({"name": "circle", "cx": 20, "cy": 15, "r": 12}, np.pi * 144),
        ({"name": "ellipse", "cx": 20, "cy": 15, "rx": 15, "ry": 6}, np.pi * 90),
        (
            {"name": "ellipse", "cx": 20, "cy": 15, "rx": 12, "ry": 5, "theta": 1.5707964},
            np.pi * 60,
        ),
        ({**region([*RECTANGLE, RECTANGLE[0]], "polyline")["shape_attributes"]}, 320.0),
    ]
    regions = [{"shape_attributes": s, "region_attributes": {"name": "object"}} for s, _ in shapes]
    sample = read(via_with(tmp_path, *regions)).splits["all"][0]
    np.testing.assert_allclose(sample.areas, [area for _, area in shapes], rtol=0.01)
    np.testing.assert_allclose(masks_of(sample).sum((1, 2)), sample.areas, rtol=0.04)
    expected = [[4, 5, 20, 25], [8, 3, 32, 27], [5, 9, 35, 21], [15, 3, 25, 27], [4, 5, 20, 25]]
    np.testing.assert_allclose(sample.boxes, expected, atol=0.1)


def test_what_was_drawn_over_the_edge_is_cut_off(tmp_path: Path) -> None:
    out = [(30, 20), (43, 20), (43, 32), (30, 32)]
    root = via_with(tmp_path, region(out, name="object"))
    dataset = read(root)
    sample = dataset.splits["all"][0]
    assert sample.boxes.tolist() == [[30, 20, 40, 30]] and sample.areas.tolist() == [100]
    np.testing.assert_array_equal(masks_of(sample)[0], block((30, 40), (30, 20, 40, 30)))
    (problem,) = dataset.problems
    assert problem.severity == "warning" and "by 3 pixels" in problem.why


WRONG_REGIONS: dict[str, tuple[Any, str]] = {
    "point": (
        {"shape_attributes": {"name": "point", "cx": 1, "cy": 2}, "region_attributes": {}},
        "region_attributes.name]: names no class",
    ),
    "line": (region(RECTANGLE, "polyline", name="object"), "20 pixels lie between its ends"),
    "two": (region(RECTANGLE[:2], name="object"), "2 points enclose nothing"),
    "flat": (region([(1, 1), (5, 5), (9, 9)], name="object"), "encloses nothing"),
    "far": (region([(1, 1), (48, 1), (48, 9)], name="object"), "leaves the picture, 40×30, by 8"),
    "elsewhere": (region([(1, 1), (1e6, 1), (9, 9)], name="object"), "far outside the picture"),
    "text": ("rect", "is no JSON object"),
    "shapeless": ({"region_attributes": {"name": "object"}}, "has no shape_attributes"),
    "radius": (
        {
            "shape_attributes": {"name": "circle", "cx": 9, "cy": 9, "r": 0},
            "region_attributes": {"name": "object"},
        },
        "its radii are 0",
    ),
    "uneven": (
        {
            "shape_attributes": {"name": "polygon", "all_points_x": [1, 2], "all_points_y": [3]},
            "region_attributes": {"name": "object"},
        },
        "not as many x as y",
    ),
    "nameless": (region(RECTANGLE), "names no class"),
    "long": (
        region([(i % 2 * 39, i % 29) for i in range(60_000)], name="object"),
        "pixels long",
    ),
}


@pytest.mark.parametrize("case", WRONG_REGIONS)
def test_a_wrong_region_is_named(case: str, tmp_path: Path) -> None:
    wrong, why = WRONG_REGIONS[case]
    root = via_with(tmp_path, region(RECTANGLE, name="object"), wrong)
    message = one_error(root)
    assert why in message and "['1.png0'].regions[1]" in message
    assert message.startswith(str(root / "via_region_data.json"))
    assert [sample.id for sample in read(root).splits["all"]] == ["2.png"]


def test_a_picture_of_via_that_is_missing_or_named_twice(tmp_path: Path) -> None:
    content = {**mask_sets.VIA, "3.png": {"filename": "3.png", "regions": []}}
    assert "'3.png' is missing" in one_error(mask_sets.via(tmp_path / "a", content))
    content = {**mask_sets.VIA, "again": mask_sets.VIA["1.png0"]}
    root = mask_sets.via(tmp_path / "b", content)
    assert "is named twice" in one_error(root)
    assert [sample.id for sample in read(root).splits["all"]] == ["2.png"]
    for text in ('{"_via_img_metadata": [', '{"_via_img_metadata": []}'):
        (problem,) = errors(mask_sets.via(tmp_path / "c", text))
        assert problem.fix


# ---- LabelMe


def labelme_with(root: Path, *shapes: Any, **fields: Any) -> Path:
    return mask_sets.labelme(root, {**mask_sets.LABELME["1.png"], "shapes": [*shapes], **fields})


def test_groups_join_the_parts_of_an_object(tmp_path: Path) -> None:
    left, right = [(1, 1), (9, 9)], [(20, 1), (29, 9)]
    shapes = [
        shape(left, "dog", group_id=4, shape_type="rectangle"),
        shape(RECTANGLE, "cat", group_id=4),
        shape(right, "dog", group_id=4, shape_type="rectangle"),
        shape(right, "dog", shape_type="rectangle"),
    ]
    dataset = read(labelme_with(tmp_path, *shapes))
    sample = dataset.splits["all"][0]
    assert [dataset.classes[label] for label in sample.labels] == ["dog", "cat", "dog"]
    both = block((30, 40), (1, 1, 9, 9), (20, 1, 29, 9))
    masks = masks_of(sample)
    np.testing.assert_array_equal(masks[0], both)
    np.testing.assert_array_equal(masks[2], block((30, 40), (20, 1, 29, 9)))
    assert sample.areas.tolist() == [64 + 72, 320, 72]
    assert sample.boxes[0].tolist() == [1, 1, 29, 9]


def test_circles_and_bitmaps(tmp_path: Path) -> None:
    bits = np.random.default_rng(3).random((6, 9)) > 0.4
    bits[[0, -1], [0, -1]] = True
    png = io.BytesIO()
    Image.fromarray(bits).save(png, "PNG")
    text = base64.b64encode(png.getvalue()).decode()
    shapes = [
        shape([(20, 15), (20, 25)], shape_type="circle"),
        shape([(30, 4), (38, 9)], shape_type="mask", mask=text),
        shape([(30, 4), (38, 9)], shape_type="mask", mask=text, group_id=1),
        shape(RECTANGLE, group_id=1),
    ]
    sample = read(labelme_with(tmp_path, *shapes)).splits["all"][0]
    masks = masks_of(sample)
    assert abs(masks[0].sum() - np.pi * 100) < 12 and abs(sample.areas[0] - np.pi * 100) < 3
    expected = np.zeros((30, 40), bool)
    expected[4:10, 30:39] = bits
    np.testing.assert_array_equal(masks[1], expected)
    np.testing.assert_array_equal(masks[2], expected | block((30, 40), (4, 5, 20, 25)))


def test_pictures_elsewhere(tmp_path: Path) -> None:
    """In a folder of their own, by a path of Windows; renamed since."""
    for number, path in enumerate(["..\\images\\1.png", "C:\\Users\\a\\1.png", "1.png"]):
        root = tmp_path / str(number)
        mask_sets.pictures(root / "images")
        content = {**mask_sets.LABELME["1.png"], "imagePath": path, "imageData": "A" * 9000}
        mask_sets.write(root / "json" / "1.json", json.dumps(content))
        (root / "images" / "2.png").unlink()
        dataset = read(root)
        assert dataset.problems == []
        assert_same(told(dataset), {"1.png": TRUTH["1.png"]})
    root = labelme_with(tmp_path / "renamed", shape(RECTANGLE), imagePath="old.png")
    (problem,) = read(root).problems
    assert problem.severity == "warning" and "'old.png' is missing; 1.png is taken" in problem.why


WRONG_SHAPES: dict[str, tuple[Any, str]] = {
    "line": (shape(RECTANGLE, shape_type="linestrip"), "'linestrip' has no inside"),
    "two": (shape(RECTANGLE[:2]), "2 points enclose nothing"),
    "corners": (shape(RECTANGLE[:3], shape_type="rectangle"), "has 3 points, not 2"),
    "number": (shape([(1, "a"), (2, 3), (4, 5)]), "'a' is no number"),
    "points": ({"label": "a", "points": [1, 2]}, "the points are not"),
    "label": (shape(RECTANGLE, ""), "names no class"),
    "group": (shape(RECTANGLE, group_id=[1]), "group_id is a list"),
    "flat": (shape([(1, 1), (5, 5), (9, 9)]), "encloses nothing"),
    "far": (shape([(-9, 1), (8, 1), (8, 9)]), "leaves the picture, 40×30, by 9"),
    "base64": (shape([(1, 1), (2, 2)], shape_type="mask", mask="&"), "is no base64"),
    "bits": (shape([(1, 1), (2, 2)], shape_type="mask", mask="AAAA"), "is not a picture"),
    "place": (shape([(1, 1), (50, 2)], shape_type="mask", mask=""), "corners are not in"),
    "text": ("polygon", "is no JSON object"),
}


@pytest.mark.parametrize("case", WRONG_SHAPES)
def test_a_wrong_shape_is_named(case: str, tmp_path: Path) -> None:
    wrong, why = WRONG_SHAPES[case]
    root = labelme_with(tmp_path, shape(RECTANGLE), wrong)
    text = (root / "1.json").read_text().split("\n")
    message = one_error(root)
    assert why in message and f"{root / '1.json'}:" in message and "shapes[1]" in message
    line = int(message.split(":")[1].split()[0])
    assert text[line - 1].startswith("  {" if isinstance(wrong, dict) else '  "polygon"')
    assert [sample.id for sample in read(root).splits["all"]] == ["2.png"]


def test_a_wrong_file_of_labelme_is_named(tmp_path: Path) -> None:
    root = labelme_with(tmp_path / "a", shape(RECTANGLE), imageHeight=31)
    assert "imageHeight is 31" in one_error(root)
    unsized = {"imagePath": "2.png", "imageHeight": None, "imageWidth": None}
    root = labelme_with(tmp_path / "b", shape(mask_sets.SMALL), **unsized)
    assert "is also that of" in one_error(root)
    root = mask_sets.labelme(tmp_path / "c", '{"shapes": 3}')
    assert "has no list 'shapes'" in one_error(root)
    root = mask_sets.labelme(tmp_path / "d")
    (root / "1.png").unlink()
    assert "'1.png' is missing" in one_error(root)
    root = mask_sets.labelme(tmp_path / "e", "")
    (problem,) = errors(root)
    assert problem.file.endswith("1.json")


# ---- formats that had outlines before


def test_a_polygon_of_coco_that_no_memory_could_draw_is_refused(tmp_path: Path) -> None:
    long = [v for i in range(60_000) for v in (i % 2 * 39, i % 29)]
    for polygon in ([0, 0, 1e9, 0, 1e9, 1e9], long):
        content = json.loads(json.dumps(detection_sets.COCO))
        content["annotations"][0]["segmentation"] = [polygon]
        root = detection_sets.coco(tmp_path / str(len(polygon)), content)
        (problem,) = read(root).problems
        assert problem.severity == "warning" and "a polygon" in problem.why


@pytest.mark.parametrize("counts", ["\x7f", "0", "1" * 40, "oooooooooooooooooo1", [1 << 47] * 9])
def test_a_run_length_code_that_is_none_is_refused(counts: Any, tmp_path: Path) -> None:
    content = json.loads(json.dumps(detection_sets.COCO))
    content["annotations"][0]["segmentation"] = {"size": [30, 40], "counts": counts}
    (problem,) = read(detection_sets.coco(tmp_path, content)).problems
    assert problem.severity == "warning" and problem.field == "annotations[0].segmentation"


def test_a_polygon_of_yolo_is_a_mask(tmp_path: Path) -> None:
    corners = [c / s for x, y in mask_sets.CORNER for c, s in ((x, 40), (y, 30))]
    line = " ".join(["1", *(repr(value) for value in corners)])
    root = detection_sets.yolo(tmp_path, f"{line}\n", "0 0.1 0.15 0.4 0.15 0.4 0.45 0.1 0.45\n")
    first, second = read(root, task="instances").splits["all"]
    np.testing.assert_array_equal(masks_of(first)[0], TRUTH["1.png"][1])
    np.testing.assert_array_equal(masks_of(second)[0], TRUTH["2.png"][0])
    assert first.boxes.tolist() == [[22, 2, 38, 28]]


def test_class_folders_called_mask_are_classes(tmp_path: Path) -> None:
    for name in ("mask", "no_mask"):
        save(np.zeros((9, 9, 3), np.uint8), tmp_path / "faces" / name / "1.png")
    assert read(tmp_path / "faces").format == "folders"


def test_two_ways_to_read_are_both_named(tmp_path: Path) -> None:
    root = mask_sets.via(tmp_path)
    mask_sets.labelme(root)
    with pytest.raises(UsageError, match="'labelme' and 'via'"):
        read(root)
    assert [n for n in READERS.names() if READERS[n]().recognizes(open_tree(root))] == [
        "labelme",
        "via",
    ]
