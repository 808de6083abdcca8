"""COCO JSON: images, annotations and categories; boxes, polygons, run-length codes and crowds.

Lin et al. 2014, Microsoft COCO: common objects in context (arXiv 1405.0312).

A box is x, y, width, height with continuous edges. Categories have ids of any kind; classes are
numbered from 0 in the order of these ids. Annotations are told from one another by their place,
so two with one id are both read, and said. An outline that cannot be read leaves the box as it is.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any, ClassVar

from boda.data.readers import READERS
from boda.data.readers._boxes import (
    MEND,
    Marked,
    Wrong,
    class_name,
    gather,
    number,
    shown,
)
from boda.data.readers._coco_records import flag, identity, outline_of, size
from boda.data.readers._json import offsets, parse
from boda.data.readers._pictures import find, relative, split_in, unread
from boda.data.readers._tables import decode_text
from boda.data.tree import Entry, Tree, join
from boda.errors import DataError, Problem
from boda.types import Dataset

MOST_FILES = 50  # of .json in one folder; where there are more, they are one a picture, not COCO
HEAD = 1 << 16
FIRST = re.compile(r'\ufeff?\s*\{\s*"(images|annotations|categories|info|licenses|type)"\s*:')
NEXT = re.compile(r'"(images|annotations|categories)"\s*:')
OTHER = ("panoptic", "captions", "stuff", "image_info")  # files of COCO without boxes of things


@READERS.register("coco")
class Coco:
    """One JSON file a split, in the folder of the pictures, beside it, or in ``annotations/``."""

    name: ClassVar[str] = "coco"
    tasks: ClassVar[tuple[str, ...]] = ("detect", "localize", "instances", "segment")
    description: ClassVar[str] = "COCO JSON: boxes, polygons, crowds"
    layout: ClassVar[str] = "DATA/annotations/instances_train.json  DATA/train/1.jpg"

    def recognizes(self, tree: Tree) -> bool:
        """Whether a JSON file begins as COCO's do."""
        return bool(coco_files(tree))

    def read(self, tree: Tree) -> Dataset:
        """All splits; what is wrong with a record names its place in the list, and its line."""
        problems: list[Problem] = []
        chosen = _chosen(tree, problems)
        pictures: list[Marked] = []
        classes: list[str] = []
        listed: set[str] = set()
        for split, name in chosen:
            file = CocoFile(tree, name, split)
            pictures += file.pictures()
            problems += file.problems
            listed |= {tree.files[place].source for place in file.places if place in tree.files}
            classes = classes or list(file.classes.values())  # those of train
        problems += unread(tree, listed, "that no JSON lists", "Add each to its images.")
        return gather(tree.root, self.name, pictures, classes, problems)


def coco_files(tree: Tree) -> list[str]:
    """Names of the files that begin as COCO's do, the shallowest first."""
    folders: dict[str, list[str]] = {}
    for name in tree.files:
        if name.lower().endswith(".json") and name.count("/") <= 3:
            folders.setdefault(posixpath.dirname(name), []).append(name)
    few = [name for names in folders.values() if len(names) <= MOST_FILES for name in names]
    found = [name for name in few if _begins_like_coco(tree.files[name])]
    return sorted(found, key=lambda name: (name.count("/"), name))


def _begins_like_coco(entry: Entry) -> bool:
    head = entry.head(HEAD)
    utf16 = head[:2] in (b"\xff\xfe", b"\xfe\xff")
    text = head.decode("utf-16" if utf16 else "utf-8", "ignore")
    return bool(FIRST.match(text)) and (len(head) == HEAD or bool(NEXT.search(text)))


