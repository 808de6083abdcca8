"""What single values of a COCO record say; each raises ``Wrong`` where it says nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from boda.data.readers._boxes import Wrong, shown, size_of
from boda.data.tree import Entry
from boda.errors import DataError

SIMPLEST = "Give a whole number or a text."


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
    """Polygons, (K, 2) float64 each, or the run-length code as it is."""
    fix = "The box is read, the outline is not: correct it."
    where = "segmentation"
    if isinstance(value, list):
        polygons = []
        for points in value:
            if not isinstance(points, list) or len(points) < 6 or len(points) % 2:
                raise Wrong("a polygon is not [x, y, x, y, …], three points at least", fix, where)
            try:
                if not {int, float}.issuperset(map(type, points)):
                    raise ValueError
                flat = np.array(points, np.float64)
                if not np.isfinite(flat).all():
                    raise ValueError
            except (ValueError, OverflowError):
                raise Wrong("a polygon has what is no finite number", fix, where) from None
            polygons.append(flat.reshape(-1, 2))
        return polygons
    if not isinstance(value, dict) or value.get("size") != list(size):
        raise Wrong("the run-length code is not of the picture's size", fix, where)
    counts = value.get("counts")
    if isinstance(counts, list):
        whole = all(type(count) is int and count >= 0 for count in counts)
        if not whole or sum(counts) != size[0] * size[1]:
            raise Wrong("the runs do not add up to the picture's pixels", fix, where)
    elif not isinstance(counts, str):
        raise Wrong("the run-length code has no counts", fix, where)
    return {"size": list(size), "counts": counts}
