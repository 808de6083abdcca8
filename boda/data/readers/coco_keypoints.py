"""COCO JSON with keypoints: ``person_keypoints_train.json`` and what is of its form.

Lin et al. 2014, Microsoft COCO: common objects in context (arXiv 1405.0312).

A sample has the K points of one object. Where a picture has one object, the sample is the picture;
where it has several, every object with points is a sample of its own: its box, made 10 % larger and
wide enough for its points, is cut out of the picture. An object without a marked point is none, and
the data set says how many there are. COCO's own files hold whole numbers, which count pixels from 0;
so where all coordinates of a file are whole, a point is the centre of its pixel (x + 0.5), and else
the numbers are continuous edges as everywhere.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from boda.data.entries import Entry
from boda.data.image import decode
from boda.data.readers import READERS
from boda.data.readers._boxes import MEND, Box, Marked, Wrong, inside_picture, number
from boda.data.readers._coco_records import flag, identity
from boda.data.readers._pictures import unread
from boda.data.readers._points import Pointed, gather_points, marked, order_of, point, point_names
from boda.data.readers.coco import CocoFile, _chosen, coco_files
from boda.data.tree import Tree
from boda.errors import DataError, Problem
from boda.types import Dataset, Image

LARGER = 0.1  # by which a box is made wider and higher before it is cut out
HEAD = 1 << 24  # bytes in which the first keypoints are met
HAS_POINTS = re.compile(r'"keypoints"\s*:\s*\[\s*["\d-]')
FIX = "As [x1, y1, v1, x2, y2, v2, …]."


@dataclass(frozen=True, slots=True)
class CropReader:
    """Reads a part of a picture when called; picklable, so that workers can.

    Attributes:
        entry: the picture.
        size: (H, W) that it must have, since the part is in its pixels.
        part: x1, y1, x2, y2, whole pixels.
    """

    entry: Entry
    size: tuple[int, int]
    part: tuple[int, int, int, int]

    def __call__(self) -> Image:
        """(y2 − y1, x2 − x1, 3) uint8 RGB; ``DataError`` as ``decode``, or of another size."""
        picture = decode(self.entry.read(), self.entry.source)
        if picture.shape[:2] != self.size:
            height, width = picture.shape[:2]
            self.entry.fail(
                f"the picture is {width}×{height}, the annotation says "
                f"{self.size[1]}×{self.size[0]}",
                "Annotate the picture as it is shown (EXIF turns some), or correct the size.",
            )
        x1, y1, x2, y2 = self.part
        return np.ascontiguousarray(picture[y1:y2, x1:x2])


@READERS.register("keypoints")
class Keypoints:
    """One JSON file a split, in the folder of the pictures, beside it, or in ``annotations/``."""

    name: ClassVar[str] = "keypoints"
    tasks: ClassVar[tuple[str, ...]] = ("landmarks",)
    description: ClassVar[str] = "COCO JSON with keypoints"
    layout: ClassVar[str] = "DATA/annotations/person_keypoints_train.json  DATA/train/1.jpg"

    def recognizes(self, tree: Tree) -> bool:
        """Whether a JSON file begins as COCO's do and has keypoints."""
        return any(_has_points(tree, name) for name in coco_files(tree))

    def read(self, tree: Tree) -> Dataset:
        """All splits; what is wrong with a record names its place in the list, and its line."""
        wanted = {name: tree.files[name] for name in coco_files(tree) if _has_points(tree, name)}
        if not wanted:
            why = "there is no COCO JSON with keypoints"
            raise DataError(why, file=tree.root, fix=f"As {self.layout}")
        problems: list[Problem] = []
        pictures: list[Pointed] = []
        names: list[str] = []
        listed: set[str] = set()
        for split, name in _chosen(dataclasses.replace(tree, files=wanted), problems):
            file = KeypointsFile(tree, name, split)
            pictures += file.samples(names)
            names = names or file.names  # those of train
            problems += file.problems
            listed |= {tree.files[place].source for place in file.places if place in tree.files}
        problems += unread(tree, listed, "that no JSON lists", "Add each to its images.")
        return gather_points(tree.root, self.name, pictures, names, problems)


