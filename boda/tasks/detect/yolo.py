"""``yolo``: each cell says whether it holds an object, its box and its class; all in one pass.

See ``boda.models.yolo`` for the network. Which cells learn an object: task-aligned assignment
(``boda.ops.assignment``). The loss of a box is 1 − CIoU (Zheng et al. 2019, arXiv 1911.08287); Pc is
taught how well the cell does, so that the score of a box says how much it is to be trusted.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from boda.data.dataset import Batch
from boda.errors import UsageError
from boda.ops.anchors import grid_centres
from boda.ops.assignment import assign_aligned
from boda.ops.boxes import ciou
from boda.tasks.base import methods
from boda.tasks.detect.detector import Detector
from boda.tasks.optimizing import Optimizing

LARGEST = 4.0  # of the logarithm of a side in strides·4: more is no box of a picture


@dataclass
class Config(Optimizing):
    """Settings of ``yolo``."""

    iou: float = field(
        default=0.65,
        metadata={"help": "boxes of a class that overlap a better one more are dropped"},
    )
    box: float = field(default=5.0, metadata={"help": "weight of the loss of the boxes"})
    objectness: float = field(default=1.0, metadata={"help": "weight of the loss of Pc"})
    classes: float = field(default=1.0, metadata={"help": "weight of the loss of the classes"})
    cells: int = field(default=10, metadata={"help": "cells that learn one object, at most"})

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.iou <= 1:
            raise UsageError(f"iou is {self.iou}; it is above 0 and at most 1.")
        if min(self.box, self.objectness, self.classes) < 0 or self.cells < 1:
            raise UsageError("weights must not be less than 0, and cells not less than 1.")


@methods.register("yolo")
class Yolo(Detector):
    """Pc, bx, by, bh, bw and classes from every cell of three grids."""

    Config = Config

    def raw(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """All cells in one row.

        Returns:
            numbers (N, A, 5 + C) float32, middles of the cells (A, 2) in pixels, strides (A,).
        """
        grids = self.logits(images)
        numbers = torch.cat([g.flatten(1, 3) for g in grids], 1).float()
        places, strides = [], []
        for grid, stride in zip(grids, self.net.strides, strict=True):  # type: ignore[arg-type]
            centres = grid_centres((grid.shape[1], grid.shape[2]), stride).flatten(0, 1)
            places.append(centres)
            strides.append(torch.full((len(centres),), float(stride)))
        device = numbers.device
        return numbers, torch.cat(places).to(device), torch.cat(strides).to(device)

    @staticmethod
    def boxes(numbers: Tensor, centres: Tensor, strides: Tensor) -> Tensor:
        """(N, A, 5 + C) → (N, A, 4) xyxy in pixels.

        A box's middle lies up to a cell and a half from its cell's: bx = x + stride·(3σ(tx) − 1.5);
        its height is 4·stride·exp(th).
        """
        shift = (3 * numbers[..., 1:3].sigmoid() - 1.5) * strides[:, None]
        high_wide = 2 * strides[:, None] * numbers[..., 3:5].clamp(-LARGEST, LARGEST).exp()
        middle, half = centres + shift, high_wide.flip(-1)
        return torch.cat([middle - half, middle + half], -1)

    def candidates(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes, and Pc times the probability of each class."""
        numbers, centres, strides = self.raw(images)
        scores = numbers[..., :1].sigmoid() * numbers[..., 5:].sigmoid()
        return self.boxes(numbers, centres, strides), scores

    def forward(self, batch: Batch, turn: int = 0) -> dict[str, Tensor]:
        """{"objectness", "box", "classes"}.

        Pc's is a sum over all cells, through that of what they are to say. The others are means over
        the cells that learn an object, each with its share: an object that is not found well yet
        counts as much as one that is.
        """
        numbers, centres, strides = self.raw(batch.images)
        boxes = self.boxes(numbers, centres, strides)
        quality = torch.zeros_like(numbers[..., 0])
        pictures, cells, objects, labels, shares = [], [], [], [], []
        scores = (numbers[..., :1].sigmoid() * numbers[..., 5:].sigmoid()).detach()
        targets = zip(batch.boxes or [], batch.box_labels or [], strict=True)
        for i, (own, own_labels) in enumerate(targets):
            given = assign_aligned(
                scores[i][:, own_labels],
                boxes[i].detach(),
                own,
                centres,
                strides,
                self.config.cells,
            )
            quality[i, given.cells] = given.quality
            pictures.append(torch.full_like(given.cells, i))
            cells.append(given.cells)
            objects.append(own[given.objects])
            labels.append(own_labels[given.objects])
            shares.append(given.share)
        config, total = self.config, quality.sum().clamp(min=1)
        losses = {
            "objectness": config.objectness
            * F.binary_cross_entropy_with_logits(numbers[..., 0], quality, reduction="sum")
            / total
        }
        place = (torch.cat(pictures), torch.cat(cells)) if pictures else None
        if place is None or not len(place[0]):  # nothing to be found: all parameters take part
            nothing = 0 * numbers.sum()
            return {**losses, "box": nothing, "classes": nothing}
        share = torch.cat(shares)
        share = share / share.sum()
        missed = 1 - ciou(boxes[place], torch.cat(objects))
        said = numbers[..., 5:][place]
        truth = F.one_hot(torch.cat(labels), said.shape[-1]).to(said)
        wrong = F.binary_cross_entropy_with_logits(said, truth, reduction="none").sum(-1)
        losses["box"] = config.box * (missed * share).sum()
        losses["classes"] = config.classes * (wrong * share).sum()
        return losses
