"""``boda convert``: every format into every other without loss, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
import yaml
from typer.testing import CliRunner

from boda.cli.converting import register
from boda.data.readers import read
from boda.errors import BodaError, DataError, UsageError
from boda.types import Dataset
from tests.data import detection_sets as sets
from tests.data.detection_sets import write

FORMATS = ("coco", "voc", "yolo")
app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
register(app)


@app.command()
def other() -> None:
    """With two commands typer asks for a name, as in the whole program."""


def run(*arguments: object) -> Any:
    result = CliRunner().invoke(app, ["convert", *(str(a) for a in arguments), "--json"])
    assert result.exit_code == 0, result.output + repr(result.exception)
    return json.loads(result.stdout)


def refused(*arguments: object) -> BodaError:
    result = CliRunner().invoke(app, ["convert", *(str(a) for a in arguments)])
    assert isinstance(result.exception, BodaError), result.output
    assert result.exception.exit_status == 2
    return result.exception


def content(dataset: Dataset, crowds: bool = True) -> dict[Any, Any]:
    """(split, picture) → its objects, bytes of the picture; classes by name."""
    found = {}
    for split, samples in dataset.splits.items():
        for sample in samples:
            count = len(sample.boxes)
            crowd = np.zeros(count, bool) if sample.crowd is None else sample.crowd
            rows = [
                (dataset.classes[label], *box, bool(many))
                for label, box, many in zip(
                    sample.labels, sample.boxes.tolist(), crowd, strict=True
                )
                if crowds or not many
            ]
            picture = Path(sample.read.entry.path).read_bytes()
            found[split, sample.id] = rows, picture, sample.size
    return found


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize("source", sets.MAKERS)
def test_every_format_into_every_other(source: str, to: str, tmp_path: Path) -> None:
    data = sets.MAKERS[source](tmp_path / "원본")
    told = run(data, tmp_path / "결과", "--to", to)
    assert (told["format"], told["to"], told["samples"], told["boxes"]) == (source, to, 2, 3)
    assert told["told"] == {} and told["dropped"] == {}
    before, after = read(data), read(tmp_path / "결과")
    assert after.format == to and after.problems == []
    assert content(after) == content(before)
    if to != "voc":
        assert after.classes == before.classes
    assert sorted(path.name for path in tmp_path.iterdir()) == ["결과", "원본"]


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize("name", ["raccoon", "coco128/instances.json"])
def test_the_development_data_to_the_last_bit(
    name: str, to: str, shared_data: Path, tmp_path: Path
) -> None:
    told = run(shared_data / name, tmp_path / "out", "--to", to)
    before, after = read(shared_data / name), read(tmp_path / "out")
    assert {s: len(p) for s, p in after.splits.items()} == told["splits"]
    assert content(after, to != "yolo") == content(before, to != "yolo")
    coco = "coco" in name
    assert (
        told["told"].get("outlines left out", 0) == {"coco": 0, "voc": 939, "yolo": 929}[to] * coco
    )
    crowds = {"voc": "crowds written as difficult", "yolo": "crowds left out"}.get(to, "")
    assert told["told"].get(crowds, 0) == 10 * (coco and to != "coco")
    if to == "coco" and coco:
        for one, other in zip(before.splits["all"], after.splits["all"], strict=True):
            for left, right in zip(one.outlines or [], other.outlines or [], strict=True):
                if isinstance(left, dict):
                    assert left == right
                else:
                    assert [p.tolist() for p in left] == [p.tolist() for p in right]
            np.testing.assert_array_equal(one.areas, other.areas)


def test_splits_and_names_in_folders_are_kept(tmp_path: Path) -> None:
    text = (
        sets.CSV.replace("1.png", "a/1.png")
        .replace("2.png", "b/1.png")
        .replace("class\n", "class,split\n")
    )
    text = "".join(
        line + (",test" if "b/" in line else ",train" if "a/" in line else "") + "\n"
        for line in text.splitlines()
    )
    root = tmp_path / "set"
    sets.pictures(root / "a")
    sets.pictures(root / "b")
    shutil.move(root / "b" / "2.png", root / "b" / "1.png")
    (root / "a" / "2.png").unlink()
    write(root / "boxes.csv", text)
    before = read(root, "boxes")
    assert set(content(before)) == {("train", "a/1.png"), ("test", "b/1.png")}
    for to in FORMATS:
        run(root, tmp_path / to, "--to", to, "--format", "boxes")
        assert content(read(tmp_path / to, to)) == content(before)


def test_the_same_name_in_two_splits(tmp_path: Path) -> None:
    for split in ("train", "val"):
        sets.yolo(tmp_path / "set" / split, names="")
    write(tmp_path / "set" / "data.yaml", sets.YAML)
    before = read(tmp_path / "set")
    assert len(content(before)) == 4
    for to in FORMATS:
        run(tmp_path / "set", tmp_path / to, "--to", to)
        assert content(read(tmp_path / to)) == content(before)


def test_names_that_yaml_and_xml_would_change(tmp_path: Path) -> None:
    names = ["no", "1.5", "a: b", "<&>", "큰 '개'", '"q"', "# x", "null"]
    table = {
        "images": sets.COCO["images"],
        "categories": [{"id": i, "name": name} for i, name in enumerate(names)],
        "annotations": [
            {"id": i, "image_id": 7, "category_id": i, "bbox": [i, 1 / 3, 7.1, 2.7]}
            for i in range(len(names))
        ],
    }
    before = read(sets.coco(tmp_path / "set", table))
    for to in FORMATS:
        run(tmp_path / "set", tmp_path / to, "--to", to)
        after = read(tmp_path / to)
        assert content(after) == content(before)
        assert sorted(after.classes) == sorted(names)


def test_voc_says_which_boxes_are_not_whole(tmp_path: Path) -> None:
    root = sets.yolo(tmp_path / "set", "0 0.31 0.5 0.4 0.6\n", "")
    told = run(root, tmp_path / "out", "--to", "voc")["told"]
    assert told == {
        "boxes with decimals, which Pascal VOC has not": 1,
        "classes without a box, which Pascal VOC cannot name": 1,
    }
    assert content(read(tmp_path / "out")) == content(read(root))


def test_links_share_the_pictures(tmp_path: Path) -> None:
    root = sets.coco(tmp_path / "set")
    run(root, tmp_path / "linked", "--to", "yolo", "--link")
    run(root, tmp_path / "copied", "--to", "yolo")
    origin = root / "images" / "1.png"
    assert origin.samefile(tmp_path / "linked" / "images" / "1.png")
    assert not origin.samefile(tmp_path / "copied" / "images" / "1.png")


def test_out_of_an_archive(tmp_path: Path) -> None:
    root = sets.voc(tmp_path / "set")
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, "set")
    run(archive, tmp_path / "out", "--to", "coco", "--link")
    assert [key[1] for key in content(read(tmp_path / "out"))] == ["1.png", "2.png"]
    assert (tmp_path / "out/images/1.png").read_bytes() == (root / "JPEGImages/1.png").read_bytes()


def test_wrong_records_stop_it_or_are_dropped(tmp_path: Path) -> None:
    root = sets.yolo(tmp_path / "set", second="7 0.5 0.5 0.1 0.1\n")
    error = refused(root, tmp_path / "out", "--to", "coco")
    assert isinstance(error, DataError) and "2.txt:1" in str(error) and "--drop" in str(error)
    assert not (tmp_path / "out").exists()
    told = run(root, tmp_path / "out", "--to", "coco", "--drop")
    assert told["dropped"] == {"reader": 1} and told["samples"] == 1
    assert set(content(read(tmp_path / "out"))) == {("all", "1.png")}


def test_what_it_refuses(tmp_path: Path) -> None:
    root = sets.coco(tmp_path / "set")
    write(tmp_path / "full" / "x", "")
    assert "is not empty" in str(refused(root, tmp_path / "full", "--to", "voc"))
    assert "is a file" in str(refused(root, tmp_path / "full" / "x", "--to", "voc"))
    assert "Did you mean coco" in str(refused(root, tmp_path / "out", "--to", "cocoa"))
    assert list((tmp_path / "full").iterdir()) == [tmp_path / "full" / "x"]
    (tmp_path / "empty").mkdir()
    assert run(root, tmp_path / "empty", "--to", "voc")["samples"] == 2


def test_two_pictures_with_one_label_file(tmp_path: Path) -> None:
    root = sets.boxes(tmp_path / "set", sets.CSV.replace("2.png", "1.bmp"))
    (root / "2.png").rename(root / "1.bmp")
    for to in ("voc", "yolo"):
        error = refused(root, tmp_path / to, "--to", to)
        assert isinstance(error, UsageError) and "1.bmp" in str(error)
        assert not (tmp_path / to).exists()
    run(root, tmp_path / "coco", "--to", "coco")
    assert content(read(tmp_path / "coco")) == content(read(root))


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import boda.data.convert as module

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.shutil, "copyfile", full)
    root = sets.coco(tmp_path / "set")
    assert "No space left" in str(refused(root, tmp_path / "out", "--to", "yolo"))
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_what_is_written_is_what_others_read(tmp_path: Path) -> None:
    """Plain parsers on the files, by the formats' own rules."""
    root = sets.coco(tmp_path / "set")
    for to in FORMATS:
        run(root, tmp_path / to, "--to", to)
    assert "<xmin>5</xmin><ymin>6</ymin><xmax>20</xmax><ymax>25</ymax>" in (
        tmp_path / "voc" / "Annotations" / "1.xml"
    ).read_text("utf-8")
    rows = [line.split() for line in (tmp_path / "yolo/labels/1.txt").read_text().splitlines()]
    assert [row[0] for row in rows] == ["0", "1"]
    np.testing.assert_allclose([float(x) for x in rows[0][1:]], [0.3, 0.5, 0.4, 2 / 3])
    names = yaml.safe_load((tmp_path / "yolo" / "data.yaml").read_text("utf-8"))["names"]
    assert names == {0: "고양이", 1: "dog"}
    written = json.loads((tmp_path / "coco" / "annotations" / "instances.json").read_bytes())
    assert [a["bbox"] for a in written["annotations"]] == [
        a["bbox"] for a in sets.COCO["annotations"]
    ]
    ids = {c["id"]: c["name"] for c in written["categories"]}
    assert [ids[a["category_id"]] for a in written["annotations"]] == ["고양이", "dog", "dog"]
