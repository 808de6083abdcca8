"""The readers of boxes: right numbers, every wrong record named in its place, nothing else."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boda.data.check import check
from boda.data.readers import read
from boda.data.readers._boxes import Wrong, inside_picture
from boda.errors import DataError, Problem, UsageError
from boda.types import Dataset, Sample
from tests.data import detection_sets as sets
from tests.data.detection_sets import write


def told(dataset: Dataset, split: str = "all") -> dict[str, set[tuple[Any, ...]]]:
    """Picture → its boxes with their classes' names."""
    found = {}
    for sample in dataset.splits[split]:
        assert sample.boxes is not None and sample.labels is not None
        names = [dataset.classes[label] for label in sample.labels]
        found[sample.id] = {(n, *b) for n, b in zip(names, sample.boxes.tolist(), strict=True)}
        assert sample.boxes.dtype == np.float32 and len(found[sample.id]) == len(sample.boxes)
    return found


def errors(dataset: Dataset) -> list[Problem]:
    return [problem for problem in dataset.problems if problem.severity == "error"]


def attempt(path: Path, format: str | None = None) -> tuple[Dataset | None, list[Problem]]:
    """What was read, and the errors, however they were told."""
    try:
        dataset = read(path, format)
    except DataError as error:
        return None, list(error.problems)
    return dataset, errors(dataset)


@pytest.mark.parametrize("format", sets.MAKERS)
def test_the_same_boxes_come_out_of_every_format(format: str, tmp_path: Path) -> None:
    dataset = read(sets.MAKERS[format](tmp_path / "자료"))
    assert (dataset.format, dataset.task) == (format, "detect")
    assert told(dataset) == sets.TRUTH
    assert dataset.problems == []
    order = ["고양이", "dog"] if format in ("coco", "yolo") else ["dog", "고양이"]
    assert dataset.classes == order, "the format's order, else by code point"
    assert [sample.size for sample in dataset.splits["all"]] == [(30, 40), (20, 20)]
    assert dataset.splits["all"][0].image.shape == (30, 40, 3)
    assert check(dataset).errors == []


@pytest.mark.parametrize("format", sets.MAKERS)
def test_an_archive_is_read_as_the_folder(format: str, tmp_path: Path) -> None:
    import shutil

    sets.MAKERS[format](tmp_path / "set")
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, "set")
    assert told(read(archive)) == sets.TRUTH


# ---- the development data


def test_coco128_has_the_same_boxes_in_both_formats(shared_data: Path) -> None:
    root = shared_data / "coco128"
    with pytest.raises(UsageError, match="'coco' and 'yolo'"):
        read(root)
    yolo, coco = read(root, "yolo"), read(root, "coco")
    assert yolo.classes == coco.classes and len(coco.classes) == 80
    content = json.loads((root / "instances.json").read_bytes())
    crowds = sum(record["iscrowd"] for record in content["annotations"])
    assert crowds == 10 and len(content["annotations"]) == 939
    others = {sample.id: sample for sample in coco.splits["all"]}
    count = 0
    for sample in yolo.splits["all"]:
        other = others.pop(sample.id)
        left = list(zip(other.labels.tolist(), other.boxes.tolist(), strict=True))
        if other.crowd is not None:
            left = [pair for pair, crowd in zip(left, other.crowd, strict=True) if not crowd]
        for label, box in zip(sample.labels.tolist(), sample.boxes, strict=True):
            # Labels have six digits: half of the last is 0.0005 pixels of 640, in each of two terms.
            near = [
                pair for pair in left if pair[0] == label and np.abs(pair[1] - box).max() < 2e-3
            ]
            assert near, (sample.id, label, box)
            left.remove(near[0])
            count += 1
        assert left == []
    assert not others and count == 929
    # Labels of two pictures that are not in the set.
    assert sorted(Path(p.file).name for p in errors(yolo)) == [
        "000000000656.txt",
        "000000000659.txt",
    ]
    assert errors(coco) == []


