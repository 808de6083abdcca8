"""A network with its weights and all that its use needs: from a run, or from somebody's file."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from boda import models, tasks
from boda.data.prepare import Preparation
from boda.errors import UsageError
from boda.models import state_files, weights
from boda.models.layouts import marked
from boda.models.published import WORD, locate, recognize
from boda.models.weights import Weights
from boda.options import parse_settings
from boda.predicting import Predictor
from boda.progress import Progress
from boda.tasks import Method
from boda.types import Dataset

GENERATOR = "generator"  # the part of an adversary's network that may start from another's weights


@dataclass
class Trained:
    """A network that can be used.

    Attributes:
        task, model: names.
        classes: names, in the order of the output.
        preparation: how pictures are brought to the network.
        method: the network with its output, in float32, in evaluation mode.
        named: whether the classes' names are known, and not assumed or numbers.
        options: of the network.
    """

    task: str
    model: str
    classes: list[str]
    preparation: Preparation
    method: Method
    named: bool = True
    options: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of_record(cls, record: dict[str, Any], fill: Callable[[nn.Module], None]) -> Trained:
        """The network of a run's record; ``fill`` gives it the run's weights."""
        method = build(record)
        fill(method.net)
        preparation = Preparation.from_dict(record["preparation"])
        return cls(
            record["task"],
            record["model"],
            record["classes"],
            preparation,
            method.eval(),
            options=record["options"],
        )

    @classmethod
    def of_model(
        cls, model: str, source: str | Path | None = None, progress: Progress | None = None
    ) -> Trained:
        """A registered network with weights, or with random ones, always the same.

        Args:
            model: its name.
            source: whose weights; see ``published.locate``. Sizes, channels and classes that the
                file does not tell are the paper's.
            progress: told whose weights they are, and what was assumed.

        Raises:
            UsageError: there is no such network, or there are no such weights, or they are of a run
                for another task.
            DataError: the weights cannot be fetched or read, or are another network's.
        """
        entry = models.entry(model)
        if source is None:
            preparation = _unknown(entry, entry.channels)
            method = _method(entry, preparation, entry.classes, {})
            return cls(entry.task, model, _numbers(entry.classes), preparation, method, False)
        progress = progress or Progress(quiet=True)
        found = find_weights(model, source, progress)
        channels, count = found.channels or entry.channels, found.classes or entry.classes
        said, layout = found.about, found.layout
        if said is not None and said["task"] != entry.task:
            raise UsageError(
                f"{source} has the weights of a run for {said['task']}, which needs more of its run "
                "than them. Name the run's folder itself."
            )
        if said is not None:  # a run's own weights say what they are for
            names, preparation = said["classes"], Preparation.from_dict(said["preparation"])
        else:
            names = layout.names(count) or _numbers(count)
            preparation = weights.prepared(_unknown(entry, channels), layout)
        method = _method(entry, preparation, len(names), said or {})
        weights.fill(method.net, found)
        progress.say(found.tell())
        progress.say(f"pictures: {preparation}")
        if names == _numbers(count) and said is None:
            progress.say("they do not name their classes: those are numbers here")
        if changes := found.tell_changes():
            progress.say(changes)
        options = (said or {}).get("options") or entry.options
        return cls(method.task, model, names, preparation, method, layout.sure, options)

    def predictor(self) -> Predictor:
        """For pictures from outside.

        Raises:
            UsageError: it makes pictures of noise.
        """
        if self.task == "generate":
            raise UsageError(
                f"{self.model} looks at no pictures, it makes some: boda generate RUN --out DIR"
            )
        return Predictor(self.run, self.task, self.classes, self.preparation, self.reach)

    def adjust(self, settings: dict[str, str]) -> None:
        """Choose settings anew, as ``--set`` names them.

        Raises:
            UsageError: a setting that this method does not have, or that its weights hang on.
        """
        kind = type(self.method)
        (found,) = parse_settings(settings, kind.Config)
        for name in found:
            if name not in kind.adjustable:
                free = ", ".join(kind.adjustable) or "none"
                raise UsageError(
                    f"--set {name}: of what was fitted, it stays. Free are: {free}. Fit anew with it."
                )
        self.method.config = replace(self.method.config, **found)

    def arranged(self, dataset: Dataset) -> Dataset:
        """The data as this network is measured on it; see ``Task.arranged``."""
        settings = self.options | asdict(self.method.config)
        return tasks.task(self.task).arranged(dataset, settings)

    @property
    def reach(self) -> int:
        """How far around a pixel the network looks, in pixels; 0 where it does not tell."""
        return int(getattr(self.method.net, "reach", 0))

    def run(self, images: np.ndarray) -> np.ndarray:
        """The network's outputs for (N, 3, H, W) uint8 pictures."""
        with torch.inference_mode():
            device = self.method.scale.device
            return self.method.output(torch.from_numpy(images).to(device)).cpu().numpy()


