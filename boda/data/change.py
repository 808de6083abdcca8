"""What augmentation does to a batch: one change a picture, applied to all that is known of it.

The geometry of a picture is one matrix and its colours are another, so however many operations a
policy has, pixels are resampled once and recoloured once. On a CPU that is done for so few
pictures at a time that they stay in the processor's cache. What happens to a picture depends on
its own row alone, to the bit; only mixing has partners.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from boda.data import mixing
from boda.data.dataset import Batch
from boda.data.prepare import GRAY
from boda.ops import blur, geometry, photometric
from boda.ops.geometry import Size
from boda.types import IGNORED

VISIBLE = 0.25  # of a moved box must lie in the picture, else its object is no longer there
SMALLEST = 1.0  # pixels that a box must be wide and high
PART = 2**18  # values that are worked on at a time on a CPU
_NEAR = 1e-6  # pixels by which a place may miss a whole number


@dataclass(frozen=True)
class Change:
    """What happens to N pictures, one row each, in the order of the attributes; None is nothing.

    Everything lies on the CPU; the pictures may lie elsewhere.

    Attributes:
        matrix: (N, 3, 3), output ← input, as ``boda.ops.geometry`` builds them.
        fill: what moves in: a number from 0 to 255, "edge" or "reflect".
        control: (N, 2, h, w) displacements in pixels, see ``geometry.smooth_field``.
        colour: (N, 5, 5), as ``boda.ops.photometric`` builds them.
        blur: (N,) sigma in pixels.
        noise: (N,) deviation, in levels of 255.
        seeds: (N,) int64, of the noise.
        holes: (N, 4) whole pixels x1, y1, x2, y2 that are painted gray; no area is no hole.
        weights: (N,) mixup: the share of a picture in the blend with its partner; 1 = alone.
        patches: (N, 4) whole pixels x1, y1, x2, y2, cutmix: what is taken over from the partner.
    """

    matrix: Tensor | None = None
    fill: float | str = 0
    control: Tensor | None = None
    colour: Tensor | None = None
    blur: Tensor | None = None
    noise: Tensor | None = None
    seeds: Tensor | None = None
    holes: Tensor | None = None
    weights: Tensor | None = None
    patches: Tensor | None = None


def apply(batch: Batch, change: Change) -> Batch:
    """The changed batch; the one given stays as it is.

    Boxes become the upright boxes around the moved ones, clipped. An object is dropped, with its
    label and mask, where less than a quarter of its moved box lies in the picture or the rest is
    less than a pixel wide or high. Points that leave the picture keep their moved place, with
    visibility 0 where they have one. What moves into a semantic map is 255. Where something is
    labelled by its place, "reflect" is gray instead: the reflection of an object has no box; and
    pictures are not mixed. Targets, which are as large as the pictures, move as they do and keep
    their colours; they are not mixed either.
    """
    located = any(
        each is not None for each in (batch.boxes, batch.masks, batch.semantic, batch.points)
    )
    if located and change.fill == "reflect":
        change = replace(change, fill=GRAY)
    out = replace(batch, images=pictures(batch.images, change))
    if batch.targets is not None:
        moved = Change(change.matrix, change.fill, change.control)
        out.targets = pictures(batch.targets, moved)
    elif not located:
        out.images, own = mixing.blend(out.images, change.weights, change.patches)
        out.mixed = None if own is None else (batch.labels.roll(1), own)
    if located and (change.matrix is not None or change.control is not None):
        _move_labels(out, change)
    return out


def pictures(images: Tensor, change: Change) -> Tensor:
    """The changed pictures, (N, C, H, W) uint8 as those given, before they are mixed."""
    still = change.matrix is None and change.control is None
    lit = any(each is not None for each in (change.colour, change.blur, change.noise))
    if still and not lit:
        out = images if change.holes is None else images.clone()
    else:
        out = torch.empty(images.shape, dtype=torch.uint8, device=images.device)
        for rows, moved in _parts(images, change):
            part = moved(images, change, rows)
            if lit:
                part = _lit(part.float(), change, rows)
            place = _place(rows, images)
            part = part.round_() if part.is_floating_point() else part
            out[place] = part if isinstance(place, slice) else part.to(torch.uint8)
    if change.holes is not None:
        mixing.paint(out, change.holes)
    return out


def _parts(images: Tensor, change: Change) -> Iterator[tuple[Tensor, Callable[..., Tensor]]]:
    """The rows that are moved in one way, a few at a time, and the function that moves them.

    The way follows from a picture's own matrix, so it is the same in every batch.
    """
    count = len(images)
    if images.device.type == "cpu":
        count = max(2, PART // max(1, images[0].numel())) if len(images) else 1
    kinds = _kinds(change, len(images), (images.shape[2], images.shape[3]))
    for kind in kinds.unique().tolist():
        way = (_copied, _stretched)[kind] if kind < 2 else _warped
        at_once = 1 if way is _stretched else count  # each has its own window
        for rows in (kinds == kind).nonzero().flatten().split(at_once):
            yield rows, way


def _place(rows: Tensor, images: Tensor) -> slice | Tensor:
    """Neighbouring rows as a slice: a view, where an index would copy."""
    first, last = int(rows[0]), int(rows[-1])
    return slice(first, last + 1) if last - first + 1 == len(rows) else rows.to(images.device)


def _kinds(change: Change, count: int, size: Size) -> Tensor:
    """(N,) 0 copied, 1 a window of whole pixels stretched, 2 affine, 3 perspective, 4 bent."""
    matrix = geometry.identity().expand(count, 3, 3) if change.matrix is None else change.matrix
    diagonal = matrix[:, [0, 1], [0, 1]]
    straight = (matrix[:, 2] == matrix.new_tensor([0, 0, 1])).all(1)
    upright = straight & (matrix[:, 0, 1] == 0) & (matrix[:, 1, 0] == 0) & (diagonal != 0).all(1)
    shifts, edges = _shifts(matrix, size), matrix.new_tensor(size[::-1])
    whole = (diagonal.abs() == 1).all(1) & ((shifts - shifts.round()).abs() < _NEAR).all(1)
    copied = upright & whole
    if isinstance(change.fill, str):  # nothing may move in
        copied &= (shifts.abs() < _NEAR).all(1)
    window = _window(torch.where(upright[:, None, None], matrix, geometry.identity()), size)
    inside = (window >= -_NEAR).all(1) & (window <= edges.repeat(2) + _NEAR).all(1)
    inside &= (window[:, 2:] - window[:, :2] > 1 - _NEAR).all(1)
    stretched = upright & inside & ((window - window.round()).abs() < _NEAR).all(1)
    kinds = torch.where(straight, 2, 3)
    kinds = torch.where(copied, 0, torch.where(stretched, 1, kinds))
    if change.control is not None:
        kinds = torch.where(change.control.flatten(1).any(1), 4, kinds)
    return kinds


def _shifts(matrix: Tensor, size: Size) -> Tensor:
    """(N, 2): by how much x and y are moved, besides being mirrored."""
    mirrored = matrix[:, [0, 1], [0, 1]] < 0
    return matrix[:, :2, 2] - mirrored * matrix.new_tensor(size[::-1])


def _window(matrix: Tensor, size: Size) -> Tensor:
    """(N, 4) x1, y1, x2, y2 of the input that fill the output; the matrices are upright."""
    diagonal, moved = matrix[:, [0, 1], [0, 1]], matrix[:, :2, 2]
    ends = torch.stack([-moved / diagonal, (matrix.new_tensor(size[::-1]) - moved) / diagonal])
    return torch.cat([ends.amin(0), ends.amax(0)], 1)


def _mirrored(images: Tensor, matrix: Tensor) -> Tensor:
    """Those pictures flipped whose matrix does so."""
    for axis, entry in ((3, matrix[:, 0, 0]), (2, matrix[:, 1, 1])):
        if (entry < 0).any():
            chosen = (entry < 0).to(images.device)[:, None, None, None]
            images = torch.where(chosen, images.flip(axis), images)
    return images


def _copied(images: Tensor, change: Change, rows: Tensor) -> Tensor:
    """Pixels keep their values: mirrored, and moved by whole pixels."""
    part = images[_place(rows, images)]
    if change.matrix is None:
        return part
    matrix, size = change.matrix[rows], (images.shape[2], images.shape[3])
    part, shifts = _mirrored(part, matrix), _shifts(matrix, size).round().long()
    x, y = shifts.abs().amax(0).tolist()
    if x == y == 0:
        return part
    padded = F.pad(part, (x, x, y, y), value=float(change.fill))
    # A view of every window there is; the indexing copies one window a picture and nothing else.
    views = padded.unfold(2, size[0], 1).unfold(3, size[1], 1)  # (n, C, 2·y+1, 2·x+1, H, W)
    left, top = (torch.tensor([x, y]) - shifts).to(images.device).unbind(1)
    return views[torch.arange(len(rows), device=images.device), :, top, left]


def _stretched(images: Tensor, change: Change, rows: Tensor) -> Tensor:
    """A window of whole pixels brought to the full size, from its own pixels alone.

    Bytes are resampled as bytes, which a CPU does several times faster than a warp.
    """
    assert change.matrix is not None
    height, width = images.shape[2:]
    parts = []
    for row in rows.tolist():
        (sx, _, tx), (_, sy, ty), _ = change.matrix[row].tolist()
        x1, x2 = sorted((round(-tx / sx), round((width - tx) / sx)))
        y1, y2 = sorted((round(-ty / sy), round((height - ty) / sy)))
        window = images[row : row + 1, :, y1:y2, x1:x2]
        window = window if images.device.type == "cpu" else window.float()  # bytes: CPU only
        part = F.interpolate(window, (height, width), mode="bilinear", antialias=True)
        axes = [axis for axis, factor in ((3, sx), (2, sy)) if factor < 0]
        parts.append(part.flip(axes) if axes else part)
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _warped(images: Tensor, change: Change, rows: Tensor, mode: str = "bilinear") -> Tensor:
    """Everything else: looked up through the matrix, and the displacements where there are any."""
    size = images.shape[2], images.shape[3]
    matrix = geometry.identity() if change.matrix is None else change.matrix[rows]
    part, field = images[_place(rows, images)].float(), None
    if change.control is not None and change.control[rows].any():
        field = geometry.smooth_field(change.control[rows].to(part), size)
    return geometry.warp(part, matrix, size, mode, change.fill, field)


def _lit(part: Tensor, change: Change, rows: Tensor) -> Tensor:
    """Colours, then blur, then noise; floating 0 to 255."""
    if change.colour is not None:
        part = photometric.recolor(part, change.colour[rows], white=255.0)
    if change.blur is not None:
        for i, sigma in enumerate(change.blur[rows].tolist()):
            part[i] = blur.gaussian_blur(part[i], sigma)
    if change.noise is not None:
        assert change.seeds is not None, "noise needs seeds"
        levels, seeds = change.noise[rows].tolist(), change.seeds[rows].tolist()
        for i, (level, seed) in enumerate(zip(levels, seeds, strict=True)):
            if level > 0:
                part[i] = blur.gaussian_noise(part[i], level, seed).clamp_(0, 255)
    return part


def _move_labels(batch: Batch, change: Change) -> None:
    """Boxes, masks, class maps and points of the batch, moved by what moved its pictures."""
    count, size = len(batch.images), (batch.images.shape[2], batch.images.shape[3])
    matrix = change.matrix
    matrix = geometry.identity().expand(count, 3, 3) if matrix is None else matrix
    fields: list[Tensor | None] = [None] * count
    placed = any(each is not None for each in (batch.boxes, batch.masks, batch.points))
    if change.control is not None and placed:
        for i in change.control.flatten(1).any(1).nonzero().flatten().tolist():
            control = change.control[i : i + 1].to(batch.images.device, torch.float32)
            fields[i] = geometry.smooth_field(control, size)[0]
    _move_objects(batch, matrix, fields, size)
    if batch.semantic is not None:
        batch.semantic = _moved_maps(batch.semantic, change)
    if batch.points is not None:
        moved = [
            geometry.warp_points(each, matrix[i], fields[i]) for i, each in enumerate(batch.points)
        ]
        batch.points = _seen(torch.stack(moved), matrix, batch.mirror_order, size)


def _moved_maps(maps: Tensor, change: Change) -> Tensor:
    """(N, H, W) uint8 classes, moved as the pictures; none is ever mixed of two."""
    change, planes = replace(change, fill=IGNORED), maps[:, None]
    out = torch.empty_like(planes)
    for rows, way in _parts(planes, change):
        copied = way is _copied
        part = _copied(planes, change, rows) if copied else _warped(planes, change, rows, "nearest")
        out[_place(rows, planes)] = part.to(torch.uint8)
    return out[:, 0]


def _move_objects(batch: Batch, matrix: Tensor, fields: list[Tensor | None], size: Size) -> None:
    """Boxes, their labels and masks; those that are gone are dropped from all three."""
    if batch.masks is not None:
        batch.masks = [
            geometry.warp(each, matrix[i], size, "nearest", field=fields[i])
            for i, each in enumerate(batch.masks)
        ]
    if batch.boxes is None:
        return
    kept, boxes = [], []
    for i, each in enumerate(batch.boxes):
        moved = geometry.warp_boxes(each, matrix[i], field=fields[i])
        clipped = geometry.warp_boxes(moved, geometry.identity(), size)
        sides = clipped[:, 2:] - clipped[:, :2]
        share = sides.prod(1) / (moved[:, 2:] - moved[:, :2]).prod(1)
        kept.append((share >= VISIBLE) & (sides >= SMALLEST).all(1))
        boxes.append(clipped[kept[i]])
    batch.boxes = boxes
    if batch.box_labels is not None:
        batch.box_labels = [each[kept[i]] for i, each in enumerate(batch.box_labels)]
    if batch.masks is not None:
        batch.masks = [each[kept[i]] for i, each in enumerate(batch.masks)]


def _seen(points: Tensor, matrix: Tensor, order: Tensor | None, size: Size) -> Tensor:
    """Points with visibility 0 outside the picture, and in their order where it is mirrored."""
    if points.shape[-1] == 3:
        edges = points.new_tensor(size[::-1])
        outside = ((points[..., :2] < 0) | (points[..., :2] > edges)).any(-1)
        points = torch.cat([points[..., :2], points[..., 2:] * ~outside[..., None]], -1)
    if order is not None:
        mirrored = (matrix[:, :2, :2].det() < 0).to(points.device)[:, None, None]
        points = torch.where(mirrored, points[:, order], points)
    return points
