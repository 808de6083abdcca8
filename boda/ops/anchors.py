"""Anchor boxes: where they stand, which shapes they have, and which object each is to find.

Shapes from data by k-means with the distance 1 − IoU: Redmon and Farhadi 2016, YOLO v2 (arXiv
1612.08242, section 2). Matching by IoU: Ren et al. 2015, Faster R-CNN (arXiv 1506.01497, section
3.1.2). The cell that holds an object's centre is responsible for it: Redmon et al. 2015, YOLO
(arXiv 1506.02640, section 2).

Where two objects want one place, the notes leave the choice to a rule ("default tie-breaker").
Ours: the better overlap wins, of equal ones the lower index; the other object takes what is left.
"""

from __future__ import annotations

import torch
from torch import Tensor

from boda.errors import UsageError
from boda.ops.boxes import iou, pairwise

NEGATIVE, IGNORED = -1, -2
ROUNDS = 1000  # of k-means, which converges in far fewer


def grid_centres(shape: tuple[int, int], stride: float) -> Tensor:
    """The middles of a grid's cells.

    Args:
        shape: (h, w), cells down and across.
        stride: side of a cell, pixels.

    Returns:
        (h, w, 2) float32 x, y in pixels.
    """
    down, across = (torch.arange(n, dtype=torch.float32) for n in shape)
    y, x = torch.meshgrid((down + 0.5) * stride, (across + 0.5) * stride, indexing="ij")
    return torch.stack([x, y], -1)


def anchor_grid(shape: tuple[int, int], stride: float, shapes: Tensor) -> Tensor:
    """Every anchor shape in the middle of every cell.

    Args:
        shape: (h, w), cells down and across.
        stride: side of a cell, pixels.
        shapes: (A, 2) width and height, pixels.

    Returns:
        (h, w, A, 4) float32 xyxy; anchors at the border stick out of the picture.

    Raises:
        UsageError: not (A, 2).
    """
    half = _shapes(shapes).float() / 2
    centres = grid_centres(shape, stride).to(half.device)[:, :, None]
    return torch.cat([centres - half, centres + half], -1)


