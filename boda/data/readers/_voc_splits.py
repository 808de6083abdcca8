"""Which picture is in which split: ``ImageSets/Main/train.txt``, or tables like ``train_labels.csv``."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from boda.data.image import is_picture_name
from boda.data.readers._boxes import Wrong
from boda.data.readers._pictures import split_in
from boda.data.readers._splits import nfc, split_of
from boda.data.readers._tables import FILE_COLUMNS, column_of, decode_text, rows_of
from boda.data.tree import Tree
from boda.errors import Problem


@dataclass
class Lists:
    """What the lists say; nothing where there are none.

    Attributes:
        splits: name without suffix, as it is listed → split.
        files: the lists.
    """

    splits: dict[str, str] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)

    @property
    def shown(self) -> str:
        """The lists' names, for a message."""
        return ", ".join(self.files[:4])

    def of(self, name: str) -> str | None:
        """The split of a picture or annotation: by its whole name, else its shorter ends."""
        parts = str(PurePosixPath(name).with_suffix("")).split("/")
        ends = ("/".join(parts[at:]) for at in range(len(parts)))
        return next((self.splits[end] for end in ends if end in self.splits), None)


def split_lists(
    tree: Tree,
    folders: dict[str, list[str]],
    problems: list[Problem],
    sets: str = "main",
) -> Lists:
    """The lists of a tree; those of ``ImageSets/Main`` go before tables.

    Args:
        tree: of the data.
        folders: folder → its annotations.
        problems: get what is listed but not there, and what is listed twice.
        sets: the folder in ``ImageSets``, lower case; "segmentation" is that of the pixels' classes.
    """
    main = [n for n in tree.files if n.casefold().endswith(".txt") and _in_sets(n, sets)]
    texts = {name: split for name in main if (split := split_of(PurePosixPath(name).stem))}
    if not texts:  # trainval where there is no finer parting
        stem = lambda name: PurePosixPath(name).stem.casefold()  # noqa: E731
        texts = {name: "train" for name in main if stem(name) == "trainval"}
    tables = {
        name: split
        for name in tree.files
        if name.casefold().endswith(".csv") and (split := split_in(PurePosixPath(name).stem))
    }
    lists = Lists()
    there = {str(PurePosixPath(n).with_suffix("")) for names in folders.values() for n in names}
    there |= {str(PurePosixPath(n).with_suffix("")) for n in tree.files if is_picture_name(n)}
    ends = {"/".join(name.split("/")[at:]) for name in there for at in range(name.count("/") + 1)}
    for name, split in (texts or tables).items():
        entry = tree.files[name]
        lists.files.append(posixpath.basename(name))
        lines = _listed(tree, name) if texts else _tabled(tree, name)
        for line, own in lines:
            if own not in ends:
                wrong = Wrong(
                    f"'{own[:200]}' has neither annotation nor picture",
                    "Put it there, or take the line out.",
                )
                problems.append(wrong.at(entry.source, line))
            elif lists.splits.setdefault(own, split) != split:
                why = f"'{own}' is also in {lists.splits[own]}"
                wrong = Wrong(why, "Take it out of one: a test on what was learned says little.")
                problems.append(wrong.at(entry.source, line))
    return lists


def _in_sets(name: str, sets: str) -> bool:
    return [part.casefold() for part in name.split("/")[-3:-1]] == ["imagesets", sets]


def _listed(tree: Tree, name: str) -> list[tuple[int, str]]:
    entry = tree.files[name]
    lines = decode_text(entry, entry.read()).split("\n")
    return [(line, _bare(own)) for line, own in enumerate(lines, start=1) if own.strip()]


def _tabled(tree: Tree, name: str) -> list[tuple[int, str]]:
    """The pictures of a table, once each; without the column of files it is no list."""
    entry = tree.files[name]
    found: dict[str, int] = {}
    for line, cells in rows_of(entry, decode_text(entry, entry.read())):
        if line and isinstance(cells, dict) and (column := column_of(cells, FILE_COLUMNS)):
            found.setdefault(_bare(str(cells[column])), line)
    return [(line, own) for own, line in found.items() if own]


def _bare(own: str) -> str:
    own = nfc(own.strip()).replace("\\", "/").removeprefix("./")
    return str(PurePosixPath(own).with_suffix("")) if is_picture_name(own) else own
