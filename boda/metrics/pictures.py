"""How like its truth a picture is: PSNR, SSIM, L1, and the error of its colours.

SSIM: Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment: from error visibility to
structural similarity", 2004, IEEE Transactions on Image Processing 13(4): a Gaussian window of
11×11 with sigma 1.5, K1 = 0.01, K2 = 0.03, only windows that lie within the picture. Super-resolution
measures the Y of YCbCr (ITU-R BT.601, 16 to 235, MATLAB's ``rgb2ycbcr``) without a border of as many
pixels as it enlarges by, since Dong et al. 2014 (arXiv 1501.00092).

Everything is computed in float64 on pictures from 0 to 1, where it is the same as from 0 to 255.

Deviations: SSIM of colour pictures is the mean of their channels', the paper's is of gray ones; they
are not made smaller before, as the authors' program suggests for large ones. Y is not rounded to
whole numbers (below 0.01 dB).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from boda.errors import UsageError
from boda.ops.color import channels, rgb_to_lab

WINDOW, SIGMA, K1, K2 = 11, 1.5, 0.01, 0.03
MOST = 100.0  # dB that a picture counts in a mean: one that equals its truth has infinitely many
_Y, _BLACK = (65.481, 128.553, 24.966), 16  # of 255; white is 235

Pictures = Tensor | np.ndarray  # (N, C, H, W), uint8 0 to 255 or floating 0 to 1


def psnr(said: Pictures, truth: Pictures) -> Tensor:
    """Peak signal-to-noise ratio, −10 log10 of the mean squared error of all channels.

    Args:
        said: (N, C, H, W), uint8 0 to 255 or floating 0 to 1; values beyond count as they are.
        truth: the same shape, either dtype.

    Returns:
        (N,) float64, dB; infinite where the two are equal.

    Raises:
        UsageError: shapes or dtypes that do not fit; so below.
    """
    said, truth = _both(said, truth)
    return -10 * (said - truth).square().mean((1, 2, 3)).log10()


def l1(said: Pictures, truth: Pictures) -> Tensor:
    """The mean absolute difference of all channels.

    Args:
        said: (N, C, H, W), uint8 0 to 255 or floating 0 to 1.
        truth: the same shape.

    Returns:
        (N,) float64, 0 to 1.
    """
    said, truth = _both(said, truth)
    return (said - truth).abs().mean((1, 2, 3))


def ssim(said: Pictures, truth: Pictures) -> Tensor:
    """Structural similarity: brightness, contrast and structure of every window, and their mean.

    Args:
        said: (N, C, H, W), uint8 0 to 255 or floating 0 to 1; at least 11×11.
        truth: the same shape.

    Returns:
        (N,) float64, −1 to 1; 1 is equal.
    """
    x, y = _both(said, truth)
    if min(x.shape[-2:]) < WINDOW:
        raise UsageError(
            f"SSIM looks at windows of {WINDOW}×{WINDOW}, these pictures have "
            f"{x.shape[-2]}×{x.shape[-1]}. Measure larger ones, or cut a smaller border."
        )
    mean_x, mean_y, xx, yy, xy = (_window_means(z) for z in (x, y, x * x, y * y, x * y))
    variances = xx - mean_x**2 + yy - mean_y**2
    covariance = xy - mean_x * mean_y
    c1, c2 = K1**2, K2**2
    above = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    below = (mean_x**2 + mean_y**2 + c1) * (variances + c2)
    return (above / below).mean((1, 2, 3))


def ab_error(said: Pictures, truth: Pictures) -> Tensor:
    """How far off the colours are, whatever the lightness: the mean distance in the plane of a and b.

    Args:
        said: (N, 3, H, W) RGB, uint8 0 to 255 or floating 0 to 1.
        truth: the same shape.

    Returns:
        (N,) float64, in units of Lab (D65), of which about 2 can be seen.
    """
    one, other = (rgb_to_lab(x)[:, 1:] for x in _both(said, truth))
    return torch.linalg.vector_norm(one - other, dim=1).mean((1, 2))


def luma(pictures: Pictures) -> Tensor:
    """The Y of YCbCr: (16 + 65.481 R + 128.553 G + 24.966 B) / 255, not rounded.

    Args:
        pictures: (…, 3, H, W) RGB, uint8 0 to 255 or floating 0 to 1.

    Returns:
        (…, 1, H, W) float64, 16/255 (black) to 235/255 (white).
    """
    red, green, blue = channels(_unit(pictures))
    y = _Y[0] * red + _Y[1] * green + _Y[2] * blue
    return ((y + _BLACK) / 255).unsqueeze(-3)


def without_border(pictures: Tensor, border: int) -> Tensor:
    """(…, H, W) → (…, H − 2·border, W − 2·border), a view.

    Raises:
        UsageError: nothing would be left.
    """
    height, width = pictures.shape[-2:]
    if not 0 <= border < min(height, width) / 2:
        raise UsageError(
            f"a border of {border} leaves nothing of {height}×{width} pixels. Give 0 or more, and "
            "less than half a side."
        )
    return pictures[..., border : height - border, border : width - border]


class Likeness:
    """Means over pictures of PSNR, SSIM, L1 and, of RGB ones, the error of colours.

    Every picture counts the same, however large. The order of the batches changes no bit of the
    figures.

    Args:
        y: measure the Y of RGB pictures, as super-resolution does. Gray ones are their own.
        border: pixels that are cut off at each edge; in super-resolution the factor.
    """

    def __init__(self, y: bool = False, border: int = 0) -> None:
        self.y, self.border = y, border
        self._each: dict[str, list[float]] = {}

    @property
    def samples(self) -> int:
        """How many pictures were given."""
        return len(self._each.get("psnr", ()))

    def update(self, said: Pictures, truth: Pictures) -> dict[str, list[float]]:
        """Count some pictures of one size.

        Args:
            said: (N, C, H, W), uint8 0 to 255 or floating 0 to 1.
            truth: the same shape.

        Returns:
            their figures, name → N values.
        """
        one, other = (without_border(x, self.border) for x in _both(said, truth))
        coloured = one.shape[1] == 3
        if self.y and coloured:
            one, other = luma(one), luma(other)
        found = {
            "psnr": psnr(one, other).clamp(max=MOST),
            "ssim": ssim(one, other),
            "l1": l1(one, other),
        }
        if coloured and not self.y:
            found["ab_error"] = ab_error(one, other)
        listed = {name: values.tolist() for name, values in found.items()}
        self._add(listed)
        return listed

    def merge(self, other: Likeness) -> None:
        """Add what ``other`` has counted, as if its pictures had been given here."""
        if (other.y, other.border) != (self.y, self.border):
            raise ValueError("only figures of the same channel and border can be merged")
        self._add(other._each)

    def compute(self) -> dict[str, float]:
        """The means.

        Returns:
            ``psnr`` in dB, in which a picture counts 100 at most; ``ssim``; ``l1``, 0 to 1; and, of
            the RGB pictures where not Y alone was measured, ``ab_error``.

        Raises:
            ValueError: no pictures have been counted.
        """
        if not self.samples:
            raise ValueError("there are no pictures to compute metrics of")
        # fsum rounds once, at the end: the order does not matter.
        return {name: math.fsum(values) / len(values) for name, values in self._each.items()}

    def _add(self, found: dict[str, list[float]]) -> None:
        for name, values in found.items():
            self._each.setdefault(name, []).extend(values)


def _window_means(x: Tensor) -> Tensor:
    """(N, C, H, W) → (N, C, H − 10, W − 10): means weighted by the Gaussian, rows, then columns."""
    places = range(WINDOW)
    bell = [math.exp(-0.5 * ((i - WINDOW // 2) / SIGMA) ** 2) for i in places]
    weights = [value / sum(bell) for value in bell]
    for axis in (2, 3):
        length = x.shape[axis] - WINDOW + 1
        x = _weighted([x.narrow(axis, i, length) for i in places], weights)
    return x


def _weighted(shifted: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    total = shifted[0] * weights[0]
    for values, weight in zip(shifted[1:], weights[1:], strict=True):
        total = total.add_(values, alpha=weight)
    return total


def _both(said: Pictures, truth: Pictures) -> tuple[Tensor, Tensor]:
    if said.ndim != 4 or said.shape != truth.shape or 0 in said.shape:
        raise UsageError(
            f"pictures of shapes {tuple(said.shape)} and {tuple(truth.shape)}. Give (N, C, H, W) "
            "twice, the same."
        )
    return _unit(said), _unit(truth)


def _unit(pictures: Pictures) -> Tensor:
    """Float64 from 0 to 1, on the CPU: not every device has it."""
    x = torch.as_tensor(pictures).cpu()
    if x.is_floating_point():
        return x.double()
    if x.dtype != torch.uint8:
        raise UsageError(f"a picture of {x.dtype}. Give uint8 0 to 255 or floating 0 to 1.")
    return x.double() / 255
