"""The readers of points: right numbers, every wrong record named in its place, nothing else."""

from __future__ import annotations

import csv
import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from boda.data.check import check
from boda.data.readers import READERS, read
from boda.data.readers.coco_keypoints import cut_out
from boda.data.split import arrange
from boda.data.tree import open_tree
from boda.errors import DataError, Problem, UsageError
from boda.types import Dataset
from tests.data import detection_sets
from tests.data import points_sets as sets
from tests.data.detection_sets import pictures, write


def told(dataset: Dataset, split: str = "all") -> dict[str, list[list[float]]]:
    """Sample → its points."""
    found = {}
    for sample in dataset.splits[split]:
        assert sample.points is not None and sample.points.dtype == np.float32
        assert sample.points.shape == (len(dataset.classes), 3)
        assert sample.label is None and sample.boxes is None
        found[sample.id] = sample.points.tolist()
    assert len(found) == len(dataset.splits[split])
    return found


def of_severity(dataset: Dataset, severity: str) -> list[Problem]:
    return [problem for problem in dataset.problems if problem.severity == severity]


def attempt(path: Path) -> tuple[Dataset | None, list[Problem]]:
    """What was read for landmarks, and the errors, however they were told."""
    try:
        dataset = read(path, task="landmarks")
    except DataError as error:
        return None, list(error.problems)
    return dataset, of_severity(dataset, "error")


@pytest.mark.parametrize("format", sets.MAKERS)
def test_the_same_points_come_out_of_every_format(format: str, tmp_path: Path) -> None:
    dataset = read(sets.MAKERS[format](tmp_path / "자료"), task="landmarks")
    assert (dataset.format, dataset.task) == (format, "landmarks")
    assert told(dataset) == sets.TRUTH
    assert dataset.problems == []
    assert dataset.classes == (["0", "1", "2"] if format == "pts" else sets.NAMES)
    assert [sample.size for sample in dataset.splits["all"]] == [(30, 40), (20, 20)]
    assert dataset.splits["all"][0].image.shape == (30, 40, 3)
    report = check(dataset)
    assert report.problems == []
    parted, _ = arrange(dataset, seed=0)
    assert sorted(len(samples) for samples in parted.splits.values()) == [1, 1]


@pytest.mark.parametrize("format", sets.MAKERS)
def test_an_archive_is_read_as_the_folder(format: str, tmp_path: Path) -> None:
    sets.MAKERS[format](tmp_path / "set")
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, "set")
    assert told(read(archive, task="landmarks")) == sets.TRUTH


@pytest.mark.parametrize(
    "file", ["points/points.csv", "pts/1.pts", "keypoints/person_keypoints.json"]
)
def test_a_file_that_is_named_itself(file: str, tmp_path: Path) -> None:
    sets.samples_of(tmp_path)
    found = told(read(tmp_path / file, task="landmarks"))
    assert found == {id: sets.TRUTH[id] for id in list(sets.TRUTH)[: 1 if "pts" in file[:3] else 2]}


@pytest.mark.parametrize("format", sets.MAKERS)
def test_only_its_own_reader_is_asked_for_landmarks(format: str, tmp_path: Path) -> None:
    tree = open_tree(sets.MAKERS[format](tmp_path))
    serving = [name for name in READERS.names() if "landmarks" in READERS[name].tasks]
    assert [name for name in serving if READERS[name]().recognizes(tree)] == [format]


def test_boxes_are_no_points(tmp_path: Path) -> None:
    for path in detection_sets.samples_of(tmp_path).values():
        with pytest.raises(DataError, match="no layout for landmarks"):
            read(path, task="landmarks")


# ---- the development data


def test_face_keypoints_are_the_numbers_of_the_tables(shared_data: Path) -> None:
    root = shared_data / "face-keypoints"
    dataset = read(root)
    assert (dataset.format, dataset.task) == ("points", "landmarks")
    assert dataset.classes == [str(index) for index in range(68)]
    assert dataset.problems == []
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {
        "train": 220,
        "test": 80,
    }
    for split, folder in (("train", "training"), ("test", "test")):
        with open(root / f"{folder}_frames_keypoints.csv") as file:
            rows = {row[0]: row[1:] for row in list(csv.reader(file))[1:]}
        for sample in dataset.splits[split]:
            row = rows.pop(sample.id)
            assert sample.points.tolist() == [
                [float(row[2 * k]), float(row[2 * k + 1]), 2.0] for k in range(68)
            ]
            with Image.open(root / folder / sample.id) as picture:
                assert sample.size == picture.size[::-1]
        assert not rows
    report = check(dataset)
    assert report.problems == [] and all(sound.all() for sound in report.sound.values())


