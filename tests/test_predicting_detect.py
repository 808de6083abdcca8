"""``boda predict`` for boxes: which are told, where they are drawn, the same from run and ONNX file."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import boda as package
from boda.cli import show
from boda.progress import Progress
from boda.types import Prediction
from tests.test_tiling import overlap, painted


@pytest.fixture(scope="session")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of 96 × 80 with a bright square or two, their boxes in a table."""
    folder = tmp_path_factory.mktemp("squares")
    generator = np.random.default_rng(0)
    lines = ["file,x1,y1,x2,y2,class"]
    for number in range(24):
        picture = generator.integers(0, 60, (80, 96, 3)).astype(np.uint8)
        for left in (4, 52)[: 1 + number % 2]:
            x, y = left + generator.integers(0, 16), generator.integers(0, 50)
            picture[y : y + 24, x : x + 24, number % 3] = 230
            lines.append(
                f"{number}.png,{x},{y},{x + 24},{y + 24},{('red', '초록', 'blue')[number % 3]}"
            )
        Image.fromarray(picture).save(folder / f"{number}.png")
    (folder / "boxes.csv").write_text("\n".join(lines) + "\n", "utf-8")
    return folder


@pytest.fixture(scope="session")
def squares_run(squares: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small detector that finds them; to be read only."""
    out = tmp_path_factory.mktemp("runs") / "squares"
    package.fit(
        "detect",
        squares,
        epochs=24,
        size="64",
        lr=0.004,
        precision="32",
        settings={"width": "0.125"},
        out=out,
        progress=Progress(quiet=True),
    )
    return out


@pytest.fixture(scope="session")
def squares_onnx(squares_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return package.export(squares_run, tmp_path_factory.mktemp("onnx") / "squares.onnx")[0]


def told(boda, *arguments: object) -> list[dict]:
    status, text, err = boda("predict", *arguments, "--json")
    assert status == 0, err
    return json.loads(text)["predictions"]


def test_conf_leaves_out_what_is_less_sure(boda, squares: Path, squares_run: Path) -> None:
    (everything,) = told(boda, squares_run, squares / "1.png", "--conf", 0)
    limit = float(np.median(everything["scores"]))
    (some,) = told(boda, squares_run, squares / "1.png", "--conf", limit)
    count = sum(score >= limit for score in everything["scores"])
    assert 0 < count < len(everything["scores"])
    assert some["boxes"] == everything["boxes"][:count] and some["scores"][-1] >= limit
    assert set(some["names"]) <= {"red", "초록", "blue"}
    boxes = np.array(everything["boxes"])
    assert boxes.min() >= 0 and (boxes.max(0) <= (96, 80, 96, 80)).all()  # pixels of the original


def worst_overlap(prediction: dict) -> float:
    """IoU of the two boxes of one class that overlap most; those cut at the edge are left out."""
    edges = ((0, 96), (0, 80)) * 2
    inside = [
        (box, label)
        for box, label in zip(prediction["boxes"], prediction["labels"], strict=True)
        if all(low < side < high for side, (low, high) in zip(box, edges, strict=True))
    ]
    return max(
        overlap(a, b)
        for (a, kind), (b, other) in itertools.combinations(inside, 2)
        if kind == other
    )


def test_iou_drops_what_overlaps_a_better_one(boda, squares: Path, squares_run: Path) -> None:
    wish = (squares_run, squares / "1.png", "--conf", 0, "--iou")
    (few,), (many,) = told(boda, *wish, 0.1), told(boda, *wish, 0.9)
    assert worst_overlap(few) <= 0.1 + 1e-4 and 0.5 < worst_overlap(many) <= 0.9 + 1e-4
    assert len(few["boxes"]) < len(many["boxes"])


@pytest.mark.parametrize("wishes", [(), ("--tta",), ("--tile", 48), ("--tile", 48, "--tta")])
def test_the_exported_file_tells_the_same(
    boda, squares: Path, squares_run: Path, squares_onnx: Path, wishes: tuple
) -> None:
    pictures = [squares / "0.png", squares / "1.png"]
    by_run = told(boda, squares_run, *pictures, "--conf", 0.02, *wishes)
    by_file = told(boda, squares_onnx, *pictures, "--conf", 0.02, *wishes)
    for one, other in zip(by_run, by_file, strict=True):
        assert one["source"] == other["source"] and len(one["boxes"]) > 0
        rows = [np.c_[p["boxes"], p["scores"], p["labels"]] for p in (one, other)]
        for mine, theirs in (rows, rows[::-1]):
            for row in mine[mine[:, 4] >= 0.021]:  # what rounding cannot push over the limit
                assert np.abs(theirs - row).max(1).min() < 0.02


def test_tta_and_tiles_change_what_is_told(boda, squares: Path, squares_run: Path) -> None:
    (plain,), (twice,), (tiles,) = (
        told(boda, squares_run, squares / "1.png", "--conf", 0.02, *wishes)
        for wishes in ((), ("--tta",), ("--tile", 48))
    )
    assert plain["scores"] != twice["scores"] and plain["scores"] != tiles["scores"]


def refused(result: tuple[int, str, str], *words: str) -> None:
    status, out, err = result
    assert status == 2 and not out and "Traceback" not in err
    assert all(word in err for word in words), err


def test_wrong_wishes_are_refused(
    boda, squares: Path, squares_run: Path, squares_onnx: Path, shapes_run: Path
) -> None:
    picture = squares / "0.png"
    refused(boda("predict", squares_onnx, picture, "--iou", 0.5), "--iou", "inside it", "run")
    refused(boda("predict", squares_run, picture, "--iou", 0), "above 0 and at most 1")
    refused(boda("predict", squares_run, picture, "--conf", 2), "from 0 to 1")
    refused(boda("predict", squares_run, picture, "--tile", 3), "at least 32")
    refused(boda("predict", shapes_run, picture, "--iou", 0.5), "--iou is for detect")
    refused(boda("predict", shapes_run, picture, "--conf", 0.5), "--conf is for", "classify")
    refused(boda("predict", shapes_run, picture, "--tile", 64), "--tile is for detect")


def test_a_classifier_looks_at_the_mirrored_picture_too(
    boda, shapes: Path, shapes_run: Path, tmp_path: Path
) -> None:
    picture = next((shapes / "test" / "box").iterdir())
    mirrored = tmp_path / "mirrored.png"
    Image.fromarray(np.asarray(Image.open(picture))[:, ::-1]).save(mirrored)
    both = [
        dict(zip(p["names"], p["scores"], strict=True))
        for p in told(boda, shapes_run, picture, mirrored)
    ]
    (tta,) = told(boda, shapes_run, picture, "--tta")
    for name, score in zip(tta["names"], tta["scores"], strict=True):
        assert score == pytest.approx((both[0][name] + both[1][name]) / 2, abs=1e-5)


def test_what_people_read(boda, squares: Path, squares_run: Path) -> None:
    status, text, _ = boda("predict", squares_run, squares / "1.png", "--conf", 0.02)
    assert status == 0 and all(word in text for word in ("class", "score", "x1", "y2", "0.0"))
    text = boda("predict", squares_run, squares / "1.png", squares / "2.png", "--conf", 1)[1]
    assert text.count("nothing found") == 2
    assert "nothing found" in boda("predict", squares_run, squares / "1.png", "--conf", 1)[1]
    text = boda("predict", squares_run, squares / "1.png", squares / "2.png", "--conf", 0)[1]
    assert any(f" {name}" in text for name in ("red", "초록", "blue"))


def test_points_are_shown_too(capsys) -> None:
    points = np.array([[1.5, 2.0, 1.0], [3.0, 4.25, 1.0]])
    found = Prediction("a.png", (9, 9), names=["left eye", "nose"], points=points)
    show.predictions([found], [], None)
    text = capsys.readouterr().out
    assert all(word in text for word in ("a.png", "left eye", "4.2500", "1.5000"))
    show.predictions([found, found], [], None)
    assert capsys.readouterr().out.count("a.png: 2 points") == 2


def test_evaluate_shows_a_detectors_figures(boda, squares: Path, squares_run: Path) -> None:
    text = boda("evaluate", squares_run, squares)[1]
    assert all(word in text for word in ("map50", "ap75", "ar", "support", "초록"))


def test_drawn_pictures_have_names_of_their_own(boda, squares_run: Path, tmp_path: Path) -> None:
    """Names that differ in nothing a file system tells apart, or in what is left away."""
    for name in ("a/x.png", "b/X.jpg", "b/x.bmp", "c/가.png", "d/가.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(painted((40, 40), [(5, 5, 30, 30)])).save(path)
    status, _, err = boda(
        "predict", squares_run, *map(tmp_path.joinpath, "abcd"), "--out", tmp_path / "o"
    )
    names = [path.name for path in (tmp_path / "o").iterdir()]
    assert status == 0 and len({name.casefold() for name in names}) == 5, err
    assert {"x.png", "가.png"} <= set(names)


def test_no_file_of_the_persons_is_replaced(boda, squares_run: Path, tmp_path: Path) -> None:
    Image.fromarray(painted((40, 40), [(5, 5, 30, 30)])).save(tmp_path / "a.png")
    Image.fromarray(painted((40, 40), [(5, 5, 30, 30)])).save(tmp_path / "b.jpg")
    Image.new("RGB", (3, 3)).save(tmp_path / "b.png")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for name in ("a.png", "b.jpg"):
        refused(
            boda("predict", squares_run, tmp_path / name, "--out", tmp_path),
            "is there already", "another folder",
        )  # fmt: skip
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    for _ in range(2):  # but what boda drew itself is drawn anew
        assert boda("predict", squares_run, tmp_path / "b.jpg", "--out", tmp_path / "o")[0] == 0
    assert Image.open(tmp_path / "o" / "b.png").size == (40, 40)
    refused(
        boda("predict", squares_run, tmp_path / "o" / "b.png", "--out", tmp_path / "o"),
        "is there already",
    )


def test_python_has_the_same_words(squares: Path, squares_run: Path) -> None:
    (one,) = package.predict(
        squares_run, [squares / "1.png"], conf=0.02, iou=0.5, tile=48, tta=True
    )
    assert one.boxes is not None and one.boxes.dtype == np.float32
    assert len(one.boxes) == len(one.names or []) == len(one.labels) == len(one.scores)  # type: ignore[arg-type]
