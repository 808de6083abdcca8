"""Classes, and the points of landmarks, are matched by their names, never by their numbers.

Names are compared in NFC, underscores being spaces. ImageNet's classes go by their WordNet numbers
too, as its folders do.
"""

from __future__ import annotations

import dataclasses
import unicodedata
from collections.abc import Sequence

import numpy as np

from boda.data import imagenet, mapped
from boda.errors import DataError
from boda.types import ArraySamples, Dataset, Sample


def by_name(dataset: Dataset, classes: Sequence[str]) -> Dataset:
    """The data set with the labels that ``classes`` give to its class names.

    Raises:
        DataError: the data has a class that ``classes`` do not have.
    """
    number = _numbers(classes)
    if missing := unknown(dataset, classes):
        raise DataError(
            f"the data has classes that the model does not know: {', '.join(missing[:5])}"
            + (f" and {len(missing) - 5} more" if len(missing) > 5 else ""),
            file=dataset.root,
            fix=f"The model's classes are {', '.join(classes[:20])}. Rename, or leave these out.",
        )
    table = np.array([number[_spelled(n, number)] for n in dataset.classes], dtype=np.int64)
    splits = {
        name: _relabelled(samples, table, len(classes)) for name, samples in dataset.splits.items()
    }
    return dataclasses.replace(dataset, classes=list(classes), splits=splits)


def unknown(dataset: Dataset, classes: Sequence[str]) -> list[str]:
    """The classes of the data that are not among ``classes``."""
    number = _numbers(classes)
    return [name for name in dataset.classes if _spelled(name, number) not in number]


def _numbers(classes: Sequence[str]) -> dict[str, int]:
    """The index of each class by every name it goes by; its own name comes before another's."""
    spellings = [[_nfc(name) for name in classes], [_spaced(name) for name in classes]]
    if list(classes) == imagenet.names():
        spellings.append(imagenet.numbers())
    number: dict[str, int] = {}
    for names in spellings:
        for index, name in enumerate(names):
            number.setdefault(name, index)
    return number


def _spelled(name: str, number: dict[str, int]) -> str:
    """The name as it stands, if that is known, else with spaces."""
    return _nfc(name) if _nfc(name) in number else _spaced(name)


def _relabelled(samples: Sequence[Sample], table: np.ndarray, count: int) -> Sequence[Sample]:
    if isinstance(samples, ArraySamples):
        return ArraySamples(samples.images, table[samples.labels], samples.source)
    return [
        dataclasses.replace(
            s,
            label=None if s.label is None else int(table[s.label]),
            labels=None if s.labels is None else table[s.labels],
            points=None if s.points is None else _renumbered(s.points, table, count),
            semantic=None if s.semantic is None else mapped.renumbered(s.semantic, table),
            read_semantic=s.read_semantic and mapped.Renumbered(s, tuple(table.tolist()), count),
        )
        for s in samples
    ]


def _renumbered(points: np.ndarray, table: np.ndarray, count: int) -> np.ndarray:
    """(count, 3): the points where ``table`` puts them; those that the data has not are not marked."""
    out = np.zeros((count, 3), np.float32)
    out[table, 2] = 2  # seen, where nothing else is said
    out[table, : points.shape[1]] = points
    return out


def _nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _spaced(name: str) -> str:
    return _nfc(name).replace("_", " ")
