"""A fit from the request to the report: read, look, choose, check, fit, measure.

Nothing is written before the data has been found good.
"""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import torch

from boda import features, models, planning, remembering, report, starting, tasks
from boda.data import readers
from boda.data.dataset import Batch, Pictures
from boda.data.identities import learned, names_in
from boda.data.loading import Loaded, load
from boda.data.prepare import Preparation
from boda.data.survey import Survey, survey
from boda.engine import Engine
from boda.errors import DataError, UsageError
from boda.evaluating import evaluate
from boda.launching import launch
from boda.machine import choose_device, choose_precision, deterministic
from boda.options import FitOptions, Plan, parse_size
from boda.progress import Progress
from boda.runs import Run, next_folder, refuse_used
from boda.tasks import Default, Method, Stage, Task
from boda.trained import build, find_weights, whose
from boda.types import Dataset

PROBLEMS = 200  # warnings that a record keeps
FEW = 4  # numbers that are told one by one


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
    options, settings = planning.with_pairs(task, options, settings)
    if out is not None:
        refuse_used(Path(out))
    dataset = readers.read(data, options.format, task.name)
    look = survey(dataset)
    entry, plan, config, net_options, defaults = _decide(task, look, options, settings)
    method_name = task.method_of(entry)
    _refuse_early(plan, tasks.method(method_name), config, len(dataset.classes))
    height, width = parse_size(defaults["size"].value)
    found = None
    if options.weights:
        found = find_weights(entry.name, options.weights, progress, net_options)
        if found.channels:
            defaults["channels"] = Default(found.channels, "the weights expect them")
    channels = defaults["channels"].value
    preparation = Preparation(
        height, width, channels, task.rule, (0.5,) * channels, (0.25,) * channels
    )
    rotations = config.get("rotations", False)
    dataset, split = planning.divide(dataset, options.val, plan.seed, rotations)
    dataset = task.arranged(dataset, net_options | config)
    loaded = load(dataset, preparation, options.drop, progress)
    if task.measured:
        preparation = planning.with_measured_pixels(preparation, loaded.pictures["train"])
    else:
        preparation = planning.as_they_are(preparation)
    # Of whom a network is to tell apart, it knows those it has learned from.
    classes = learned(loaded.dataset) if task.name == "match" else loaded.dataset.classes
    validated = names_in(loaded.dataset, "val") if task.name == "match" else []
    kind = tasks.method(method_name)
    for name, default in _learned(kind, loaded, net_options, options.balance).items():
        if name not in settings:
            config[name], defaults[name] = default.value, default

    fabric = launch(plan)
    progress.quiet = progress.quiet or not fabric.is_global_zero
    folder = fabric.broadcast(Path(out) if out is not None else next_folder(task.name))
    record = {
        "run": str(folder),
        "task": task.name,
        "headline": task.headline,
        "method": method_name,
        "model": entry.name,
        "options": net_options,
        "exports": not kind.unexportable,
        "classes": classes,
        "preparation": preparation.to_dict(),
        "config": config,
        "plan": dataclasses.asdict(plan),
        "defaults": {name: dataclasses.asdict(default) for name, default in defaults.items()},
        "seed": plan.seed,
        "data": {
            "root": str(Path(data).resolve()),
            "format": dataset.format,
            "val": _absolute(options.val),
            "drop": options.drop,
            "fingerprint": loaded.report.fingerprint,
            "splits": {name: len(samples) for name, samples in loaded.dataset.splits.items()},
            "validated": validated,
            "class_counts": remembering.class_counts(loaded.dataset, classes),
        },
        "split": split,
        "check": {
            "problems": [p.to_dict() for p in loaded.report.warnings[:PROBLEMS]],
            "warnings": len(loaded.report.warnings),
            "dropped": loaded.dropped,
            "sizes": loaded.report.sizes,
        },
        "command": remembering.command(),
        **remembering.environment(fabric, plan),
    }
    method = build(record)
    if found is not None:
        starting.start_from(method, found, record, progress)
    frozen = starting.freeze(method, plan, options, look.samples, record)
    record["defaults"]["freeze"] = dataclasses.asdict(Default(str(frozen), frozen.reason))
    _try(method, preparation)
    told = method.describe()
    record["defaults"] |= {name: dataclasses.asdict(default) for name, default in told.items()}
    record["parameters"] = sum(p.numel() for p in method.parameters())
    run = Run.create(folder, record) if fabric.is_global_zero else Run(folder, record)
    _announce(run, loaded, defaults | told, progress)
    return _go(run, method, loaded, Engine(run, fabric, plan, progress, began), progress)


