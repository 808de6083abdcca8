"""Videos frame by frame: what is seen in each, drawn into a new video and told in a line of JSON each.

Videos are read and written with PyAV, the extra ``video``: it tells the time of every frame, so that
a video of uneven frame rate stays in step, and writes H.264, which every player and browser knows.
Moving GIFs need nothing but Pillow. A video has no sound afterwards. No torch here.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import time
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image as Pillow

from boda.draw import draw
from boda.errors import DataError, UsageError
from boda.files import replacing
from boda.predicting import Predictor
from boda.progress import Progress, duration
from boda.types import Image

SUFFIXES = frozenset(
    f".{kind}"
    for kind in (
        *("mp4", "m4v", "mov", "avi", "mkv", "webm", "mpg", "mpeg", "wmv", "flv"),
        *("ts", "mts", "m2ts", "3gp", "ogv"),
    )
)
TOLD_EVERY = 10.0  # seconds between two lines of progress
AT_ONCE = 8  # frames in memory: those of a video may be large
QUALITY = "20"  # x264's constant rate factor: 18 is hardly to be told from the original, 23 usual
FIX = "Play it to see what it shows, or copy it anew."
BLINK = 100  # milliseconds of a GIF's frame that says nothing, as browsers show it


class Video(Protocol):
    """A video that is being read, frame by frame.

    Attributes:
        count: how many frames it says it has; 0 where it does not say.
    """

    count: int

    def frames(self) -> Iterator[tuple[Image, Fraction]]:
        """Pictures (H, W, 3) uint8 RGB, and when each is shown, in seconds."""

    def writer(self, path: Path) -> contextlib.AbstractContextManager[Writer]:
        """A new video of the same frame rate."""


class Writer(Protocol):
    """A video that is being written."""

    def add(self, picture: Image, seconds: Fraction) -> None:
        """The next frame, of the size of the first one."""


def is_video(path: Path) -> bool:
    """Whether a file is meant to be a video, by its name; a GIF, whether it moves."""
    suffix = path.suffix.lower()
    if suffix != ".gif":
        return suffix in SUFFIXES
    try:
        with Pillow.open(path) as picture:
            return bool(getattr(picture, "is_animated", False))
    except (OSError, ValueError, SyntaxError):  # the reader of pictures says what is wrong with it
        return False


def suffix_of(path: Path) -> str:
    """What the video that is made of this one is called: ``.gif`` or ``.mp4``."""
    return ".gif" if path.suffix.lower() == ".gif" else ".mp4"


def refuse_without_extra(path: Path) -> None:
    """Say what to install, where a video cannot be read.

    Raises:
        UsageError: PyAV is not there, and the file is no GIF.
    """
    if path.suffix.lower() != ".gif" and importlib.util.find_spec("av") is None:
        raise UsageError(
            f'{path}: videos need their extra: pip install "boda[video]" (moving GIFs do without).'
        )


def annotate(
    predictor: Predictor, path: Path, out: Path, lines: Path, progress: Progress
) -> dict[str, Any]:
    """Look at every frame of a video.

    Args:
        predictor: what looks.
        path: of the video.
        out: the video with the predictions drawn on it, in the format that ``suffix_of`` tells.
        lines: ``{"source", "frame", "seconds", …}``, a line for each frame; the rest as in
            ``Prediction.to_dict``.
        progress: told how far it is.

    Returns:
        ``{"source", "frames", "seconds", "video", "predictions"}``.

    Raises:
        DataError: the video cannot be read, or is damaged; nothing is left behind then.
        UsageError: the extra is missing.
    """
    with open_video(path) as video, replacing(out) as drawn, replacing(lines) as rows:
        told = _look(predictor, video, path, (drawn, rows), progress)
    return {"source": str(path), **told, "video": str(out), "predictions": str(lines)}


def _look(
    predictor: Predictor, video: Video, path: Path, out: tuple[Path, Path], progress: Progress
) -> dict[str, Any]:
    """Every frame, into a video and a file of lines."""
    times: deque[Fraction] = deque()
    number, seconds, began = 0, Fraction(0), time.monotonic()
    said = began

    def pictures() -> Iterator[Image]:
        for picture, seconds in video.frames():
            times.append(seconds)
            yield picture

    with video.writer(out[0]) as writer, open(out[1], "w", encoding="utf-8") as file:
        for prediction in predictor.predict_all(pictures(), AT_ONCE):
            seconds = times.popleft()
            writer.add(draw(prediction, predictor.classes), seconds)
            row = prediction.to_dict() | {"source": str(path)}
            row = {"source": row.pop("source"), "frame": number, "seconds": float(seconds), **row}
            file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
            number += 1
            progress.advance(number, max(video.count, number))
            if time.monotonic() - said > TOLD_EVERY:
                said = time.monotonic()
                progress.say(_how_far(path, number, video.count, said - began))
    if not number:
        raise DataError("the video has no frame", file=path, fix="Play it to see what it shows.")
    return {"frames": number, "seconds": float(seconds)}


def _how_far(path: Path, number: int, count: int, spent: float) -> str:
    """One line: frames done, and how long the rest will take."""
    text = f"{path.name}: frame {number:,}"
    if count > number:
        text += f" of {count:,}, {duration(spent / number * (count - number))} left"
    return text


@contextlib.contextmanager
def open_video(path: Path) -> Iterator[Video]:
    """A video to be read.

    Raises:
        DataError: it is none, or is damaged, also while frames are read.
        UsageError: the extra is missing.
    """
    if path.suffix.lower() == ".gif":
        with Pillow.open(path) as picture:
            yield Gif(picture, path)
        return
    refuse_without_extra(path)
    import av

    with contextlib.ExitStack() as open_files:
        with _told(path):
            container = open_files.enter_context(av.open(str(path)))
        if not container.streams.video:
            raise DataError("there is no picture in this video, only sound", file=path, fix=FIX)
        yield Stream(container, path)


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """What PyAV complains about while it reads, as a message."""
    import av

    try:
        yield
    except av.FFmpegError as error:
        why = f"the video cannot be read, or is damaged ({error.strerror or error})"
        raise DataError(why, file=path, fix=FIX) from None


class Stream:
    """The first stream of pictures in a container of PyAV's."""

    def __init__(self, container: Any, path: Path) -> None:
        self.container, self.stream, self.path = container, container.streams.video[0], path
        self.stream.thread_type = "AUTO"
        self.rate = Fraction(self.stream.average_rate or 25)
        self.count = self.stream.frames or self._guess()

    def _guess(self) -> int:
        """Frames, where the file tells only how long it is."""
        length = self.container.duration  # microseconds
        return round(length / 1e6 * self.rate) if length else 0

    def frames(self) -> Iterator[tuple[Image, Fraction]]:
        """See ``Video``; turned as the camera was held."""
        first: Fraction | None = None
        with _told(self.path):
            for number, frame in enumerate(self.container.decode(self.stream)):
                if frame.pts is None or frame.time_base is None:
                    at = number / self.rate
                else:
                    at = Fraction(frame.pts * frame.time_base)
                first = at if first is None else first
                turns = round(frame.rotation / 90) % 4
                yield np.rot90(frame.to_ndarray(format="rgb24"), turns), at - first

    @contextlib.contextmanager
    def writer(self, path: Path) -> Iterator[Writer]:
        """See ``Video``."""
        import av

        with av.open(str(path), "w", format="mp4") as container:
            writer = StreamWriter(container, self.rate, self.stream.time_base)
            yield writer
            writer.finish()


