"""Correlation as one matrix product, seen from both sides.

``im2col`` makes a matrix of the signal (how libraries computed convolution for years; Chellapilla
et al., 2006), ``toeplitz`` makes one of the kernel (what the layer is, as linear algebra).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from boda.errors import UsageError
from boda.ops.convolution import correlate, pad
from boda.ops.cost import Padding, PerAxis, output_size, padding_per_axis, per_axis


def im2col(
    signal: Tensor,
    window: tuple[int, int],
    *,
    padding: Padding = "valid",
    pad_mode: str = "zeros",
    stride: PerAxis = 1,
    dilation: PerAxis = 1,
) -> Tensor:
    """Every patch as a column, so that correlation is one matrix product.

    Args:
        signal: (N, C, H, W), any dtype.
        window: (h, w) of the kernel.
        padding: as in ``correlate``, like the rest.
        pad_mode: "zeros", "replicate", "reflect" or "circular".
        stride: step of the window.
        dilation: distance of neighbouring kernel elements.

    Returns:
        (N, C·h·w, H'·W'); ``filters.flatten(1) @ im2col(signal, (h, w))`` is ``correlate``.
    """
    (sy, sx), (dy, dx) = per_axis("stride", stride, 2), per_axis("dilation", dilation, 2)
    pads = padding_per_axis(padding, window, (dy, dx))
    for n, f, around, d in zip(signal.shape[-2:], window, pads, (dy, dx), strict=True):
        output_size(n, f, around, 1, d)
    height, width = dy * (window[0] - 1) + 1, dx * (window[1] - 1) + 1
    patches = pad(signal, pads, pad_mode).unfold(2, height, sy).unfold(3, width, sx)
    patches = patches[..., ::dy, ::dx]  # (N, C, H', W', h, w)
    return patches.permute(0, 1, 4, 5, 2, 3).flatten(4).flatten(1, 3)


def toeplitz(
    kernel: Tensor,
    shape: Sequence[int],
    *,
    padding: Padding = "valid",
    pad_mode: str = "zeros",
    stride: PerAxis = 1,
    dilation: PerAxis = 1,
) -> Tensor:
    """The matrix of ``correlate`` with one kernel: ``toeplitz(k, x.shape) @ x.flatten()``.

    A row is one output value, a column one input pixel. It shows what a convolutional layer is
    beside a dense one: nearly all entries are 0 (sparse connections), and the few others are the
    kernel's numbers again and again (shared weights). Its transpose is ``transposed``.

    Args:
        kernel: (k,) or (h, w).
        shape: (L,) or (H, W) of the signal; small ones: the matrix has (H'·W', H·W) entries.
        padding: as in ``correlate``, like the rest.
        pad_mode: "zeros", "replicate", "reflect" or "circular".
        stride: step of the window.
        dilation: distance of neighbouring kernel elements.
    """
    if kernel.ndim != len(shape) or kernel.ndim > 2:
        raise UsageError(
            f"a kernel of shape {tuple(kernel.shape)} over a signal of shape {tuple(shape)}. Give "
            "(k,) with (L,), or (h, w) with (H, W)."
        )
    pixels = math.prod(shape)
    each = torch.eye(pixels, dtype=kernel.dtype, device=kernel.device).reshape(pixels, *shape)
    responses = correlate(
        each, kernel, padding=padding, pad_mode=pad_mode, stride=stride, dilation=dilation
    )
    return responses.flatten(1).T
