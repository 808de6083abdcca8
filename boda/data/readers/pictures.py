"""Pictures of which nothing is said: a folder of them, or one a split.

It is asked only for a task that needs no more, and where that task is named: without one, pictures
in no class folder are told to be so.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import ClassVar

from boda.data.image import PictureReader, is_picture_name
from boda.data.readers import READERS
from boda.data.readers._boxes import size_of
from boda.data.readers._splits import ORDER, split_of
from boda.data.readers.superres import pairs_of
from boda.data.tree import Tree
from boda.errors import DataError, Problem
from boda.types import Dataset, Sample


@READERS.register("pictures")
class Pictures:
    """``1.jpg``, or ``train/1.jpg`` and ``test/2.jpg``."""

    name: ClassVar[str] = "pictures"
    tasks: ClassVar[tuple[str, ...]] = ("upscale", "generate", "translate")
    description: ClassVar[str] = "pictures of which nothing is said"
    layout: ClassVar[str] = "DATA/1.jpg  DATA/2.jpg\nDATA/train/1.jpg  DATA/test/2.jpg"

    def recognizes(self, tree: Tree) -> bool:
        """Whether all pictures lie at the top or in folders of splits, and nothing speaks of them."""
        pictures = [name for name in tree.files if is_picture_name(name)]
        if tree.kind == "file" or not pictures or None in map(_split, pictures):
            return False
        return not spoken_of(tree) and not any(pair.high and pair.low for pair in pairs_of(tree))

    def read(self, tree: Tree) -> Dataset:
        """All of them."""
        if not self.recognizes(tree):
            why = "there are not only pictures, at the top or in folders of splits"
            raise DataError(why, file=tree.root, fix=f"As {self.layout}")
        problems: list[Problem] = []
        splits: dict[str, list[Sample]] = {}
        for name, entry in tree.files.items():
            split = _split(name)
            if split is None or not is_picture_name(name):
                continue
            try:
                size = size_of(entry)
            except DataError as error:
                problems += error.problems
                continue
            inside = name if split == "all" else name.partition("/")[2]
            sample = Sample(inside, entry.source, PictureReader(entry), size=size)
            splits.setdefault(split, []).append(sample)
        if not splits:
            raise DataError(problems=[p for p in problems if p.severity == "error"])
        ordered = {split: splits[split] for split in ORDER if split in splits}
        return Dataset(tree.root, self.name, self.tasks[0], [], dict(ordered), problems)


def _split(name: str) -> str | None:
    """The split: "all" at the top, that of its folder in one of a split, None in any other."""
    folders = PurePosixPath(name).parts[:-1]
    if not folders:
        return "all"
    return split_of(folders[0]) if len(folders) == 1 else None


def spoken_of(tree: Tree) -> bool:
    """Whether there is a file that may say something of the pictures."""
    return any(not is_picture_name(name) and not _quiet(name) for name in tree.files)


def _quiet(name: str) -> bool:
    """Whether a file is a note to the reader, and no list of the pictures."""
    path = PurePosixPath(name.casefold())
    return path.suffix == ".md" or path.stem in ("readme", "license", "licence", "copying")
