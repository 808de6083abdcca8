"""Boxes: their formats, how much two of them overlap, and how a network writes one down.

Boxes are (…, 4), xyxy, in pixels with continuous edges, ``x1 <= x2`` and ``y1 <= y2``, where a
function does not say otherwise; the area of a box is ``(x2 − x1) · (y2 − y1)``, without a "+ 1".
Numbers below float32 (bfloat16, integers) are computed in float32. Everything is differentiable.

GIoU: Rezatofighi et al. 2019 (arXiv 1902.09630). DIoU and CIoU: Zheng et al. 2019 (arXiv
1911.08287); its gradient is taken as it is, not with w² + h² replaced by 1 (the paper's section
"Implementation"), and none goes through α. The four deltas: Ren et al. 2015, Faster R-CNN (arXiv
1506.01497, equation 2).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from boda.errors import UsageError, unknown

Size = tuple[int, int]  # (H, W)
FORMATS = ("xyxy", "xywh", "cxcywh")
LARGEST = math.log(1000 / 16)  # an anchor of 16 pixels may grow to 1000, no further


def convert_boxes(boxes: Tensor, source: str, target: str) -> Tensor:
    """Write boxes in another format.

    Args:
        boxes: (…, 4) in the format ``source``.
        source: "xyxy" (two corners), "xywh" (upper left corner and size, as in COCO's files) or
            "cxcywh" (centre and size, as YOLO predicts them).
        target: one of the same.

    Returns:
        (…, 4), float32 at least.

    Raises:
        UsageError: an unknown format; not (…, 4).
    """
    for name in (source, target):
        if name not in FORMATS:
            raise unknown("box format", name, FORMATS)
    boxes = _real(boxes)
    if source == target:
        return boxes
    first, second = boxes.split(2, -1)
    if source == "xywh":
        second = first + second
    elif source == "cxcywh":
        first, second = first - second / 2, first + second / 2
    if target == "xywh":
        second = second - first
    elif target == "cxcywh":
        first, second = (first + second) / 2, second - first
    return torch.cat([first, second], -1)


def normalize_boxes(boxes: Tensor, size: Size) -> Tensor:
    """Pixels to shares of the picture, 0..1, in any format; ``size`` is the picture's (H, W)."""
    return _real(boxes) / _whole(boxes, size)


def denormalize_boxes(boxes: Tensor, size: Size) -> Tensor:
    """Shares of the picture, 0..1, to pixels, in any format; ``size`` is the picture's (H, W)."""
    return _real(boxes) * _whole(boxes, size)


def clip_boxes(boxes: Tensor, size: Size) -> Tensor:
    """The part of each box that lies in a picture of ``size`` (H, W); outside, nothing is left.

    A box that lies wholly outside becomes a line or a point on the edge, of area 0.
    """
    boxes, edge = _real(boxes), _whole(boxes, size)
    return torch.minimum(boxes.clamp(min=0), edge)


def box_area(boxes: Tensor) -> Tensor:
    """(…, 4) → (…): width times height, in square pixels."""
    x1, y1, x2, y2 = _real(boxes).unbind(-1)
    return (x2 - x1) * (y2 - y1)


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of each box with its partner.

    Args:
        a: (…, 4) xyxy.
        b: (…, 4) xyxy; the shapes broadcast.

    Returns:
        (…) in 0..1; 0 where both areas are 0.

    Raises:
        UsageError: not (…, 4).
    """
    return _overlap(_real(a), _real(b))[0]


def giou(a: Tensor, b: Tensor) -> Tensor:
    """Generalized IoU: IoU − (C − U)/C, C the smallest box around both; in −1..1.

    Arguments and errors as in ``iou``. Boxes that do not touch still attract each other.
    """
    a, b = _real(a), _real(b)
    overlap, union = _overlap(a, b)
    low, high = _hull(a, b)
    hull = (high - low).prod(-1)
    return overlap - _share(hull - union, hull)


def diou(a: Tensor, b: Tensor) -> Tensor:
    """Distance IoU: IoU − ρ²/c², ρ between the centres, c the diagonal of both; in −1..1.

    Arguments and errors as in ``iou``.
    """
    a, b = _real(a), _real(b)
    low, high = _hull(a, b)
    apart = (a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) / 2
    return _overlap(a, b)[0] - _share(apart.square().sum(-1), (high - low).square().sum(-1))


def ciou(a: Tensor, b: Tensor) -> Tensor:
    """Complete IoU: DIoU − α·v, v the difference of the aspect ratios.

    v = 4/π² · (atan(w/h) − atan(w'/h'))², α = v/((1 − IoU) + v). Arguments and errors as in
    ``iou``.
    """
    a, b = _real(a), _real(b)
    v = 4 / math.pi**2 * (_angle(a) - _angle(b)).square()
    with torch.no_grad():
        alpha = _share(v, 1 - _overlap(a, b)[0] + v)
    return diou(a, b) - alpha * v


Overlap = Callable[[Tensor, Tensor], Tensor]


def pairwise(overlap: Overlap, a: Tensor, b: Tensor) -> Tensor:
    """Each box of ``a`` with each of ``b``.

    Args:
        overlap: ``iou``, ``giou``, ``diou`` or ``ciou``.
        a: (…, N, 4) xyxy.
        b: (…, M, 4) xyxy.

    Returns:
        (…, N, M).

    Raises:
        UsageError: not (…, N, 4) and (…, M, 4).
    """
    for boxes in (a, b):
        if boxes.ndim < 2:
            raise UsageError(f"boxes of shape {tuple(boxes.shape)}. Give (…, N, 4).")
    return overlap(a[..., :, None, :], b[..., None, :, :])


def encode_boxes(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Boxes as a network is taught them, seen from their anchors.

    tx = (x − xa)/wa, ty = (y − ya)/ha, tw = log(w/wa), th = log(h/ha), x and y being centres.

    Args:
        boxes: (…, 4) xyxy, of positive width and height (of 0, the logarithm is −inf).
        anchors: (…, 4) xyxy, of positive width and height; the shapes broadcast.

    Returns:
        (…, 4): tx, ty, tw, th.

    Raises:
        UsageError: not (…, 4).
    """
    (centre, sides), (place, around) = _centred(boxes), _centred(anchors)
    return torch.cat([(centre - place) / around, (sides / around).log()], -1)


def decode_boxes(deltas: Tensor, anchors: Tensor, largest: float = LARGEST) -> Tensor:
    """The boxes that ``encode_boxes`` wrote down.

    Args:
        deltas: (…, 4): tx, ty, tw, th.
        anchors: (…, 4) xyxy; the shapes broadcast.
        largest: tw and th count at most this much, so that exp stays finite.

    Returns:
        (…, 4) xyxy, not clipped.

    Raises:
        UsageError: not (…, 4).
    """
    shift, growth = _real(deltas).split(2, -1)
    place, around = _centred(anchors)
    half = around * growth.clamp(max=largest).exp() / 2
    centre = place + shift * around
    return torch.cat([centre - half, centre + half], -1)


def _real(boxes: Tensor) -> Tensor:
    """The boxes, checked, in float32 or float64."""
    if boxes.ndim == 0 or boxes.shape[-1] != 4:
        raise UsageError(
            f"boxes of shape {tuple(boxes.shape)}. Give (…, 4): four numbers for each box."
        )
    return boxes if boxes.dtype in (torch.float32, torch.float64) else boxes.float()


def _whole(boxes: Tensor, size: Size) -> Tensor:
    """(W, H, W, H), what 1 means in each number of a normalized box."""
    if len(size) != 2 or min(size) < 1:
        raise UsageError(f"a size of {tuple(size)} is no picture. Give (H, W), both at least 1.")
    dtype = torch.float64 if boxes.dtype == torch.float64 else torch.float32
    return torch.tensor([size[1], size[0]] * 2, dtype=dtype, device=boxes.device)


def _centred(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Centres and sizes, (…, 2) each."""
    centre, sides = convert_boxes(boxes, "xyxy", "cxcywh").split(2, -1)
    return centre, sides


def _share(part: Tensor, whole: Tensor) -> Tensor:
    """Part through whole; 0, with a gradient of 0, where the whole is nothing."""
    there = whole > 0
    return torch.where(there, part / torch.where(there, whole, 1), 0)


def _overlap(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and union. The order of the sums is torchvision's, so that its NMS decides as ours."""
    low = torch.maximum(a[..., :2], b[..., :2])
    high = torch.minimum(a[..., 2:], b[..., 2:])
    sides = (high - low).clamp(min=0)
    both = sides[..., 0] * sides[..., 1]
    union = box_area(a) + box_area(b) - both
    return _share(both, union), union


def _hull(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """The corners of the smallest box around both."""
    return torch.minimum(a[..., :2], b[..., :2]), torch.maximum(a[..., 2:], b[..., 2:])


def _angle(boxes: Tensor) -> Tensor:
    """The angle of the diagonal, atan(w/h)."""
    width, height = (boxes[..., 2:] - boxes[..., :2]).unbind(-1)
    return torch.atan(width / height.clamp(min=torch.finfo(boxes.dtype).eps))
