"""One object a picture: whether it is there, where, and what it is; any network for classification.

The network puts out y = [Pc, bx, by, bh, bw, c1 … cK], as Ng's course writes it: Pc whether there is
an object, the middle and the height and width of its box as shares of the picture, and the classes.
Where there is none, only Pc is learned. Deviations: Pc is learned by cross entropy and not by
squares; the box by 1 − CIoU (Zheng et al. 2019, arXiv 1911.08287) and smooth L1 of its numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from boda.data.dataset import Batch, Pictures
from boda.data.largest import largest
from boda.data.survey import Survey
from boda.errors import UsageError
from boda.judged import marked
from boda.metrics.localization import Localization, One
from boda.ops.boxes import box_area, ciou
from boda.outputs import PRESENT
from boda.tasks.base import Default, Start, Task, methods, tasks
from boda.tasks.optimizing import Optimizing
from boda.tasks.regression import Regressor, recipe
from boda.types import Sample

BEFORE = 5  # numbers before those of the classes: Pc, bx, by, bh, bw
BEND = 0.05  # share of the picture, from which smooth L1 grows evenly


@dataclass
class Config(Optimizing):
    """Settings of ``localizer``."""

    box: float = field(default=3.0, metadata={"help": "weight of the loss of the box"})
    classes: float = field(default=1.0, metadata={"help": "weight of the loss of the class"})

    def __post_init__(self) -> None:
        super().__post_init__()
        if not min(self.box, self.classes) >= 0:
            raise UsageError("box and classes are weights; they must not be less than 0.")


@methods.register("localizer")
class Localizer(Regressor):
    """Pc, a box and a class from the last layer of a classifier."""

    Config = Config
    task = "localize"

    @classmethod
    def values(cls, classes: int) -> int:
        """Pc, four numbers of the box, and one a class."""
        return BEFORE + classes

    def losses(self, numbers: Tensor, batch: Batch) -> dict[str, Tensor]:
        """{"presence", "box", "classes"}; the last two over the pictures with an object alone.

        Args:
            numbers: (N, 5 + K), before any sigmoid.
            batch: of several boxes in a picture the largest counts.
        """
        there, boxes, labels = _objects(batch)
        presence = F.binary_cross_entropy_with_logits(numbers[:, 0], there.to(numbers))
        if not there.any():
            nothing = 0 * numbers.sum()  # all parameters take part
            return {"presence": presence, "box": nothing, "classes": nothing}
        own = numbers[there]
        overlap = ciou(self._pixels(own[:, 1:BEFORE]), boxes)
        away = F.smooth_l1_loss(
            own[:, 1:BEFORE].sigmoid(), self._shares(boxes), beta=BEND, reduction="none"
        )
        wrong = F.cross_entropy(own[:, BEFORE:], labels)
        return {
            "presence": presence,
            "box": self.config.box * (1 - overlap + away.sum(1)).mean(),
            "classes": self.config.classes * wrong,
        }

    def output(self, images: Tensor) -> Tensor:
        """(N, C, H, W) uint8 → (N, 5 + K): Pc, x1, y1, x2, y2 in their pixels, probabilities."""
        numbers = self.logits(images).float()
        presence, classes = numbers[:, :1].sigmoid(), numbers[:, BEFORE:].softmax(1)
        return torch.cat([presence, self._pixels(numbers[:, 1:BEFORE]), classes], 1)

    def _pixels(self, numbers: Tensor) -> Tensor:
        """tx, ty, th, tw (N, 4) → x1, y1, x2, y2 in pixels; bx = W·σ(tx), bh = H·σ(th)."""
        x, y, high, wide = (numbers.sigmoid() * self._whole(numbers)).unbind(1)
        return torch.stack([x - wide / 2, y - high / 2, x + wide / 2, y + high / 2], 1)

    def _shares(self, boxes: Tensor) -> Tensor:
        """x1, y1, x2, y2 in pixels (N, 4) → bx, by, bh, bw."""
        x1, y1, x2, y2 = boxes.unbind(1)
        row = torch.stack([(x1 + x2) / 2, (y1 + y2) / 2, y2 - y1, x2 - x1], 1)
        return row / self._whole(boxes)

    def _whole(self, like: Tensor) -> Tensor:
        """What 1 means in bx, by, bh and bw, in pixels."""
        height, width = self.size
        return torch.tensor([width, height, height, width], dtype=like.dtype, device=like.device)


def _objects(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Which pictures have an object (N,) bool, and the boxes (n, 4) and classes (n,) of those."""
    device = batch.labels.device
    there = torch.zeros(len(batch), dtype=torch.bool, device=device)
    boxes, labels = [torch.zeros(0, 4, device=device)], [batch.labels[:0]]
    for i, (own, classes) in enumerate(zip(batch.boxes or [], batch.box_labels or [], strict=True)):
        if len(own):
            k = int(box_area(own).argmax())
            there[i] = True
            boxes.append(own[k : k + 1].float())
            labels.append(classes[k : k + 1])
    return there, torch.cat(boxes), torch.cat(labels)


