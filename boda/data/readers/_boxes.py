"""What the readers of boxes share: numbers, boxes and pictures that are checked, and the ``Dataset``.

A record that is wrong raises ``Wrong``; its reader turns it into a ``Problem`` with file and line.
The picture of such a record is left out as a whole: without one of its boxes it would teach that
there is nothing. A box may end up to half a pixel beyond its picture, which is rounding; it is cut
off there, and the data set says how often that was.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from boda.data.entries import Entry
from boda.data.image import PictureReader, peek
from boda.data.readers._splits import ORDER, nfc
from boda.errors import DataError, Problem
from boda.types import Dataset, Sample

ROUNDING = 0.5  # pixels by which a box may end beyond its picture
SAID_FROM = 0.01  # of which so much is told; less is the last decimal of the format
HEAD = 1 << 16  # bytes that hold the size of nearly every picture
MEND = "Correct the box, or take it out."
REMOVE = "Put it there, or take the record out."

Box = tuple[float, float, float, float]


class Wrong(Exception):  # noqa: N818 it becomes a Problem
    """What is wrong with one record."""

    def __init__(self, why: str, fix: str, field: str | None = None) -> None:
        super().__init__(why)
        self.why, self.fix, self.field = why, fix, field

    def at(self, file: str, line: int | None = None, field: str | None = None) -> Problem:
        """The problem, in that place; ``field`` goes before the record's own."""
        fields = [name for name in (field, self.field) if name]
        return Problem(self.why, self.fix, file, line, ".".join(fields) or None)


@dataclass(slots=True)
class Marked:
    """One picture and its objects, before classes have numbers.

    Attributes:
        split: "train", "val", "test" or "all".
        id: name within the split.
        source: where its annotation is: a file or ``file:line``.
        entry: the picture.
        size: (H, W) in pixels.
        names: the class of each object.
        boxes: xyxy in pixels, each inside the picture.
        crowd: whether a box is around many objects at once.
        difficult: whether an object is not to count.
        outlines: polygons, a run-length code, or None for each object; see ``Sample``.
        areas: of each object in square pixels, None where nothing says so.
        broken: whether a record of it is wrong, so that it is left out.
        cut: pixels that were cut off at most.
    """

    split: str
    id: str
    source: str
    entry: Entry
    size: tuple[int, int]
    names: list[str] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    crowd: list[bool] = field(default_factory=list)
    difficult: list[bool] = field(default_factory=list)
    outlines: list[Any] = field(default_factory=list)
    areas: list[float | None] = field(default_factory=list)
    broken: bool = False
    cut: float = 0.0

    def add(self, name: str, box: Sequence[float], **flags: Any) -> None:
        """Take in one object; flags are crowd, difficult, outline and area.

        Raises:
            Wrong: the box is empty or outside the picture.
        """
        inside, cut = inside_picture(box, self.size)
        self.names.append(name)
        self.boxes.append(inside)
        self.crowd.append(bool(flags.get("crowd")))
        self.difficult.append(bool(flags.get("difficult")))
        self.outlines.append(flags.get("outline"))
        self.areas.append(flags.get("area"))
        self.cut = max(self.cut, cut)


def number(value: object, field: str) -> float:
    """A finite number from a JSON value or a text.

    Raises:
        Wrong: it is none.
    """
    plain = isinstance(value, str) and value.isascii() and "_" not in value and len(value) < 100
    try:
        if not plain and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise ValueError
        found = float(value)  # type: ignore[arg-type]
    except (ValueError, OverflowError):
        raise Wrong(f"{shown(value)} is no number", MEND, field) from None
    if not math.isfinite(found):
        raise Wrong(f"{shown(value)} is no finite number", MEND, field)
    return found


def class_name(value: object, field: str) -> str:
    """The name of a class as it is compared: NFC, without blanks around it.

    Raises:
        Wrong: no text, empty, or with characters that cannot be written.
    """
    if not isinstance(value, str) or not value.strip():
        raise Wrong("names no class", "Give the object's class.", field)
    if not value.strip().isprintable():
        raise Wrong(f"the name {shown(value)} cannot be printed", "Write it in plain text.", field)
    return nfc(value.strip())


def shown(value: object) -> str:
    """A value of the data as a message shows it: short, and printable whatever it is."""
    if isinstance(value, str):
        return f"'{value[:80]}'".encode("utf-8", "replace").decode()
    if value is None or isinstance(value, int | float):
        return str(value)[:40]
    return f"a {type(value).__name__}"


def inside_picture(box: Sequence[float], size: tuple[int, int]) -> tuple[Box, float]:
    """The box, its overhang of at most half a pixel cut off, and how much that was.

    Args:
        box: x1, y1, x2, y2 in pixels.
        size: (H, W).

    Raises:
        Wrong: x2 <= x1, y2 <= y1, or outside the picture.
    """
    height, width = size
    x1, y1, x2, y2 = box
    if x2 <= x1 or y2 <= y1:
        axis = "x" if x2 <= x1 else "y"
        raise Wrong(f"the box {_written(box)} is empty: {axis}2 <= {axis}1", MEND)
    over = max(-x1, -y1, x2 - width, y2 - height, 0.0)
    if over > ROUNDING:
        why = f"the box {_written(box)} leaves the picture, {width}×{height}, by {over:.7g} pixels"
        raise Wrong(why, "Cut it at the picture's edge, or take it out.")
    left, top, right, bottom = max(x1, 0.0), max(y1, 0.0), min(x2, width), min(y2, height)
    if min(right - left, bottom - top) < 1e-6 * max(width, height):
        narrow = np.array([left, top, right, bottom], np.float32)  # the numbers of a Sample
        if (narrow[:2] >= narrow[2:]).any():
            raise Wrong(f"the box {_written(box)} is narrower than a number can say", MEND)
    return (float(left), float(top), float(right), float(bottom)), over


