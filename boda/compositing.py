"""A person before another background: the blur of a wide lens, and colours unmixed at soft edges.

The blur is a normalized convolution (Knutsson, Westin, "Normalized and differential convolution",
CVPR 1993): only the background has weight, so that nobody's colours bleed into it. Colours under soft
edges are a mixture of both sides, unmixed as in Forte, "Approximate fast foreground colour
estimation", ICIP 2021 (doi 10.1109/ICIP42928.2021.9506164), in windows that grow with the picture.
Light is mixed as light, not as the picture's encoded values: a lens adds up light, so that a bright
point becomes a bright disc, and half a pixel of hair lets half the light through. Pictures are worked
on in bands of rows, so that large ones need little memory beside themselves. NumPy and SciPy; no torch.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image as Pillow

FINE = 12  # the radius down to which a picture is made smaller before it is blurred
FAINT = 1e-5  # weight of what is there, where no background is near enough to be seen through
MIXED = (
    12,
    100,
)  # pixels to each side, or so small a part of the longer side, in which colours are unmixed
_BAND = 1 << 20  # pixels composed at once

_encoded = np.arange(256) / 255
LINEAR = np.where(
    _encoded <= 0.04045, _encoded / 12.92, ((_encoded + 0.055) / 1.055) ** 2.4
).astype(np.float32)  # of sRGB's 256 values, IEC 61966-2-1
_levels = np.arange(1 << 16) / ((1 << 16) - 1)
ENCODED = np.rint(
    255 * np.where(_levels <= 0.0031308, 12.92 * _levels, 1.055 * _levels ** (1 / 2.4) - 0.055)
).astype(np.uint8)


def composed(
    picture: np.ndarray, covered: np.ndarray, blur: float, behind: np.ndarray | None = None
) -> np.ndarray:
    """The person before the blurred rest of the picture, or before another picture.

    Args:
        picture: (H, W, 3) uint8 RGB.
        covered: (H, W) float32, the matte.
        blur: radius in pixels, 0 = none.
        behind: (H', W', 3) uint8, or None for the picture's own background.

    Returns:
        (H, W, 3) uint8; where the matte is 1 the picture's own values.
    """
    height, width = covered.shape
    other = None if behind is None else _covering(behind, (height, width))
    step = max(1, int(blur // FINE))
    rows = step * max(1, _BAND // width // step)
    reach = step * (math.ceil(blur / step) + 2)  # so that bands meet without a seam
    out = np.empty_like(picture)
    for top in range(0, height, rows):
        end = min(top + rows, height)
        low, high = max(0, top - reach), min(height, end + reach)
        inner = slice(top - low, end - low)
        alpha = covered[top:end, :, None]
        weights = (1 - covered[low:high]) ** 4 if other is None else np.ones((high - low, width))
        ground = (picture if other is None else other)[low:high]
        light = _blurred(LINEAR[ground], weights.astype(np.float32), blur, step)[inner]
        light += alpha * (_foreground(picture, covered, top, end) - light)
        out[top:end] = _encode(light)
    return out


def cut_out(picture: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """The person alone, (H, W, 4) uint8 RGBA, not premultiplied; black where nothing is seen."""
    height, width = covered.shape
    out = np.zeros((height, width, 4), np.uint8)
    out[..., 3] = np.rint(covered * 255)
    rows = max(1, _BAND // width)
    for top in range(0, height, rows):
        end = min(top + rows, height)
        out[top:end, :, :3] = _encode(_foreground(picture, covered, top, end))
    out[out[..., 3] == 0] = 0
    return out


def defocused(light: np.ndarray, weights: np.ndarray, radius: float) -> np.ndarray:
    """The mean over a disc around each pixel: normalized convolution with a lens's blur.

    Args:
        light: (H, W, 3) float32, linear.
        weights: (H, W) float32 in 0..1, how much each pixel counts; those outside do not.
        radius: of the disc in pixels.

    Returns:
        (H, W, 3) float32; what is there already, where nothing in reach has weight.
    """
    from scipy import fft

    kernel = disc(radius)
    weights = weights + np.float32(FAINT)
    reach, (height, width) = len(kernel) // 2, weights.shape
    shape = [fft.next_fast_len(n + 2 * reach, real=True) for n in (height, width)]
    of_kernel = fft.rfft2(kernel, shape)

    def summed(plane: np.ndarray) -> np.ndarray:
        found = fft.irfft2(fft.rfft2(plane, shape) * of_kernel, shape)
        return found[reach : reach + height, reach : reach + width]

    total = np.maximum(summed(weights), np.float32(FAINT / 10))
    return np.stack([summed(light[..., c] * weights) / total for c in range(3)], -1)


def disc(radius: float) -> np.ndarray:
    """(2n + 1, 2n + 1) float32, how much of each pixel a disc covers, of sum 1; n = ceil(radius − ½)."""
    reach = max(0, math.ceil(radius - 0.5))
    fine = 16  # to a side of a pixel
    place = (np.arange((2 * reach + 1) * fine) + 0.5) / fine - reach - 0.5
    inside = place[:, None] ** 2 + place**2 <= max(radius, 0.5) ** 2
    kernel = inside.reshape(2 * reach + 1, fine, 2 * reach + 1, fine).mean((1, 3))
    return (kernel / kernel.sum()).astype(np.float32)


def _blurred(light: np.ndarray, weights: np.ndarray, blur: float, step: int) -> np.ndarray:
    """``defocused`` of a band, at 1/``step`` of its size: a disc of many pixels leaves nothing finer."""
    if blur == 0:
        return light
    if step == 1:
        return defocused(light, weights, blur)
    height, width = weights.shape
    weights = weights + np.float32(FAINT)
    total = _block_means(weights, step)
    small = np.stack([_block_means(light[..., c] * weights, step) for c in range(3)], -1)
    # Blocks at the border count by what of them is in the picture.
    small = defocused(small / total[..., None], total, blur / step)
    box = (0, 0, width / step, height / step)
    planes = (Pillow.fromarray(np.ascontiguousarray(small[..., c])) for c in range(3))
    large = [p.resize((width, height), Pillow.Resampling.BILINEAR, box) for p in planes]
    return np.stack([np.asarray(plane) for plane in large], -1)


def _block_means(plane: np.ndarray, step: int) -> np.ndarray:
    """The sum over squares of ``step`` pixels, by their area."""
    height, width = plane.shape
    plane = np.pad(plane, ((0, -height % step), (0, -width % step)))
    return plane.reshape(len(plane) // step, step, -1, step).mean((1, 3))


def _foreground(picture: np.ndarray, covered: np.ndarray, top: int, end: int) -> np.ndarray:
    """The person's own light in rows ``top`` to ``end``, (end − top, W, 3) float32, linear.

    Where the matte is neither 0 nor 1 the picture is α F + (1 − α) B: F and B are first the means of
    each side in the neighbourhood, then F takes on what the mixture leaves over; and once more with
    the means of what that gave, nearer by.
    """
    far = max(MIXED[0], max(covered.shape) // MIXED[1])
    near = far // 4
    low, high = max(0, top - far - near), min(len(covered), end + far + near)
    inner, mixed = slice(top - low, end - low), (covered[top:end] > 0) & (covered[top:end] < 1)
    out, columns = LINEAR[picture[top:end]], np.flatnonzero(mixed.any(0))
    if len(columns) == 0:
        return out
    left, right = max(0, columns[0] - far - near), columns[-1] + 1 + far + near
    alpha = covered[low:high, left:right]
    where = mixed[:, left:right]
    for c in range(3):
        light = LINEAR[picture[low:high, left:right, c]]
        ours, theirs = light, light
        for reach in (far, near):
            ours, theirs = _mean(ours, alpha, reach), _mean(theirs, 1 - alpha, reach)
            ours = (ours + alpha * (light - alpha * ours - (1 - alpha) * theirs)).clip(0, 1)
        np.copyto(out[:, left:right, c], ours[inner], where=where)
    return out


def _mean(light: np.ndarray, weights: np.ndarray, reach: int) -> np.ndarray:
    """The weighted mean over windows of 2 · reach + 1 pixels."""
    from scipy.ndimage import uniform_filter

    size = 2 * reach + 1
    total = uniform_filter(weights, size, mode="constant") + 1e-6
    return np.asarray(uniform_filter(light * weights, size, mode="constant") / total)


def _covering(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A picture scaled to cover (H, W), its centre cut."""
    from PIL import ImageOps

    if picture.shape[:2] == (1, 1):  # a colour, which needs no memory
        return np.broadcast_to(picture, (*size, 3))
    fitted = ImageOps.fit(Pillow.fromarray(picture), size[::-1], Pillow.Resampling.LANCZOS)
    return np.asarray(fitted)


def _encode(light: np.ndarray) -> np.ndarray:
    """Linear light in 0..1 as sRGB's 8 bits."""
    return ENCODED[np.rint(light.clip(0, 1) * 65535).astype(np.uint16)]
