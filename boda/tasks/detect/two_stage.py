"""What the detectors with two stages learn: which anchors hold objects, then what each region is.

See ``boda.models.faster_rcnn`` for the networks. The losses are the multi-task loss of Girshick
2015, arXiv 1504.08083, for both stages: the cross entropy of what there is, and a smooth L1 of where.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from boda.data.dataset import Batch, objects_in
from boda.data.survey import Survey
from boda.errors import UsageError
from boda.models.faster_rcnn import WEIGHTS, FasterRCNN, clipped, owners
from boda.models.region_proposals import RATIOS
from boda.ops.anchors import match_anchors
from boda.ops.boxes import decode_boxes, encode_boxes
from boda.ops.sampling import sample_balanced
from boda.tasks.base import Default, Start
from boda.tasks.detect.detector import Detector
from boda.tasks.optimizing import Optimizing
from boda.tasks.steps import Step

POSITIVE, NEGATIVE = 0.7, 0.3  # IoU with an object: an anchor from there on is one, below it none
FOUND = 0.5  # IoU from which a region is the object's
LEAST = 1e-2  # pixels that a box must be wide and high
BETA = 1 / 9  # of an offset's loss: below it is a square, above it a straight line


@dataclass
class Config(Optimizing):
    """Settings of the detectors with two stages."""

    iou: float = field(
        default=0.5,
        metadata={"help": "boxes of a class that overlap a better one more are dropped"},
    )
    anchors: int = field(
        default=256, metadata={"help": "anchors a picture that the first stage learns from"}
    )
    regions: int = field(
        default=64, metadata={"help": "regions a picture that the second stage learns from"}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.iou <= 1:
            raise UsageError(f"iou is {self.iou}; it is above 0 and at most 1.")
        if min(self.anchors, self.regions) < 4:
            raise UsageError("anchors and regions must not be less than 4.")


class Regions(NamedTuple):
    """What the second stage learns from, all pictures in one row.

    Attributes:
        boxes: (R, 4) xyxy.
        pictures: (R,) which picture each is in.
        labels: (R,) 0 for the background, else 1 + the class.
        objects: (P, 4) the objects' boxes of the positive ones.
        positive: (P,) their places in the row.
        which: (P,) the place of the object in its picture.
    """

    boxes: Tensor
    pictures: Tensor
    labels: Tensor
    objects: Tensor
    positive: Tensor
    which: Tensor


class TwoStage(Detector):
    """Regions from the first stage, classes and boxes from the second."""

    Config = Config
    net: FasterRCNN
    rivals = 1000  # the same object is found by many regions

    @classmethod
    def prefers(cls, survey: Survey, start: Start) -> dict[str, Default]:
        """A rate of its own: few of its regions teach what an object is, so it learns slowly."""
        if start != "scratch":
            return {}
        return {"rate": Default(3e-3, "the second stage learns from few regions a picture")}

    def first(self, images: Tensor) -> tuple[Tensor, ...]:
        """(N, C, H, W) uint8 → boxes (N, A, 4) of all anchors, their scores (N, A), and the maps."""
        maps, logits, deltas = self.net.first(self.normalize(images))
        boxes = decode_boxes(deltas, self.net.regions.anchors(maps, self.size))
        return (clipped(boxes, self.size), logits.sigmoid(), *maps)

    def second(self, *values: Tensor) -> tuple[Tensor, Tensor]:
        """What ``first`` gave → boxes (N, K, classes, 4) and scores (N, K, classes)."""
        boxes, scores, *maps = values
        levels = self.net.regions.levels(maps)
        count = self.net.sizes.proposals
        regions, sure = self.net.regions.propose(scores, boxes, levels, count)
        found, deltas = self.net.second(maps, regions.flatten(0, 1), owners(regions))
        found = found.softmax(1)[:, 1:].unflatten(0, sure.shape)
        deltas = deltas[:, 1:].unflatten(0, sure.shape)
        boxes = clipped(decode_boxes(deltas, regions[:, :, None]), self.size)
        sides = boxes[..., 2:] - boxes[..., :2]
        there = (sure[..., None] > 0) & (sides >= LEAST).all(-1)
        return boxes, torch.where(there, found, 0.0)

    def steps(self) -> tuple[Step, ...]:
        """The first stage, the second, and non-max suppression."""
        return Step(self.first), Step(self.second), Step(self.finish, boxes=True)

    def describe(self) -> dict[str, Default]:
        """The anchors, and how many regions are looked at."""
        sizes = self.net.sizes
        strides = list(self.net.strides)
        sides = [sizes.anchor * stride for stride in strides]
        why = f"pixels, at strides {', '.join(map(str, strides))}, with {len(RATIOS)} shapes each"
        regions = Default(sizes.proposals, "regions a picture that the second stage looks at")
        return {"anchors": Default(f"{sides[0]} to {sides[-1]}", why), "proposals": regions}

    def forward(self, batch: Batch, turn: int = 0) -> dict[str, Tensor]:
        """{"objectness", "region", "classes", "box"}: the first stage's two losses, the second's two."""
        return self.losses(batch)[0]

    def losses(self, batch: Batch) -> tuple[dict[str, Tensor], list[Tensor], Regions]:
        """The losses of both stages; the maps, and what the second stage learned from."""
        maps, logits, deltas = self.net.first(self.normalize(batch.images))
        anchors = self.net.regions.anchors(maps, self.size)
        losses = self._first_loss(logits, deltas, anchors, batch)
        with torch.no_grad():
            boxes = clipped(decode_boxes(deltas, anchors), self.size)
            count = 2 * self.net.sizes.proposals
            levels = self.net.regions.levels(maps)
            proposed, sure = self.net.regions.propose(logits.sigmoid(), boxes, levels, count)
            regions = self._drawn(proposed, sure, batch)
        found, moved = self.net.second(maps, regions.boxes, regions.pictures)
        losses["classes"] = F.cross_entropy(found, regions.labels)
        place, labels = regions.positive, regions.labels[regions.positive]
        wanted = encode_boxes(regions.objects, regions.boxes[place])
        scale = wanted.new_tensor(WEIGHTS)
        wrong = F.smooth_l1_loss(
            moved[place, labels] * scale, wanted * scale, reduction="sum", beta=BETA
        )
        losses["box"] = wrong / max(1, len(regions.labels))
        return losses, maps, regions

    def _first_loss(
        self, logits: Tensor, deltas: Tensor, anchors: Tensor, batch: Batch
    ) -> dict[str, Tensor]:
        """Of the region proposal network: means over the anchors that were drawn."""
        said, truth, wrong = [], [], 0 * deltas.sum()
        for i, (own, _) in enumerate(objects_in(batch)):
            given = match_anchors(anchors, own, POSITIVE, NEGATIVE)
            positive, negative = sample_balanced(given, self.config.anchors, 0.5)
            said += [logits[i, positive], logits[i, negative]]
            truth += [torch.ones_like(said[-2]), torch.zeros_like(said[-1])]
            wanted = encode_boxes(own[given[positive]], anchors[positive])
            wrong = wrong + F.smooth_l1_loss(
                deltas[i, positive], wanted, reduction="sum", beta=BETA
            )
        answers = torch.cat(said)
        objectness = F.binary_cross_entropy_with_logits(answers, torch.cat(truth))
        return {"objectness": objectness, "region": wrong / len(answers)}

    def _drawn(self, proposed: Tensor, sure: Tensor, batch: Batch) -> Regions:
        """Regions to learn from: a quarter at most are objects; the objects themselves are among them."""
        rows: list[tuple[Tensor, ...]] = []
        total = 0
        for i, (own, own_labels) in enumerate(objects_in(batch)):
            regions = torch.cat([own, proposed[i, sure[i] > 0]])
            given = match_anchors(regions, own, FOUND, FOUND)
            positive, negative = sample_balanced(given, self.config.regions, 0.25)
            place = torch.cat([positive, negative])
            labels = torch.zeros_like(place)
            labels[: len(positive)] = 1 + own_labels[given[positive]]
            where = total + torch.arange(len(positive), device=place.device)
            rows.append(
                (
                    regions[place],
                    torch.full_like(place, i),
                    labels,
                    own[given[positive]],
                    where,
                    given[positive],
                )
            )
            total += len(place)
        return Regions(*(torch.cat(column) for column in zip(*rows, strict=True)))

    def pyramid_of(self, values: Sequence[Tensor]) -> list[Tensor]:
        """The maps among the values of the steps."""
        return list(values[2 : 2 + len(list(self.net.strides))])

    def candidates(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes (N, K, classes, 4) of every region and class, and their scores (N, K, classes)."""
        return self.second(*self.first(images))
