"""Objects with outlines as classes of pixels, for ``segment``: each outline filled with its class.

0 is the background, 1 + c the class c. Larger objects are drawn first, so that a small one in front
of a large one, or annotated within it, is seen; of equal ones the later is on top. Crowds and
difficult objects are ignored (255), except where another object is drawn over them.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from boda import masks
from boda.data.outlined import learned, with_outlines
from boda.errors import DataError
from boda.types import IGNORED, ArraySamples, Dataset, Sample

BACKGROUND = "background"  # the class of pixels that no object covers


@dataclass(frozen=True, eq=False)
class OutlineMap:
    """Draws the classes of a picture's pixels when called; picklable.

    Attributes:
        size: (H, W) of the picture.
        objects: (outline, box, class) in the order in which they are drawn; 255 is ignored.
        areas: square pixels of each, as the format says, else of its box.
        classes: how many there are.
    """

    size: tuple[int, int]
    objects: tuple[tuple[Any, tuple[float, ...], int], ...]
    areas: tuple[float, ...]
    classes: int

    def __call__(self) -> np.ndarray:
        """(H, W) uint8, 255 = ignore."""
        out = np.zeros(self.size, np.uint8)
        for outline, box, label in self.objects:
            if outline is None:  # of a crowd, of which only the box is known
                x1, y1 = (int(value) for value in box[:2])
                x2, y2 = (int(np.ceil(value)) for value in box[2:])
                out[y1:y2, x1:x2] = label
            elif isinstance(outline, np.ndarray):
                out[outline] = label
            else:
                out[masks.of_outline(outline, self.size)] = label
        return out

    @property
    def counts(self) -> tuple[int, ...]:
        """About how many pixels each class has: what objects hide of each other is not seen."""
        out = [0.0] * self.classes
        for (_, _, label), area in zip(self.objects, self.areas, strict=True):
            if label != IGNORED:
                out[label] += area
        out[0] += max(0.0, self.size[0] * self.size[1] - sum(self.areas))
        return tuple(round(value) for value in out)

    @property
    def digest(self) -> str:
        """Equal for equal maps."""
        hashed = hashlib.blake2b(repr((self.size, self.classes)).encode(), digest_size=16)
        for outline, box, label in self.objects:
            if isinstance(outline, np.ndarray):
                hashed.update(np.packbits(outline).tobytes())
            elif isinstance(outline, list):
                hashed.update(repr([points.tolist() for points in outline]).encode())
            else:
                hashed.update(repr(outline or box).encode())
            hashed.update(bytes([label]))
        return hashed.hexdigest()


def with_maps(dataset: Dataset) -> Dataset:
    """The data set with a map for every picture instead of its objects.

    A class that is called "background" already is the ground. Pictures with an object without an
    outline are left out, an error for each; as ``with_outlines`` says.

    Raises:
        DataError: no object has an outline, or there are more than 254 classes.
    """
    dataset = with_outlines(dataset)
    names = [name for name in dataset.classes if name.casefold() != BACKGROUND]
    if len(names) >= IGNORED:
        why = f"there are {len(names):,} classes; a map can tell {IGNORED - 1} and the ground apart"
        raise DataError(why, file=dataset.root, fix="Join some.")
    number = {name: index for index, name in enumerate(names, start=1)}
    table = [number.get(name, 0) for name in dataset.classes]
    splits: dict[str, Sequence[Sample]] = {
        split: [_mapped(sample, table, len(names) + 1) for sample in samples]
        for split, samples in dataset.splits.items()
        if not isinstance(samples, ArraySamples)
    }
    return dataclasses.replace(dataset, classes=[BACKGROUND, *names], splits=splits, task="segment")


@dataclass(frozen=True, eq=False)
class Renumbered:
    """A map with other numbers for its classes; picklable.

    Attributes:
        sample: whose map it is.
        table: the new number of each class.
        classes: how many there are after it.
    """

    sample: Sample
    table: tuple[int, ...]
    classes: int

    def __call__(self) -> np.ndarray:
        """(H, W) uint8, 255 = ignore."""
        return renumbered(self.sample.class_map, self.table)

    @property
    def counts(self) -> tuple[int, ...]:
        """Pixels of each class."""
        out = np.zeros(self.classes, np.int64)
        np.add.at(out, list(self.table), pixels(self.sample, len(self.table)))
        return tuple(out.tolist())

    @property
    def digest(self) -> str:
        """Equal for equal maps."""
        text = f"{digest(self.sample)} {self.table}"
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def renumbered(semantic: np.ndarray, table: Sequence[int] | np.ndarray) -> np.ndarray:
    """(H, W) uint8 with ``table[c]`` for every class c; 255 stays 255."""
    every = np.full(256, IGNORED, np.uint8)
    every[: len(table)] = table
    return every[semantic]


def digest(sample: Sample) -> str:
    """A short text that is equal for equal maps; one that is read is not read for it."""
    known = getattr(sample.read_semantic, "digest", None)
    if sample.semantic is None and isinstance(known, str):
        return known
    found = np.ascontiguousarray(sample.class_map)
    hashed = hashlib.blake2b(repr(found.shape).encode(), digest_size=16)
    hashed.update(found.data)
    return hashed.hexdigest()


def pixels(sample: Sample, classes: int) -> np.ndarray:
    """(classes,) int64, pixels of each class; those of a map that is read are known from its reader."""
    known = getattr(sample.read_semantic, "counts", None)
    if sample.semantic is None and known is not None and len(known) == classes:
        return np.array(known, np.int64)
    return np.bincount(sample.class_map.ravel(), minlength=classes)[:classes]


def _mapped(sample: Sample, table: list[int], classes: int) -> Sample:
    count = 0 if sample.boxes is None else len(sample.boxes)
    objects: list[tuple[Any, tuple[float, ...], int]] = []
    areas: list[float] = []
    kept = learned(sample)
    for i in range(count):
        assert sample.boxes is not None and sample.labels is not None
        box = tuple(sample.boxes[i].tolist())
        outline = sample.masks[i] if sample.masks is not None else (sample.outlines or {i: None})[i]
        own = None if sample.areas is None else float(sample.areas[i])
        areas.append((box[2] - box[0]) * (box[3] - box[1]) if own is None else own)
        objects.append((outline, box, table[int(sample.labels[i])] if kept[i] else IGNORED))
    order = sorted(range(count), key=lambda i: (kept[i], -areas[i]))  # stable; ignored ones first
    return dataclasses.replace(
        sample,
        read_semantic=OutlineMap(
            sample.shape,
            tuple(objects[i] for i in order),
            tuple(areas[i] for i in order),
            classes,
        ),
        boxes=None,
        labels=None,
        crowd=None,
        difficult=None,
        outlines=None,
        areas=None,
        masks=None,
    )