def find_weights(
    model: str, source: str | Path, progress: Progress, options: dict[str, Any] | None = None
) -> Weights:
    """The weights that ``--weights`` means for a network, read but not yet in it.

    Args:
        model: its registered name.
        source: see ``published.locate``.
        progress: told how far the fetching is.
        options: of the network; by default those that the file tells, else the paper's.
    """
    with torch.device("meta"):
        outline = models.create(model, **(options or {}))
    backbone = getattr(outline, "backbone", None)
    begins = models.entry(model).begins
    official = backbone.name if backbone is not None and source == WORD else model
    file = locate(source, official, progress)
    said = state_files.about(file) if file.is_file() else None
    if begins and said is not None and said["model"] == begins:
        part = getattr(outline, GENERATOR)
        return replace(weights.read(file, part, begins), part=GENERATOR, classes=None)
    if backbone is not None and not _whole(file, model, said):
        with torch.device("meta"):
            whole = backbone.whole(backbone.channels)
        return replace(weights.read(file, whole, backbone.name), of_backbone=True, classes=None)
    if options is None and said is not None and said["model"] == model and said["options"]:
        with torch.device("meta"):
            outline = models.create(model, **said["options"])
    return weights.read(file, outline, model)


def _whole(file: Path, model: str, said: dict[str, Any] | None) -> bool:
    """Whether weights are of all of a network with a backbone, and not a classifier's for that alone."""
    if said is not None:
        return bool(said["model"] == model)
    return any(name.startswith("backbone.") for name in state_files.read_state(file))


def whose(source: str | Path) -> tuple[str | None, dict[str, Any]]:
    """The network that weights on this disk say they are of, with its options; None where they do not say."""
    path = Path(source)
    file = path / "model.safetensors" if path.is_dir() else path
    if not file.is_file():
        return None, {}
    if said := state_files.about(file):
        return said["model"], said["options"]
    if row := recognize(file):
        return row.model, {}
    layout = marked(state_files.read_state(file))
    stored_so = [name for name in models.names() if re.fullmatch(layout.models, name)]
    return (stored_so[0] if len(stored_so) == 1 else None), {}


def _unknown(entry: models.Entry, channels: int) -> Preparation:
    """The task's rule, and values about zero: nothing is known of what a network was fitted to."""
    middle, spread = (0.5,) * channels, (0.25,) * channels
    rule = tasks.task(entry.task).rule
    return Preparation(*entry.size, channels, rule, middle, spread)


def _numbers(count: int) -> list[str]:
    return [str(number) for number in range(count)]


def _method(
    entry: models.Entry, preparation: Preparation, classes: int, said: dict[str, Any]
) -> Method:
    """A method around random weights, always the same, in evaluation mode.

    ``said`` is what a run's weights say of themselves: method, options and configuration are theirs.
    """
    kind = tasks.method(said.get("method", entry.method))
    with torch.random.fork_rng(devices=[]):  # the person's own random numbers stay theirs
        torch.manual_seed(0)
        net = models.create(
            entry.name,
            classes=kind.values(classes),
            channels=preparation.channels,
            **said.get("options", {}),
        )
    return kind(net, preparation, kind.Config(**_tuples(said.get("config", {})))).eval()


def _tuples(config: dict[str, Any]) -> dict[str, Any]:
    """JSON has no tuples."""
    return {n: tuple(v) if isinstance(v, list) else v for n, v in config.items()}


def network(record: dict[str, Any]) -> nn.Module:
    """The network of a record, with new random weights."""
    classes = tasks.method(record["method"]).values(len(record["classes"]))
    channels = record["preparation"]["channels"]
    return models.create(record["model"], classes=classes, channels=channels, **record["options"])


def build(record: dict[str, Any]) -> Method:
    """The method of a record, with new weights that follow from its seed."""
    kind = tasks.method(record["method"])
    preparation = Preparation.from_dict(record["preparation"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(record["seed"])
        net = network(record)
    method = kind(net, preparation, kind.Config(**_tuples(record["config"])))
    if frozen := record.get("freeze", {}).get("blocks", 0):
        method.freeze(frozen)
    return method
