"""A network with its weights and all that its use needs: from a run, or from somebody's file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from boda import models, tasks
from boda.data.prepare import Preparation
from boda.errors import UsageError
from boda.models import weights
from boda.predicting import Predictor
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
    def of_record(cls, record: dict[str, Any], fill: Callable[[nn.Module], None]) -> Trained:
        """The network of a run's record; ``fill`` gives it the run's weights."""
        method = build(record)
        fill(method.net)
        preparation = Preparation.from_dict(record["preparation"])
        return cls(record["task"], record["model"], record["classes"], preparation, method.eval())

    @classmethod
    def of_model(
        cls, model: str, file: str | Path | None = None, classes: Sequence[str] | None = None
    ) -> Trained:
        """A registered network with weights from a file, or with random ones, always the same.

        Without names its classes are numbers; its pictures are of the paper's size.
        """
        entry = models.entry(model)
        about = weights.about(file) if file is not None and Path(file).is_file() else None
        options: dict[str, Any] = {}
        if about is not None:  # a run's own weights say what they are for
            options = about["options"]
            if classes is not None and list(classes) != about["classes"]:
                raise UsageError(f"{file} has other classes: {', '.join(about['classes'][:20])}.")
            names, preparation = about["classes"], Preparation.from_dict(about["preparation"])
        else:
            names = list(classes) if classes else [str(number) for number in range(entry.classes)]
            # Values about zero, where nothing is known about the pictures it was fitted to.
            middle, spread = (0.5,) * entry.channels, (0.25,) * entry.channels
            preparation = Preparation(*entry.size, entry.channels, mean=middle, std=spread)
            if len(names) != entry.classes:
                raise UsageError(f"{model} has {entry.classes} classes, the data has {len(names)}.")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            net = models.create(model, classes=len(names), channels=preparation.channels, **options)
        if file is not None:
            layout, new = weights.load(net, file)
            if new:
                raise UsageError(
                    f"{file} has another number of classes than {model}'s {len(names)}."
                )
            preparation = weights.with_layout(preparation, layout)
        kind = tasks.method(entry.method)
        method = kind(net, preparation, kind.Config()).eval()
        return cls(entry.task, model, names, preparation, method)

    def predictor(self) -> Predictor:
        """For pictures from outside."""
        return Predictor(self.run, self.task, self.classes, self.preparation)

    def run(self, images: np.ndarray) -> np.ndarray:
        """The network's outputs for (N, 3, H, W) uint8 pictures."""
        with torch.inference_mode():
            device = self.method.scale.device
            return self.method.output(torch.from_numpy(images).to(device)).cpu().numpy()


def build(record: dict[str, Any]) -> Method:
    """The method of a record, with new weights that follow from its seed."""
    kind = tasks.method(record["method"])
    preparation = Preparation.from_dict(record["preparation"])
    with torch.random.fork_rng(devices=[]):  # the person's own random numbers stay theirs
        torch.manual_seed(record["seed"])
        net = models.create(
            record["model"],
            classes=len(record["classes"]),
            channels=preparation.channels,
            **record["options"],
        )
    config = dict(record["config"])
    if "class_weights" in config:  # JSON has no tuples
        config["class_weights"] = tuple(config["class_weights"])
    return kind(net, preparation, kind.Config(**config))