def test_coco128_outlines_and_areas_are_those_of_the_file(shared_data: Path) -> None:
    root = shared_data / "coco128" / "instances.json"
    content = json.loads(root.read_bytes())
    names = {record["id"]: record["file_name"] for record in content["images"]}
    samples = {sample.id: sample for sample in read(root).splits["all"]}
    seen: dict[str, int] = dict.fromkeys(samples, 0)
    for record in content["annotations"]:
        sample = samples[names[record["image_id"]]]
        i = seen[sample.id]
        seen[sample.id] += 1
        assert sample.areas[i] == record["area"]
        if record["iscrowd"]:
            assert sample.crowd[i] and sample.outlines[i] == record["segmentation"]
        else:
            flat = [polygon.ravel().tolist() for polygon in sample.outlines[i]]
            assert flat == record["segmentation"]


def test_coco128_by_its_polygons(shared_data: Path) -> None:
    """COCO's own ids, 1 to 90; the polygons are others than those of the JSON, so of plain loops."""
    root = shared_data / "coco128"
    segments = read(root / "names-yolo-seg.yaml")
    names = dict(
        line.split(": ") for line in (root / "names-yolo-seg.yaml").read_text().split("\n  ")[1:]
    )
    assert segments.classes == read(root, "coco").classes
    count = 0
    for sample in segments.splits["all"]:
        height, width = sample.size
        file = root / "labels-yolo-seg" / sample.id.replace("jpg", "txt")
        lines = file.read_text().split("\n") if file.exists() else []
        rows = [line.split() for line in lines if line]
        for row, label, box in zip(rows, sample.labels, sample.boxes, strict=True):
            assert segments.classes[label] == names[row[0]].strip()
            x = [float(cell) * width for cell in row[1::2]]
            y = [float(cell) * height for cell in row[2::2]]
            np.testing.assert_allclose(box, [min(x), min(y), max(x), max(y)], atol=1e-4)
            count += 1
    assert count == 746


def test_raccoon_against_another_parser(shared_data: Path) -> None:
    root = shared_data / "raccoon"
    dataset = read(root)
    lists = {s: (root / f"splits/{s}_labels.csv").read_text().split() for s in ("train", "test")}
    count = 0
    for split, samples in dataset.splits.items():
        assert {s.id for s in samples} == {line.split(",")[0] for line in lists[split][1:]}
        for sample in samples:
            tree = ElementTree.parse(sample.source).getroot()
            assert sample.id == tree.findtext("filename")
            for box, written in zip(sample.boxes, tree.iter("bndbox"), strict=True):
                xmin, ymin, xmax, ymax = (float(cell.text) for cell in written)
                assert box.tolist() == [xmin - 1, ymin - 1, xmax, ymax]
                count += 1
    assert {split: len(part) for split, part in dataset.splits.items()} == {
        "train": 160,
        "test": 40,
    }
    assert count == 217 and dataset.problems == []
    table = told(read(root / "splits" / "raccoon_labels.csv"))
    assert table == {**told(dataset, "train"), **told(dataset, "test")}


# ---- what counts as which number


def test_voc_with_a_zero_counts_from_zero_and_says_so(tmp_path: Path) -> None:
    zero = sets.XML.format(
        name="2.png", width=20, height=20, objects=sets.OBJECT.format("dog", 0, 3, 8, 9)
    )
    dataset = read(sets.voc(tmp_path / "a", second=zero))
    # In 1.xml an xmax is the width, so numbers are edges.
    assert told(dataset)["2.png"] == {("dog", 0, 3, 8, 9)}
    assert ("고양이", 5, 6, 20, 25) in told(dataset)["1.png"]
    assert [p.severity for p in dataset.problems] == ["warning"]
    assert "counted from 0, and xmax is an edge" in dataset.problems[0].why
    inner = sets.XML.format(
        name="1.png", width=40, height=30, objects=sets.OBJECT.format("dog", 4, 5, 39, 29)
    )
    dataset = read(sets.voc(tmp_path / "b", inner, zero))
    assert told(dataset) == {"1.png": {("dog", 4, 5, 40, 30)}, "2.png": {("dog", 0, 3, 9, 10)}}
    assert "xmax is the last pixel" in dataset.problems[0].why


