"""Masks: from polygons and run-length codes, areas, boxes, overlap, pasting, maps of all. NumPy only.

COCO: Lin et al. 2014 (arXiv 1405.0312) and the code its authors published, which decides what a
polygon covers. Pasting: Mask R-CNN, He et al. 2017 (arXiv 1703.06870); the box is not rounded to
whole pixels first, as torchvision does, which makes each object about half a pixel larger.
A mask is (H, W) bool; where there are several, (N, H, W), one an object.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from boda.run_lengths import decode, encode, filled

__all__ = ["areas", "boxes", "decode", "encode", "iou", "numbered", "of_outline", "panoptic_png"]
__all__ += ["paste", "rasterize", "shared"]

FINE = 5  # COCO walks along an outline on a grid five times as fine as the pixels
FARTHEST = 1 << 17  # pixels from the origin at which an outline may still lie


def rasterize(polygons: Sequence[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """The pixels that polygons cover together, as COCO's code decides.

    The outline is walked on a grid of fifths of a pixel. Where it crosses the middle of a column of
    pixels the column changes between outside and inside, from the next whole pixel on.

    Args:
        polygons: (K, 2) x, y each, pixels with continuous edges; closed by themselves. They may
            cross themselves, overlap and leave the picture.
        size: (H, W).

    Returns:
        (H, W) bool.

    Raises:
        ValueError: a corner that is not finite, or farther than 131,072 pixels from the origin.
    """
    out = np.zeros(size, bool)
    for polygon in polygons:
        column, row = _crossings(np.asarray(polygon, np.float64).reshape(-1, 2), *size)
        if len(column):
            left, top = column.min(), row.min()
            width, height = column.max() + 1 - left, row.max() - top
            changes = np.sort((column - left) * height + row - top)
            runs = np.diff(changes, prepend=0, append=height * width)
            part = out[top : top + height, left : left + width]
            part |= filled(runs, height, width)
    return out


def _crossings(corners: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """In which columns and before which rows the pixels change between outside and inside."""
    if not np.abs(corners).max(initial=0) <= FARTHEST:
        raise ValueError(f"a corner of a polygon is not within {FARTHEST:,} pixels of the origin")
    x, y = _walk((FINE * corners + 0.5).astype(np.int64))  # cut off towards 0, as in C
    stepped = np.flatnonzero(x[1:] != x[:-1])
    before = np.minimum(x[stepped], x[stepped + 1]) - FINE // 2
    seen = (before % FINE == 0) & (before >= 0) & (before <= FINE * (width - 1))
    stepped = stepped[seen]
    row = (np.minimum(y[stepped], y[stepped + 1]) + 0.5) / FINE - 0.5
    return before[seen] // FINE, np.ceil(row.clip(0, height)).astype(np.int64)


def _walk(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The grid's points along a closed outline, both ends of each side included.

    A side is walked by the coordinate that changes more, and computed from its lower end whichever
    way it leads, which decides single pixels.
    """
    step = np.roll(corners, -1, 0) - corners
    steep = np.abs(step[:, 0]) < np.abs(step[:, 1])
    long = np.where(steep, step[:, 1], step[:, 0])
    backward = (long < 0)[:, None]
    begin, step = np.where(backward, corners + step, corners), np.where(backward, -step, step)
    length = np.abs(long)
    slope = np.where(steep, step[:, 0], step[:, 1]) / np.maximum(length, 1)

    side = np.repeat(np.arange(len(corners)), length + 1)
    t = np.arange(len(side)) - np.repeat(np.cumsum(length + 1) - length - 1, length + 1)
    t = np.where(backward[side, 0], length[side] - t, t)
    steep = steep[side]
    main = np.where(steep, begin[side, 1], begin[side, 0]) + t
    rest = np.where(steep, begin[side, 0], begin[side, 1]) + slope[side] * t
    other = (rest + 0.5).astype(np.int64)
    return np.where(steep, other, main), np.where(steep, main, other)


def of_outline(outline: Any, size: tuple[int, int]) -> np.ndarray:
    """The mask of an object as its format says it.

    Args:
        outline: an entry of ``Sample.outlines``: a list of polygons, (K, 2) each; a run-length
            code; or None, which covers nothing.
        size: (H, W) of the original picture.

    Returns:
        (H, W) bool.

    Raises:
        ValueError: a run-length code that is none, or of another size; a polygon too far away.
    """
    if outline is None:
        return np.zeros(size, bool)
    if not isinstance(outline, dict):
        return rasterize(outline, size)
    if tuple(outline["size"]) != tuple(size):
        raise ValueError(f"the run-length code is of {outline['size']}, the picture of {size}")
    return decode(outline)


def areas(masks: np.ndarray) -> np.ndarray:
    """(N, H, W) bool → (N,) int64, pixels."""
    return np.array([np.count_nonzero(mask) for mask in masks], np.int64)


def boxes(masks: np.ndarray) -> np.ndarray:
    """The tight boxes, continuous edges: x2 is the last column + 1. An empty mask's is all zeros.

    Args:
        masks: (N, H, W) bool.

    Returns:
        (N, 4) float32 xyxy.
    """
    out = np.zeros((len(masks), 4), np.float32)
    for i, mask in enumerate(masks):
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if len(rows):
            out[i] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return out


