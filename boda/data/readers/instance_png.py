"""A picture of numbers beside each picture: 0 is the ground, every other value one object.

As in Penn-Fudan (Wang et al. 2007, Object detection combining recognition and segmentation, ACCV).
The value may be a gray level, an index of a palette, or a colour; it tells objects apart and nothing
else, so all are of one class. A value in several pieces is one object, seen behind another.
"""

from __future__ import annotations

import posixpath
from typing import ClassVar

import numpy as np

from boda.data.image import is_picture_name
from boda.data.readers import READERS
from boda.data.readers._bitmaps import EXACT, add_mask, numbers, stems
from boda.data.readers._boxes import Marked, Wrong, gather, size_of
from boda.data.readers._legends import legend_files
from boda.data.readers._pictures import ROLES, inside, split_folder, unread
from boda.data.readers.coco import coco_files
from boda.data.tree import Tree
from boda.errors import DataError, Problem
from boda.types import Dataset

# Folder of masks → the class of its objects: Penn-Fudan's are all pedestrians.
FOLDERS = {"pedmasks": "person"} | dict.fromkeys(
    ("masks", "mask", "instances", "instance_masks", "instance"), "object"
)
MOST = 5000  # objects in one picture
LOST = "Put it there, with the same name, or take the mask away."


@READERS.register("instance-png")
class InstancePng:
    """``images/1.jpg`` with ``masks/1.png`` or ``masks/1_mask.png``, also below train, val, test."""

    name: ClassVar[str] = "instance-png"
    tasks: ClassVar[tuple[str, ...]] = ("instances", "detect", "localize", "segment")
    description: ClassVar[str] = "a PNG of numbers a picture, one value an object"
    layout: ClassVar[str] = "DATA/images/1.jpg  DATA/masks/1.png"

    def recognizes(self, tree: Tree) -> bool:
        """Whether a folder of masks has a picture's namesake, and nothing says more about them.

        That is COCO's JSON, or names of classes: then the values are classes.
        """
        if not any(posixpath.basename(folder).casefold() in FOLDERS for folder in tree.folders):
            return False
        masks = [mask for mask, place in _pairs(tree) if place]
        return bool(masks) and not coco_files(tree) and not legend_files(tree, masks)

    def read(self, tree: Tree) -> Dataset:
        """All pictures that have a mask; what is wrong with a mask names its file."""
        pairs = _pairs(tree)
        if not any(place for _, place in pairs):
            why = "there are no masks with pictures of the same names"
            raise DataError(why, file=tree.root, fix=f"As {self.layout}")
        problems: list[Problem] = []
        pictures: list[Marked] = []
        taken: dict[str, Marked | None] = {}
        for mask, place in pairs:
            try:
                picture = _picture(tree, mask, place, taken)
                _objects(tree, mask, picture)
                pictures.append(picture)
            except Wrong as wrong:
                problems.append(wrong.at(tree.files[mask].source))
        problems += _single(tree, pictures)
        used = {tree.files[place].source for place in taken}
        problems += unread(tree, used, "without a mask", "Add an empty mask where nothing is seen.")
        classes = sorted({name for picture in pictures for name in picture.names})
        return gather(tree.root, self.name, pictures, classes, problems, "instances")


def _pairs(tree: Tree) -> list[tuple[str, str]]:
    """(mask, its picture or "") by name, in the tree's order."""
    pictures: dict[str, dict[str, str]] = {}  # folder → stem → name
    masks: dict[str, list[str]] = {}
    for name in filter(is_picture_name, tree.files):
        folder = posixpath.dirname(name).casefold()
        said = [part for part in folder.split("/") if part in FOLDERS or part in ROLES]
        if said and said[-1] in FOLDERS:
            masks.setdefault(folder, []).append(name)
        else:
            stem = posixpath.splitext(posixpath.basename(name))[0]
            pictures.setdefault(folder, {}).setdefault(stem, name)
    pairs = []
    for folder, names in masks.items():
        beside = [pictures[each] for each in _beside(folder) if each in pictures]
        for name in names:
            found = [here[stem] for here in beside for stem in stems(name) if stem in here]
            pairs.append((name, found[0] if found else ""))
    return pairs


def _beside(folder: str) -> list[str]:
    """Where the pictures of a folder of masks may lie, the likeliest first; lower case all."""
    parts = folder.split("/")
    at = max(i for i, part in enumerate(parts) if part in FOLDERS)
    roles = [[role] for role in ROLES] + [[]]
    return ["/".join([*parts[:at], *role, *parts[at + 1 :]]) for role in roles]


def _picture(tree: Tree, mask: str, place: str, taken: dict[str, Marked | None]) -> Marked:
    """The picture of a mask, without its objects yet.

    Raises:
        Wrong: there is none, it has another mask as well, or it is damaged.
    """
    if not place:
        raise Wrong("there is no picture of this name", LOST)
    if place in taken:
        if (other := taken[place]) is not None:
            other.broken = True  # nobody knows which is right
        raise Wrong(f"its picture {place} has another mask too", "Keep the one that is right.")
    taken[place] = None
    entry = tree.files[place]
    try:
        size = size_of(entry)
    except DataError as error:
        raise Wrong(
            f"its picture {place}: {error.problems[0].why}", error.problems[0].fix
        ) from None
    split = next((s for part in place.split("/")[:-1] if (s := split_folder(part))), "all")
    source = tree.files[mask].source
    taken[place] = picture = Marked(split, inside(place, split), source, entry, size)
    return picture


def _objects(tree: Tree, mask: str, picture: Marked) -> None:
    """Every value of the mask but 0 is an object, in the order of the values."""
    folders = mask.casefold().split("/")[:-1]
    name = next(FOLDERS[part] for part in reversed(folders) if part in FOLDERS)
    found = numbers(tree.files[mask], picture.size)
    values = np.unique(found[found > 0])
    if len(values) > MOST:
        raise Wrong(f"holds {len(values):,} values, so it is no mask of objects", EXACT)
    for value in values:
        add_mask(picture, name, found == value)


def _single(tree: Tree, pictures: list[Marked]) -> list[Problem]:
    """A warning where no mask has two values: then they may tell classes, not objects, apart."""
    if len(pictures) < 2 or any(len(picture.names) != 1 for picture in pictures):
        return []
    why = "every mask has one value only, so each picture has one object"
    fix = "If pictures show several, give each a value of its own."
    return [Problem(why, fix, str(tree.root), severity="warning")]
