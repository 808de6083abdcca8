"""A gallery as a folder of thumbnails, as NumPy arrays, or as another gallery. No torch."""

from __future__ import annotations

import csv
import json
import re
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from boda.data.convert import new_folder
from boda.errors import UsageError
from boda.files import replacing
from boda.gallery.gallery import Gallery
from boda.gallery.store import create_store, is_address

GALLERIES = (".db", ".sqlite", ".sqlite3", ".gallery")
TABLE = "gallery.csv"
NOT_IN_NAMES = re.compile(r'[/\\:*?"<>|\0]')  # of files, on one system or another


def is_gallery_name(name: str) -> bool:
    """Whether a name is meant to be a gallery's: an address, or a file with such a suffix."""
    return is_address(name) or Path(name).suffix.lower() in GALLERIES


def export(gallery: Gallery, target: str) -> dict[str, Any]:
    """Write all that a gallery holds.

    Args:
        gallery: what is written.
        target: a new ``.npz`` file for vectors without pictures; a new file that ends in ``.db``, or
            an address, for a gallery like this one; else a new folder, where each name has a folder
            of thumbnails, and gallery.csv says what each is.

    Returns:
        ``{"out", "kind", "entries"}``, the kind "arrays", "gallery" or "folder".

    Raises:
        UsageError: there is something already, or it cannot be written.
    """
    path = Path(target)
    if is_address(target):
        where, count = _copy(gallery, target)
        return {"out": where, "kind": "gallery", "entries": count}
    if is_gallery_name(target):
        return {"out": target, "kind": "gallery", "entries": _file(gallery, path)}
    if path.suffix.lower() == ".npz":
        return {"out": target, "kind": "arrays", "entries": _arrays(gallery, path)}
    with new_folder(path) as folder:
        return {"out": target, "kind": "folder", "entries": _folder(gallery, folder)}


def _copy(gallery: Gallery, where: str) -> tuple[str, int]:
    """A new gallery with the same entries; a copy to a server that was cut short is ended by an import."""
    about = replace(gallery.store.about, calibration=None)
    with Gallery(create_store(where, about)) as copy:
        return copy.store.where, sum(1 for _ in copy.merge(gallery))


def _file(gallery: Gallery, path: Path) -> int:
    """A gallery's file, there whole or not at all."""
    _refuse_taken(path)
    try:
        with replacing(path) as temporary:
            return _copy(gallery, str(temporary))[1]
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror or error}).") from None


def _refuse_taken(path: Path) -> None:
    if path.exists():
        raise UsageError(f"{path} is there already. Give another name.")


def _arrays(gallery: Gallery, path: Path) -> int:
    """``vectors`` (N, D) float32; ``names``, ``sources``, ``digests``, ``added`` text; ``about`` JSON."""
    _refuse_taken(path)
    vectors, rows = [], []
    for entry in gallery.store.entries():
        vectors.append(entry.vector)
        rows.append((entry.name, entry.source, entry.digest, entry.added))
    columns = list(zip(*rows, strict=True)) or [()] * 4
    names, sources, digests, added = (np.array(column, np.str_) for column in columns)
    dimension = gallery.store.about.dimension
    try:
        with replacing(path) as temporary, open(temporary, "xb") as file:
            np.savez(
                file,
                vectors=np.array(vectors, np.float32).reshape(-1, dimension),
                names=names,
                sources=sources,
                digests=digests,
                added=added,
                about=np.array(json.dumps(gallery.to_dict(), ensure_ascii=False)),
            )
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror or error}).") from None
    return len(rows)


def _folder(gallery: Gallery, folder: Path) -> int:
    """Thumbnails by name, numbered, and a table of them."""
    folders: dict[str, str] = {}
    counts: dict[str, int] = {}
    with open(folder / TABLE, "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(("file", "name", "source", "added"))
        for entry in gallery.store.entries():
            if entry.name not in folders:
                folders[entry.name] = _free_name(entry.name, set(folders.values()))
                (folder / folders[entry.name]).mkdir()
            counts[entry.name] = counts.get(entry.name, 0) + 1
            place = f"{folders[entry.name]}/{counts[entry.name]:04}.jpg"
            (folder / place).write_bytes(entry.thumbnail)
            table.writerow((place, entry.name, entry.source, entry.added))
    return sum(counts.values())


def _free_name(name: str, used: set[str]) -> str:
    """The name as a folder can be called; of two that would be called alike the second has a number."""
    safe = NOT_IN_NAMES.sub("_", name).strip(". ") or "_"
    while len(safe.encode()) > 200:  # file systems take 255 bytes, and the number needs some
        safe = safe[:-1]
    # Some file systems do not tell A from a.
    taken = {unicodedata.normalize("NFC", one).casefold() for one in used}
    number, free = 2, safe
    while free.casefold() in taken:
        free, number = f"{safe}-{number}", number + 1
    return free
