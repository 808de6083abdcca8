"""``boda portrait``: what is written and told, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from boda import api
from boda.data.prepare import Preparation
from boda.predicting import Predictor

Boda = Callable[..., tuple[int, str, str]]
RED, WALL = (200, 40, 40), (90, 110, 130)


@pytest.fixture
def photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Somebody in red, 40 × 60 in a picture of 120 × 90, and networks that see red as a person."""
    monkeypatch.chdir(tmp_path)
    picture = np.full((90, 120, 3), WALL, np.uint8)
    picture[::2, ::2] += 20
    picture[30:90, 20:60] = RED
    Image.fromarray(picture).save("사진.png")

    def red(images: np.ndarray) -> np.ndarray:
        person = (images[:, 0] > 160).astype(np.float32)
        return np.stack([1 - person, person], 1)

    def predictor(name: object, *rest: object) -> Predictor:
        task = "classify" if "classify" in str(name) else "segment"
        classes = ["background", "개" if "dog" in str(name) else "person"]
        return Predictor(red, task, classes, Preparation(18, 24, rule="stretch"))

    monkeypatch.setattr(api, "predictor", predictor)
    return Path("사진.png")


def pixels(file: str | Path) -> np.ndarray:
    return np.asarray(Image.open(file)).astype(int)


def test_the_rest_is_blurred(boda: Boda, photo: Path) -> None:
    status, out, err = boda("portrait", photo, "--run", "runs/segment-1", "--blur", 5, "--json")
    assert status == 0, err
    told = json.loads(out)
    assert (told["image"], told["run"], told["keep"]) == ("사진.png", "runs/segment-1", "person")
    assert told["share"] == pytest.approx(40 * 60 / (90 * 120), abs=0.01)
    assert (told["blur"], told["background"], told["size"]) == (5, None, [90, 120])
    assert told["file"] == "사진-portrait.png" and told["seconds"] > 0
    before, after = pixels(photo), pixels(told["file"])
    assert after.shape == (90, 120, 3)
    assert (after[34:, 24:56] == RED).all()
    assert before[10:80, 75:110].std((0, 1)).min() > 5
    assert after[10:80, 75:110].std((0, 1)).max() < 2


def test_the_default_blur_is_told_and_a_second_time_replaces_the_first(
    boda: Boda, photo: Path
) -> None:
    for name in ("out/new.jpg", "out/new.png"):
        command = ("portrait", photo, "--run", "runs/segment-1", "--out", name)
        for extra in ((), ("--blur", 7)):
            status, out, err = boda(*command, *extra)
            assert status == 0, err
            lines = out.splitlines()
            assert "person, 22." in lines[0] and f"radius {7 if extra else 2} pixels" in lines[0]
            assert lines[1] == f"written  {Path(name)}"
        with Image.open(name) as written:
            assert written.format == ("JPEG" if name.endswith("jpg") else "PNG")
            assert written.size == (120, 90)


def test_the_picture_stands_up_and_keeps_its_colour_profile(boda: Boda, photo: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    exif[0x010F] = "a camera"
    turned = Image.open(photo).transpose(Image.Transpose.ROTATE_90)
    turned.save("turned.jpg", exif=exif, icc_profile=b"a profile", quality=100, subsampling=0)
    status, _, err = boda("portrait", "turned.jpg", "--run", "r", "--out", "new.jpg")
    assert status == 0, err
    with Image.open("new.jpg") as written:
        assert written.size == (120, 90) and written.info["icc_profile"] == b"a profile"
        assert dict(written.getexif()) == {0x0131: "boda"}, "nothing else about the person"
    assert np.abs(pixels("new.jpg")[40:80, 30:50] - RED).max() < 12


def test_another_background(boda: Boda, photo: Path) -> None:
    Image.new("RGB", (50, 300), (10, 200, 10)).save("잔디.png")
    for text, colour in (
        ("#0000ff", (0, 0, 255)),
        ("white", (255,) * 3),
        ("잔디.png", (10, 200, 10)),
    ):
        command = ("portrait", photo, "--run", "r", "--background", text, "--out", "new.png")
        status, out, err = boda(*command, "--json")
        assert status == 0, err
        assert json.loads(out)["background"] == text and json.loads(out)["blur"] == 0
        found = pixels("new.png")
        assert (found[:, 75:] == colour).all() and (found[34:, 24:56] == RED).all()
    status, out, _ = boda("portrait", photo, "--run", "r", "--background", "transparent")
    assert status == 0 and "behind it transparent" in out
    found = pixels("사진-portrait.png")
    assert found.shape[2] == 4 and (found[:, 75:] == 0).all()
    assert (found[34:, 24:56] == (*RED, 255)).all()


def test_what_is_refused_writes_nothing(boda: Boda, photo: Path) -> None:
    Image.fromarray(np.full((40, 40, 3), 60, np.uint8)).save("empty.png")
    Image.open(photo).save("holiday.jpg")
    Path("text.png").write_text("no picture")
    before = {path: path.read_bytes() for path in Path().rglob("*")}
    run = ("--run", "r")
    cases: list[tuple[tuple[object, ...], str]] = [
        (
            ("empty.png", *run),
            "empty.png: the network sees no person in it; it sees background 100.0%",
        ),
        ((photo, "--run", "runs/classify-1"), "this one is for classify"),
        ((photo, *run, "--keep", "persn"), "Did you mean person"),
        ((photo, *run, "--blur", 0), "1 to 120 pixels"),
        ((photo, *run, "--out", photo), "is the picture itself"),
        ((photo, *run, "--out", "holiday.jpg"), "is there already, and is none that boda wrote"),
        ((photo, *run, "--out", "new.gif"), "ends in .png or .jpg"),
        ((photo, *run, "--background", "transparent", "--out", "new.jpg"), "only a .png can be"),
        ((photo, *run, "--background", "whit"), "no colour is called so"),
        ((photo, *run, "--background", "none.jpg"), "none.jpg: the file cannot be read"),
        ((photo, *run, "--background", "text.png"), "text.png: is not a picture"),
        (("none.png", *run), "none.png: the file cannot be read"),
        (("text.png", *run), "text.png: is not a picture"),
    ]
    for arguments, why in cases:
        status, out, err = boda("portrait", *arguments)
        assert status == 2 and not out, arguments
        assert why in err and "Traceback" not in err, err
    assert {path: path.read_bytes() for path in Path().rglob("*")} == before


def test_the_only_class_beside_the_background_is_kept(boda: Boda, photo: Path) -> None:
    status, out, _ = boda("portrait", photo, "--run", "dogs", "--json")
    assert status == 0 and json.loads(out)["keep"] == "개"
