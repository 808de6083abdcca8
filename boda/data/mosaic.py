"""Mosaics: four pictures of a batch in one, so that objects stand smaller and beside others.

Bochkovskiy, Wang, Liao, "YOLOv4", 2020, arXiv 2004.10934, section 3.3. Deviation: each part is a
window of its picture at a scale of its own, cut from bytes as a whole, so a mosaic costs no more
than one resampling of one picture.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from boda.data.change import SMALLEST, VISIBLE
from boda.data.dataset import Batch
from boda.data.prepare import GRAY

NUMBERS = 15  # random numbers a picture


def mosaic(batch: Batch, numbers: Tensor, share: float) -> Batch:
    """The batch with a share of its pictures made of four: each and the three before it.

    Args:
        batch: with boxes; no masks, maps or points.
        numbers: (N, 15) from 0 to below 1.
        share: of the pictures that become mosaics.

    Returns:
        The new batch; the one given stays as it is. An object is left out where less than a quarter
        of it is in the picture.
    """
    assert batch.boxes is not None and batch.box_labels is not None
    count, (height, width) = len(batch), batch.images.shape[-2:]
    images, boxes, labels = batch.images.clone(), list(batch.boxes), list(batch.box_labels)
    for i in (numbers[:, 0] < share).nonzero().flatten().tolist():
        row = numbers[i].tolist()
        x, y = (round(side * (0.3 + 0.4 * n)) for side, n in ((width, row[1]), (height, row[2])))
        corners = ((0, 0, x, y), (x, 0, width, y), (0, y, x, height), (x, y, width, height))
        images[i] = GRAY
        parts = []
        for k, (x1, y1, x2, y2) in enumerate(corners):
            j = (i - k) % count
            own = row[3 + 3 * k : 6 + 3 * k]
            part, moved = _part(batch.images[j], batch.boxes[j], (x2 - x1, y2 - y1), own)
            images[i, :, y1 : y1 + part.shape[1], x1 : x1 + part.shape[2]] = part
            kept = _kept(moved, (x2 - x1, y2 - y1))
            edges = moved.new_tensor([x2 - x1, y2 - y1] * 2)
            inside = torch.minimum(moved.clamp(min=0), edges)[kept]
            parts.append((inside + moved.new_tensor([x1, y1] * 2), batch.box_labels[j][kept]))
        boxes[i] = torch.cat([each for each, _ in parts])
        labels[i] = torch.cat([each for _, each in parts])
    out = batch.first(count)
    out.images, out.boxes, out.box_labels = images, boxes, labels
    return out


def _part(
    image: Tensor, boxes: Tensor, size: tuple[int, int], numbers: list[float]
) -> tuple[Tensor, Tensor]:
    """A window of the picture, resampled to at most ``size`` (width, height), and its boxes moved.

    Args:
        image: (C, H, W) uint8.
        boxes: (n, 4).
        size: width and height of the place it is for.
        numbers: how large the picture is shown (from 0.4 to 1.3 of its size, evenly in the
            logarithm), and where the window lies.
    """
    height, width = image.shape[1:]
    zoom, across, down = numbers
    scale = 0.4 * (1.3 / 0.4) ** zoom
    # Whole pixels of the picture that fill the place; where it is shown smaller, all there are.
    w, h = (
        min(side, max(1, round(s / scale))) for side, s in zip((width, height), size, strict=True)
    )
    x, y = int(across * (width - w + 1)), int(down * (height - h + 1))
    target = max(1, min(size[1], round(h * scale))), max(1, min(size[0], round(w * scale)))
    window = image[None, :, y : y + h, x : x + w]
    window = window if image.device.type == "cpu" else window.float()
    part = F.interpolate(window, target, mode="bilinear", antialias=True)[0].to(torch.uint8)
    ratio = boxes.new_tensor([target[1] / w, target[0] / h] * 2)
    return part, (boxes - boxes.new_tensor([x, y] * 2)) * ratio


def _kept(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Which boxes are still to be seen in a place of that width and height."""
    edges = boxes.new_tensor(size * 2)
    inside = torch.minimum(boxes.clamp(min=0), edges)
    sides = inside[:, 2:] - inside[:, :2]
    share = sides.prod(1) / (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return (share >= VISIBLE) & (sides >= 2 * SMALLEST).all(1)
