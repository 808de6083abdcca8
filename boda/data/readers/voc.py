"""Pascal VOC: an XML file a picture; splits by ``ImageSets/Main/*.txt``, by tables, or by folders.

Everingham et al. 2010, The PASCAL visual object classes challenge (IJCV 88).

How pixels are counted stands in ``_voc_numbers``. Where an object is "difficult" it does not count;
``<crowd>1</crowd>`` is our own, so that COCO's crowds can be written in this format too.
"""

from __future__ import annotations

import posixpath
from collections import defaultdict
from pathlib import PurePosixPath
from typing import ClassVar

from boda.data.image import is_picture_name
from boda.data.readers import READERS
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
from boda.data.readers._pictures import inside, split_folder
from boda.data.readers._splits import nfc
from boda.data.readers._voc_numbers import Raw, Written, convention, convert
from boda.data.readers._voc_splits import Lists, split_lists
from boda.data.readers._xml import Node, parse
from boda.data.tree import Entry, Tree, join
from boda.errors import DataError, Problem
from boda.types import Dataset

LOOKED_AT = 20  # XML files of a folder, until one is an annotation
TAGS = ("xmin", "ymin", "xmax", "ymax")
PICTURES = ("JPEGImages", "images", "Images", "PNGImages", "imgs", "")


@READERS.register("voc")
class Voc:
    """``Annotations/1.xml`` with ``JPEGImages/1.jpg``, or both in one folder."""

    name: ClassVar[str] = "voc"
    tasks: ClassVar[tuple[str, ...]] = ("detect", "localize")
    description: ClassVar[str] = "Pascal VOC: an XML file a picture"
    layout: ClassVar[str] = "DATA/Annotations/1.xml  DATA/JPEGImages/1.jpg"

    def recognizes(self, tree: Tree) -> bool:
        """Whether an XML file begins as VOC's do."""
        return tree.kind != "file" and bool(_annotations(tree))

    def read(self, tree: Tree) -> Dataset:
        """All pictures; what is wrong with an object names its line."""
        folders = _annotations(tree) if tree.kind != "file" else {}
        if not folders:
            raise DataError("there are no VOC annotations", file=tree.root, fix=f"As {self.layout}")
        problems: list[Problem] = []
        lists = split_lists(tree, folders, problems)
        raws: list[Raw] = []
        for name in (name for names in folders.values() for name in names):
            split = lists.of(name) if lists.splits else _folder_split(name)
            if split is None:
                why = f"not read: none of {lists.shown} names it"
                fix = "Add it to one of the lists."
                source = tree.files[name].source
                problems.append(Problem(why, fix, source, severity="warning"))
            elif (raw := _read(tree, name, split, problems)) is not None:
                raws.append(raw)
        _one_each(raws, problems)
        convert(raws, *convention(tree, raws, problems), problems)
        pictures = [raw.picture for raw in raws]
        pictures += _without(tree, folders, raws, lists, problems)
        return gather(tree.root, self.name, pictures, classes_of(pictures), problems)


def _annotations(tree: Tree) -> dict[str, list[str]]:
    """Folder → its XML files, of the folders whose files begin as VOC's do."""
    folders: dict[str, list[str]] = defaultdict(list)
    for name in tree.files:
        if name.lower().endswith(".xml"):
            folders[posixpath.dirname(name)].append(name)
    return {
        folder: names
        for folder, names in folders.items()
        if any(_begins_like_voc(tree.files[name]) for name in names[:LOOKED_AT])
    }


def _begins_like_voc(entry: Entry) -> bool:
    return b"<annotation" in entry.head(1 << 12).replace(b"\0", b"")


def _folder_split(name: str) -> str:
    return next((s for part in name.split("/")[:-1] if (s := split_folder(part))), "all")


def _read(tree: Tree, name: str, split: str, problems: list[Problem]) -> Raw | None:
    """One file; None where there is no picture for it."""
    entry = tree.files[name]
    try:
        root = parse(entry)
        place, picture = _picture(tree, name, root, problems)
        size = _size(root, picture)
    except Wrong as wrong:
        problems.append(wrong.at(entry.source))
        return None
    except DataError as error:
        problems += error.problems
        return None
    raw = Raw(Marked(split, inside(place, split), entry.source, picture, size), entry.source)
    for node in root.all("object"):
        try:
            raw.objects.append(_object(node))
        except Wrong as wrong:
            raw.picture.broken = True
            problems.append(wrong.at(entry.source, node.line))
    return raw


