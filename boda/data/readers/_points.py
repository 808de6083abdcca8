"""What the readers of landmarks share: K points a picture that are checked, and the ``Dataset``.

Every picture has the same K points, and ``Dataset.classes`` are their names. A point is x, y in
pixels with continuous edges and a visibility as COCO counts it: 0 not marked, 1 marked but hidden,
2 marked and seen; 2 where a format does not say. A point that is not marked is (0, 0, 0): neither
loss nor metric may look at it. Annotators mark hidden points where they believe them, also a little
outside the picture; these are kept as they are, and the data set says how many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from boda.data.entries import Entry
from boda.data.image import PictureReader
from boda.data.readers._boxes import Wrong, number, shown
from boda.data.readers._splits import ORDER, nfc
from boda.errors import DataError, Problem
from boda.types import Dataset, Image, Sample

ROUNDING = 0.5  # pixels beyond the picture that nobody need hear of
MOST_OUTSIDE = 0.1  # of the picture's width or height: farther out it is a mistake
MEND = "Correct the point, or take the row out."
SEEN = 2.0


@dataclass(slots=True)
class Pointed:
    """One picture, or one object cut out of it, and its points.

    Attributes:
        split: "train", "val", "test" or "all".
        id: name within the split.
        source: as in ``Sample``.
        entry: the picture.
        size: (H, W) of the picture, or of what is cut out.
        points: (K, 3) float32.
        read: what cuts it out; None for the whole picture.
    """

    split: str
    id: str
    source: str
    entry: Entry
    size: tuple[int, int]
    points: np.ndarray
    read: Callable[[], Image] | None = None


def point(x: object, y: object, seen: object, fields: tuple[str, str, str]) -> list[float]:
    """[x, y, visibility]; visibility 0 makes it [0, 0, 0].

    Args:
        x: a JSON value or a text.
        y: the same.
        seen: 0, 1 or 2, as one of these; ``SEEN`` where the format does not say.
        fields: names of the three, for the message.

    Raises:
        Wrong: no finite numbers, or no visibility.
    """
    visible = number(seen, fields[2])
    if visible not in (0, 1, 2):
        fix = "Write 0 (not marked), 1 (hidden) or 2 (seen)."
        raise Wrong(f"{shown(seen)} is no visibility", fix, fields[2])
    return [number(x, fields[0]), number(y, fields[1]), visible] if visible else [0.0] * 3


def marked(
    points: Sequence[Sequence[float]], size: tuple[int, int], names: list[str]
) -> np.ndarray:
    """The points as a sample has them, (K, 3) float32.

    Args:
        points: x, y, visibility.
        size: (H, W) of the picture.
        names: of the points.

    Raises:
        Wrong: none is marked, all of them are in one place, or one is far outside the picture.
    """
    found = np.array(points, np.float64).reshape(-1, 3)
    there = found[:, 2] > 0
    if not there.any():
        raise Wrong("none of its points is marked", "Mark them, or take the record out.")
    over = _over(found, size)
    allowed = np.maximum(MOST_OUTSIDE * np.array(size[::-1]), ROUNDING)
    if (far := (over > allowed).any(1)).any():
        worst = int(np.flatnonzero(far)[0])
        x, y = found[worst, :2]
        why = f"the point ({x:.7g}, {y:.7g}) is outside the picture, {size[1]}×{size[0]}, "
        why += f"by {over[worst].max():.4g} pixels"
        raise Wrong(why, MEND, names[worst])
    if there.sum() > 1 and np.ptp(found[there, :2], axis=0).max() == 0:
        x, y = found[there][0, :2]
        raise Wrong(f"all of its points are in one place, ({x:.7g}, {y:.7g})", MEND)
    return found.astype(np.float32)


def _over(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(K, 2) float64: pixels by which each marked point is outside the picture, in x and y."""
    beyond = np.maximum(np.maximum(-points[:, :2], points[:, :2] - np.array(size[::-1])), 0.0)
    return np.where(points[:, 2:] > 0, beyond, 0.0)


def point_names(values: Iterable[object], field: str) -> list[str]:
    """The names of points as they are compared: NFC, without blanks around them.

    Raises:
        Wrong: no text, empty, not printable, or twice.
    """
    names: list[str] = []
    for value in values:
        name = nfc(value.strip()) if isinstance(value, str) else ""
        if not name or not name.isprintable():
            raise Wrong(f"{shown(value)} is no name of a point", "Write it in plain text.", field)
        names.append(name)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise Wrong(f"the point '{twice}' is named twice", "Give each a name of its own.", field)
    return names


