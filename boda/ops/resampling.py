"""Bicubic resampling by two matrices, as MATLAB's ``imresize`` does it, which super-resolution measures by.

Keys, "Cubic convolution interpolation for digital image processing", 1981 (IEEE Transactions on
Acoustics, Speech, and Signal Processing 29), with a = −1/2. Where a picture shrinks the kernel is
widened by as much, so that nothing aliases; beyond its borders the picture is mirrored, the edge
pixel included.

Pillow's BICUBIC has the same kernel and widens it too. It differs in two things: at the borders it
cuts the kernel off and scales what is left, and 8-bit pictures it rounds and clips after the first
pass already. Here both are done at the end, once.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from boda.errors import UsageError
from boda.ops.autocast import without_autocast

A = -0.5  # of Keys' kernel: the only one that continues every parabola exactly
REACH = 2.0  # pixels to each side, before it is widened
AROUND = 2  # whole pixels to each side that a picture is enlarged from


def cubic(x: np.ndarray) -> np.ndarray:
    """Keys' kernel at distances x in pixels; 1 at 0, 0 at the other whole numbers and from 2 on."""
    x = np.abs(x)
    near = (A + 2) * x**3 - (A + 3) * x**2 + 1
    far = A * x**3 - 5 * A * x**2 + 8 * A * x - 4 * A
    return np.where(x <= 1, near, np.where(x < REACH, far, 0.0))


@lru_cache(maxsize=16)
def weights(length: int, count: int) -> np.ndarray:
    """How much of each pixel of a row is in each pixel of the resized row.

    Args:
        length: pixels before.
        count: pixels after.

    Returns:
        (count, length) float64, read-only; every row sums to 1.

    Raises:
        UsageError: less than one pixel before or after.
    """
    if length < 1 or count < 1:
        raise UsageError(f"{length} pixels cannot become {count}. Give 1 or more.")
    scale = count / length
    stretch = min(scale, 1.0)  # a kernel that shrinks reaches as far as the new pixels do
    reach = REACH / stretch
    centres = (np.arange(count) + 0.5) / scale - 0.5  # in pixels of the old row
    first = np.floor(centres - reach).astype(np.int64)
    places = first[:, None] + np.arange(math.ceil(2 * reach) + 2)
    parts = cubic(stretch * (centres[:, None] - places))
    parts /= parts.sum(1, keepdims=True)
    mirrored = places % (2 * length)
    mirrored = np.minimum(mirrored, 2 * length - 1 - mirrored)
    matrix = np.zeros((count, length))
    np.add.at(matrix, (np.arange(count)[:, None], mirrored), parts)
    matrix.flags.writeable = False
    return matrix


def resize(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Bicubic resampling of whole pictures, antialiased where they shrink; differentiable.

    Args:
        images: (…, H, W) floating, or uint8, which is rounded and clipped once, at the end.
        size: (H', W').

    Returns:
        (…, H', W') of the same dtype. Floating values are not clipped: beside an edge they may
        leave the range of the picture's by a tenth of its height.

    Raises:
        UsageError: no picture, a side below 1, a dtype that is no picture's.
    """
    if images.ndim < 2 or not (images.is_floating_point() or images.dtype == torch.uint8):
        raise UsageError(
            f"a picture of {images.dtype} {tuple(images.shape)}. Give (…, H, W) floating or uint8."
        )
    down, across = (
        torch.tensor(weights(before, after), dtype=torch.float32, device=images.device)
        for before, after in zip(images.shape[-2:], size, strict=True)
    )
    # A network's bfloat16 would be too coarse: pictures have 256 levels, it has 128 a doubling.
    with without_autocast(images):
        if images.dtype == torch.float64:
            down, across = down.double(), across.double()
        whole = images if images.dtype == torch.float64 else images.float()
        out = down @ whole @ across.T
    if images.is_floating_point():
        return out.to(images.dtype)
    return out.round().clamp(0, 255).to(torch.uint8)


def enlarge(images: Tensor, scale: int) -> Tensor:
    """``scale`` times as large: (…, H, W) → (…, scale·H, scale·W)."""
    return resize(images, (scale * images.shape[-2], scale * images.shape[-1]))


def reduce(images: Tensor, scale: int) -> Tensor:
    """``scale`` times as small: (…, scale·H, scale·W) → (…, H, W), how low resolutions are made.

    Raises:
        UsageError: sides that ``scale`` does not divide; ``whole`` cuts them.
    """
    height, width = images.shape[-2:]
    if scale < 1 or height % scale or width % scale:
        raise UsageError(
            f"a picture of {height}×{width} cannot be reduced by {scale}. Cut it to multiples first."
        )
    return resize(images, (height // scale, width // scale))
