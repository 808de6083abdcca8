"""How good a network is on labelled pictures: figures, and the mistakes as pictures."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import torch

from boda import tasks
from boda.data.dataset import Pictures
from boda.errors import UsageError
from boda.tasks.base import Metrics
from boda.trained import Trained
from boda.types import Dataset

GALLERY = 24  # mistakes shown in a report


class _Remembering:
    """Metrics that also keep what they were given."""

    def __init__(self, metrics: Any) -> None:
        self.metrics = metrics
        self.outputs: list[np.ndarray] = []

    def update(self, outputs: np.ndarray, labels: np.ndarray) -> None:
        self.outputs.append(outputs)
        self.metrics.update(outputs, labels)

    def compute(self) -> dict[str, float]:
        return self.metrics.compute()


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
        ``{"samples", "metrics", "per_class", "confusion", "calibration"}``, and the mistakes, the most
        confident first: ``{"image", "source", "truth", "predicted", "score"}``.
    """
    task = tasks.task(trained.task)
    collected = _Remembering(task.metrics(trained.classes))
    metrics = measure(trained.method, pictures, collected)
    figures = {"samples": len(pictures), "metrics": metrics, **task.details(collected.metrics)}
    return figures, _mistakes(trained, pictures, np.concatenate(collected.outputs))


def measure(
    method: Any, pictures: Pictures, metrics: Metrics, fabric: Any = None, size: int = 256
) -> dict[str, float]:
    """The metrics over all pictures, computed under Fabric's precision where it is given."""
    was_training = method.training
    method.eval()
    device = next(method.parameters()).device
    with torch.inference_mode(), fabric.autocast() if fabric else contextlib.nullcontext():
        for batch in pictures.in_order(size):
            outputs = method.output(batch.images.to(device))
            metrics.update(outputs.float().cpu().numpy(), batch.labels.numpy())
    method.train(was_training)
    return metrics.compute()


def _mistakes(trained: Trained, pictures: Pictures, scores: np.ndarray) -> list[dict[str, Any]]:
    labels = pictures.labels.numpy()
    best = scores.argmax(1)
    wrong = np.flatnonzero(best != labels)
    worst = wrong[np.argsort(-scores[wrong, best[wrong]], kind="stable")][:GALLERY]
    return [
        {
            "image": np.broadcast_to(image := pictures.prepared(int(i)), (*image.shape[:2], 3)),
            "source": pictures.samples[int(i)].source,
            "truth": trained.classes[labels[i]],
            "predicted": trained.classes[best[i]],
            "score": float(scores[i, best[i]]),
        }
        for i in worst
    ]
