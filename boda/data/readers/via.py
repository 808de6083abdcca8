"""VGG Image Annotator, version 1 and 2: one JSON of drawn regions for many pictures.

Dutta & Zisserman 2019, The VIA annotation software for images, audio and video (arXiv 1904.10699).

Saved projects are read as well as exported annotations. The class of a region is one of its
attributes: the one called class, label, name or the like, or the only one there is; where no region
of the file has any, all are of one class. Coordinates are taken as pixels with continuous edges.
"""

from __future__ import annotations

import math
import posixpath
import re
from pathlib import PurePosixPath
from typing import Any, ClassVar

import numpy as np

from boda.data.readers import READERS
from boda.data.readers._boxes import (
    Marked,
    Wrong,
    class_name,
    classes_of,
    gather,
    number,
    shown,
    size_of,
)
from boda.data.readers._json import parse
from boda.data.readers._pictures import find, inside, relative, split_folder, split_in, unread
from boda.data.readers._shapes import FIX, add_polygons, ellipse, polygon, rectangle
from boda.data.readers._tables import FOLDERS, decode_text
from boda.data.tree import Entry, Tree, join
from boda.errors import DataError, Problem
from boda.types import Dataset

HEAD = 1 << 14
MOST_FILES = 50  # of .json in one folder
CLOSED = 2.0  # pixels between the ends of a line that goes around an object
CLASS = "object"  # where no region has attributes
NAMES = ("class", "label", "name", "class_name", "category", "object", "type")
PROJECT = re.compile(r'"_via_(settings|img_metadata|attributes)"\s*:')
EXPORT = re.compile(r'"filename"\s*:.*"regions"\s*:', re.DOTALL)


@READERS.register("via")
class Via:
    """``via_region_data.json`` in the folder of the pictures or beside it, in each split's folder."""

    name: ClassVar[str] = "via"
    tasks: ClassVar[tuple[str, ...]] = ("instances", "detect", "localize", "segment")
    description: ClassVar[str] = "VGG Image Annotator: a JSON of polygons and shapes"
    layout: ClassVar[str] = "DATA/train/via_region_data.json  DATA/train/1.jpg"

    def recognizes(self, tree: Tree) -> bool:
        """Whether a JSON file begins as VIA's do."""
        return bool(_files(tree))

    def read(self, tree: Tree) -> Dataset:
        """All files; what is wrong with a region names its picture and its number there."""
        files = _files(tree)
        if not files:
            raise DataError("there is no JSON of VIA", file=tree.root, fix=f"As {self.layout}")
        problems: list[Problem] = []
        pictures: list[Marked] = []
        places: dict[str, Marked] = {}
        for name in files:
            pictures += _ViaFile(tree, name, problems, places).pictures()
        used = {picture.entry.source for picture in places.values()}
        problems += unread(tree, used, "that no JSON lists", "Add them to the project.")
        return gather(tree.root, self.name, pictures, classes_of(pictures), problems, "instances")


def _files(tree: Tree) -> list[str]:
    folders: dict[str, list[str]] = {}
    for name in tree.files:
        if name.lower().endswith(".json") and name.count("/") <= 3:
            folders.setdefault(posixpath.dirname(name), []).append(name)
    few = [name for names in folders.values() if len(names) <= MOST_FILES for name in names]
    return [name for name in few if _begins_like_via(tree.files[name])]


def _begins_like_via(entry: Entry) -> bool:
    text = entry.head(HEAD).replace(b"\0", b"").decode("utf-8", "ignore")
    return bool(PROJECT.search(text) or EXPORT.search(text))


