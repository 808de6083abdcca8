"""What the trainings of peers share: their minutes, and data of which both sides see the same."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from boda.data.readers import read
from boda.errors import BodaError, DataError, UsageError
from boda.types import Dataset


@dataclass
class Clock:
    """A training's minutes: what part of them is over, and what was done."""

    minutes: float
    looks: int = 0  # at pictures
    batches: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    began: tuple[float, float] = (0.0, 0.0)

    def start(self) -> None:
        """Before the first batch."""
        self.began = time.perf_counter(), time.process_time()

    def count(self, pictures: int) -> None:
        """After each batch."""
        self.batches += 1
        self.looks += pictures
        self.seconds = time.perf_counter() - self.began[0]
        self.cpu = time.process_time() - self.began[1]

    @property
    def spent(self) -> float:
        """0 at the start, 1 and more when time is up."""
        return self.seconds / (60 * self.minutes)


def train_and_test(data: str, task: str, help: str = "") -> Dataset:
    """Data with both splits and without errors.

    Args:
        data: for ``boda.data.readers.read``.
        task: that it is for.
        help: what makes these splits.

    Raises:
        DataError: there are records with errors.
        UsageError: there is no train or no test split.
    """
    dataset = read(data, task=task)
    errors = [problem for problem in dataset.problems if problem.severity == "error"]
    if errors:
        raise DataError(problems=errors, summary="Mend it: both sides are to see the same.")
    if not {"train", "test"} <= set(dataset.splits):
        there = ", ".join(dataset.splits)
        raise UsageError(f"{data} has the splits {there}; train and test are needed. {help}")
    return dataset


def tell(compare: Callable[[argparse.Namespace], Any], options: argparse.Namespace) -> None:
    """Print what a comparison gives as JSON, and write it to ``options.json`` where that is named."""
    try:
        text = json.dumps(compare(options), indent=2)
    except BodaError as problem:
        sys.exit(str(problem))
    print(text)
    if options.json:
        options.json.write_text(text + "\n")