def test_one_table_of_face_keypoints_finds_its_folder(shared_data: Path) -> None:
    dataset = read(shared_data / "face-keypoints" / "test_frames_keypoints.csv")
    assert len(dataset.splits["all"]) == 80 and dataset.problems == []
    assert dataset.splits["all"][0].image.ndim == 3


# ---- tables


HEADERS = {
    "numbers": ",0,1,2,3,4,5",
    "numbers and a name": "image,0,1,2,3,4,5",
    "x0": "Filename,x0,y0,x1,y1,x2,y2",
    "x_1": "image_id,X_1,Y_1,X_2,Y_2,X_3,Y_3",
    "all x first": "file,x0,x1,x2,y0,y1,y2",
    "names": "file,LeftEye_x,LeftEye_y,RightEye_x,RightEye_y,nose tip_x,nose tip_y",
    "dots": "file,a.x,a.y,b.x,b.y,c.x,c.y",
    "other columns": "who,a_x,a_y,b_x,b_y,c_x,c_y,file",
}


@pytest.mark.parametrize("kind", HEADERS)
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_every_form_of_the_header(kind: str, delimiter: str, tmp_path: Path) -> None:
    rows = [line.split(",") for line in sets.CSV.splitlines()[1:]]
    if kind == "all x first":
        rows = [[r[0], *r[1::2], *r[2::2]] for r in rows]
    elif kind == "other columns":
        rows = [["somebody", *r[1:], r[0]] for r in rows]
    lines = [HEADERS[kind].replace(",", delimiter), *(delimiter.join(row) for row in rows)]
    dataset = read(sets.points(tmp_path, "\r\n".join(lines)), task="landmarks")
    assert told(dataset) == sets.TRUTH
    own = {"names": ["LeftEye", "RightEye", "nose tip"], "x_1": ["1", "2", "3"]}
    letters = ["a", "b", "c"] if kind in ("dots", "other columns") else ["0", "1", "2"]
    assert dataset.classes == own.get(kind, letters), "as they are spelled"


def test_visibility_and_empty_cells(tmp_path: Path) -> None:
    text = "file,a_x,a_y,a_v,b_x,b_y,b_v,c_x,c_y,c_v\n"
    text += "1.png,1,2,1,3,4,2,5,6,\n2.png,,,,3,4,1,7,8,0\n"
    dataset = read(sets.points(tmp_path, text))
    assert told(dataset) == {
        "1.png": [[1, 2, 1], [3, 4, 2], [5, 6, 2]],
        "2.png": [[0, 0, 0], [3, 4, 1], [0, 0, 0]],
    }
    (warning,) = dataset.problems
    assert warning.severity == "warning" and warning.why.startswith("2 points of 1 pictures")


def test_splits_of_tables_folders_and_columns(tmp_path: Path) -> None:
    header, first, second = sets.CSV.splitlines()
    pictures(tmp_path / "a" / "training")
    pictures(tmp_path / "a" / "valid")
    write(tmp_path / "a" / "train_points.csv", f"{header}\n{first}\n")
    names = header.split(",")
    order = [0, 5, 6, 1, 2, 3, 4]  # the points of val come in another order
    rows = [",".join(row.split(",")[i] for i in order) for row in (second, first)]
    moved = ",".join(names[i] for i in order)
    write(tmp_path / "a" / "validation_points.csv", "\n".join([moved, *rows]))
    dataset = read(tmp_path / "a")
    assert told(dataset, "train") == {"1.png": sets.TRUTH["1.png"]}
    assert told(dataset, "val") == sets.TRUTH, "matched by name"
    assert [Path(p.file).name for p in dataset.problems] == ["2.png"]  # of training, in no row
    table = f"{header},split\n{first},train\n{second},test\n"
    dataset = read(sets.points(tmp_path / "b", table))
    assert {split: list(told(dataset, split)) for split in dataset.splits} == {
        "train": ["1.png"],
        "test": ["2.png"],
    }


