"""Pairs as single pictures: A on the left, B on the right, as pix2pix's data has them.

Only pictures that are twice as wide as high are recognized so; others with ``--format side-by-side``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from boda.data.entries import Entry
from boda.data.image import PictureReader, is_picture_name
from boda.data.readers import READERS
from boda.data.readers._boxes import size_of
from boda.data.readers._splits import ORDER
from boda.data.readers.pictures import Pictures
from boda.data.tree import Tree
from boda.errors import DataError, Problem
from boda.types import Dataset, Sample

LOOKED_AT = 32  # pictures, by which the layout is told
MOST = 0.9  # of them


@dataclass(frozen=True, slots=True)
class HalfReader:
    """Reads one half of a picture when called; picklable.

    Attributes:
        entry: the picture.
        right: which half.
    """

    entry: Entry
    right: bool

    def __call__(self) -> np.ndarray:
        """(H, W/2, 3) uint8; ``DataError`` where it is damaged."""
        picture = PictureReader(self.entry)()
        middle = picture.shape[1] // 2
        return np.ascontiguousarray(picture[:, middle:] if self.right else picture[:, :middle])


@READERS.register("side-by-side")
class SideBySide:
    """``train/1.jpg`` of 512×256: A, 256×256, and B."""

    name: ClassVar[str] = "side-by-side"
    tasks: ClassVar[tuple[str, ...]] = ("translate",)
    description: ClassVar[str] = "pictures of two halves, A on the left and B on the right"
    layout: ClassVar[str] = "DATA/train/1.jpg  DATA/test/2.jpg, each twice as wide as high"

    def recognizes(self, tree: Tree) -> bool:
        """Whether there are bare pictures, most of them twice as wide as high."""
        if not Pictures().recognizes(tree):
            return False
        entries = [entry for name, entry in tree.files.items() if is_picture_name(name)]
        step = max(1, len(entries) // LOOKED_AT)
        sizes = [size for entry in entries[::step] if (size := _size(entry)) is not None]
        return bool(sizes) and sum(map(_two, sizes)) >= MOST * len(sizes)

    def read(self, tree: Tree) -> Dataset:
        """The pairs; what cannot be halved is an error by its file."""
        wide = self.recognizes(tree)
        bare = Pictures().read(tree)
        problems, splits = bare.problems, {}
        for split in ORDER:
            kept = []
            for sample in bare.splits.get(split, []):
                problem = _misfit(sample, wide)
                if problem is None:
                    kept.append(_halved(sample))
                else:
                    problems.append(problem)
            if kept:
                splits[split] = kept
        if not splits:
            raise DataError(problems=[p for p in problems if p.severity == "error"])
        return Dataset(tree.root, self.name, "translate", [], dict(splits), problems)


def _size(entry: Entry) -> tuple[int, int] | None:
    try:
        return size_of(entry)
    except DataError:
        return None


def _two(size: tuple[int, int]) -> bool:
    return size[1] == 2 * size[0]


def _misfit(sample: Sample, wide: bool) -> Problem | None:
    """What is wrong with a picture that is to be halved."""
    assert sample.size is not None
    height, width = sample.size
    if width % 2 == 0 and (_two(sample.size) or not wide):
        return None
    why = f"is {width}×{height} and cannot be two pictures of one size side by side"
    if width % 2 == 0:
        why = f"is {width}×{height}, while the others are twice as wide as high"
    return Problem(why, "Make the pair anew, or take it away.", sample.source)


def _halved(sample: Sample) -> Sample:
    assert isinstance(sample.read, PictureReader) and sample.size is not None
    entry, (height, width) = sample.read.entry, sample.size
    return Sample(
        sample.id,
        sample.source,
        HalfReader(entry, right=False),
        size=(height, width // 2),
        read_target=HalfReader(entry, right=True),
    )
