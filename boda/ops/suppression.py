"""Non-max suppression: of boxes that overlap too much the best one stays.

``nms`` is exact: what it keeps is what the greedy loop keeps, on every device. It does not compare
each box with each: boxes are sorted in space (into strips by their centres' y, then by x), and
only those near enough to overlap that much are compared. Soft-NMS: Bodla et al. 2017 (arXiv
1704.04503); a box of another class, where classes are given, is left as it is.
"""

from __future__ import annotations

import torch
from torch import Tensor

from boda.errors import UsageError, unknown
from boda.ops.boxes import iou, pairwise

CROWDED = 64  # near pairs a box, on average, from which early removal is tried first
CANDIDATES = 4_000_000  # near pairs held at once
BLOCK = 64  # boxes that early removal settles at once
ROUNDS = 8
HUGE = 1e18  # above, areas are infinite in float32
_SLACK = 1e-5  # far above the rounding of an IoU in float32
_DECAYS = ("gaussian", "linear")


def nms(boxes: Tensor, scores: Tensor, threshold: float, labels: Tensor | None = None) -> Tensor:
    """Keep the box with the highest score, drop what overlaps it, go on with the rest.

    Args:
        boxes: (N, 4) xyxy, any unit. A box with a NaN or a number of 1e18 or more
            overlaps nothing.
        scores: (N,), no NaN.
        threshold: 0..1; a box whose IoU with a kept one is *above* it is dropped. Both are compared
            in the boxes' precision, float32 at least, so that an IoU of 3/10 is not above 0.3.
        labels: (N,) integers; boxes of different classes leave each other alone. The coordinates
            are not shifted for that, so nothing is rounded.

    Returns:
        (K,) int64, the indices of the kept boxes, highest score first, of equal scores the lower
        index first.

    Raises:
        UsageError: shapes that do not fit, a threshold outside 0..1.
    """
    _check(boxes, scores, labels, threshold)
    boxes = boxes.detach()
    boxes = boxes if boxes.dtype == torch.float64 else boxes.float()
    order = scores.detach().argsort(descending=True, stable=True)
    boxes = boxes[order]
    classes = torch.zeros_like(order)
    if labels is not None:
        classes = labels[order].unique(return_inverse=True)[1]
    kept = ~(boxes.abs() < HUGE).all(-1)
    places = (~kept).nonzero()[:, 0]
    kept[places[_greedy(boxes[places], classes[places], threshold)]] = True
    return order[kept]