def _decide(
    task: Task, look: Survey, options: FitOptions, settings: dict[str, str]
) -> tuple[models.Entry, Plan, dict[str, Any], dict[str, Any], dict[str, Default]]:
    """The network, the plan, the method's configuration, the network's options, and the choices."""
    theirs, their_options = whose(options.weights) if options.weights else (None, {})
    model = options.model or theirs
    start = planning.start(options, look)
    defaults = planning.choose(task.defaults(look, model, start), options)
    if model != options.model:
        defaults["model"] = Default(model, "the weights are of it")
    entry = models.entry(defaults["model"].value)
    of_weights = their_options if theirs in (entry.name, entry.begins) else {}
    return entry, *planning.settle(task, entry, defaults, options, settings, of_weights)


def _learned(
    kind: type[Method], loaded: Loaded, net_options: dict[str, Any], balance: bool
) -> dict[str, Default]:
    """What in the configuration follows from the training pictures."""
    learned = kind.learned(loaded.pictures["train"], net_options, loaded.dataset.classes)
    if balance:
        weights = planning.class_weights(kind, loaded)
        learned["class_weights"] = Default(weights, "rare classes count as much as common ones")
    return learned


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
    try:
        plan = _extended(Plan(**record["plan"]), epochs, minutes, progress)
    except TypeError as error:
        raise run.damaged(error) from None
    whole = "stages" in record or not tasks.method(record["method"]).concludes
    if record.get("finished") and whole and epochs is None and minutes is None:
        progress.say("the run is finished; --epochs or --minutes would extend it")
        return run
    about = record["data"]
    if data is not None:
        about["root"] = str(Path(data).resolve())
    settings = record["options"] | record["config"]
    dataset = tasks.task(record["task"]).arranged(data_of(run), settings)
    loaded = load(dataset, run.preparation, about["drop"], progress)
    if loaded.report.fingerprint != about["fingerprint"]:
        raise _changed(run)
    fabric = launch(plan)
    progress.quiet = progress.quiet or not fabric.is_global_zero
    engine = Engine(run, fabric, plan, progress, began)
    engine.extended = record.pop("finished", False)
    record.pop("stages", None)
    record["plan"] = dataclasses.asdict(plan)
    if fabric.is_global_zero:
        run.save_record()
    return _go(run, starting.as_it_stands(run, progress), loaded, engine, progress)


def data_of(run: Run) -> Dataset:
    """The data of a run, in the splits it was fitted with, before its task has arranged it."""
    about = run.record["data"]
    dataset = readers.read(about["root"], about["format"], run.record["task"])
    rotations = run.record["config"].get("rotations", False)
    dataset, split = planning.divide(dataset, about["val"], run.record["seed"], rotations)
    if split.get("digests") != run.record["split"].get("digests"):
        # Other files are dealt otherwise: what is val now may have been learned from.
        raise _changed(run)
    return dataset


def _changed(run: Run) -> DataError:
    return DataError(
        "the data has changed since the run began: pictures, labels or splits are other ones",
        file=run.record["data"]["root"],
        fix=f"Restore it, name the data to measure on, or fit anew with --weights {run.path}.",
    )


def _absolute(val: str | None) -> str | None:
    return val if val in (None, "none") else str(Path(val).resolve())


