"""``yolo-v1``: the cell that holds an object's centre tells its class, and the better of its boxes.

Redmon, Divvala, Girshick, Farhadi, "You only look once: unified, real-time object detection", 2015,
arXiv 1506.02640, sections 2 and 2.2; see ``boda.models.yolo_v1`` for the network. What the paper
leaves open is as its authors released it: the network tells the square roots of the sides, and where
none of a cell's boxes touches its object, the one that differs least is responsible. Deviations: of
several objects in one cell the largest is learned (of equal ones the first), where the authors' code
takes the first it meets; the loss of a batch is the mean over its pictures; Adam's steps by default.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from boda.data.dataset import Batch
from boda.errors import UsageError
from boda.ops.boxes import iou
from boda.tasks.base import methods
from boda.tasks.detect.cells import corners, in_cells, objects, refuse_less_than_0, to_pixels
from boda.tasks.detect.detector import Detector
from boda.tasks.optimizing import Optimizing


@dataclass
class Config(Optimizing):
    """Settings of ``yolo-v1``."""

    iou: float = field(
        default=0.5,
        metadata={"help": "boxes of a class that overlap a better one more are dropped"},
    )
    coordinates: float = field(default=5.0, metadata={"help": "weight of the boxes, λ_coord"})
    background: float = field(
        default=0.5, metadata={"help": "weight of Pc where there is no object, λ_noobj"}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.iou <= 1:
            raise UsageError(f"iou is {self.iou}; it is above 0 and at most 1.")
        refuse_less_than_0(coordinates=self.coordinates, background=self.background)


@methods.register("yolo-v1")
class YoloV1(Detector):
    """B times Pc, bx, by, bh, bw, and one row of classes, from every cell of one grid."""

    Config = Config
    numbers = "S × S × (B·5 + C): B times Pc, bx, by, bh, bw, and the classes of every cell"

    def raw(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """What the cells say: (N, S, S, B, 5) of their boxes, and (N, S, S, C) of their classes."""
        numbers = self.logits(images).float()
        count: int = self.net.boxes  # type: ignore[assignment]
        boxes, classes = numbers[..., : 5 * count], numbers[..., 5 * count :]
        return boxes.unflatten(3, (count, 5)), classes

    @staticmethod
    def boxes(told: Tensor) -> Tensor:
        """(N, S, S, B, 5) → (N, S, S, B, 4) xyxy in cells: bh, bw are square roots of shares."""
        side = told.shape[1]
        middle = corners((side, side), told.device) + told[..., 1:3]
        half = side * told[..., 3:5].square().flip(-1) / 2
        return torch.cat([middle - half, middle + half], -1)

    def candidates(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """All boxes, and Pc times what their cell says of each class, both kept within 0..1."""
        told, classes = self.raw(images)
        grid = told.shape[1], told.shape[2]
        scores = told[..., :1].clamp(0, 1) * classes[:, :, :, None].clamp(0, 1)
        return to_pixels(self.boxes(told), grid, self.size).flatten(1, 3), scores.flatten(1, 3)

    def forward(self, batch: Batch, turn: int = 0) -> dict[str, Tensor]:
        """{"box", "objectness", "background", "classes"}: the parts of the paper's equation 3.

        Sums of squared errors over cells and boxes, the mean over pictures.
        """
        told, classes = self.raw(batch.images)
        side = told.shape[1]
        grid = side, side
        # One anchor as large as the picture: the object most like it is the largest.
        whole = torch.full((1, 2), float(side), device=told.device)
        there = objects(in_cells(batch.boxes, grid, self.size), batch.box_labels, whole, grid)
        best, overlap = self.responsible(told.detach(), there.place, there.boxes)
        place = (*there.place, best)
        held = torch.zeros_like(told[..., 0], dtype=torch.bool)
        held[place] = True
        chosen = told[place]
        roots = (there.sides / side).sqrt().flip(-1)
        missed = F.mse_loss(chosen[:, 1:], torch.cat([there.within, roots], 1), reduction="sum")
        said = classes[there.place]
        truth = F.one_hot(there.labels, classes.shape[-1]).to(said)
        losses = {
            "box": self.config.coordinates * missed,
            "objectness": (chosen[:, 0] - overlap).square().sum(),
            "background": self.config.background * told[..., 0][~held].square().sum(),
            "classes": (said - truth).square().sum(),
        }
        return {name: loss / len(told) for name, loss in losses.items()}

    def responsible(
        self, told: Tensor, place: tuple[Tensor, Tensor, Tensor], truth: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Which of its cell's boxes is responsible for each object: the one of the highest IoU.

        Args:
            told: (N, S, S, B, 5).
            place: picture, row and column of the objects, (K,) each.
            truth: (K, 4) xyxy in cells.

        Returns:
            (K,) int64, the box, and (K,) its IoU, which its Pc is to be.
        """
        boxes = self.boxes(told)[place]
        overlap = iou(boxes, truth[:, None])
        apart = _numbers(boxes).sub(_numbers(truth[:, None])).square().sum(-1)
        touches = overlap.amax(1, keepdim=True) > 0
        best = torch.where(touches, overlap, -apart).argmax(1)
        return best, overlap.gather(1, best[:, None])[:, 0]


def _numbers(boxes: Tensor) -> Tensor:
    """Corners → x, y, width, height, by which boxes that do not touch are compared."""
    low, high = boxes.split(2, -1)
    return torch.cat([(low + high) / 2, high - low], -1)
