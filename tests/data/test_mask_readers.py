"""The readers of masks: the same objects out of every format, every wrong record named in its place."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from boda.cli import show
from boda.data.check import check
from boda.data.convert import convert
from boda.data.readers import read
from boda.errors import DataError, Problem
from boda.masks import boxes as boxes_of
from boda.masks import of_outline
from boda.types import Dataset, Sample
from tests.data import detection_sets, mask_sets
from tests.data.mask_sets import TRUTH, block, region, save


def masks_of(sample: Sample) -> np.ndarray:
    """(N, H, W) bool, from the outlines."""
    assert sample.outlines is not None
    return np.array([of_outline(outline, sample.shape) for outline in sample.outlines])


def told(dataset: Dataset) -> dict[str, list[np.ndarray]]:
    """Picture → its masks; their boxes and areas are seen to fit."""
    found = {}
    for samples in dataset.splits.values():
        for sample in samples:
            masks = masks_of(sample)
            np.testing.assert_array_equal(sample.boxes, boxes_of(masks))
            np.testing.assert_array_equal(sample.areas, masks.sum((1, 2)))
            found[Path(sample.id).name] = list(masks)
    return found


def assert_same(found: dict[str, list[np.ndarray]], truth: dict[str, list[np.ndarray]]) -> None:
    assert found.keys() == truth.keys()
    for name, masks in truth.items():
        assert len(found[name]) == len(masks), name
        for a, b in zip(found[name], masks, strict=True):
            np.testing.assert_array_equal(a, b)


def errors(path: Path, format: str | None = None) -> list[Problem]:
    """The errors, however they are told."""
    try:
        dataset = read(path, format)
    except DataError as error:
        return list(error.problems)
    return [problem for problem in dataset.problems if problem.severity == "error"]


def one_error(path: Path, format: str | None = None) -> str:
    (problem,) = errors(path, format)
    assert problem.fix
    return str(problem)


# ---- what all formats have in common


@pytest.mark.parametrize("format", mask_sets.MAKERS)
def test_the_same_masks_come_out_of_every_format(format: str, tmp_path: Path) -> None:
    root = mask_sets.MAKERS[format](tmp_path / "자료")
    dataset = read(root)
    assert (dataset.format, dataset.task, dataset.classes) == (format, "instances", ["object"])
    assert_same(told(dataset), TRUTH)
    assert dataset.problems == []
    for sample in dataset.splits["all"]:
        assert sample.boxes.tolist() == mask_sets.BOXES[Path(sample.id).name]
        assert sample.labels.tolist() == [0] * len(sample.boxes)
        assert sample.image.shape[:2] == sample.size
    report = check(dataset)
    assert report.errors == []
    assert (report.to_dict()["objects"], report.to_dict()["outlines"]) == (3, 3)


@pytest.mark.parametrize("format", mask_sets.MAKERS)
@pytest.mark.parametrize("kind", ["zip", "gztar"])
def test_an_archive_is_read_as_the_folder(format: str, kind: str, tmp_path: Path) -> None:
    mask_sets.MAKERS[format](tmp_path / "set")
    assert_same(told(read(shutil.make_archive(str(tmp_path / "a"), kind, tmp_path / "set"))), TRUTH)
    assert_same(told(read(shutil.make_archive(str(tmp_path / "b"), kind, tmp_path, "set"))), TRUTH)


@pytest.mark.parametrize("format", mask_sets.MAKERS)
def test_folders_are_splits(format: str, tmp_path: Path) -> None:
    mask_sets.MAKERS[format](tmp_path / "data" / "train")
    mask_sets.MAKERS[format](tmp_path / "data" / "test")
    dataset = read(tmp_path / "data")
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {
        "train": 2,
        "test": 2,
    }
    assert dataset.problems == [] and dataset.format == format
    ids = {Path(sample.id).name for sample in dataset.splits["train"]}
    assert ids == set(TRUTH)


@pytest.mark.parametrize("format", mask_sets.MAKERS)
@pytest.mark.parametrize("task", ["instances", "detect", "localize"])
def test_boxes_are_read_for_tasks_without_masks(format: str, task: str, tmp_path: Path) -> None:
    dataset = read(mask_sets.MAKERS[format](tmp_path), task=task)
    assert dataset.task == task
    assert [len(s.boxes) for s in dataset.splits["all"]] == [1 if task == "localize" else 2, 1]


@pytest.mark.parametrize("format", mask_sets.MAKERS)
def test_no_picture_is_left_without_a_word(format: str, tmp_path: Path) -> None:
    root = mask_sets.MAKERS[format](tmp_path)
    stray = root / ("images" if format == "instance-png" else "")
    if format == "dsb":
        stray = root / "3" / "images"
        stray.mkdir(parents=True)
    shutil.copy(next(root.rglob("1.png")), stray / "3.png")
    (problem,) = read(root).problems
    assert problem.severity == "warning" and "not read: 1 pictures" in problem.why
    assert problem.file.endswith("3.png")


@pytest.mark.parametrize("format", mask_sets.MAKERS)
def test_masks_become_coco_and_come_back(format: str, tmp_path: Path) -> None:
    before = read(mask_sets.MAKERS[format](tmp_path / "a"))
    counted = convert(before, "coco", tmp_path / "b")
    assert (counted["boxes"], counted["told"]) == (3, {})
    after = read(tmp_path / "b", task="instances")
    assert (after.format, after.problems) == ("coco", [])
    assert_same(told(after), TRUTH)
    convert(before, "yolo", tmp_path / "c")
    again = read(tmp_path / "c", task="detect").splits["all"]
    assert [s.boxes.tolist() for s in again] == [s.boxes.tolist() for s in before.splits["all"]]
    with pytest.raises(DataError, match="no object has an outline"):
        read(tmp_path / "c", task="instances")


def test_another_outline_is_other_data_for_instances_alone(tmp_path: Path) -> None:
    """A fit that goes on must see that masks changed, though their boxes did not."""
    notched = [*mask_sets.SMALL[:3], (5, 9), (5, 8), (2, 9)]
    second = {"filename": "2.png", "regions": [region(notched, name="object")]}
    other = {**mask_sets.VIA, "2.png1": second}
    roots = [mask_sets.via(tmp_path / "a"), mask_sets.via(tmp_path / "b", other)]
    boxes, masks = (
        [check(read(root, task=task)).fingerprint for root in (*roots, roots[0])]
        for task in ("detect", "instances")
    )
    assert boxes[0] == boxes[1] == boxes[2]
    assert masks[0] == masks[2] != masks[1]


def test_check_counts_objects(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    show.check(check(read(mask_sets.dsb(tmp_path / "a"))))
    assert "3 objects, 3 of them with an outline\n" in capsys.readouterr().out
    show.check(check(read(detection_sets.voc(tmp_path / "b"))))
    assert "3 objects\n" in capsys.readouterr().out


def test_objects_without_an_outline_are_named(tmp_path: Path) -> None:
    content = json.loads(json.dumps(detection_sets.COCO))
    content["annotations"][0]["segmentation"] = [[4, 5, 20, 5, 20, 25, 4, 25]]
    content["annotations"][2]["segmentation"] = [[2, 3, 8, 3, 8, 9, 2, 9]]
    root = detection_sets.coco(tmp_path / "a", content)
    assert read(root, task="detect").problems == []
    dataset = read(root, task="instances")
    (problem,) = dataset.problems
    assert "1 of its 2 objects have no outline" in problem.why and problem.file.endswith("1.png")
    assert [sample.id for sample in dataset.splits["all"]] == ["2.png"]
    # What is not learned may lack it.
    content["annotations"][1]["iscrowd"] = 1
    assert read(detection_sets.coco(tmp_path / "b", content), task="instances").problems == []


# ---- the development data


def test_pennfudan_is_all_there(shared_data: Path) -> None:
    root = shared_data / "pennfudan"
    dataset = read(root)
    assert (dataset.format, dataset.classes, dataset.problems) == ("instance-png", ["person"], [])
    samples = dataset.splits["all"]
    assert len(samples) == 170 and sum(len(sample.boxes) for sample in samples) == 423
    for sample in samples[::17]:
        numbers = np.asarray(Image.open(sample.source))
        assert (np.asarray(Image.open(root / "Images" / sample.id)).shape[:2]) == sample.size
        masks = masks_of(sample)
        np.testing.assert_array_equal(masks, [numbers == n for n in range(1, numbers.max() + 1)])
        # The boxes that its authors give, 1-based and inclusive, were drawn by hand.
        text = (root / "Annotation" / f"{Path(sample.id).stem}.txt").read_text("latin-1")
        written = [
            [int(n) for n in line.replace("(", " ").replace(")", " ").replace(",", " ").split()
             if n.isdecimal()][-4:]
            for line in text.splitlines()
            if line.startswith("Bounding box")
        ]  # fmt: skip
        assert np.abs(np.array(written) - [1, 1, 0, 0] - sample.boxes).max() <= 3


def test_coco128_has_masks_in_both_formats(shared_data: Path) -> None:
    root = shared_data / "coco128"
    coco = read(root / "instances.json", task="instances")
    count = sum(outline is not None for s in coco.splits["all"] for outline in s.outlines or ())
    assert count == 939 and not [p for p in coco.problems if p.severity == "error"]
    yolo = read(root / "names-yolo-seg.yaml", task="instances")
    others = {sample.id: sample for sample in coco.splits["all"]}
    overlaps = []  # of the larger objects: the polygons of the YOLO labels are coarse
    for sample in yolo.splits["all"][:40]:
        if not len(sample.boxes):
            continue
        theirs = masks_of(others[sample.id])
        for mask in masks_of(sample):
            if mask.sum() > 1000:
                overlaps.append(max((mask & each).sum() / (mask | each).sum() for each in theirs))
    assert len(overlaps) > 100 and np.median(overlaps) > 0.9


def test_drawn_scenes_are_read_by_numbers_too(tmp_path: Path) -> None:
    from boda.data import synthetic_folder

    synthetic_folder.write(tmp_path / "drawn", 4, 64, 0)
    scenes = tmp_path / "drawn" / "scenes"
    by_json = read(scenes, task="instances")
    assert by_json.format == "coco", "without a word COCO's JSON counts: it knows classes"
    by_numbers = read(scenes, "instance-png")
    assert by_numbers.splits.keys() == by_json.splits.keys()
    for split, samples in by_json.splits.items():
        for a, b in zip(samples, by_numbers.splits[split], strict=True):
            np.testing.assert_array_equal(masks_of(a), masks_of(b))


# ---- a PNG of numbers


def test_names_of_folders_and_masks(tmp_path: Path) -> None:
    for number, (pictures, masks, end) in enumerate(
        [("images", "masks", ""), ("PNGImages", "PedMasks", "_mask"), ("", "instances", "_mask")]
    ):
        above = "instances" if pictures else "data"  # a name that means something elsewhere
        root = mask_sets.instance_png(tmp_path / str(number) / above)
        for path in (root / "masks").iterdir():
            path.rename(path.with_name(f"{path.stem}{end}.png"))
        (root / "masks").rename(root / "m")
        (root / "m").rename(root / masks)
        if pictures:
            (root / "images").rename(root / pictures)
        else:
            for path in (root / "images").iterdir():
                path.rename(root / path.name)
            (root / "images").rmdir()
        dataset = read(root.parent)
        assert dataset.format == "instance-png"
        assert dataset.classes == ["person" if masks == "PedMasks" else "object"]
        assert_same(told(dataset), TRUTH)


@pytest.mark.parametrize("mode", ["L", "P", "I;16", "RGB", "RGBA"])
def test_any_kind_of_pixel_is_a_number(mode: str, tmp_path: Path) -> None:
    """Values far apart, also those that differ in the high byte or in one colour alone."""
    root = mask_sets.instance_png(tmp_path)
    first, second = TRUTH["1.png"]
    path = root / "masks" / "1.png"
    if mode in ("L", "P"):
        picture = Image.fromarray((first * 3 + second * 200).astype(np.uint8))
        if mode == "P":
            picture.putpalette([0, 0, 0] * 256)  # all one colour: the index counts
        picture.save(path)
    elif mode == "I;16":
        Image.fromarray((first * 1 + second * 257).astype(np.uint16)).save(path)
    else:
        colours = np.zeros((30, 40, len(mode)), np.uint8)
        colours[first, :3], colours[second, :3] = (10, 20, 30), (10, 20, 31)
        if mode == "RGBA":
            colours[..., 3] = (first | second) * 255
            colours[0, 0] = (9, 9, 9, 0)  # transparent: no object
        Image.fromarray(colours).save(path)
    assert_same(told(read(root)), TRUTH)


def test_a_value_in_two_pieces_is_one_object(tmp_path: Path) -> None:
    root = mask_sets.instance_png(tmp_path)
    two = block((20, 20), (2, 3, 8, 9), (12, 3, 15, 9))
    save(two.astype(np.uint8) * 7, root / "masks" / "2.png")
    assert_same(told(read(root)), {**TRUTH, "2.png": [two]})


def test_an_empty_mask_is_a_negative_example(tmp_path: Path) -> None:
    root = mask_sets.instance_png(tmp_path)
    save(np.zeros((20, 20), np.uint8), root / "masks" / "2.png")
    dataset = read(root, task="instances")
    (problem,) = dataset.problems
    assert problem.severity == "warning" and "negative example" in problem.why
    assert [len(sample.boxes) for sample in dataset.splits["all"]] == [2, 0]


def test_masks_of_one_value_each_are_said(tmp_path: Path) -> None:
    root = mask_sets.instance_png(tmp_path)
    both = (TRUTH["1.png"][0] | TRUTH["1.png"][1]).astype(np.uint8) * 255
    save(both, root / "masks" / "1.png")
    (problem,) = read(root).problems
    assert problem.severity == "warning" and "one value only" in problem.why


def noise(root: Path) -> None:
    values = np.random.default_rng(0).integers(1, 2**16, (300, 300)).astype(np.uint16)
    save(np.zeros((300, 300, 3), np.uint8), root / "images" / "1.png")
    save(values, root / "masks" / "1.png")


def as_jpeg(root: Path) -> None:
    Image.open(root / "masks" / "1.png").save(root / "masks" / "x.jpg")
    (root / "masks" / "x.jpg").rename(root / "masks" / "1.png")


def bomb(root: Path) -> None:
    """A header that claims more than the memory holds; refused before it is decoded."""
    data = bytearray((root / "masks" / "1.png").read_bytes())
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    (root / "masks" / "1.png").write_bytes(data)


WRONG_PNG: dict[str, tuple[Callable[[Path], Any], str]] = {
    "size": (lambda r: save(np.ones((30, 41), np.uint8), r / "masks/1.png"), "the mask is 41×30"),
    "turned": (lambda r: save(np.ones((40, 30), np.uint8), r / "masks/1.png"), "EXIF"),
    "text": (lambda r: (r / "masks/1.png").write_text("no"), "is not a picture"),
    "nothing": (lambda r: (r / "masks/1.png").write_bytes(b""), "empty"),
    "cut": (
        lambda r: (r / "masks/1.png").write_bytes((r / "masks/1.png").read_bytes()[:60]),
        "damaged",
    ),
    "jpeg": (as_jpeg, "JPEG, which changes the values"),
    "float": (
        lambda r: Image.new("F", (40, 30)).save(r / "masks/1.png", "TIFF"),
        "pixels of the kind F",
    ),
    "values": (noise, "values, so it is no mask of objects"),
    "bomb": (bomb, "CRC|pixels|damaged|header"),
    "lost": (lambda r: (r / "images/1.png").unlink(), "no picture of this name"),
    "picture": (lambda r: (r / "images/1.png").write_text("no"), "its picture images/1.png"),
    "two": (lambda r: shutil.copy(r / "masks/1.png", r / "masks/1_mask.png"), "another mask too"),
}


@pytest.mark.parametrize("case", WRONG_PNG)
def test_a_wrong_mask_is_named(case: str, tmp_path: Path) -> None:
    import re

    root = mask_sets.instance_png(tmp_path)
    spoil, why = WRONG_PNG[case]
    spoil(root)
    message = one_error(root, "instance-png")
    assert re.search(why, message) and message.startswith(str(root / "masks" / "1"))
    dataset = read(root, "instance-png")
    assert [sample.id for sample in dataset.splits["all"]] == ["2.png"]


def test_where_nothing_is_what_it_should_be(tmp_path: Path) -> None:
    for format in mask_sets.MAKERS:
        with pytest.raises(DataError, match="As DATA/"):
            read(detection_sets.voc(tmp_path / format), format)


# ---- a PNG an object


def test_masks_that_overlap_are_kept_apart(tmp_path: Path) -> None:
    root = mask_sets.dsb(tmp_path)
    over = block((20, 20), (4, 4, 16, 16))
    save(over.astype(np.uint8) * 255, root / "2" / "masks" / "1a.png")
    assert_same(told(read(root)), {**TRUTH, "2.png": [TRUTH["2.png"][0], over]})


def test_dsb_as_it_is_published(tmp_path: Path) -> None:
    """stage1_train with names of random digits; stage1_test has no masks. Pictures are RGBA."""
    root = tmp_path / "dsb"
    mask_sets.dsb(root / "stage1_train")
    for path in (root / "stage1_train").glob("*/images/*.png"):
        Image.open(path).convert("RGBA").save(path)
    mask_sets.pictures(root / "stage1_test" / "7" / "images")
    (root / "stage1_test" / "7" / "images" / "2.png").unlink()
    dataset = read(root)
    assert list(dataset.splits) == ["train"]
    assert_same(told(dataset), TRUTH)
    (problem,) = dataset.problems
    assert problem.severity == "warning" and "no folder of masks" in problem.why


WRONG_DSB: dict[str, tuple[Callable[[Path], Any], str]] = {
    "empty": (lambda r: save(np.zeros((30, 40), np.uint8), r / "1/masks/0a.png"), "mask is empty"),
    "size": (lambda r: save(np.ones((29, 40), np.uint8), r / "1/masks/0a.png"), "is 40×29"),
    "text": (lambda r: (r / "1/masks/0a.png").write_text("no"), "is not a picture"),
    "none": (lambda r: (r / "1/images/1.png").unlink(), "has masks, but no picture"),
    "two": (lambda r: save(np.zeros((9, 9), np.uint8), r / "1/images/b.png"), "holds 2 pictures"),
    "picture": (lambda r: (r / "1/images/1.png").write_text("no"), "its picture: is not a picture"),
}


@pytest.mark.parametrize("case", WRONG_DSB)
def test_a_wrong_mask_of_an_object_is_named(case: str, tmp_path: Path) -> None:
    root = mask_sets.dsb(tmp_path)
    spoil, why = WRONG_DSB[case]
    spoil(root)
    message = one_error(root)
    assert why in message and message.startswith(str(root / "1"))
    assert [sample.id for sample in read(root).splits["all"]] == ["2.png"]
