"""Maps from the shell: pictures of numbers, a list of classes, nobody's files replaced."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from boda import outputs
from boda.cli import predicting, show
from boda.cli.index_maps import IndexMaps
from boda.data import readers
from boda.errors import UsageError
from boda.progress import Progress
from tests.test_outputs_segment import NAMES, picture, predictor

QUIET = Progress(quiet=True)


def look(tmp_path: Path, count: int = 1) -> predicting.Found:
    (tmp_path / "in").mkdir(exist_ok=True)
    files = [tmp_path / "in" / f"{i}.png" for i in range(count)]
    for file in files:
        Image.fromarray(picture()).save(file)
    work = predicting.plan([str(file) for file in files], tmp_path / "out", QUIET)
    return predicting.carry_out(work, predictor(), 2, QUIET)


def test_pictures_of_numbers_and_names(tmp_path: Path) -> None:
    found = look(tmp_path, 2)
    out = tmp_path / "out"
    assert (out / "labels" / "classes.txt").read_text("utf-8").splitlines() == NAMES
    for i, prediction in enumerate(found.predictions):
        with Image.open(out / "labels" / f"{i}.png") as image:
            assert image.mode == "P" and image.size == (40, 30)
            assert np.array_equal(np.asarray(image), prediction.class_map)
            shown = np.asarray(image.convert("RGB"))
        assert not shown[15, 5].any() and shown[0, 0].any()  # background is black
        assert tuple(shown[0, 0]) != tuple(shown[29, 39])
        with Image.open(out / f"{i}.png") as image:
            assert image.mode == "RGB" and image.width >= 40
    row = found.to_dict()["predictions"][0]
    assert row["areas"] == [900, 200, 100] and len(row["masks"]) == 3
    look(tmp_path, 2)  # its own files may be replaced


def test_boda_reads_them_as_data(tmp_path: Path) -> None:
    look(tmp_path)
    (tmp_path / "in").rename(tmp_path / "out" / "images")
    data = readers.read(tmp_path / "out", "masks")
    assert data.task == "segment" and data.classes == NAMES
    (sample,) = (sample for samples in data.splits.values() for sample in samples)
    assert np.array_equal(sample.class_map, predictor().predict(picture()).semantic)


def test_names_that_look_like_comments_are_read_again(tmp_path: Path) -> None:
    names = ["#1", "road", "# 2"]
    maps = IndexMaps(tmp_path, names, ["1.png"])
    told = outputs.told_map(np.array([[0, 1, 2]], np.uint8), names, "1", picture())
    maps.add(told, "1.png")
    (tmp_path / "images").mkdir()
    Image.new("RGB", (3, 1)).save(tmp_path / "images" / "1.png")
    data = readers.read(tmp_path, "masks")
    assert data.classes == names
    assert data.splits["all"][0].class_map.tolist() == [[0, 1, 2]]
    IndexMaps(tmp_path, names, ["1.png"])  # its own list may be there


def test_a_persons_own_files_are_never_replaced(tmp_path: Path) -> None:
    labels = tmp_path / "out" / "labels"
    labels.mkdir(parents=True)
    Image.new("L", (4, 4)).save(labels / "0.png")
    before = (labels / "0.png").read_bytes()
    with pytest.raises(UsageError, match=r"0\.png is there already"):
        look(tmp_path)
    assert (labels / "0.png").read_bytes() == before
    assert [path.name for path in labels.iterdir()] == ["0.png"]
    (labels / "0.png").unlink()
    (labels / "classes.txt").write_text("cat\ndog\n")
    with pytest.raises(UsageError, match="other classes"):
        look(tmp_path)
    assert (labels / "classes.txt").read_text() == "cat\ndog\n"


def test_people_read_names_and_shares(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = look(tmp_path, 2)
    show.predictions(found.predictions, [], tmp_path / "out")
    text = capsys.readouterr().out
    assert "background 75.0 %, 고양이 16.7 %, bird 8.3 %" in text
    show.predictions(found.predictions[:1], [], None)
    text = capsys.readouterr().out
    assert "0.7500" in text and "900" in text and "고양이" in text
