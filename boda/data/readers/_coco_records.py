"""What single values of a COCO record say; each raises ``Wrong`` where it says nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from boda.data.readers._boxes import Wrong, shown, size_of
from boda.data.readers._shapes import bounded
from boda.data.tree import Entry
from boda.errors import DataError
from boda.run_lengths import run_lengths

SIMPLEST = "Give a whole number or a text."
UNREAD = "The box is read, the outline is not: correct it."
OUTLINE = "segmentation"


def identity(record: object, field: str) -> int | str:
    """An id: a whole number or a text."""
    if not isinstance(record, dict):
        raise Wrong("the record is no JSON object", "As {…}.")
    value = record.get(field)
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        what = "missing" if value is None else shown(value)
        raise Wrong(f"{field} is {what}", SIMPLEST, field)
    return value


def flag(record: dict[str, Any], field: str) -> bool:
    """0, 1 or nothing."""
    value = record.get(field)
    if value is None or (isinstance(value, int) and value in (0, 1)):
        return bool(value)
    raise Wrong(f"{field} is {shown(value)}", "Write 0 or 1.", field)


def size(record: dict[str, Any], entry: Entry) -> tuple[int, int]:
    """(H, W) as the record says, or as the picture's header does where it says nothing."""
    height, width = record.get("height"), record.get("width")
    if height is None and width is None:
        try:
            return size_of(entry)
        except DataError as error:
            raise Wrong(error.problems[0].why, error.problems[0].fix, "file_name") from None
    for value, name in ((height, "height"), (width, "width")):
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 1 << 24:
            raise Wrong(f"{name} is {shown(value)}", "Give pixels, a whole number.", name)
    assert isinstance(height, int) and isinstance(width, int)
    return height, width


def outline_of(value: object, size: tuple[int, int]) -> list[np.ndarray] | dict[str, Any]:
    """Polygons, (K, 2) float64 each, or the run-length code as it is; both can be drawn."""
    if isinstance(value, list):
        return [_polygon(numbers, size) for numbers in value]
    if not isinstance(value, dict) or value.get("size") != list(size):
        raise Wrong("the run-length code is not of the picture's size", UNREAD, OUTLINE)
    counts = value.get("counts")
    if isinstance(counts, list):
        if not all(type(count) is int and 0 <= count < 1 << 48 for count in counts):
            raise Wrong("the runs are no whole numbers from 0 on", UNREAD, OUTLINE)
    elif not isinstance(counts, str):
        raise Wrong("the run-length code has no counts", UNREAD, OUTLINE)
    try:
        runs = run_lengths(counts)
    except ValueError as error:
        raise Wrong(str(error), UNREAD, OUTLINE) from None
    pixels = size[0] * size[1]
    if ((runs < 0) | (runs > pixels)).any() or runs.sum() != pixels:
        raise Wrong("the runs do not add up to the picture's pixels", UNREAD, OUTLINE)
    return {"size": list(size), "counts": counts}


def _polygon(numbers: object, size: tuple[int, int]) -> np.ndarray:
    if not isinstance(numbers, list) or len(numbers) < 6 or len(numbers) % 2:
        raise Wrong("a polygon is not [x, y, x, y, …], three points at least", UNREAD, OUTLINE)
    try:
        if not {int, float}.issuperset(map(type, numbers)):
            raise ValueError
        flat = np.array(numbers, np.float64)
        if not np.isfinite(flat).all():
            raise ValueError
    except (ValueError, OverflowError):
        raise Wrong("a polygon has what is no finite number", UNREAD, OUTLINE) from None
    points = flat.reshape(-1, 2)
    try:
        bounded(points, size, OUTLINE)
    except Wrong as wrong:
        raise Wrong(wrong.why, UNREAD, OUTLINE) from None
    return points
