"""``boda propose``: what is told and drawn, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from boda.cli.proposing import DIMMED, register
from boda.errors import BodaError
from boda.ops.regions import selective_search
from boda.pen import PALETTE

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
register(app)


@app.command()
def other() -> None:
    """With two commands typer asks for a name, as in the whole program."""


@pytest.fixture
def photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A noisy gray picture of 80 × 100 with a red box, in the folder where one stands."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    picture = random.integers(90, 110, (80, 100, 3)).astype(np.uint8)
    picture[20:50, 30:80] = (210, 30, 30)
    Image.fromarray(picture).save("사진.png")
    return Path("사진.png")


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["propose", *(str(a) for a in arguments)])
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result.stdout


def refused(*arguments: object) -> str:
    result: Any = CliRunner().invoke(app, ["propose", *(str(a) for a in arguments)])
    assert isinstance(result.exception, BodaError), result.output
    assert result.exception.exit_status == 2
    return str(result.exception)


def test_the_regions_told_are_those_of_the_search(photo: Path) -> None:
    picture = np.asarray(Image.open(photo))
    for mode in ("fast", "quality"):
        told = json.loads(run(photo, "--mode", mode, "--count", 7, "--json"))
        found = selective_search(picture, mode)
        assert told["mode"] == mode
        [one] = told["pictures"]
        assert (one["source"], one["regions"]) == ("사진.png", len(found))
        assert one["boxes"] == found[:7].tolist() and one["seconds"] > 0
        assert one["file"] == "사진-regions.png" and Path(one["file"]).is_file()


def test_boxes_are_drawn_where_they_are(photo: Path) -> None:
    [one] = json.loads(run(photo, "--count", 1, "--json"))["pictures"]
    drawn = np.asarray(Image.open(one["file"])).astype(int)
    assert drawn.shape[1] == 800 and drawn.shape[0] > 640, "eight times as large, and a line below"
    x1, y1, x2, y2 = (round(8 * edge) for edge in one["boxes"][0])
    is_box = (drawn[:640] == PALETTE[0]).all(-1)
    rows, columns = np.nonzero(is_box)
    assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (x1, y1, x2, y2)
    pale = drawn[280, 440]
    assert np.abs(pale - (255 + DIMMED * (np.array([210, 30, 30]) - 255))).max() <= 2
    assert (drawn[640:] < 200).any(), "the title"


def test_several_pictures_into_a_folder(photo: Path) -> None:
    Image.open(photo).transpose(Image.Transpose.ROTATE_90).save("turned.jpg")
    said = run(photo, "turned.jpg", "--out", "new/regions")
    assert sorted(path.name for path in Path("new/regions").iterdir()) == [
        "turned-regions.png",
        "사진-regions.png",
    ]
    lines = said.splitlines()
    assert len(lines) == 2 and "turned.jpg: the first " in lines[1] and "regions · fast" in lines[1]


def test_a_count_above_all_shows_all(photo: Path) -> None:
    [one] = json.loads(run(photo, "--count", 10**6, "--json"))["pictures"]
    assert len(one["boxes"]) == one["regions"]


def test_propose_refuses(photo: Path) -> None:
    assert "Did you mean quality" in refused(photo, "--mode", "quailty")
    assert "give 1 or more" in refused(photo, "--count", 0)
    assert "cannot be read" in refused("none.png")
    assert "is a file" in refused(photo, "--out", photo)
    Path("twice").mkdir()
    Path("twice/사진.png").write_bytes(photo.read_bytes())
    assert "both be drawn as" in refused(photo, "twice/사진.png")
    Path("text.png").write_text("no picture")
    assert "text.png" in refused("text.png")
    assert sorted(path.name for path in Path().iterdir()) == ["text.png", "twice", "사진.png"]
