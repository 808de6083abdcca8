"""Mosaics: four pictures of a batch in one, so that objects stand smaller and beside others.

Bochkovskiy, Wang, Liao, "YOLOv4", 2020, arXiv 2004.10934, section 3.3. Deviation: each part is a
window of its picture at a scale of its own, cut from bytes as a whole, so a mosaic costs no more
than one resampling of one picture.
"""

from __future__ import annotations

from typing import NamedTuple

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
        batch: with boxes, and masks where there are any; no maps or points.
        numbers: (N, 15) from 0 to below 1.
        share: of the pictures that become mosaics.

    Returns:
        The new batch; the one given stays as it is. An object is left out where less than a quarter
        of it is in the picture.
    """
    assert batch.boxes is not None and batch.box_labels is not None
    count, (height, width) = len(batch), batch.images.shape[-2:]
    images, boxes, labels = batch.images.clone(), list(batch.boxes), list(batch.box_labels)
    masks = None if batch.masks is None else list(batch.masks)
    for i in (numbers[:, 0] < share).nonzero().flatten().tolist():
        row = numbers[i].tolist()
        x, y = (round(side * (0.3 + 0.4 * n)) for side, n in ((width, row[1]), (height, row[2])))
        corners = ((0, 0, x, y), (x, 0, width, y), (0, y, x, height), (x, y, width, height))
        images[i] = GRAY
        parts, placed = [], []
        for k, (x1, y1, x2, y2) in enumerate(corners):
            j = (i - k) % count
            own = row[3 + 3 * k : 6 + 3 * k]
            window = _window((height, width), (x2 - x1, y2 - y1), own)
            part, moved = _part(batch.images[j], batch.boxes[j], window)
            down, right = slice(y1, y1 + part.shape[1]), slice(x1, x1 + part.shape[2])
            images[i, :, down, right] = part
            kept = _kept(moved, (x2 - x1, y2 - y1))
            edges = moved.new_tensor([x2 - x1, y2 - y1] * 2)
            inside = torch.minimum(moved.clamp(min=0), edges)[kept]
            parts.append((inside + moved.new_tensor([x1, y1] * 2), batch.box_labels[j][kept]))
            if batch.masks is not None:
                whole = batch.masks[j].new_zeros(int(kept.sum()), height, width)
                whole[:, down, right] = _masks(batch.masks[j][kept], window)
                placed.append(whole)
        boxes[i] = torch.cat([each for each, _ in parts])
        labels[i] = torch.cat([each for _, each in parts])
        if masks is not None:
            masks[i] = torch.cat(placed)
    out = batch.first(count)
    out.images, out.boxes, out.box_labels, out.masks = images, boxes, labels, masks
    return out


class _Window(NamedTuple):
    """Whole pixels of a picture, and the size at which they are shown; pixels all."""

    x: int
    y: int
    width: int
    height: int
    target: tuple[int, int]  # height and width

    def of(self, images: Tensor) -> Tensor:
        """(…, H, W) → (…, height, width), as it lies there."""
        return images[..., self.y : self.y + self.height, self.x : self.x + self.width]


def _window(picture: tuple[int, int], size: tuple[int, int], numbers: list[float]) -> _Window:
    """What of a picture fills a place; where it is shown smaller than that, all there is.

    Args:
        picture: its height and width.
        size: width and height of the place it is for.
        numbers: how large the picture is shown (from 0.4 to 1.3 of its size, evenly in the
            logarithm), and where the window lies.
    """
    height, width = picture
    zoom, across, down = numbers
    scale = 0.4 * (1.3 / 0.4) ** zoom
    w, h = (
        min(side, max(1, round(s / scale))) for side, s in zip((width, height), size, strict=True)
    )
    x, y = int(across * (width - w + 1)), int(down * (height - h + 1))
    target = max(1, min(size[1], round(h * scale))), max(1, min(size[0], round(w * scale)))
    return _Window(x, y, w, h, target)


def _part(image: Tensor, boxes: Tensor, window: _Window) -> tuple[Tensor, Tensor]:
    """The window of the picture (C, H, W) uint8, resampled, and its boxes (n, 4) moved."""
    part = window.of(image)[None]
    part = part if image.device.type == "cpu" else part.float()
    part = F.interpolate(part, window.target, mode="bilinear", antialias=True)[0].to(torch.uint8)
    ratio = [window.target[1] / window.width, window.target[0] / window.height]
    return part, (boxes - boxes.new_tensor([window.x, window.y] * 2)) * boxes.new_tensor(ratio * 2)


def _masks(masks: Tensor, window: _Window) -> Tensor:
    """The window of masks (n, H, W) bool; each pixel takes what lies under its centre."""
    rows, columns = (
        ((torch.arange(shown, device=masks.device) + 0.5) * (there / shown)).long()
        for there, shown in zip((window.height, window.width), window.target, strict=True)
    )
    return window.of(masks)[:, rows][:, :, columns]


def _kept(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Which boxes are still to be seen in a place of that width and height."""
    edges = boxes.new_tensor(size * 2)
    inside = torch.minimum(boxes.clamp(min=0), edges)
    sides = inside[:, 2:] - inside[:, :2]
    share = sides.prod(1) / (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return (share >= VISIBLE) & (sides >= 2 * SMALLEST).all(1)
