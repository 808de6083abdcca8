"""Brightness, contrast, saturation, hue and tint as one matrix: any number of them, one pass.

A change of colour is linear in five numbers: red, green and blue of the pixel, the mean luma of its
picture, and white. So it is a 5×5 matrix, new ← old, and several are one: ``compose(brightness(1.2),
hue(10))`` brightens first. Values are shares of white; what leaves 0 to 1 is clipped once, at the
end, where Pillow and torchvision clip and round after every step.

Numbers may be tensors of shape (N,), and then a builder gives (N, 5, 5). Matrices are float64 on
the CPU. Brightness, contrast and saturation are those of Pillow's ``ImageEnhance``.
"""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor

from boda.errors import UsageError
from boda.ops.color import LUMA
from boda.ops.geometry import Number

_YIQ = (LUMA, (0.595716, -0.274453, -0.321263), (0.211456, -0.522591, 0.311135))
_CHANNELS = (1, 3)


def identity() -> Tensor:
    """Every colour stays: (5, 5)."""
    return torch.eye(5, dtype=torch.float64)


def brightness(factor: Number) -> Tensor:
    """Every value times ``factor``: 0 is black, 1 changes nothing."""
    diagonal = torch.tensor([1, 1, 1, 1, 0], dtype=torch.float64).diag()
    return identity() + _spread(factor, 1) * diagonal


def contrast(factor: Number) -> Tensor:
    """The distance from the picture's mean luma times ``factor``: 0 is an even gray."""
    gray = identity()
    gray[:3, :3] = 0
    gray[:3, 3] = 1
    return torch.lerp(gray, identity(), _spread(factor))


def saturation(factor: Number) -> Tensor:
    """The distance from the pixel's own gray times ``factor``: 0 is a gray picture."""
    gray = identity()
    gray[:3, :3] = torch.tensor(LUMA, dtype=torch.float64)
    return torch.lerp(gray, identity(), _spread(factor))


def hue(degrees: Number) -> Tensor:
    """Turn the colours about the gray axis: 120 takes red to about green, and that to about blue.

    It is a rotation of the chrominance plane of YIQ: linear, and gray and luma stay. In HSV, which
    torchvision and Pillow turn, value and saturation stay instead, and luma does not. On
    photographs of flowers, as colourful as any, the two differ by 3 levels of 255 in the mean for 5
    degrees, 9 for 18 and 14 for 36.
    """
    angle = torch.deg2rad(torch.as_tensor(degrees, dtype=torch.float64))
    cos, sin = angle.cos()[..., None, None], angle.sin()[..., None, None]
    to_yiq = identity()
    to_yiq[:3, :3] = torch.tensor(_YIQ, dtype=torch.float64)
    plane = torch.tensor([0, 1, 1, 0, 0], dtype=torch.float64).diag()
    quarter = torch.zeros(5, 5, dtype=torch.float64)
    quarter[1, 2], quarter[2, 1] = 1, -1  # red towards yellow, as hue grows
    turn = identity() + (cos - 1) * plane + sin * quarter
    return torch.linalg.inv(to_yiq) @ turn @ to_yiq


def tint(colour: Tensor) -> Tensor:
    """Add ``colour`` (…, 3), shares of white, to every pixel."""
    if colour.ndim < 1 or colour.shape[-1] != 3:
        raise UsageError(f"a tint of shape {tuple(colour.shape)}. Give (…, 3): red, green, blue.")
    colour = colour.to("cpu", torch.float64)
    matrix = identity().repeat(*colour.shape[:-1], 1, 1)
    matrix[..., :3, 4] = colour
    matrix[..., 3, 4] = colour @ torch.tensor(LUMA, dtype=torch.float64)
    return matrix