def shape_iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU of boxes laid on one corner, so that only their shapes count.

    Args:
        a: (N, 2) width and height.
        b: (M, 2) width and height.

    Returns:
        (N, M) in 0..1.

    Raises:
        UsageError: not (…, 2).
    """
    a, b = _shapes(a), _shapes(b)
    return pairwise(iou, *(torch.cat([torch.zeros_like(s), s], -1) for s in (a, b)))


def anchor_shapes(sizes: Tensor, count: int, seed: int = 0) -> Tensor:
    """Anchor shapes that fit a data set: k-means, the distance of two shapes being 1 − IoU.

    A centre moves to the mean of its shapes. The first centres are drawn as in k-means++: far from
    those drawn already is likelier.

    Args:
        sizes: (N, 2) width and height of the data's boxes, positive, at the network's input size.
        count: how many shapes.
        seed: of the draw.

    Returns:
        (count, 2) of the dtype of ``sizes``, float32 at least, the smallest area first.

    Raises:
        UsageError: sizes that are not positive, fewer different ones than ``count``.
    """
    given = _shapes(sizes).cpu().double()
    if not bool((given > 0).all() and given.isfinite().all()):
        raise UsageError("a box has no width or no height. Give boxes of positive, finite size.")
    different = len(given.unique(dim=0))
    if not 1 <= count <= different:
        raise UsageError(
            f"{count} anchor shapes from boxes of {different} different sizes. Ask for 1 to "
            f"{different}."
        )
    generator = torch.Generator().manual_seed(seed)
    centres = given[torch.randint(len(given), (1,), generator=generator)]
    while len(centres) < count:
        # Rounding can leave 1e-17 to a size that is drawn already; to one that is not, it cannot.
        apart = (1 - shape_iou(given, centres).amax(1)).clamp(min=0)
        apart[(given[:, None] == centres).all(-1).any(1)] = 0
        centres = torch.cat([centres, given[torch.multinomial(apart**2, 1, generator=generator)]])
    for _ in range(ROUNDS):
        nearest = shape_iou(given, centres).argmax(1)
        members = torch.nn.functional.one_hot(nearest, count).to(given).T
        # A centre that lost all its members stays where it is.
        held = members.sum(1, keepdim=True)
        moved = torch.where(held > 0, members @ given / held.clamp(min=1), centres)
        if moved.equal(centres):
            break
        centres = moved
    centres = centres[centres.prod(1).argsort(stable=True)]
    return centres.to(sizes.device, sizes.dtype if sizes.dtype == torch.float64 else torch.float32)


def mean_best_iou(sizes: Tensor, shapes: Tensor) -> float:
    """How well anchor shapes fit (the "Avg IOU" of YOLO v2's table 1).

    Args:
        sizes: (N, 2) width and height of the data's boxes.
        shapes: (A, 2) width and height of the anchors.

    Returns:
        Mean over the boxes of the IoU with the best shape, 0..1.

    Raises:
        UsageError: not (…, 2), no boxes or no shapes.
    """
    if not len(sizes) or not len(shapes):
        raise UsageError("no boxes or no anchor shapes. Give at least one of each.")
    return float(shape_iou(sizes, shapes).amax(1).mean())


def match_anchors(
    anchors: Tensor, boxes: Tensor, positive: float = 0.7, negative: float = 0.3
) -> Tensor:
    """Which object each anchor is to find, by IoU, as in Faster R-CNN.

    An anchor of IoU >= ``positive`` with an object is given the one with the highest IoU (of equal
    ones the lower index); one of IoU < ``negative`` with all is background; others are ignored.
    Besides, each object gets the anchors that overlap it most, if they touch it at all; where two
    objects claim one such anchor, the better overlap wins, of equal ones the lower index.
    (torchvision gives such an anchor to the object that *the anchor* fits best, which may leave
    the claiming object without any.)

    Args:
        anchors: (N, 4) xyxy.
        boxes: (M, 4) xyxy, the objects.
        positive: 0..1.
        negative: 0..``positive``.

    Returns:
        (N,) int64: the object's index, or −1 for background, −2 for ignored.

    Raises:
        UsageError: not (…, 4), thresholds in the wrong order.
    """
    if not 0 <= negative <= positive <= 1:
        raise UsageError(
            f"negative below {negative} and positive from {positive}: they cross. "
            "Give 0 <= negative <= positive <= 1."
        )
    overlap = pairwise(iou, anchors, boxes)
    if 0 in overlap.shape:
        return anchors.new_full(anchors.shape[:1], NEGATIVE, dtype=torch.int64)
    best = overlap.amax(1)
    chosen = torch.where(best < negative, NEGATIVE, IGNORED)
    chosen = torch.where(best >= positive, _first_highest(overlap), chosen)
    claim = torch.where(overlap == overlap.amax(0), overlap, -1)
    return torch.where(claim.amax(1) > 0, _first_highest(claim), chosen)


def assign_to_cells(boxes: Tensor, shapes: Tensor, shape: tuple[int, int], stride: float) -> Tensor:
    """Each object's cell and anchor: the cell that holds its centre, the shape most like its own.

    A cell's anchor takes one object. Where several want it, the one most like it wins, of equal
    ones the lower index; the loser takes the most alike of the cell's free anchors. Where no anchor
    is free (three objects, two anchors), an object remains without.

    Args:
        boxes: (N, 4) xyxy, pixels.
        shapes: (A, 2) width and height of the anchors, pixels.
        shape: (h, w), cells down and across.
        stride: side of a cell, pixels.

    Returns:
        (N, 3) int64: row, column and anchor; anchor −1 for an object that found no place. Centres
        outside the grid count to its border.

    Raises:
        UsageError: not (N, 4) and (A, 2).
    """
    boxes = boxes.float() if boxes.dtype != torch.float64 else boxes
    pairwise(iou, boxes, boxes[:0])  # says so where these are no boxes
    limit = torch.tensor([shape[1] - 1, shape[0] - 1], device=boxes.device)
    cell = ((boxes[:, :2] + boxes[:, 2:]) / 2 / stride).floor().long().clamp(min=0)
    cell = torch.minimum(cell, limit)
    alike = shape_iou(boxes[:, 2:] - boxes[:, :2], shapes)
    # The most alike pairs first; of equal ones the lower object, then the lower anchor.
    order = alike.flatten().argsort(descending=True, stable=True).tolist()
    places, count = cell.tolist(), len(shapes)
    taken: set[tuple[int, int, int]] = set()
    anchor = [-1] * len(boxes)
    for pair in order:
        i, a = divmod(pair, count)
        x, y = places[i]
        if anchor[i] < 0 and (x, y, a) not in taken:
            anchor[i] = a
            taken.add((x, y, a))
    return torch.cat([cell.flip(1), cell.new_tensor(anchor)[:, None]], 1)


def _shapes(shapes: Tensor) -> Tensor:
    if shapes.ndim != 2 or shapes.shape[1] != 2:
        raise UsageError(
            f"sizes of shape {tuple(shapes.shape)}. Give (N, 2): width and height of each."
        )
    return shapes if shapes.is_floating_point() else shapes.float()


def _first_highest(values: Tensor) -> Tensor:
    """(N, M) → (N,): where each row's maximum stands first; argmax may name any of several."""
    places = torch.arange(values.shape[1], device=values.device)
    return torch.where(values == values.amax(1, keepdim=True), places, len(places)).amin(1)
