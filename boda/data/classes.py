"""Classes are matched by their names, never by their numbers."""

from __future__ import annotations

import dataclasses
import unicodedata
from collections.abc import Sequence

import numpy as np

from boda.errors import DataError
from boda.types import ArraySamples, Dataset, Sample


def by_name(dataset: Dataset, classes: Sequence[str]) -> Dataset:
    """The data set with the labels that ``classes`` give to its class names.

    Raises:
        DataError: the data has a class that ``classes`` do not have.
    """
    number = {_nfc(name): index for index, name in enumerate(classes)}
    unknown = [name for name in dataset.classes if _nfc(name) not in number]
    if unknown:
        raise DataError(
            f"the data has classes that the model does not know: {', '.join(unknown[:5])}"
            + (f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""),
            file=dataset.root,
            fix=f"The model's classes are {', '.join(classes[:20])}. Rename, or leave these out.",
        )
    table = np.array([number[_nfc(name)] for name in dataset.classes], dtype=np.int64)
    splits = {name: _relabelled(samples, table) for name, samples in dataset.splits.items()}
    return dataclasses.replace(dataset, classes=list(classes), splits=splits)


def _relabelled(samples: Sequence[Sample], table: np.ndarray) -> Sequence[Sample]:
    if isinstance(samples, ArraySamples):
        return ArraySamples(samples.images, table[samples.labels], samples.source)
    return [
        s if s.label is None else dataclasses.replace(s, label=int(table[s.label])) for s in samples
    ]


def _nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)
