"""LabelMe: a JSON of drawn shapes beside each picture.

Russell et al. 2008, LabelMe: a database and web-based tool for image annotation (IJCV 77), as the
program labelme of Kentaro Wada writes it. Shapes with one label and one ``group_id`` are parts of one
object. ``imageData``, the picture once more, is not read. Coordinates have continuous edges; only a
bitmap's (``mask``) corners are whole pixels, both inclusive.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import math
import posixpath
import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import ClassVar

import numpy as np

from boda.data.entries import MemoryMember
from boda.data.readers import READERS
from boda.data.readers._bitmaps import add_mask, numbers
from boda.data.readers._boxes import (
    REMOVE,
    Marked,
    Wrong,
    class_name,
    classes_of,
    gather,
    number,
    shown,
    size_of,
)
from boda.data.readers._json import offsets, parse
from boda.data.readers._pictures import find, inside, split_folder, unread
from boda.data.readers._shapes import FIX, add_polygons, bounded, ellipse, rectangle
from boda.data.readers._splits import nfc
from boda.data.readers._tables import decode_text
from boda.data.tree import Entry, Tree, join
from boda.errors import DataError, Problem
from boda.masks import rasterize
from boda.types import Dataset

HEAD = 1 << 12
LOOKED_AT = 20  # JSON files of a folder, until one is an annotation
BEGINS = re.compile(rb'\{\s*"[^"]*"\s*:')
KEYS = re.compile(rb'"(shapes|imagePath|imageData|imageHeight)"\s*:')
OTHERS = ("", "images", "../images", "../Images", "../JPEGImages", "../imgs")
SUFFIXES = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG", ".bmp", ".tif", ".webp")


@READERS.register("labelme")
class LabelMe:
    """``1.json`` beside ``1.jpg``, or in a folder of its own beside ``images``."""

    name: ClassVar[str] = "labelme"
    tasks: ClassVar[tuple[str, ...]] = ("instances", "detect", "localize", "segment")
    description: ClassVar[str] = "LabelMe: a JSON of polygons and shapes a picture"
    layout: ClassVar[str] = "DATA/train/1.json  DATA/train/1.jpg"

    def recognizes(self, tree: Tree) -> bool:
        """Whether a JSON file begins as LabelMe's do."""
        return bool(_annotations(tree))

    def read(self, tree: Tree) -> Dataset:
        """All annotated pictures; what is wrong with a shape names its line."""
        names = _annotations(tree)
        if not names:
            why = "there are no annotations of LabelMe"
            raise DataError(why, file=tree.root, fix=f"As {self.layout}")
        problems: list[Problem] = []
        pictures: list[Marked] = []
        first: dict[str, Marked] = {}
        for name in names:
            try:
                picture = _read(tree, name, problems)
            except Wrong as wrong:
                problems.append(wrong.at(tree.files[name].source))
                continue
            except DataError as error:
                problems += error.problems
                continue
            pictures.append(picture)
            other = first.setdefault(picture.entry.source, picture)
            if other is not picture:
                other.broken = picture.broken = True  # nobody knows which is right
                why = f"its picture {picture.entry.source} is also that of {other.source}"
                fix = "Keep the annotation that is right."
                problems.append(Problem(why, fix, picture.source, field="imagePath"))
        problems += unread(tree, {*first}, "without a JSON", "Annotate them, or take them away.")
        return gather(tree.root, self.name, pictures, classes_of(pictures), problems, "instances")


def _annotations(tree: Tree) -> list[str]:
    """The JSON files of the folders in which some begin as LabelMe's do."""
    folders: dict[str, list[str]] = {}
    for name in tree.files:
        if name.lower().endswith(".json"):
            folders.setdefault(posixpath.dirname(name), []).append(name)
    return [
        name
        for names in folders.values()
        if any(_begins_like_labelme(tree.files[each]) for each in names[:LOOKED_AT])
        for name in names
    ]


def _begins_like_labelme(entry: Entry) -> bool:
    head = entry.head(HEAD).replace(b"\0", b"")
    return bool(BEGINS.search(head[:100]) and KEYS.search(head))


def _read(tree: Tree, name: str, problems: list[Problem]) -> Marked:
    """One file.

    Raises:
        Wrong: there is no picture for it, or no list of shapes.
        DataError: it is no JSON, or its picture is damaged.
    """
    entry = tree.files[name]
    text = decode_text(entry, entry.read())
    content = parse(entry, text)
    shapes = content.get("shapes")
    if not isinstance(shapes, list):
        raise Wrong("has no list 'shapes'", "As LabelMe writes it; else take the file away.")
    place, picture = _picture(tree, name, content.get("imagePath"), problems)
    size = size_of(picture)
    for key, length in (("imageHeight", size[0]), ("imageWidth", size[1])):
        if content.get(key) not in (None, length):
            why = f"{key} is {shown(content[key])}; the picture is {size[1]}×{size[0]}"
            raise Wrong(why, "Annotate the picture as it is shown (EXIF turns some).", key)
    split = "all" if tree.kind == "file" else _split(place)
    found = Marked(split, inside(place, split), entry.source, picture, size)
    objects: dict[tuple[object, ...], _Object] = {}
    places = offsets(text)["shapes"] if shapes else []

    def note(wrong: Wrong, index: int) -> None:
        found.broken = True
        line = text.count("\n", 0, places[index]) + 1
        problems.append(wrong.at(entry.source, line, f"shapes[{index}]"))

    for index, shape in enumerate(shapes):
        try:
            _take(shape, index, size, objects)
        except Wrong as wrong:
            note(wrong, index)
    for each in objects.values():
        try:
            each.add(found)
        except Wrong as wrong:
            note(wrong, each.index)
    return found