class _ViaFile:
    """One JSON file while it is read."""

    def __init__(
        self, tree: Tree, name: str, problems: list[Problem], places: dict[str, Marked]
    ) -> None:
        self.tree, self.name, self.problems, self.places = tree, name, problems, places
        self.entry = tree.files[name]
        self.split = "all"
        if tree.kind != "file":
            folders = posixpath.dirname(name).split("/")
            self.split = split_in(PurePosixPath(name).stem) or next(
                (split for part in folders if (split := split_folder(part))), "all"
            )

    def pictures(self) -> list[Marked]:
        """The pictures with their objects; those without regions are negative examples."""
        records = self._records()
        attribute = self._attribute(records)
        found = []
        for key, record in records.items():
            where = f"[{shown(key)}]"
            try:
                picture = self._picture(record)
            except Wrong as wrong:
                self.problems.append(wrong.at(self.entry.source, field=where))
                continue
            except DataError as error:
                self.problems += error.problems
                continue
            for number_, region in _regions(record):
                try:
                    self._region(region, attribute, picture)
                except Wrong as wrong:
                    picture.broken = True
                    field = f"{where}.regions[{number_}]"
                    self.problems.append(wrong.at(self.entry.source, field=field))
            found.append(picture)
        return found

    def _records(self) -> dict[str, Any]:
        content = parse(self.entry, decode_text(self.entry, self.entry.read()))
        if PROJECT.search(" ".join(f'"{key}":' for key in content)):
            records = content.get("_via_img_metadata")
            if not isinstance(records, dict):
                self.entry.fail("has no _via_img_metadata", "Save the project again.")
            return records
        return content

    def _attribute(self, records: dict[str, Any]) -> str | None:
        """Which attribute of the regions is their class; None where none has any.

        Raises:
            DataError: there are several, and none has a name that says it.
        """
        known: dict[str, None] = {}
        for record in records.values():
            for _, region in _regions(record):
                own = region.get("region_attributes") if isinstance(region, dict) else None
                known.update(dict.fromkeys(own if isinstance(own, dict) else ()))
        plain = {name.strip().casefold(): name for name in reversed(known)}
        if chosen := next((plain[name] for name in NAMES if name in plain), None):
            return chosen
        if len(known) > 1:
            told = ", ".join(shown(name) for name in [*known][:8])
            why = f"several attributes of the regions could be the class: {told}"
            self.entry.fail(why, "Call the one that is meant 'class'.")
        return next(iter(known), None)

    def _picture(self, record: object) -> Marked:
        if not isinstance(record, dict):
            raise Wrong("the record is no JSON object", "As VIA writes it: {…}.")
        if not isinstance(record.get("regions", []), list | dict):
            raise Wrong("the regions are no list", "As VIA writes it: […].", "regions")
        path = relative(record.get("filename"), "filename")
        folder = posixpath.dirname(self.name)
        bases = (
            [folder]
            if self.tree.kind == "file" or not folder
            else [folder, posixpath.dirname(folder)]
        )
        likely = [join(base, below) for base in bases for below in (*FOLDERS, self.split)]
        place, entry = find(self.tree, likely, path, "filename")
        if place in self.places:
            self.places[place].broken = True  # nobody knows which is right
            raise Wrong(f"the picture {shown(path)} is named twice", "Join them.", "filename")
        size = size_of(entry)
        split = self.split
        if split == "all" and self.tree.kind != "file":
            parts = place.split("/")[:-1]
            split = next((s for part in parts if (s := split_folder(part))), "all")
        picture = Marked(split, inside(place, split), self.entry.source, entry, size)
        self.places[place] = picture
        return picture

    def _region(self, region: object, attribute: str | None, picture: Marked) -> None:
        if not isinstance(region, dict):
            raise Wrong("the region is no JSON object", "As VIA writes it: {…}.")
        name = CLASS
        if attribute is not None:
            attributes = region.get("region_attributes")
            value = attributes.get(attribute) if isinstance(attributes, dict) else None
            name = _named(value, f"region_attributes.{attribute}"[:80])
        add_polygons(picture, name, [_outline(region.get("shape_attributes"))], "shape_attributes")


def _regions(record: object) -> list[tuple[object, Any]]:
    """(number, region) of a record: version 1 numbers them with the keys of an object."""
    regions = record.get("regions") if isinstance(record, dict) else None
    if isinstance(regions, dict):
        return [(shown(key), region) for key, region in regions.items()]
    return list(enumerate(regions)) if isinstance(regions, list) else []


def _named(value: object, field: str) -> str:
    """The class that an attribute says; of a checkbox the one that is checked."""
    if isinstance(value, dict):
        checked = [key for key, on in value.items() if on is True or on in ("true", "1", 1)]
        if len(checked) != 1:
            raise Wrong(f"{len(checked)} classes are checked", "Check one.", field)
        (value,) = checked
    return class_name(value, field)


def _outline(shape: object) -> np.ndarray:
    """The polygon of a region's shape, (K, 2).

    Raises:
        Wrong: a shape without an inside, or one that is not known or not whole.
    """
    if not isinstance(shape, dict):
        raise Wrong("the region has no shape_attributes", FIX, "shape_attributes")
    kind = shape.get("name")
    read = lambda key: number(shape.get(key), f"shape_attributes.{key}")  # noqa: E731
    if kind in ("polygon", "polyline"):
        points = polygon(
            shape.get("all_points_x"), shape.get("all_points_y"), "shape_attributes.all_points"
        )
        gap = float(np.abs(points[0] - points[-1]).max())
        if kind == "polyline" and gap > CLOSED:
            why = f"a polyline encloses nothing: {gap:.7g} pixels lie between its ends"
            raise Wrong(why, "Draw a polygon.", "shape_attributes.name")
        return points
    if kind == "rect":
        x, y, width, height = (read(key) for key in ("x", "y", "width", "height"))
        return rectangle(x, y, x + width, y + height)
    if kind == "circle":
        radius = read("r")
        return ellipse((read("cx"), read("cy")), (radius, radius), 0.0, "shape_attributes.r")
    if kind == "ellipse":
        angle = read("theta") if shape.get("theta") is not None else 0.0
        radii = read("rx"), read("ry")
        return ellipse(
            (read("cx"), read("cy")), radii, math.remainder(angle, math.tau), "shape_attributes.rx"
        )
    why = f"the shape {shown(kind)} has no inside, or is not known"
    fix = "Draw a polygon, rect, circle or ellipse, or take it out."
    raise Wrong(why, fix, "shape_attributes.name")
