"""CamVid as SegNet's tutorial lays it out: ``train`` beside ``trainannot``, eleven classes.

Brostow et al. 2009, Semantic object classes in video (Pattern Recognition Letters 30); the eleven
classes are those of SegNet, Badrinarayanan et al. 2017 (arXiv 1511.00561). 11 is unlabelled: ignored.
"""

from __future__ import annotations

from typing import ClassVar

from boda.data.readers import READERS
from boda.data.readers._class_maps import read_maps
from boda.data.readers._legends import Legend, legend_files
from boda.data.readers.class_masks import matched, pairs_of, role, without
from boda.data.tree import Tree
from boda.errors import DataError, Problem
from boda.types import Dataset

NAMES = (
    *("Sky", "Building", "Pole", "Road", "Pavement", "Tree", "SignSymbol", "Fence", "Car"),
    *("Pedestrian", "Bicyclist", "Unlabelled"),
)
LEGEND = Legend("", NAMES, tuple(range(len(NAMES))))
OTHER = "If they are other classes than CamVid's, write their names to classes.txt, one a line."


@READERS.register("camvid")
class CamVid:
    """``train/1.png`` with ``trainannot/1.png``, values 0 to 10, and 11 that is ignored."""

    name: ClassVar[str] = "camvid"
    tasks: ClassVar[tuple[str, ...]] = ("segment",)
    description: ClassVar[str] = "CamVid as SegNet's tutorial has it: 11 classes"
    layout: ClassVar[str] = "DATA/train/1.png  DATA/trainannot/1.png"

    def recognizes(self, tree: Tree) -> bool:
        """Whether there are folders like ``trainannot`` with masks, and no names of other classes."""
        found = _pairs(tree)
        return bool(found) and not legend_files(tree, [mask for mask, _ in found])

    def read(self, tree: Tree) -> Dataset:
        """The splits by their folders."""
        found = _pairs(tree)
        if not found:
            why = "there is no folder like trainannot with masks of the pictures in train"
            raise DataError(why, file=tree.root, fix=f"As {self.layout}")
        problems: list[Problem] = []
        pairs = matched(tree, found, problems)
        problems += without(tree, found)
        try:
            return read_maps(tree.root, self.name, pairs, LEGEND, problems)
        except DataError as error:
            raise DataError(problems=error.problems, summary=OTHER) from None


def _pairs(tree: Tree) -> list[tuple[str, str]]:
    """The masks in folders like ``trainannot``, where one has its picture."""
    if not any(role(folder.rpartition("/")[2]) == "annot" for folder in tree.folders):
        return []
    pairs = [
        (mask, place)
        for mask, place in pairs_of(tree)
        if any(role(part) == "annot" for part in mask.split("/")[:-1])
    ]
    return pairs if any(place for _, place in pairs) else []
