"""RoI pooling and RoI align: the features of regions, each in a grid of one size.

RoI pooling: Girshick, "Fast R-CNN", 2015, arXiv 1504.08083. RoI align: He et al., "Mask R-CNN",
2017, arXiv 1703.06870. The levels of a pyramid: Lin et al., "Feature Pyramid Networks", 2016,
arXiv 1612.03144, eq. 1. Rounding and borders, which the papers leave open, are torchvision's.
Deviation: the number of samples in a cell is given, never fitted to the size of the box.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from boda.errors import UsageError
from boda.ops.cost import PerAxis, per_axis
from boda.ops.roi_operator import align, check_pictures, exact, rows

LEVEL = 4  # k0: the level of a box as large as ImageNet's pictures,
SIDE = 224  # of this side


def roi_align(
    maps: Tensor,
    boxes: Tensor,
    pictures: Tensor,
    size: PerAxis = 7,
    *,
    scale: float,
    samples: int = 2,
    aligned: bool = False,
) -> Tensor:
    """The mean of ``samples``² interpolated values in each cell of each box; nothing is rounded.

    A place up to one pixel outside the map has the value of the border, one further out counts
    as 0.

    Args:
        maps: (N, C, H, W) of a floating dtype; the result can be differentiated with respect to
            them.
        boxes: (R, 4) xyxy in pixels of the picture; they may lie outside.
        pictures: (R,) int64, the map of each box, 0 to N − 1.
        size: of the grid, one int or (h, w).
        scale: of the map in the picture, 1 / stride.
        samples: each way in a cell.
        aligned: pixel (0, 0) covers 0..1, so that its value stands at (0.5, 0.5). The first
            implementation, with which torchvision's detectors were trained, has it at (0, 0) and
            counts boxes smaller than one pixel of the map as one pixel.

    Returns:
        (R, C, h, w) of the maps' dtype; low precision is computed in float32.

    Raises:
        UsageError: shapes that do not fit, a scale, size or number of samples below what is possible.
    """
    _check([maps], [scale], boxes, pictures)
    edges = boxes.to(exact(maps.dtype)) * scale
    return _align([maps], edges, pictures, torch.zeros_like(pictures), size, samples, aligned)


def pool_levels(
    maps: Sequence[Tensor],
    strides: Sequence[int],
    boxes: Tensor,
    pictures: Tensor,
    size: PerAxis = 7,
    *,
    samples: int = 2,
    aligned: bool = False,
    side: float = SIDE,
) -> Tensor:
    """RoI align of each box in the level of a feature pyramid that suits its size.

    Args:
        maps: the levels, finest first, each (N, C, H, W).
        strides: of the levels, powers of 2: 4, 8, 16, 32.
        boxes: (R, 4) xyxy in pixels of the picture.
        pictures: (R,) int64, the picture of each box.
        size: of the grid, one int or (h, w).
        samples: see ``roi_align``.
        aligned: see ``roi_align``.
        side: see ``box_levels``.

    Returns:
        (R, C, h, w) in the order of the boxes.

    Raises:
        UsageError: as ``roi_align``; levels and strides that do not fit.
    """
    if not maps or len(maps) != len(strides):
        raise UsageError(f"{len(maps)} levels and {len(strides)} strides. Give a stride a level.")
    scales = [1 / stride for stride in strides]
    _check(maps, scales, boxes, pictures)
    levels = box_levels(boxes, strides, side)
    edges = boxes.to(exact(maps[0].dtype))
    edges = edges * edges.new_tensor(scales)[levels, None]
    return _align(maps, edges, pictures, levels, size, samples, aligned)


def box_levels(boxes: Tensor, strides: Sequence[int], side: float = SIDE) -> Tensor:
    """The level of each box: k = ⌊k0 + log2(√(wh) / side)⌋, k0 = 4, where level k has stride 2^k.

    Args:
        boxes: (R, 4) xyxy in pixels.
        strides: powers of 2, the finest first, each twice the one before.
        side: of a box that is looked up at stride 16; 224 in the paper.

    Returns:
        (R,) int64 places in ``strides``; a box beyond the levels takes the first or the last one.

    Raises:
        UsageError: other strides.
    """
    first = strides[0].bit_length() - 1 if strides else -1
    if first < 0 or any(stride != 2 ** (first + i) for i, stride in enumerate(strides)):
        raise UsageError(f"strides {list(strides)}. Give powers of 2, each twice the one before.")
    edges = boxes if boxes.dtype == torch.float64 else boxes.float()
    sides = ((edges[:, 2] - edges[:, 0]) * (edges[:, 3] - edges[:, 1])).sqrt()
    level = (LEVEL + (sides / side).log2() + 1e-6).floor()  # 1e-6: the side itself, rounded down
    return level.nan_to_num(first).clamp(first, first + len(strides) - 1).long() - first


def roi_pool(
    maps: Tensor, boxes: Tensor, pictures: Tensor, size: PerAxis = 7, *, scale: float
) -> Tensor:
    """The largest value in each cell of each box, where box and cells are rounded to whole pixels.

    Args:
        maps: (N, C, H, W) of a floating dtype; the gradient goes to the first of equal maxima.
        boxes: (R, 4) xyxy in pixels of the picture; the pixels of both corners belong to them.
        pictures: (R,) int64, the map of each box, 0 to N − 1.
        size: of the grid, one int or (h, w).
        scale: of the map in the picture, 1 / stride.

    Returns:
        (R, C, h, w) of the maps' dtype; a cell outside the map is 0.

    Raises:
        UsageError: shapes that do not fit, a scale or size below what is possible.
    """
    _check([maps], [scale], boxes, pictures)
    check_pictures(pictures, len(maps))
    window = per_axis("size", size, 2)
    _, C, H, W = maps.shape
    edges = _half_away(boxes.detach().to(exact(maps.dtype)) * scale)
    top, bottom = _cells(edges[:, 1], edges[:, 3], window[0], H)
    left, right = _cells(edges[:, 0], edges[:, 2], window[1], W)
    grid = (len(boxes), *window)
    across = (right - left).clamp(min=0)[:, None].expand(grid).flatten()
    count = (bottom - top).clamp(min=0)[:, :, None].expand(grid).flatten() * across
    begin = count.cumsum(0) - count
    # One entry for each pixel of each cell, cell after cell, row after row.
    cell = torch.arange(len(count), device=maps.device).repeat_interleave(count)
    step = torch.arange(len(cell), device=maps.device) - begin[cell]
    down = (pictures[:, None] * H + top)[:, :, None].expand(grid).flatten()[cell]
    down = down + step // across[cell]
    over = left[:, None].expand(grid).flatten()[cell] + step % across[cell]
    values = rows([maps.to(edges.dtype)])
    pooled = F.embedding_bag(down * W + over, values, begin, mode="max")
    return pooled.view(*grid, C).permute(0, 3, 1, 2).contiguous().to(maps.dtype)


def _half_away(x: Tensor) -> Tensor:
    """The nearest whole numbers, halves away from 0, as C rounds (torch: to the even one)."""
    whole = x.trunc()
    return whole + ((x - whole).abs() >= 0.5) * x.sign()


def _cells(low: Tensor, high: Tensor, count: int, length: int) -> tuple[Tensor, Tensor]:
    """(R, count) int64 first pixel of each cell, and the one behind its last."""
    step = ((high - low + 1).clamp(min=1) / count)[:, None]
    number = torch.arange(count, device=low.device)
    first = (number * step).floor() + low[:, None]
    behind = ((number + 1) * step).ceil() + low[:, None]
    return _within(first, length), _within(behind, length)


def _within(ends: Tensor, length: int) -> Tensor:
    """A box that is no number has empty cells."""
    return ends.nan_to_num(0).clamp(0, length).long()


def _check(
    maps: Sequence[Tensor], scales: Sequence[float], boxes: Tensor, pictures: Tensor
) -> None:
    for level, scale in zip(maps, scales, strict=True):
        if level.ndim != 4 or not level.is_floating_point() or 0 in level.shape[1:]:
            raise UsageError(
                f"maps of shape {tuple(level.shape)}, {level.dtype}. Give (N, C, H, W) of floats."
            )
        if not scale > 0:
            raise UsageError(f"a scale of {scale}. Give 1 / stride.")
        if level.shape[:2] != maps[0].shape[:2] or level.dtype != maps[0].dtype:
            raise UsageError(
                f"levels of shapes {tuple(maps[0].shape)} and {tuple(level.shape)}, "
                f"{maps[0].dtype} and {level.dtype}. Give all with the same pictures, channels "
                "and dtype."
            )
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise UsageError(f"boxes of shape {tuple(boxes.shape)}. Give (R, 4) xyxy.")
    if pictures.shape != boxes.shape[:1] or pictures.dtype != torch.int64:
        raise UsageError(
            f"pictures of shape {tuple(pictures.shape)}, {pictures.dtype}, for {len(boxes)} boxes. "
            "Give one int64 for each box."
        )
    devices = {str(each.device) for each in (*maps, boxes, pictures)}
    if len(devices) > 1:
        raise UsageError(f"tensors on {' and '.join(sorted(devices))}. Give all on one device.")


def _align(
    maps: Sequence[Tensor],
    edges: Tensor,
    pictures: Tensor,
    levels: Tensor,
    size: PerAxis,
    samples: int,
    aligned: bool,
) -> Tensor:
    h, w = per_axis("size", size, 2)
    if samples < 1:
        raise UsageError(f"{samples} samples. Give 1 or more; 2 is usual.")
    return align(list(maps), edges.detach(), pictures, levels, [h, w], samples, aligned)
