"""What the readers of identities share: who is shown in each picture, and the layouts they know.

An identity is a person, a character, a part or a product. Other than a class it is in one split
only: a network that tells people apart is tested on people it has never seen. So no split has to
know the identities of another; that none is in two is looked at by the check.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from boda.data.image import PictureReader, is_picture_name
from boda.data.readers._splits import ORDER, Record, by_code_point
from boda.data.tree import Tree, join
from boda.errors import DataError, Problem
from boda.types import Dataset, Sample

LABELS = "class_labels.txt"  # of one run
# A folder of Omniglot: what is above the alphabet, the alphabet, the character.
CHARACTER = re.compile(r"(?:(?P<above>.+)/)?(?P<alphabet>[^/]+)/(?P<character>character[0-9]{2})")


def identified(root: Path, reader: str, records: list[Record], problems: list[Problem]) -> Dataset:
    """A dataset for ``match`` from its records, whose names are the identities.

    The classes are the identities of all splits by code point, and a sample's label is the index of
    its identity among them.

    Raises:
        DataError: fewer than two identities (with ``problems``, where these have errors).
    """
    names = by_code_point({record.name for record in records})
    if len(names) < 2:
        errors = [problem for problem in problems if problem.severity == "error"]
        if errors:
            raise DataError(problems=errors)
        found = f"one identity, '{names[0]}'" if names else "none"
        raise DataError(
            f"two identities at least have to be told apart; there is {found}",
            file=root,
            fix="Give each person, part or product a folder of its own.",
        )
    numbers = {name: number for number, name in enumerate(names)}
    splits: dict[str, list[Sample]] = {}
    for record in records:
        sample = Sample(
            record.id,
            record.source,
            PictureReader(record.entry),
            numbers[record.name],
            identity=record.name,
        )
        splits.setdefault(record.split, []).append(sample)
    ordered = {split: splits[split] for split in ORDER if split in splits}
    return Dataset(root, reader, "match", names, dict(ordered), problems)


def has_characters(tree: Tree) -> bool:
    """Whether pictures lie as Omniglot's do: in folders like ``Greek/character01``."""
    if not any(CHARACTER.fullmatch(folder) for folder in tree.folders):
        return False  # few names beside those of the pictures
    return any(
        is_picture_name(name) and CHARACTER.fullmatch(posixpath.dirname(name))
        for name in tree.files
    )


def runs_of(tree: Tree) -> list[str]:
    """The folders of Omniglot's fixed runs, sorted: those with labels and pictures to learn from."""
    return [
        folder
        for folder in sorted(tree.folders)
        if join(folder, LABELS) in tree.files and join(folder, "training") in tree.folders
    ]


def left_over(tree: Tree, used: set[str], which: str, fix: str) -> list[Problem]:
    """One warning for all pictures that are not used.

    Args:
        tree: of the data.
        used: sources of the pictures that are.
        which: of them, for example "lie in no character's folder".
        fix: what to do.
    """
    left = [
        entry.source
        for name, entry in tree.files.items()
        if is_picture_name(name) and entry.source not in used
    ]
    if not left:
        return []
    why = f"not read: {len(left):,} pictures {which}, the first of them here"
    return [Problem(why, fix, left[0], severity="warning")]