def order_of(own: Sequence[str], names: Sequence[str]) -> list[int]:
    """Where each of ``names`` is among ``own``: points are matched by name, as classes are.

    Raises:
        Wrong: they are not the same names.
    """
    if set(own) != set(names):
        odd = sorted(set(own) ^ set(names))
        more = f" and {len(odd) - 3} more" if len(odd) > 3 else ""
        what = ", ".join(f"'{name}'" for name in odd[:3])
        why = f"has {len(own)} points, the file before it {len(names)}; not in both: {what}{more}"
        raise Wrong(why, "All files must have the same points.")
    return [list(own).index(name) for name in names]


def gather_points(
    root: Path, reader: str, pictures: Sequence[Pointed], names: list[str], problems: list[Problem]
) -> Dataset:
    """A data set for landmarks.

    Args:
        root: what the person named.
        reader: the format's name.
        pictures: the sound ones.
        names: of the K points.
        problems: what the reader found; what is found here is put behind it.

    Raises:
        DataError: no picture is left.
    """
    if not pictures:
        errors = [problem for problem in problems if problem.severity == "error"]
        if errors:
            raise DataError(problems=errors)
        why = "there is no picture with points to learn from"
        raise DataError(why, file=root, fix="Mark the points of some pictures.")
    problems = problems + _outside(root, pictures) + _without(root, pictures, names)
    splits: dict[str, list[Sample]] = {}
    for picture in pictures:
        sample = Sample(
            picture.id,
            picture.source,
            picture.read or PictureReader(picture.entry),
            points=picture.points,
            size=picture.size,
        )
        splits.setdefault(picture.split, []).append(sample)
    if "train" in splits and "all" in splits:
        loose = splits.pop("all")
        why = f"{len(loose):,} pictures are in no split while others are ({loose[0].source}): "
        fix = "Move them below test/ if they are not to be learned from."
        problems.append(Problem(why + "taken into train", fix, str(root), severity="warning"))
        splits["train"] += loose
    ordered = {split: splits[split] for split in ORDER if split in splits}
    return Dataset(root, reader, "landmarks", names, dict(ordered), problems)


def _outside(root: Path, pictures: Sequence[Pointed]) -> list[Problem]:
    """One warning for all points that are a little outside their pictures."""
    over = [_over(picture.points, picture.size) for picture in pictures]
    count = sum(int((each > ROUNDING).any(1).sum()) for each in over)
    if not count:
        return []
    most, worst = max((float(each.max()), i) for i, each in enumerate(over))
    where = sum(bool((each > ROUNDING).any()) for each in over)
    why = f"{count:,} points of {where:,} pictures are outside the picture, by {most:.3g} pixels "
    why += f"at most ({pictures[worst].source}); they are kept"
    fix = "Nothing need be done, if they were marked so on purpose."
    return [Problem(why, fix, str(root), severity="warning")]


def _without(root: Path, pictures: Sequence[Pointed], names: list[str]) -> list[Problem]:
    """How many points are not marked, and which are so in every picture to learn from."""
    learned = [p.points for p in pictures if p.split in ("train", "all")]
    seen = (np.stack(learned or [p.points for p in pictures])[..., 2] > 0).any(axis=0)
    problems = []
    if (left := sum(int((p.points[:, 2] == 0).sum()) for p in pictures)) > 0:
        where = sum(bool((p.points[:, 2] == 0).any()) for p in pictures)
        why = f"{left:,} points of {where:,} pictures are not marked; these are not learned from"
        fix = "Nothing need be done, if they cannot be seen."
        problems.append(Problem(why, fix, str(root), severity="warning"))
    if never := [names[i] for i in np.flatnonzero(~seen)]:
        what = ", ".join(f"'{name}'" for name in never[:10])
        more = f" and {len(never) - 10} more" if len(never) > 10 else ""
        why = f"no picture to learn from has the point {what}{more}"
        fix = "Mark it in some; without them it cannot be learned."
        problems.append(Problem(why, fix, str(root), severity="warning"))
    return problems
