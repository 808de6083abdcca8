"""The figures of masks against pycocotools (recorded), and against the boxes' where masks fill them."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boda.masks import boxes, of_outline, rasterize
from boda.metrics.detection import Detection, Found, Truth

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "masks.json").read_text("utf-8"))
STATS = [  # in the order of pycocotools
    *("mask_map", "mask_map50", "mask_map75", "mask_map_small", "mask_map_medium"),
    *("mask_map_large", "mask_ar1", "mask_ar10", "mask_ar", "mask_ar_small"),
    *("mask_ar_medium", "mask_ar_large"),
]


def column(rows, place, dtype):
    return np.array([row[place] for row in rows], dtype)


def stacked(masks, size):
    return np.stack(masks) if masks else np.zeros((0, *size), bool)


def recorded(part=slice(None)):
    size = tuple(GOLDEN["size"])
    metric = Detection([f"c{k}" for k in range(GOLDEN["classes"])], masks=True)
    for picture in GOLDEN["pictures"][part]:
        said, there = picture["found"], picture["truth"]
        ours, real = (
            stacked([rasterize([np.reshape(row[0], (-1, 2))], size) for row in rows], size)
            for rows in (said, there)
        )
        areas = column(there, 3, float)
        metric.update(
            Found(boxes(ours), column(said, 1, float), column(said, 2, int), ours),
            Truth(
                boxes(real),
                column(there, 1, int),
                column(there, 2, bool),
                np.where(areas > 0, areas, real.sum((1, 2))),
                real,
            ),
        )
    return metric


def test_the_twelve_figures_are_pycocotools():
    figures = recorded().compute()
    assert list(figures) == STATS
    assert np.abs(np.array(list(figures.values())) - GOLDEN["stats"]).max() < 1e-9
    assert figures["mask_map"] > 0.1 and GOLDEN["coco128"][0] > 0.1  # no record of zeros


def test_the_figures_of_each_class_are_pycocotools():
    rows = list(recorded().per_class().values())
    for name in ("ap", "ar"):
        for row, value in zip(rows, GOLDEN[name], strict=True):
            assert (row[name] is None) == (value == -1)
            assert row[name] is None or row[name] == pytest.approx(value, abs=1e-9)
    assert [row["support"] > 0 for row in rows] == [True] * 4 + [False]


def test_coco128_is_pycocotools(shared_data):
    data = json.loads((shared_data / "coco128" / "instances.json").read_text("utf-8"))
    kinds = sorted(category["id"] for category in data["categories"])
    rows = {image["id"]: [] for image in data["images"]}
    for n, row in enumerate(data["annotations"]):
        rows[row["image_id"]].append((n, row))
    metric = Detection([str(kind) for kind in kinds], masks=True)
    for image in sorted(data["images"], key=lambda image: image["id"]):
        there = rows[image["id"]]
        metric.update(*photographed(there, kinds, (image["height"], image["width"])))
    figures = np.array(list(metric.compute().values()))
    assert np.abs(figures - GOLDEN["coco128"]).max() < 1e-9
    # What is kept of the masks is much less than the masks.
    assert sum(each.both.nbytes for each in metric._shared) < 100_000


def photographed(rows, kinds, size):
    """As benchmarks/record_masks.py finds the objects: moved, some twice or as another class."""
    real = [of_outline(outline(row), size) for _, row in rows]
    found = []
    for (n, row), mask in zip(rows, real, strict=True):
        if n % 13 == 0:
            continue
        label = (kinds.index(row["category_id"]) + (n % 9 == 0)) % len(kinds)
        for twice in range(1 + (n % 4 == 0)):
            score = (n * 7919 + twice * 4001) % 10007 / 10007
            found.append((shifted(mask, n + 17 * twice), score, label))
    ours, real = stacked([row[0] for row in found], size), stacked(real, size)
    return (
        Found(boxes(ours), column(found, 1, float), column(found, 2, int), ours),
        Truth(
            boxes(real),
            np.array([kinds.index(row["category_id"]) for _, row in rows], int),
            np.array([row["iscrowd"] for _, row in rows], bool),
            np.array([row["area"] for _, row in rows], float),
            real,
        ),
    )


def outline(row):
    said = row["segmentation"]
    return said if isinstance(said, dict) else [np.reshape(polygon, (-1, 2)) for polygon in said]


def shifted(mask, n):
    dx, dy = (n % 5 - 2) * (1 + n % 3), (n * 3 % 7 - 3) * (1 + n % 2)
    height, width = mask.shape
    padded = np.pad(mask, 8)
    return padded[8 - dy : 8 - dy + height, 8 - dx : 8 - dx + width]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_masks_that_fill_their_boxes_have_the_boxes_figures(seed):
    rng = np.random.default_rng(seed)
    by_mask, by_box = Detection(["a", "b"], masks=True), Detection(["a", "b"])
    for _ in range(3):
        told = []
        for n in rng.integers([0, 1], [9, 6]):
            corners = rng.integers(0, 10, (n, 2))
            places = np.hstack([corners, corners + rng.integers(1, 8, (n, 2))]).astype(float)
            labels, masks = rng.integers(0, 2, n), np.zeros((n, 20, 20), bool)
            for mask, (x1, y1, x2, y2) in zip(masks, places.astype(int), strict=True):
                mask[y1:y2, x1:x2] = True
            told.append((places, labels, masks))
        (ours, labels, masks), (real, kinds, true) = told
        scores, crowd = rng.integers(1, 5, len(ours)) / 4, rng.random(len(real)) < 0.3
        crowd[0] = False
        for metric in (by_mask, by_box):
            metric.update(Found(ours, scores, labels, masks), Truth(real, kinds, crowd, None, true))
    figures = {f"mask_{name}": value for name, value in by_box.compute().items()}
    assert by_mask.compute() == figures and by_mask.per_class() == by_box.per_class()
    assert by_mask.voc() == by_box.voc() and by_mask.voc(11) == by_box.voc(11)
    for score in (0.0, 0.5):
        assert np.array_equal(by_mask.confusion(score), by_box.confusion(score))


def test_masks_in_one_box_are_told_apart():
    upper = np.triu(np.ones((1, 20, 20), bool))
    lower, box, labels = ~upper, np.array([[0.0, 0, 20, 20]]), np.zeros(1, int)
    truth = Truth(box, labels, masks=upper)
    for masks, found, right in [(True, upper, 1), (True, lower, 0), (False, lower, 1)]:
        metric = Detection(["cat"], masks)
        metric.update(Found(box, np.ones(1), labels, found), truth)
        assert metric.compute()["mask_" * masks + "map50"] == pytest.approx(right)
        assert metric.curve(0)["precision"].tolist() == [right]
        assert metric.confusion().tolist() == [[right, 1 - right], [1 - right, 0]]
    metric.update(Found(box, np.ones(1), labels), truth)  # of boxes: masks need not be there


def test_without_areas_a_size_is_the_mask():
    thin, labels = np.zeros((1, 60, 60), bool), np.zeros(1, int)
    thin[0, :10] = True  # 600 pixels, though one more makes a box of 3,600
    thin[0, 59, 59] = True
    metric = Detection(["cat"], masks=True)
    metric.update(
        Found(boxes(thin), np.ones(1), labels, thin), Truth(boxes(thin), labels, masks=thin)
    )
    assert metric.compute()["mask_map_small"] == pytest.approx(1)
    assert "mask_map_medium" not in metric.compute()


def test_merging_is_as_if_fed_by_one():
    one, other = recorded(slice(30)), recorded(slice(30, None))
    one.merge(other)
    assert one.compute() == recorded().compute()
    with pytest.raises(ValueError, match="boxes and of masks"):
        one.merge(Detection(one.classes))


def test_masks_that_cannot_be_counted_are_not():
    box, labels, mask = np.array([[0.0, 0, 4, 4]]), np.zeros(1, int), np.ones((1, 4, 4), bool)
    good = Found(box, np.ones(1), labels, mask)
    for found, truth, why in [
        (Found(box, np.ones(1), labels), Truth(box, labels, masks=mask), "detections have no"),
        (good, Truth(box, labels), "objects have no masks"),
        (good, Truth(box, labels, masks=mask[0]), "bool"),
        (good, Truth(box, labels, masks=mask.repeat(2, 0)), "one a box"),
        (good, Truth(box, labels, masks=mask.astype(np.uint8)), "uint8"),
        (good, Truth(box, labels, masks=np.ones((1, 4, 5), bool)), "in one picture"),
    ]:
        metric = Detection(["cat"], masks=True)
        with pytest.raises(ValueError, match=why):
            metric.update(found, truth)
        assert metric.samples == 0
        none = np.zeros((0, 4))
        metric.update(Found(none, np.zeros(0), np.zeros(0, int)), Truth(box, labels, masks=mask))
        assert metric.compute()["mask_ar"] == 0
