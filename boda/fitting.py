"""A fit from the request to the report: read, look, choose, check, fit, measure.

Nothing is written before the data has been found good.
"""

from __future__ import annotations

import dataclasses
import os
import platform
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import boda
from boda import models, report, tasks
from boda.data import readers
from boda.data.classes import by_name
from boda.data.dataset import Pictures
from boda.data.loading import Loaded, load
from boda.data.prepare import Preparation
from boda.data.split import arrange, labels_of
from boda.data.survey import survey
from boda.data.transforms import policies
from boda.engine import Engine, choose_precision, launch
from boda.errors import DataError, UsageError
from boda.evaluating import evaluate
from boda.models import weights
from boda.options import FitOptions, Plan, parse_settings, parse_size
from boda.progress import Progress
from boda.runs import WEIGHTS, Run, next_folder, refuse_used
from boda.tasks import Default, Method
from boda.trained import Trained, build
from boda.types import Dataset

MEASURED = 4096  # pictures from which mean and deviation are computed
PROBLEMS = 200  # warnings that a record keeps


def fit(
    task_name: str,
    data: str | Path,
    options: FitOptions,
    settings: dict[str, str],
    out: str | Path | None,
    progress: Progress,
) -> Run:
    """Fit a new run; see ``boda.api.fit``."""
    began = time.monotonic()
    task = tasks.task(task_name)
    if out is not None:
        refuse_used(Path(out))
    dataset = readers.read(data, options.format, task.name)
    look = survey(dataset)
    defaults = _choose(task.defaults(look, options.model), options)
    entry = models.entry(defaults["model"].value)
    if entry.task != task.name:
        raise UsageError(f"{entry.name} is a network for {entry.task}, not for {task.name}.")
    kind = tasks.method(entry.method)
    plan, config = _settle(kind, defaults, options, settings)
    height, width = parse_size(defaults["size"].value)
    channels = defaults["channels"].value
    preparation = Preparation(
        height, width, channels, task.rule, (0.5,) * channels, (0.25,) * channels
    )
    dataset, split = _splits(dataset, options.val, options.seed)
    loaded = load(dataset, preparation, options.drop, progress)
    preparation = _measured(preparation, loaded.pictures["train"])
    if options.balance:
        config["class_weights"] = _balanced(loaded)

    fabric = launch(plan)
    progress.quiet = progress.quiet or not fabric.is_global_zero
    folder = fabric.broadcast(Path(out) if out is not None else next_folder(task.name))
    record = {
        "run": str(folder),
        "task": task.name,
        "method": entry.method,
        "model": entry.name,
        "classes": loaded.dataset.classes,
        "preparation": preparation.to_dict(),
        "config": config,
        "plan": dataclasses.asdict(plan),
        "defaults": {name: dataclasses.asdict(default) for name, default in defaults.items()},
        "seed": plan.seed,
        "data": {
            "root": str(Path(data).resolve()),
            "format": dataset.format,
            "val": options.val,
            "drop": options.drop,
            "fingerprint": loaded.report.fingerprint,
            "splits": {name: len(samples) for name, samples in loaded.dataset.splits.items()},
            "class_counts": _class_counts(loaded.dataset),
        },
        "split": split,
        "check": {
            "problems": [p.to_dict() for p in loaded.report.warnings[:PROBLEMS]],
            "warnings": len(loaded.report.warnings),
            "dropped": loaded.dropped,
            "sizes": loaded.report.sizes,
        },
        "command": _command(),
        **_environment(fabric, plan),
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        method = build(record)
    if options.weights:
        _start_from(method, options.weights, record, progress)
    _try(method, preparation)
    run = Run.create(folder, record) if fabric.is_global_zero else Run(folder, record)
    _announce(run, loaded, defaults, progress)
    return _go(run, method, loaded, Engine(run, fabric, plan, progress, began), progress)


def resume(
    folder: str | Path,
    data: str | Path | None,
    epochs: int | None,
    minutes: float | None,
    progress: Progress,
) -> Run:
    """Go on with a run where it stands; see ``boda.api.fit``."""
    began = time.monotonic()
    run = Run.open(folder)
    record = run.record
    plan = _extended(Plan(**record["plan"]), epochs, minutes, progress)
    about = record["data"]
    if data is not None:
        about["root"] = str(Path(data).resolve())
    dataset = data_of(run)
    loaded = load(dataset, run.preparation, about["drop"], progress)
    if loaded.report.fingerprint != about["fingerprint"]:
        raise DataError(
            "the data has changed since the run began: pictures, labels or splits are other ones",
            file=about["root"],
            fix=f"Restore it, or fit anew; weights can be kept with --weights {run.path}.",
        )
    fabric = launch(plan)
    progress.quiet = progress.quiet or not fabric.is_global_zero
    record["plan"], record["finished"] = dataclasses.asdict(plan), False
    if fabric.is_global_zero:
        run.save_record()
    return _go(run, build(record), loaded, Engine(run, fabric, plan, progress, began), progress)


def data_of(run: Run) -> Dataset:
    """The data of a run, in the splits it was fitted with."""
    about = run.record["data"]
    dataset = readers.read(about["root"], about["format"])
    return _splits(dataset, about["val"], run.record["seed"])[0]


def _go(run: Run, method: Method, loaded: Loaded, engine: Engine, progress: Progress) -> Run:
    """Fit, then measure the best weights on val and write the report."""
    task = tasks.task(run.record["task"])
    val = loaded.pictures.get("val")
    with progress.working("fitting"):
        engine.fit(method, task, loaded.pictures["train"], val)
    run.leading = engine.fabric.is_global_zero
    if not run.leading:
        return run
    gallery: list[dict[str, Any]] = []
    if val is not None:
        figures, gallery = evaluate(Trained.of_run(run), val)
        run.save_evaluation({"split": "val", **figures})
        run.record["metrics"] = figures["metrics"]
        run.save_record()
    report.write_report(run.report, run.record, run.history(), run.evaluation(), gallery)
    return run


def _choose(defaults: dict[str, Default], options: FitOptions) -> dict[str, Default]:
    """The task's defaults, with what the person chose in their place."""
    named = {"rate": options.lr, "batch": options.batch, "augment": options.augment}
    named |= {"size": options.size, "epochs": options.epochs}
    chosen = {name: Default(v, "you chose it") for name, v in named.items() if v is not None}
    if options.minutes is not None:
        defaults = {name: value for name, value in defaults.items() if name != "epochs"}
        chosen["minutes"] = Default(options.minutes, "you chose it")
    return defaults | chosen


def _settle(
    kind: type[Method], defaults: dict[str, Default], options: FitOptions, settings: dict[str, str]
) -> tuple[Plan, dict[str, Any]]:
    """The plan and the method's configuration: defaults, then options, then ``--set``."""
    plan_set, config_set = parse_settings(settings, Plan, kind.Config)
    values = {name: default.value for name, default in defaults.items()}
    same = ("precision", "device", "devices", "nodes", "seed")
    values |= {name: getattr(options, name) for name in same}
    plan = Plan(**{n: v for n, v in values.items() if n in _fields(Plan)} | plan_set)
    policies[plan.augment]  # an unknown one is refused here
    config = {n: v for n, v in values.items() if n in _fields(kind.Config)} | config_set
    return plan, dataclasses.asdict(kind.Config(**config))


def _fields(kind: type) -> set[str]:
    return {field.name for field in dataclasses.fields(kind)}


def _splits(dataset: Dataset, val: str | None, seed: int) -> tuple[Dataset, dict[str, Any]]:
    """The splits to work with, from the data alone or with other data to validate on."""
    if val in (None, "none"):
        return arrange(dataset, seed, val=val is None)
    assert val is not None
    arranged, record = arrange(dataset, seed, val=False)
    other = by_name(readers.read(val, task=dataset.task), dataset.classes)
    samples = next(
        other.splits[name] for name in ("val", "test", "all", "train") if name in other.splits
    )
    splits = {**arranged.splits, "val": samples}
    record = {"rule": f"validated on {val}", "counts": {n: len(s) for n, s in splits.items()}}
    problems = dataset.problems + other.problems
    return dataclasses.replace(arranged, splits=splits, problems=problems), record


def _measured(preparation: Preparation, train: Pictures) -> Preparation:
    """Mean and standard deviation of the training pictures, per channel, in 0..1."""
    positions = np.unique(np.linspace(0, len(train) - 1, min(MEASURED, len(train))).astype(int))
    if train.images is not None:
        pixels = train.images[torch.from_numpy(positions)].numpy()
    else:
        few = positions[:: max(1, len(positions) // 256)]
        pixels = np.stack([train.prepared(int(i)) for i in few]).transpose(0, 3, 1, 2)
    values = pixels.astype(np.float32) / 255
    mean, std = values.mean((0, 2, 3)), values.std((0, 2, 3))
    return dataclasses.replace(
        preparation,
        mean=tuple(round(float(v), 4) for v in mean),
        std=tuple(round(float(v), 4) or 1.0 for v in std),
    )


def _balanced(loaded: Loaded) -> tuple[float, ...]:
    """Weights of the loss inverse to the number of pictures of each class; their mean over pictures is 1."""
    labels = labels_of(loaded.dataset.splits["train"])
    counts = np.bincount(labels, minlength=len(loaded.dataset.classes)).clip(1)
    weights_ = counts.sum() / (len(counts) * counts)
    return tuple(round(float(weight), 6) for weight in weights_)


def _try(method: Method, preparation: Preparation) -> None:
    """One empty picture through the network: a size it cannot take is refused before anything is written."""
    shape = (1, preparation.channels, preparation.height, preparation.width)
    with torch.inference_mode():
        method.eval().output(torch.zeros(shape, dtype=torch.uint8))


def _start_from(method: Method, source: str, record: dict[str, Any], progress: Progress) -> None:
    """Fill the network from a file or a run, and take over the preparation that the weights expect."""
    path = Path(source)
    file = path / WEIGHTS if path.is_dir() else path
    layout, new = weights.load(method.net, file)
    preparation = weights.with_layout(Preparation.from_dict(record["preparation"]), layout)
    if path.is_dir():
        theirs = Run.open(path).preparation
        preparation = dataclasses.replace(preparation, mean=theirs.mean, std=theirs.std)
    record["preparation"] = preparation.to_dict()
    method.set_normalization(preparation)
    record["weights"] = {"file": str(file), "layout": layout.name, "new": new}
    progress.say(f"weights of {file} ({layout.name}); normalized as they expect")
    if new:
        progress.say(f"another number of classes: {', '.join(new)} start anew")


def _extended(plan: Plan, epochs: int | None, minutes: float | None, progress: Progress) -> Plan:
    """The plan with more epochs or minutes, where they are asked for."""
    if epochs is None and minutes is None:
        return plan
    before = f"{plan.minutes:g} minutes" if plan.minutes else f"{plan.epochs} epochs"
    plan = dataclasses.replace(plan, epochs=epochs, minutes=minutes)
    after = f"{minutes:g} minutes" if minutes else f"{epochs} epochs"
    progress.say(f"the schedule is extended from {before} to {after}; the learning rate follows it")
    return plan


def _announce(run: Run, loaded: Loaded, defaults: dict[str, Default], progress: Progress) -> None:
    counts = ", ".join(f"{len(s):,} {name}" for name, s in loaded.dataset.splits.items())
    progress.say(f"{loaded.dataset.root}: {counts} pictures, {len(run.classes)} classes")
    for name, default in defaults.items():
        value = f"{default.value:g}" if isinstance(default.value, float) else str(default.value)
        progress.say(f"  {name:<15}{value:<18}{default.reason}")
    if loaded.dropped:
        progress.say(f"left out: {sum(loaded.dropped.values())} records with errors")
    for problem in loaded.report.warnings[:5]:
        progress.say(f"warning: {problem}")
    if len(loaded.report.warnings) > 5:
        progress.say(f"… and {len(loaded.report.warnings) - 5} more warnings, in the report")
    if loaded.note:
        progress.say(loaded.note)


def _class_counts(dataset: Dataset) -> dict[str, int]:
    """Training pictures of each class."""
    counts = np.bincount(labels_of(dataset.splits["train"]), minlength=len(dataset.classes))
    return dict(zip(dataset.classes, counts.tolist(), strict=True))


def _command() -> str:
    """What was typed, so that it can be typed again."""
    if Path(sys.argv[0]).name in ("boda", "__main__.py"):
        return shlex.join(["boda", *sys.argv[1:]])
    return "boda.fit in Python"


def _environment(fabric: Any, plan: Plan) -> dict[str, Any]:
    """What the result may depend on beside the record."""
    return {
        "device": str(fabric.device),
        "processes": fabric.world_size,
        "precision": choose_precision(plan.precision, fabric.device.type),
        "threads": torch.get_num_threads(),
        "processors": os.cpu_count(),
        "system": platform.platform(),
        "versions": {
            "boda": boda.__version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }
