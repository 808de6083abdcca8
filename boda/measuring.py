"""What is done with a run that is there: evaluate, export, compare."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from boda import onnx_export, report
from boda.data import readers
from boda.data.classes import by_name, unknown
from boda.data.identities import known_before
from boda.data.loading import load
from boda.errors import BodaError, DataError, UsageError
from boda.evaluating import choose_split, evaluate
from boda.fitting import data_of
from boda.progress import Progress
from boda.runs import Run
from boda.trained import Trained
from boda.types import Dataset

VERIFIED_ON = 8  # pictures


def of_run(
    run: Run,
    data: str | Path | None,
    format: str | None,
    split: str | None,
    drop: bool,
    progress: Progress,
    settings: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Evaluate a run; what is measured on its own data, with its own settings, goes into its report."""
    trained = run.trained()
    trained.adjust(settings or {})
    own = data is None or Path(data).resolve() == Path(run.record["data"]["root"])
    if own:
        dataset = data_of(run)
        drop = drop or run.record["data"]["drop"]
        if split is None and choose_split(dataset, None) == "train":
            raise UsageError(
                "the run learned from everything there is; --split train measures that."
            )
    else:
        assert data is not None
        seen = [*trained.classes, *run.record["data"].get("validated", [])]
        dataset = readers.read(data, format, trained.task)
        dataset = _comparable(dataset, trained, seen, drop, progress)
    result, gallery = _evaluate(trained, dataset, split, progress, drop)
    if own and not settings:
        run.save_evaluation(result)
        report.write_report(run.report, run.record, run.history(), result, gallery)
    return result


def of_file(
    model: str,
    weights: str | Path,
    data: str | Path | None,
    format: str | None,
    split: str | None,
    drop: bool,
    progress: Progress,
) -> dict[str, Any]:
    """Evaluate a model with somebody's weights.

    Where they do not tell their classes' names, they are the data's, in their order.
    """
    if data is None:
        raise UsageError("a model with --weights needs DATA to be measured on.")
    trained = Trained.of_model(model, weights, progress)
    dataset = readers.read(data, format, trained.task)
    if trained.task == "match":
        seen = trained.classes if trained.named else []  # numbers are nobody's names
        dataset = _comparable(dataset, trained, seen, drop, progress)
        return _evaluate(trained, dataset, split, progress, drop)[0]
    same = len(trained.classes) == len(dataset.classes)
    if same and not trained.named and unknown(dataset, trained.classes):
        trained.classes = dataset.classes
        progress.say("the classes are taken to be those of the data, in their order")
    dataset = by_name(dataset, trained.classes)
    return _evaluate(trained, dataset, split, progress, drop)[0]


def _comparable(
    dataset: Dataset, trained: Trained, seen: Sequence[str], drop: bool, progress: Progress
) -> Dataset:
    """Other data as a network can be measured on it: its own classes, or identities that are new to it.

    Args:
        dataset: as it was read.
        trained: the network.
        seen: for ``match``, the identities it was fitted with.
        drop: whether to leave those out.
        progress: told how many.

    Raises:
        DataError: it has unknown classes; for ``match``, known identities, and ``drop`` is not said.
    """
    if trained.task != "match":
        return by_name(dataset, trained.classes)
    left, known = known_before(dataset, seen)
    if known and not drop:
        raise DataError(problems=known)
    if not len(left):
        raise DataError(
            "the network was fitted with everyone that is in this data: nothing is left to measure on",
            file=dataset.root,
            fix="Name data with others.",
        )
    if known:
        progress.say(f"left out: {len(dataset) - len(left):,} pictures of identities it knows")
    return left


def _evaluate(
    trained: Trained, dataset: Dataset, split: str | None, progress: Progress, drop: bool
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    chosen = choose_split(dataset, split)
    only = dataclasses.replace(dataset, splits={chosen: dataset.splits[chosen]})
    only = trained.arranged(only)
    loaded = load(only, trained.preparation, drop, progress, wanted=(chosen,))
    figures, gallery = evaluate(trained, loaded.pictures[chosen])
    head = {"task": trained.task, "model": trained.model, "data": str(dataset.root)}
    return {**head, "split": chosen, **figures}, gallery


def export(
    run: Run, out: str | Path | None, settings: dict[str, str] | None = None
) -> tuple[Path, float]:
    """Write a run as ONNX beside its weights, or to ``out``; with settings that may be chosen anew."""
    trained = run.trained()
    trained.adjust(settings or {})
    path = Path(out) if out is not None else run.path / "model.onnx"
    record = {
        "task": trained.task,
        "model": trained.model,
        "classes": trained.classes,
        "preparation": trained.preparation.to_dict(),
        "reach": trained.reach,
        "versions": run.record["versions"],
    }
    pictures = _some_pictures(run, trained)
    return path, onnx_export.export(trained.method, record, pictures, path)


def _some_pictures(run: Run, trained: Trained) -> np.ndarray:
    """(N, 3, H, W) uint8: real pictures of the run's data, or random ones where that is gone."""
    prepare = dataclasses.replace(trained.preparation, channels=3)
    try:
        dataset = trained.arranged(data_of(run))
        samples = dataset.splits[choose_split(dataset, None)]
        positions = np.unique(np.linspace(0, len(samples) - 1, VERIFIED_ON).astype(int))
        prepared = [prepare(samples[int(i)].image) for i in positions]
    except BodaError:
        shape = (VERIFIED_ON, prepare.height, prepare.width, 3)
        prepared = list(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
    return np.ascontiguousarray(np.stack(prepared).transpose(0, 3, 1, 2))


def compare(runs: Sequence[Run]) -> dict[str, Any]:
    """Metrics and minutes side by side, and the settings that differ."""
    settings = [_settings(run) for run in runs]
    names = dict.fromkeys(name for each in settings for name in each)
    values = {name: [each.get(name) for each in settings] for name in names}
    metrics = list(dict.fromkeys(m for run in runs for m in run.record.get("metrics", {})))
    return {
        "runs": [str(run.path) for run in runs],
        "metrics": {m: [run.record.get("metrics", {}).get(m) for run in runs] for m in metrics},
        "epochs": [len(run.history()) for run in runs],
        "minutes": [round(run.record.get("seconds", 0) / 60, 2) for run in runs],
        "settings": {
            name: each for name, each in values.items() if any(value != each[0] for value in each)
        },
    }


def _settings(run: Run) -> dict[str, Any]:
    """Everything chosen, flat."""
    record = run.record
    size = f"{record['preparation']['height']}x{record['preparation']['width']}"
    about = {"task": record["task"], "model": record["model"], "data": record["data"]["root"]}
    return {**about, "size": size, **record["config"], **record["plan"]}
