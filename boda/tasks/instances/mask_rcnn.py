"""``mask-rcnn``: Faster R-CNN, and for each box the pixels that are the object's.

He, Gkioxari, Dollár, Girshick 2017, arXiv 1703.06870. A mask is learned for the region's own class
alone, from the regions that hold an object, by the binary cross entropy of its 28×28 pixels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from boda.data.dataset import Batch
from boda.models.faster_rcnn import owners
from boda.models.mask_rcnn import SIDE
from boda.models.mask_rcnn import MaskRCNN as Network
from boda.ops.roi import roi_align
from boda.tasks.base import methods
from boda.tasks.detect.two_stage import Regions, TwoStage
from boda.tasks.steps import Step


@methods.register("mask-rcnn")
class MaskRCNN(TwoStage):
    """A class, a box and a mask for every region that the network proposes."""

    task = "instances"
    net: Network

    def steps(self) -> tuple[Step, ...]:
        """The detector's steps, then the masks of the boxes that stay."""
        return (*super().steps(), Step(self.masked))

    def masked(self, *values: Tensor) -> Tensor:
        """Rows (N, K, 6), the last value → (N, K, 6 + 28·28): behind them the masks, 0..1, row by row."""
        maps, rows = self.pyramid_of(values), values[-1]
        boxes, labels = rows[..., :4], 1 + rows[..., 5].long()
        logits = self.net.masks(maps, boxes.flatten(0, 1), owners(boxes))
        place = labels.flatten()[:, None, None, None].expand(-1, 1, SIDE, SIDE)
        masks = logits.gather(1, place).sigmoid().flatten(1).unflatten(0, labels.shape)
        return torch.cat([rows, masks], 2)

    def forward(self, batch: Batch, turn: int = 0) -> dict[str, Tensor]:
        """Faster R-CNN's four losses, and {"mask"}: a mean over the pixels of the masks."""
        losses, maps, regions = self.losses(batch)
        place = regions.positive
        pictures, labels = regions.pictures[place], regions.labels[place]
        logits = self.net.masks(maps, regions.boxes[place], pictures)
        if not len(place):
            return {**losses, "mask": logits.sum()}
        own = logits[torch.arange(len(place), device=place.device), labels]
        truth = mask_targets(batch, regions)
        return {**losses, "mask": F.binary_cross_entropy_with_logits(own, truth)}


def mask_targets(batch: Batch, regions: Regions) -> Tensor:
    """(P, 28, 28) 0..1: how much of each cell of a positive region its object covers."""
    assert batch.masks is not None
    out = []
    for i, masks in enumerate(batch.masks):
        mine = regions.positive[regions.pictures[regions.positive] == i]
        which = regions.which[regions.pictures[regions.positive] == i]
        if len(mine):
            planes = masks[:, None].to(regions.boxes.dtype)
            out.append(roi_align(planes, regions.boxes[mine], which, SIDE, scale=1.0, aligned=True))
    return torch.cat(out)[:, 0]
