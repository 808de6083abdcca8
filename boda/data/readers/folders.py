"""Class folders: one folder of pictures a class, below train/val/test or not."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePosixPath
from typing import ClassVar

from boda.data.image import is_picture_name
from boda.data.readers import READERS
from boda.data.readers._identities import has_characters, runs_of
from boda.data.readers._splits import Record, assemble, nfc, split_of
from boda.data.tree import Tree, join
from boda.errors import DataError, Problem
from boda.types import Dataset

# Files that lie beside pictures in many sets and are not meant to be any.
SIDE_SUFFIXES = frozenset(
    f".{kind}"
    for kinds in (
        ("txt", "md", "rst", "html", "htm", "pdf", "log", "url", "py", "sh", "ipynb"),
        ("json", "jsonl", "csv", "tsv", "xml", "yaml", "yml", "cfg", "ini", "names", "data"),
        ("mat", "npy", "npz", "db", "lock", "md5", "sha1"),
    )
    for kind in kinds
)
SAY_MORE = (".csv", ".tsv", ".jsonl", ".ndjson", ".json")
# Top folders of detection and segmentation sets: their names are no classes.
NOT_CLASSES = frozenset(
    (
        *("images", "jpegimages", "imagesets", "annotations", "annotation", "labels"),
        *("masks", "pedmasks", "segmentationclass", "segmentationobject", "panoptic", "semantic"),
        *("instances", "instance_masks"),
    )
)


@READERS.register("folders")
class Folders:
    """``train/cat/1.jpg`` or ``cat/1.jpg``; a class's folder may have folders of its own."""

    name: ClassVar[str] = "folders"
    tasks: ClassVar[tuple[str, ...]] = ("classify", "generate", "translate")
    description: ClassVar[str] = "one folder of pictures for each class"
    layout: ClassVar[str] = "DATA/train/고양이/1.jpg  DATA/val/고양이/2.jpg\nDATA/고양이/1.jpg"

    def recognizes(self, tree: Tree) -> bool:
        """Whether a picture lies in a folder that can be a class."""
        if tree.kind == "file" or has_characters(tree) or runs_of(tree):
            return False
        base = _base(tree)
        tops, files = tree.children(base)
        splits = [top for top in tops if split_of(top)]
        if not splits and any(top.casefold() in NOT_CLASSES for top in tops):
            return False
        below = {
            name.casefold() for split in splits for name in tree.children(join(base, split))[0]
        }
        if below and below <= NOT_CLASSES:  # train/images beside train/labels
            return False
        if _is_other(tree, base, [] if splits else tops, files):
            return False
        start = [join(base, split) + "/" for split in splits] or [f"{base}/" if base else ""]
        return any(
            "/" in name[len(prefix) :] and is_picture_name(name)
            for name in tree.files
            for prefix in start
            if name.startswith(prefix)
        )

    def read(self, tree: Tree) -> Dataset:
        """The pictures with their folders' names as classes; empty and stray things as problems."""
        if not self.recognizes(tree):
            raise DataError(
                "there are no class folders with pictures", file=tree.root, fix=f"As {self.layout}"
            )
        problems: list[Problem] = []
        records = records_of(tree, problems)
        return assemble(tree.root, self.name, records, problems)


def records_of(tree: Tree, problems: list[Problem], what: str = "class") -> list[Record]:
    """The pictures in folders, each with its folder's name.

    Args:
        tree: of the data.
        problems: a warning is added for all that is not read, and for empty folders.
        what: the folder of a picture stands for, in messages.
    """
    base = _base(tree)
    places = _split_folders(tree, base)
    records = _records(tree, base, places, problems, what)
    problems += _empty_folders(tree, places, records, what)
    return records


def _is_other(tree: Tree, base: str, tops: list[str], files: list[str]) -> bool:
    """Whether the folders belong to a set that says more than classes; ``tops`` without splits."""
    if len(tops) == 1:
        inner, more = tree.children(join(base, tops[0]))
        if any(folder.casefold() in NOT_CLASSES for folder in inner):
            return True
        # One folder of pictures with a table in it or beside it, which says the classes.
        if any(file.lower().endswith(SAY_MORE) for file in files + more):
            return True
    masks = [name for name in tree.folders if name.rpartition("/")[2] == "masks"]
    return any(f"{name[:-5]}images" in tree.folders for name in masks)  # ID/images, ID/masks


def _base(tree: Tree) -> str:
    """The folder where splits or classes begin: single wrapping folders are skipped over."""
    base = ""
    while True:
        folders, files = tree.children(base)
        if len(folders) != 1 or split_of(folders[0]) or any(map(is_picture_name, files)):
            return base
        inner = join(base, folders[0])
        below, files = tree.children(inner)
        # A folder with pictures, or without folders, is the one class; it wraps nothing.
        if not below or any(map(is_picture_name, files)):
            return base
        base = inner


def _split_folders(tree: Tree, base: str) -> dict[str, str]:
    """Folder → split; the base itself is "all" where no folder is named like a split."""
    tops, _ = tree.children(base)
    places: dict[str, str] = {}
    for top in tops:
        split = split_of(top)
        if split is None:
            continue
        if split in places.values():
            raise DataError(
                f"two folders mean the split '{split}': {', '.join([*places, top])}",
                file=tree.shown(base),
                fix="Join them or rename one.",
            )
        places[join(base, top)] = split
    return places or {base: "all"}


def _records(
    tree: Tree, base: str, places: dict[str, str], problems: list[Problem], what: str
) -> list[Record]:
    records: list[Record] = []
    for name, entry in tree.files.items():
        inside = name[len(base) + 1 :] if base else name
        if base and not name.startswith(f"{base}/"):
            inside, split = name, None
        elif base in places:
            split = "all"
        else:
            top, _, inside = inside.partition("/")
            split = places.get(join(base, top)) if inside else None
        folder, _, rest = inside.partition("/")
        if split is not None and rest and is_picture_name(name):
            records.append(Record(split, nfc(inside), entry.source, nfc(folder), entry))
        elif is_picture_name(name):
            problems.append(
                Problem(
                    f"not read: the picture lies in no {what} folder",
                    f"Put it into the folder of its {what}, or take it away.",
                    entry.source,
                    severity="warning",
                )
            )
        elif rest and PurePosixPath(name).suffix.lower() not in SIDE_SUFFIXES:
            problems.append(
                Problem(
                    "not read: the name has no picture's suffix",
                    "If it is a picture, rename it (.jpg, .png, …); else take it away.",
                    entry.source,
                    severity="warning",
                )
            )
    return records


def _empty_folders(
    tree: Tree, places: dict[str, str], records: list[Record], what: str
) -> list[Problem]:
    counts = Counter((record.split, record.name) for record in records)
    return [
        Problem(
            f"the {what} folder holds no pictures",
            "Put pictures into it or take it away.",
            tree.shown(join(place, name)),
            severity="warning",
        )
        for place, split in places.items()
        for name in tree.children(place)[0]
        if not counts[split, nfc(name)]
    ]
