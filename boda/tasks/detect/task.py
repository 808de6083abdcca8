"""The task: its figures are COCO's, in pixels of the pictures as the person has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from boda import models
from boda.data.dataset import Pictures
from boda.data.survey import Survey
from boda.metrics.detection import Detection, Found, Truth
from boda.outputs import CONFIDENT
from boda.tasks.base import Default, Start, Task, methods, tasks
from boda.tasks.detect.gallery import worst
from boda.types import Sample

LARGEST, STEP = 416, 32  # pixels of the working picture, and what its side is a multiple of
LOOKS = 40_000  # at pictures, in a fit
SMALL = (
    24  # pixels of the working picture: shown at a quarter in a mosaic, less than a cell is left
)


class Detect(Task):
    """Detection: a box and a class for every object."""

    name = "detect"
    headline = "map"
    description = "A box and a class for every object."
    rule = "letterbox"

    def defaults(
        self, survey: Survey, model: str | None, start: Start = "scratch"
    ) -> dict[str, Default]:
        """The one-stage detector of this package, at a size a CPU can do."""
        seen = f"{survey.samples} pictures with {survey.objects} boxes"
        side = max(survey.height, survey.width)
        side = min(LARGEST, max(64, STEP * round(side / STEP)))
        batch = 16 if survey.samples >= 64 else 8
        epochs = int(min(300, max(12, LOOKS / max(1, survey.samples))))
        rate, why = 2e-3, "usual for Adam's steps with batches of this size"
        if start != "scratch":
            rate, why = 5e-4, "the backbone's weights are good already"
        size = Default(side, f"pictures of about {survey.height}×{survey.width}; at most 416")
        if model and (entry := models.entry(model)).method == "yolo-v1":
            size = Default(entry.size[0], "its dense layers were made for pictures of this size")
            rate, why = 1e-4, "without batch norms large steps may lead astray"
        entry = models.entry(model or "yolo")
        chosen = {
            "model": Default(model or "yolo", "you named it" if model else "small and in one pass"),
            "size": size,
            "rate": Default(rate, why),
            "batch": Default(batch, f"{seen}: enough steps in an epoch"),
            "epochs": Default(epochs, f"{seen}: about 40,000 looks, 12 to 300 epochs"),
            "ema": Default(0.9998, "averaged weights detect better than the last ones"),
            "clip": Default(10.0, "a picture of many objects must not throw everything over"),
            "channels": Default(
                1 if survey.gray else 3, "gray pictures" if survey.gray else "colour"
            ),
            "augment": _augmentation(survey.share * side),
            "calm": Default(0.15, "the last part of the fit sees pictures as they are"),
        }
        return chosen | methods[entry.method].prefers(survey, start)

    def metrics(self, classes: Sequence[str]) -> Detection:
        """COCO's average precision and recall."""
        return Detection(list(classes))

    def update(
        self, metrics: Detection, outputs: np.ndarray, pictures: Pictures, index: Tensor
    ) -> None:
        """Boxes in pixels of the original pictures, against what is annotated."""
        for rows, i in zip(outputs, index.tolist(), strict=True):
            sample = pictures.samples[i]
            metrics.update(found(rows, sample, pictures), truth(sample))

    def details(self, metrics: Detection) -> dict[str, Any]:
        """Per class, VOC's average precision, the confusion with the background, and the curves."""
        return {
            "per_class": metrics.per_class(),
            "voc": {"11-point": metrics.voc(11), "all-point": metrics.voc()},
            "confusion": metrics.confusion(CONFIDENT).tolist(),
            "curves": _curves(metrics),
        }

    def mistakes(
        self, classes: Sequence[str], outputs: np.ndarray, pictures: Pictures, most: int
    ) -> list[dict[str, Any]]:
        """The pictures with most objects missed or invented."""
        pairs = [
            (found(rows, sample, pictures), truth(sample))
            for rows, sample in zip(outputs, pictures.samples, strict=True)
        ]
        return worst(classes, pairs, pictures, most)


def _augmentation(object_side: float) -> Default:
    """By the median side of the objects, in pixels of the working picture."""
    if 0 < object_side < SMALL:
        why = f"objects of about {object_side:.0f} pixels would be lost in mosaics"
        return Default("places", f"mirrored, moved, lit otherwise; {why}")
    return Default("scenes", "mosaics of four, mirrored, moved, lit otherwise")


def found(rows: np.ndarray, sample: Sample, pictures: Pictures) -> Found:
    """What a detector's output (K, 6) says, in pixels of the original picture, clipped to it."""
    rows = rows[rows[:, 4] > 0]
    height, width = sample.shape
    corners = pictures.preparation.moved_back(rows[:, :4].reshape(-1, 2, 2), (height, width))
    boxes = corners.clip(0, (width, height)).reshape(-1, 4)
    return Found(boxes, rows[:, 4], rows[:, 5].astype(np.int64))


def truth(sample: Sample) -> Truth:
    """What is annotated; crowds and difficult objects count neither way."""
    boxes = np.zeros((0, 4), np.float32) if sample.boxes is None else sample.boxes
    labels = np.zeros(len(boxes), np.int64) if sample.labels is None else sample.labels
    aside = np.zeros(len(boxes), bool)
    for mark in (sample.crowd, sample.difficult):
        aside |= False if mark is None else mark
    return Truth(boxes, labels, aside, sample.areas)


def _curves(metrics: Detection, points: int = 101) -> dict[str, dict[str, list[float]]]:
    """Precision over recall of each class at IoU 0.5, thinned out for the report."""
    curves = {}
    for label, (name, row) in enumerate(metrics.per_class().items()):
        if not row["support"]:
            continue
        curve = metrics.curve(label)
        chosen = np.unique(np.linspace(0, max(0, len(curve["scores"]) - 1), points).astype(int))
        chosen = chosen[: len(curve["scores"])]
        curves[name] = {k: [round(float(v), 5) for v in curve[k][chosen]] for k in curve}
    return curves


tasks.add("detect", Detect())
