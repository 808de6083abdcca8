"""Pictures as they are given to a gallery: named, read when it is their turn. No torch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from boda.data.entries import Entry as File
from boda.data.image import decode
from boda.data.readers.folders import records_of
from boda.data.tree import open_tree
from boda.errors import DataError, Problem
from boda.gallery.records import printable
from boda.predicting import Picture, read_picture
from boda.types import Image


@dataclass(frozen=True)
class Given:
    """One picture.

    Attributes:
        source: its path, or what to call it.
        digest: SHA-256 of its file, or of an array's shape and pixels, in hexadecimal.
        image: decodes it; (H, W, 3) uint8. ``DataError`` where it is no picture.
    """

    source: str
    digest: str
    image: Callable[[], Image]


def load(picture: Picture | File, number: int) -> Given:
    """Read a picture's bytes; they are decoded when asked for.

    Args:
        picture: a path, a file of a folder or archive, or (H, W) or (H, W, 3) uint8.
        number: what an array is called by.

    Raises:
        DataError: it cannot be read.
    """
    if isinstance(picture, np.ndarray):
        image, source = read_picture(picture, number)
        found = hashlib.sha256(repr(image.shape).encode() + image.tobytes())
        return Given(source, found.hexdigest(), lambda: image)
    file = picture if isinstance(picture, File) else File(str(picture), printable(str(picture)))
    data = file.read()
    return Given(file.source, hashlib.sha256(data).hexdigest(), partial(decode, data, file.source))


def by_folder(path: str | Path, problems: list[Problem]) -> list[tuple[str, File]]:
    """The pictures of a folder or archive that has a folder for each name; splits are taken together.

    Args:
        path: the folder or archive.
        problems: told what lies there and is not read.

    Raises:
        DataError: there is no such folder with pictures.
    """
    tree = open_tree(path)
    found = [(r.name, r.entry) for r in records_of(tree, problems, "name")]
    if not found:
        why = "there is no folder of a name with pictures in it"
        raise DataError(why, file=tree.root, fix="As DATA/민수/1.jpg")
    return found
