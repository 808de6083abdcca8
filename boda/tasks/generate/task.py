"""The task: new pictures, measured by how far they are from real ones as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from boda import models
from boda.contact_sheet import picture_grid
from boda.data.dataset import Pictures
from boda.data.survey import Survey
from boda.errors import DataError, UsageError
from boda.outputs import as_bytes
from boda.tasks.base import Default, Method, Start, Task, tasks
from boda.tasks.generate import samples
from boda.tasks.generate.adversarial import Adversarial
from boda.tasks.generate.features import Features, Pixels
from boda.tasks.generate.fidelity import Likeness, collapse
from boda.types import Dataset

SIDES = 28, 32, 64  # pixels
MODEL = "dcgan"
LOOKS = 600_000  # at pictures, in a fit
FEW = 5000  # pictures, which a discriminator soon knows by heart
GRID = 64  # made pictures that are shown


class Generate(Task):
    """New pictures, like those of a folder.

    Args:
        features: what pictures are compared by.
    """

    name = "generate"
    headline = "fid"
    smaller = True
    description = "New pictures, like those of a folder."
    rule = "crop"
    measured = False

    def __init__(self, features: Features | None = None) -> None:
        self.features: Features = features or Pixels()

    def of(self, method: Method) -> Task:
        """This task with the judge that was named."""
        assert isinstance(method, Adversarial)
        return Generate(method.judge)

    def defaults(
        self, survey: Survey, model: str | None, start: Start = "scratch"
    ) -> dict[str, Default]:
        """A DCGAN, at a size and a width that a CPU can do."""
        entry = models.entry(model or MODEL)
        if entry.name.endswith("-conditional") and not survey.classes:
            raise UsageError(
                f"{entry.name} is told classes, and these pictures have none. Put them into class "
                f"folders, or take {entry.name.removesuffix('-conditional')}."
            )
        shorter = min(survey.height, survey.width)
        side = max((each for each in SIDES if each <= shorter), default=SIDES[0])
        few = survey.samples < FEW
        epochs = int(min(1000, max(5, LOOKS / max(1, survey.samples))))
        return {
            "model": Default(entry.name, "you named it" if model else "convolutions up and down"),
            "size": Default(
                side, f"pictures of about {survey.height}×{survey.width}; 28, 32 or 64"
            ),
            **(_convolutions() if "norm" in entry.options else _dense()),
            "batch": Default(
                16 if few else 64, "few pictures: many steps all the same" if few else "many steps"
            ),
            "diffaugment": Default(
                few,
                f"the discriminator {'soon knows' if few else 'cannot know'} {survey.samples:,} "
                "pictures by heart",
            ),
            "epochs": Default(epochs, f"{survey.samples} pictures: about {LOOKS:,} looks"),
            "ema": Default(0.999, "an averaged generator draws cleaner than the last one"),
            "channels": Default(
                1 if survey.gray else 3, "gray pictures" if survey.gray else "colour"
            ),
            "augment": Default(
                "none", "what the pictures are made to be, the generator would draw"
            ),
        }

    def arranged(self, dataset: Dataset, settings: dict[str, Any]) -> Dataset:
        """As it is; a single picture has no spread that could be compared.

        Raises:
            DataError: there is one alone in val.
        """
        if len(dataset.splits.get("val") or ()) == 1:
            raise DataError(
                "val has one picture, and FID is of two at least",
                file=dataset.root,
                fix="Give it more, or fit with --val none.",
            )
        return dataset

    def metrics(self, classes: Sequence[str]) -> Likeness:
        """FID, KID and diversity."""
        return Likeness(self.features)

    def update(
        self, metrics: Likeness, outputs: np.ndarray, pictures: Pictures, index: Tensor
    ) -> None:
        """As many made pictures as real ones."""
        if pictures.images is not None:
            real = pictures.images[index].numpy()
        else:
            real = np.stack([pictures.prepared(i).transpose(2, 0, 1) for i in index.tolist()])
        metrics.update(real, as_bytes(outputs))

    def details(self, metrics: Likeness) -> dict[str, Any]:
        """By which features, and with a judge how often each class was drawn."""
        return metrics.details()

    def condensed(self, outputs: np.ndarray) -> np.ndarray:
        """Nothing: no made picture is wrong."""
        return np.zeros((len(outputs), 0), np.uint8)

    def mistakes(
        self, classes: Sequence[str], outputs: np.ndarray, pictures: Pictures, most: int
    ) -> list[dict[str, Any]]:
        """None: a made picture is of no real one."""
        return []

    def illustrate(self, method: Method, pictures: Pictures) -> np.ndarray | None:
        """Made pictures, always of the same noise; of classes in turn where there are some."""
        assert isinstance(method, Adversarial)
        columns = min(method.classes, 10) or 8
        count = columns * (GRID // columns)
        made = samples.pictures(
            method, samples.drawn(method, count, seed=0), samples.in_turn(method, count)
        )
        return picture_grid(made, columns)

    def remark(self, row: dict[str, Any]) -> str:
        """Whether the generator has collapsed."""
        return collapse(row.get("train_diversity"))


def _convolutions() -> dict[str, Default]:
    """What was quickest on a part of MNIST's train that was held back."""
    return {
        "width": Default(32, "half the paper's: several times as many looks in the same minutes"),
        "norm": Default("spectral", "the discriminator stays a help to the generator"),
        "loss": Default("hinge", "usual with spectral norms"),
        "rate": Default(5e-4, "spectral norms allow larger steps than the paper's 2e-4"),
        "pace": Default(3.0, "the discriminator learns three times as fast"),
    }


def _dense() -> dict[str, Default]:
    return {
        "width": Default(1200, "that of the authors' program"),
        "loss": Default("non-saturating", "the paper's own advice"),
        "rate": Default(2e-4, "usual for Adam's steps of adversaries"),
    }


tasks.add("generate", Generate())