def test_other_points_in_another_table(tmp_path: Path) -> None:
    pictures(tmp_path)
    write(tmp_path / "train.csv", sets.CSV)
    write(tmp_path / "test.csv", sets.CSV.replace("코", "입"))
    with pytest.raises(DataError, match=r"test\.csv:1.*not in both: '입', '코'"):
        read(tmp_path)


ROWS = {
    "no number": ("1.png,10.5,twelve,24.5,12.5,17.5,20.5", "left_eye_y", "'twelve' is no number"),
    "not finite": ("1.png,10.5,nan,24.5,12.5,17.5,20.5", "left_eye_y", "no finite number"),
    "half a point": ("1.png,10.5,,24.5,12.5,17.5,20.5", "left_eye_y", "'' is no number"),
    "too few": ("1.png,10.5,12.5,24.5,12.5", None, "the row has 5 cells, the header 7"),
    "too many": ("1.png,1,2,3,4,5,6,7,8", None, "the row has 9 cells, the header 7"),
    "missing": ("3.png,10.5,12.5,24.5,12.5,17.5,20.5", "file", "the picture '3.png' is missing"),
    "no picture": (",10.5,12.5,24.5,12.5,17.5,20.5", "file", "names no picture"),
    "elsewhere": ("../1.png,1,2,3,4,5,6", "file", "leads out of the data"),
    "far outside": ("1.png,10.5,12.5,44.1,12.5,1,1", "right_eye", "outside the picture, 40×30, by"),
    "none": ("1.png,,,,,,", None, "none of its points is marked"),
    "one place": ("1.png,1,2,1,2,1,2", None, "all of its points are in one place"),
}


@pytest.mark.parametrize("kind", ROWS)
def test_a_wrong_row_is_named(kind: str, tmp_path: Path) -> None:
    row, field, why = ROWS[kind]
    header, _, second = sets.CSV.splitlines()
    dataset = read(sets.points(tmp_path, f"{header}\n{row}\n{second}\n"))
    assert told(dataset) == {"2.png": sets.TRUTH["2.png"]}
    (problem,) = of_severity(dataset, "error")
    assert problem.file.endswith("points.csv") and problem.line == 2
    assert problem.field == field and why in problem.why and problem.fix
    report = check(dataset)
    assert problem in report.errors
    left, counts = report.drop()
    assert counts == {"reader": 1} and len(left) == 1 and not of_severity(left, "error")


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    root = sets.points(tmp_path)
    write(root / "1.png", b"no picture")
    dataset = read(root)
    (problem,) = of_severity(dataset, "error")
    assert (problem.line, problem.field) == (2, "file") and list(told(dataset)) == ["2.png"]


def test_points_a_little_outside_are_kept_and_counted(tmp_path: Path) -> None:
    text = sets.CSV.replace("24.5,12.5", "43.9,-2.9").replace("4.5,5.5", "-0.4,20.4")
    dataset = read(sets.points(tmp_path, text))
    np.testing.assert_allclose(told(dataset)["1.png"][1], [43.9, -2.9, 2], rtol=1e-6)
    (warning,) = dataset.problems
    assert warning.severity == "warning" and "they are kept" in warning.why
    assert warning.why.startswith("1 points of 1 pictures"), "half a pixel is not told"
    assert "by 3.9 pixels" in warning.why and "points.csv:2" in warning.why


def test_a_picture_in_two_rows(tmp_path: Path) -> None:
    header, first, second = sets.CSV.splitlines()
    dataset = read(sets.points(tmp_path / "a", "\n".join([header, first, second, first])))
    assert told(dataset) == sets.TRUTH
    (problem,) = dataset.problems
    assert (problem.severity, problem.line) == ("warning", 4) and "in line 2" in problem.why
    other = first.replace("10.5", "11.5")
    dataset = read(sets.points(tmp_path / "b", "\n".join([header, first, second, other])))
    assert list(told(dataset)) == ["2.png"], "nobody knows which is right"
    (problem,) = dataset.problems
    assert (problem.severity, problem.line, problem.field) == ("error", 4, "file")
    assert "in line 2; both are left out" in problem.why


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ("file,a_x,a_y,b_x", "the point 'b' has no y"),
        ("file,0,1,2", "the point '1' has no y"),
        ("file,a_x,a_y,a_x", "the column 'a_x' is there twice"),
        ("file,a_x,a_y,b_y,b_v", "the point 'b' has no x"),
    ],
)
def test_a_wrong_header_is_named(header: str, why: str, tmp_path: Path) -> None:
    root = sets.points(tmp_path, f"{header}\n1.png,1,2,3{',4' * (header.count(',') - 3)}\n")
    with pytest.raises(DataError, match=why) as caught:
        read(root)
    assert caught.value.problems[0].line == 1


