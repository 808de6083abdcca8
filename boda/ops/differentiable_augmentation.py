"""Changes that let slopes through, so that adversaries may both be shown changed pictures.

Zhao, Liu, Lin, Zhu, Han, "Differentiable augmentation for data-efficient GAN training", 2020,
arXiv 2006.10738. A discriminator soon knows a few hundred pictures by heart, and then teaches
nothing. If what is real and what is made are changed alike before it looks, it cannot, and the
generator need not draw the changes. Pictures are floating, −1 to 1, and 0 stands where none is left.
"""

from __future__ import annotations

import torch
from torch import Tensor

SHIFT = 8  # a picture moves by up to a side over this
CUT = 2  # a square is cut out whose side is the picture's over this


def coloured(x: Tensor, brighter: Tensor, saturation: Tensor, contrast: Tensor) -> Tensor:
    """Added light, then distances from each pixel's gray, then from the picture's mean.

    Args:
        x: (N, C, H, W).
        brighter: (N,) added to all values.
        saturation: (N,) times the distance from the mean of a pixel's channels.
        contrast: (N,) times the distance from the mean of a picture.
    """
    x = x + _each(brighter)
    x = torch.lerp(x.mean(1, keepdim=True), x, _each(saturation))
    return torch.lerp(x.mean((1, 2, 3), keepdim=True), x, _each(contrast))


def shifted(x: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Each picture moved by whole pixels: (N, C, H, W), (N,) int64 twice; 0 where it came from."""
    height, width = x.shape[-2:]
    rows = torch.arange(height, device=x.device) - down[:, None]  # (N, H): which row comes here
    columns = torch.arange(width, device=x.device) - right[:, None]
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[
        :, None
    ]
    picture = torch.arange(len(x), device=x.device)[:, None, None]
    rows, columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
    moved = x.permute(0, 2, 3, 1)[picture, rows[:, :, None], columns[:, None]]
    return (moved * inside[..., None]).permute(0, 3, 1, 2)


def cut(x: Tensor, top: Tensor, left: Tensor, side: tuple[int, int]) -> Tensor:
    """0 in a rectangle of each picture: (N, C, H, W), (N,) int64 twice, which may lie outside."""
    height, width = x.shape[-2:]
    row = torch.arange(height, device=x.device) - top[:, None]
    column = torch.arange(width, device=x.device) - left[:, None]
    gone = ((row >= 0) & (row < side[0]))[:, :, None] & ((column >= 0) & (column < side[1]))[
        :, None
    ]
    return x * ~gone[:, None]


def disguised(x: Tensor) -> Tensor:
    """The paper's three changes, at random for each picture: (N, C, H, W) → the same, float32.

    Light by up to a quarter of the range, saturation 0 to 2 times, contrast 0.5 to 1.5 times; moved
    by up to an eighth of the sides; a square of half the sides cut out, whose middle lies inside.
    """
    number, (height, width) = len(x), x.shape[-2:]
    x = x.float()
    light, saturation, contrast = torch.rand(3, number, device=x.device)
    x = coloured(x, light - 0.5, 2 * saturation, contrast + 0.5)
    down, right = (_whole(number, -(side // SHIFT), side // SHIFT, x) for side in (height, width))
    x = shifted(x, down, right)
    size = height // CUT, width // CUT
    top, left = (
        _whole(number, -(side // 2), whole - 1 - side // 2, x)
        for side, whole in zip(size, (height, width), strict=True)
    )
    return cut(x, top, left, size)


def _each(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)


def _whole(number: int, low: int, high: int, like: Tensor) -> Tensor:
    """(number,) int64 from low to high, both included."""
    return torch.randint(low, high + 1, (number,), device=like.device)
