"""Folders of identities: one folder of pictures a person, part or product, below a split or not.

The layout is that of ``folders``; what differs is who may be where. A class of test has to be in
train too, an identity must not, which is why this is a reader of its own.
"""

from __future__ import annotations

from typing import ClassVar

from boda.data.readers import READERS
from boda.data.readers._identities import identified
from boda.data.readers.folders import Folders, records_of
from boda.data.readers.pairs import lists_of
from boda.data.tree import Tree
from boda.errors import DataError, Problem
from boda.types import Dataset


@READERS.register("identities")
class Identities:
    """``김하나/1.jpg``, or ``train/김하나/1.jpg`` with other people in ``test``."""

    name: ClassVar[str] = "identities"
    tasks: ClassVar[tuple[str, ...]] = ("match",)
    description: ClassVar[str] = "one folder of pictures for each person, part or product"
    layout: ClassVar[str] = "DATA/김하나/1.jpg\nDATA/train/김하나/1.jpg  DATA/test/이두리/1.jpg"

    def recognizes(self, tree: Tree) -> bool:
        """Whether there are folders of pictures, and no list of pairs of them."""
        return Folders().recognizes(tree) and not lists_of(tree)

    def read(self, tree: Tree) -> Dataset:
        """The pictures with their folders' names as identities."""
        if not self.recognizes(tree):
            why = "there are no folders with the pictures of one person, part or product each"
            raise DataError(why, file=tree.root, fix=f"As {self.layout}")
        problems: list[Problem] = []
        records = records_of(tree, problems, "identity")
        return identified(tree.root, self.name, records, problems)
