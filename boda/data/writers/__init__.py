"""A data set for detection written in another format: one file here a format, by its name."""

from __future__ import annotations

import importlib
from collections import Counter
from pathlib import Path
from typing import Protocol, cast

from boda.errors import unknown
from boda.types import Dataset

FORMATS = ("coco", "voc", "yolo")


class Writer(Protocol):
    """What a module of this package has."""

    def place(self, dataset: Dataset, split: str, id: str) -> str:
        """Where a picture goes, relative to the folder that is written."""
        ...

    def write(self, dataset: Dataset, folder: Path) -> Counter[str]:
        """Write the annotations; returns what the format cannot say, and how often."""
        ...


def writer(name: str) -> Writer:
    """The writer of a format.

    Raises:
        UsageError: there is none.
    """
    if name not in FORMATS:
        raise unknown("format to write", name, FORMATS)
    return cast(Writer, importlib.import_module(f"{__name__}.{name}"))


def plain(value: float) -> int | float:
    """A number as a person writes it: 3, not 3.0."""
    return int(value) if float(value).is_integer() else float(value)
