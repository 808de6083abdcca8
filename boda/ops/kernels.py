"""Kernels by name, by hand, and the gradient of a picture.

They are written for ``correlate`` (nothing is flipped): ``-x`` answers to change from left to
right, ``-y`` from top to bottom, positive where the picture grows brighter that way. The notes'
edge kernels (``vertical-edge``, ``horizontal-edge``) have the opposite sign: bright on the left,
or above, is positive.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from boda.errors import UsageError, unknown
from boda.ops.convolution import correlate
from boda.registry import Registry

_KERNELS: Registry[Tensor] = Registry("kernel")


def kernel(name: str) -> Tensor:
    """The kernel of that name, (h, w) float32, a new tensor each time.

    Args:
        name: one of ``names()``; ``box-10`` and ``gaussian-2.5`` choose the size and the sigma.

    Raises:
        UsageError: an unknown name (with the nearest ones), or a size that is none.
    """
    family, _, number = name.partition("-")
    if family in ("box", "gaussian") and number:
        try:
            return box(int(number)) if family == "box" else gaussian(float(number))
        except ValueError:
            raise UsageError(
                f"kernel '{name}': '{number}' is no size. Write box-10 (whole) or gaussian-1.5."
            ) from None
    return _KERNELS[name].clone()


def names() -> list[str]:
    """All names, sorted."""
    return _KERNELS.names()


def box(n: int) -> Tensor:
    """The mean of n × n pixels: every entry 1/n². The notes blur with n = 10."""
    if n < 1:
        raise UsageError(f"a box of {n} pixels blurs nothing. Give a size from 1 up.")
    return torch.full((n, n), 1 / n**2)


def gaussian(sigma: float, size: int | None = None) -> Tensor:
    """A bell of standard deviation ``sigma`` pixels, its sum 1.

    Args:
        sigma: above 0.
        size: side of the kernel; by default odd and reaching 3 sigma to each side.
    """
    if not 0 < sigma < math.inf or (size is not None and size < 1):
        raise UsageError(
            f"a gaussian of sigma {sigma} and size {size}. Give a sigma above 0 and, if any, a "
            "size from 1 up."
        )
    size = 2 * math.ceil(3 * sigma) + 1 if size is None else size
    distance = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    bell = torch.exp(-(distance**2) / (2 * sigma**2))
    return torch.outer(bell / bell.sum(), bell / bell.sum()).float()


def parse(text: str) -> Tensor:
    """A kernel typed by hand: rows parted by ``;``, numbers by ``,`` or spaces.

    Args:
        text: for example ``"1,0,-1; 1,0,-1; 1,0,-1"``; fractions such as ``1/9`` are numbers.

    Returns:
        (h, w) float32.

    Raises:
        UsageError: a row that is empty, longer or shorter than the first, or holds no number.
    """
    rows: list[list[float]] = []
    for number, line in enumerate(text.strip().rstrip(";").split(";"), start=1):
        row = [_number(word, number) for word in line.replace(",", " ").split()]
        if not row:
            raise UsageError(f'row {number} of the kernel is empty. Write it as "1,0,-1;1,0,-1".')
        if rows and len(row) != len(rows[0]):
            raise UsageError(
                f"row {number} of the kernel has {len(row)} numbers, row 1 has {len(rows[0])}. "
                "Give every row equally many."
            )
        rows.append(row)
    return torch.tensor(rows)


def gradient(image: Tensor, kernel: str = "sobel") -> tuple[Tensor, Tensor]:
    """How fast, and in which direction, a picture grows brighter.

    Args:
        image: (…, H, W), each channel by itself; the border is replicated.
        kernel: "sobel", "scharr" or "prewitt": the pair ``-x`` and ``-y`` of that name.

    Returns:
        magnitude (…, H, W), in the kernel's units (a step of 1 gives 4 with sobel, 16 with scharr,
        3 with prewitt), and direction (…, H, W) in radians, −π to π: 0 is to the right, π/2 down.

    Raises:
        UsageError: an unknown kernel, or one that has no ``-x`` and ``-y``.
    """
    pairs = [name.removesuffix("-x") for name in _KERNELS if name.endswith("-x")]
    if kernel not in pairs:
        raise unknown("gradient kernel", kernel, pairs)
    dx, dy = (
        correlate(image, _KERNELS[f"{kernel}-{axis}"], padding="same", pad_mode="replicate")
        for axis in "xy"
    )
    return torch.hypot(dx, dy), torch.atan2(dy, dx)


def _number(word: str, row: int) -> float:
    above, slash, below = word.partition("/")
    try:
        value = float(above) / float(below) if slash else float(above)
    except (ValueError, ZeroDivisionError):
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(
            f"row {row} of the kernel: '{word}' is no number. Write it as \"1,0,-1;1,0,-1\"."
        )
    return value


def _add(name: str, rows: str) -> None:
    _KERNELS.add(name, parse(rows))


_add("identity", "0,0,0; 0,1,0; 0,0,0")
_KERNELS.add("box", box(3))
_KERNELS.add("gaussian", gaussian(1.0))
_add("sharpen", "0,-1,0; -1,5,-1; 0,-1,0")
_add("emboss", "-2,-1,0; -1,1,1; 0,1,2")
_add("laplacian", "0,1,0; 1,-4,1; 0,1,0")
_add("vertical-edge", "1,0,-1; 1,0,-1; 1,0,-1")
_add("horizontal-edge", "1,1,1; 0,0,0; -1,-1,-1")
_add("prewitt-x", "-1,0,1; -1,0,1; -1,0,1")
_add("prewitt-y", "-1,-1,-1; 0,0,0; 1,1,1")
_add("sobel-x", "-1,0,1; -2,0,2; -1,0,1")
_add("sobel-y", "-1,-2,-1; 0,0,0; 1,2,1")
_add("scharr-x", "-3,0,3; -10,0,10; -3,0,3")
_add("scharr-y", "-3,-10,-3; 0,0,0; 3,10,3")
