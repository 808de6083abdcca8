"""Pooling: a window becomes its maximum, average or minimum; and the way back.

All take (…, H, W) and pool each channel by itself. Source: the lecture notes §3.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from boda.errors import UsageError
from boda.ops.cost import PerAxis, output_size, per_axis


def max_pool(
    image: Tensor,
    size: PerAxis,
    stride: PerAxis | None = None,
    *,
    padding: PerAxis = 0,
    dilation: PerAxis = 1,
    round_up: bool = False,
) -> Tensor:
    """The largest value of each window.

    Args:
        image: (…, H, W), any real dtype (integers exact up to 2^53).
        size: f of the window, one int or (h, w).
        stride: step of the window; the window's size where none is given.
        padding: at most half the window; padded places never win.
        dilation: distance of neighbouring elements of the window.
        round_up: a last window that begins within the picture counts even where it sticks out.

    Returns:
        (…, H', W') of the same dtype; floor((n + 2p − f)/s) + 1 values each way.

    Raises:
        UsageError: a window larger than the picture, padding above half the window.
    """
    return max_pool_indices(
        image, size, stride, padding=padding, dilation=dilation, round_up=round_up
    )[0]


def max_pool_indices(
    image: Tensor,
    size: PerAxis,
    stride: PerAxis | None = None,
    *,
    padding: PerAxis = 0,
    dilation: PerAxis = 1,
    round_up: bool = False,
) -> tuple[Tensor, Tensor]:
    """``max_pool``, and where each maximum stood.

    Returns:
        values (…, H', W') and int64 indices (…, H', W') into the flattened H·W picture, without its
        padding: row ``index // W``, column ``index % W``. Of equal values the first one.
    """
    window, steps, around, apart = _windows(image, size, stride, padding, dilation)
    values, indices = F.max_pool2d(
        _as_batch(image), window, steps, around, apart, round_up, return_indices=True
    )
    shape = (*image.shape[:-2], *values.shape[-2:])
    return values.to(image.dtype).reshape(shape), indices.reshape(shape)


def min_pool(
    image: Tensor,
    size: PerAxis,
    stride: PerAxis | None = None,
    *,
    padding: PerAxis = 0,
    dilation: PerAxis = 1,
    round_up: bool = False,
) -> Tensor:
    """The smallest value of each window; arguments, result and errors as in ``max_pool``."""
    negative = -(image if image.is_floating_point() else image.double())
    largest = max_pool(
        negative, size, stride, padding=padding, dilation=dilation, round_up=round_up
    )
    return (-largest).to(image.dtype)


def average_pool(
    image: Tensor,
    size: PerAxis,
    stride: PerAxis | None = None,
    *,
    padding: PerAxis = 0,
    count_padding: bool = True,
    round_up: bool = False,
) -> Tensor:
    """The mean of each window.

    Args:
        image: (…, H, W), any real dtype.
        size: f of the window, one int or (h, w).
        stride: step of the window; the window's size where none is given.
        padding: zeros around the picture, at most half the window.
        count_padding: divide by all places of the window (as PyTorch does), or by those that lie
            in the picture.
        round_up: as in ``max_pool``.

    Returns:
        (…, H', W'), of the image's dtype, float32 for integers.

    Raises:
        UsageError: a window larger than the picture, padding above half the window.
    """
    window, steps, around, _ = _windows(image, size, stride, padding, 1)
    mean = F.avg_pool2d(_as_batch(image), window, steps, around, round_up, count_padding)
    dtype = image.dtype if image.is_floating_point() else torch.float32
    return mean.to(dtype).reshape(*image.shape[:-2], *mean.shape[-2:])


def global_average_pool(image: Tensor) -> Tensor:
    """The mean over the whole picture: (…, H, W) → (…); integers give float32."""
    return (image if image.is_floating_point() else image.float()).mean((-2, -1))


def global_max_pool(image: Tensor) -> Tensor:
    """The maximum over the whole picture: (…, H, W) → (…)."""
    return image.amax((-2, -1))


def unpool(values: Tensor, indices: Tensor, size: tuple[int, int]) -> Tensor:
    """Put pooled values back where they stood; zeros elsewhere (the switches of DeconvNet).

    Args:
        values: (…, H', W').
        indices: (…, H', W') from ``max_pool_indices``.
        size: (H, W) of the picture before pooling.

    Returns:
        (…, H, W). Where windows overlapped and chose the same place, its value stands there once.

    Raises:
        UsageError: shapes that differ, indices outside the picture.
    """
    if values.shape != indices.shape:
        raise UsageError(
            f"values {tuple(values.shape)} and indices {tuple(indices.shape)} differ. Give both as "
            "max_pool_indices returned them."
        )
    pixels = size[0] * size[1]
    if indices.numel() and not 0 <= int(indices.min()) <= int(indices.max()) < pixels:
        raise UsageError(
            f"an index lies outside a picture of {size[0]}×{size[1]}. Give the (H, W) the picture "
            "had before pooling."
        )
    flat = values.new_zeros((*values.shape[:-2], pixels))
    return flat.scatter(-1, indices.flatten(-2), values.flatten(-2)).unflatten(-1, size)


Windows = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]


def _windows(
    image: Tensor, size: PerAxis, stride: PerAxis | None, padding: PerAxis, dilation: PerAxis
) -> Windows:
    """Size, stride, padding and dilation for each axis, checked against the picture."""
    if image.ndim < 2:
        raise UsageError(f"a picture of shape {tuple(image.shape)}. Give (…, H, W).")
    window, apart = per_axis("size", size, 2), per_axis("dilation", dilation, 2)
    steps = window if stride is None else per_axis("stride", stride, 2)
    around = per_axis("padding", padding, 2, least=0)
    for n, f, p, s, d in zip(image.shape[-2:], window, around, steps, apart, strict=True):
        if p > f // 2:
            raise UsageError(
                f"padding {p} is more than half the window of {f}: some windows would see "
                f"nothing. Give at most {f // 2}."
            )
        output_size(n, f, (p, p), s, d)
    return window, steps, around, apart


def _as_batch(image: Tensor) -> Tensor:
    """(N, 1, H, W) in a dtype that PyTorch pools; a batch as it is."""
    work = image if image.is_floating_point() else image.double()
    return work if image.ndim == 4 else work.reshape(-1, 1, *image.shape[-2:])
