"""The task: a picture becomes another one, measured by how like the true one it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from boda import models
from boda.data.dataset import Pictures
from boda.data.survey import Survey
from boda.metrics import NothingToMeasure
from boda.metrics.pictures import Likeness
from boda.ops.color import rgb_to_lab
from boda.outputs import as_bytes
from boda.tasks.base import Default, Method, Start, Task, tasks
from boda.tasks.translate import gallery
from boda.tasks.translate.domains import arranged
from boda.tasks.translate.unpaired import TwoWayMethod
from boda.types import Dataset

LARGEST, SMALL = 128, 64  # pixels of the working picture's longer side; with two generators less
TWO = 2  # domains
STEP = 32  # a side is a multiple of it
LOOKS = 20_000  # at pictures, in a fit
MANY = 1000  # pictures
AT_ONCE = 16  # pictures that are looked at together


class Collected:
    """How like their truth made pictures are, and what comes back of them like what was given.

    Of domains without pairs there may be no truth; what comes back is told of them alone.
    """

    def __init__(self) -> None:
        self.truth, self.returned = Likeness(), Likeness()

    def compute(self) -> dict[str, float]:
        """Flat figures; those of what came back as ``cycle_…``.

        Raises:
            NothingToMeasure: there are no pictures.
        """
        if not self.truth.samples + self.returned.samples:
            raise NothingToMeasure("there are no pictures of the domain that is translated")
        figures = self.truth.compute() if self.truth.samples else {}
        if self.returned.samples:
            came = self.returned.compute()
            figures |= {f"cycle_{name}": came[name] for name in ("l1", "ssim")}
        return figures


class Translate(Task):
    """A picture of one kind becomes the same of another kind.

    Args:
        method: whose outputs are read; None reads those of pairs.
    """

    name = "translate"
    headline = "ssim"
    description = "A picture of one kind becomes the same of another kind."
    rule = "stretch"
    measured = False
    pairing = "pix2pix"

    def __init__(self, method: Method | None = None) -> None:
        self.fitted = method

    def of(self, method: Method) -> Translate:
        """With what was given to the generator."""
        return Translate(method)

    def arranged(self, dataset: Dataset, settings: dict[str, Any]) -> Dataset:
        """Pairs in the direction that is asked for, or the pictures of two domains."""
        return arranged(dataset, settings)

    def defaults(
        self, survey: Survey, model: str | None, start: Start = "scratch"
    ) -> dict[str, Default]:
        """A small network at a size that a CPU can do."""
        apart = survey.format == "two-folders" and survey.classes == TWO
        entry = models.entry(model or ("cyclegan" if apart else "pix2pix"))
        two_ways = entry.method != "pix2pix"
        height, width = _size(survey, SMALL if two_ways else LARGEST, entry.smallest)
        seen = f"{survey.samples} pictures"
        epochs = int(min(400, max(8, LOOKS / max(1, survey.samples))))
        return {
            "model": Default(entry.name, "you named it" if model else _why(apart)),
            "size": Default(
                f"{height}x{width}",
                f"pictures of about {survey.height}×{survey.width}; the longer side at most "
                f"{max(height, width)}",
            ),
            **_balance(entry),
            "epochs": Default(epochs, f"{seen}: about {LOOKS:,} looks, 8 to 400 epochs"),
            "rate": Default(5e-4, "with averaged weights, more than the paper's 2e-4"),
            "ema": Default(0.998, "averaged weights are more like the truth than the last ones"),
            "channels": Default(3, "pictures that are made have colours"),
            "augment": _augmentation(survey),
        }

    def metrics(self, classes: Sequence[str]) -> Collected:
        """How like the truth the made pictures are, at the working size."""
        return Collected()

    def update(
        self, metrics: Collected, outputs: np.ndarray, pictures: Pictures, index: Tensor
    ) -> None:
        """RGB from 0 to 1, against what is true, and there and back against what was given."""
        mine = self._given(pictures, index)
        made, index = torch.from_numpy(outputs).clamp(0, 1)[mine], index[mine]
        if not len(index):
            return
        if isinstance(self.fitted, TwoWayMethod):
            with torch.inference_mode():
                came = self.fitted.returned(made.to(self.fitted.scale.device))
            metrics.returned.update(came.float().cpu(), gallery.images(pictures, index))
        if self._has_truth(pictures):
            metrics.truth.update(made, gallery.truth(pictures, index))

    def _given(self, pictures: Pictures, index: Tensor) -> Tensor:
        """(n,) bool, which pictures are to be translated: of two domains, those of one."""
        if not isinstance(self.fitted, TwoWayMethod):
            return torch.ones(len(index), dtype=torch.bool)
        return pictures.labels[index] == self.fitted.source

    def _has_truth(self, pictures: Pictures) -> bool:
        """Whether it is known what is to be made; of pairs that are made, it is the picture."""
        return pictures.targets is not None or not isinstance(self.fitted, TwoWayMethod)

    def details(self, metrics: Collected) -> dict[str, Any]:
        """Nothing beside."""
        return {}

    def baseline(
        self, method: Method, classes: Sequence[str], pictures: Pictures
    ) -> dict[str, float]:
        """Figures of what was given, left as it is; for gray pictures, of the mean colour too."""
        left = Likeness()
        places = torch.arange(len(pictures))
        places = places[self._given(pictures, places)]
        if not self._has_truth(pictures) or not len(places):
            return {}
        for index in places.split(AT_ONCE):
            shown = gallery.quantized(_shown(method, pictures, index))
            left.update(shown, gallery.truth(pictures, index))
        figures = {f"input_{name}": value for name, value in left.compute().items()}
        if getattr(method.config, "pairs", "") == "gray":
            figures["mean_ab_error"] = mean_colour_error(pictures)
        return figures

    def condensed(self, outputs: np.ndarray) -> np.ndarray:
        """(N, 3, h, w) uint8."""
        return as_bytes(outputs)

    def mistakes(
        self, classes: Sequence[str], outputs: np.ndarray, pictures: Pictures, most: int
    ) -> list[dict[str, Any]]:
        """The least like the truth."""
        places = torch.arange(len(pictures))
        places = places[self._given(pictures, places)]
        if not self._has_truth(pictures):
            return []
        parts = [_shown(self.fitted, pictures, part) for part in places.split(AT_ONCE)]
        shown = np.concatenate([gallery.quantized(part) for part in parts])
        return gallery.worst(shown, outputs[places.numpy()], pictures, places.tolist(), most)

    def illustrate(self, method: Method, pictures: Pictures) -> np.ndarray | None:
        """The first pictures, what is made of them, and what is true."""
        places = torch.arange(len(pictures))
        index = places[self._given(pictures, places)][: gallery.SHOWN]
        if not len(index):
            return None
        was_training = method.training
        method.eval()
        with torch.inference_mode():
            made = method.output(gallery.images(pictures, index).to(method.scale.device))
        method.train(was_training)
        true = gallery.truth(pictures, index).numpy() if self._has_truth(pictures) else None
        shown = gallery.quantized(_shown(method, pictures, index))
        return gallery.sheet(shown, gallery.quantized(made), true)


def mean_colour_error(pictures: Pictures) -> float:
    """The mean distance of colours from the mean colour of these very pictures, in Lab's a and b.

    Nobody who gives all pixels one colour knows a better mean: that of other pictures is farther off.
    """
    total, count = torch.zeros(2, dtype=torch.float64), 0
    parts = torch.arange(len(pictures)).split(AT_ONCE)
    for index in parts:
        total += _colours(pictures, index).sum((0, 2, 3))
        count += len(index)
    height, width = pictures.preparation.height, pictures.preparation.width
    mean = (total / (count * height * width)).view(1, 2, 1, 1)
    apart = sum(
        float(torch.linalg.vector_norm(_colours(pictures, index) - mean, dim=1).sum())
        for index in parts
    )
    return apart / (count * height * width)


def _colours(pictures: Pictures, index: Tensor) -> Tensor:
    """(n, 2, h, w) float64, a and b of what is true."""
    return rgb_to_lab(gallery.truth(pictures, index).double() / 255)[:, 1:]


def _shown(method: Method | None, pictures: Pictures, index: Tensor) -> Tensor:
    """(n, 3, h, w), 0 to 1, what is given of pictures; the pictures themselves without a method."""
    found = gallery.images(pictures, index)
    if method is None:
        return found.float() / 255
    return method.shown(found.to(method.scale.device))  # type: ignore[operator]


def _balance(entry: models.Entry) -> dict[str, Default]:
    if entry.method == "pix2pix":
        chosen = {"batch": Default(4, "many steps; batch norms want more than one picture")}
        if entry.name == "pix2pix":
            why = "in minutes, a whole one costs more likeness than sharpness is won"
            chosen["adversarial"] = Default(0.1, why)
        return chosen
    chosen = {"batch": Default(8, "four of each domain: many steps")}
    if entry.name == "cyclegan":
        chosen["identity"] = Default(0.0, "its generators begin with what they are given")
    return chosen


def _augmentation(survey: Survey) -> Default:
    """Enlarged pictures are blurred ones: where there are many, the pictures as they are do better."""
    if survey.samples >= MANY:
        return Default("none", f"{survey.samples:,} pictures: enlarging them would blur them")
    return Default("jitter", "mirrored, enlarged a little and cut, as in the paper")


def _why(apart: bool) -> str:
    return (
        "two folders without pairs" if apart else "learned from pairs, or from what is made pairs"
    )


def _size(survey: Survey, largest: int, smallest: int) -> tuple[int, int]:
    """Sides in the pictures' proportions, multiples of 32, the longer one at most ``largest``."""
    longer = max(survey.height, survey.width, 1)
    factor = min(1.0, max(largest, smallest) / longer)
    height, width = (
        max(smallest, STEP, STEP * round(side * factor / STEP))
        for side in (survey.height, survey.width)
    )
    return height, width


tasks.add("translate", Translate())
