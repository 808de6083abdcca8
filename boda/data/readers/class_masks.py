"""Pictures beside masks of classes: a value or a colour for each pixel, in folders of the usual names.

What values and colours mean, and what is said where they do not fit, is in ``_map_values``; names and
legends are in ``_legends``. A mask may also lie beside its picture as ``1_mask.png``.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from typing import ClassVar

from boda.data.image import is_picture_name
from boda.data.readers import READERS
from boda.data.readers._bitmaps import ENDS, stems
from boda.data.readers._class_maps import read_maps
from boda.data.readers._legends import legend_files, legend_of
from boda.data.readers._map_records import Pair
from boda.data.readers._pictures import split_folder, split_in
from boda.data.tree import Tree
from boda.errors import DataError, Problem
from boda.types import Dataset

PICTURES = ("images", "image", "img", "imgs", "jpegimages", "pngimages", "pictures", "photos")
MASKS = (
    *("masks", "mask", "labels", "label", "annotations", "annotation", "annots", "annot"),
    *("semantic", "gt", "segmentation", "segmentations", "seg", "ground_truth", "groundtruth"),
)
# "train_labels", "trainannot": a split and a role in one name.
BOTH = re.compile(r"(.+?)[ _-]?(images?|imgs?|labels?|masks?|annotations?|annot|gt|semantic|seg)")
MASK_ENDS = (*ENDS, "_label", "_labels", "_gt", "_l", "_seg", "_segmentation", "-label")
BESIDE_ENDS = ("_mask", "-mask", "_masks", "_label", "_labels", "_gt", "_seg")  # in one folder
LOST = "Put it there, with the same name, or take the mask away."


@READERS.register("masks")
class ClassMasks:
    """``images/1.jpg`` with ``masks/1.png``, also below train, val, test or above them."""

    name: ClassVar[str] = "masks"
    tasks: ClassVar[tuple[str, ...]] = ("segment",)
    description: ClassVar[str] = "a mask a picture, a value or a colour a class"
    layout: ClassVar[str] = "DATA/images/1.jpg  DATA/masks/1.png  DATA/classes.txt"

    def recognizes(self, tree: Tree) -> bool:
        """Whether a folder of masks has a picture's namesake; CamVid's layout only with a legend."""
        masks = [mask for mask, place in pairs_of(tree) if place]
        camvid = any(role(part) == "annot" for mask in masks for part in mask.split("/")[:-1])
        return bool(masks) and (not camvid or bool(legend_files(tree, masks)))

    def read(self, tree: Tree) -> Dataset:
        """All pictures that have a mask; what is wrong with a mask names its file."""
        if not self.recognizes(tree):
            why = "there are no masks with pictures of the same names"
            raise DataError(why, file=tree.root, fix=f"As {self.layout}")
        found = pairs_of(tree)
        problems: list[Problem] = []
        pairs = matched(tree, found, problems)
        problems += without(tree, found)
        legend = legend_of(tree, [mask for mask, _ in found], problems)
        return read_maps(tree.root, self.name, pairs, legend, problems)


def role(part: str) -> str | None:
    """What a folder's name says of it: "pictures", "masks", "annot" (CamVid's masks), or nothing."""
    own = part.casefold()
    if own in PICTURES:
        return "pictures"
    if own in MASKS:
        return "masks"
    both = BOTH.fullmatch(own)
    if both is None or split_folder(both[1]) is None:
        return None
    if both[2] == "annot":
        return "annot"
    return "pictures" if both[2].startswith("im") else "masks"


def pairs_of(tree: Tree) -> list[tuple[str, str]]:
    """(mask, its picture or "") by name, in the tree's order."""
    pictures: dict[str, dict[str, str]] = {}  # folder → stem → name
    masks: dict[str, list[str]] = {}
    for name in filter(is_picture_name, tree.files):
        folder, last = posixpath.split(name)
        said = [own for part in folder.split("/") if (own := role(part))]
        if said and said[-1] != "pictures":
            masks.setdefault(folder.casefold(), []).append(name)
        else:
            stem = posixpath.splitext(last)[0]
            pictures.setdefault(folder.casefold(), {}).setdefault(stem, name)
    pairs = []
    for folder, names in masks.items():
        beside = [pictures[each] for each in _beside(folder) if each in pictures]
        for name in names:
            there = [here[s] for here in beside for s in stems(name, MASK_ENDS) if s in here]
            pairs.append((name, there[0] if there else ""))
    return pairs if any(place for _, place in pairs) else _in_one_folder(pictures)


def _in_one_folder(pictures: dict[str, dict[str, str]]) -> list[tuple[str, str]]:
    """``1_mask.png`` beside ``1.jpg``."""
    return [
        (name, here[stem])
        for here in pictures.values()
        for name in here.values()
        for stem in stems(name, BESIDE_ENDS)[1:2]
        if stem in here
    ]


def _beside(folder: str) -> Iterable[str]:
    """Where the pictures of a folder of masks may lie, the likeliest first; lower case all."""
    parts = folder.split("/")
    at = max(i for i, part in enumerate(parts) if role(part) in ("masks", "annot"))
    both = BOTH.fullmatch(parts[at])
    if parts[at] in MASKS or both is None:
        names = [[own] for own in PICTURES] + [[]]
    else:
        split = both[1]
        names = [[split], *([split + end] for end in ("_images", "images", "-images", "_img"))]
        names += [[own, split] for own in PICTURES]
    return ["/".join([*parts[:at], *own, *parts[at + 1 :]]) for own in names]


def matched(tree: Tree, found: list[tuple[str, str]], problems: list[Problem]) -> list[Pair]:
    """The pairs that are one to one; a mask without a picture, and a second mask, are errors."""
    masks: dict[str, list[str]] = {}
    for mask, place in found:
        masks.setdefault(place, []).append(mask)
    for mask in masks.pop("", []):
        problems.append(Problem("there is no picture of this name", LOST, tree.files[mask].source))
    pairs = []
    for place, (first, *others) in masks.items():
        for other in others:  # nobody knows which is right
            why = f"its picture {place} has another mask too, {first}"
            fix = "Keep the one that is right."
            problems.append(Problem(why, fix, tree.files[other].source))
        if not others:
            split, name = split_and_name(place)
            pairs.append(Pair(split, name, tree.files[place], tree.files[first]))
    return pairs


def split_and_name(place: str) -> tuple[str, str]:
    """The split a picture is in, and its name below the folders that say split and role."""
    parts = place.split("/")
    said = [i for i, part in enumerate(parts[:-1]) if split_folder(part) or role(part)]
    splits = [split_folder(part) or (split_in(part) if role(part) else None) for part in parts[:-1]]
    split = next((own for own in splits if own), "all")
    return split, "/".join(parts[said[-1] + 1 :] if said else parts)


def without(tree: Tree, found: list[tuple[str, str]]) -> list[Problem]:
    """One warning for pictures that have no mask: beside others that have, or in folders of pictures."""
    used = {name for pair in found for name in pair}
    folders = {posixpath.dirname(place) for _, place in found if place}
    left = [
        name
        for name in filter(is_picture_name, tree.files)
        if name not in used
        and (
            (folder := posixpath.dirname(name)) in folders
            or [own for part in folder.split("/") if (own := role(part))][-1:] == ["pictures"]
        )
    ]
    if not left:
        return []
    why = f"not read: {len(left):,} pictures without a mask, the first of them here"
    fix = "Add a mask, of the ground alone where nothing is seen, or take them away."
    return [Problem(why, fix, tree.files[left[0]].source, severity="warning")]