class StreamWriter:
    """H.264 in MP4, or MPEG-4 where PyAV was built without it."""

    def __init__(self, container: Any, rate: Fraction, base: Fraction | None) -> None:
        import av

        name = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        self.container, self.base = container, base or 1 / rate
        self.stream = container.add_stream(name, rate=rate)
        self.stream.pix_fmt = "yuv420p"
        self.stream.options = {"crf": QUALITY} if name == "libx264" else {"q:v": "4"}
        self.stream.codec_context.time_base = self.base
        self.last = -1

    def add(self, picture: Image, seconds: Fraction) -> None:
        """See ``Writer``; an odd side grows by a pixel, since colours are stored for two by two."""
        import av

        odd = [(0, length % 2) for length in picture.shape[:2]]
        picture = np.pad(picture, (*odd, (0, 0)), "edge") if any(map(max, odd)) else picture
        if self.last < 0:
            self.stream.height, self.stream.width = picture.shape[:2]
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        self.last = frame.pts = max(self.last + 1, round(seconds / self.base))
        frame.time_base = self.base
        self.container.mux(self.stream.encode(frame))

    def finish(self) -> None:
        """Write what the encoder still holds."""
        if self.last >= 0:
            self.container.mux(self.stream.encode())


class Gif:
    """A moving GIF; another one is made of it."""

    def __init__(self, picture: Any, path: Path) -> None:
        self.picture, self.path = picture, path
        self.count = int(picture.n_frames)
        self.lengths: list[int] = []  # milliseconds, of the frames read so far

    def frames(self) -> Iterator[tuple[Image, Fraction]]:
        """See ``Video``; what is transparent is shown on white."""
        for number in range(self.count):
            try:
                self.picture.seek(number)
                shown = self.picture.convert("RGBA")
            except (OSError, EOFError, ValueError, SyntaxError) as error:
                why = f"the GIF is damaged from frame {number + 1} on ({error})"
                raise DataError(why, file=self.path, fix=FIX) from None
            paper = Pillow.new("RGBA", shown.size, (255, 255, 255, 255))
            at = Fraction(sum(self.lengths), 1000)
            self.lengths.append(int(self.picture.info.get("duration") or BLINK))
            yield np.asarray(Pillow.alpha_composite(paper, shown).convert("RGB")), at

    @contextlib.contextmanager
    def writer(self, path: Path) -> Iterator[Writer]:
        """See ``Video``."""
        writer = GifWriter()
        yield writer
        if writer.pictures:
            first, *others = writer.pictures
            first.save(
                path,
                "GIF",
                save_all=True,
                append_images=others,
                duration=self.lengths,
                loop=self.picture.info.get("loop"),
            )


class GifWriter:
    """Keeps the frames, in 256 colours, until all are there."""

    def __init__(self) -> None:
        self.pictures: list[Pillow.Image] = []

    def add(self, picture: Image, seconds: Fraction) -> None:
        """See ``Writer``."""
        self.pictures.append(Pillow.fromarray(picture).quantize(256, dither=Pillow.Dither.NONE))