def _split(place: str) -> str:
    return next((s for part in place.split("/")[:-1] if (s := split_folder(part))), "all")


def _picture(tree: Tree, name: str, written: object, problems: list[Problem]) -> tuple[str, Entry]:
    """By the path that is written; else by the annotation's own name, which is said."""
    here = posixpath.dirname(name)
    path = nfc(written.replace("\\", "/")) if isinstance(written, str) else ""
    path = path if path.isprintable() and not path.startswith("/") else posixpath.basename(path)
    bases = [posixpath.normpath(join(here, each)) for each in OTHERS]
    bases = ["" if base == "." else base for base in bases]
    if path:
        exact = posixpath.normpath(join(here, path))
        if tree.kind != "file" and exact in tree.files:
            return exact, tree.files[exact]
        with contextlib.suppress(Wrong):
            return find(tree, bases, posixpath.basename(path), "imagePath")
    stem = PurePosixPath(name).stem
    for suffix in SUFFIXES:
        with contextlib.suppress(Wrong):
            found = find(tree, bases, stem + suffix, "imagePath")
            if path and PurePosixPath(path).stem != stem:
                why = f"the picture {shown(path)} is missing; {stem}{suffix} is taken"
                source = tree.files[name].source
                problem = Problem(
                    why, "Correct the path.", source, field="imagePath", severity="warning"
                )
                problems.append(problem)
            return found
    raise Wrong(f"the picture {shown(path or stem)} is missing", REMOVE, "imagePath")


@dataclass
class _Object:
    """One object while its parts are collected; index is that of its first shape."""

    label: str
    index: int
    polygons: list[np.ndarray] = field(default_factory=list)
    bitmap: np.ndarray | None = None

    def add(self, picture: Marked) -> None:
        """Put it among the picture's objects.

        Raises:
            Wrong: it encloses nothing, or leaves the picture.
        """
        if self.bitmap is None:
            add_polygons(picture, self.label, self.polygons, "points")
            return
        for points in self.polygons:
            bounded(points, picture.size, "points")
        mask = self.bitmap | rasterize(self.polygons, picture.size)
        if not mask.any():
            raise Wrong("the mask is empty: no pixel is set", FIX, "mask")
        add_mask(picture, self.label, mask)


def _take(
    shape: object, index: int, size: tuple[int, int], objects: dict[tuple[object, ...], _Object]
) -> None:
    """One shape, as an object or as a part of one.

    Raises:
        Wrong: a shape without an inside, or one that is not known or not whole.
    """
    if not isinstance(shape, dict):
        raise Wrong("the shape is no JSON object", "As LabelMe writes it: {…}.")
    label, group = class_name(shape.get("label"), "label"), shape.get("group_id")
    if group is not None and (isinstance(group, bool) or not isinstance(group, int | str)):
        raise Wrong(f"group_id is {shown(group)}", "Give a whole number, or null.", "group_id")
    key = ("alone", index) if group is None else ("group", label, group)
    kind = shape.get("shape_type", "polygon")
    points = _points(shape.get("points"))
    if kind == "mask":
        mask = _bitmap(shape.get("mask"), points, size)
        one = objects.setdefault(key, _Object(label, index))
        one.bitmap = mask if one.bitmap is None else one.bitmap | mask
    else:
        outline = _outline(kind, points)
        objects.setdefault(key, _Object(label, index)).polygons.append(outline)


def _points(value: object) -> np.ndarray:
    """(K, 2) float64."""
    if not isinstance(value, list) or not all(isinstance(p, list) and len(p) == 2 for p in value):
        raise Wrong("the points are not [[x, y], …]", FIX, "points")
    flat = [number(coordinate, "points") for point in value for coordinate in point]
    return np.array(flat, np.float64).reshape(-1, 2)


def _outline(kind: object, points: np.ndarray) -> np.ndarray:
    """The polygon of a shape, (K, 2)."""
    if kind == "polygon" or (kind == "rectangle" and len(points) == 4):
        if len(points) < 3:
            raise Wrong(f"{len(points)} points enclose nothing: three at least do", FIX, "points")
        return points
    if kind not in ("rectangle", "circle"):
        why = f"the shape {shown(kind)} has no inside, or is not known"
        fix = "Draw a polygon, rectangle or circle, or take it out."
        raise Wrong(why, fix, "shape_type")
    if len(points) != 2:
        raise Wrong(f"a {kind} has {len(points)} points, not 2", FIX, "points")
    (x1, y1), (x2, y2) = points.tolist()
    if kind == "rectangle":
        return rectangle(x1, y1, x2, y2)
    radius = math.hypot(x2 - x1, y2 - y1)
    return ellipse((x1, y1), (radius, radius), 0.0, "points")


def _bitmap(value: object, points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The mask of a shape that is a PNG in base64, between two corners; (H, W) bool of the picture."""
    if len(points) != 2:
        raise Wrong(f"a mask has {len(points)} points, not 2", FIX, "points")
    height, width = size
    (x1, y1), (x2, y2) = points.tolist()
    if not (0 <= x1 <= x2 < width and 0 <= y1 <= y2 < height):
        raise Wrong("its corners are not in the picture", FIX, "points")
    left, top, right, bottom = int(x1), int(y1), int(x2) + 1, int(y2) + 1
    try:
        data = base64.b64decode(value if isinstance(value, str) else "", validate=True)
    except (binascii.Error, ValueError):
        raise Wrong("the mask is no base64", FIX, "mask") from None
    entry = MemoryMember("", "mask", data)
    out = np.zeros(size, bool)
    out[top:bottom, left:right] = numbers(entry, (bottom - top, right - left)) > 0
    return out