def _chosen(tree: Tree, problems: list[Problem]) -> list[tuple[str, str]]:
    """(split, name) of the files that are read, train first; the others are said."""
    found = coco_files(tree)
    if not found:
        raise DataError("there is no COCO JSON", file=tree.root, fix=f"As {Coco.layout}")
    stems = {name: PurePosixPath(name).stem.casefold() for name in found}
    chosen = [name for name in found if stems[name].startswith("instances")]
    chosen = chosen or [name for name in found if not stems[name].startswith(OTHER)] or found
    for name in found:
        if name not in chosen:
            why = f"not read: {', '.join(PurePosixPath(c).name for c in chosen[:3])} is"
            fix = "Name the file itself if it is meant."
            problems.append(Problem(why, fix, tree.files[name].source, severity="warning"))
    splits: dict[str, str] = {}
    for name in chosen:
        whole = tree.kind == "file"
        split = split_in(stems[name]) or split_in(posixpath.dirname(name)) or "all"
        split = "all" if whole else split
        if split in splits:
            raise DataError(
                f"two files hold the split '{split}': {splits[split]} and {name}",
                file=tree.root,
                fix="Name one of the files, or call them train, val and test.",
            )
        splits[split] = name
    order = ("train", "all", "val", "test")
    return sorted(((s, n) for s, n in splits.items()), key=lambda pair: order.index(pair[0]))


