"""The region proposal network: which of many anchors hold an object, and where exactly.

Ren, He, Girshick, Sun, "Faster R-CNN", 2015, arXiv 1506.01497, on the maps of a feature pyramid (Lin
et al. 2016, arXiv 1612.03144), as torchvision has it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from boda.ops.together import best, keep

RATIOS = (0.5, 1.0, 2.0)  # height / width of the anchors
OVERLAP = 0.7  # of regions that are proposed: others are the same region
LEAST = 1e-3  # pixels that a region must be wide and high


class RegionHead(nn.Module):
    """The region proposal network: does an anchor hold an object, and where exactly is it?

    Args:
        width: channels of the maps.
        strides: of the maps.
        anchor: side of the anchors, in strides of their map.
        before: regions a map that go into non-max suppression.
        norm: batch norm behind the convolution that the two answers share.
    """

    def __init__(
        self, width: int, strides: tuple[int, ...], anchor: int, before: int, norm: bool
    ) -> None:
        super().__init__()
        self.strides, self.anchor, self.before = strides, anchor, before
        anchors = len(RATIOS)
        self.conv = nn.Conv2d(width, width, 3, padding=1, bias=not norm)
        self.norm = nn.BatchNorm2d(width) if norm else nn.Identity()
        self.objectness = nn.Conv2d(width, anchors, 1)
        self.deltas = nn.Conv2d(width, 4 * anchors, 1)
        for layer in (self.conv, self.objectness, self.deltas):
            nn.init.normal_(layer.weight, std=0.01)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Maps (N, C, H, W) → logits (N, A) and tx, ty, tw, th (N, A, 4), level by level, row by row."""
        logits, deltas = [], []
        for each in maps:
            x = F.relu(self.norm(self.conv(each)))
            logits.append(self.objectness(x).permute(0, 2, 3, 1).flatten(1))
            deltas.append(self.deltas(x).permute(0, 2, 3, 1).reshape(x.shape[0], -1, 4))
        return torch.cat(logits, 1).float(), torch.cat(deltas, 1).float()

    def anchors(self, maps: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        """Three shapes at every pixel of every level.

        As in torchvision, whose weights were learned with them: they stand around the upper left
        corner of a pixel, their sides are even numbers, and pixels lie ⌊H/h⌋ apart.

        Args:
            maps: the levels, (N, C, h, w) each.
            size: (H, W) of the pictures.

        Returns:
            (A, 4) xyxy pixels, level by level, row by row.
        """
        ratios, found = torch.tensor(RATIOS), []
        for each, stride in zip(maps, self.strides, strict=True):
            side = stride * self.anchor / 2
            half = torch.stack([side / ratios.sqrt(), side * ratios.sqrt()], 1).round()
            h, w = each.shape[-2:]
            y, x = torch.arange(h) * (size[0] // h), torch.arange(w) * (size[1] // w)
            corner = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)[:, :, None]
            found.append(torch.cat([corner - half, corner + half], -1).flatten(0, 2))
        return torch.cat(found).to(maps[0].device)

    def propose(
        self, scores: Tensor, boxes: Tensor, levels: Sequence[int], count: int
    ) -> tuple[Tensor, Tensor]:
        """The regions that look most like objects, none twice.

        As in torchvision the surest of each level are chosen before those go that lie outside the
        picture.

        Args:
            scores: (N, A) of the anchors, 0..1.
            boxes: (N, A, 4) xyxy, clipped to the picture.
            levels: how many of the A are of each level.
            count: of regions a picture.

        Returns:
            (N, count, 4), the surest first, and their scores (N, count); a score of 0 is no region.
        """
        chosen, start = [], 0
        for number in levels:
            some = best(scores[:, start : start + number], min(self.before, number))
            chosen.append(some + start)
            start += number
        of_level = torch.cat([torch.full_like(c[0], i) for i, c in enumerate(chosen)])
        place = torch.cat(chosen, 1)
        boxes = boxes.gather(1, place[..., None].expand(-1, -1, 4))
        sides = boxes[..., 2:] - boxes[..., :2]
        scores = torch.where((sides >= LEAST).all(-1), scores.gather(1, place), 0.0)
        kept = keep(boxes, scores, of_level.expand_as(place), len(levels), OVERLAP)
        scores = torch.where(kept, scores, 0.0)
        first = best(scores, min(count, scores.shape[1]))
        return boxes.gather(1, first[..., None].expand(-1, -1, 4)), scores.gather(1, first)

    @staticmethod
    def levels(maps: Sequence[Tensor]) -> list[int]:
        """How many anchors each level has."""
        return [len(RATIOS) * each.shape[2] * each.shape[3] for each in maps]
