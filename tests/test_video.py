"""Videos: every frame is looked at, in step, and told; written by PyAV, read again by PyAV and Pillow."""

from __future__ import annotations

import builtins
import importlib.util
import json
import subprocess
import sys
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from boda import api, video
from boda.errors import DataError, UsageError
from boda.predicting import Predictor
from boda.progress import Progress
from tests.test_tiling import painted, predictor

SIZE = (50, 66)
QUIET = Progress(quiet=True)
no_extra = importlib.util.find_spec("av") is None
needs_extra = pytest.mark.skipif(no_extra, reason='needs PyAV: pip install "boda[video]"')


def frames(count: int, size: tuple[int, int] = SIZE) -> list[np.ndarray]:
    """A red square that moves by two pixels to the right."""
    return [painted(size, [(2 * i, 10, 2 * i + 20, 30)]) for i in range(count)]


def write(path: Path, pictures: list[np.ndarray], times: list[int], turned: int = 0) -> Path:
    """A video of which each frame is shown at ``times`` · 1/100 s."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.options = "yuv420p", {"q:v": "1"}
        stream.codec_context.time_base = Fraction(1, 100)
        if turned:
            if not hasattr(stream, "set_display_rotation"):
                pytest.skip("this PyAV cannot write how a video was turned; it reads it")
            stream.set_display_rotation(turned)
        for picture, time in zip(pictures, times, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 100)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def read(path: Path) -> tuple[list[np.ndarray], list[float]]:
    av = pytest.importorskip("av")
    with av.open(str(path)) as container:
        found = list(container.decode(video=0))
        times = [float(frame.pts * frame.time_base) for frame in found]
        return [frame.to_ndarray(format="rgb24") for frame in found], times


def annotated(path: Path, out: Path, made: Predictor | None = None) -> tuple[dict, list[dict]]:
    lines = out.with_suffix(".jsonl")
    told = video.annotate(made or predictor(side=66), path, out, lines, QUIET)
    return told, [json.loads(line) for line in lines.read_text("utf-8").splitlines()]


@needs_extra
@pytest.mark.parametrize(
    "times",
    [[8 * i for i in range(20)], [0, 4, 8, 30, 31, 32, 60, 90, 91, 99, 100]],
    ids=["12.5 a second", "unevenly"],
)
def test_every_frame_is_told_at_its_time(tmp_path: Path, times: list[int]) -> None:
    source = write(tmp_path / "영상.mp4", frames(len(times)), times)
    told, rows = annotated(source, tmp_path / "out.mp4")
    assert told["frames"] == len(times) and told["source"] == str(source)
    assert [row["frame"] for row in rows] == list(range(len(times)))
    assert {row["source"] for row in rows} == {str(source)}
    for i, row in enumerate(
        rows
    ):  # the network finds what was painted, up to the compression's blur
        np.testing.assert_allclose(row["boxes"], [[2 * i, 10, 2 * i + 20, 30]], atol=1.5)
    expected = [time / 100 for time in times]
    assert [row["seconds"] for row in rows] == pytest.approx(expected, abs=1e-3)
    pictures, shown = read(tmp_path / "out.mp4")
    assert shown == pytest.approx(expected, abs=1e-3)
    assert len(pictures) == len(times) and pictures[0].shape == (*SIZE, 3)
    for picture, plain in zip(pictures, frames(len(times)), strict=True):
        assert np.abs(picture.astype(int) - plain).mean() > 1  # the box and its label are on it
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.jsonl", "out.mp4", "영상.mp4"]


@needs_extra
def test_odd_sides_grow_by_a_pixel(tmp_path: Path) -> None:
    source = write(tmp_path / "a.mp4", frames(2), [0, 4])
    with video.open_video(source) as film, film.writer(tmp_path / "odd.mp4") as writer:
        for number in range(3):
            writer.add(np.full((51, 67, 3), 200, np.uint8), Fraction(number, 25))
    pictures, times = read(tmp_path / "odd.mp4")
    assert times == pytest.approx([0, 0.04, 0.08]) and pictures[0].shape == (52, 68, 3)
    assert np.abs(pictures[0].astype(int) - 200).max() < 8  # the new edge too


@needs_extra
@pytest.mark.parametrize("turned", [90, -90, 180])
def test_turned_as_the_camera_was_held(tmp_path: Path, turned: int) -> None:
    """A bright upper left corner; where it goes was recorded from OpenCV 5.0, which turns by itself."""
    corner = {90: (-1, 0), -90: (0, -1), 180: (-1, -1)}[turned]
    source = write(tmp_path / "a.mp4", [painted((48, 64), [(0, 0, 16, 16)])] * 3, [0, 4, 8], turned)
    with video.open_video(source) as film:
        picture, _ = next(film.frames())
    assert picture.shape[:2] == ((48, 64) if turned == 180 else (64, 48))
    bright = [(y, x) for y in (0, -1) for x in (0, -1) if picture[y, x, 0] > 128]
    assert bright == [corner]


@needs_extra
def test_what_is_no_video_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    (tmp_path / "a.mp4").write_text("no video")
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    for name, why in (("a.mp4", "cannot be read"), ("sound.mp4", "only sound")):
        with pytest.raises(DataError, match=why) as told:
            annotated(tmp_path / name, tmp_path / "out.mp4")
        assert told.value.problems[0].file == str(tmp_path / name)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "sound.mp4"]


@needs_extra
def test_a_failure_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    source = write(tmp_path / "a.mp4", frames(20), list(range(20)))
    made = predictor(side=66)
    network, calls = made.network, []

    def tired(images: np.ndarray) -> np.ndarray:
        calls.append(len(images))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return network(images)

    made.network = tired
    with pytest.raises(KeyboardInterrupt):
        annotated(source, tmp_path / "out.mp4", made)
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]
    assert max(calls) <= 8  # frames in memory


def test_a_moving_gif_needs_nothing_but_pillow(tmp_path: Path, monkeypatch) -> None:
    imported = builtins.__import__

    def without(name: str, *rest: object) -> object:
        if name.partition(".")[0] == "av":
            raise ImportError(name)
        return imported(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    images = [Image.fromarray(picture) for picture in frames(6)]
    times = [50, 100, 100, 200, 50, 70]
    path = tmp_path / "a.gif"
    images[0].save(path, save_all=True, append_images=images[1:], duration=times, loop=0)
    assert video.is_video(path) and video.suffix_of(path) == ".gif"
    told, rows = annotated(path, tmp_path / "out.gif")
    assert told["frames"] == 6 and told["seconds"] == 0.5
    assert [row["seconds"] for row in rows] == [0, 0.05, 0.15, 0.25, 0.45, 0.5]
    for i, row in enumerate(rows):
        np.testing.assert_allclose(row["boxes"], [[2 * i, 10, 2 * i + 20, 30]], atol=0.1)
    with Image.open(tmp_path / "out.gif") as made:
        lengths = []
        for number in range(made.n_frames):
            made.seek(number)
            lengths.append(made.info["duration"])
        assert made.size == SIZE[::-1] and lengths == times and made.info["loop"] == 0


def test_a_still_gif_and_a_damaged_one(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "still.gif")
    assert not video.is_video(tmp_path / "still.gif") and not video.is_video(tmp_path / "no.gif")
    images = [
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (40, 40, 3), np.uint8))
        for i in range(4)
    ]
    path = tmp_path / "cut.gif"
    images[0].save(path, save_all=True, append_images=images[1:])
    path.write_bytes(path.read_bytes()[:-1500])
    with pytest.raises(DataError, match=r"cut\.gif: .* damaged from frame 4"):
        annotated(path, tmp_path / "out.gif")
    assert not list(tmp_path.glob("*out*"))


def test_without_the_extra_the_fix_is_told(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r'pip install "boda\[video\]"'):
        video.refuse_without_extra(tmp_path / "a.mp4")
    video.refuse_without_extra(tmp_path / "a.gif")


@pytest.fixture
def boda(boda, monkeypatch):
    """Run a command line with a network that finds bright rectangles: (status, stdout, stderr)."""
    monkeypatch.setattr(api, "predictor", lambda *_, **__: predictor(side=66))
    return partial(boda, "predict", "fake")


@needs_extra
def test_on_the_command_line(boda, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    one = write(tmp_path / "clip.mp4", frames(5), [4 * i for i in range(5)])
    two = write(tmp_path / "b" / "clip.avi", frames(3), [4 * i for i in range(3)])
    (tmp_path / "bad.mp4").write_text("no video")
    Image.fromarray(frames(1)[0]).save(tmp_path / "p.png")
    out = tmp_path / "seen"
    status, text, err = boda(
        one, tmp_path / "bad.mp4", two, tmp_path / "p.png", "--out", out, "--json"
    )
    found = json.loads(text)
    assert status == 2 and "bad.mp4" in err and len(found["problems"]) == 1
    assert [p["source"] for p in found["predictions"]] == [str(tmp_path / "p.png")]
    assert [v["frames"] for v in found["videos"]] == [5, 3]
    names = {path.name for path in out.iterdir()}
    assert {"clip.mp4", "clip.jsonl", "p.png"} <= names and len(names) == 5
    for told in found["videos"]:
        assert len(Path(told["predictions"]).read_text("utf-8").splitlines()) == told["frames"]
    status, text, _ = boda(one, "--out", out)  # once more: what was made before is replaced
    assert status == 0 and "5 frames" in text and "clip.jsonl" in text


@needs_extra
def test_a_persons_video_is_not_replaced(boda, tmp_path: Path) -> None:
    source = write(tmp_path / "clip.avi", frames(3), [0, 4, 8])
    (tmp_path / "clip.mp4").write_text("mine")
    status, text, err = boda(source, "--out", tmp_path)
    assert status == 2 and not text and "clip.mp4" in err and "is there already" in err
    assert (tmp_path / "clip.mp4").read_text() == "mine"
    status, _, err = boda(write(tmp_path / "x.mp4", frames(3), [0, 4, 8]), "--out", tmp_path)
    assert status == 2 and "x.mp4" in err


def test_videos_need_a_folder_and_are_not_taken_from_folders(boda, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_text("x")
    status, _, err = boda(tmp_path / "clip.mp4")
    assert status == 2 and "--out DIR" in err and "Traceback" not in err
    Image.fromarray(frames(1)[0]).save(tmp_path / "p.png")
    status, text, err = boda(tmp_path)
    assert status == 0 and "a video in it is left out" in err and "p.png" in text


def test_without_a_folder_a_gif_is_its_first_picture(boda, tmp_path: Path) -> None:
    images = [Image.fromarray(picture) for picture in frames(3)]
    images[0].save(tmp_path / "a.gif", save_all=True, append_images=images[1:])
    (found,) = json.loads(boda(tmp_path / "a.gif", "--json")[1])["predictions"]
    np.testing.assert_allclose(found["boxes"], [[0, 10, 20, 30]], atol=0.1)
    told = json.loads(boda(tmp_path / "a.gif", "--out", tmp_path / "o", "--json")[1])
    assert told["predictions"] == [] and told["videos"][0]["frames"] == 3


def test_neither_torch_nor_pyav_are_loaded_before_they_are_needed() -> None:
    code = "import sys, boda.video, boda.tiling; sys.exit(bool({'torch', 'av'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
