"""One 3×3 matrix moves the picture, its boxes, its points and its masks together.

A matrix maps coordinates **output ← input** (as ``Sample.matrix``: working picture ← original):
a point moves to ``matrix @ (x, y, 1)``, and the picture is looked up through the inverse. What
happens later stands further left: ``rotate(10) @ mirror(640)`` mirrors first;
``compose(mirror(640), rotate(10))`` says the same in reading order.

Coordinates are pixels with continuous edges: pixel i spans i to i + 1, its centre is i + 0.5, a
picture of width W spans 0 to W. Sizes are (H, W). y points down.

Matrices are small and stay on the CPU in float64; numbers may be tensors of shape (N,), and then a
builder gives (N, 3, 3). Everything is differentiable, in the matrix as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

from boda.errors import UsageError, unknown

Number = float | Tensor
Size = tuple[int, int]  # (H, W)

_FILLS = {"edge": "border", "reflect": "reflection"}
_NUDGE = 1e-3  # pixels; see ``warp``
_HORIZON = 1e-6
_ROUNDS = 40  # of the search for a bent point; a slope of one half leaves 1e-12 of the way
_EDGE_POINTS = 9  # of a box's edge that are followed where the picture is bent


def _matrix(*entries: Number) -> Tensor:
    """The nine entries, broadcast, as (..., 3, 3) float64."""
    tensors = torch.broadcast_tensors(*(torch.as_tensor(e, dtype=torch.float64) for e in entries))
    return torch.stack(tensors, dim=-1).unflatten(-1, (3, 3))


def identity() -> Tensor:
    """Everything stays: (3, 3)."""
    return torch.eye(3, dtype=torch.float64)


def translate(dx: Number, dy: Number) -> Tensor:
    """Move right by ``dx`` and down by ``dy`` pixels; a crop at (x, y) is ``translate(-x, -y)``."""
    return _matrix(1, 0, dx, 0, 1, dy, 0, 0, 1)


def scale(sx: Number, sy: Number | None = None, centre: tuple[Number, Number] = (0, 0)) -> Tensor:
    """Enlarge by ``sx`` and ``sy`` (the same where only one is given) about ``centre`` (x, y)."""
    return _about(_matrix(sx, 0, 0, 0, sx if sy is None else sy, 0, 0, 0, 1), centre)


def rotate(degrees: Number, centre: tuple[Number, Number] = (0, 0)) -> Tensor:
    """Turn counter-clockwise, as one sees it and as Pillow does, about ``centre`` (x, y)."""
    angle = torch.deg2rad(torch.as_tensor(degrees, dtype=torch.float64))
    cos, sin = angle.cos(), angle.sin()
    return _about(_matrix(cos, sin, 0, -sin, cos, 0, 0, 0, 1), centre)  # y points down


def shear(x: Number, y: Number = 0, centre: tuple[Number, Number] = (0, 0)) -> Tensor:
    """Slant by ``x`` degrees along the rows and ``y`` along the columns about ``centre``."""
    tx, ty = (torch.deg2rad(torch.as_tensor(a, dtype=torch.float64)).tan() for a in (x, y))
    return _about(_matrix(1, tx, 0, ty, 1, 0, 0, 0, 1), centre)


def mirror(width: Number) -> Tensor:
    """Left becomes right in a picture of that width: x → width − x (the horizontal flip)."""
    return _matrix(-1, 0, width, 0, 1, 0, 0, 0, 1)


def mirror_vertical(height: Number) -> Tensor:
    """Top becomes bottom in a picture of that height: y → height − y."""
    return _matrix(1, 0, 0, 0, -1, height, 0, 0, 1)


def resize(source: Size, target: Size) -> Tensor:
    """Stretch a picture of size ``source`` (H, W) to ``target`` (H, W)."""
    _check_size(source)
    _check_size(target)
    return scale(target[1] / source[1], target[0] / source[0])


def perspective(source: Tensor, target: Tensor) -> Tensor:
    """The homography that takes four points to four points.

    Args:
        source: (..., 4, 2) x, y in the input; no three of them on a line.
        target: (..., 4, 2) x, y in the output; no three of them on a line.

    Returns:
        (..., 3, 3), its last entry 1.

    Raises:
        UsageError: the points do not determine a homography.
    """
    source, target = torch.broadcast_tensors(source.cpu().double(), target.cpu().double())
    (x, y), (u, v) = source.unbind(-1), target.unbind(-1)
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    # u (g x + h y + 1) = a x + b y + c, and the same for v: two rows for each point.
    rows = [
        torch.stack([x, y, one, zero, zero, zero, -u * x, -u * y], -1),
        torch.stack([zero, zero, zero, x, y, one, -v * x, -v * y], -1),
    ]
    solution, info = torch.linalg.solve_ex(torch.cat(rows, -2), torch.cat([u, v], -1))
    if info.any() or not solution.isfinite().all():
        raise UsageError(
            "these four points determine no perspective: three of them lie on a line or two "
            "coincide. Give the corners of two real quadrilaterals."
        )
    return torch.cat([solution, torch.ones_like(solution[..., :1])], -1).unflatten(-1, (3, 3))


def compose(*matrices: Tensor) -> Tensor:
    """One matrix for several, the first one given happening first; shapes broadcast."""
    return reduce(lambda before, after: after @ before, matrices, identity())


def invert(matrix: Tensor) -> Tensor:
    """The matrix that undoes ``matrix`` (..., 3, 3).

    Raises:
        UsageError: nothing undoes it, since it squeezes the picture onto a line or holds NaN.
    """
    inverse, info = torch.linalg.inv_ex(matrix)
    if info.any() or not inverse.isfinite().all():
        raise UsageError(
            "the matrix cannot be undone: it squeezes the picture onto a line or a point, or it "
            "holds NaN. Use scales other than 0 and shears below 90 degrees."
        )
    return inverse


def smooth_field(control: Tensor, size: Size) -> Tensor:
    """A displacement for every pixel, from a few: local warping, as if drawn on rubber.

    Args:
        control: (N, 2, h, w) displacements in pixels (x, y) on an even grid from corner to corner.
        size: (H, W) of the picture.

    Returns:
        (N, 2, H, W) of the same dtype, the bicubic surface through them; for ``field`` of ``warp``.

    Raises:
        UsageError: not that shape.

    Source: free-form deformation, Rueckert et al. 1999; for training, Simard et al. 2003.
    """
    if control.ndim != 4 or control.shape[1] != 2:
        raise UsageError(f"displacements of shape {tuple(control.shape)}. Give (N, 2, h, w).")
    _check_size(size)
    return F.interpolate(control, size, mode="bicubic", align_corners=True)


def warp(
    images: Tensor,
    matrix: Tensor,
    size: Size,
    mode: str = "bilinear",
    fill: float | str = 0,
    field: Tensor | None = None,
) -> Tensor:
    """Move pictures or masks by ``matrix``, and bend them by ``field``.

    An output pixel shows what lies under its centre. Shrinking does not average (no antialiasing):
    below about half the size, shrink with an antialiased resize first. With a number as ``fill``
    the outermost half pixel of the input blends into it; with ``"edge"`` it stays as it is.

    Args:
        images: (N, C, H, W), (C, H, W) or (H, W); any dtype. Masks (N, H, W) count as channels.
        matrix: (3, 3) for all, or (N, 3, 3), one for each picture; output ← input.
        size: (H', W') of the output.
        mode: "bilinear", or "nearest" for masks and class maps (a pixel owns its upper left edges).
        fill: what lies outside: a number, "edge" (the border goes on) or "reflect" (cba|abc).
        field: (N, 2, H', W') pixels (x, y), or (2, H', W') for all: the moved picture is bent, so
            that a pixel shows what would lie that far from it. One resampling does both.

    Returns:
        The shape of ``images`` with (H', W'); (N, C, H', W') where one picture meets N matrices.
        The dtype of ``images``: integers are rounded and kept in range, bool is true from 0.5.

    Raises:
        UsageError: an unknown mode or fill, shapes that do not fit, a matrix that cannot be undone.
    """
    if mode not in ("bilinear", "nearest"):
        raise unknown("mode", str(mode), ["bilinear", "nearest"])
    if isinstance(fill, str) and fill not in _FILLS:
        raise unknown("fill", fill, ["edge", "reflect", "0"])
    batch = _as_batch(images, matrix)
    leading = images.shape[:-2] if matrix.ndim == 2 else batch.shape[:-2]
    _check_size(size)
    if batch.numel() == 0:  # a picture without objects has zero masks
        return images.new_zeros((*leading, *size))
    work = batch.to(_work_dtype(images.dtype))
    back = invert(matrix.to("cpu", torch.float64)).expand(len(batch), 3, 3)
    if mode == "nearest":
        # Centres that fall on an edge between two pixels all go to the same side, as floor does;
        # grid_sample would round them to the even pixel.
        back = translate(_NUDGE, _NUDGE) @ back
    grid = _sampling_grid(back, (batch.shape[-2], batch.shape[-1]), size, work, field)
    if isinstance(fill, str):
        out = F.grid_sample(work, grid, mode, _FILLS[fill], align_corners=False)
    elif fill == 0:
        out = F.grid_sample(work, grid, mode, "zeros", align_corners=False)
    else:  # grid_sample fills with zeros only: let the fill be the zero
        out = F.grid_sample(work - fill, grid, mode, "zeros", align_corners=False) + fill
    return _restore(out, images.dtype).reshape(*leading, *size)


def warp_points(points: Tensor, matrix: Tensor, field: Tensor | None = None) -> Tensor:
    """Move points by ``matrix``, and bend them by ``field``.

    Args:
        points: (..., K, 2) x, y or (..., K, 3) x, y, visibility (which stays).
        matrix: (3, 3), or (N, 3, 3) for points (N, K, ·).
        field: (2, H, W), or (N, 2, H, W) for points (N, K, ·); as for ``warp``. From pixel to pixel
            it must differ by less than 1, or the picture would be folded.

    Returns:
        The moved points, of the same shape (integers become float32). A point that a perspective
        carries beyond the horizon lands very far away on its side.
    """
    if points.ndim < 2 or points.shape[-1] not in (2, 3):
        raise UsageError(
            f"points have shape {tuple(points.shape)}. Give (K, 2) x, y or (K, 3) x, y, visibility."
        )
    points = points if points.is_floating_point() else points.float()
    matrix = matrix.to(points)
    moved = points[..., :2] @ matrix[..., :2].mT + matrix[..., None, :, 2]
    moved = moved[..., :2] / moved[..., 2:].clamp(min=_HORIZON)
    if field is not None:
        moved = _bent(moved, field.to(moved))
    return torch.cat([moved, points[..., 2:].expand(*moved.shape[:-1], -1)], dim=-1)


def warp_boxes(
    boxes: Tensor, matrix: Tensor, size: Size | None = None, field: Tensor | None = None
) -> Tensor:
    """Move boxes by ``matrix``: the upright box around the four moved corners.

    Args:
        boxes: (..., N, 4) x1, y1, x2, y2 with continuous edges.
        matrix: (3, 3), or (B, 3, 3) for boxes (B, N, 4).
        size: (H, W) of the output: boxes are clipped to it. One that lies outside has no area then:
            ``keep = (out[..., 2:] > out[..., :2]).all(-1)``.
        field: as for ``warp_points``; then points all along the edges are followed.

    Returns:
        Boxes of the same shape, in the same order (integers become float32). After a rotation they
        are larger than the object's own box can be: corners hold background.
    """
    if boxes.ndim < 2 or boxes.shape[-1] != 4:
        raise UsageError(f"boxes have shape {tuple(boxes.shape)}. Give (N, 4) x1, y1, x2, y2.")
    outline = boxes[..., [0, 1, 2, 1, 2, 3, 0, 3]].unflatten(-1, (4, 2))
    if field is not None:
        share = torch.linspace(0, 1, _EDGE_POINTS, device=boxes.device)[:, None, None]
        ends = outline[..., [1, 2, 3, 0], :].unsqueeze(-3)
        outline = torch.lerp(outline.unsqueeze(-3).to(share), ends.to(share), share).flatten(-3, -2)
    moved = warp_points(outline.flatten(-3, -2), matrix, field)
    moved = moved.unflatten(-2, (-1, outline.shape[-2]))
    low, high = moved.amin(-2), moved.amax(-2)
    if size is not None:
        edge = moved.new_tensor([size[1], size[0]])
        low, high = (torch.minimum(corner.clamp(min=0), edge) for corner in (low, high))
    return torch.cat([low, high], dim=-1)


def _about(matrix: Tensor, centre: tuple[Number, Number]) -> Tensor:
    """The same movement with ``centre`` held still."""
    x, y = centre
    if isinstance(x, int | float) and isinstance(y, int | float) and x == y == 0:
        return matrix
    return translate(x, y) @ matrix @ translate(-x, -y)


def _check_size(size: Sequence[int]) -> None:
    if len(size) != 2 or min(size) < 1:
        raise UsageError(f"a size of {tuple(size)} is no picture. Give (H, W), both at least 1.")


def _as_batch(images: Tensor, matrix: Tensor) -> Tensor:
    """The pictures as (N, C, H, W), N being the number of matrices where there are several."""
    if not 2 <= images.ndim <= 4:
        raise UsageError(
            f"pictures have shape {tuple(images.shape)}. Give (N, C, H, W), (C, H, W) or (H, W)."
        )
    if matrix.shape[-2:] != (3, 3) or not 2 <= matrix.ndim <= 3:
        raise UsageError(f"the matrix has shape {tuple(matrix.shape)}. Give (3, 3) or (N, 3, 3).")
    batch = images[(None,) * (4 - images.ndim)]
    if matrix.ndim == 2 or len(matrix) == len(batch):
        return batch
    if len(batch) != 1:
        raise UsageError(
            f"{len(batch)} pictures but {len(matrix)} matrices. Give one matrix for each picture."
        )
    return batch.expand(len(matrix), -1, -1, -1)


def _bent(points: Tensor, field: Tensor) -> Tensor:
    """Where points (…, K, 2) come to lie: the pixels that show them, found step by step.

    A pixel at p shows p + field(p), so p is the fixed point of p = point − field(p).
    """
    if points.numel() == 0:
        return points
    place, fields = points.reshape(-1, *points.shape[-2:]), field.reshape(-1, *field.shape[-3:])
    fields = fields.expand(len(place), -1, -1, -1)
    size, target = place.new_tensor([field.shape[-1], field.shape[-2]]), place
    for _ in range(_ROUNDS):
        units = (2 * place / size - 1)[:, None]
        offset = F.grid_sample(fields, units, "bilinear", "border", align_corners=False)
        place = target - offset[:, :, 0].mT
    return place.reshape(points.shape)


def _sampling_grid(
    back: Tensor, source: Size, target: Size, like: Tensor, field: Tensor | None
) -> Tensor:
    """(N, H', W', 2): where each output pixel looks, in grid_sample's units (edge −1 to edge 1)."""
    to_unit = translate(-1, -1) @ scale(2 / source[1], 2 / source[0])
    from_unit = scale(target[1] / 2, target[0] / 2) @ translate(1, 1)
    theta = to_unit @ back @ from_unit
    affine = bool((theta[:, 2, :2] == 0).all())
    theta = theta / theta[:, 2:, 2:] if affine else theta
    x, y = ((2 * torch.arange(n, dtype=theta.dtype) + 1) / n - 1 for n in reversed(target))
    if field is None:  # what x gives and what y gives, then one addition a number
        rows = (theta[..., 0, None] * x).to(like)
        columns = (theta[..., 1, None] * y + theta[..., 2, None]).to(like)
        moved = rows[:, :2, None] + columns[:, :2, :, None]
        depth = None if affine else rows[:, 2:, None] + columns[:, 2:, :, None]
    else:
        dx, dy = field.to(like).reshape(-1, 2, *target).unbind(1)
        (x, y), theta = (x.to(like), y.to(like)), theta.to(like)
        bent = torch.stack([x + dx * (2 / target[1]), y[:, None] + dy * (2 / target[0])], 1)
        moved = torch.einsum("nij,njhw->nihw", theta[..., :2], bent) + theta[..., 2, None, None]
        moved, depth = moved[:, :2], moved[:, 2:]
    moved = moved if depth is None else moved / depth.clamp(min=_HORIZON)
    return moved.movedim(1, -1)  # plane by plane: grid_sample reads that as fast


def _work_dtype(dtype: torch.dtype) -> torch.dtype:
    """What is computed in: float32, and float64 where float32 would lose digits."""
    wide = (torch.float64, torch.int32, torch.int64)
    return torch.float64 if dtype in wide else torch.float32


def _restore(out: Tensor, dtype: torch.dtype) -> Tensor:
    if dtype.is_floating_point:
        return out.to(dtype)
    if dtype == torch.bool:
        return out >= 0.5
    limits = torch.iinfo(dtype)
    return out.round_().clamp_(limits.min, limits.max).to(dtype)
