"""Cutout, mixup and cutmix: pictures with a hole, and pictures made of two.

Cutout: DeVries & Taylor 2017 (arXiv 1708.04552). Mixup: Zhang et al. 2018 (arXiv 1710.09412).
Cutmix: Yun et al. 2019 (arXiv 1905.04899). Deviations: a hole is gray, not the mean of the set;
the partner of a picture is not drawn but is the one before it in the batch (of the first one, the
last), so that it follows from the order of the epoch, and with it from (seed, epoch).
"""

from __future__ import annotations

import torch
from torch import Tensor

from boda.data.prepare import GRAY
from boda.ops.geometry import Size


def windows(numbers: Tensor, heights: Tensor, widths: Tensor, size: Size) -> Tensor:
    """Rectangles about random centres, cut off at the picture's edges.

    Args:
        numbers: (N, 2) from 0 to below 1: where in width and height the centre lies.
        heights: (N,) pixels, before they are cut off.
        widths: (N,) pixels.
        size: (H, W) of the picture.

    Returns:
        (N, 4) int64 x1, y1, x2, y2, whole pixels inside the picture.
    """
    sides, edges = torch.stack([widths, heights], 1).round().long(), torch.tensor(size[::-1])
    low = (numbers * edges).long() - sides // 2
    return torch.cat([low.clamp(min=0), torch.minimum(low + sides, edges)], 1)


def cutout(numbers: Tensor, side: float, size: Size) -> Tensor:
    """Square holes, (N, 4) int64; ``side`` is their share of the picture's shorter side.

    The paper's centre is uniform over the pixels, so a hole may be cut off by the edge; it takes
    a side of one half for CIFAR-10 and a quarter for CIFAR-100.
    """
    length = torch.full((len(numbers),), side * min(size))
    return windows(numbers, length, length, size)


def cutmix(numbers: Tensor, size: Size) -> Tensor:
    """Patches for cutmix, (N, 4) int64; numbers (N, 3): the share that is kept, then the centre.

    As in the paper the share is uniform (its Beta(1, 1)) and patches have the picture's
    proportions. Cut off at the edge they are smaller: ``blend`` counts their pixels.
    """
    length = (1 - numbers[:, 0]).sqrt()
    return windows(numbers[:, 1:3], size[0] * length, size[1] * length, size)


def paint(images: Tensor, holes: Tensor) -> None:
    """Paint the holes (N, 4) gray, in place."""
    for image, (x1, y1, x2, y2) in zip(images, holes.tolist(), strict=True):
        image[:, y1:y2, x1:x2] = GRAY


def blend(
    images: Tensor, weights: Tensor | None, patches: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Mix each picture with the one before it in the batch.

    Args:
        images: (N, C, H, W) uint8.
        weights: (N,) share of the picture itself where two are blended; 1 = it alone.
        patches: (N, 4) whole pixels x1, y1, x2, y2 that are taken over from the partner.

    Returns:
        (N, C, H, W) uint8, and (N,) float32: how much of each picture is its own, in pixels of a
        patch as they were counted. Without weights and patches ``images`` themselves and None.
    """
    if weights is None and patches is None:
        return images, None
    out, own = images.clone(), torch.ones(len(images))
    if weights is not None:
        own = weights.float()
        for i in (own < 1).nonzero().flatten().tolist():
            # In float32, rounded once: bytes again, as every other picture.
            mixed = torch.lerp(images[i - 1].float(), images[i].float(), own[i].item())
            out[i] = mixed.round_().to(images.dtype)
    if patches is not None:
        for i, (x1, y1, x2, y2) in enumerate(patches.tolist()):
            out[i, :, y1:y2, x1:x2] = images[i - 1, :, y1:y2, x1:x2]
        sides = patches[:, 2:] - patches[:, :2]
        own = own * (1 - sides.prod(1) / (images.shape[-2] * images.shape[-1]))
    return out, own.to(images.device)
