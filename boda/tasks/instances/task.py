"""The task: its figures are COCO's, of masks and of boxes, in pixels of the pictures as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from boda.data.dataset import Pictures
from boda.data.survey import Survey
from boda.masks import of_outline
from boda.metrics.detection import Detection
from boda.metrics.objects import Found, Truth
from boda.outputs import BOX, pasted
from boda.tasks.base import Default, Start, tasks
from boda.tasks.detect.task import Detect, found, truth
from boda.types import Sample


class Both:
    """The figures of the masks and of the boxes."""

    def __init__(self, classes: Sequence[str]) -> None:
        self.masks, self.boxes = Detection(list(classes), masks=True), Detection(list(classes))

    def update(self, said: Found, there: Truth) -> None:
        """Count one picture."""
        self.masks.update(said, there)
        self.boxes.update(said, there)

    def compute(self) -> dict[str, float]:
        """Of masks, whose names begin with ``mask_``, then of boxes."""
        return self.masks.compute() | self.boxes.compute()


class Instances(Detect):
    """Instance segmentation: a mask, a class and a box for every object."""

    name = "instances"
    headline = "mask_map"
    description = "A mask, a class and a box for every object."

    def defaults(
        self, survey: Survey, model: str | None, start: Start = "scratch"
    ) -> dict[str, Default]:
        """Mask R-CNN, at a size a CPU can do."""
        chosen = super().defaults(survey, model or "mask-rcnn-resnet18-fpn", start)
        if model is None:
            chosen["model"] = Default("mask-rcnn-resnet18-fpn", "the smallest with masks")
        return chosen

    def metrics(self, classes: Sequence[str]) -> Both:  # type: ignore[override]
        """COCO's average precision and recall, of masks and of boxes."""
        return Both(classes)

    def update(  # type: ignore[override]
        self, metrics: Both, outputs: np.ndarray, pictures: Pictures, index: Tensor
    ) -> None:
        """Masks in pixels of the original pictures, against what is annotated."""
        for rows, i in zip(outputs, index.tolist(), strict=True):
            sample = pictures.samples[i]
            metrics.update(masks_found(rows, sample, pictures), masks_there(sample))

    def details(self, metrics: Both) -> dict[str, Any]:  # type: ignore[override]
        """What detection tells, of the masks."""
        return super().details(metrics.masks)

    def mistakes(
        self, classes: Sequence[str], outputs: np.ndarray, pictures: Pictures, most: int
    ) -> list[dict[str, Any]]:
        """The pictures with most objects missed or invented, by their boxes."""
        return super().mistakes(classes, outputs[..., :BOX], pictures, most)


def masks_found(rows: np.ndarray, sample: Sample, pictures: Pictures) -> Found:
    """What an output (K, 6 + 28·28) says, in pixels of the original picture."""
    said = found(rows[:, :BOX], sample, pictures)
    masks = pasted(rows[rows[:, 4] > 0], pictures.preparation, sample.shape)
    return Found(said.boxes, said.scores, said.labels, masks)


def masks_there(sample: Sample) -> Truth:
    """What is annotated; an object without an outline has an empty mask."""
    there = truth(sample)
    if sample.masks is not None:
        masks = sample.masks
    else:
        outlines = sample.outlines or [None] * len(there.boxes)
        empty = np.zeros((0, *sample.shape), bool)
        masks = (
            np.stack([of_outline(each, sample.shape) for each in outlines]) if outlines else empty
        )
    return Truth(there.boxes, there.labels, there.crowd, there.areas, masks)


tasks.add("instances", Instances())
