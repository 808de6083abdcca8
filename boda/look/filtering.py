"""A kernel over a whole picture: the numbers that come out, and how they are made a picture again.

Pictures are counted 0 to 255. What comes out of a kernel whose weights add up to more than 0 is a
picture again; of any other it is a difference, which has a sign and is shown in colours that have
one. Sources: the lecture notes §2; the operations are ``boda.ops``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from boda.data.image import MOST_PIXELS
from boda.errors import UsageError, unknown
from boda.look import colours
from boda.look.arithmetic_page import alike, number
from boda.ops import convolve, correlate, grayscale, kernels, pad
from boda.ops.cost import Pads, output_size, padding_per_axis

MODES = ("zeros", "replicate", "reflect", "circular")
GRADIENTS = ("sobel", "scharr", "prewitt")
LARGEST_SIDE = 1000  # of a kernel: beyond, one picture would take hours, or all the memory
BAND = 2**20  # pixels that are worked on at a time: 50 million in float64 would not fit
FULL = 0.99  # of the values are short of the full colour: a few glints must not pale all the rest


@dataclass(frozen=True)
class Sliding:
    """How the kernel goes over the picture.

    Attributes:
        stride: pixels from one place to the next.
        padding: "valid", "same", "full" or pixels on every side.
        mode: what is padded with, one of ``MODES``.
        flip: true convolution, the kernel turned by 180°; else cross-correlation.
    """

    stride: int = 1
    padding: str | int = "valid"
    mode: str = "zeros"
    flip: bool = False

    def pads(self, sizes: tuple[int, int], window: tuple[int, int]) -> Pads:
        """(before, after) for height and width, of a kernel that fits.

        Raises:
            UsageError: in the words of the command line.
        """
        if self.stride < 1:
            raise UsageError(f"--stride {self.stride}: give a whole number from 1 up.")
        if self.mode not in MODES:
            raise unknown("--mode", self.mode, MODES)
        if isinstance(self.padding, int) and self.padding < 0:
            raise UsageError(f"--padding {self.padding}: give valid, same, full, or 0 and up.")
        pads = padding_per_axis(self.padding, window, (1, 1))
        if self.flip and self.padding == "same":  # the kernel's centre stays where it was
            pads = [(after, before) for before, after in pads]
        padded = [n + sum(widths) for n, widths in zip(sizes, pads, strict=True)]
        if any(f > n for f, n in zip(window, padded, strict=True)):
            around = "" if padded == list(sizes) else f", with its padding {_by(padded)}"
            raise UsageError(
                f"the kernel ({_by(window)}) is larger than the picture ({_by(sizes)}{around}): it "
                "has no place in it. Use a smaller kernel, a larger picture, or --padding same."
            )
        limit = {"reflect": -1, "circular": 0}.get(self.mode)
        for n, widths in zip(sizes, pads, strict=True):
            if limit is not None and max(widths) > n + limit:
                raise UsageError(
                    f"{self.mode} padding of {max(widths)} pixels looks beyond the {n} that there "
                    f"are: at most {n + limit}. Use a smaller kernel or padding, or --mode "
                    "replicate or zeros."
                )
        if padded[0] * padded[1] > MOST_PIXELS:
            raise UsageError(
                f"with its padding the picture would have {_by(padded)} pixels. Give a smaller one."
            )
        return pads


def kernel_of(text: str) -> tuple[str, Tensor]:
    """The kernel that is meant by a name, or typed by hand, as (its name, (h, w) float32).

    Raises:
        UsageError: an unknown name, a ragged kernel, a word that is no number, a size out of range.
    """
    if re.search(r"[;,]|^\s*[-+.\d]|^\s*$", text):
        return "typed", kernels.parse(text)
    name = text.strip()
    family, _, size = name.partition("-")
    if family in ("box", "gaussian") and re.fullmatch(r"\d+\.?\d*(e\d+)?", size):
        side = float(size) if family == "box" else 6 * float(size)
        if side > LARGEST_SIDE:  # asked before it is made: a box of 100,000 has 40 GB
            raise UsageError(
                f"kernel '{name}' is more than {LARGEST_SIDE:,} pixels wide. Make the picture "
                "smaller, then blur less."
            )
    return name, kernels.kernel(name)


def gradient_of(text: str) -> tuple[str, list[Tensor]]:
    """The two kernels of a gradient, by their family or one of the two: ``sobel``, ``sobel-x``."""
    family = re.sub(r"-[xy]$", "", text.strip())
    if family not in GRADIENTS:
        raise unknown("kernel for --magnitude:", text.strip(), GRADIENTS)
    return family, [kernels.kernel(f"{family}-{axis}") for axis in "xy"]


def is_difference(kernel: Tensor) -> bool:
    """Whether the weights add up to 0: on an even ground such a kernel says nothing."""
    return abs(float(kernel.double().sum())) <= 1e-6 * float(kernel.double().abs().sum())


def planes(picture: np.ndarray, gray: bool) -> Tensor:
    """(H, W, 3) uint8 → (3, H, W), or (1, H, W) with the luma of Rec. 601."""
    channels = torch.from_numpy(picture).permute(2, 0, 1)
    if not gray:
        return channels
    bands = channels.split(max(1, BAND // channels.shape[2]), dim=1)
    return torch.cat([grayscale(band) for band in bands], dim=1)


def slide(channels: Tensor, pair: list[Tensor], how: Sliding) -> np.ndarray:
    """One kernel over every channel; of two, the length of the gradient that they give.

    Args:
        channels: (C, H, W) uint8.
        pair: one kernel (h, w), or those for x and for y.
        how: stride, padding, mode, flip.

    Returns:
        (C, H', W') float32; whole weights, fewer than 100, give exact results (below 2^24).

    Raises:
        UsageError: the kernel does not fit, or the results are too large to be numbers.
    """
    window = pair[0].shape[0], pair[0].shape[1]
    pads = how.pads((channels.shape[1], channels.shape[2]), window)
    done = []
    for channel in channels:
        padded = pad(channel[None, None].float(), pads, how.mode)[0, 0]
        results = [_in_bands(padded, kernel, how) for kernel in pair]
        done.append(results[0] if len(results) == 1 else torch.hypot(*results))
    values = torch.stack(done).numpy()
    if not (np.isfinite(values.min()) and np.isfinite(values.max())):
        raise UsageError(
            "the kernel's weights are so large that the results overflow. Divide them."
        )
    return values


def _in_bands(padded: Tensor, kernel: Tensor, how: Sliding) -> Tensor:
    """Some rows at a time: PyTorch's layer takes many times the memory of what it is given."""
    operation = convolve if how.flip else correlate
    height = output_size(padded.shape[0], kernel.shape[0], 0, how.stride)
    parts = _column_and_row(kernel)
    rows, bands = max(1, BAND // padded.shape[1]), []
    for top in range(0, height, rows):
        last = min(top + rows, height) - 1
        band = padded[top * how.stride : last * how.stride + kernel.shape[0]]
        if parts is None:
            bands.append(operation(band, kernel, stride=how.stride))
        else:
            down = operation(band, parts[0], stride=(how.stride, 1))
            bands.append(operation(down, parts[1], stride=(1, how.stride)))
    return torch.cat(bands)


def _column_and_row(kernel: Tensor) -> tuple[Tensor, Tensor] | None:
    """A large blur is a column times a row: 2f products a pixel in place of f², the same sum."""
    exact = kernel.double()
    total = exact.sum()
    if kernel.numel() < 100 or float(total) <= 1e-3 * float(exact.abs().sum()):
        return None
    column, row = exact.sum(1, keepdim=True), exact.sum(0, keepdim=True) / total
    alike_to = 1e-6 * float(exact.abs().max())
    if not torch.allclose(column * row, exact, rtol=1e-5, atol=alike_to):
        return None
    return column.float(), row.float()


def formulas(sizes: tuple[int, int], window: tuple[int, int], how: Sliding) -> dict[str, str]:
    """``floor((n + 2p − f)/s) + 1`` with the numbers put in, for "height" and "width"."""
    told = {}
    pads = how.pads(sizes, window)
    for side, n, f, (before, after) in zip(("height", "width"), sizes, window, pads, strict=True):
        around = f"2·{before}" if before == after else f"({before} + {after})"
        size = output_size(n, f, (before, after), how.stride)
        told[side] = f"floor(({n} + {around} − {f})/{how.stride}) + 1 = {size}"
    return told


def shown(values: np.ndarray, kernel: Tensor | None) -> tuple[np.ndarray, str]:
    """Results as a picture, and in words how.

    Args:
        values: (C, H, W), C 1 or 3.
        kernel: that gave them; None for the length of a gradient.

    Returns:
        (H, W) or (H, W, 3) uint8.
    """
    if kernel is None:
        return _lengths(values)
    if is_difference(kernel) or float(kernel.sum()) < 0:
        return _signed(values)
    clipped = np.mean([np.mean((plane < -0.5) | (plane >= 255.5)) for plane in values])
    words = "no value is outside of it"
    if clipped:
        words = f"{_percent(clipped)} of the values are outside of it"
        total = float(kernel.sum())
        if abs(total - 1) > 1e-3:
            words += f" (the weights add up to {number(total)}; 1 keeps the brightness)"
    return _as_picture([_bytes(plane) for plane in values]), f"clipped to 0..255: {words}"


def _lengths(values: np.ndarray) -> tuple[np.ndarray, str]:
    largest = _full_colour(values)
    white = "the largest" if largest >= values.max() else "and above"
    drawn = _as_picture([_bytes(plane * (255 / largest)) for plane in values])
    return drawn, f"no sign: black is 0, white {number(largest)} {white}"


def _signed(values: np.ndarray) -> tuple[np.ndarray, str]:
    largest = _full_colour(values)
    reach = number(largest)
    if len(values) > 1:  # three signed numbers a pixel: each its own distance from the middle
        drawn = [_bytes(128 + plane * (127 / largest)) for plane in values]
        words = f"black from −{reach}, zero mid-gray, white from {reach}"
        return _as_picture(drawn), f"signed, each channel by itself: {words}"
    plane = values[0]
    rows = max(1, BAND // plane.shape[1])
    bands = [colours.signed(plane[y : y + rows], largest) for y in range(0, plane.shape[0], rows)]
    return np.concatenate(
        bands
    ), f"signed: blue below zero, white zero, red above; full colour from ±{reach}"


def _full_colour(values: np.ndarray) -> float:
    """The size that gets the full colour: of all values but the largest hundredth, never 0."""
    sizes = np.abs(values).ravel()
    place = min(int(FULL * sizes.size), sizes.size - 1)
    return float(np.partition(sizes, place)[place]) or float(sizes.max()) or 1.0


def _bytes(plane: np.ndarray) -> np.ndarray:
    return np.clip(np.floor(plane + 0.5), 0, 255).astype(np.uint8)


def _as_picture(channels: list[np.ndarray]) -> np.ndarray:
    return channels[0] if len(channels) == 1 else np.stack(channels, -1)


def plain(values: np.ndarray) -> list[Any]:
    """float32 for JSON, each with the fewest figures that mean it: 0.01, not 0.009999999776."""
    plain_values: list[Any] = values.astype(str).astype(float).tolist()
    return plain_values


def weights_in_words(kernel: Tensor) -> list[list[str]]:
    """A kernel's numbers: whole, as 1/9 where all are such shares, else with three figures."""
    weights = kernel.double().numpy()
    if (weights == np.round(weights)).all() and abs(weights).max() < 1e6:
        return [[f"{w:.0f}".replace("-", "−") for w in row] for row in weights + 0.0]
    inverse = 1 / np.where(weights == 0, 1, weights)
    below = np.round(inverse)
    if abs(below).min() >= 1 and abs(below).max() <= 1e4 and np.allclose(inverse, below, 1e-6, 0):
        pairs = zip(weights, below, strict=True)
        return [[_share(w, n) for w, n in zip(*pair, strict=True)] for pair in pairs]
    return alike(weights)


def _share(weight: float, below: float) -> str:
    if weight == 0 or abs(below) == 1:
        return f"{weight:.0f}".replace("-", "−")
    return f"{'−' if weight < 0 else ''}1/{abs(below):.0f}"


def _percent(share: float) -> str:
    return "less than 0.1 %" if share < 0.001 else f"{100 * share:.1f} %"


def _by(sizes: tuple[int, ...] | list[int]) -> str:
    return "×".join(map(str, sizes))
