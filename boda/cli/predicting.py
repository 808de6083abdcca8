"""``boda predict`` over pictures and folders; it goes on where one cannot be read, and says so."""

from __future__ import annotations

import hashlib
from pathlib import Path

from boda import api
from boda.errors import Problem, UsageError
from boda.predicting import find_pictures
from boda.progress import Progress
from boda.types import Prediction


def predict_pictures(
    name: str, inputs: list[str], out: Path | None, batch: int, weights: str | None
) -> tuple[list[Prediction], list[Problem]]:
    """Predictions in the order of the pictures, and what could not be read."""
    if batch < 1:
        raise UsageError(f"--batch is {batch}; it must be at least 1.")
    pictures = find_pictures(inputs)
    predictor = api.predictor(name, weights, Progress())
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    found: list[Prediction] = []
    used: set[str] = set()
    for prediction in predictor.predict_all(pictures, batch):
        if out is not None:
            prediction.save(out / _free_name(prediction.source, used))
        prediction.forget_picture()  # a folder of thousands must not fill the memory
        found.append(prediction)
    return found, predictor.problems


def _free_name(source: str, used: set[str]) -> str:
    """``<stem>.png``; of two pictures with one stem the second gets a mark of its path behind it."""
    name = f"{Path(source).stem}.png"
    if name in used:
        name = f"{Path(source).stem}-{hashlib.sha1(source.encode()).hexdigest()[:6]}.png"
    used.add(name)
    return name
