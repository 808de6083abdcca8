"""Regions of pictures, each brought to one size whatever its proportions, with some context around.

Girshick, Donahue, Darrell, Malik, "Rich feature hierarchies for accurate object detection and
semantic segmentation", 2013, arXiv 1311.2524, appendix A ("warp"). Shrinking is antialiased, as
Pillow does it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from boda.errors import UsageError
from boda.ops.autocast import without_autocast


def with_context(boxes: Tensor, share: float) -> Tensor:
    """Larger boxes, in which the given ones leave a margin on every side.

    Args:
        boxes: (R, 4) xyxy.
        share: the margin's, of the side of the larger box; 16/227 in the paper.

    Returns:
        (R, 4) xyxy; they may reach out of the picture.

    Raises:
        UsageError: a share below 0, or of a half or more.
    """
    if not 0 <= share < 0.5:
        raise UsageError(f"a margin of {share} of the side. Give 0 to below 0.5.")
    low, high = boxes.split(2, -1)
    margin = (high - low) * (share / (1 - 2 * share))
    return torch.cat([low - margin, high + margin], -1)


def warp_regions(images: Tensor, boxes: Tensor, pictures: Tensor, size: int) -> Tensor:
    """What is in each box, stretched to size × size.

    A cell of the crop is the mean of the picture around the cell's centre, weighted by a triangle
    that reaches as far as the next cells' centres, one pixel at least: bilinear where a crop
    enlarges, without aliasing where it shrinks. Cells whose centre is out of the picture are 0,
    which in normalized pictures is the mean.

    Args:
        images: (N, C, H, W), floating.
        boxes: (R, 4) xyxy pixels, of positive width and height; they may reach out of the picture.
        pictures: (R,) int64, which picture each is in; rising.
        size: pixels of a crop's sides.

    Returns:
        (R, C, size, size) of the images' dtype, not differentiable.

    Raises:
        UsageError: shapes that do not fit, a size below 1.
    """
    if boxes.ndim != 2 or boxes.shape[1] != 4 or pictures.shape != boxes.shape[:1]:
        raise UsageError(
            f"boxes of shape {tuple(boxes.shape)} in pictures {tuple(pictures.shape)}. "
            "Give (R, 4) xyxy and as many numbers of pictures."
        )
    if size < 1:
        raise UsageError(f"crops of {size} pixels. Give 1 or more.")
    channels, height, width = images.shape[1:]
    crops = images.new_empty(len(boxes), channels, size, size)
    start = 0
    with torch.no_grad(), without_autocast(images):
        found, counts = torch.unique_consecutive(pictures, return_counts=True)
        for picture, count in zip(found.tolist(), counts.tolist(), strict=True):
            some = boxes[start : start + count].to(images.dtype)
            down = _weights(some[:, 1], some[:, 3], size, height)
            across = _weights(some[:, 0], some[:, 2], size, width)
            # Rows first, of all channels and boxes in one product: (R · size, H) × (H, C · W).
            rows = images[picture].transpose(0, 1).flatten(1)
            rows = (down.flatten(0, 1) @ rows).view(len(some), size * channels, width)
            cells = (rows @ across.transpose(1, 2)).view(len(some), size, channels, size)
            crops[start : start + count] = cells.transpose(1, 2)
            start += count
    return crops


def _weights(low: Tensor, high: Tensor, count: int, length: int) -> Tensor:
    """(R, count, length): how much of each pixel is in each cell; every row sums to 1, or is 0."""
    step = ((high - low) / count)[:, None]
    centres = low[:, None] + (torch.arange(count, device=low.device) + 0.5) * step
    pixels = torch.arange(length, device=low.device) + 0.5
    apart = (pixels - centres[..., None]).abs()
    weights = (1 - apart / step.clamp(min=1)[..., None]).clamp(min=0)
    weights = weights / weights.sum(-1, keepdim=True).clamp(min=torch.finfo(low.dtype).tiny)
    return weights * ((centres >= 0) & (centres <= length))[..., None]