def principal_shift(strengths: Tensor, variances: Tensor, axes: Tensor) -> Tensor:
    """The colour shift of AlexNet, along the axes in which the colours of the training set vary.

    To every pixel is added Σ αᵢ λᵢ pᵢ.

    Args:
        strengths: (…, 3) α, normal with deviation 0.1 in the paper, drawn once a picture.
        variances: (3,) λ, from ``principal_colours``.
        axes: (3, 3) its p, one a row.

    Returns:
        (…, 5, 5), a ``tint``.

    Source: Krizhevsky et al. 2012 (NIPS), section 4.1.
    """
    return tint((strengths.to("cpu", torch.float64) * variances.double()) @ axes.to("cpu").double())


def principal_colours(images: Tensor) -> tuple[Tensor, Tensor]:
    """The principal components of the pixels' RGB values over a set of pictures.

    Args:
        images: (…, 3, H, W) uint8 or floating 0 to 1; a few thousand pictures are plenty.

    Returns:
        (3,) float64 eigenvalues of the covariance of shares of white, largest first, and (3, 3),
        the unit eigenvectors as rows, the first number of each not negative.
    """
    if images.ndim < 3 or images.shape[-3] != 3 or images.numel() < 6:
        raise UsageError(f"pictures of shape {tuple(images.shape)}. Give (…, 3, H, W) RGB.")
    white = 1 if images.is_floating_point() else 255
    total = torch.zeros(3, dtype=torch.float64, device=images.device)
    products, count = torch.zeros_like(total).diag(), images.numel() // 3
    for image in images.reshape(-1, *images.shape[-3:]):  # in float64 all would not fit
        pixels = image.flatten(1).double() / white
        total, products = total + pixels.sum(1), products + pixels @ pixels.mT
    mean = total / count
    values, vectors = torch.linalg.eigh(products / count - torch.outer(mean, mean))
    axes = vectors.mT.flip(0)
    return values.flip(0).clamp(min=0), axes * torch.where(axes[:, :1] < 0, -1.0, 1.0)


def compose(*matrices: Tensor) -> Tensor:
    """One matrix for several, the first one given happening first; shapes broadcast."""
    return reduce(lambda before, after: after @ before, matrices, identity())


def recolor(images: Tensor, matrix: Tensor, white: float = 1.0) -> Tensor:
    """Change the colours of pictures by one matrix each.

    Args:
        images: (N, C, H, W), 3 channels or 1 (gray pictures stay gray: of a colour its luma is
            taken); uint8, or floating from 0 to ``white``.
        matrix: (5, 5) for all, or (N, 5, 5); new ← old.
        white: the largest value of floating pictures.

    Returns:
        The same shape and dtype, clipped to 0 … white; uint8 is rounded once.

    Raises:
        UsageError: other shapes or dtypes.
    """
    if images.ndim != 4 or images.shape[1] not in _CHANNELS:
        raise UsageError(f"pictures of shape {tuple(images.shape)}. Give (N, 3 or 1, H, W).")
    if matrix.shape not in ((5, 5), (len(images), 5, 5)):
        raise UsageError(f"colours of shape {tuple(matrix.shape)}. Give (5, 5) or (N, 5, 5).")
    whole = images.dtype == torch.uint8
    if not (whole or images.is_floating_point()):
        raise UsageError(f"pictures of {images.dtype}. Give uint8 0 to 255 or floating.")
    white = 255.0 if whole else white
    pixels = (images.float() if whole else images).flatten(2)
    matrix = matrix.to(pixels).expand(len(images), 5, 5)
    luma = pixels.new_tensor(LUMA)
    rows, linear = matrix[:, :3], matrix[:, :3, :3]
    mean = pixels.mean(2)
    if images.shape[1] == 1:  # red = green = blue
        rows = (luma @ rows)[:, None]
        linear = rows[..., :3].sum(2, keepdim=True)
    else:
        mean = mean @ luma[:, None]
    added = rows[..., 3] * mean + rows[..., 4] * white
    changed = torch.baddbmm(added[..., None], linear, pixels).clamp_(0, white).view_as(images)
    return changed.round_().to(torch.uint8) if whole else changed


def _spread(factor: Number, less: float = 0) -> Tensor:
    """The number or numbers, less a constant, in front of a matrix."""
    return (torch.as_tensor(factor, dtype=torch.float64) - less)[..., None, None]
