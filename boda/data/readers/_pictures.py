"""Where the picture is that a record names: in the tree, or beside a file that was named itself."""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

from boda.data.entries import Entry
from boda.data.image import is_picture_name
from boda.data.readers._boxes import REMOVE, Wrong, shown
from boda.data.readers._splits import nfc, split_of
from boda.data.tree import Tree, join
from boda.errors import Problem

ROLES = ("images", "jpegimages", "pngimages", "imgs")


def split_in(name: str) -> str | None:
    """The split that a word of a file's or folder's name says: "instances_val2017" → "val"."""
    words = re.findall(r"[^\W\d_]+", PurePosixPath(name).name)
    return next((split for word in words if (split := split_of(word))), None)


def split_folder(part: str) -> str | None:
    """The split that one folder's name is: "train", "Valid", "val2017"."""
    return split_of(part.rstrip("0123456789"))


def relative(path: object, field: str) -> str:
    """A path as records write it, POSIX and NFC.

    Raises:
        Wrong: no text, empty, absolute, or leading out of the data.
    """
    if not isinstance(path, str) or not path.strip():
        raise Wrong("names no picture", "Give the picture's path.", field)
    if not path.isprintable():
        raise Wrong(f"the path {shown(path)} cannot be printed", "Rename the picture.", field)
    clean = path.strip().replace("\\", "/")
    if clean.startswith("/") or clean[1:3] == ":/":
        raise Wrong(f"the path {shown(path)} is absolute", "Give it relative to the data.", field)
    clean = nfc(posixpath.normpath(clean))
    if clean == ".." or clean.startswith("../"):
        raise Wrong(f"the path {shown(path)} leads out of the data", "Keep pictures in it.", field)
    return clean


def find(tree: Tree, folders: Iterable[str], path: str, field: str) -> tuple[str, Entry]:
    """The first of ``folder/path`` that is there: its name in the tree, and its entry.

    Args:
        tree: of the data; of a file named itself, the folders are relative to that file's folder.
        folders: in which to look, in that order.
        path: as ``relative`` gave it.
        field: what named it.

    Raises:
        Wrong: it is in none of them.
    """
    for folder in folders:
        name = posixpath.normpath(join(folder, path))
        if tree.kind != "file":
            if (entry := tree.files.get(name)) is not None:
                return name, entry
            continue
        for spelled in {name: None, unicodedata.normalize("NFD", name): None}:
            beside = tree.root.parent / spelled
            try:
                there = beside.is_file()
            except (OSError, ValueError):  # a name that no file can have
                there = False
            if there:
                return name, Entry(str(beside), str(beside))
    raise Wrong(f"the picture {shown(path)} is missing", REMOVE, field)


def inside(place: str, split: str) -> str:
    """A picture's name below the folder of pictures, or below that of its split."""
    parts = place.split("/")
    starts = [
        i for i, p in enumerate(parts[:-1]) if p.casefold() in ROLES or split_folder(p) == split
    ]
    return "/".join(parts[starts[-1] + 1 :] if starts else parts)


def unread(tree: Tree, used: set[str], which: str, fix: str) -> list[Problem]:
    """One warning for pictures that lie beside those that are used, and are not.

    Args:
        tree: of the data; beside a file named itself, nothing is looked for.
        used: sources of the pictures that are used, or were named as wrong.
        which: "that no row names".
        fix: what to do.
    """
    if tree.kind == "file":
        return []
    folders = {
        posixpath.dirname(name) for name, entry in tree.files.items() if entry.source in used
    }
    left = [
        entry.source
        for name, entry in tree.files.items()
        if posixpath.dirname(name) in folders and is_picture_name(name) and entry.source not in used
    ]
    if not left:
        return []
    why = f"not read: {len(left):,} pictures {which}, the first of them here"
    return [Problem(why, fix, left[0], severity="warning")]