# ---- 300-W


def test_pixels_of_pts_are_counted_from_one(tmp_path: Path) -> None:
    """The corners' pixels of a 20 × 20 picture, whose centres are half a pixel inside."""
    corners = sets.PTS.format("1 1\n20 1\n20.0 20.0")
    root = sets.pts(tmp_path, second=corners)
    assert told(read(root))["2.png"] == [[0.5, 0.5, 2], [19.5, 0.5, 2], [19.5, 19.5, 2]]


def test_folders_of_300w(tmp_path: Path) -> None:
    for folder in ("lfpw/trainset", "lfpw/testset", "afw"):
        sets.pts(tmp_path / folder)
    shutil.move(tmp_path / "lfpw/testset/2.pts", tmp_path / "note.txt")
    dataset = read(tmp_path, task="landmarks")
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {
        "train": 4,
        "test": 1,
    }
    loose = [problem.why for problem in dataset.problems if "in no split" in problem.why]
    assert len(loose) == 1 and loose[0].startswith("2 pictures") and "afw/1.pts" in loose[0]
    assert any("1 pictures that have no .pts" in problem.why for problem in dataset.problems)
    assert not of_severity(dataset, "error")


def test_pts_in_a_folder_of_their_own(tmp_path: Path) -> None:
    for split in ("train", "test"):
        pictures(tmp_path / "images" / split)
        write(tmp_path / "landmarks" / split / "1.pts", sets.PTS_1)
        write(tmp_path / "landmarks" / split / "2.pts", sets.PTS_2)
    dataset = read(tmp_path, task="landmarks")
    assert told(dataset, "train") == told(dataset, "test") == sets.TRUTH
    assert dataset.problems == []


