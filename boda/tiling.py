"""Large pictures in tiles: where they lie, and how what is seen in them becomes one answer. No torch.

A network that works at 416 pixels misses what is small in a picture of 4000; in tiles of 800 it is
seen at five times the size. Sliced inference: Akyon et al. 2022 (arXiv 2202.06934). Deviations:
boxes of two views are the same object where they agree on the *ground that both views see*, so that
a piece of an object is compared with the same piece and not with the whole; of one view no two
boxes are put together, since the network's own non-max suppression has told them apart; pieces of
an object that no view sees whole are joined.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

OVERLAP = 0.25  # of a tile, with the next one, at least
AGREE = 0.5  # IoU on the common ground, from which two boxes are one object
COVERED = 0.7  # share of a cut box that lies in a whole one: then it is a piece of that
EDGE = 0.02  # of a tile: a box that comes so near to an inner border goes on behind it
SLIVER = 0.05  # of a tile: the next tile sees this piece with a fifth of a tile more behind it
NEARLY = 0.75  # of the largest area: as whole as the largest


@dataclass(frozen=True)
class Views:
    """Boxes that were found in several views of one picture, in pixels of that picture.

    Attributes:
        windows: (V, 4) x1, y1, x2, y2 of the views.
        pixels: (V,) how many of the picture's pixels one of the network's is: edges are not seen
            more exactly than that.
        view: (N,) which view a box was found in.
        boxes: (N, 4) xyxy.
        scores: (N,).
        labels: (N,) classes.
        cut: (N,) bool: its view ends where the object may go on.
    """

    windows: np.ndarray
    pixels: np.ndarray
    view: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    cut: np.ndarray


def windows(size: tuple[int, int], tile: int) -> np.ndarray:
    """The views of a picture: the whole, then tiles of one size that overlap by a quarter or more.

    Args:
        size: (H, W) of the picture.
        tile: side of a tile in pixels. A picture that is not larger is one view, the whole.

    Returns:
        (V, 4) int64 x1, y1, x2, y2.
    """
    height, width = size
    whole = (0, 0, width, height)
    step = max(1, math.floor(tile * (1 - OVERLAP)))
    tiles = [
        (x, y, min(x + tile, width), min(y + tile, height))
        for y in starts(height, tile, step)
        for x in starts(width, tile, step)
    ]
    return np.array([whole, *tiles] if len(tiles) > 1 else [whole], np.int64)


def starts(length: int, tile: int, step: int) -> list[int]:
    """Where tiles begin along one side, evenly and ``step`` apart at most, the last one at its end."""
    if length <= tile:
        return [0]
    count = 1 + math.ceil((length - tile) / step)
    return [(length - tile) * i // (count - 1) for i in range(count)]


def merge(
    found: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
    views: np.ndarray,
    pixels: np.ndarray,
    size: tuple[int, int],
    tile: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What was found in the views of a picture as one answer, each object once.

    Args:
        found: for each view its boxes (N, 4) in pixels *of the view*, scores (N,) and labels (N,).
        views: of ``windows``.
        pixels: (V,) see ``Views``.
        size: (H, W) of the picture.
        tile: side of a tile.

    Returns:
        Boxes (M, 4) float32 in pixels of the picture, scores and labels, the surest first.
    """
    view = np.repeat(np.arange(len(views)), [len(boxes) for boxes, _, _ in found])
    corners, scores, labels = (np.concatenate(column) for column in zip(*found, strict=True))
    boxes = corners.reshape(-1, 4).astype(np.float64) + np.tile(views[view, :2], 2)
    inner = _inner_borders(boxes, views[view], size, EDGE * tile)
    thick = np.stack([boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]] * 2, 1)
    kept = np.flatnonzero(~(inner & (thick < SLIVER * tile)).any(1))
    cut = np.any(inner[kept], axis=1)
    seen = Views(views, pixels, view[kept], boxes[kept], scores[kept], labels[kept], cut)
    objects = [_as_one(seen, members) for members in grouped(seen)]
    objects.sort(key=lambda found: -found[1])
    return (
        np.array([box for box, _, _ in objects], np.float32).reshape(-1, 4),
        np.array([score for _, score, _ in objects], scores.dtype),
        np.array([label for _, _, label in objects], labels.dtype),
    )


