"""What a run remembers of how it came about, beside its plan."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import boda
from boda.data import mapped
from boda.data.survey import classes_of
from boda.machine import choose_precision
from boda.options import Plan
from boda.types import Dataset


def class_counts(dataset: Dataset, classes: Sequence[str]) -> dict[str, int]:
    """Training pictures of each of the classes; boxes or pixels where these have the classes."""
    if dataset.task == "segment":
        size = len(classes)
        pixels = (mapped.pixels(sample, size) for sample in dataset.splits["train"])
        found = sum(pixels, np.zeros(size, np.int64))
        return dict(zip(classes, found.tolist(), strict=True))
    labels = classes_of(dataset.splits["train"])
    counts = np.bincount(labels[labels >= 0], minlength=len(classes))
    return dict(zip(classes, counts.tolist(), strict=True))


def command() -> str:
    """What was typed, so that it can be typed again."""
    if Path(sys.argv[0]).name in ("boda", "__main__.py"):
        return shlex.join(["boda", *sys.argv[1:]])
    return "boda.fit in Python"


def environment(fabric: Any, plan: Plan) -> dict[str, Any]:
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
