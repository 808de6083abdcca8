"""What the readers of drawn shapes share: polygons that are checked, and shapes as polygons."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from boda.data.readers._boxes import ROUNDING, Marked, Wrong, number

BEYOND = 0.1  # of the picture's longer side: so far may a hand have drawn over its edge
LONGEST = 1_000_000  # pixels around one polygon
FLAT = 0.05  # pixels by which a circle's polygon may be flatter than it
FIX = "Draw it again, or take it out."


def polygon(xs: object, ys: object, field: str) -> np.ndarray:
    """(K, 2) float64 from two lists of JSON.

    Raises:
        Wrong: no lists of numbers, not of one length, or fewer than three points.
    """
    if not isinstance(xs, list) or not isinstance(ys, list) or len(xs) != len(ys):
        raise Wrong("the points are not as many x as y", FIX, field)
    points = [(number(x, field), number(y, field)) for x, y in zip(xs, ys, strict=True)]
    if len(points) < 3:
        raise Wrong(f"{len(points)} points enclose nothing: three at least do", FIX, field)
    return np.array(points, np.float64)


def rectangle(x1: float, y1: float, x2: float, y2: float) -> np.ndarray:
    """(4, 2), clockwise from one corner; the other lies across."""
    return np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], np.float64)


def ellipse(
    centre: tuple[float, float], radii: tuple[float, float], angle: float, field: str
) -> np.ndarray:
    """A polygon of an ellipse, less than a tenth of a pixel from it.

    Args:
        centre: x, y in pixels.
        radii: along x and along y, before it is turned.
        angle: by which it is turned from x towards y, radians.
        field: for the message.

    Raises:
        Wrong: a radius that is not above 0.
    """
    if not 0 < min(radii) <= max(radii) < LONGEST:
        raise Wrong(f"its radii are {radii[0]:g} and {radii[1]:g} pixels", FIX, field)
    count = max(16, math.ceil(math.pi * math.sqrt(max(radii) / (2 * FLAT))))
    turn = np.arange(count) * 2 * math.pi / count
    x, y = radii[0] * np.cos(turn), radii[1] * np.sin(turn)
    cos, sin = math.cos(angle), math.sin(angle)
    return np.stack([centre[0] + x * cos - y * sin, centre[1] + x * sin + y * cos], 1)


def bounded(points: np.ndarray, size: tuple[int, int], field: str) -> None:
    """Refuse what is so far away or so long that it is no outline in a picture of ``size`` (H, W).

    Raises:
        Wrong: it is; drawing it might take all memory.
    """
    reach = max(size)
    if (points < -reach).any() or (points > np.array(size[::-1]) + reach).any():
        raise Wrong("a polygon lies far outside the picture", FIX, field)
    around = np.abs(np.diff(points, axis=0, append=points[:1])).sum()
    if around > LONGEST:
        raise Wrong(f"a polygon is {around:,.0f} pixels long", FIX, field)


def add_polygons(picture: Marked, name: str, parts: Sequence[np.ndarray], field: str) -> None:
    """Take in one object by its polygons, (K, 2) each; what is drawn over the picture's edge is cut off.

    Raises:
        Wrong: it encloses nothing, or lies outside by more than a hand's error.
    """
    height, width = picture.size
    area = 0.0
    for points in parts:
        bounded(points, picture.size, field)
        x, y = points.T
        area += abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2
    if area <= 0:
        raise Wrong("the outline encloses nothing", FIX, field)
    low = np.min([points.min(0) for points in parts], 0)
    high = np.max([points.max(0) for points in parts], 0)
    over = float(max(-low.min(), high[0] - width, high[1] - height, 0))
    if over > max(ROUNDING, BEYOND * max(picture.size)):
        why = f"the outline leaves the picture, {width}×{height}, by {over:.7g} pixels"
        raise Wrong(why, "Draw it in the picture, or take it out.", field)
    box = [*np.maximum(low, 0).tolist(), *np.minimum(high, (width, height)).tolist()]
    inside = (box[2] - box[0]) * (box[3] - box[1])
    picture.add(name, box, outline=list(parts), area=min(area, inside))
    picture.cut = max(picture.cut, over)
