"""How good a network is on labelled pictures: figures, and the mistakes as pictures."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import torch

from boda import footprint, tasks
from boda.data.dataset import Pictures
from boda.errors import DataError, UsageError
from boda.metrics import NothingToMeasure
from boda.tasks import Method, Task
from boda.trained import Trained
from boda.types import Dataset

GALLERY = 24  # mistakes shown in a report
AT_ONCE, PIXELS = 256, 2**22  # pictures that are looked at together, and pixels of them, at most


def choose_split(dataset: Dataset, split: str | None) -> str:
    """The split that is meant: test where there is one, else val, else everything."""
    there = [name for name, samples in dataset.splits.items() if len(samples)]
    if split is None:
        return next(name for name in ("test", "val", "all", "train") if name in there)
    if split not in there:
        raise UsageError(f"there is no split '{split}' in {dataset.root}: {', '.join(there)}.")
    return split


def evaluate(trained: Trained, pictures: Pictures) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Figures over labelled pictures, and the gallery of the worst mistakes.

    Returns:
        ``{"samples", "metrics", "a_picture", …}``, what one picture costs (``footprint``), and what the
        task tells beside; and the mistakes, the most confident first: ``{"image", "source", "truth",
        "predicted", "score"}``.
    """
    task = tasks.task(trained.task).of(trained.method)
    collected = task.metrics(trained.classes)
    outputs: list[np.ndarray] = []
    height, width = trained.method.size
    at_once = max(1, min(AT_ONCE, PIXELS // (height * width)))
    metrics = measure(trained.method, task, pictures, collected, size=at_once, keep=outputs)
    metrics |= task.baseline(trained.method, trained.classes, pictures)
    some = np.stack([pictures.prepared(i) for i in range(min(footprint.MOST, len(pictures)))])
    figures = {
        "samples": len(pictures),
        "metrics": metrics,
        "a_picture": footprint.footprint(trained.method, some.transpose(0, 3, 1, 2)),
        **task.details(collected),
    }
    gallery = task.mistakes(trained.classes, np.concatenate(outputs), pictures, GALLERY)
    return figures, gallery


def measure(
    method: Method,
    task: Task,
    pictures: Pictures,
    metrics: Any,
    fabric: Any = None,
    size: int = 256,
    keep: list[np.ndarray] | None = None,
) -> dict[str, float]:
    """The figures over all pictures.

    Args:
        method: put into evaluation mode for the while.
        task: knows what its outputs mean.
        pictures: with what is true of them.
        metrics: an empty collector of the task.
        fabric: under whose precision outputs are computed; float32 without.
        size: pictures computed at once.
        keep: what the task wants of the outputs is added to it.

    Raises:
        DataError: nothing in these pictures can be measured.
    """
    was_training = method.training
    method.eval()
    device = next(method.parameters()).device
    with torch.inference_mode(), fabric.autocast() if fabric else contextlib.nullcontext():
        for batch in pictures.in_order(size):
            outputs = method.output(batch.images.to(device)).float().cpu().numpy()
            task.update(metrics, outputs, pictures, batch.index)
            if keep is not None:
                keep.append(task.condensed(outputs))
    method.train(was_training)
    try:
        return metrics.compute()
    except NothingToMeasure as error:
        raise DataError(
            f"{error}: nothing to measure",
            fix="Measure on others, or give labelled pictures to this split.",
        ) from None
