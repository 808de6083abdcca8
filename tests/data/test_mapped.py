"""Objects as classes of pixels: what is drawn, in which order, and what is ignored."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from boda.data import mapped
from boda.data.check import check
from boda.data.classes import by_name
from boda.data.readers import read
from boda.errors import DataError
from boda.types import Dataset, Sample
from tests.data import detection_sets, mask_sets

SQUARES = {  # name → x1, y1, x2, y2
    "large": (0, 0, 30, 20),
    "small": (5, 5, 15, 15),
    "late": (10, 10, 20, 20),
}


def square(x1: int, y1: int, x2: int, y2: int) -> list[np.ndarray]:
    return [np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], np.float64)]


def dataset(names: list[str], classes: list[str], crowd: list[bool] | None = None) -> Dataset:
    """One picture, 20 × 30, with those squares; the class of each is its name."""
    boxes = [SQUARES[name] for name in names]
    sample = Sample(
        "1",
        "1.json",
        boxes=np.array(boxes, np.float32),
        labels=np.array([classes.index(name) for name in names]),
        outlines=[square(*box) for box in boxes],
        crowd=None if crowd is None else np.array(crowd),
        size=(20, 30),
    )
    return Dataset(Path("data"), "coco", "segment", classes, {"train": [sample]})


def painted(order: list[tuple[str, int]]) -> np.ndarray:
    """A loop over pixels: the last square in the order that holds a pixel says its value."""
    out = np.zeros((20, 30), np.uint8)
    for y in range(20):
        for x in range(30):
            for name, value in order:
                x1, y1, x2, y2 = SQUARES[name]
                if x1 <= x < x2 and y1 <= y < y2:
                    out[y, x] = value
    return out


def test_the_smaller_is_on_top_and_of_equal_ones_the_later() -> None:
    classes = ["large", "late", "small"]
    made = mapped.with_maps(dataset(["small", "late", "large"], classes))
    assert (made.classes, made.task) == (["background", *classes], "segment")
    (sample,) = made.splits["train"]
    assert sample.boxes is None and sample.outlines is None
    wanted = painted([("large", 1), ("small", 3), ("late", 2)])
    np.testing.assert_array_equal(sample.class_map, wanted)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(sample)).class_map, wanted)
    other = mapped.with_maps(dataset(["late", "large", "small"], classes))
    (sample,) = other.splits["train"]
    np.testing.assert_array_equal(
        sample.class_map, painted([("large", 1), ("late", 2), ("small", 3)])
    )


def test_crowds_are_ignored_but_for_what_is_seen_before_them() -> None:
    classes = ["large", "late", "small"]
    made = mapped.with_maps(dataset(["small", "late"], classes, [True, False]))
    (sample,) = made.splits["train"]
    np.testing.assert_array_equal(sample.class_map, painted([("small", 255), ("late", 2)]))


def test_a_crowd_without_an_outline_is_its_box() -> None:
    data = dataset(["small", "late"], ["late", "small"], [True, False])
    (sample,) = data.splits["train"]
    assert sample.outlines is not None
    sample.outlines[0] = None
    (sample,) = mapped.with_maps(data).splits["train"]
    np.testing.assert_array_equal(sample.class_map, painted([("small", 255), ("late", 1)]))


def test_a_class_called_background_is_the_ground() -> None:
    data = dataset(["large", "small"], ["Background", "large", "small"])
    (sample,) = data.splits["train"]
    assert sample.labels is not None
    sample.labels = np.array([1, 0])  # a hole that someone drew
    made = mapped.with_maps(data)
    assert made.classes == ["background", "large", "small"]
    (sample,) = made.splits["train"]
    np.testing.assert_array_equal(sample.class_map, painted([("large", 1), ("small", 0)]))


def test_pixels_and_digests() -> None:
    classes = ["late", "small"]
    one, same, other = (
        mapped.with_maps(dataset(names, classes)).splits["train"][0]
        for names in (["small"], ["small"], ["late"])
    )
    assert mapped.pixels(one, 3).tolist() == np.bincount(one.class_map.ravel()).tolist()
    assert mapped.digest(one) == mapped.digest(same) != mapped.digest(other)
    drawn = Sample("1", "1", semantic=one.class_map)
    assert mapped.pixels(drawn, 3).tolist() == [500, 0, 100]
    assert mapped.digest(drawn) == mapped.digest(Sample("2", "2", semantic=one.class_map.copy()))


def test_too_many_classes() -> None:
    classes = ["small", *(f"c{i}" for i in range(254))]
    with pytest.raises(DataError, match="255 classes"):
        mapped.with_maps(dataset(["small"], classes))


def test_classes_are_matched_by_name() -> None:
    """A run's classes in another order, with one that the data has not."""
    data = mapped.with_maps(dataset(["large", "small"], ["large", "small"]))
    (before,) = data.splits["train"]
    wanted = before.class_map.copy()
    moved = by_name(data, ["small", "sky", "background", "large"])
    (sample,) = pickle.loads(pickle.dumps(moved)).splits["train"]
    for old, new in ((0, 2), (1, 3), (2, 0)):
        np.testing.assert_array_equal(sample.class_map == new, wanted == old)
    assert mapped.pixels(sample, 4).tolist() == [100, 0, 0, 600]  # what is hidden is not seen
    assert mapped.digest(sample) != mapped.digest(before)
    drawn = Sample("1", "1", semantic=np.array([[0, 1, 255]], np.uint8))
    held = Dataset(Path("data"), "masks", "segment", ["a", "b"], {"train": [drawn]})
    (sample,) = by_name(held, ["b", "a"]).splits["train"]
    assert sample.class_map.tolist() == [[1, 0, 255]]


@pytest.mark.parametrize("format", mask_sets.MAKERS)
def test_every_format_of_masks_serves(format: str, tmp_path: Path) -> None:
    root = mask_sets.MAKERS[format](tmp_path)
    # By themselves values of a PNG are classes: that they number objects must be said.
    named = format if format == "instance-png" else None
    data = read(root, named, task="segment")
    assert (data.format, data.classes) == (format, ["background", "object"])
    assert data.problems == []
    for sample in data.splits["all"]:
        wanted = np.any(mask_sets.TRUTH[Path(sample.id).name], axis=0)
        np.testing.assert_array_equal(sample.class_map, wanted.astype(np.uint8))
    report = check(data)
    assert report.errors == [] and "objects" not in report.to_dict()


def test_coco_with_polygons_serves_and_boxes_do_not(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no object has an outline"):
        read(detection_sets.coco(tmp_path / "a"), task="segment")
    content = json.loads(json.dumps(detection_sets.COCO))
    for annotation in content["annotations"]:
        x, y, w, h = annotation["bbox"]
        annotation["segmentation"] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
    data = read(detection_sets.coco(tmp_path / "b", content), task="segment")
    assert data.classes == ["background", "고양이", "dog"]
    first = data.splits["all"][0].class_map
    wanted = np.full((30, 40), 2)
    wanted[5:25, 4:20] = 1
    np.testing.assert_array_equal(first, wanted)


def test_pennfudan_is_people_and_ground(shared_data: Path) -> None:
    data = read(shared_data / "pennfudan", task="segment")
    assert (data.format, data.classes, data.problems) == (
        "instance-png",
        ["background", "person"],
        [],
    )
    assert len(data.splits["all"]) == 170
    for sample in data.splits["all"][::17]:
        numbers = np.asarray(Image.open(sample.source))
        np.testing.assert_array_equal(sample.class_map, numbers > 0)
