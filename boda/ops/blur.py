"""Blur and noise: what optics and sensors do to a picture."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from boda.errors import UsageError

_REACH = 4  # sigmas to each side; what lies further weighs less than a ten-thousandth


def gaussian_blur(image: Tensor, sigma: float) -> Tensor:
    """Blur by a Gaussian, along the rows and then along the columns; the border is mirrored.

    The numbers are those of ``scipy.ndimage.gaussian_filter(…, mode="mirror")``, truncated at 4
    sigma as it does.

    Args:
        image: (…, H, W) floating, or uint8, which is rounded once.
        sigma: the deviation in pixels, the same in both directions; 0 changes nothing.

    Returns:
        The same shape and dtype.

    Raises:
        UsageError: a negative sigma, or one whose reach, 4 sigma, is not smaller than the picture.
    """
    if not 0 <= sigma < math.inf:
        raise UsageError(f"a sigma of {sigma}. Give pixels, 0 or more.")
    reach = int(_REACH * sigma + 0.5)
    if reach == 0:
        return image
    if image.ndim < 2 or reach >= min(image.shape[-2:]):
        raise UsageError(
            f"a blur of sigma {sigma:g} reaches {reach} pixels, a picture of shape "
            f"{tuple(image.shape)} not so far. Use a smaller sigma."
        )
    weights = [math.exp(-0.5 * (i / sigma) ** 2) for i in range(reach + 1)]
    total = weights[0] + 2 * sum(weights[1:])
    planes = image if image.is_floating_point() else image.float()
    planes = planes.reshape(-1, *image.shape[-2:])  # three dimensions, as padding wants them
    for axis, pads in ((1, (0, 0, reach, reach)), (2, (reach, reach, 0, 0))):
        padded, length = F.pad(planes, pads, mode="reflect"), planes.shape[axis]
        # Neighbours on both sides have one weight: they are added first. In place, within the
        # processor's cache, that is faster than a convolution with a kernel for every picture.
        planes = padded.narrow(axis, reach, length) * (weights[0] / total)
        for i, weight in enumerate(weights[1:], start=1):
            pair = padded.narrow(axis, reach - i, length) + padded.narrow(axis, reach + i, length)
            planes = planes.add_(pair, alpha=weight / total)
    planes = planes.reshape(image.shape)
    return planes if image.is_floating_point() else planes.round_().to(image.dtype)


def gaussian_noise(image: Tensor, sigma: float, seed: int) -> Tensor:
    """Add normal noise, drawn on the CPU so that it is the same on every device.

    Args:
        image: floating, any shape.
        sigma: the deviation, in the picture's units.
        seed: of the noise: the same seed, the same noise.

    Returns:
        The same shape and dtype, not clipped.
    """
    generator = torch.Generator().manual_seed(seed)
    return image + sigma * torch.randn(image.shape, generator=generator).to(image)
