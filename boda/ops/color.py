"""Channels and colour spaces.

Pictures are (…, 3, H, W) RGB, uint8 0 to 255 or floating 0 to 1. Results that are no pictures (HSV,
Lab) are floating.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from boda.errors import UsageError

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
_LUMA_16 = (19595, 38470, 7471)  # the same in units of 2^-16, as Pillow computes

# Linear sRGB → XYZ, IEC 61966-2-1, and the white of D65 (2 degrees) that it maps (1, 1, 1) to.
_TO_XYZ = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)
_shares = np.array(_TO_XYZ) / np.sum(_TO_XYZ, 1, keepdims=True)
_FROM_SHARE = np.linalg.inv(_shares).tolist()  # of the white's X, Y and Z → linear sRGB
_BEND = 6 / 29  # below its cube, Lab's cube root goes on as a straight line


def to_chw(image: Tensor) -> Tensor:
    """(…, H, W, C) → (…, C, H, W): from files' order to PyTorch's; a view."""
    return image.movedim(-1, -3)


def to_hwc(image: Tensor) -> Tensor:
    """(…, C, H, W) → (…, H, W, C): from PyTorch's order to files'; a view."""
    return image.movedim(-3, -1)


def channels(image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The red, green and blue channel, (…, H, W) each; views."""
    _check_rgb(image)
    red, green, blue = image.unbind(-3)
    return red, green, blue


def grayscale(image: Tensor) -> Tensor:
    """How bright a pixel looks: 0.299 R + 0.587 G + 0.114 B (Rec. 601).

    Args:
        image: (…, 3, H, W) uint8 or floating.

    Returns:
        (…, 1, H, W) of the same dtype; for uint8 the very numbers of Pillow's mode L.
    """
    _check_rgb(image)
    if image.is_floating_point():
        return (image * image.new_tensor(LUMA)[:, None, None]).sum(-3, keepdim=True)
    weights = torch.tensor(_LUMA_16, dtype=torch.int32, device=image.device)[:, None, None]
    luma = (image.int() * weights).sum(-3, keepdim=True, dtype=torch.int32)
    return ((luma + 2**15) >> 16).to(image.dtype)


def bitmap(image: Tensor, threshold: float = 0.5) -> Tensor:
    """The notes' bitmap: black = 1, white = 0.

    Args:
        image: gray, any shape, uint8 or floating.
        threshold: 0 to 1, the share of white below which a pixel is black.

    Returns:
        uint8 of the same shape.
    """
    if not 0 <= threshold <= 1:
        raise UsageError(f"a threshold of {threshold}. Give a share of white, 0 to 1.")
    return (_unit(image) < threshold).to(torch.uint8)


def rgb_to_hsv(image: Tensor) -> Tensor:
    """RGB → hue, saturation, value, each 0 to 1 (hue 0 red, 1/3 green, 2/3 blue); as colorsys.

    Args:
        image: (…, 3, H, W).

    Returns:
        (…, 3, H, W) floating; gray has hue and saturation 0.
    """
    _check_rgb(image)
    rgb = _unit(image)
    red, green, blue = rgb.unbind(-3)
    value, low = rgb.amax(-3), rgb.amin(-3)
    spread = value - low
    safe = torch.where(spread > 0, spread, 1)
    hue = torch.where(
        red == value,
        (green - blue) / safe,
        torch.where(green == value, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    saturation = spread / torch.where(value > 0, value, 1)
    return torch.stack([(hue / 6) % 1, saturation, value], dim=-3)


def hsv_to_rgb(image: Tensor) -> Tensor:
    """Hue, saturation, value, (…, 3, H, W) floating → RGB floating 0 to 1; hue counts modulo 1."""
    _check_rgb(image)
    hue, saturation, value = image.unbind(-3)

    def channel(offset: int) -> Tensor:
        place = (offset + hue * 6) % 6
        return value - value * saturation * torch.minimum(place, 4 - place).clamp(0, 1)

    return torch.stack([channel(5), channel(3), channel(1)], dim=-3)


def rgb_to_lab(image: Tensor) -> Tensor:
    """RGB (sRGB) → CIE L*a*b* (D65, 2 degrees), where distances are about the differences seen.

    Args:
        image: (…, 3, H, W).

    Returns:
        (…, 3, H, W) floating: L 0 to 100, a about −86 to 98 (green to red), b about −108 to 94
        (blue to yellow).
    """
    _check_rgb(image)
    rgb = _unit(image)
    linear = torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb.clamp(min=0) + 0.055) / 1.055) ** 2.4)
    matrix = linear.new_tensor(_TO_XYZ)
    share = _mix(matrix / matrix.sum(1, keepdim=True), linear)  # of the white's X, Y and Z
    bent = torch.where(
        share > _BEND**3,
        share.clamp(min=_BEND**3) ** (1 / 3),
        share / (3 * _BEND**2) + 4 / 29,
    )
    x, y, z = bent.unbind(-3)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=-3)


def lab_to_rgb(image: Tensor) -> Tensor:
    """CIE L*a*b* (D65), (…, 3, H, W) floating → sRGB floating; colours it lacks are clipped."""
    _check_rgb(image)
    lightness, a, b = image.unbind(-3)
    y = (lightness + 16) / 116
    bent = torch.stack([y + a / 500, y, y - b / 200], dim=-3)
    share = torch.where(bent > _BEND, bent**3, 3 * _BEND**2 * (bent - 4 / 29))
    linear = _mix(image.new_tensor(_FROM_SHARE), share).clamp(0, 1)
    curved = 1.055 * linear.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(linear <= 0.0031308, linear * 12.92, curved).clamp(0, 1)


def _mix(matrix: Tensor, image: Tensor) -> Tensor:
    """A 3×3 matrix applied to the channels of every pixel."""
    return torch.einsum("oc,...chw->...ohw", matrix, image)


def _unit(image: Tensor) -> Tensor:
    """Floating 0 to 1."""
    if image.is_floating_point():
        return image
    if image.dtype != torch.uint8:
        raise UsageError(f"a picture of {image.dtype}. Give uint8 0 to 255 or floating 0 to 1.")
    return image.float() / 255


def _check_rgb(image: Tensor) -> None:
    if image.ndim < 3 or image.shape[-3] != 3:
        hint = "to_chw brings (…, H, W, 3) there" if image.shape[-1:] == (3,) else "three channels"
        raise UsageError(f"a picture of shape {tuple(image.shape)}. Give (…, 3, H, W): {hint}.")
