"""``boda augment``: the sheet, the matrices and the boxes it tells of, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from boda.cli.augmenting import register
from boda.errors import BodaError

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
register(app)


@app.command()
def other() -> None:
    """With two commands typer asks for a name, as in the whole program."""


@pytest.fixture
def photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dark picture of 40 × 60 with a white rectangle, in the folder where one stands."""
    monkeypatch.chdir(tmp_path)
    picture = np.full((40, 60, 3), 40, np.uint8)
    picture[10:25, 20:44] = 255
    Image.fromarray(picture).save("사진.png")
    return Path("사진.png")


def run(*arguments: object) -> Any:
    result = CliRunner().invoke(app, ["augment", *(str(a) for a in arguments)])
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result.stdout


def refused(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["augment", *(str(a) for a in arguments)])
    assert isinstance(result.exception, BodaError), result.output
    assert result.exception.exit_status == 2
    return str(result.exception)


def test_the_boxes_and_matrices_told_are_those_of_the_pixels(photo: Path) -> None:
    options = ("--policy", "light", "--boxes", "20,10,44,25", "--count", 8, "--out", "sheet.png")
    told = json.loads(run(photo, *options, "--json"))
    assert (told["size"], told["policy"], told["file"]) == ([40, 60], "light", "sheet.png")
    assert len(told["versions"]) == 8 and not any(v["bent"] for v in told["versions"])
    for version in told["versions"]:
        matrix, (x1, y1, x2, y2) = np.array(version["matrix"]), version["boxes"][0]
        corners = matrix @ np.array([[20, 44], [10, 25], [1, 1]])
        assert sorted(corners[0]) == pytest.approx([x1, x2]), "light keeps this box inside"
        assert sorted(corners[1]) == pytest.approx([y1, y2])
    sheet = np.asarray(Image.open("sheet.png")).astype(int)
    # Each tile is enlarged; in it the white pixels are as many as in the picture, but for the line.
    assert sheet.shape[2] == 3 and sheet.shape[0] > 40 and sheet.shape[1] > 240


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(photo: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run(photo, "--policy", "strong", "--seed", seed, "--count", 3, "--out", f"{name}.png")
    a, b, c = (Path(f"{name}.png").read_bytes() for name in "abc")
    assert a == b != c


def test_the_first_tile_is_the_picture_with_its_box(photo: Path) -> None:
    run(photo, "--policy", "none", "--count", 1, "--out", "one.png")
    run(photo, "--policy", "none", "--count", 1, "--out", "two.png", "--boxes", "20,10,44,25")
    one, two = (np.asarray(Image.open(name)) for name in ("one.png", "two.png"))
    white = (one == 255).all(-1)
    dark = (one == 40).all(-1)
    rows, columns = dark[:, : one.shape[1] // 2].nonzero()
    top, left = rows.min(), columns.min()
    factor = (rows.max() + 1 - top) // 40
    assert white[top + 12 * factor, left + 30 * factor]
    differ = (one != two).any(-1)[:, : one.shape[1] // 2]
    rows, columns = differ.nonzero()
    box = [columns.min() - left, rows.min() - top, columns.max() + 1 - left, rows.max() + 1 - top]
    assert [round(value / factor) for value in box] == [20, 10, 44, 25]


def test_sizes_and_boxes_that_leave(photo: Path) -> None:
    told = json.loads(run(photo, "--size", "20x20", "--boxes", "0,0,5,5", "--count", 2, "--json"))
    assert told["size"] == [20, 20] and told["file"] == "사진-photos.png"
    assert all(version["boxes"] == [None] for version in told["versions"]), "cropped away"
    assert Path("사진-photos.png").exists()
    assert "2 versions of 20×20" in run(photo, "--size", 20, "--count", 2)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--policy", "photo"], "photos"),
        (["--boxes", "1,2,3"], "four numbers"),
        (["--boxes", "1,2,x,4"], "four numbers"),
        (["--boxes", "5,5,5,9"], "x1 < x2"),
        (["--boxes", "5,5,61,9"], "60 wide"),
        (["--boxes", "nan,5,6,9"], "x1 < x2"),
        (["--count", "0"], "1 to 200"),
        (["--seed", "-1"], "0 or more"),
        (["--size", "0"], "--size"),
        (["--out", "x.gif"], ".png"),
        (["--out", "사진.png"], "the picture itself"),
    ],
)
def test_refused(photo: Path, options: list[str], says: str) -> None:
    before = sorted(Path().iterdir())
    assert says in refused(photo, *options)
    assert sorted(Path().iterdir()) == before, "nothing is written"


def test_a_missing_picture_is_named() -> None:
    assert "missing.jpg" in refused("missing.jpg")


def test_in_the_program_with_help_that_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['boda', 'augment', '--help']\n"
        "from boda.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "boda augment photo.jpg --policy strong" in done.stdout