def grouped(seen: Views) -> list[list[int]]:
    """Which boxes are one object: of one class, and of each view one at most.

    Those that agree best find together first. A cut box that agrees with none is left out where a
    whole box of another view covers it.

    Returns:
        Groups of ascending indices, in the order of their first.
    """
    groups = {i: [i] for i in range(len(seen.boxes))}
    of = list(range(len(seen.boxes)))  # the group of each box
    for _, i, j in sorted(_links(seen), reverse=True):
        a, b = sorted((of[i], of[j]))
        views = seen.view[groups[a] + groups[b]]
        if len(set(views.tolist())) == len(views):  # which also says that they are two groups
            for k in groups[b]:
                of[k] = a
            groups[a] += groups.pop(b)
    return [sorted(group) for group in groups.values() if not _is_piece(seen, group)]


def _links(seen: Views) -> Iterator[tuple[float, int, int]]:
    """Agreement and indices of each two boxes that may be one object."""
    around = seen.pixels.max(initial=0) * np.array([-1, -1, 1, 1])
    for i in range(len(seen.boxes)):
        same = (seen.labels[i:] == seen.labels[i]) & (seen.view[i:] != seen.view[i])
        near = _clipped(seen.boxes[i:], seen.boxes[i] + around)
        others = i + np.flatnonzero(same & (near[:, :2] < near[:, 2:]).all(1))
        agree = _agreement(seen, i, others)
        for j in np.flatnonzero(agree >= AGREE):
            yield float(agree[j]), i, int(others[j])


def _is_piece(seen: Views, group: list[int]) -> bool:
    """Whether it is one cut box that a whole one of another view covers."""
    i = group[0]
    if len(group) > 1 or not seen.cut[i]:
        return False
    whole = ~seen.cut & (seen.labels == seen.labels[i]) & (seen.view != seen.view[i])
    covered = areas(_clipped(seen.boxes[whole], seen.boxes[i]))
    return bool((covered >= COVERED * areas(seen.boxes[i : i + 1])).any())


def areas(boxes: np.ndarray) -> np.ndarray:
    """(N, 4) → (N,) square pixels; 0 where a side is negative."""
    return (boxes[:, 2:] - boxes[:, :2]).clip(0).prod(1)


def _clipped(boxes: np.ndarray, window: np.ndarray) -> np.ndarray:
    """The part of each box in a window, or in its own one; x2 < x1 where there is none."""
    low, high = (
        np.maximum(boxes[..., :2], window[..., :2]),
        np.minimum(boxes[..., 2:], window[..., 2:]),
    )
    return np.concatenate([low, high], -1)


def _agreement(seen: Views, i: int, others: np.ndarray) -> np.ndarray:
    """IoU of a box with others on the ground that its view has in common with each of theirs."""
    ground = _clipped(seen.windows[seen.view[others]], seen.windows[seen.view[i]])
    mine, theirs = _clipped(ground, seen.boxes[i]), _clipped(seen.boxes[others], ground)
    # In favour of the doubt: each edge of theirs comes nearer to mine by a pixel of the coarser view.
    doubt = np.maximum(seen.pixels[seen.view[others]], seen.pixels[seen.view[i]])[:, None]
    theirs = theirs + (mine - theirs).clip(-doubt, doubt)
    both = areas(_clipped(mine, theirs))
    union = areas(mine) + areas(theirs) - both
    return np.divide(both, union, out=np.zeros_like(both), where=union > 0)


def _inner_borders(
    boxes: np.ndarray, windows: np.ndarray, size: tuple[int, int], margin: float
) -> np.ndarray:
    """(N, 4) bool: which sides lie on a border of the view that is none of the picture."""
    height, width = size
    inner = np.concatenate([windows[:, :2] > 0, windows[:, 2:] < (width, height)], 1)
    return inner & (np.abs(boxes - windows) <= margin)


def _as_one(seen: Views, members: list[int]) -> tuple[np.ndarray, float, int]:
    """Box, score and class of a group: of the whole boxes that of the finest view, or all pieces."""
    boxes, scores, pixels = (
        seen.boxes[members],
        seen.scores[members],
        seen.pixels[seen.view[members]],
    )
    label = int(seen.labels[members[0]])
    whole = ~seen.cut[members]
    if not whole.any():
        hull = np.concatenate([boxes[:, :2].min(0), boxes[:, 2:].max(0)])
        return hull, scores.max(), label
    # A tile may take a part of something large for the whole: the others know better.
    surely = areas(boxes + pixels[:, None] * (1, 1, -1, -1))
    whole &= areas(boxes) >= NEARLY * surely[whole].max()
    best = np.lexsort((-scores, pixels, ~whole))[0]
    return boxes[best], scores[whole].max(), label
