"""RoI align as one operator, which ONNX has too; He et al., 2017, arXiv 1703.06870.

It is linear in the maps: a cell is a weighted sum of pixels, and the gradient of a pixel is the
same sum the other way round. Both are one ``embedding_bag`` over rows of channels. It is defined
part by part and not by ``custom_op``, whose first call loads torch's compiler, for seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from boda.errors import UsageError


def align(
    maps: Sequence[Tensor],
    boxes: Tensor,
    pictures: Tensor,
    levels: Tensor,
    size: Sequence[int],
    samples: int,
    aligned: bool,
) -> Tensor:
    """RoI align of each box in a map of its own.

    Args:
        maps: (N, C, H, W) each, all of one dtype.
        boxes: (R, 4) xyxy in pixels of the map; float64 where the maps are, else float32.
        pictures: (R,) int64, 0 to N − 1.
        levels: (R,) int64 places in ``maps``.
        size: h and w.
        samples: see ``boda.ops.roi.roi_align``.
        aligned: see ``boda.ops.roi.roi_align``.

    Returns:
        (R, C, h, w) of the maps' dtype.

    Raises:
        UsageError: on a CPU, pictures outside 0 to N − 1.
    """
    found: Tensor = torch.ops.boda.align(maps, boxes, pictures, levels, size, samples, aligned)
    return found


def _forward(
    maps: Sequence[Tensor],
    boxes: Tensor,
    pictures: Tensor,
    levels: Tensor,
    size: Sequence[int],
    samples: int,
    aligned: bool,
) -> Tensor:
    check_pictures(pictures, len(maps[0]))
    shapes = [tuple(level.shape) for level in maps]
    places, weights = _taps(shapes, boxes, pictures, levels, size, samples, aligned)
    values = rows([level.to(boxes.dtype) for level in maps])
    pooled = F.embedding_bag(places, values, mode="sum", per_sample_weights=weights)
    pooled = pooled.view(len(boxes), *size, values.shape[1]).permute(0, 3, 1, 2)
    return pooled.to(maps[0].dtype, memory_format=torch.contiguous_format)


def _fake(
    maps: Sequence[Tensor],
    boxes: Tensor,
    pictures: Tensor,
    levels: Tensor,
    size: Sequence[int],
    samples: int,
    aligned: bool,
) -> Tensor:
    return maps[0].new_empty((boxes.shape[0], maps[0].shape[1], *size))


def _remember(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    maps, *tensors, ctx.size, ctx.samples, ctx.aligned = inputs
    ctx.save_for_backward(*tensors)
    ctx.shapes = [tuple(level.shape) for level in maps]


def _gradient(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    """That of each pixel: of the cells it went into, each with its weight."""
    boxes, pictures, levels = ctx.saved_tensors
    places, weights = _taps(ctx.shapes, boxes, pictures, levels, ctx.size, ctx.samples, ctx.aligned)
    ordered, order = places.flatten().sort(stable=True)
    areas = [N * H * W for N, _, H, W in ctx.shapes]
    starts = torch.searchsorted(ordered, torch.arange(sum(areas), device=grad.device))
    pixels = F.embedding_bag(
        order // places.shape[1],
        rows([grad.to(boxes.dtype)]),
        starts,
        mode="sum",
        per_sample_weights=weights.flatten()[order],
    )
    parts = [
        part.view(N, H, W, C).permute(0, 3, 1, 2).to(grad.dtype)
        for part, (N, C, H, W) in zip(pixels.split(areas), ctx.shapes, strict=True)
    ]
    return (parts, *[None] * 6)


torch.library.define(
    "boda::align",
    "(Tensor[] maps, Tensor boxes, Tensor pictures, Tensor levels, int[] size, int samples, "
    "bool aligned) -> Tensor",
)
torch.library.impl("boda::align", "default", _forward)
torch.library.register_fake("boda::align", _fake)
torch.library.register_autograd("boda::align", _gradient, setup_context=_remember)


def check_pictures(pictures: Tensor, count: int) -> None:
    """On CPUs only: on a GPU, to look at the numbers is to wait for all work before."""
    if pictures.device.type == "cpu" and len(pictures):
        low, high = (int(end) for end in pictures.aminmax())
        if low < 0 or high >= count:
            raise UsageError(
                f"pictures from {low} to {high} for {count} in the maps. Give 0 to {count - 1}."
            )


def exact(dtype: torch.dtype) -> torch.dtype:
    """The dtype to compute in."""
    return torch.promote_types(dtype, torch.float32)


def rows(maps: Sequence[Tensor]) -> Tensor:
    """(P, C): the channels of each pixel, map after map, row by row in memory.

    That is the fast way of ``embedding_bag``: 6 ms for what else takes it 100.
    """
    parts = [level.permute(0, 2, 3, 1).reshape(-1, level.shape[1]) for level in maps]
    return parts[0].contiguous() if len(parts) == 1 else torch.cat(parts)


def _taps(
    shapes: Sequence[tuple[int, ...]],
    boxes: Tensor,
    pictures: Tensor,
    levels: Tensor,
    size: Sequence[int],
    samples: int,
    aligned: bool,
) -> tuple[Tensor, Tensor]:
    """What each cell is made of: (R·h·w, 4·samples²) int64 places in ``rows``, and weights."""
    H = torch.tensor([shape[2] for shape in shapes], device=boxes.device)
    W = torch.tensor([shape[3] for shape in shapes], device=boxes.device)
    area = H * W * shapes[0][0]
    H, W, begin = H[levels], W[levels], (area.cumsum(0) - area)[levels]
    edges = boxes - 0.5 if aligned else boxes
    y, dy = _line(edges[:, 1], edges[:, 3], H, size[0], samples, aligned)
    x, dx = _line(edges[:, 0], edges[:, 2], W, size[1], samples, aligned)
    y = (begin + pictures * H * W)[:, None, None] + y * W[:, None, None]
    places = y[:, :, None, :, None] + x[:, None, :, None, :]
    weights = dy[:, :, None, :, None] * dx[:, None, :, None, :]
    taps = (2 * samples) ** 2
    return places.view(-1, taps), weights.view(-1, taps)


def _line(
    low: Tensor, high: Tensor, length: Tensor, count: int, samples: int, aligned: bool
) -> tuple[Tensor, Tensor]:
    """One axis: (R, count, 2·samples) int64 pixels beside each cell's samples, and weights."""
    extent = high - low if aligned else (high - low).clamp(min=1)
    step = (extent / count)[:, None, None]
    cell = torch.arange(count, device=low.device)[:, None]
    part = torch.arange(samples, device=low.device) + 0.5
    at = low[:, None, None] + cell * step + part * step / samples
    last = (length - 1)[:, None, None]
    inside = (at >= -1) & (at <= last + 1)  # false for what is no number
    at = torch.where(inside, at, 0).clamp(min=0).minimum(last)
    lower = at.long()
    upper = (lower + 1).minimum(last)
    far = at - lower
    weights = torch.stack([1 - far, far], 3) * inside[..., None] / samples
    return torch.stack([lower, upper], 3).flatten(2), weights.flatten(2)
