"""``yolo-v2``: a box for every anchor shape in every cell, the shapes learned from the data.

Redmon, Farhadi, "YOLO9000: Better, Faster, Stronger", 2016, arXiv 1612.08242, section 2; see
``boda.models.yolo_v2`` for the network. The paper does not print its loss: it is here what its authors
released, v1's sum of squared errors with other weights, halved so that a gradient is a weight times a
difference; classes by softmax and cross entropy. Deviations: an anchor of a cell learns one object, and
who finds it taken gets the next most alike (``boda.ops.anchors.assign_to_cells``); anchors that hold
no object are not drawn to their own shapes at first, since they begin there; one size of pictures in a
fit; the loss of a batch is the mean over its pictures; Adam's steps by default.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from boda.data.dataset import Batch, Pictures
from boda.data.prepare import Preparation
from boda.errors import UsageError
from boda.ops.anchors import anchor_shapes, mean_best_iou
from boda.ops.boxes import LARGEST, iou, pairwise
from boda.tasks.base import Default, methods
from boda.tasks.detect.cells import corners, in_cells, objects, refuse_less_than_0, to_pixels
from boda.tasks.detect.detector import Detector
from boda.tasks.optimizing import Optimizing

LOOKED_AT = 20_000  # boxes from which anchor shapes are learned
LEAST = 1e-4  # share of the picture that an anchor's side is at least
# The authors' shapes for Pascal VOC, width and height in cells of a grid of 13×13.
VOC = (1.3221, 1.73145, 3.19275, 4.00944, 5.05587, 8.09892, 9.47112, 4.84053, 11.2364, 10.0071)


@dataclass
class Config(Optimizing):
    """Settings of ``yolo-v2``."""

    iou: float = field(
        default=0.5,
        metadata={"help": "boxes of a class that overlap a better one more are dropped"},
    )
    shapes: tuple[float, ...] = field(
        default=tuple(round(side / 13, 4) for side in VOC),
        metadata={"help": "width, height of each anchor, shares of the picture; from the data"},
    )
    coordinates: float = field(default=1.0, metadata={"help": "weight of the boxes"})
    objectness: float = field(default=5.0, metadata={"help": "weight of Pc where an object is"})
    background: float = field(default=1.0, metadata={"help": "weight of Pc where there is none"})
    classes: float = field(default=1.0, metadata={"help": "weight of the classes"})
    ignore: float = field(
        default=0.6, metadata={"help": "boxes of a higher IoU with an object are no background"}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.iou <= 1 or not 0 < self.ignore <= 1:
            raise UsageError("iou and ignore are above 0 and at most 1.")
        if len(self.shapes) % 2 or not all(side > 0 for side in self.shapes):
            raise UsageError("shapes has a width and a height for every anchor, all above 0.")
        weights = {"coordinates": self.coordinates, "objectness": self.objectness}
        refuse_less_than_0(**weights, background=self.background, classes=self.classes)


@methods.register("yolo-v2")
class YoloV2(Detector):
    """Pc, bx, by, bh, bw and classes from every anchor of every cell of one grid."""

    Config = Config
    shapes: Tensor

    def __init__(self, net: nn.Module, preparation: Preparation, config: Any) -> None:
        super().__init__(net, preparation, config)
        shapes = torch.tensor(config.shapes).view(-1, 2)
        self.register_buffer("shapes", shapes, persistent=False)
        if len(self.shapes) != net.anchors:
            raise UsageError(
                f"{len(config.shapes)} numbers in shapes, and the network has {net.anchors} anchors: "
                f"give {2 * net.anchors}, a width and a height for each, or leave them to be learned."  # type: ignore[operator]
            )

    @classmethod
    def learned(
        cls, train: Pictures, options: dict[str, Any], classes: Sequence[str]
    ) -> dict[str, Default]:
        """{"shapes"}: the anchors that fit the training boxes, by k-means of the distance 1 − IoU."""
        count = options["anchors"]
        whole = torch.tensor([train.preparation.width, train.preparation.height])
        boxes = torch.cat([torch.zeros(0, 4), *(train.boxes or [])])
        sides = boxes[:, 2:] - boxes[:, :2]
        sides = sides[(sides > 0).all(1)]
        sides = sides[:: len(sides) // LOOKED_AT + 1]
        different = min(count, len(sides.unique(dim=0)))
        shapes, reason = general(count - different) * whole, "there are no boxes to learn from"
        if different:
            shapes = torch.cat([anchor_shapes(sides, different), shapes])
            reason = (
                f"k-means of the boxes; mean IoU with the best {mean_best_iou(sides, shapes):.2f}"
            )
        if 0 < different < count:
            reason += f"; only {different} of them, since the boxes are no more different"
        shares = (shapes / whole).flatten().tolist()
        return {"shapes": Default(tuple(max(LEAST, round(n, 4)) for n in shares), reason)}

    def raw(self, images: Tensor) -> Tensor:
        """(N, h, w, A, 5 + C) float32: what the cells' anchors say."""
        return self.logits(images).float()

    def anchors(self, grid: tuple[int, int]) -> Tensor:
        """(A, 2) width and height of the anchors in cells."""
        return self.shapes * torch.tensor(grid[::-1]).to(self.shapes)

    def boxes(self, told: Tensor) -> Tensor:
        """(N, h, w, A, 5 + C) → (N, h, w, A, 4) xyxy in cells.

        bx = σ(tx) + the cell's left edge; bw = the anchor's width · exp(tw).
        """
        grid = told.shape[1], told.shape[2]
        middle = corners(grid, told.device) + told[..., 1:3].sigmoid()
        grown = told[..., 3:5].flip(-1).clamp(max=LARGEST).exp()
        half = self.anchors(grid) * grown / 2
        return torch.cat([middle - half, middle + half], -1)

    def candidates(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """All boxes, and σ(Pc) times the probability of each class."""
        told = self.raw(images)
        grid = told.shape[1], told.shape[2]
        scores = told[..., :1].sigmoid() * told[..., 5:].softmax(-1)
        return to_pixels(self.boxes(told), grid, self.size).flatten(1, 3), scores.flatten(1, 3)

    def forward(self, batch: Batch, turn: int = 0) -> dict[str, Tensor]:
        """{"box", "objectness", "background", "classes"}: sums over cells, the mean over pictures."""
        told = self.raw(batch.images)
        grid = told.shape[1], told.shape[2]
        shapes = self.anchors(grid)
        truth = in_cells(batch.boxes, grid, self.size)
        there = objects(truth, batch.box_labels, shapes, grid)
        place = (*there.place, there.anchor)
        found, sure = self.boxes(told.detach()), told[..., 0].sigmoid()
        empty = self.background(found, truth)
        empty[place] = False
        chosen = told[place]
        log_sides = (there.sides / shapes[there.anchor]).log().flip(-1)
        missed = (chosen[:, 1:3].sigmoid() - there.within).square().sum()
        missed = missed + (chosen[:, 3:5] - log_sides).square().sum()
        unsure = (sure[place] - iou(found[place], there.boxes)).square().sum()
        wrong = F.cross_entropy(chosen[:, 5:], there.labels, reduction="sum")
        config = self.config
        losses = {
            "box": config.coordinates * missed / 2,
            "objectness": config.objectness * unsure / 2,
            "background": config.background * sure[empty].square().sum() / 2,
            "classes": config.classes * wrong,
        }
        return {name: loss / len(told) for name, loss in losses.items()}

    def background(self, found: Tensor, truth: list[Tensor]) -> Tensor:
        """(N, h, w, A) bool: which boxes overlap no object more than ``ignore``.

        Args:
            found: (N, h, w, A, 4) xyxy in cells.
            truth: for each picture (n, 4) xyxy in cells.
        """
        empty = torch.ones_like(found[..., 0], dtype=torch.bool)
        for own, boxes, out in zip(truth, found, empty, strict=False):
            if len(own):
                overlap = pairwise(iou, boxes.flatten(0, 2), own).amax(1)
                out.copy_((overlap <= self.config.ignore).view_as(out))
        return empty


def general(count: int) -> Tensor:
    """(count, 2) shares between a sixteenth and the whole of a picture, for where boxes are lacking."""
    return torch.logspace(-4, 0, count + 2, base=2)[1:-1, None].expand(-1, 2)