def _written(box: Sequence[float]) -> str:
    return f"({', '.join(f'{value:.7g}' for value in box)})"


def size_of(entry: Entry) -> tuple[int, int]:
    """(H, W) of a picture from its header, as it is shown.

    Raises:
        DataError: it is no picture, or damaged.
    """
    try:
        width, height, _ = peek(entry.head(HEAD))
    except DataError:  # a preview or a profile may lie before the size
        try:
            width, height, _ = peek(entry.read())
        except DataError as error:
            first = error.problems[0]
            raise DataError(first.why, file=entry.source, fix=first.fix) from None
    return height, width


def gather(
    root: Path,
    reader: str,
    pictures: Sequence[Marked],
    classes: list[str],
    problems: list[Problem],
    task: str = "detect",
) -> Dataset:
    """A data set of objects.

    Args:
        root: what the person named.
        reader: the format's name.
        pictures: also the broken ones, which are left out.
        classes: in the format's order; a name that is not among them is an error.
        problems: what the reader found; what is found here is put behind it.
        task: what the data is for, where nobody says.

    Raises:
        DataError: no picture is left, or there are no classes.
    """
    numbers = {name: number for number, name in enumerate(classes)}
    problems = problems + _foreign(root, pictures, numbers)
    kept = [p for p in pictures if not p.broken and all(name in numbers for name in p.names)]
    if not kept or not classes:
        errors = [problem for problem in problems if problem.severity == "error"]
        if errors:
            raise DataError(problems=errors)
        what = "no picture" if not kept else "no box, so no class,"
        raise DataError(f"there is {what} to learn from", file=root, fix="Annotate some pictures.")
    splits: dict[str, list[Sample]] = {}
    for picture in kept:
        splits.setdefault(picture.split, []).append(_sample(picture, numbers))
    problems += [*_negatives(kept), *_cut(root, kept)]
    ordered = {split: splits[split] for split in ORDER if split in splits}
    return Dataset(root, reader, task, classes, dict(ordered), problems)


def classes_of(pictures: Sequence[Marked]) -> list[str]:
    """The names in train, or in everything where there is no train, by code point."""
    learned = {name for p in pictures if p.split in ("train", "all") for name in p.names}
    return sorted(learned or {name for p in pictures for name in p.names})


def _sample(picture: Marked, numbers: dict[str, int]) -> Sample:
    outlines = picture.outlines if any(o is not None for o in picture.outlines) else None
    return Sample(
        picture.id,
        picture.source,
        PictureReader(picture.entry),
        boxes=np.array(picture.boxes, np.float32).reshape(-1, 4),
        labels=np.array([numbers[name] for name in picture.names], np.int64),
        crowd=np.array(picture.crowd, bool) if any(picture.crowd) else None,
        difficult=np.array(picture.difficult, bool) if any(picture.difficult) else None,
        outlines=outlines,
        areas=_areas(picture),
        size=picture.size,
    )


def _areas(picture: Marked) -> np.ndarray | None:
    """(N,) float64; an object without one has that of its box. None where no object has one."""
    if all(area is None for area in picture.areas):
        return None
    own = [(x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in picture.boxes]
    pairs = zip(picture.areas, own, strict=True)
    return np.array([box if area is None else area for area, box in pairs], np.float64)


def _foreign(root: Path, pictures: Sequence[Marked], known: dict[str, int]) -> list[Problem]:
    found = Counter((p.split, name) for p in pictures for name in p.names if name not in known)
    return [
        Problem(
            f"class '{name}' is in {split} ({count:,} boxes) but not in train",
            "Add pictures of it to train, or take it out; names must be spelled alike.",
            str(root),
            field=name,
        )
        for (split, name), count in sorted(found.items())
    ]


def _negatives(pictures: Sequence[Marked]) -> list[Problem]:
    return [
        Problem(
            "no object is annotated: the picture is a negative example",
            "If it shows one, annotate it.",
            picture.entry.source,
            severity="warning",
        )
        for picture in pictures
        if not picture.boxes
    ]


def _cut(root: Path, pictures: Sequence[Marked]) -> list[Problem]:
    over = [picture for picture in pictures if picture.cut > SAID_FROM]
    if not over:
        return []
    most = max(over, key=lambda picture: picture.cut)
    why = f"boxes of {len(over):,} pictures end beyond the edge, by {most.cut:.2g} pixels at most "
    why += f"({most.source}): cut off there"
    fix = "Nothing need be done, if that is rounding."
    return [Problem(why, fix, str(root), severity="warning")]