def test_a_table_with_vocs_columns_counts_as_voc(tmp_path: Path) -> None:
    text = (
        "filename,width,height,class,xmin,ymin,xmax,ymax\n1.png,40,30,dog,5,6,20,25\n2.png,,,,,,,\n"
    )
    dataset = read(sets.boxes(tmp_path, text))
    assert told(dataset) == {"1.png": {("dog", 4, 5, 20, 25)}, "2.png": set()}
    assert [p.why for p in dataset.problems] == [
        "no object is annotated: the picture is a negative example"
    ]


def test_yolo_polygons_become_their_hull(tmp_path: Path) -> None:
    line = "0 0.1 0.2 0.5 0.2 0.3 0.9\n"
    dataset = read(sets.yolo(tmp_path, line))
    sample = dataset.splits["all"][0]
    np.testing.assert_allclose(sample.boxes, [[4, 6, 20, 27]], rtol=1e-6)
    np.testing.assert_allclose(sample.outlines[0][0], [[4, 6], [20, 6], [12, 27]])


def test_overhang_of_half_a_pixel_is_cut_and_said(tmp_path: Path) -> None:
    content = json.loads(json.dumps(sets.COCO))
    content["annotations"][1]["bbox"] = [-0.25, 0, 40.5, 30]
    dataset = read(sets.coco(tmp_path, content))
    assert told(dataset) == sets.TRUTH
    assert [p.severity for p in dataset.problems] == ["warning"]
    assert "by 0.25 pixels at most" in dataset.problems[0].why


# ---- where things lie


def test_coco_splits_by_the_files_names(tmp_path: Path) -> None:
    for split in ("train", "val"):
        sets.pictures(tmp_path / f"{split}2017")
        text = json.dumps(sets.COCO)
        write(tmp_path / "annotations" / f"instances_{split}2017.json", text)
        write(tmp_path / "annotations" / f"captions_{split}2017.json", text)
    dataset = read(tmp_path)
    assert list(dataset.splits) == ["train", "val"]
    for split in dataset.splits:
        assert told(dataset, split) == sets.TRUTH
        assert f"{split}2017" in dataset.splits[split][0].source
    assert all("not read" in p.why for p in dataset.problems) and len(dataset.problems) == 2
    alone = read(tmp_path / "annotations" / "instances_val2017.json")
    assert told(alone) == sets.TRUTH and "val2017" in alone.splits["all"][0].source


@pytest.mark.parametrize("start", ["", "../", "./"])
def test_yolo_splits_by_yaml(start: str, tmp_path: Path) -> None:
    for split in ("train", "valid"):
        sets.pictures(tmp_path / split / "images")
        write(tmp_path / split / "labels" / "1.txt", sets.YOLO_1)
        write(tmp_path / split / "labels" / "2.txt", sets.YOLO_2)
    names = "nc: 2\nnames: ['고양이', 'dog']\n"
    yaml = f"train: {start}train/images\nval: {start}valid/images\ntest: {start}test/images\n"
    write(tmp_path / "data.yaml", names)
    by_folders = read(tmp_path)
    assert by_folders.problems == [] and by_folders.format == "yolo"
    write(tmp_path / "data.yaml", yaml + names)
    for dataset in (read(tmp_path), read(tmp_path / "data.yaml")):
        assert [(p.field, p.severity) for p in dataset.problems] == [("test", "error")]
        for split in ("train", "val"):
            assert told(dataset, split) == told(by_folders, split) == sets.TRUTH


def test_layouts_that_tools_write(tmp_path: Path) -> None:
    labelimg = sets.pictures(tmp_path / "labelimg")  # everything in one folder
    for name, text in (("1", sets.YOLO_1), ("2", sets.YOLO_2), ("classes", "고양이\ndog\n")):
        write(labelimg / f"{name}.txt", text)
    assert told(read(labelimg)) == sets.TRUTH
    years = tmp_path / "years"  # as COCO writes them, without train: in the YAML
    sets.pictures(years / "images" / "val2017")
    write(years / "labels" / "val2017" / "1.txt", sets.YOLO_1)
    write(years / "labels" / "val2017" / "2.txt", sets.YOLO_2)
    write(years / "names.yaml", sets.YAML)
    assert told(read(years), "val") == sets.TRUTH
    roboflow = tmp_path / "roboflow"
    for split in ("train", "valid"):
        write(sets.pictures(roboflow / split) / "_annotations.coco.json", json.dumps(sets.COCO))
    dataset = read(roboflow)
    assert told(dataset, "train") == told(dataset, "val") == sets.TRUTH
    cvat = sets.pictures(tmp_path / "cvat" / "images" / "default").parents[1]
    write(cvat / "annotations" / "instances_default.json", json.dumps(sets.COCO))
    assert told(read(cvat)) == sets.TRUTH
    assert told(read(cvat / "annotations" / "instances_default.json")) == sets.TRUTH
    mixed = tmp_path / "xml"
    for split in ("train", "test"):
        folder = sets.pictures(mixed / split)
        write(folder / "1.xml", sets.XML_1)
        write(folder / "2.xml", sets.XML_2)
    dataset = read(mixed)
    assert told(dataset, "train") == told(dataset, "test") == sets.TRUTH