class CocoFile:
    """One JSON file while it is read.

    Attributes:
        classes: category id → name, in the order of the ids.
        places: picture's name in the tree → its index in ``images``.
        problems: what is wrong.
    """

    def __init__(self, tree: Tree, name: str, split: str) -> None:
        self.tree, self.name, self.split = tree, name, split
        self.entry = tree.files[name]
        self.problems: list[Problem] = []
        self.places: dict[str, int] = {}
        self._folders = list(self._likely_folders())
        self._text = decode_text(self.entry, self.entry.read())
        self._places: dict[str, list[int]] | None = None
        self._content = self._parse()
        self.classes = self._categories()

    def pictures(self) -> list[Marked]:
        """The pictures with their boxes."""
        by_id, gone = self._images()
        seen: dict[Any, int] = {}
        for index, record in enumerate(self._content["annotations"]):
            try:
                key = identity(record, "image_id")
                if key in gone:
                    continue  # its picture has been named
                if key not in by_id:
                    why = f"image_id {shown(key)} is no image of this file"
                    raise Wrong(why, "Add the image, or take the annotation out.", "image_id")
                picture = by_id[key]
                try:
                    self._object(record, picture, index)
                except Wrong:
                    picture.broken = True
                    raise
                self._once(record, index, seen)
            except Wrong as wrong:
                self._note(wrong, "annotations", index)
        return list(by_id.values())

    def _parse(self) -> dict[str, Any]:
        content = parse(self.entry, self._text)
        for key in ("images", "annotations", "categories"):
            if not isinstance(content.get(key), list):
                self.entry.fail(f"has no list '{key}'", "COCO has images, annotations, categories.")
        records = content["annotations"]
        if records and all(isinstance(r, dict) and "segments_info" in r for r in records[:100]):
            self.entry.fail("holds panoptic segments, not boxes", "Name the file of instances.")
        return content

    def _categories(self) -> dict[Any, str]:
        found: dict[Any, str] = {}
        names: dict[str, Any] = {}
        for index, record in enumerate(self._content["categories"]):
            try:
                key = identity(record, "id")
                name = class_name(record.get("name"), "name")
                if key in found:
                    raise Wrong(
                        f"id {shown(key)} is also of '{found[key]}'", "Ids are unique.", "id"
                    )
                if name in names:
                    why = f"the name '{name}' is also that of id {shown(names[name])}"
                    raise Wrong(why, "Names are unique.", "name")
                found[key], names[name] = name, key
            except Wrong as wrong:
                self._note(wrong, "categories", index)
        return dict(sorted(found.items(), key=lambda pair: (isinstance(pair[0], str), pair[0])))

    def _images(self) -> tuple[dict[Any, Marked], set[Any]]:
        """Image id → picture, and the ids of those that are left out."""
        found: dict[Any, Marked] = {}
        gone: set[Any] = set()
        first: dict[Any, int] = {}
        for index, record in enumerate(self._content["images"]):
            try:
                key = identity(record, "id")
                if key in first:
                    gone.add(key)  # nobody knows whose the annotations are
                    why = f"id {shown(key)} is also that of images[{first[key]}]; both are left out"
                    raise Wrong(why, "Give every image an id of its own.", "id")
                first[key] = index
                try:
                    found[key] = self._image(record, index)
                except Wrong:
                    gone.add(key)
                    raise
            except Wrong as wrong:
                self._note(wrong, "images", index)
        return {key: picture for key, picture in found.items() if key not in gone}, gone

    def _image(self, record: dict[str, Any], index: int) -> Marked:
        path = relative(record.get("file_name"), "file_name")
        place, entry = find(self.tree, self._folders, path, "file_name")
        if place in self.places:
            why = f"the picture {shown(path)} is also that of images[{self.places[place]}]"
            raise Wrong(why, "Join the two records.", "file_name")
        self.places[place] = index
        return Marked(self.split, path, entry.source, entry, size(record, entry))

    def _likely_folders(self) -> Iterable[str]:
        """Where pictures may lie, the nearest meaning first."""
        here = posixpath.dirname(self.name)
        named = PurePosixPath(self.name).stem.rpartition("_")[2]  # "train2017"
        inside_annotations = PurePosixPath(here).name.casefold() in ("annotations", "labels")
        if self.tree.kind == "file":
            parent = self.tree.root.absolute().parent.name.casefold()
            above = ".." if parent in ("annotations", "labels") else None
        else:
            above = posixpath.dirname(here) if inside_annotations else None
        for base in (here, above):
            if base is not None:
                for split in dict.fromkeys((named, self.split)):
                    yield from (
                        join(base, f) for f in (split, f"images/{split}", f"{split}/images")
                    )
                yield base
                yield join(base, "images")

    def _object(self, record: dict[str, Any], picture: Marked, index: int) -> None:
        category = identity(record, "category_id")
        if category not in self.classes:
            why = f"category_id {shown(category)} is no category of this file"
            raise Wrong(why, "Add the category, or correct the id.", "category_id")
        values = record.get("bbox")
        if not isinstance(values, list) or len(values) != 4:
            raise Wrong("the bbox is not [x, y, width, height]", MEND, "bbox")
        x, y, width, height = (number(value, "bbox") for value in values)
        if width <= 0 or height <= 0:
            raise Wrong(f"the box is {width:g} wide and {height:g} high", MEND, "bbox")
        flags = {key: flag(record, key) for key in ("iscrowd", "difficult")}
        area = None if record.get("area") is None else number(record["area"], "area")
        outline = None
        if record.get("segmentation"):
            try:
                outline = outline_of(record["segmentation"], picture.size)
            except Wrong as wrong:
                self._note(wrong, "annotations", index, warning=True)
        try:
            picture.add(
                self.classes[category],
                (x, y, x + width, y + height),
                crowd=flags["iscrowd"],
                difficult=flags["difficult"],
                outline=outline,
                area=area,
            )
        except Wrong as wrong:
            raise Wrong(wrong.why, wrong.fix, "bbox") from None

    def _once(self, record: dict[str, Any], index: int, seen: dict[Any, int]) -> None:
        if record.get("id") is None:
            return
        key = identity(record, "id")
        if key in seen:
            why = f"id {shown(key)} is also that of annotations[{seen[key]}]; both boxes are read"
            fix = "Give every annotation an id of its own: other tools keep only one."
            self._note(Wrong(why, fix, "id"), "annotations", index, warning=True)
        seen.setdefault(key, index)

    def _note(self, wrong: Wrong, key: str, index: int, warning: bool = False) -> None:
        if self._places is None:
            self._places = offsets(self._text)
        line = self._text.count("\n", 0, self._places[key][index]) + 1
        problem = wrong.at(self.entry.source, line, f"{key}[{index}]")
        if warning:
            problem = Problem(**{**problem.to_dict(), "severity": "warning"})
        self.problems.append(problem)
