"""Pooling as a plain loop over windows."""

import math

import numpy as np


def pool(image, reduce, size, stride, padding=0, dilation=1, empty=-np.inf, round_up=False):
    """(H, W); ``reduce`` turns the list of a window's numbers into one; padding holds ``empty``."""
    padded = np.pad(image.astype(float), padding, constant_values=empty)
    covered = dilation * (size - 1) + 1
    counts = []
    for n in image.shape:
        places = (n + 2 * padding - covered) / stride
        count = (math.ceil(places) if round_up else math.floor(places)) + 1
        if round_up and (count - 1) * stride >= n + padding:
            count -= 1  # a window has to begin in the picture or the padding before it
        counts.append(count)
    out = np.zeros(counts)
    for y, x in np.ndindex(out.shape):
        window = [
            padded[row, column]
            for row in range(y * stride, y * stride + covered, dilation)
            for column in range(x * stride, x * stride + covered, dilation)
            if row < padded.shape[0] and column < padded.shape[1]
        ]
        out[y, x] = reduce(window)
    return out
