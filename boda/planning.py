"""From a look at the data to the plan of a fit: what was chosen, by whom and why."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from boda import freezing, tasks
from boda.data import readers
from boda.data.classes import by_name
from boda.data.dataset import Pictures
from boda.data.identities import numbered, rotated
from boda.data.loading import Loaded
from boda.data.prepare import Preparation
from boda.data.split import arrange, labels_of
from boda.data.survey import Survey
from boda.data.transforms import policies
from boda.errors import UsageError
from boda.models import Entry
from boda.options import FitOptions, Plan, parse_settings, parse_size
from boda.tasks import Default, Method, Start, Task
from boda.tasks.segment.balance import balanced
from boda.types import Dataset

MEASURED = 4096  # pictures from which mean and deviation are computed


def with_pairs(
    task: Task, options: FitOptions, settings: dict[str, str]
) -> tuple[FitOptions, dict[str, str]]:
    """``--pairs`` as the setting that it is, of the network that makes them where none is named."""
    if options.pairs is None:
        return options, settings
    model = options.model or task.pairing or None
    return dataclasses.replace(options, model=model), {**settings, "pairs": options.pairs}


def start(options: FitOptions, look: Survey) -> Start:
    """What the fit begins with, for the task's choice of rates."""
    if options.weights is None:
        return "scratch"
    head = freezing.only_the_head(options.freeze, look.samples, weights=True)
    return "head" if head else "whole"


def choose(defaults: dict[str, Default], options: FitOptions) -> dict[str, Default]:
    """The task's defaults, with what the person chose in their place."""
    named = {"rate": options.lr, "batch": options.batch, "augment": options.augment}
    named |= {"size": options.size, "epochs": options.epochs}
    chosen = {name: Default(v, "you chose it") for name, v in named.items() if v is not None}
    if options.minutes is not None:
        defaults = {name: value for name, value in defaults.items() if name != "epochs"}
        chosen["minutes"] = Default(options.minutes, "you chose it")
    return defaults | chosen


def settle(
    task: Task,
    entry: Entry,
    defaults: dict[str, Default],
    options: FitOptions,
    settings: dict[str, str],
    of_weights: dict[str, Any],
) -> tuple[Plan, dict[str, Any], dict[str, Any], dict[str, Default]]:
    """Plan, the method's configuration, the network's options, and the choices.

    The task's defaults, then what was named, then ``--set``; the network's options are those
    ``of_weights`` where it starts from weights that name them.
    """
    kind = tasks.method(task.method_of(entry))
    plan_set, config_set, net_set = parse_settings(settings, Plan, kind.Config, entry.settings)
    named = plan_set | config_set | net_set
    chosen = {name: Default(v, "the weights are of it") for name, v in of_weights.items()}
    chosen |= {name: Default(v, "you chose it") for name, v in named.items()}
    if "minutes" in plan_set:
        defaults = {name: value for name, value in defaults.items() if name != "epochs"}
    defaults = defaults | chosen
    values = {name: default.value for name, default in defaults.items()}
    same = ("precision", "device", "devices", "nodes", "seed")
    values |= {name: getattr(options, name) for name in same if name not in plan_set}
    plan = Plan(**{n: v for n, v in values.items() if n in _fields(Plan)})
    policies[plan.augment]  # an unknown one is refused here
    if kind.still and plan.augment != "none":
        raise UsageError(f"--augment {plan.augment}: not for {entry.name}; {kind.still}.")
    config = {n: v for n, v in values.items() if n in _fields(kind.Config)}
    of_task = {n: v for n, v in values.items() if n in entry.options}
    sized = kind.sized(*parse_size(values["size"]))
    return (
        plan,
        dataclasses.asdict(kind.Config(**config)),
        entry.options | of_task | of_weights | net_set | sized,
        defaults,
    )


def _fields(kind: type) -> set[str]:
    return {field.name for field in dataclasses.fields(kind)}


def divide(
    dataset: Dataset, val: str | None, seed: int, rotations: bool = False
) -> tuple[Dataset, dict[str, Any]]:
    """The splits to work with, from the data alone or with other data to validate on.

    Args:
        dataset: as it was read.
        val: other data, "none", or None: some of this data.
        seed: decides which.
        rotations: whether the identities to learn from are turned too; see ``identities.rotated``.
    """
    divided, record = _divided(dataset, val, seed)
    if dataset.task != "match":
        return divided, record
    divided = numbered(divided)
    if rotations:
        divided = numbered(rotated(divided, ["train"]))
        record["rotations"] = "those of train are turned by 90°, 180° and 270° too, as others"
    count = {name: len(np.unique(labels_of(part))) for name, part in divided.splits.items()}
    return divided, record | {"identities": count}


def _divided(dataset: Dataset, val: str | None, seed: int) -> tuple[Dataset, dict[str, Any]]:
    if val in (None, "none"):
        return arrange(dataset, seed, val=val is None)
    assert val is not None
    arranged, record = arrange(dataset, seed, val=False)
    other = readers.read(val, task=dataset.task)
    if dataset.task != "match":  # whose val has others than train
        other = by_name(other, dataset.classes)
    samples = next(
        other.splits[name] for name in ("val", "test", "all", "train") if name in other.splits
    )
    splits = {**arranged.splits, "val": samples}
    record = {"rule": f"validated on {val}", "counts": {n: len(s) for n, s in splits.items()}}
    problems = dataset.problems + other.problems
    return dataclasses.replace(arranged, splits=splits, problems=problems), record


def with_measured_pixels(preparation: Preparation, train: Pictures) -> Preparation:
    """Mean and standard deviation of the training pictures, per channel, in 0..1."""
    positions = np.unique(np.linspace(0, len(train) - 1, min(MEASURED, len(train))).astype(int))
    if train.images is None:  # each has to be decoded
        positions = positions[:: max(1, len(positions) // 256)]
    # Whole numbers, summed picture by picture: exact, and in no more memory than one picture takes.
    total, squares, count = np.zeros(preparation.channels), np.zeros(preparation.channels), 0
    for index in positions:
        pixels = train.prepared(int(index)).astype(np.int64)
        total += pixels.sum((0, 1))
        squares += (pixels**2).sum((0, 1))
        count += pixels.shape[0] * pixels.shape[1]
    mean = total / count / 255
    std = np.sqrt(np.maximum(squares / count / 255**2 - mean**2, 0))
    return dataclasses.replace(
        preparation,
        mean=tuple(round(float(v), 4) for v in mean),
        std=tuple(round(float(v), 4) or 1.0 for v in std),
    )


def as_they_are(preparation: Preparation) -> Preparation:
    """Values from 0 to 1, neither centred nor scaled."""
    count = preparation.channels
    return dataclasses.replace(preparation, mean=(0.0,) * count, std=(1.0,) * count)


def class_weights(kind: type[Method], loaded: Loaded) -> tuple[float, ...]:
    """Weights of the loss, larger for rarer classes.

    Of pictures they are inverse to the number of each class, and their mean over pictures is 1; of
    pixels, see ``balanced``.

    Raises:
        UsageError: the method has no such weights.
    """
    if "class_weights" not in _fields(kind.Config):
        raise UsageError(
            f"--balance is for classify and segment: the loss of {kind.task} has no class weights."
        )
    train, count = loaded.pictures["train"], len(loaded.dataset.classes)
    if train.semantic is not None:
        return balanced(train.semantic, count)
    labels = labels_of(loaded.dataset.splits["train"])
    counts = np.bincount(labels, minlength=count).clip(1)
    weights = counts.sum() / (len(counts) * counts)
    return tuple(round(float(weight), 6) for weight in weights)