FILES = {
    "no version": ("n_points: 3\n{\n1 2\n}\n", 1, "'version: 1'"),
    "no count": ("version: 1\n{\n1 2\n}\n", 2, "n_points"),
    "no brace": ("version: 1\nn_points: 3\n1 2\n}\n", 3, "has no '{'"),
    "cut off": ("version: 1\nn_points: 3\n{\n1 2\n3 4\n", 6, "cut off"),
    "count": (sets.PTS_1.replace("  3", " 4"), 2, "n_points is 4, but there are 3"),
    "other count": (
        "version: 1\nn_points: 2\n{\n1 2\n3 4\n}\n",
        2,
        "has 2 points, most of the files",
    ),
    "no number": (sets.PTS_1.replace("25.0", "x"), 5, "'x' is no number"),
    "three": (sets.PTS_1.replace("25.0", "25.0 1"), 5, "3 words"),
    "outside": (sets.PTS_1.replace("25.0", "99"), 5, "outside the picture, 40×30"),
    "more": (sets.PTS_1 + "1 2\n", 8, "more behind"),
    "blank lines": (sets.PTS_1.replace("{", "\n\n{").replace("25.0", "99"), 7, "outside"),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_wrong_pts_is_named(kind: str, tmp_path: Path) -> None:
    text, line, why = FILES[kind]
    root = sets.pts(tmp_path, first=text)
    shutil.copy(root / "2.png", root / "3.png")
    write(root / "3.pts", sets.PTS_2)
    dataset, problems = attempt(root)
    assert dataset is not None and list(told(dataset)) == ["2.png", "3.png"]
    (problem,) = problems
    assert problem.file.endswith("1.pts") and problem.line == line, problem
    assert why in problem.why and problem.fix


def test_pts_without_or_with_two_pictures(tmp_path: Path) -> None:
    root = sets.pts(tmp_path)
    write(root / "3.pts", sets.PTS_1)
    shutil.copy(root / "1.png", root / "1.jpg")
    dataset, problems = attempt(root)
    assert dataset is not None and list(told(dataset)) == ["2.png"]
    assert [Path(p.file).name for p in problems] == ["1.pts", "3.pts"]
    assert "1.jpg and 1.png" in problems[0].why and "missing" in problems[1].why


def test_a_scan_of_the_same_suffix_is_no_face(tmp_path: Path) -> None:
    pictures(tmp_path)
    write(tmp_path / "1.pts", "3\n0.1 0.2 0.3 -5 1 2 3\n")
    assert not READERS["pts"]().recognizes(open_tree(tmp_path))


# ---- COCO


def changed(annotations: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {**json.loads(json.dumps(sets.COCO)), "annotations": annotations, **more}


FIRST, SECOND = sets.COCO["annotations"]


def test_detection_still_reads_the_boxes(tmp_path: Path) -> None:
    root = sets.keypoints(tmp_path)
    assert read(root, task="detect").format == "coco"
    assert read(root, task="landmarks").format == "keypoints"
    with pytest.raises(UsageError, match="'coco' and 'keypoints'"):
        read(root)


def test_several_objects_are_cut_out(tmp_path: Path) -> None:
    """Box (8, 9) to (28, 25): a tenth larger it is (7, 8.2) to (29, 25.8), in whole pixels up to 26."""
    other = {**FIRST, "id": 3, "bbox": [0, 0, 5, 5], "keypoints": [1, 1, 2, 6, 3, 1, 9, 9, 0]}
    root = sets.keypoints(tmp_path, changed([FIRST, SECOND, other]))
    dataset = read(root, task="landmarks")
    found = told(dataset)
    assert found["1.png#1"] == [[10.5 - 7, 4.5, 2], [24.5 - 7, 4.5, 2], [10.5, 12.5, 2]]
    assert found["2.png"] == sets.TRUTH["2.png"]
    # The second reaches to its point at (6.5, 3.5); the third is not marked.
    assert found["1.png#2"] == [[1.5, 1.5, 2], [6.5, 3.5, 1], [0, 0, 0]]
    with Image.open(root / "images" / "1.png") as file:
        whole = np.asarray(file.convert("RGB"))
    crops = {sample.id: sample for sample in dataset.splits["all"]}
    for id, part in (("1.png#1", whole[8:26, 7:29]), ("1.png#2", whole[:6, :7])):
        copy = pickle.loads(pickle.dumps(crops[id]))
        np.testing.assert_array_equal(copy.image, part)
        assert crops[id].size == part.shape[:2]
    assert [problem.severity for problem in dataset.problems] == ["warning"]  # one not marked
    assert check(dataset).errors == []


def test_what_is_not_marked_stays_so_in_a_part(tmp_path: Path) -> None:
    one = {**FIRST, "keypoints": [10, 12, 2, 24, 12, 2, 3, 3, 0]}
    root = sets.keypoints(tmp_path, changed([one, {**FIRST, "id": 3}, SECOND]))
    found = told(read(root, task="landmarks"))
    assert found["1.png#1"] == [[3.5, 4.5, 2], [17.5, 4.5, 2], [0, 0, 0]]


def test_a_part_keeps_inside_the_picture_and_holds_its_points() -> None:
    generator = np.random.default_rng(0)
    for _ in range(200):
        height, width = generator.integers(5, 60, 2).tolist()
        x = np.sort(generator.uniform(0, width, 2))
        y = np.sort(generator.uniform(0, height, 2))
        points = generator.uniform(0, (width, height, 3), (4, 3))
        points[:, 2] = [0, 1, 2, 2]
        left, top, right, bottom = cut_out((x[0], y[0], x[1], y[1]), points, (height, width))
        assert 0 <= left < right <= width and 0 <= top < bottom <= height
        assert left <= max(0, x[0] - 0.05 * (x[1] - x[0])) < x[1] <= right
        there = points[1:]
        assert ((there[:, 0] >= left) & (there[:, 0] <= right)).all()
        assert ((there[:, 1] >= top) & (there[:, 1] <= bottom)).all()
        tight = min(points[1:, 0].min(), x[0] - 0.05 * (x[1] - x[0]))
        assert left > tight - 1 or left == 0


def test_fractions_are_continuous(tmp_path: Path) -> None:
    one = {**FIRST, "keypoints": [10.25, 12, 2, 24, 12, 2, 17, 20, 2]}
    found = told(read(sets.keypoints(tmp_path, changed([one, SECOND])), task="landmarks"))
    assert found["1.png"][0] == [10.25, 12, 2] and found["2.png"][0] == [4, 5, 2]


def test_objects_without_points_are_told(tmp_path: Path) -> None:
    bare = {**SECOND, "keypoints": [0] * 9}
    crowd = {**FIRST, "id": 4, "iscrowd": 1, "keypoints": [0] * 9}
    dataset = read(sets.keypoints(tmp_path, changed([FIRST, crowd, bare])), task="landmarks")
    assert list(told(dataset)) == ["1.png#1"], "of two people one is meant: it is cut out"
    (warning,) = dataset.problems
    assert warning.why.startswith("2 objects have no marked point, and 1 pictures")


def test_points_without_names(tmp_path: Path) -> None:
    bare = [{"id": 1, "name": "사람"}]
    root = sets.keypoints(tmp_path, changed([FIRST, SECOND], categories=bare))
    dataset = read(root, task="landmarks")
    assert dataset.classes == ["0", "1", "2"] and told(dataset) == sets.TRUTH


ANNOTATIONS: dict[str, tuple[dict[str, Any], str]] = {
    "length": ({"keypoints": [1, 2, 2]}, "keypoints has 3 numbers; 3 points need 9"),
    "no list": ({"keypoints": "none"}, "keypoints is no list"),
    "no number": ({"keypoints": [1, "a", 2, 3, 4, 2, 5, 6, 2]}, "'a' is no number"),
    "visibility": ({"keypoints": [1, 1, 3, 3, 4, 2, 5, 6, 2]}, "3 is no visibility"),
    "no visibility": ({"keypoints": [1, 1, None, 3, 4, 2, 5, 6, 2]}, "None is no number"),
    "outside": ({"keypoints": [1, 1, 2, 3, 4, 2, 50, 6, 2]}, "outside the picture, 40×30"),
    "crowd": ({"iscrowd": 1}, "a crowd has marked points"),
    "category": ({"category_id": 5}, "category_id 5 is no category"),
    "image": ({"image_id": 5}, "image_id 5 is no image"),
    "box": ({"bbox": [8, 9, -20, 16]}, "is empty: x2 <= x1"),
}


@pytest.mark.parametrize("kind", ANNOTATIONS)
def test_a_wrong_annotation_is_named(kind: str, tmp_path: Path) -> None:
    change, why = ANNOTATIONS[kind]
    content = changed([{**FIRST, **change}, SECOND])
    root = sets.keypoints(tmp_path, json.dumps(content, indent=1, ensure_ascii=False))
    dataset, problems = attempt(root)
    assert dataset is not None and list(told(dataset)) == ["2.png"]
    (problem,) = problems
    assert problem.file.endswith("person_keypoints.json") and why in problem.why
    lines = (root / "person_keypoints.json").read_text().split("\n")
    assert problem.line is not None and problem.field is not None
    assert problem.field.startswith("annotations[0]")
    assert '"annotations"' in lines[problem.line - 2], "the line where the record begins"


def test_several_objects_need_their_boxes(tmp_path: Path) -> None:
    bare = {key: value for key, value in FIRST.items() if key != "bbox"}
    assert told(read(sets.keypoints(tmp_path / "a", changed([bare])), task="landmarks"))
    second = {**FIRST, "id": 5}
    dataset, problems = attempt(sets.keypoints(tmp_path / "b", changed([bare, second])))
    assert dataset is not None and list(told(dataset)) == ["1.png#2"]
    assert [problem.field for problem in problems] == ["annotations[0].bbox"]


def test_a_crop_of_a_picture_of_another_size(tmp_path: Path) -> None:
    images = [{**sets.COCO["images"][0], "width": 60}, sets.COCO["images"][1]]
    root = sets.keypoints(tmp_path, changed([FIRST, {**FIRST, "id": 2}], images=images))
    report = check(read(root, task="landmarks"))
    assert [problem.why for problem in report.errors] == [
        "the picture is 40×30, the annotation says 60×30"
    ] * 2


def test_the_same_picture_with_other_points_is_told(tmp_path: Path) -> None:
    root = sets.points(tmp_path)
    shutil.copy(root / "1.png", root / "3.png")
    row = sets.CSV.splitlines()[1].replace("1.png,10.5", "3.png,11.5")
    write(root / "points.csv", f"{sets.CSV}{row}\n")
    report = check(read(root))
    (warning,) = report.warnings
    assert "annotated in two ways" in warning.why and "3 points" in warning.why
    same = write(root / "points.csv", sets.CSV + row.replace("11.5", "10.5")).parent
    assert check(read(same)).fingerprint != report.fingerprint
