"""What every detector of this folder does with the boxes its network tells: the best of them stay."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from boda.data.prepare import Preparation
from boda.ops.together import best, keep
from boda.tasks.base import Default, Method
from boda.tasks.optimizing import optimizer
from boda.tasks.steps import Step, walked

MOST = 100  # that come out of it, as COCO counts them
LEAST = 0.001  # score of a box that is worth telling at all


class Detector(Method):
    """A method of ``detect``: boxes with scores for every class, then non-max suppression.

    Its ``Config`` has ``iou``: boxes of one class that overlap a better one by more are dropped.

    Attributes:
        rivals: boxes a picture that go into non-max suppression, the surest.
    """

    task = "detect"
    rivals = 300
    numbers = "S × S × A × (5 + C): Pc, bx, by, bh, bw and the classes of every cell"

    def __init__(self, net: nn.Module, preparation: Preparation, config: Any) -> None:
        super().__init__(net, preparation, config)
        self.overlap: float = config.iou

    @abstractmethod
    def candidates(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, H, W) uint8 → boxes (N, A, 4) xyxy in their pixels, and scores (N, A, classes) 0..1."""

    def describe(self) -> dict[str, Default]:
        """The grids of cells, and the numbers that each cell tells."""
        with torch.no_grad():
            grids = self.net(torch.zeros(1, self.channels, *self.size, device=self.scale.device))
        shapes = [each.shape[1:] for each in (grids if isinstance(grids, tuple) else (grids,))]
        told = ", ".join("×".join(map(str, shape)) for shape in shapes)
        return {"grid": Default(told, self.numbers)}

    def before(self, images: Tensor) -> tuple[Tensor, ...]:
        """The candidates, clipped to the picture, in float32."""
        boxes, scores = self.candidates(images)
        height, width = self.size  # images may be features of pictures
        edges = torch.tensor([width, height] * 2, dtype=torch.float32).to(images.device)
        return torch.minimum(boxes.float().clamp(min=0), edges), scores.float()

    def finish(self, *values: Tensor) -> Tensor:
        """The last two values, boxes and scores (N, A, classes) → (N, 100, 6), as ``output`` tells them.

        Boxes are (N, A, 4), or (N, A, classes, 4) where every class has its own.
        """
        boxes, scores = values[-2:]
        classes = scores.shape[2]
        count = min(self.rivals, boxes.shape[1] * classes)
        place = best(scores.flatten(1), count)
        label = place % classes
        row = place if boxes.ndim == 4 else place // classes
        boxes = boxes.flatten(1, -2)
        chosen = boxes.gather(1, row[..., None].expand(-1, -1, 4))
        score = scores.flatten(1).gather(1, place)
        score = torch.where(score >= LEAST, score, 0.0)
        score = torch.where(keep(chosen, score, label, classes, self.overlap), score, 0.0)
        rows = torch.cat([chosen, score[..., None], label[..., None].to(chosen.dtype)], 2)
        rows = rows * (score > 0)[..., None]
        place = best(score, min(MOST, count))
        return rows.gather(1, place[..., None].expand(-1, -1, 6))

    def steps(self) -> tuple[Step, ...]:
        """The network's numbers, then non-max suppression."""
        return Step(self.before), Step(self.finish, boxes=True)

    def output(self, images: Tensor) -> Tensor:
        """(N, C, H, W) uint8 → (N, 100, 6): x1, y1, x2, y2 in their pixels, score, class.

        The surest first; rows of score 0 are no boxes.
        """
        return walked(self.steps(), images)[-1]

    def optimizers(self, rate: float) -> list[torch.optim.Optimizer]:
        """SGD or AdamW; what is one-dimensional (norms, biases) is not decayed."""
        groups = self.groups(self.config.weight_decay, self.config.layer_decay)
        return [optimizer(groups, self.config.optimizer, rate)]
