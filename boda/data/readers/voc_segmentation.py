"""Pascal VOC's classes of pixels: ``SegmentationClass`` beside ``JPEGImages``, as CVAT exports it too.

Everingham et al. 2015, The Pascal visual object classes challenge: a retrospective (IJCV 111). Masks
are PNGs with a palette, or of its colours; 255, drawn around objects, is ignored. The colours of the
21 classes are those of VOC's palette: the bits of the class's number, dealt out to red, green and
blue, the lowest to the highest.
"""

from __future__ import annotations

import posixpath
from pathlib import PurePosixPath
from typing import ClassVar

from boda.data.image import is_picture_name
from boda.data.readers import READERS
from boda.data.readers._class_maps import read_maps
from boda.data.readers._legends import Legend, colour, legend_of
from boda.data.readers._map_records import Pair
from boda.data.readers._voc_splits import Lists, split_lists
from boda.data.readers.class_masks import LOST, split_and_name
from boda.data.tree import Tree
from boda.errors import DataError, Problem
from boda.types import Dataset

MASKS, PICTURES = "segmentationclass", ("jpegimages", "images", "pngimages")
NAMES = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair"),
    *("cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor", "void"),
)


def palette(number: int) -> int:
    """The colour of a class in VOC's palette, see ``colour``; 0..255."""
    parts = [0, 0, 0]
    for level in range(8):
        for channel in range(3):
            parts[channel] |= (number >> (3 * level + channel) & 1) << (7 - level)
    return colour(*parts)


VALUES = (*range(len(NAMES) - 1), 255)
LEGEND = Legend("", NAMES, VALUES, tuple(map(palette, VALUES)))


@READERS.register("voc-segmentation")
class VocSegmentation:
    """``JPEGImages/1.jpg`` with ``SegmentationClass/1.png``; lists in ``ImageSets/Segmentation``."""

    name: ClassVar[str] = "voc-segmentation"
    tasks: ClassVar[tuple[str, ...]] = ("segment",)
    description: ClassVar[str] = "Pascal VOC's SegmentationClass, also CVAT's"
    layout: ClassVar[str] = "DATA/JPEGImages/1.jpg  DATA/SegmentationClass/1.png"

    def recognizes(self, tree: Tree) -> bool:
        """Whether a folder SegmentationClass has a picture's namesake."""
        return any(place for _, place in _pairs(tree))

    def read(self, tree: Tree) -> Dataset:
        """The listed pictures; where there are no lists, all that have a mask."""
        found = _pairs(tree)
        if not any(place for _, place in found):
            why = "there are no masks in SegmentationClass with pictures of the same names"
            raise DataError(why, file=tree.root, fix=f"As {self.layout}")
        problems: list[Problem] = []
        folders: dict[str, list[str]] = {}
        for mask, _ in found:
            folders.setdefault(posixpath.dirname(mask), []).append(mask)
        lists = split_lists(tree, folders, problems, sets="segmentation")
        pairs = _listed(tree, found, lists, problems)
        legend = legend_of(tree, [mask for mask, _ in found], problems)
        return read_maps(tree.root, self.name, pairs, legend or LEGEND, problems)


def _pairs(tree: Tree) -> list[tuple[str, str]]:
    """(mask, its picture or ""), in the tree's order."""
    if not any(posixpath.basename(folder).casefold() == MASKS for folder in tree.folders):
        return []
    stems: dict[str, str] = {}  # folder/stem in lower-case folders → name
    masks: list[tuple[str, str]] = []
    for name in filter(is_picture_name, tree.files):
        folder, last = posixpath.split(name)
        stem = posixpath.splitext(last)[0]
        parts = folder.casefold().split("/")
        if MASKS in parts:
            masks.append((name, stem))
        else:
            stems.setdefault("/".join([*parts, stem]), name)
    pairs = []
    for name, stem in masks:
        parts = posixpath.dirname(name).casefold().split("/")
        at = parts.index(MASKS)
        places = ("/".join([*parts[:at], own, *parts[at + 1 :], stem]) for own in PICTURES)
        pairs.append((name, next((stems[place] for place in places if place in stems), "")))
    return pairs


def _listed(
    tree: Tree, found: list[tuple[str, str]], lists: Lists, problems: list[Problem]
) -> list[Pair]:
    """The pairs of the lists, or all; what is listed without a mask is an error."""
    pairs, unlisted, seen = [], [], set()
    for mask, place in found:
        split = lists.of(mask) if lists.splits else split_and_name(mask)[0]
        source = tree.files[mask].source
        seen |= {"/".join(PurePosixPath(mask).with_suffix("").parts[at:]) for at in range(-3, 0)}
        if split is None:
            unlisted.append(source)
        elif not place:
            problems.append(Problem("there is no picture of this name", LOST, source))
        else:
            pairs.append(
                Pair(split, posixpath.basename(place), tree.files[place], tree.files[mask])
            )
    if unlisted:
        why = f"not read: {len(unlisted):,} masks that none of {lists.shown} names, the first here"
        fix = "Add them to one of the lists."
        problems.append(Problem(why, fix, unlisted[0], severity="warning"))
    lost = [own for own in lists.splits if own not in seen]
    if lost:
        why = f"{len(lost):,} listed pictures have no mask, the first: {lost[0]}"
        fix = "Draw them, or take them out of the lists."
        problems.append(Problem(why, fix, str(tree.root)))
    if not lists.splits:
        problems += _unmasked(tree, found)
    return pairs


def _unmasked(tree: Tree, found: list[tuple[str, str]]) -> list[Problem]:
    """A warning for pictures without a mask, where no list says which are meant."""
    used = {place for _, place in found}
    folders = {posixpath.dirname(place) for place in used if place}
    left = [
        entry.source
        for name, entry in tree.files.items()
        if posixpath.dirname(name) in folders and is_picture_name(name) and name not in used
    ]
    if not left:
        return []
    why = f"not read: {len(left):,} pictures without a mask, the first of them here"
    return [Problem(why, "Draw them, or take them away.", left[0], severity="warning")]
