"""Keeping the content's colours.

Gatys, Bethge, Hertzmann, Shechtman, "Preserving color in neural artistic style transfer", 2016, arXiv
1606.05897.

"histogram" gives each style's picture the content's mean colour and covariance before its style is
taken (section 4, with the symmetric square roots of Image Analogies). "luminance" takes the style of
brightness alone, and gives the result the content's colours (section 5).
"""

from __future__ import annotations

import torch
from torch import Tensor

from boda.ops.color import grayscale

TINY = 1e-6  # of a variance, where white is 1: less is one colour, which nothing is divided by


def matched(style: Tensor, content: Tensor) -> Tensor:
    """The style's picture with the content's mean colour and covariance, which no clipping follows.

    Args:
        style: (1, C, H, W).
        content: likewise, of any size.

    Returns:
        as ``style``.
    """
    theirs, ours = _colours(style), _colours(content)
    root = _power(_covariance(ours), 0.5) @ _power(_covariance(theirs), -0.5)
    moved = root @ (theirs - theirs.mean(1, keepdim=True)) + ours.mean(1, keepdim=True)
    return moved.to(style.dtype).view_as(style)


def brightness(picture: Tensor) -> Tensor:
    """(1, 3, H, W) gray, as bright as the picture."""
    return grayscale(picture).expand_as(picture)


def recoloured(gray: Tensor, content: Tensor) -> Tensor:
    """The content with another brightness: (1, 3, H, W), which may leave 0..1.

    What is added is gray, so the two chrominances of YIQ stay the content's.
    """
    return content + grayscale(gray) - grayscale(content)


def _colours(picture: Tensor) -> Tensor:
    return picture[0].flatten(1).double()


def _covariance(colours: Tensor) -> Tensor:
    return torch.cov(colours).reshape(len(colours), len(colours))  # a number, for one channel


def _power(covariance: Tensor, exponent: float) -> Tensor:
    """Of a symmetric matrix that is not negative."""
    values, axes = torch.linalg.eigh(covariance)
    return axes @ torch.diag(values.clamp_min(TINY) ** exponent) @ axes.T