class Localize(Task):
    """Localization: at most one object a picture."""

    name = "localize"
    headline = "mean_iou"
    description = "Whether there is an object, its box and its class; one a picture."
    rule = "letterbox"
    method = "localizer"
    borrows = "classify"

    def defaults(
        self, survey: Survey, model: str | None, start: Start = "scratch"
    ) -> dict[str, Default]:
        """A small residual network; see ``boda.tasks.regression`` for the rest."""
        return {
            **recipe(model, survey, start),
            "augment": Default(
                "places", "mirrored, scaled, moved and lit otherwise, with their boxes"
            ),
        }

    def metrics(self, classes: Sequence[str]) -> Localization:
        """Mean IoU and what stands beside it."""
        return Localization(classes)

    def update(
        self, metrics: Localization, outputs: np.ndarray, pictures: Pictures, index: Tensor
    ) -> None:
        """Boxes in pixels of the original pictures, against what is annotated."""
        for row, i in zip(outputs, index.tolist(), strict=True):
            sample = pictures.samples[i]
            metrics.update(said(row, sample, pictures), true(sample))

    def details(self, metrics: Localization) -> dict[str, Any]:
        """Per class, and how often it was rightly said that there is an object."""
        return {"per_class": metrics.per_class(), "presence": metrics.presence()}

    def mistakes(
        self, classes: Sequence[str], outputs: np.ndarray, pictures: Pictures, most: int
    ) -> list[dict[str, Any]]:
        """The pictures with the least overlap, or a wrong class; those that are all wrong first."""
        judge = Localization(classes)
        rows = []
        for i, row in enumerate(outputs):
            told, there = said(row, pictures.samples[i], pictures), true(pictures.samples[i])
            if told.box is None and there.box is None:
                continue
            overlap = judge.update(told, there)
            if told.label != there.label or overlap < 0.5:
                rows.append((overlap, i, told, there))
        rows.sort(key=lambda row: row[:2])
        return [
            _told(classes, pictures.samples[i], float(outputs[i, 0]), overlap, (told, there))
            for overlap, i, told, there in rows[:most]
        ]


def said(row: np.ndarray, sample: Sample, pictures: Pictures) -> One:
    """What a row of the output says, in pixels of the original picture, clipped to it."""
    if row[0] < PRESENT:
        return One()
    height, width = sample.shape
    corners = pictures.preparation.moved_back(row[1:BEFORE].reshape(2, 2), (height, width))
    return One(int(row[BEFORE:].argmax()), corners.clip(0, (width, height)).reshape(4))


def true(sample: Sample) -> One:
    """The largest of the annotated objects."""
    if sample.boxes is None or not len(sample.boxes):
        return One()
    k = largest(sample.boxes)
    return One(0 if sample.labels is None else int(sample.labels[k]), sample.boxes[k])


def _told(
    classes: Sequence[str], sample: Sample, presence: float, overlap: float, pair: tuple[One, One]
) -> dict[str, Any]:
    told, there = pair
    picture = sample.image if sample.read is None else sample.read()
    was = [] if there.box is None else [(there.box, classes[there.label], None)]
    drawn = [] if told.box is None else [(told.box, classes[told.label], presence)]
    words = "nothing" if told.box is None else f"{classes[told.label]}, IoU {overlap:.2f},"
    return {
        "image": marked(picture, was, drawn),
        "source": sample.source,
        "truth": "nothing" if there.box is None else classes[there.label],
        "predicted": words,
        "score": presence,
    }


tasks.add("localize", Localize())