def _one_each(raws: list[Raw], problems: list[Problem]) -> None:
    """Two annotations of one picture: nobody knows which is right, so it is left out."""
    first: dict[str, Raw] = {}
    for raw in raws:
        other = first.setdefault(raw.picture.entry.source, raw)
        if other is not raw:
            other.picture.broken = raw.picture.broken = True
            why = f"its picture {raw.picture.entry.source} is also that of {other.file}"
            wrong = Wrong(why, "Keep the annotation that is right.", "filename")
            problems.append(wrong.at(raw.file))


def _picture(tree: Tree, name: str, root: Node, problems: list[Problem]) -> tuple[str, Entry]:
    """By the file name that is written; else by the annotation's own, which is said."""
    if root.tag != "annotation":
        raise Wrong(f"its root is {shown(root.tag)}, not 'annotation'", "Take the file away.")
    written = posixpath.basename(nfc(root.words("filename")).replace("\\", "/"))
    folder = posixpath.dirname(name)
    above = posixpath.dirname(folder)
    places = [join(above, part) if part else folder for part in PICTURES]
    if "annotations" in name.casefold():  # Annotations/a/1.xml belongs to JPEGImages/a/1.jpg
        parts = name.split("/")[:-1]
        at = next((i for i, p in enumerate(parts) if p.casefold() == "annotations"), None)
        if at is not None and at < len(parts) - 1:
            places += ["/".join([*parts[:at], p, *parts[at + 1 :]]) for p in PICTURES if p]
    for place in places:
        if written and is_picture_name(written) and (e := tree.files.get(join(place, written))):
            return join(place, written), e
    stem = PurePosixPath(name).stem
    for place in places:
        for suffix in (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG", ".bmp", ".webp"):
            if (entry := tree.files.get(join(place, stem + suffix))) is not None:
                if written and PurePosixPath(written).stem != stem:
                    why = f"the picture {shown(written)} is missing; {stem}{suffix} is taken"
                    fix = "Correct the file name."
                    source = tree.files[name].source
                    problems.append(Problem(why, fix, source, field="filename", severity="warning"))
                return join(place, stem + suffix), entry
    raise Wrong(f"the picture {shown(written or stem)} is missing", REMOVE, "filename")


def _size(root: Node, picture: Entry) -> tuple[int, int]:
    """(H, W) as it is written; as the picture's header says where it is missing or 0."""
    size = root.get("size")
    texts = [size.words(tag) if size is not None else "" for tag in ("height", "width")]
    if all(text in ("", "0") for text in texts):
        return size_of(picture)
    values = [number(text, "size") for text in texts]
    if not all(0 < value < 1 << 24 and value == int(value) for value in values):
        raise Wrong(f"the size is {texts[1]} × {texts[0]}", "Give pixels, whole numbers.", "size")
    return int(values[0]), int(values[1])


def _object(node: Node) -> Written:
    box = node.get("bndbox")
    if box is None:
        raise Wrong("the object has no bndbox", "Add it, or take the object out.", "bndbox")
    name = class_name(node.words("name"), "name")
    numbers = tuple(number(box.words(tag), tag) for tag in TAGS)
    flags = [_flag(node, tag) for tag in ("difficult", "crowd")]
    return Written(name, numbers, box.line, flags[0], flags[1])


def _flag(node: Node, tag: str) -> bool:
    text = node.words(tag)
    if text not in ("", "0", "1"):
        raise Wrong(f"{tag} is {shown(text)}", "Write 0 or 1.", tag)
    return text == "1"


def _without(
    tree: Tree,
    folders: dict[str, list[str]],
    raws: list[Raw],
    lists: Lists,
    problems: list[Problem],
) -> list[Marked]:
    """Pictures beside annotated ones that have no XML: negative examples, unless lists leave them out."""
    taken = {raw.picture.entry.source for raw in raws}
    beside = {posixpath.dirname(name) for name, e in tree.files.items() if e.source in taken}
    annotated = {PurePosixPath(name).stem for names in folders.values() for name in names}
    found = []
    for name, entry in tree.files.items():
        if (
            posixpath.dirname(name) not in beside
            or entry.source in taken
            or not is_picture_name(name)
            or PurePosixPath(name).stem in annotated  # also where that annotation is broken
        ):
            continue
        split = lists.of(name) if lists.splits else _folder_split(name)
        if split is None:
            continue
        try:
            found.append(Marked(split, inside(name, split), entry.source, entry, size_of(entry)))
        except DataError as error:
            problems += error.problems
    return found