def _go(run: Run, method: Method, loaded: Loaded, engine: Engine, progress: Progress) -> Run:
    """Fit, then measure the best weights on val and write the report."""
    task = tasks.task(run.record["task"])
    val = loaded.pictures.get("val")
    seen = loaded.pictures
    with progress.working("preparing"):
        begun = method.begin(seen["train"], progress)
    # Gradient descent gets a quarter of the minutes at least.
    engine.looks.seconds = min(method.reserve, 45 * (engine.plan.minutes or 0))
    if run.record["freeze"]["blocks"] and features.wanted(method, engine.plan):
        about = [run.record["data"]["fingerprint"], run.record["split"], loaded.dropped]
        with progress.working("computing features"):
            seen = features.keep(method, seen, engine.plan, about, engine.fabric, progress)
    with progress.working("fitting"):
        engine.fit(method, task, seen["train"], None if method.concludes else seen.get("val"))
    run.leading = engine.fabric.is_global_zero
    if not run.leading:
        return run
    if method.concludes:
        _conclude(run, method, seen, begun, engine, progress)
    gallery: list[dict[str, Any]] = []
    if val is not None:
        figures, gallery = evaluate(run.trained(), val)
        run.save_evaluation({"split": "val", **figures})
        run.record["metrics"] = figures["metrics"]
        run.save_record()
    report.write_report(run.report, run.record, run.history(), run.evaluation(), gallery)
    return run


def _conclude(
    run: Run,
    method: Method,
    seen: dict[str, Pictures],
    begun: list[Stage],
    engine: Engine,
    progress: Progress,
) -> None:
    """The stages after the fit; before they are in the record the run is not whole."""
    run.load_weights(method.net)
    speeds = [row["images_per_second"] for row in run.history()]
    seconds = sum(len(seen["train"]) / speed for speed in speeds if speed)
    descent = Stage("gradient descent", round(seconds, 3), {"epochs": len(speeds)})
    with progress.working("concluding"), deterministic(engine.fabric.device):
        stages = method.eval().conclude(seen["train"], seen.get("val"), progress)
    run.save_weights(method.net.state_dict())
    run.record["stages"] = [dataclasses.asdict(stage) for stage in (*begun, descent, *stages)]
    run.finish(engine.elapsed)


def _refuse_early(plan: Plan, kind: type[Method], config: dict[str, Any], classes: int) -> None:
    """What need not wait until all pictures have been looked at."""
    choose_precision(plan.precision, choose_device(plan.device))
    kind.refuse(config, classes, plan.batch)


def _try(method: Method, preparation: Preparation) -> None:
    """One empty picture through the network: a size it cannot take is refused before anything is written."""
    shape = (1, preparation.channels, preparation.height, preparation.width)
    images, zero = torch.zeros(shape, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64)
    with torch.inference_mode():
        method.eval().refuse_size()
        method.output(images)
        method(Batch(images, zero, zero))


def _extended(plan: Plan, epochs: int | None, minutes: float | None, progress: Progress) -> Plan:
    """The plan with more epochs or minutes, where they are asked for."""
    if epochs is None and minutes is None:
        return plan
    before = f"{plan.minutes:g} minutes" if plan.minutes else f"{plan.epochs} epochs"
    plan_before, plan = plan, dataclasses.replace(plan, epochs=epochs, minutes=minutes)
    after = f"{minutes:g} minutes" if minutes else f"{epochs} epochs"
    if (epochs and plan_before.epochs and epochs < plan_before.epochs) or (
        minutes and plan_before.minutes and minutes < plan_before.minutes
    ):
        raise UsageError(f"the run is planned for {before}; it cannot be cut to {after}.")
    progress.say(f"the schedule is extended from {before} to {after}; the learning rate follows it")
    return plan


def _announce(run: Run, loaded: Loaded, defaults: dict[str, Default], progress: Progress) -> None:
    counts = ", ".join(f"{len(s):,} {name}" for name, s in loaded.dataset.splits.items())
    things = {"landmarks": "points", "match": "identities"}.get(run.record["task"], "classes")
    told = f", {len(run.classes)} {things}" if run.classes else ""
    progress.say(f"{loaded.dataset.root}: {counts} pictures{told}")
    for name, default in defaults.items():
        progress.say(f"  {name:<14} {_shown(default.value):<17} {default.reason}")
    if loaded.dropped:
        progress.say(f"left out: {sum(loaded.dropped.values())} records with errors")
    for problem in loaded.report.warnings[:5]:
        progress.say(f"warning: {problem}")
    if len(loaded.report.warnings) > 5:
        progress.say(f"… and {len(loaded.report.warnings) - 5} more warnings, in the report")
    if loaded.note:
        progress.say(loaded.note)


def _shown(value: Any) -> str:
    """A chosen value in a few letters."""
    if isinstance(value, tuple | list) and len(value) > FEW:
        return f"{len(value)} numbers"
    return f"{value:g}" if isinstance(value, float) else str(value)
