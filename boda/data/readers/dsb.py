"""The layout of the Data Science Bowl 2018: a folder a picture, and in it a PNG for each object.

Caicedo et al. 2019, Nucleus segmentation across imaging experiments (Nature Methods 16). What is not
black in a mask is its object. Masks may overlap: each object keeps its own. All are of one class.
"""

from __future__ import annotations

import posixpath
from collections import defaultdict
from pathlib import PurePosixPath
from typing import ClassVar

from boda.data.image import is_picture_name
from boda.data.readers import READERS
from boda.data.readers._bitmaps import add_mask, numbers, stems
from boda.data.readers._boxes import Marked, Wrong, gather, size_of
from boda.data.readers._pictures import split_in
from boda.data.tree import Tree
from boda.errors import DataError, Problem
from boda.types import Dataset

CLASS = "object"
IMAGES, MASKS = "images", "masks"


@READERS.register("dsb")
class Dsb:
    """``ID/images/ID.png`` with ``ID/masks/1.png``, ``ID/masks/2.png`` …, also below train and test."""

    name: ClassVar[str] = "dsb"
    tasks: ClassVar[tuple[str, ...]] = ("instances", "detect", "localize", "segment")
    description: ClassVar[str] = "Data Science Bowl 2018: a folder a picture, a PNG an object"
    layout: ClassVar[str] = "DATA/ID/images/ID.png  DATA/ID/masks/1.png"

    def recognizes(self, tree: Tree) -> bool:
        """Whether a folder holds one picture in ``images`` and others, not called so, in ``masks``."""
        return any(_is_one(*found) for found in _folders(tree).values())

    def read(self, tree: Tree) -> Dataset:
        """All pictures that have masks; what is wrong with a mask names its file."""
        folders = _folders(tree)
        if not any(_is_one(*found) for found in folders.values()):
            why = "there are no folders of one picture with its masks"
            raise DataError(why, file=tree.root, fix=f"As {self.layout}")
        problems: list[Problem] = []
        pictures: list[Marked] = []
        without: list[str] = []
        for folder, (images, masks) in folders.items():
            if not masks and posixpath.join(folder, MASKS) not in tree.folders:
                without += images
                continue
            try:
                picture = _picture(tree, folder, images)
            except Wrong as wrong:
                problems.append(wrong.at(tree.shown(folder)))
                continue
            for name in masks:
                _object(tree, name, picture, problems)
            pictures.append(picture)
        if without:
            why = f"not read: {len(without):,} pictures have no folder of masks, the first of them here"
            source = tree.files[without[0]].source
            fix = "If they show no object, give each an empty folder called masks."
            problems.append(Problem(why, fix, source, severity="warning"))
        classes = [CLASS] if any(picture.names for picture in pictures) else []
        return gather(tree.root, self.name, pictures, classes, problems, "instances")


def _folders(tree: Tree) -> dict[str, tuple[list[str], list[str]]]:
    """Folder → the pictures of its ``images`` and of its ``masks``, of those that have ``images``."""
    found: dict[str, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    if not any(posixpath.basename(folder) == MASKS for folder in tree.folders):
        return {}
    for name in tree.files:
        folder, last = posixpath.split(posixpath.dirname(name))
        if last in (IMAGES, MASKS) and is_picture_name(name):
            found[folder][last == MASKS].append(name)
    return dict(found)


def _is_one(images: list[str], masks: list[str]) -> bool:
    if len(images) != 1 or not masks:
        return False
    stem = PurePosixPath(images[0]).stem
    return not any(stem in stems(mask) for mask in masks)


def _picture(tree: Tree, folder: str, images: list[str]) -> Marked:
    """The one picture of a folder, without its objects yet.

    Raises:
        Wrong: there are several or none, or it is damaged.
    """
    if len(images) != 1:
        what = f"holds {len(images):,} pictures" if images else "has masks, but no picture"
        raise Wrong(f"{what}; one is meant, in {IMAGES}", "Give each picture a folder of its own.")
    entry = tree.files[images[0]]
    try:
        size = size_of(entry)
    except DataError as error:
        raise Wrong(f"its picture: {error.problems[0].why}", error.problems[0].fix) from None
    parts = folder.split("/")
    at, split = next(
        ((i, s) for i, part in enumerate(parts[:-1]) if (s := split_in(part))), (-1, "all")
    )
    name = "/".join(parts[at + 1 :]) + PurePosixPath(images[0]).suffix
    return Marked(
        split, name if folder else posixpath.basename(images[0]), entry.source, entry, size
    )


def _object(tree: Tree, name: str, picture: Marked, problems: list[Problem]) -> None:
    """One mask; where it is wrong, the whole picture is left out."""
    entry = tree.files[name]
    try:
        mask = numbers(entry, picture.size) > 0
        if not mask.any():
            raise Wrong("the mask is empty: no pixel is set", "Take it away.")
        add_mask(picture, CLASS, mask)
    except Wrong as wrong:
        picture.broken = True
        problems.append(wrong.at(entry.source))
