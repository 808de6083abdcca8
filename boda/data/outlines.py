"""From a mask to polygons along the edges of its pixels, which say it exactly.

An edge leads around its pixel to the right (with y going down), and an outline is the edges in the
order in which one begins where another ends. COCO's polygons cannot have holes, so a mask with a
hole is cut through it into two parts without.
"""

from __future__ import annotations

import numpy as np

Edge = tuple[int, int, int]  # x, y of its beginning, and its direction

# Directions: 0 right, above a pixel; 1 down, right of it; 2 left, below it; 3 up, left of it.
STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))
BEGINNINGS = ((0, 0), (1, 0), (1, 1), (0, 1))  # of a pixel's edges, from its upper left corner
OUTWARD = ((0, -1), (1, 0), (0, 1), (-1, 0))


def polygons(mask: np.ndarray) -> list[np.ndarray]:
    """The outlines of a mask.

    Args:
        mask: (H, W) bool.

    Returns:
        Polygons without holes, (K, 2) float64 x, y each, pixels with continuous edges, clockwise as
        seen; together they cover the mask and nothing else, and no pixel twice. None for an empty one.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return []
    top, left = int(rows[0]), int(columns[0])
    part = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    loops = _loops(part)
    holes = [loop for loop in loops if _area(loop) < 0]
    if holes:
        x = holes[0][:, 0]
        cut = int(x.min() + x.max() + 1) // 2
        beyond = np.array([cut, 0.0])
        loops = [*polygons(part[:, :cut]), *(loop + beyond for loop in polygons(part[:, cut:]))]
    corner = np.array([left, top], np.float64)
    return [loop + corner for loop in loops]


def _loops(mask: np.ndarray) -> list[np.ndarray]:
    """The closed outlines, (K, 2); those around holes go to the left."""
    leading = _edges(mask)
    waiting = {
        (x, y, direction): None
        for (x, y), directions in leading.items()
        for direction in directions
    }
    loops = []
    while waiting:
        first = edge = next(iter(waiting))
        corners = []
        while True:
            del waiting[edge]
            following = _after(edge, leading)
            if following[2] != edge[2]:
                corners.append(following[:2])
            if following == first:
                break
            edge = following
        loops.append(np.array(corners, np.float64))
    return loops


def _edges(mask: np.ndarray) -> dict[tuple[int, int], list[int]]:
    """Corner → the directions of the edges that begin there: one, or two where pixels meet by a corner."""
    height, width = mask.shape
    padded = np.pad(mask, 1)
    leading: dict[tuple[int, int], list[int]] = {}
    for direction, ((dx, dy), (bx, by)) in enumerate(zip(OUTWARD, BEGINNINGS, strict=True)):
        beside = padded[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
        y, x = np.nonzero(mask & ~beside)
        for corner in zip((x + bx).tolist(), (y + by).tolist(), strict=True):
            leading.setdefault(corner, []).append(direction)
    return leading


def _after(edge: Edge, leading: dict[tuple[int, int], list[int]]) -> Edge:
    """The edge that follows; where two do, the one to the right, which is of the same pixel."""
    x, y, direction = edge
    x, y = x + STEPS[direction][0], y + STEPS[direction][1]
    choices = leading[x, y]
    return x, y, choices[0] if len(choices) == 1 else (direction + 1) % 4


def _area(loop: np.ndarray) -> float:
    """Twice the area within, negative where the loop goes to the left."""
    x, y = loop.T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1))