def yolo_lists(root: Path) -> Path:
    sets.yolo(root, names="train: train.txt\nval: val.txt\nnames: [고양이, dog]\n")
    write(root / "train.txt", "./images/1.png\n")
    write(root / "val.txt", "/content/data/images/2.png\n\nimages/3.png\n")
    return root


def voc_image_sets(root: Path) -> Path:
    main = sets.voc(root) / "ImageSets" / "Main"
    write(main / "train.txt", "1\n")
    write(main / "test.txt", "2\n\n3\n")
    write(main / "trainval.txt", "1\n2\n")
    write(main / "dog_train.txt", "1  1\n")
    return root


@pytest.mark.parametrize(("make", "other"), [(yolo_lists, "val"), (voc_image_sets, "test")])
def test_lists_of_pictures(make: Callable[[Path], Path], other: str, tmp_path: Path) -> None:
    dataset = read(make(tmp_path))
    assert told(dataset, "train") == {"1.png": sets.TRUTH["1.png"]}
    assert told(dataset, other) == {"2.png": sets.TRUTH["2.png"]}
    (problem,) = errors(dataset)
    assert (Path(problem.file).name, problem.line) == (f"{other}.txt", 3)


def test_korean_windows_and_other_spellings(tmp_path: Path) -> None:
    cp949 = sets.XML_1.encode("cp949")
    dataset = read(sets.voc(tmp_path / "voc", cp949))  # type: ignore[arg-type]
    assert told(dataset) == sets.TRUTH
    declared = b'<?xml version="1.0" encoding="EUC-KR"?>' + cp949
    assert told(read(sets.voc(tmp_path / "voc2", declared))) == sets.TRUTH  # type: ignore[arg-type]
    table = sets.boxes(tmp_path / "table", sets.CSV.encode("cp949"))  # type: ignore[arg-type]
    assert told(read(table)) == sets.TRUTH
    marked = sets.boxes(tmp_path / "excel", sets.CSV.encode("utf-16"))  # type: ignore[arg-type]
    assert told(read(marked)) == sets.TRUTH


def test_pictures_without_annotation_are_negative_examples(tmp_path: Path) -> None:
    yolo = sets.yolo(tmp_path / "yolo", "")
    (yolo / "labels" / "2.txt").unlink()
    write(yolo / "labels" / "2.txt", "")
    voc = sets.voc(tmp_path / "voc")
    (voc / "Annotations" / "2.xml").unlink()
    content = {**sets.COCO, "annotations": sets.COCO["annotations"][:2]}
    coco = sets.coco(tmp_path / "coco", content)
    for path in (voc, coco):
        dataset = read(path)
        assert told(dataset)["2.png"] == set()
        assert [(p.severity, Path(p.file).name) for p in dataset.problems] == [("warning", "2.png")]
    (yolo / "labels" / "1.txt").write_text(sets.YOLO_1)
    dataset = read(yolo)
    assert told(dataset) == {"1.png": sets.TRUTH["1.png"], "2.png": set()}


# ---- wrong records


def coco_with(place: str, **changes: Any) -> Callable[[Path], Path]:
    def make(root: Path) -> Path:
        content = json.loads(json.dumps(sets.COCO))
        key, index = place.split()
        content[key][int(index)].update(changes)
        return sets.coco(root, json.dumps(content, indent=1, ensure_ascii=False))

    return make


