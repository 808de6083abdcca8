"""The task: a class for every pixel, measured in pixels of the pictures as the person has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from boda import models
from boda.data.dataset import Pictures
from boda.data.survey import Survey
from boda.metrics.segmentation import Segmentation
from boda.outputs import class_map
from boda.tasks.base import Default, Start, Task, tasks
from boda.tasks.optimizing import from_scratch, gently
from boda.tasks.segment.gallery import worst

LARGEST = 256  # pixels of the working picture's longer side
STEP = 32  # a side is a multiple of it
LOOKS = 20_000  # at pictures, in a fit
MANY = 1000  # pictures
MODEL = "unet-resnet18"


class Segment(Task):
    """Semantic segmentation: a class for every pixel."""

    name = "segment"
    headline = "miou"
    description = "A class for every pixel."
    rule = "stretch"

    def defaults(
        self, survey: Survey, model: str | None, start: Start = "scratch"
    ) -> dict[str, Default]:
        """A U-Net at a size that a CPU can do."""
        seen = f"{survey.samples} pictures"
        height, width = _size(survey)
        entry = models.entry(model or MODEL)
        steps = gently(5e-4)
        if start == "scratch":
            steps = from_scratch(entry.parameters, adam=2e-3, muon=2e-2)
        epochs = int(min(300, max(12, LOOKS / max(1, survey.samples))))
        return {
            "model": Default(
                entry.name, "you named it" if model else "a U-Net that strides down first"
            ),
            "size": Default(
                f"{height}x{width}",
                f"pictures of about {survey.height}×{survey.width}; the longer side at most {LARGEST}",
            ),
            **steps,
            "batch": _batch(survey),
            "epochs": Default(epochs, f"{seen}: about {LOOKS:,} looks, 12 to 300 epochs"),
            "ema": Default(0.998, "averaged weights segment better than the last ones"),
            "clip": Default(10.0, "one picture must not throw everything over"),
            "channels": Default(
                1 if survey.gray else 3, "gray pictures" if survey.gray else "colour"
            ),
            "augment": _augmentation(survey),
            **_calm(entry),
        }

    def metrics(self, classes: Sequence[str]) -> Segmentation:
        """Intersection over union, and what stands beside it."""
        return Segmentation(list(classes))

    def update(
        self, metrics: Segmentation, outputs: np.ndarray, pictures: Pictures, index: Tensor
    ) -> None:
        """The classes of the original's pixels, against what is annotated."""
        for planes, i in zip(outputs, index.tolist(), strict=True):
            there = pictures.samples[i].class_map
            said = class_map(planes, pictures.preparation, (there.shape[0], there.shape[1]))
            metrics.update(said, there)

    def details(self, metrics: Segmentation) -> dict[str, Any]:
        """Per class, what was taken for what, in pixels, and the classes that nothing can be said of."""
        return {
            "per_class": metrics.per_class(),
            "confusion": metrics.confusion.tolist(),
            "absent": metrics.absent,
        }

    def condensed(self, outputs: np.ndarray) -> np.ndarray:
        """(N, h, w) uint8, the best class of each pixel of the working pictures."""
        return outputs.argmax(1).astype(np.uint8)

    def mistakes(
        self, classes: Sequence[str], outputs: np.ndarray, pictures: Pictures, most: int
    ) -> list[dict[str, Any]]:
        """The pictures with the largest share of wrong pixels."""
        return worst(classes, outputs, pictures, most)


def _batch(survey: Survey) -> Default:
    """Every picture has thousands of labels, so a few will do; of many pictures more go by in a minute."""
    if survey.samples >= MANY:
        return Default(16, f"{survey.samples:,} pictures: more of them a minute than in eights")
    return Default(8, "every picture has thousands of labels")


def _calm(entry: models.Entry) -> dict[str, Default]:
    """For networks that follow a picture's edges; they learn faster while they need not."""
    if not entry.options.get("edges"):
        return {}
    return {"calm": Default(0.4, "the last part learns through the means that follow edges")}


def _augmentation(survey: Survey) -> Default:
    """By what the network has to go by: with many pictures it need not imagine others."""
    if survey.samples >= MANY:
        return Default("mirrored", f"{survey.samples:,} pictures: mirrored, and no pixel is lost")
    return Default(
        "photos", f"{survey.samples:,} pictures: mirrored, zoomed, turned, lit otherwise"
    )


def _size(survey: Survey) -> tuple[int, int]:
    """Sides in the pictures' proportions, multiples of 32."""
    longer = max(survey.height, survey.width, 1)
    factor = min(1.0, LARGEST / longer)
    height, width = (
        max(2 * STEP, STEP * round(side * factor / STEP)) for side in (survey.height, survey.width)
    )
    return height, width


tasks.add("segment", Segment())