def _has_points(tree: Tree, name: str) -> bool:
    """Whether points are met early, or the name says that they come."""
    if "keypoints" in name.rpartition("/")[2].casefold():
        return True
    head = tree.files[name].head(HEAD)
    utf16 = head[:2] in (b"\xff\xfe", b"\xfe\xff")
    return bool(HAS_POINTS.search(head.decode("utf-16" if utf16 else "utf-8", "ignore")))


@dataclass(slots=True)
class _Object:
    """One annotation: x, y, v of each point as they are written (None: no points), and its box."""

    index: int
    points: list[list[float]] | None
    box: Box | None

    @property
    def told(self) -> bool:
        return self.points is not None and any(seen for _, _, seen in self.points)


class KeypointsFile(CocoFile):
    """One JSON file while it is read.

    Attributes:
        names: of the K points, from the first category that has some; else "0", "1", ….
    """

    def __init__(self, tree: Tree, name: str, split: str) -> None:
        super().__init__(tree, name, split)
        self._objects: dict[str, list[_Object]] = {}  # picture's id → what is on it
        self._pointed: set[Any] = set()  # ids of the categories with points
        self.names = self._names()

    def samples(self, names: list[str]) -> list[Pointed]:
        """A sample for each object with points; in the order of ``names`` unless that is empty."""
        try:
            order = order_of(self.names, names or self.names)
        except Wrong as wrong:
            raise DataError(problems=[wrong.at(self.entry.source)]) from None
        pictures = [picture for picture in self.pictures() if not picture.broken]
        half = 0.5 if self._counts_pixels() else 0.0
        found: list[Pointed] = []
        for picture in pictures:
            objects = self._objects.get(picture.id, [])
            for place, one in enumerate(objects, start=1):
                if not one.told:
                    continue
                try:
                    found.append(self._sample(picture, one, order, half, place, len(objects)))
                except Wrong as wrong:
                    self._note(wrong, "annotations", one.index)
        self._tell_of_the_rest(pictures)
        return found

    def _names(self) -> list[str]:
        """The names of the points; a category with other names is an error."""
        names: list[str] = []
        for index, record in enumerate(self._content["categories"]):
            try:
                if not isinstance(record, dict) or not record.get("keypoints"):
                    continue
                values = record["keypoints"]
                if not isinstance(values, list):
                    raise Wrong("keypoints is no list of names", 'As ["nose", …].', "keypoints")
                own = point_names(values, "keypoints")
                if names and own != names:
                    why = "its keypoints are not those of the category before it"
                    raise Wrong(why, "Put each kind of object into a file of its own.", "keypoints")
                names = own
                self._pointed |= {key for key in self.classes if key == record.get("id")}
            except Wrong as wrong:
                self._note(wrong, "categories", index)
        if names:
            return names
        self._pointed = set(self.classes)  # which have points, the annotations must say
        lists = (r.get("keypoints") for r in self._content["annotations"] if isinstance(r, dict))
        sizes = Counter(len(v) // 3 for v in lists if isinstance(v, list) and v)
        return [str(index) for index in range(sizes.most_common(1)[0][0] if sizes else 0)]

    def _object(self, record: dict[str, Any], picture: Marked, index: int) -> None:
        category = identity(record, "category_id")
        if category not in self.classes:
            why = f"category_id {category!r} is no category of this file"
            raise Wrong(why, "Add the category, or correct the id.", "category_id")
        values = record.get("keypoints")
        if values is not None and not isinstance(values, list):
            raise Wrong("keypoints is no list", FIX, "keypoints")
        if category not in self._pointed:
            if values:
                why = "has keypoints, but its category names none as the others do"
                raise Wrong(why, "Give the category its keypoints.", "category_id")
            return
        one = _Object(index, self._points(values) if values else None, None)
        if flag(record, "iscrowd") and one.told:
            fix = "Write iscrowd 0, or take the keypoints out."
            raise Wrong("a crowd has marked points", fix, "iscrowd")
        if one.told and record.get("bbox") is not None:
            one.box = _box(record["bbox"], picture.size)
        self._objects.setdefault(picture.id, []).append(one)

    def _points(self, values: list[Any]) -> list[list[float]]:
        if len(values) != 3 * len(self.names):
            why = f"keypoints has {len(values)} numbers; {len(self.names)} points need "
            raise Wrong(f"{why}{3 * len(self.names)}", FIX, "keypoints")
        fields = ("keypoints", "keypoints", "keypoints")
        triples = zip(values[::3], values[1::3], values[2::3], strict=True)
        return [point(x, y, seen, fields) for x, y, seen in triples]

    def _counts_pixels(self) -> bool:
        told = (one.points for each in self._objects.values() for one in each if one.points)
        return all(x.is_integer() and y.is_integer() for points in told for x, y, _ in points)

    def _sample(
        self, picture: Marked, one: _Object, order: list[int], half: float, place: int, count: int
    ) -> Pointed:
        assert one.points is not None
        names = [self.names[i] for i in order]
        moved = [
            [x + half, y + half, seen] if seen else [0.0, 0.0, 0.0]
            for x, y, seen in (one.points[i] for i in order)
        ]
        points = marked(moved, picture.size, names)
        source = picture.entry.source
        if count == 1:
            return Pointed(self.split, picture.id, source, picture.entry, picture.size, points)
        if one.box is None:
            why = "has no bbox, and there are several objects in its picture"
            raise Wrong(why, "Give every object its box.", "bbox")
        part = cut_out(one.box, points, picture.size)
        there = points[:, 2] > 0
        points[there, :2] -= np.array(part[:2], np.float32)
        size = (part[3] - part[1], part[2] - part[0])
        read = CropReader(picture.entry, picture.size, part)
        called = f"#{place}"
        return Pointed(
            self.split, picture.id + called, source + called, picture.entry, size, points, read
        )

    def _tell_of_the_rest(self, pictures: list[Marked]) -> None:
        """One warning for pictures and objects that have no points."""
        objects = [self._objects.get(picture.id, []) for picture in pictures]
        bare = sum(not any(one.told for one in each) for each in objects)
        left = sum(not one.told for each in objects for one in each)
        if bare or left:
            why = f"{left:,} objects have no marked point, and {bare:,} pictures no object with "
            fix = "Mark them, if they are meant."
            file = self.entry.source
            self.problems.append(Problem(f"{why}some", fix, file, severity="warning"))


def _box(values: object, size: tuple[int, int]) -> Box:
    if not isinstance(values, list) or len(values) != 4:
        raise Wrong("the bbox is not [x, y, width, height]", MEND, "bbox")
    x, y, width, height = (number(value, "bbox") for value in values)
    try:
        return inside_picture((x, y, x + width, y + height), size)[0]
    except Wrong as wrong:
        raise Wrong(wrong.why, wrong.fix, "bbox") from None


def cut_out(box: Box, points: np.ndarray, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The part of a picture that shows an object: x1, y1, x2, y2, whole pixels inside it.

    Args:
        box: of the object; it is made a tenth wider and higher around its centre.
        points: (K, 3); the part reaches to each of those that are marked.
        size: (H, W) of the picture.
    """
    x1, y1, x2, y2 = box
    wider, higher = (x2 - x1) * LARGER / 2, (y2 - y1) * LARGER / 2
    there = points[points[:, 2] > 0, :2].astype(np.float64)
    low = np.minimum(there.min(0), (x1 - wider, y1 - higher))
    high = np.maximum(there.max(0), (x2 + wider, y2 + higher))
    left, top = (max(0, math.floor(value)) for value in low)
    right, bottom = min(size[1], math.ceil(high[0])), min(size[0], math.ceil(high[1]))
    return left, top, right, bottom