def yolo_with(second: str, **more: Any) -> Callable[[Path], Path]:
    return lambda root: sets.yolo(root, sets.YOLO_1, second, **more)


def voc_with(
    *box: object, name: str = "dog", old: str = "", new: str = ""
) -> Callable[[Path], Path]:
    xml = sets.XML.format(name="2.png", width=20, height=20, objects=sets.OBJECT.format(name, *box))
    return lambda root: sets.voc(root, second=xml.replace(old, new) if old else xml)


def csv_with(row: str) -> Callable[[Path], Path]:
    return lambda root: sets.boxes(root, sets.CSV.replace("2.png,2,3,8,9,dog", row))


LAUGHS = '<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;&b;">]>'
WRONG: dict[str, tuple[Callable[[Path], Path], str, str, int | None]] = {
    # what is wrong: (the set, file, what the message says, line)
    "coco outside": (coco_with("annotations 2", bbox=[2, 3, 30, 6]), "json", "leaves the pict", 41),
    "coco empty": (coco_with("annotations 2", bbox=[2, 3, 0, 6]), "json", "0 wide", 41),
    "coco nan": (coco_with("annotations 2", bbox=[2, 3, float("nan"), 6]), "json", "finite", 41),
    "coco text": (coco_with("annotations 2", bbox=[2, 3, "x", 6]), "json", "'x' is no number", 41),
    "coco three": (coco_with("annotations 2", bbox=[2, 3, 6]), "json", "bbox is not", 41),
    "coco class": (coco_with("annotations 2", category_id=4), "json", "4 is no category", 41),
    "coco image": (coco_with("annotations 2", image_id=8), "json", "8 is no image", 41),
    "coco same image id": (coco_with("images 1", id=7), "json", "id 7 is also that of", 9),
    "coco same picture": (coco_with("images 1", file_name="1.png"), "json", "also that of im", 9),
    "coco missing": (coco_with("images 1", file_name="3.png"), "json", "'3.png' is missing", 9),
    "coco outward": (coco_with("images 1", file_name="../../x"), "json", "leads out", 9),
    "coco absolute": (coco_with("images 1", file_name="/etc/x.png"), "json", "absolute", 9),
    "coco width": (coco_with("images 1", width=-3), "json", "width is -3", 9),
    "coco crowd": (coco_with("annotations 2", iscrowd="no"), "json", "iscrowd is 'no'", 41),
    "coco same class": (coco_with("categories 0", name="고양이"), "json", "also that of id", 59),
    "coco class id": (coco_with("categories 0", id=3), "json", "id 3 is also of", None),
    "yolo columns": (yolo_with("\n1 0.5 0.5 0.1\n"), "2.txt", "4 columns", 2),
    "yolo score": (yolo_with("1 0.5 0.5 0.1 0.1 0.9\n"), "2.txt", "seems to be a score", 1),
    "yolo nan": (yolo_with("1 0.5 nan 0.1 0.1\n"), "2.txt", "finite", 1),
    "yolo text": (yolo_with("1 0.5 0,5 0.1 0.1\n"), "2.txt", "'0,5' is no number", 1),
    "yolo pixels": (yolo_with("1 10 10 6 6\n"), "2.txt", "seem to be pixels", 1),
    "yolo outside": (yolo_with("1 0.9 0.5 0.4 0.1\n"), "2.txt", "leaves the picture", 1),
    "yolo empty": (yolo_with("1 0.5 0.5 0 0.1\n"), "2.txt", "0 wide", 1),
    "yolo class": (yolo_with("2 0.5 0.5 0.1 0.1\n"), "2.txt", "class 2 is not among", 1),
    "yolo class text": (yolo_with("dog 0.5 0.5 0.1 0.1\n"), "2.txt", "'dog' is no whole", 1),
    "yolo 1-based": (
        lambda root: sets.yolo(root, "1 0.5 0.5 1 1\n", "2 0.5 0.5 1 1\n"),
        "",
        "1-based: 1 to 2 for 2 names",
        None,
    ),
    "yolo nc": (yolo_with(sets.YOLO_2, names="nc: 3\n" + sets.YAML), "yaml", "nc is 3", None),
    "yolo bool": (yolo_with(sets.YOLO_2, names="names: [cat, no]\n"), "yaml", "as False", None),
    "yolo alias": (
        yolo_with(sets.YOLO_2, names="a: &a x\nnames: [*a, b]\n"),
        "yaml",
        "alias",
        None,
    ),
    "voc outside": (voc_with(3, 4, 21, 9), "2.xml", "leaves the picture", 6),
    "voc turned": (voc_with(8, 4, 3, 9), "2.xml", "turned round: 8 to 3", 6),
    "voc nan": (voc_with("nan", 4, 8, 9), "2.xml", "finite", 4),
    "voc text": (voc_with("left", 4, 8, 9), "2.xml", "'left' is no number", 4),
    "voc nameless": (voc_with(3, 4, 8, 9, name=" "), "2.xml", "names no class", 4),
    "voc no box": (voc_with(3, 4, 8, 9, old="bndbox", new="box"), "2.xml", "no bndbox", 4),
    "voc cut off": (voc_with(3, 4, 8, 9, old="</annotation>\n", new=""), "2.xml", "is no XML", 8),
    "voc entity": (voc_with(3, 4, 8, 9, old="<annot", new=LAUGHS + "<annot"), "2.xml", "entity", 1),
    "voc deep": (
        voc_with(3, 4, 8, 9, old="</annot", new="<part>" * 50 + "</part>" * 50 + "</annot"),
        "2.xml",
        "more than 32 deep",
        8,
    ),
    "voc twice": (voc_with(3, 4, 8, 9, old="2.png", new="1.png"), "2.xml", "also that of", None),
    "csv outside": (csv_with("2.png,2,3,28,9,dog"), "csv", "leaves the picture", 4),
    "csv empty": (csv_with("2.png,2,3,2,9,dog"), "csv", "x2 <= x1", 4),
    "csv nan": (csv_with("2.png,nan,3,8,9,dog"), "csv", "finite", 4),
    "csv text": (csv_with("2.png,,3,8,9,dog"), "csv", "'' is no number", 4),
    "csv columns": (csv_with("2.png,2,3,8,9"), "csv", "5 cells, the header 6", 4),
    "csv nameless": (csv_with("2.png,2,3,8,9,"), "csv", "names no class", 4),
    "csv missing": (csv_with("3.png,2,3,8,9,dog"), "csv", "'3.png' is missing", 4),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_record_is_named_and_its_picture_left_out(name: str, tmp_path: Path) -> None:
    make, file, why, line = WRONG[name]
    dataset, found = attempt(make(tmp_path))
    problem = next(problem for problem in found if why in problem.why)
    assert problem.fix
    assert problem.file.endswith(file)
    if line is not None:
        assert problem.line == line
    if dataset is not None and not name.startswith(
        ("coco same", "yolo nc", "yolo 1", "coco class id")
    ):
        kept = {key for part in dataset.splits for key in told(dataset, part)}
        assert kept == ({"1.png", "2.png"} if name == "coco image" else {"1.png"})
        report = check(dataset)
        assert report.errors and report.drop()[1]["reader"] == 1


def test_the_same_annotation_id_is_said_and_read(tmp_path: Path) -> None:
    dataset = read(coco_with("annotations 2", id=1)(tmp_path))
    (problem,) = dataset.problems
    assert (problem.severity, problem.field) == ("warning", "annotations[2].id")
    assert told(dataset) == sets.TRUTH


def test_pictures_that_share_an_id_are_both_left_out(tmp_path: Path) -> None:
    content = json.loads(json.dumps(sets.COCO))
    content["images"].append({"id": 7, "file_name": "3.png", "width": 20, "height": 20})
    root = sets.coco(tmp_path, content)
    (root / "images" / "3.png").write_bytes((root / "images" / "2.png").read_bytes())
    dataset = read(root)
    assert set(told(dataset)) == {"2.png"}, "nobody knows whose the boxes of 7 are"
    assert [p.field for p in errors(dataset)] == ["images[2].id"]


def test_a_picture_with_two_annotations_is_left_out(tmp_path: Path) -> None:
    root = sets.voc(tmp_path)
    write(root / "Annotations" / "3.xml", sets.XML_1)
    dataset = read(root)
    assert set(told(dataset)) == {"2.png"}
    assert [Path(problem.file).name for problem in errors(dataset)] == ["3.xml"]


def test_a_bad_outline_leaves_the_box(tmp_path: Path) -> None:
    bad: list[Any] = [[[1, 2, 3]], {"size": [3, 3], "counts": [9]}, "x", {"size": [20, 20]}]
    bad += [{"size": [20, 20], "counts": [100, 299]}, {"size": [20, 20], "counts": [-1, 401]}]
    bad += [[[1, 2, 3, 4, 5, True]], [[1, 2, 3, 4, 5, float("nan")]]]
    for number, outline in enumerate(bad):
        root = coco_with("annotations 2", segmentation=outline)(tmp_path / str(number))
        dataset = read(root)
        assert told(dataset) == sets.TRUTH
        (problem,) = dataset.problems
        assert problem.severity == "warning" and problem.field == "annotations[2].segmentation"


def test_an_external_entity_is_not_read(tmp_path: Path) -> None:
    secret = write(tmp_path / "secret.txt", "dog")
    doctype = f'<!DOCTYPE annotation [<!ENTITY x SYSTEM "file://{secret}">]><annotation>'
    xml = sets.XML_2.replace("<annotation>", doctype).replace("dog", "&x;")
    dataset, found = attempt(sets.voc(tmp_path / "set", second=xml))
    (problem,) = found
    assert "entity" in problem.why
    assert dataset is not None and set(told(dataset)) == {"1.png"}


def test_an_annotation_of_another_size_is_an_error_of_the_check(tmp_path: Path) -> None:
    dataset = read(coco_with("images 0", width=50, height=40)(tmp_path))
    report = check(dataset)
    (problem,) = report.errors
    assert "the picture is 40×30, the annotation says 50×40" in problem.why
    left, dropped = report.drop()
    assert set(told(left)) == {"2.png"} and dropped == {"all": 1}


def test_the_fingerprint_knows_the_boxes(tmp_path: Path) -> None:
    one = check(read(sets.coco(tmp_path / "a")))
    same = check(read(sets.coco(tmp_path / "b")))
    moved = check(read(coco_with("annotations 2", bbox=[2, 3, 6, 5])(tmp_path / "c")))
    assert one.fingerprint == same.fingerprint != moved.fingerprint


def test_the_same_picture_with_other_boxes_is_a_warning(tmp_path: Path) -> None:
    text = "file,x1,y1,x2,y2,class\n1.png,4,5,20,25,dog\n3.png,4,5,20,24,dog\n2.png,2,3,8,9,dog\n"
    root = sets.boxes(tmp_path, text)
    (root / "3.png").write_bytes((root / "1.png").read_bytes())
    (problem,) = check(read(root)).problems
    assert problem.severity == "warning" and "annotated in two ways" in problem.why
    assert "(all, 1 box)" in problem.why


def test_nothing_but_wrong_records_raises_them(tmp_path: Path) -> None:
    dataset, found = attempt(sets.yolo(tmp_path, "x\n", "1 2\n"), "yolo")
    assert dataset is None
    assert sorted((Path(p.file).name, p.line) for p in found) == [("1.txt", 1), ("2.txt", 1)]


def test_boxes_are_not_read_as_classes(tmp_path: Path) -> None:
    """Whatever the folders are called, and it is said what the data is for."""
    for split in ("train", "val"):
        sets.yolo(tmp_path / split)
    with pytest.raises(DataError, match="it is read as 'yolo' for detect"):
        read(tmp_path, task="classify")
    assert read(tmp_path, task="detect").format == "yolo"


@pytest.mark.parametrize("format", ["coco", "boxes"])
def test_pictures_that_nothing_lists_are_said(format: str, tmp_path: Path) -> None:
    root = sets.MAKERS[format](tmp_path)
    folder = root / ("images" if format == "coco" else "")
    (folder / "7.png").write_bytes((folder / "1.png").read_bytes())
    dataset = read(root)
    (problem,) = dataset.problems
    assert "not read: 1 pictures that no" in problem.why and problem.file.endswith("7.png")
    assert told(dataset) == sets.TRUTH


def test_yolo_pictures_without_any_labels_are_no_negatives(tmp_path: Path) -> None:
    sets.yolo(tmp_path, names="train: images\ntest: images/test\nnames: [a, b]\n")
    sets.pictures(tmp_path / "images" / "test")
    (tmp_path / "images" / "test" / "2.png").rename(tmp_path / "images" / "test" / "9.png")
    dataset = read(tmp_path)
    (problem,) = errors(dataset)
    assert "no picture of test has a label file" in problem.why
    assert list(dataset.splits) == ["train"]
    (tmp_path / "data.yaml").write_text("names: [a, b]")
    dataset = read(tmp_path)
    (problem,) = dataset.problems
    assert problem.severity == "warning" and "not read: 2 pictures" in problem.why
    assert set(told(dataset)) == {"1.png", "2.png"}


def test_yolo_names_from_a_list_or_none(tmp_path: Path) -> None:
    for place in ("classes.txt", "labels/classes.txt", "obj.names"):
        root = sets.yolo(tmp_path / place.replace("/", "-"), names="")
        write(root / place, "고양이\ndog\n")
        assert told(read(root)) == sets.TRUTH
    dataset = read(sets.yolo(tmp_path / "none", names=""))
    assert dataset.classes == ["0", "1"] and len(dataset.problems) == 1
    dataset = read(sets.yolo(tmp_path / "one", "1 0.5 0.5 1 1\n", names=""))
    assert dataset.classes == ["0", "1"]
    assert "from 1 on?" in dataset.problems[1].why


def test_yolo_two_sets_of_labels(tmp_path: Path) -> None:
    sets.yolo(tmp_path, names="")
    (tmp_path / "labels").rename(tmp_path / "labels-a")
    write(tmp_path / "labels-b" / "1.txt", "5 0.5 0.5 1 1\n")
    with pytest.raises(DataError, match="labels-a, labels-b"):
        read(tmp_path)
    write(tmp_path / "names-a.yaml", "names: [고양이, dog]\n")
    write(tmp_path / "names-b.yaml", "names: {5: 새}\n")
    assert told(read(tmp_path / "names-a.yaml")) == sets.TRUTH
    other = read(tmp_path / "names-b.yaml")
    assert told(other) == {"1.png": {("새", 0, 0, 40, 30)}, "2.png": set()}
    write(tmp_path / "labels-b" / "1.txt", "5 0.1 0.1 0.9 0.1 0.9 0.9\n")
    assert told(read(tmp_path)) == sets.TRUTH, "boxes go before polygons"


def test_a_row_that_cannot_be_read_takes_its_picture_out(tmp_path: Path) -> None:
    text = sets.CSV.replace("1.png,0,0,40,30,dog", "1.png,0,0,40,30")
    dataset = read(sets.boxes(tmp_path, text))
    assert set(told(dataset)) == {"2.png"}, "1.png would be without one of its boxes"
    assert [problem.line for problem in errors(dataset)] == [3]


@given(
    box=st.tuples(*[st.floats(-2, 52, width=32) | st.sampled_from([0.0, 20.0, 30.0])] * 4),
    size=st.tuples(st.integers(1, 50), st.integers(1, 50)),
)
def test_a_box_is_legal_or_wrong(box: tuple[float, ...], size: tuple[int, int]) -> None:
    """By the rule itself, and by what a sample asks of its boxes."""
    height, width = size
    x1, y1, x2, y2 = box
    outside = min(x1, y1) < -0.5 or x2 > width + 0.5 or y2 > height + 0.5
    try:
        inside, cut = inside_picture(box, size)
    except Wrong:
        inner = min(x2, width) - max(x1, 0), min(y2, height) - max(y1, 0)
        assert outside or min(inner) < 1e-4
        return
    assert not outside and cut <= 0.5
    sample = Sample("", "", boxes=np.array([inside], np.float32))
    assert sample.boxes is not None and (sample.boxes[0, 2:] <= (width, height)).all()
    assert np.abs(np.subtract(inside, box)).max() == pytest.approx(cut)


def test_reading_warns_nobody_else(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for maker in sets.MAKERS.values():
            read(maker(tmp_path / os.urandom(4).hex()))
