"""Which cells are to find which object, where cells have no anchor shapes.

Task-aligned assignment: Feng, Zhong, Gao, Scott, Huang, "TOOD: Task-aligned one-stage object
detection", 2021, arXiv 2108.07755. Each object is given the cells that already do best on it, in
score and in overlap together; how well they do is what their score is to say.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from boda.ops.boxes import iou, pairwise

_TINY = 1e-9


class Assigned(NamedTuple):
    """What the cells of one picture are to find.

    Attributes:
        cells: (P,) int64, the cells that are given an object, rising.
        objects: (P,) int64, the object of each.
        share: (P,) 0..1, how much each counts: 1 for the object's best cell, less for the others.
        quality: (P,) 0..1, what the cell's score is to say: its share of the object's highest IoU.
    """

    cells: Tensor
    objects: Tensor
    share: Tensor
    quality: Tensor


def assign_aligned(
    scores: Tensor,
    predicted: Tensor,
    boxes: Tensor,
    centres: Tensor,
    strides: Tensor,
    most: int = 10,
    power: tuple[float, float] = (0.5, 6.0),
) -> Assigned:
    """Give each object the cells of highest score^a · IoU^b, of those whose middles lie in its box.

    For an object smaller than a cell those count whose middles lie within one stride of its own, so
    that no object is left without.

    Args:
        scores: (A, M) 0..1, what each of A cells says for the class of each of M objects.
        predicted: (A, 4) xyxy, the box of each cell.
        boxes: (M, 4) xyxy, the objects, in the same pixels.
        centres: (A, 2) x, y, the middles of the cells.
        strides: (A,) side of the cells.
        most: cells an object at most; a cell that several objects claim goes to the one it overlaps
            most, of equal ones to the lower index. An object that so loses all of its cells is given
            the best that its owner can spare.
        power: a and b.

    Returns:
        Cells, objects, shares and qualities, without gradients.
    """
    with torch.no_grad():
        if not len(boxes):
            none = torch.zeros(0, dtype=torch.int64, device=boxes.device)
            return Assigned(none, none, boxes.new_zeros(0), boxes.new_zeros(0))
        overlap = pairwise(iou, predicted.float(), boxes)  # (A, M)
        aligned = scores.float().pow(power[0]) * overlap.pow(power[1])
        inside = _inside(boxes, centres, strides)
        # Where nothing overlaps yet the nearest middles come first.
        middle = (boxes[:, :2] + boxes[:, 2:]) / 2
        apart = torch.cdist(centres, middle)
        rank = torch.where(inside, aligned + _TINY / (1 + apart), -1.0)
        best = rank.topk(min(most, len(rank)), dim=0).indices
        claimed = torch.zeros_like(inside).scatter_(0, best, True) & inside
        owner = torch.where(claimed, overlap, -1.0).max(1)
        owned = torch.where(owner.values >= 0, owner.indices, -1)
        _give_each_one(owned, rank)
        cells = (owned >= 0).nonzero()[:, 0]
        objects = owned[cells]
        mine = torch.zeros_like(claimed)
        mine[cells, objects] = True
        aligned, overlap = (torch.where(mine, each, 0.0) for each in (aligned, overlap))
        # Where nothing overlaps at all the cells count alike.
        share = torch.where(mine, aligned + _TINY, 0.0)
        share = share / share.amax(0).clamp(min=_TINY)
        quality = share * overlap.amax(0)
        return Assigned(cells, objects, share[cells, objects], quality[cells, objects])


def _give_each_one(owned: Tensor, rank: Tensor) -> None:
    """An object that lost all its cells takes its best one that is free, or not its owner's last.

    Args:
        owned: (A,) the object of each cell, −1 for none; changed in place.
        rank: (A, M), below 0 where a cell cannot have the object.
    """
    counts = torch.bincount(owned[owned >= 0], minlength=rank.shape[1])
    for orphan in (counts == 0).nonzero()[:, 0].tolist():
        spare = (owned < 0) | (counts[owned] > 1)
        wanted = torch.where(spare, rank[:, orphan], -1.0)
        cell = int(wanted.argmax())
        if wanted[cell] >= 0:
            if owned[cell] >= 0:
                counts[owned[cell]] -= 1
            owned[cell], counts[orphan] = orphan, 1


def _inside(boxes: Tensor, centres: Tensor, strides: Tensor) -> Tensor:
    """(A, M): whether a cell's middle lies in the object's box, made as large as two cells."""
    middle, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    reach = torch.maximum(half[None], strides[:, None, None])
    return ((centres[:, None] - middle[None]).abs() < reach).all(-1)
