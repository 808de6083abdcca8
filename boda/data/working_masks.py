"""The masks of objects in the pixels of the working picture, kept small between the epochs.

A polygon is moved first and drawn at the working size, so no detail is lost that this size can show;
a bitmap is resampled with the picture's own geometry, each pixel taking what lies under its centre.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from boda import masks as bitmaps
from boda.data.outlined import learned
from boda.data.prepare import Preparation
from boda.types import Sample

EDGE = 1e-6  # pixels by which a centre may miss an edge: it belongs to the pixel that begins there


class _Cut(NamedTuple):
    """A mask without the empty rows and columns around it, eight pixels a byte."""

    top: int
    left: int
    width: int
    bits: np.ndarray


class WorkingMasks(Sequence[Tensor]):
    """The masks of each picture: made when first asked for, then kept packed.

    ``masks[i]`` is (n, H, W) bool, one mask an object, in the order of the boxes that are learned.
    An object that is smaller than a pixel of the working picture may have no pixel set.
    """

    def __init__(self, samples: Sequence[Sample], preparation: Preparation) -> None:
        self._samples, self._preparation = samples, preparation
        self._kept: dict[int, list[_Cut]] = {}

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        index = range(len(self))[index]
        if index not in self._kept:
            made = working(self._samples[index], self._preparation)
            self._kept[index] = [_packed(mask) for mask in made]
        cuts = self._kept[index]
        out = np.zeros((len(cuts), self._preparation.height, self._preparation.width), bool)
        for mask, (top, left, width, bits) in zip(out, cuts, strict=True):
            part = np.unpackbits(bits, axis=-1, count=width)
            mask[top : top + len(part), left : left + width] = part
        return torch.from_numpy(out)


def working(sample: Sample, preparation: Preparation) -> list[np.ndarray]:
    """The masks of a picture's learned objects, (H, W) bool each, in the working picture."""
    return [_moved(sample, int(i), preparation) for i in np.flatnonzero(learned(sample))]


def _moved(sample: Sample, index: int, preparation: Preparation) -> np.ndarray:
    outline = None if sample.outlines is None else sample.outlines[index]
    if isinstance(outline, list):
        shape = sample.shape
        moved = [preparation.moved(points, shape).astype(np.float64) for points in outline]
        return bitmaps.rasterize(moved, (preparation.height, preparation.width))
    if outline is not None:
        return resampled(bitmaps.of_outline(outline, sample.shape), preparation, False)
    assert sample.masks is not None, f"{sample.source}: object {index + 1} has no mask"
    return resampled(sample.masks[index], preparation, False)


def resampled(mask: np.ndarray, preparation: Preparation, beyond: int) -> np.ndarray:
    """What lies under the centre of each pixel of the working picture.

    Args:
        mask: (H, W) of the original picture: objects, or classes.
        preparation: of the working picture.
        beyond: the value outside the original.

    Returns:
        (height, width) of the same type.
    """
    matrix = preparation.matrix(*mask.shape)
    out = np.full((preparation.height, preparation.width), beyond, mask.dtype)
    y, x = (
        np.floor((np.arange(count) + 0.5 - matrix[axis, 2]) / matrix[axis, axis] + EDGE).astype(int)
        for axis, count in ((1, out.shape[0]), (0, out.shape[1]))
    )
    (top, bottom), (left, right) = (
        np.searchsorted(at, [0, count]) for at, count in zip((y, x), mask.shape, strict=True)
    )
    out[top:bottom, left:right] = mask[y[top:bottom]][:, x[left:right]]
    return out


def _packed(mask: np.ndarray) -> _Cut:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return _Cut(0, 0, 0, np.zeros((0, 0), np.uint8))
    top, left, right = int(rows[0]), int(columns[0]), int(columns[-1]) + 1
    part = mask[top : rows[-1] + 1, left:right]
    return _Cut(top, left, right - left, np.packbits(part, axis=-1))
