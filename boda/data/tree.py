"""One read-only view of a folder, of an archive, or of a folder that holds archives.

Readers see names and bytes and need not know where these lie. Names are relative, POSIX and NFC,
so that 한글 typed on a Mac equals 한글 typed elsewhere; the original spelling is kept to open. An
archive in a folder is seen as if it had been unpacked there: ``train.zip`` holding ``cat/1.jpg``,
and ``train.tar.gz`` holding ``train/cat/1.jpg``, both appear as ``train/cat/1.jpg``.
"""

from __future__ import annotations

import difflib
import os
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from boda.data.archives import Archive, archive_kind, decode_name, ignored, open_archive
from boda.data.entries import Entry
from boda.errors import DataError, Problem

__all__ = ["Entry", "Tree", "join", "open_tree"]

# In a folder only these are looked into: .npz, .pth, .docx are .zip files too, but not data
# folders.
ARCHIVE_SUFFIXES = ("", ".zip", ".tar", ".tgz", ".gz", ".tbz2", ".tbz", ".bz2", ".txz", ".xz")


@dataclass
class Tree:
    """What lies under one path.

    Attributes:
        root: the path the person named.
        kind: "folder", "archive" or "file".
        files: relative name (POSIX, NFC) → entry, sorted by name.
        folders: relative names of all folders, also of those that hold nothing.
        problems: warnings about what was not mounted.
    """

    root: Path
    kind: Literal["folder", "archive", "file"]
    files: dict[str, Entry] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)

    def shown(self, name: str) -> str:
        """The path of a folder of the tree as it is shown to the person."""
        return f"{self.root}/{name}" if name else str(self.root)

    def children(self, folder: str = "") -> tuple[list[str], list[str]]:
        """Names of the folders and of the files that lie directly in ``folder``, sorted."""
        start = f"{folder}/" if folder else ""
        cut = len(start)
        inside = lambda name: name.startswith(start) and "/" not in name[cut:]  # noqa: E731
        folders = [name[cut:] for name in self.folders if inside(name)]
        return sorted(folders), sorted(name[cut:] for name in self.files if inside(name))


def open_tree(path: str | Path) -> Tree:
    """Look at what lies under ``path``; pictures are not read.

    Args:
        path: a folder, an archive (known by its content), or any other file.

    Raises:
        DataError: the path is not there (the nearest name is told), or an archive is damaged,
            hostile, or a compressed tar that memory cannot hold.
    """
    root = Path(path)
    if not root.exists():
        raise DataError("there is nothing at this path", file=root, fix=_nearest(root))
    tree = Tree(root, "folder")
    if root.is_dir():
        _walk(tree)
    elif kind := archive_kind(str(root)):
        tree.kind = "archive"
        _mount(tree, "", open_archive(str(root), kind, str(root)), str(root))
    else:
        tree.kind = "file"
        tree.files[_nfc(root.name)] = Entry(str(root), _shown(str(root)))
    tree.files = dict(sorted(tree.files.items()))
    for name in tree.files:
        _add_folders(tree, name)
    return tree


def join(folder: str, name: str) -> str:
    """``folder/name``, or ``name`` where the folder is the root."""
    return f"{folder}/{name}" if folder else name


def _walk(tree: Tree) -> None:
    archives: list[tuple[str, str]] = []
    waiting: list[tuple[str, str, frozenset[str]]] = [("", str(tree.root), frozenset())]
    while waiting:
        folder, path, above = waiting.pop()
        real = os.path.realpath(path)
        if real in above:  # a link that leads back to where we came from
            continue
        try:
            found = sorted(os.scandir(path), key=lambda item: item.name)
        except OSError as error:
            raise DataError(
                f"cannot be read ({error.strerror})", file=path, fix="Check its permissions."
            ) from None
        for item in found:
            name = join(folder, _nfc(item.name))
            if ignored(name):
                continue
            if item.is_dir():
                tree.folders.add(name)
                waiting.append((name, item.path, above | {real}))
            elif _may_be_archive(name) and archive_kind(item.path):
                archives.append((name, item.path))
            elif item.is_file() or item.is_symlink():  # not a socket, not a pipe
                _enter(tree, name, Entry(item.path, _shown(item.path)))
    for name, path in sorted(archives):
        _mount_beside(tree, name, path)


def _enter(tree: Tree, name: str, entry: Entry) -> None:
    if name in tree.files:  # two spellings of one name in one folder: keep both
        name = unicodedata.normalize("NFD", name)
    tree.files[name] = entry


def _may_be_archive(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in ARCHIVE_SUFFIXES


def _mount_beside(tree: Tree, name: str, path: str) -> None:
    """Mount the archive ``name`` of a folder where unpacking it would put its members."""
    kind = archive_kind(path)
    assert kind is not None
    shown = _shown(path)
    archive = open_archive(path, kind, shown)
    folder = str(PurePosixPath(name).parent).removeprefix(".")
    stem = PurePosixPath(name).name
    while PurePosixPath(stem).suffix.lower() in ARCHIVE_SUFFIXES[1:]:
        stem = PurePosixPath(stem).stem
    tops = {member.split("/")[0].casefold() for member in (*archive.files, *archive.folders)}
    target = folder if tops == {stem.casefold()} else join(folder, stem)
    unpacked = {join(folder, member) for member in archive.files} <= tree.files.keys()
    if unpacked or join(folder, stem) in tree.folders:
        tree.problems.append(
            Problem(
                "not read: it seems to be unpacked beside itself already",
                "Take the archive or the unpacked folder away.",
                shown,
                severity="warning",
            )
        )
        return
    _mount(tree, target, archive, shown)


def _mount(tree: Tree, folder: str, archive: Archive, shown: str) -> None:
    for name, entry in archive.files.items():
        _enter(tree, join(folder, name), entry)
    tree.folders.update(join(folder, name) for name in archive.folders)
    for name in archive.repeated:
        tree.problems.append(
            Problem(
                "the archive holds this member more than once; the last one is read",
                "Repack the archive.",
                f"{shown}/{name}",
                severity="warning",
            )
        )


def _add_folders(tree: Tree, name: str) -> None:
    """Enter the folders above ``name``, which archives need not list."""
    while "/" in name:
        name = name.rpartition("/")[0]
        if name in tree.folders:
            return
        tree.folders.add(name)


def _nfc(name: str) -> str:
    return name if name.isascii() else unicodedata.normalize("NFC", _shown(name))


def _shown(path: str) -> str:
    """A path that can be printed, also where the file system holds bytes that are not UTF-8."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return decode_name(os.fsencode(path))
    return path


def _nearest(path: Path) -> str:
    parent = path.parent
    while not parent.exists():
        path, parent = parent, parent.parent
    if not parent.is_dir():
        return f"{parent} is a file, not a folder."
    here = sorted(item.name for item in parent.iterdir() if not ignored(item.name))
    if near := difflib.get_close_matches(path.name, here, n=1, cutoff=0.5):
        return f"Did you mean {parent / near[0]}?"
    return f"In {parent} there is: {', '.join(here[:8]) or 'nothing'}."
