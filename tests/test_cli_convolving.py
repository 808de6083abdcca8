"""``boda convolve``, ``channels`` and ``kernels``: what is written against SciPy and plain NumPy."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from scipy import ndimage, signal
from typer.testing import CliRunner

from boda import ops
from boda.cli.convolving import register
from boda.errors import BodaError
from boda.look import colours, filtering, sheets

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
register(app)

SOBEL_X = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
SOBEL_Y = SOBEL_X.T
EMBOSS = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])
NUMPY_MODE = {"zeros": "constant", "replicate": "edge", "reflect": "reflect", "circular": "wrap"}


@pytest.fixture
def photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A picture of 41 × 54 with smooth parts, edges and noise, in the folder where one stands."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(3)
    rows, columns = np.mgrid[:41, :54]
    picture = np.stack([rows * 4, columns * 3, (rows + columns) % 40 * 5], -1)
    picture[10:20, 15:40] = (240, 20, 60)
    picture = np.clip(picture + random.integers(-9, 10, picture.shape), 0, 255).astype(np.uint8)
    Image.fromarray(picture).save("photo.png")
    return Path("photo.png")


def run(*arguments: object) -> str:
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result.stdout


def invoke(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def pixels(path: str | Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def gray(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("L")).astype(np.int64)


def rounded(values: np.ndarray) -> np.ndarray:
    return np.clip(np.floor(values + 0.5), 0, 255).astype(np.uint8)


# ---------------------------------------------------------------- convolve: the numbers


def test_edges_are_signed_and_in_gray(photo: Path) -> None:
    out = run("convolve", photo, "--kernel", "sobel-x", "--out", "edges.png", "--json")
    result = json.loads(out)
    expected = signal.correlate2d(gray(photo), SOBEL_X, "valid")
    assert result["range"] == [expected.min(), expected.max()]
    assert (result["input"], result["output"]) == ([1, 41, 54], [1, 39, 52])
    assert result["kernel"] == {"name": "sobel-x", "weights": SOBEL_X.tolist()}
    assert result["operation"] == "cross-correlation"
    assert result["formula"]["height"] == "floor((41 + 2·0 − 3)/1) + 1 = 39"
    assert result["formula"]["width"] == "floor((54 + 2·0 − 3)/1) + 1 = 52"
    assert "signed" in result["shown"] and result["file"] == "edges.png"
    full = np.sort(abs(expected).ravel())[int(0.99 * expected.size)]
    np.testing.assert_array_equal(pixels("edges.png"), colours.signed(expected, full))


def test_zero_is_neutral_and_the_signs_have_their_colours(photo: Path) -> None:
    step = np.full((8, 12, 3), 100, np.uint8)
    step[:, 4:8] = 200
    Image.fromarray(step).save("step.png")
    run("convolve", "step.png", "--kernel", "-1,0,1", "--out", "seen.png")
    seen = pixels("seen.png").astype(int)
    flat, up, down = seen[0, 0], seen[0, 3], seen[0, 7]
    assert (flat == 250).all()
    assert up[0] > up[2] + 50 and down[2] > down[0] + 50  # red where it grows brighter


def test_a_blur_keeps_the_colours(photo: Path) -> None:
    result = json.loads(run("convolve", photo, "--kernel", "box-10", "--json"))
    mean = signal.correlate(pixels(photo).astype(float), np.full((10, 10, 1), 0.01), "valid")
    written = pixels(result["file"])
    assert result["file"] == "photo-box-10.png" and written.shape == (32, 45, 3)
    assert abs(written - mean).max() <= 0.5 + 1e-3
    assert "clipped to 0..255: no value" in result["shown"]


def test_emboss_is_clipped_and_says_how_much(photo: Path) -> None:
    result = json.loads(run("convolve", photo, "--kernel", "emboss", "--json"))
    planes = pixels(photo).astype(int)
    expected = np.stack([signal.correlate2d(planes[..., c], EMBOSS, "valid") for c in range(3)], -1)
    np.testing.assert_array_equal(pixels(result["file"]), np.clip(expected, 0, 255))
    outside = 100 * np.mean((expected < 0) | (expected > 255))
    assert f"{outside:.1f} % of the values are outside" in result["shown"]


def test_identity_changes_nothing(photo: Path) -> None:
    run("convolve", photo, "--kernel", "identity", "--padding", "same", "--out", "same.png")
    np.testing.assert_array_equal(pixels("same.png"), pixels(photo))


@pytest.mark.parametrize("mode", filtering.MODES)
@pytest.mark.parametrize(("stride", "padding"), [(1, 1), (2, 3), (3, 0)])
def test_stride_padding_and_mode(photo: Path, mode: str, stride: int, padding: int) -> None:
    result = json.loads(
        run("convolve", photo, "--kernel", "1,2,-1;0,3,1;2,-4,0", "--gray", "--stride", stride,
            "--padding", padding, "--mode", mode, "--json")
    )  # fmt: skip
    kernel = np.array([[1, 2, -1], [0, 3, 1], [2, -4, 0]])
    padded = np.pad(gray(photo), padding, NUMPY_MODE[mode])
    expected = signal.correlate2d(padded, kernel, "valid")[::stride, ::stride]
    assert result["output"] == [1, *expected.shape]
    assert result["range"] == [expected.min(), expected.max()]
    np.testing.assert_array_equal(pixels(result["file"]), np.clip(expected, 0, 255))


@pytest.mark.parametrize("padding", ["valid", "same", "full"])
def test_flip_is_true_convolution(photo: Path, padding: str) -> None:
    typed = "3,1,0,-1;0,2,0,1"  # even sides: "same" must keep the centre where SciPy has it
    result = json.loads(
        run(
            "convolve", photo, "--kernel", typed, "--flip", "--gray", "--padding", padding, "--json"
        )
    )
    kernel = np.array([[3, 1, 0, -1], [0, 2, 0, 1]])
    expected = signal.convolve2d(gray(photo), kernel, padding)
    assert result["operation"] == "convolution" and result["output"] == [1, *expected.shape]
    np.testing.assert_array_equal(pixels(result["file"]), np.clip(expected, 0, 255))


@pytest.mark.parametrize("name", ["sobel", "sobel-y"])
def test_magnitude(photo: Path, name: str) -> None:
    result = json.loads(
        run("convolve", photo, "--kernel", name, "--magnitude", "--padding", "same", "--mode",
            "replicate", "--json")
    )  # fmt: skip
    picture = gray(photo).astype(float)
    x, y = (ndimage.correlate(picture, k.astype(float), mode="nearest") for k in (SOBEL_X, SOBEL_Y))
    expected = np.hypot(x, y)
    assert result["file"] == "photo-sobel-magnitude.png"
    assert result["range"] == pytest.approx([expected.min(), expected.max()])
    white = np.sort(expected.ravel())[int(0.99 * expected.size)]
    difference = pixels(result["file"]).astype(int) - rounded(expected * 255 / white)
    assert abs(difference).max() <= 1


def test_gray_and_color_can_be_asked_for(photo: Path) -> None:
    run("convolve", photo, "--kernel", "box", "--gray", "--out", "gray.png")
    run("convolve", photo, "--kernel", "sobel-x", "--color", "--out", "color.png")
    assert pixels("gray.png").shape == (39, 52)
    planes = pixels(photo).astype(int)
    expected = np.stack(
        [signal.correlate2d(planes[..., c], SOBEL_X, "valid") for c in range(3)], -1
    )
    full = np.sort(abs(expected).ravel())[int(0.99 * expected.size)]
    difference = pixels("color.png").astype(int) - rounded(128 + expected * 127 / full)
    assert abs(difference).max() <= 1


@pytest.mark.parametrize("flip", [[], ["--flip"]])
def test_a_large_blur_is_the_same_as_a_column_and_a_row(photo: Path, flip: list[str]) -> None:
    arguments = ["--kernel", "gaussian-3", "--gray", "--stride", 2, "--padding", 4, *flip]
    result = json.loads(run("convolve", photo, *arguments, "--json"))
    kernel = ops.kernels.gaussian(3).double().numpy()
    expected = signal.correlate2d(np.pad(gray(photo), 4).astype(float), kernel, "valid")[::2, ::2]
    assert result["range"] == pytest.approx([expected.min(), expected.max()], rel=1e-5)
    assert abs(pixels(result["file"]) - expected).max() <= 0.5 + 1e-3
    lopsided = torch.outer(torch.arange(1.0, 13), torch.arange(2.0, 11))
    parts = filtering._column_and_row(lopsided)
    assert parts is not None
    torch.testing.assert_close(parts[0] * parts[1], lopsided)
    lopsided[3, 4] += 1
    assert filtering._column_and_row(lopsided) is None


def test_bands_leave_no_seams(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("convolve", photo, "--kernel", "sobel-x", "--stride", 2, "--padding", "same")
    run(*arguments, "--out", "whole.png")
    monkeypatch.setattr(filtering, "BAND", 3 * 54)
    run(*arguments, "--out", "bands.png")
    np.testing.assert_array_equal(pixels("bands.png"), pixels("whole.png"))


# ---------------------------------------------------------------- convolve: what is said


def test_the_page(photo: Path) -> None:
    page = run("convolve", photo, "--kernel", "box-4", "--padding", "same", "--stride", 2, "--flip")
    assert "photo.png: 41×54×3 in colour" in page
    assert "16 weights of 1/16" in page
    assert "convolution: the kernel is turned by 180° first; this kernel looks the same" in page
    assert "floor((n + 2p − f)/s) + 1, padding same (zeros), stride 2" in page
    assert "floor((41 + (2 + 1) − 4)/2) + 1 = 21" in page  # an even kernel has no middle
    assert "written  photo-box-4.png (21×27)" in page


def test_the_page_of_edges(photo: Path) -> None:
    page = run("convolve", photo, "--kernel", "sobel-x", "--flip", "--mode", "reflect")
    assert "in gray (weights that add up to 0 look for differences" in page
    assert "  −1   0   1\n  −2   0   2\n" in page and "turned by 180°\n   1   0  −1" in page
    assert "--mode reflect changes nothing" in page
    assert "cross-correlation: the kernel as it stands" in run(
        "convolve", photo, "--kernel", "sobel-x"
    )


def test_a_kernel_that_brightens_is_told(photo: Path) -> None:
    page = run("convolve", photo, "--kernel", "1 1 1; 1 1 1; 1 1 1", "--out", "bright.jpg")
    assert "the weights add up to 9; 1 keeps the brightness" in page
    assert Path("bright.jpg").read_bytes().startswith(b"\xff\xd8\xff")


@pytest.mark.parametrize("verb", ["convolve", "channels", "kernels"])
def test_help_has_an_example(verb: str) -> None:
    assert f"Example: boda {verb}" in run(verb, "--help")


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--kernel", "box-60"], ["60×60", "41×54", "larger than the picture", "--padding same"]),
        (["--kernel", "box-50", "--padding", "2"], ["with its padding 45×58"]),
        (["--kernel", "box-90", "--padding", "same", "--mode", "reflect"],
         ["reflect padding of 45", "41", "at most 40", "--mode replicate"]),
        (["--kernel", "sobl-x"], ["unknown kernel 'sobl-x'", "sobel-x"]),
        (["--kernel", "laplacian", "--magnitude"], ["--magnitude", "sobel"]),
        (["--kernel", "1,2,3;4,5"], ["row 2", "2 numbers", "row 1 has 3"]),
        (["--kernel", "1,x;3,4"], ["row 1", "'x' is no number"]),
        (["--kernel", ""], ["empty"]),
        (["--kernel", "1e39,1"], ["overflow"]),
        (["--kernel", "box-100000"], ["1,000 pixels"]),
        (["--kernel", "gaussian-1e9"], ["1,000 pixels"]),
        (["--kernel", "box", "--stride", "0"], ["--stride 0", "from 1 up"]),
        (["--kernel", "box", "--padding", "-1"], ["--padding -1"]),
        (["--kernel", "box", "--padding", "smae"], ["'smae'", "same"]),
        (["--kernel", "box", "--padding", "99999"], ["pixels"]),
        (["--kernel", "box", "--mode", "replicat"], ["--mode", "replicate"]),
        (["--kernel", "box", "--out", "photo.gif"], [".png or .jpg"]),
        (["--kernel", "box", "--out", "photo.png"], ["the picture itself"]),
    ],
)  # fmt: skip
def test_one_clear_message(photo: Path, options: list[str], words: list[str]) -> None:
    before = photo.read_bytes()
    refused(invoke("convolve", photo, *options), *words)
    assert photo.read_bytes() == before and [p.name for p in Path().iterdir()] == ["photo.png"]


@pytest.mark.parametrize("verb", [["convolve", "--kernel", "box"], ["channels"]])
def test_a_picture_that_is_none(photo: Path, verb: list[str]) -> None:
    Path("notes.jpg").write_text("no picture at all")
    Path("half.png").write_bytes(photo.read_bytes()[:900])
    refused(invoke(*verb, "nowhere.png"), "nowhere.png", "cannot be read")
    refused(invoke(*verb, "."), "cannot be read")
    refused(invoke(*verb, "notes.jpg"), "notes.jpg", "is not a picture", "text")
    refused(invoke(*verb, "half.png"), "half.png", "truncated")


def test_the_picture_is_never_overwritten(photo: Path) -> None:
    Path("link.png").symlink_to(photo)
    for verb in (["convolve", photo, "--kernel", "box"], ["channels", photo]):
        for out in ("link.png", "../" + photo.resolve().parent.name + "/photo.png"):
            refused(invoke(*verb, "--out", out), "stays as it is")


def refused(result: Any, *words: str) -> None:
    """``boda.cli.main`` makes one message and exit status 2 of it."""
    assert isinstance(result.exception, BodaError), result.output + repr(result.exception)
    assert result.exception.exit_status == 2 and result.stdout == ""
    for word in words:
        assert word in str(result.exception)


# ---------------------------------------------------------------- channels


def test_channels_beside_each_other(photo: Path) -> None:
    page = run("channels", photo, "--out", "sheets/channels.png")
    picture, sheet = pixels(photo), pixels("sheets/channels.png")
    assert "41×54×3" in page and "(3, 41, 54)" in page and "HD" not in page
    for i, name in enumerate(("red", "green", "blue")):
        channel = picture[..., i].repeat(3, 0).repeat(3, 1)  # small: every pixel is a square
        tinted = np.zeros((*channel.shape, 3), np.uint8)
        tinted[..., i] = channel
        assert holds(sheet, np.repeat(channel[..., None], 3, -1)) and holds(sheet, tinted)
        assert re.search(rf"{name} +\d+ to +\d+, mean {picture[..., i].mean():.1f}", page)


def holds(sheet: np.ndarray, panel: np.ndarray) -> bool:
    """Whether the panel stands in the sheet, pixel for pixel."""
    height, width = panel.shape[:2]
    windows = np.lib.stride_tricks.sliding_window_view(sheet, (1, width), axis=(0, 1))
    first = (windows[:, :, :, 0] == panel[0].T).all((2, 3))
    return any(
        np.array_equal(sheet[y : y + height, x : x + width], panel) for y, x in np.argwhere(first)
    )


@pytest.mark.parametrize(
    ("size", "name"), [((1080, 1920), "FHD"), ((1920, 1080), "FHD"), ((1440, 2560), "QHD")]
)
def test_resolutions_by_name(photo: Path, size: tuple[int, int], name: str) -> None:
    Image.fromarray(np.full((*size, 3), 90, np.uint8)).save("wide.png")
    result = json.loads(run("channels", "wide.png", "--json"))
    assert (result["resolution"], result["gray"]) == (name, True)
    assert (result["hwc"], result["chw"]) == ([*size, 3], [3, *size])
    assert result["mean"] == {"red": 90.0, "green": 90.0, "blue": 90.0}
    page = run("channels", "wide.png")
    assert f", {name}\n" in page and "a gray picture" in page
    assert max(pixels("wide-channels.png").shape) < 1400  # for the eye, not for the archive


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1)])
def test_pictures_of_odd_shapes(photo: Path, size: tuple[int, int]) -> None:
    name = "a picture with a very long name, 고양이.png"
    Image.fromarray(np.zeros((*size, 3), np.uint8)).save(name)
    run("channels", name, "--out", "odd.png")
    assert pixels("odd.png").ndim == 3


# ---------------------------------------------------------------- kernels


def test_every_kernel_is_listed_with_what_it_does(photo: Path) -> None:
    rows = json.loads(run("kernels", "--json"))["kernels"]
    assert sorted(row["name"] for row in rows) == ops.kernels.names()
    for row in rows:
        np.testing.assert_array_equal(np.float32(row["weights"]), ops.kernel(row["name"]).numpy())
        assert row["what"]
    assert set(sheets.ABOUT) == set(ops.kernels.names())


def test_the_list_and_the_sheet(photo: Path) -> None:
    page = run("kernels", "--out", "kernels.png")
    assert "  1/9  1/9  1/9\n" in page and "\n   −3    0    3\n  −10    0   10\n" in page
    assert "0.159" in page and page.endswith("drawn   kernels.png\n")
    height, width, depth = pixels("kernels.png").shape
    assert width > height > 800 and depth == 3


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("1,-0,-2", [["1", "0", "−2"]]),
        ("1/9, -1/9, 0, 1", [["1/9", "−1/9", "0", "1"]]),
        ("0.3, -0.25", [["0.300", "−0.250"]]),
        ("1e9, 0", [["1000000000", "0"]]),
    ],
)
def test_numbers_as_a_person_writes_them(typed: str, words: list[list[str]]) -> None:
    assert filtering.weights_in_words(ops.kernels.parse(typed)) == words


def test_the_command_line_does_not_import_torch() -> None:
    code = "import sys, boda.cli.convolving; print('torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
