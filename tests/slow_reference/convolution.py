"""Correlation and its relatives as plain loops; NumPy only holds the numbers."""

import itertools

import numpy as np

NUMPY_PAD = {"zeros": "constant", "replicate": "edge", "reflect": "reflect", "circular": "wrap"}


def correlate(signal, kernel, bias=None, pads=((0, 0), (0, 0)), pad_mode="zeros", stride=(1, 1),
              dilation=(1, 1), groups=1):  # fmt: skip
    """(N, C, H, W) with (O, C/groups, h, w); pads are (before, after) for each axis."""
    padded = np.pad(signal, ((0, 0), (0, 0), *pads), mode=NUMPY_PAD[pad_mode])
    count, filters = len(signal), len(kernel)
    depth, height, width = kernel.shape[1:]
    rows = (padded.shape[2] - dilation[0] * (height - 1) - 1) // stride[0] + 1
    columns = (padded.shape[3] - dilation[1] * (width - 1) - 1) // stride[1] + 1
    out = np.zeros((count, filters, rows, columns), dtype=np.result_type(signal, kernel))
    for n, o, y, x in np.ndindex(out.shape):
        first = o // (filters // groups) * depth
        for c, i, j in itertools.product(range(depth), range(height), range(width)):
            row, column = y * stride[0] + i * dilation[0], x * stride[1] + j * dilation[1]
            out[n, o, y, x] += padded[n, first + c, row, column] * kernel[o, c, i, j]
        out[n, o, y, x] += 0 if bias is None else bias[o]
    return out


def transposed(signal, kernel, padding=0, stride=1, output_padding=0):
    """(H, W) with (h, w): lay down a scaled kernel for every value, add up, cut the border off."""
    height, width = kernel.shape
    out = np.zeros(
        (
            (signal.shape[0] - 1) * stride + height + output_padding,
            (signal.shape[1] - 1) * stride + width + output_padding,
        )
    )
    for y, x in np.ndindex(signal.shape):
        for i, j in np.ndindex(kernel.shape):
            out[y * stride + i, x * stride + j] += signal[y, x] * kernel[i, j]
    return out[padding : out.shape[0] - padding, padding : out.shape[1] - padding]


def convolve1d(f, g):
    """(f*g)[n] = Σ f[k] g[n − k], all n where they overlap."""
    out = [0] * (len(f) + len(g) - 1)
    for n in range(len(out)):
        for k in range(len(f)):
            if 0 <= n - k < len(g):
                out[n] += f[k] * g[n - k]
    return out
