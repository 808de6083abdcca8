"""The pictures that came out worst, where they did: enlarged by bicubic interpolation, made, and true."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from boda.data.dataset import Pictures, decoded
from boda.metrics.pictures import MOST, luma, psnr
from boda.ops.color import to_chw, to_hwc
from boda.ops.resampling import resize
from boda.types import Image

SIDE = 158  # pixels of the part that is shown: a report shows three of them as they are
SEAM = 2  # white columns between two


def worst(made: Sequence[Image], pictures: Pictures, most: int) -> list[dict[str, Any]]:
    """See ``Task.mistakes``; a picture's score is its PSNR of Y, in dB.

    Args:
        made: (H, W, 3) uint8, of each picture.
        pictures: with what is true of them.
        most: pictures.
    """
    rows = [(_psnr(each, pictures.samples[i].target_image), i) for i, each in enumerate(made)]
    rows.sort()
    return [_told(made[i], pictures, i, found) for found, i in rows[:most] if found < MOST]


def _told(made: Image, pictures: Pictures, i: int, found: float) -> dict[str, Any]:
    sample = pictures.samples[i]
    truth = sample.target_image
    low = to_chw(torch.tensor(decoded(sample)))
    plain = to_hwc(resize(low, (truth.shape[0], truth.shape[1]))).numpy()
    part = _farthest(made, truth)
    shown = [each[part] for each in (plain, made, truth)]
    seam = np.full((shown[0].shape[0], SEAM, 3), 255, np.uint8)
    return {
        "image": np.concatenate([shown[0], seam, shown[1], seam, shown[2]], 1),
        "source": sample.source,
        "truth": "right; bicubic left",
        "predicted": f"{found:.2f} dB, bicubic {_psnr(plain, truth):.2f}",
        "score": found,
    }


def _farthest(made: Image, truth: Image) -> tuple[slice, slice]:
    """The part of at most ``SIDE`` pixels either way with the largest error."""
    error = np.square(made.astype(np.float64) - truth).sum(2)
    height, width = (min(SIDE, side) for side in error.shape)
    sums = np.pad(error.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    inside = sums[height:, width:] - sums[:-height, width:]
    inside = inside - sums[height:, :-width] + sums[:-height, :-width]
    y, x = np.unravel_index(int(inside.argmax()), inside.shape)
    return slice(int(y), int(y) + height), slice(int(x), int(x) + width)


def _psnr(said: Image, truth: Image) -> float:
    """Of Y, the whole picture."""
    one, other = (luma(to_chw(torch.tensor(x)))[None] for x in (said, truth))
    return min(MOST, float(psnr(one, other)))