def shared(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How many pixels each of some masks shares with each of others.

    Args:
        a: (N, H, W) bool.
        b: (M, H, W) bool.

    Returns:
        (N, M) int64, pixels. Counted where the boxes of two masks overlap, and only there.
    """
    ours, theirs = boxes(a).astype(int), boxes(b).astype(int)
    low = np.maximum(ours[:, None, :2], theirs[:, :2])
    high = np.minimum(ours[:, None, 2:], theirs[:, 2:])
    out = np.zeros((len(a), len(b)), np.int64)
    for i, j in np.argwhere((low < high).all(2)).tolist():
        (x1, y1), (x2, y2) = low[i, j].tolist(), high[i, j].tolist()
        out[i, j] = np.count_nonzero(a[i, y1:y2, x1:x2] & b[j, y1:y2, x1:x2])
    return out


def iou(a: np.ndarray, b: np.ndarray, crowd: np.ndarray | None = None) -> np.ndarray:
    """Intersection over union of each mask with each other one; of two empty ones 0.

    Args:
        a: (N, H, W) bool.
        b: (M, H, W) bool.
        crowd: (M,) bool, those of ``b`` in which it counts how much of ``a`` lies inside.

    Returns:
        (N, M) float64, 0..1.
    """
    both, ours = shared(a, b), areas(a)[:, None]
    whole = ours + areas(b) - both
    if crowd is not None:
        whole = np.where(crowd, ours, whole)
    return np.asarray(both / np.maximum(whole, 1))


def paste(
    probabilities: np.ndarray,
    boxes: np.ndarray,
    size: tuple[int, int],
    threshold: float = 0.5,
) -> np.ndarray:
    """A network's small masks, each stretched over its box: Mask R-CNN's last step.

    Each pixel whose middle lies in the box reads the small mask there, bilinearly; around the small
    mask there is 0.

    Args:
        probabilities: (N, h, w) floating, 0..1.
        boxes: (N, 4) xyxy in the target's pixels; they may leave it.
        size: (H, W) of the target.
        threshold: what belongs to the object, from this on.

    Returns:
        (N, H, W) bool; nothing where a box has no area.
    """
    out = np.zeros((len(boxes), *size), bool)
    _, height, width = probabilities.shape
    for i, (x1, y1, x2, y2) in enumerate(np.asarray(boxes, np.float64)):
        if not (x2 > x1 and y2 > y1):
            continue
        top, rows = _interpolation(y1, y2, height, size[0])
        left, columns = _interpolation(x1, x2, width, size[1])
        read = rows @ np.asarray(probabilities[i], np.float32) @ columns.T
        out[i, top : top + len(rows), left : left + len(columns)] = read >= threshold
    return out


def _interpolation(low: float, high: float, cells: int, limit: int) -> tuple[int, np.ndarray]:
    """The first pixel whose middle is in low..high, and (pixels, cells), how much of each cell it reads."""
    first, end = np.ceil(np.clip([low - 0.5, high - 0.5], 0, limit)).astype(int)
    place = (np.arange(first, end) + 0.5 - low) / (high - low) * cells - 0.5
    weights = 1 - np.abs(place[:, None] - np.arange(cells))
    return int(first), weights.clip(min=0).astype(np.float32)


def numbered(masks: np.ndarray, scores: np.ndarray | None = None) -> np.ndarray:
    """One map of all objects, each with its own value; where they overlap the surest is on top.

    Args:
        masks: (N, H, W) bool.
        scores: (N,); without them, and of equal ones, the first is on top.

    Returns:
        (H, W) uint8, or uint16 from 256 objects on: 0 is background, i + 1 the object i.

    Raises:
        ValueError: more than 65,535 objects.
    """
    if len(masks) >= 1 << 16:
        raise ValueError(f"{len(masks):,} objects; a map holds 65,535 at most")
    out = np.zeros(masks.shape[1:], np.uint8 if len(masks) < 1 << 8 else np.uint16)
    order = np.arange(len(masks)) if scores is None else np.argsort(-scores, kind="stable")
    for i in order[::-1].tolist():
        out[masks[i]] = i + 1
    return out


def panoptic_png(
    masks: np.ndarray,
    scores: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str],
) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Objects in COCO's panoptic format (Kirillov et al. 2019, arXiv 1801.00868): no pixel is of two.

    A segment's id is its place in the prediction + 1 and stands in the picture as R + 256 G +
    65,536 B; 0 is background. Categories are numbered from 1, as ``boda convert --to coco`` does.

    Args:
        masks: (N, H, W) bool.
        scores: (N,), the surest on top.
        labels: (N,) class indices, from 0.
        names: (N,) the classes' names, in the order of ``labels``.

    Returns:
        (H, W, 3) uint8, and for each object of which something is seen ``{"id", "category_id",
        "name", "area", "bbox", "score"}``: the area in pixels and the box, x, y, width, height, of
        what is seen.

    Raises:
        ValueError: more than 65,535 objects.
    """
    ids = numbered(masks, scores).astype(np.uint32)
    segments: list[dict[str, Any]] = []
    for i, (label, name, score) in enumerate(zip(labels, names, scores, strict=True)):
        seen = (ids == i + 1)[None]
        x1, y1, x2, y2 = boxes(seen)[0].astype(int).tolist()
        if x2 > x1:
            segment = {"id": i + 1, "category_id": int(label) + 1, "name": name}
            segment |= {"area": int(areas(seen)[0]), "bbox": [x1, y1, x2 - x1, y2 - y1]}
            segments.append(segment | {"score": float(score)})
    return np.stack([ids & 255, ids >> 8 & 255, ids >> 16], 2).astype(np.uint8), segments
