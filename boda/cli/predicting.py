"""``boda predict`` over pictures, folders and videos; it goes on where one cannot be read, and says so."""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from boda import video
from boda.cli.index_maps import IndexMaps
from boda.cli.panoptic import Panoptic
from boda.cli.signing import ours, signed
from boda.draw import draw
from boda.errors import DataError, Problem, UsageError
from boda.files import atomic_write
from boda.predicting import MADE, Predictor, find_pictures
from boda.progress import Progress
from boda.types import Prediction


@dataclass
class Found:
    """What a prediction over many files found.

    Attributes:
        predictions: of the pictures, in their order.
        videos: what ``boda.video.annotate`` tells of each video.
        problems: what could not be read.
    """

    predictions: list[Prediction] = field(default_factory=list)
    videos: list[dict[str, Any]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """The JSON of ``boda predict``; videos and problems only where there are some."""
        out: dict[str, Any] = {"predictions": [p.to_dict() for p in self.predictions]}
        if self.videos:
            out["videos"] = self.videos
        if self.problems:
            out["problems"] = [p.to_dict() for p in self.problems]
        return out


@dataclass(frozen=True)
class Work:
    """What is to be looked at, and where what was seen goes.

    Attributes:
        out: the folder for it, or None.
        pictures: the files.
        videos: the files, with the video and the lines of JSON that are made of each.
        drawn: where the drawn picture of each file goes; empty without a folder.
    """

    out: Path | None
    pictures: list[Path]
    videos: list[tuple[Path, Path, Path]]
    drawn: dict[str, Path]


def windows(
    slide: bool, scales: str | None, stride: int | None, background: str | None
) -> dict[str, Any] | None:
    """The settings of sliding windows as ``api.predictor`` takes them; None without them.

    Raises:
        UsageError: scales that are no numbers, or settings without ``--slide``.
    """
    given: dict[str, Any] = {"stride": stride, "background": background}
    if scales is not None:
        try:
            given["scales"] = tuple(float(part) for part in scales.split(","))
        except ValueError:
            raise UsageError(f"--scales is numbers, as 1,0.7,0.5, not '{scales}'.") from None
    given = {name: value for name, value in given.items() if value is not None}
    if given and not slide:
        raise UsageError(f"--{next(iter(given))} belongs to --slide: give both or neither.")
    return given if slide else None


def plan(inputs: list[str], out: Path | None, progress: Progress) -> Work:
    """Find the pictures and the videos, and names for what is made of them, before anything is done.

    Raises:
        DataError: a path is not there, or a folder holds no picture.
        UsageError: a video without a folder for it; a file that is not ours would be replaced.
    """
    named = [Path(name) for name in inputs]
    # Without a folder for the result, a moving GIF is the picture that it begins with.
    moving = [p for p in named if p.is_file() and video.is_video(p)]
    moving = [p for p in moving if out is not None or p.suffix.lower() != ".gif"]
    for folder in named:
        if count := _videos_in(folder):
            told = "a video in it is" if count == 1 else f"{count} videos in it are"
            progress.say(f"{folder}: {told} left out; name what you mean")
    pictures = find_pictures([p for p in named if p not in moving])
    if out is None:
        if moving:
            raise UsageError(
                f"{moving[0]} is a video: name a folder for what is seen in it, --out DIR."
            )
        return Work(out, pictures, [], {})
    for path in moving:
        video.refuse_without_extra(path)
    used: set[str] = set()
    drawn = {str(path): out / _free_name(path, ".png", used) for path in pictures}
    videos = []
    for path in moving:
        name = out / _free_name(path, video.suffix_of(path), used)
        videos.append((path, name, name.with_suffix(".jsonl")))
    _refuse_to_replace(out, [*pictures, *moving], list(drawn.values()), videos)
    return Work(out, pictures, videos, drawn)


def carry_out(work: Work, predictor: Predictor, batch: int, progress: Progress) -> Found:
    """Look at everything, and write what was seen."""
    if predictor.task in MADE and work.out is None:
        raise UsageError(f"{predictor.task} makes pictures: name a folder for them, --out DIR.")
    found, panoptic, maps = Found(), None, None
    if work.out is not None:
        if predictor.task == "instances":
            panoptic = Panoptic(work.out, predictor.classes)
        if predictor.task == "segment" and work.drawn:
            names = [place.name for place in work.drawn.values()]
            maps = IndexMaps(work.out, predictor.classes, names)
        work.out.mkdir(parents=True, exist_ok=True)
    with progress.working("looking"):
        for prediction in predictor.predict_all(work.pictures, batch):
            if work.drawn:
                place = work.drawn[prediction.source]
                atomic_write(place, signed(draw(prediction)))
                if panoptic is not None:
                    panoptic.add(prediction, place.name)
                if maps is not None:
                    maps.add(prediction, place.name)
            prediction.forget_pixels()  # a folder of thousands must not fill the memory
            found.predictions.append(prediction)
            progress.advance(len(found.predictions), len(work.pictures))
        if panoptic is not None:
            panoptic.close()
        found.problems += predictor.problems
        for path, made, lines in work.videos:
            try:
                found.videos.append(video.annotate(predictor, path, made, lines, progress))
            except DataError as error:
                found.problems += error.problems
    return found


def _refuse_to_replace(
    out: Path, inputs: list[Path], drawn: list[Path], videos: list[tuple[Path, Path, Path]]
) -> None:
    """What ``boda predict`` made before may be replaced; a person's own files never."""
    theirs = [path for path in drawn if path.exists() and not ours(path)]
    for _, made, lines in videos:
        if made.exists() != lines.exists():  # both were made together, or none by us
            theirs.append(made if made.exists() else lines)
    own = {path.resolve() for path in inputs}
    made_here = [*drawn, *(path for _, *both in videos for path in both)]
    theirs += [path for path in made_here if path.resolve() in own]
    if theirs:
        raise UsageError(
            f"{theirs[0]} is there already, and is none that boda predict drew: name another "
            f"folder than {out} with --out."
        )


def _videos_in(folder: Path) -> int:
    if not folder.is_dir():
        return 0
    return sum(path.suffix.lower() in video.SUFFIXES for path in folder.rglob("*"))


def _free_name(source: Path, suffix: str, used: set[str]) -> str:
    """``<stem>.png``; of two files with one stem the second gets a mark of its path behind it."""
    name = f"{source.stem}{suffix}"
    # Some file systems do not tell A from a, nor composed from decomposed Hangul.
    if unicodedata.normalize("NFC", name).casefold() in used:
        mark = hashlib.sha1(str(source).encode("utf-8", "surrogateescape")).hexdigest()[:6]
        name = f"{source.stem}-{mark}{suffix}"
    used.add(unicodedata.normalize("NFC", name).casefold())
    return name
