"""What the readers of classes of pixels share: masks are looked at once, then read when asked for.

A mask is a picture of numbers (gray, 16-bit gray, or the indices of a palette) or of colours. All of
a set are counted first, each decoded once; what its values mean is decided over the whole set
(``_map_values``). No map is kept: a sample decodes its mask again when its map is asked for.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from boda.data.entries import Entry
from boda.data.image import PictureReader
from boda.data.readers._bitmaps import loaded, values_of
from boda.data.readers._boxes import Wrong, size_of
from boda.data.readers._legends import Legend
from boda.data.readers._map_records import Found, Meaning, Pair
from boda.data.readers._map_values import meaning_of
from boda.data.readers._splits import ORDER
from boda.errors import DataError, Problem
from boda.types import IGNORED, Dataset, Sample

MOST_TOLD = 1024  # values of one mask; the rarer ones are only counted
MOST_THREADS = 8  # each holds one mask
GRAY = 0x010101  # times a level is the colour of that gray


@dataclass(frozen=True, slots=True)
class MapReader:
    """Reads the class of each pixel when called; picklable.

    Attributes:
        entry: the mask.
        size: (H, W) of the picture.
        meaning: what its values are.
        counts: pixels of each class, without those that are ignored.
        digest: equal for equal maps of one set.
    """

    entry: Entry
    size: tuple[int, int]
    meaning: Meaning
    counts: tuple[int, ...]
    digest: str

    def __call__(self) -> np.ndarray:
        """(H, W) uint8, 255 = ignore; ``DataError`` where the mask is not as it was."""
        try:
            picture = loaded(self.entry, self.size)
            found = _colours(picture) if self.meaning.by_colour else _numbers(picture)
        except Wrong as wrong:
            self.entry.fail(wrong.why, wrong.fix)
        keys, classes = np.array(self.meaning.keys), np.array(self.meaning.classes, np.uint8)
        if found.dtype == np.uint8:
            small = keys < 256
            table = np.full(256, -1, np.int16)
            table[keys[small]] = classes[small]
            out, known = table[found].astype(np.uint8), (table >= 0)[found].all()
        else:
            place = np.searchsorted(keys, found).clip(max=len(keys) - 1)
            out, known = classes[place], (keys[place] == found).all()
        if not known:
            self.entry.fail("holds other values than a moment ago", "Read the data again.")
        return out


def read_maps(
    root: Path, reader: str, pairs: Sequence[Pair], legend: Legend | None, problems: list[Problem]
) -> Dataset:
    """The data set of pictures with masks; what is wrong with a mask names its file.

    Args:
        root: what the person named.
        reader: the format's name.
        pairs: pictures and their masks.
        legend: what numbers or colours mean, where something tells.
        problems: what the reader found; what is found here is put behind it.

    Raises:
        DataError: no mask is left, or their values as a whole mean no classes.
    """
    sound = _looked_at(pairs, problems)
    before = len(problems)
    classes, meanings = meaning_of(sound, legend, root, problems)
    named = {problem.file for problem in problems[before:] if problem.severity == "error"}
    splits: dict[str, list[Sample]] = {}
    for pair, meaning in zip(sound, meanings, strict=True):
        if meaning is None or pair.mask.source in named:
            continue
        assert pair.found is not None
        counts = _by_class(pair.found, meaning, len(classes))
        if not sum(counts):
            why = f"all {sum(pair.found.counts):,} pixels are ignored: nothing can be learned"
            problems.append(Problem(why, "Draw the mask, or take it away.", pair.mask.source))
            continue
        digest = hashlib.blake2b(repr(meaning).encode(), key=pair.found.digest, digest_size=16)
        semantic = MapReader(pair.mask, pair.size, meaning, counts, digest.hexdigest())
        sample = Sample(pair.id, pair.mask.source, PictureReader(pair.picture), size=pair.size)
        sample.read_semantic = semantic
        splits.setdefault(pair.split, []).append(sample)
    if not splits:
        errors = [problem for problem in problems if problem.severity == "error"]
        if errors:
            raise DataError(problems=errors)
        raise DataError("there is no mask to learn from", file=root, fix="Draw some.")
    ordered = {split: splits[split] for split in ORDER if split in splits}
    return Dataset(root, reader, "segment", classes, dict(ordered), problems)


def _by_class(found: Found, meaning: Meaning, count: int) -> tuple[int, ...]:
    """Pixels of each class."""
    number = dict(zip(meaning.keys, meaning.classes, strict=True))
    out = [0] * count
    for key, pixels in zip(found.keys(meaning.by_colour), found.counts, strict=True):
        if (own := number.get(key, IGNORED)) != IGNORED:
            out[own] += pixels
    return tuple(out)


def _looked_at(pairs: Sequence[Pair], problems: list[Problem]) -> list[Pair]:
    """The pairs whose masks can be read, each with what was found in it, in their order."""
    with ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1)) as pool:
        results = list(pool.map(_look, pairs))
    problems += [result for result in results if isinstance(result, Problem)]
    return [pair for pair in pairs if pair.found is not None]


def _look(pair: Pair) -> Problem | None:
    """Decode a mask once and count its values."""
    try:
        pair.size = size_of(pair.picture)
    except DataError as error:
        return error.problems[0]
    try:
        pair.found = _found(loaded(pair.mask, pair.size))
    except Wrong as wrong:
        return wrong.at(pair.mask.source)
    return None


def _found(picture: Image.Image) -> Found:
    """What is in a mask.

    Raises:
        Wrong: it holds no numbers.
    """
    hashed = hashlib.blake2b(f"{picture.mode} {picture.size}".encode(), digest_size=16)
    hashed.update(repr(picture.getpalette("RGB") if picture.mode == "P" else "").encode())
    hashed.update(np.ascontiguousarray(np.asarray(picture)).data)
    values, counts = _counted(picture)
    several = len(values)
    if several > MOST_TOLD:
        kept = np.sort(np.argsort(counts, kind="stable")[-MOST_TOLD:])
        values, counts = values[kept], counts[kept]
    channels = picture.mode in ("RGB", "RGBA")
    gray = channels and bool((values == (values & 255) * GRAY).all())
    colours = values if channels else _colours_of(picture, values)
    levels = values & 255 if gray else values
    numbers = () if channels and not gray else tuple(levels.tolist())
    told = tuple(counts.tolist())
    return Found(numbers, tuple(colours.tolist()), told, channels, several, hashed.digest())


def _counted(picture: Image.Image) -> tuple[np.ndarray, np.ndarray]:
    """The values of a mask, ascending, and how many pixels have each."""
    if picture.mode == "RGB" and (pairs := picture.getcolors(MOST_TOLD)):
        codes = np.array([own[0] | own[1] << 8 | own[2] << 16 for _, own in pairs])  # type: ignore[index]
        order = np.argsort(codes)
        return codes[order], np.array([count for count, _ in pairs])[order]
    found = values_of(picture)
    if found.dtype == np.uint8:
        every = np.bincount(found.ravel(), minlength=256)
        values = np.flatnonzero(every)
        return values, every[values]
    values, counts = np.unique(found, return_counts=True)
    return values.astype(np.int64), counts


def _colours_of(picture: Image.Image, values: np.ndarray) -> np.ndarray:
    """The colour in which each number is seen; −1 where it has none."""
    if picture.mode == "1":
        return values * 255 * GRAY
    if picture.mode.startswith("I"):
        return np.full(len(values), -1)
    if picture.mode != "P":
        return values * GRAY
    parts = np.array(picture.getpalette("RGB") or [], np.int64).reshape(-1, 3)
    table = np.full(256, -1)
    table[: len(parts)] = parts @ [1, 1 << 8, 1 << 16]
    return table[values]


def _numbers(picture: Image.Image) -> np.ndarray:
    """(H, W) unsigned; of gray that is stored as colours, the level."""
    found = values_of(picture)
    return (found & 255).astype(np.uint8) if picture.mode in ("RGB", "RGBA") else found


def _colours(picture: Image.Image) -> np.ndarray:
    """(H, W) uint32, the colour of each pixel."""
    kind = "RGBA" if picture.mode in ("RGBA", "LA") else "RGB"
    return values_of(picture.convert(kind))
