"""A network with its weights, and all that is needed to use it: from a run, or from somebody's file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from boda import models, tasks
from boda.data.prepare import Preparation
from boda.errors import UsageError
from boda.models import weights
from boda.predicting import Predictor
from boda.runs import Run
from boda.tasks import Method


@dataclass
class Trained:
    """A network that can be used.

    Attributes:
        task, model: names.
        classes: names, in the order of the output.
        preparation: how pictures are brought to the network.
        method: the network with its output, in float32, in evaluation mode.
    """

    task: str
    model: str
    classes: list[str]
    preparation: Preparation
    method: Method

    @classmethod
    def of_run(cls, run: Run, device: str = "cpu") -> Trained:
        """The best weights of a run."""
        method = build(run.record)
        run.load_weights(method.net)
        return cls(
            run.record["task"],
            run.record["model"],
            run.classes,
            run.preparation,
            method.to(device).eval(),
        )

    @classmethod
    def of_file(cls, model: str, file: str | Path, classes: Sequence[str] | None = None) -> Trained:
        """A registered network with weights from a file; without names its classes are numbers."""
        entry = models.entry(model)
        net = entry.build(classes=entry.classes, channels=entry.channels)
        layout, new = weights.load(net, file)
        if new:
            raise UsageError(
                f"{file} is for another number of classes than {model}'s {entry.classes}."
            )
        preparation = Preparation(*entry.size, channels=entry.channels, **_middle(entry.channels))
        preparation = weights.with_layout(preparation, layout)
        kind = tasks.method(entry.method)
        names = list(classes) if classes else [str(number) for number in range(entry.classes)]
        if len(names) != entry.classes:
            raise UsageError(f"{model} has {entry.classes} classes, the data has {len(names)}.")
        return cls(
            entry.task, model, names, preparation, kind(net, preparation, kind.Config()).eval()
        )

    def predictor(self) -> Predictor:
        """For pictures from outside."""
        return Predictor(self.run, self.task, self.classes, self.preparation)

    def run(self, images: np.ndarray) -> np.ndarray:
        """The network's outputs for (N, 3, H, W) uint8 pictures."""
        with torch.inference_mode():
            device = self.method.scale.device
            return self.method.output(torch.from_numpy(images).to(device)).cpu().numpy()


def build(record: dict[str, Any]) -> Method:
    """The method of a record, with new weights."""
    kind = tasks.method(record["method"])
    preparation = Preparation.from_dict(record["preparation"])
    net = models.create(
        record["model"], classes=len(record["classes"]), channels=preparation.channels
    )
    config = dict(record["config"])
    if "class_weights" in config:  # JSON has no tuples
        config["class_weights"] = tuple(config["class_weights"])
    return kind(net, preparation, kind.Config(**config))


def _middle(channels: int) -> dict[str, Any]:
    """Values about zero, where nothing is known about the pictures a network was fitted to."""
    return {"mean": (0.5,) * channels, "std": (0.25,) * channels}
