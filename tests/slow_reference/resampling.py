"""Bicubic resampling by definition: every new pixel a sum over the mirrored picture, in plain loops."""

from __future__ import annotations

import math

import numpy as np


def kernel(x: float) -> float:
    """Keys' with a = −1/2, as his article writes it for that number."""
    x = abs(x)
    if x < 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def mirrored(row: list[float], place: int) -> float:
    """The row, the row backwards, the row, and so on to both sides."""
    twice = row + row[::-1]
    return twice[place % len(twice)]


def resize_row(row: list[float], count: int) -> list[float]:
    scale = count / len(row)
    stretch = scale if scale < 1 else 1.0
    out = []
    for i in range(count):
        centre = (i + 0.5) / scale  # continuous: pixel j spans j to j + 1
        reach = 2 / stretch + 1
        above = below = 0.0
        for j in range(math.floor(centre - reach), math.ceil(centre + reach) + 1):
            weight = kernel((centre - (j + 0.5)) * stretch)
            above += weight * mirrored(row, j)
            below += weight
        out.append(above / below)
    return out


def resize(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W) → (H', W') float64."""
    rows = [resize_row(row, size[1]) for row in picture.tolist()]
    columns = [resize_row(list(column), size[0]) for column in zip(*rows, strict=True)]
    return np.array(columns).T
