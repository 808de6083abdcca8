"""What the readers share: names of splits, and the step from named records to a ``Dataset``."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from boda.data.entries import Entry
from boda.data.image import PictureReader
from boda.errors import DataError, Problem
from boda.types import Dataset, Sample

SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
ORDER = ("train", "val", "test", "all")


@dataclass(frozen=True, slots=True)
class Record:
    """One labelled picture before classes have numbers.

    Attributes:
        split: "train", "val", "test" or "all".
        id: name within the split.
        source: as in ``Sample``.
        name: the class's name, NFC.
        entry: the picture.
    """

    split: str
    id: str
    source: str
    name: str
    entry: Entry


def split_of(name: str) -> str | None:
    """The split that a folder, a file's stem or a cell names ("Valid" → "val"), else None."""
    return SPLITS.get(name.strip().casefold())


def nfc(text: str) -> str:
    """The composed form, in which names are compared."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def by_code_point(names: Iterable[str]) -> list[str]:
    """Class order where the format has none of its own."""
    return sorted(names)


def assemble(
    root: Path,
    reader: str,
    records: list[Record],
    problems: list[Problem],
    order: Callable[[Iterable[str]], list[str]] = by_code_point,
) -> Dataset:
    """A dataset for classification from its records.

    The classes are those of train (of everything where there is no train). A class only val or test
    has is one error; its pictures are left out.

    Raises:
        DataError: fewer than two classes, or no record at all (then with ``problems``).
    """
    learned = {record.name for record in records if record.split in ("train", "all")}
    classes = order(learned or {record.name for record in records})
    problems = problems + _unknown_classes(root, records, set(classes))
    if len(classes) < 2:
        errors = [problem for problem in problems if problem.severity == "error"]
        if errors:
            raise DataError(problems=errors)
        found = f"one class, '{classes[0]}'" if classes else "none"
        raise DataError(
            f"a classifier needs at least two classes; there is {found}",
            file=root,
            fix="Add pictures of another class; where classes do not matter, name the very folder "
            "that the pictures lie in.",
        )
    numbers = {name: number for number, name in enumerate(classes)}
    splits: dict[str, list[Sample]] = {}
    for record in records:
        if (label := numbers.get(record.name)) is not None:
            sample = Sample(record.id, record.source, PictureReader(record.entry), label)
            splits.setdefault(record.split, []).append(sample)
    ordered = {split: splits[split] for split in ORDER if split in splits}
    return Dataset(root, reader, "classify", classes, dict(ordered), problems)


def _unknown_classes(root: Path, records: list[Record], known: set[str]) -> list[Problem]:
    foreign = Counter((record.split, record.name) for record in records if record.name not in known)
    return [
        Problem(
            f"class '{name}' is in {split} ({count:,} pictures) but not in train",
            "Add pictures of it to train, or take it out; names must be spelled alike.",
            str(root),
            field=name,
        )
        for (split, name), count in sorted(foreign.items())
    ]