def soft_nms(
    boxes: Tensor,
    scores: Tensor,
    *,
    decay: str = "gaussian",
    sigma: float = 0.5,
    threshold: float = 0.3,
    floor: float = 0.001,
    labels: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Lower the scores of what overlaps a better box, in place of dropping it.

    One step for each kept box: meant for some thousand boxes, not for a hundred thousand.

    Args:
        boxes: (N, 4) xyxy.
        scores: (N,), 0 or more.
        decay: "gaussian", s ← s · exp(−IoU²/σ), or "linear", s ← s · (1 − IoU) where IoU is at
            least ``threshold``.
        sigma: σ of the gaussian.
        threshold: of the linear decay.
        floor: a box whose score falls below is dropped.
        labels: (N,) integers; boxes of different classes leave each other alone.

    Returns:
        (K,) int64 indices in the order in which they were chosen (of equal scores the lower
        index first) and (K,) their lowered scores, which fall.

    Raises:
        UsageError: shapes that do not fit, an unknown decay, a threshold outside 0..1, σ of 0.
    """
    _check(boxes, scores, labels, threshold)
    if decay not in _DECAYS:
        raise unknown("decay", decay, _DECAYS)
    if not sigma > 0:
        raise UsageError(f"sigma is {sigma}. Give a number above 0; the paper's is 0.5.")
    left = scores.detach().clone() if scores.is_floating_point() else scores.float()
    left[~(left >= floor)] = -torch.inf
    kept, final = [], []
    for _ in range(len(boxes)):
        best = (left == left.max()).nonzero()[0, 0]  # argmax may take any of several equal ones
        if left[best] == -torch.inf:
            break
        kept.append(best)
        final.append(left[best].clone())
        overlap = iou(boxes.detach(), boxes[best].detach()).to(left)
        if decay == "gaussian":
            factor = torch.exp(-overlap.square() / sigma)
        else:
            factor = torch.where(overlap >= threshold, 1 - overlap, 1)
        if labels is not None:
            factor = torch.where(labels == labels[best], factor, 1)
        left = left * factor
        left[best] = -torch.inf
        left[~(left >= floor)] = -torch.inf
    if not kept:
        return torch.zeros(0, dtype=torch.int64, device=boxes.device), left[:0]
    return torch.stack(kept), torch.stack(final)


def _check(boxes: Tensor, scores: Tensor, labels: Tensor | None, threshold: float) -> None:
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise UsageError(f"boxes of shape {tuple(boxes.shape)}. Give (N, 4) xyxy.")
    for name, values in {"scores": scores, "labels": labels}.items():
        if values is not None and values.shape != boxes.shape[:1]:
            raise UsageError(
                f"{name} of shape {tuple(values.shape)} for {len(boxes)} boxes. Give one number "
                "for each box."
            )
    if not 0 <= threshold <= 1:
        raise UsageError(f"a threshold of {threshold} is no overlap. Give an IoU in 0..1.")


def _greedy(boxes: Tensor, classes: Tensor, threshold: float) -> Tensor:
    """(K,) indices of the boxes that stay, ascending; the boxes come best first."""
    rest, kept = torch.arange(len(boxes), device=boxes.device), [classes[:0]]
    allowed: float = CROWDED
    while (pairs := _near(_at(boxes, rest), _at(classes, rest), threshold, allowed)) is None:
        # A crowd: a few of the best remove most of the others, and need not see them in pairs.
        crowded = True
        while crowded and len(rest):
            best, left = _early(boxes, classes, threshold, rest)
            kept.append(best)
            crowded = len(left) < 0.8 * len(rest)
            rest = left
        allowed = CANDIDATES / max(len(rest), 1)  # now pairs, as far as memory allows
    clashing = _clashing(_at(boxes, rest), _at(classes, rest), threshold, pairs)
    return torch.cat([*kept, rest[_stay(*clashing, len(rest))]])


def _early(boxes: Tensor, classes: Tensor, threshold: float, rest: Tensor) -> tuple[Tensor, Tensor]:
    """Of ``rest``, those of the first block that stay, and what they leave of the others."""
    head, tail = rest[:BLOCK], rest[BLOCK:]
    near = torch.ones(len(head), len(head), device=rest.device).triu(1).nonzero().unbind(1)
    clashing = _clashing(_at(boxes, head), _at(classes, head), threshold, (near[0], near[1]))
    head = head[_stay(*clashing, len(head))]
    hit = pairwise(iou, _at(boxes, head), _at(boxes, tail)) > threshold
    hit &= _at(classes, head)[:, None] == _at(classes, tail)
    return head, tail[~hit.any(0)]


def _clashing(
    boxes: Tensor, classes: Tensor, threshold: float, pairs: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """The better and the worse box of each pair of one class that overlaps too much."""
    one, other = pairs
    clash = iou(_at(boxes, one), _at(boxes, other)) > threshold
    clash &= _at(classes, one) == _at(classes, other)
    one, other = one[clash], other[clash]
    return torch.minimum(one, other), torch.maximum(one, other)


def _stay(better: Tensor, worse: Tensor, count: int) -> Tensor:
    """The indices that stay, given all pairs that overlap too much.

    In each round, what nobody better threatens is there to stay and drops its neighbours. A few
    rounds settle all but long chains; those are walked from their best end.
    """
    dropped = torch.zeros(count, dtype=torch.bool, device=better.device)
    for _ in range(ROUNDS):
        threatened = torch.zeros_like(dropped)
        threatened[worse] = True
        dropped[worse[~_at(threatened, better)]] = True
        unsettled = ~(_at(dropped, better) | _at(dropped, worse))
        better, worse = better[unsettled], worse[unsettled]
        if not len(better):
            break
    else:
        order = better.argsort()
        fallen: set[int] = set()
        for one, other in zip(better[order].tolist(), worse[order].tolist(), strict=True):
            if one not in fallen:
                fallen.add(other)
        dropped[torch.tensor(sorted(fallen), dtype=torch.int64, device=better.device)] = True
    return (~dropped).nonzero()[:, 0]


def _near(
    boxes: Tensor, classes: Tensor, threshold: float, allowed: float
) -> tuple[Tensor, Tensor] | None:
    """All pairs of one class that may overlap by more than ``threshold``, each once.

    An IoU above t needs an overlap above t in x and in y. Two lengths a >= b overlap so only if
    b > t·a and their middles lie less than a·(1 − t)/(1 + t) apart; whichever of them is the
    longer, less than a·(1 − t)/(2t). So the taller box of a pair finds the other one within
    these distances of its centre, the first in y, the second in x.

    Returns:
        Two of (P,) indices, or None where there are more than ``allowed`` a box to look through.
    """
    n, t = len(boxes), max(threshold - _SLACK, _SLACK)
    if n < 2:
        return classes[:0], classes[:0]
    tiny = torch.finfo(boxes.dtype).tiny
    rounding = 1e-6 * boxes.abs().amax() + tiny
    x, y = ((boxes[:, :2] + boxes[:, 2:]) / 2).unbind(-1)
    width, height = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).unbind(-1)
    reach_x = width * ((1 - t) / (2 * t)) * (1 + _SLACK) + rounding
    reach_y = height * ((1 - t) / (1 + t)) * (1 + _SLACK) + rounding

    # Strips as high as the mean search: then a box looks into about two of them.
    top, thickness = y.amin(), 2 * reach_y.mean()
    strip = ((y - top) / thickness).long()
    strips = strip.amax() + 1
    first = ((y - reach_y - top) / thickness).clamp(min=0).long()
    last = torch.minimum(((y + reach_y - top) / thickness).long(), strips - 1)
    seeker, step = _ranges(last - first + 1)
    searched = _at(classes * strips + first, seeker) + step

    # Place in the order by x, and strip, as one whole number: nothing is rounded.
    by_x, rank = x.sort()
    keys = torch.empty_like(classes)
    keys[rank] = torch.arange(n, device=boxes.device)
    keys, placed = (keys + (classes * strips + strip) * (n + 1)).sort()
    left = torch.searchsorted(by_x, x - reach_x)
    right = torch.searchsorted(by_x, x + reach_x, right=True)
    begin = torch.searchsorted(keys, searched * (n + 1) + _at(left, seeker))
    end = torch.searchsorted(keys, searched * (n + 1) + _at(right, seeker))
    if int((end - begin).sum()) > allowed * n:
        return None
    row, step = _ranges(end - begin)
    one, other = _at(seeker, row), _at(placed, _at(begin, row) + step)
    a, b = _at(height, one), _at(height, other)
    once = (a > b) | ((a == b) & (one < other))
    return one[once], other[once]


def _ranges(lengths: Tensor) -> tuple[Tensor, Tensor]:
    """For lengths (2, 0, 3): whose turn it is, 0 0 2 2 2, and the place in it, 0 1 0 1 2."""
    owner = torch.arange(len(lengths), device=lengths.device).repeat_interleave(lengths)
    starts = lengths.cumsum(0) - lengths
    return owner, torch.arange(len(owner), device=lengths.device) - _at(starts, owner)


def _at(values: Tensor, places: Tensor) -> Tensor:
    """``values[places]``, which on CPUs takes several times as long."""
    return values.index_select(0, places)
