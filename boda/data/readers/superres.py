"""Pairs for super-resolution: the same picture small and large, ``1_LR.png`` with ``1_HR.png``.

The role may also be a folder's: ``HR/1.png`` with ``LR/1.png``, ``LRx2/1.png`` or, as DIV2K has it
(Agustsson, Timofte 2017, NTIRE workshop at CVPR), ``DIV2K_train_HR/1.png`` with
``DIV2K_train_LR_bicubic/X2/1x2.png``.

All pairs of a set are enlarged by one number, 2 or more. The literature cuts a large picture to a
multiple of it, at the right and at the bottom, before it makes the small one. A large picture that
was not cut, and so is larger by less than that number, is cut when it is read; any other size is
an error.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from boda.data.entries import Entry
from boda.data.image import PictureReader, is_picture_name
from boda.data.readers import READERS
from boda.data.readers._boxes import size_of
from boda.data.readers._pictures import split_folder, split_in
from boda.data.readers._splits import ORDER
from boda.data.tree import Tree
from boda.errors import DataError, Problem
from boda.types import Dataset, Sample

HIGH = "HR"
HINT = re.compile("[hl]r", re.IGNORECASE)  # without it a name has no role: most sets end here
_TIMES = r"(?:[ _-]?bicubic)?(?:[ _-]?x\d)?"
FOLDER = re.compile(rf"(?:(?P<name>.+)[ _-])?(?P<role>HR|LR){_TIMES}", re.IGNORECASE)
STEM = re.compile(rf"(?P<name>.+)[ _-](?P<role>HR|LR){_TIMES}", re.IGNORECASE)
TIMES = re.compile(r"x\d", re.IGNORECASE)  # a folder below the small pictures'
TIMES_END = re.compile(r"(?P<name>.+?)[ _-]?x\d", re.IGNORECASE)
MEND = "Make the small picture anew, or take both away."


@dataclass(frozen=True, slots=True)
class TargetReader:
    """Reads the large picture of a pair when called; picklable.

    Attributes:
        entry: the picture.
        size: (H, W) to which it is cut, at the right and at the bottom.
        whole: (H, W) before that.
    """

    entry: Entry
    size: tuple[int, int]
    whole: tuple[int, int]

    def __call__(self) -> np.ndarray:
        """(H, W, 3) uint8; ``DataError`` where it is damaged, or not as large as it was."""
        picture = PictureReader(self.entry)()
        if picture.shape[:2] != self.whole:
            self.entry.fail("has another size than a moment ago", "Read the data again.")
        return picture[: self.size[0], : self.size[1]]


@dataclass(slots=True)
class Twins:
    """What has one name in either role; sound where it is one small and one large picture."""

    split: str
    id: str
    high: list[Entry]
    low: list[Entry]


@READERS.register("superres")
class SuperResolution:
    """``1_LR.png`` with ``1_HR.png``, or two folders."""

    name: ClassVar[str] = "superres"
    tasks: ClassVar[tuple[str, ...]] = ("upscale",)
    description: ClassVar[str] = "the same pictures small and large, for super-resolution"
    layout: ClassVar[str] = "DATA/1_LR.png  DATA/1_HR.png\nDATA/LR/1.png  DATA/HR/1.png"

    def recognizes(self, tree: Tree) -> bool:
        """Whether a picture is there in both roles."""
        return any(pair.high and pair.low for pair in pairs_of(tree))

    def read(self, tree: Tree) -> Dataset:
        """The pairs; what has no partner, or another scale than most, is an error by its file."""
        if not self.recognizes(tree):
            why = "no picture is there small and large"
            raise DataError(why, file=tree.root, fix=f"As {self.layout}")
        problems: list[Problem] = []
        found: list[tuple[int, str, Sample]] = []
        for pair in pairs_of(tree):
            if (problem := _incomplete(pair)) is not None:
                problems.append(problem)
                continue
            try:
                found.append(_sample(pair))
            except DataError as error:
                problems += error.problems
        kept = _of_one_scale(found, problems)
        problems += _unused(tree)
        if not kept:
            raise DataError(problems=[p for p in problems if p.severity == "error"])
        splits: dict[str, list[Sample]] = {}
        for split, sample in kept:
            splits.setdefault(split, []).append(sample)
        ordered = {split: splits[split] for split in ORDER if split in splits}
        return Dataset(tree.root, self.name, "upscale", [], dict(ordered), problems)


def pairs_of(tree: Tree) -> list[Twins]:
    """By name, in the tree's order; those without a partner too."""
    found: dict[str, Twins] = {}
    for name in filter(is_picture_name, tree.files):
        if (told := _role(name)) is None:
            continue
        role, split, key, below = told
        pair = found.setdefault(key, Twins(split, below, [], []))
        (pair.high if role == HIGH else pair.low).append(tree.files[name])
    # DIV2K's small pictures say their scale at the end of the name.
    for key in [key for key, pair in found.items() if not pair.high]:
        shorter = TIMES_END.fullmatch(key)
        if shorter and (other := found.get(shorter["name"])) and other.high:
            other.low += found.pop(key).low
    return list(found.values())


def _role(name: str) -> tuple[str, str, str, str] | None:
    """The role of a picture, its split, the name it shares with its partner, and that below its split."""
    if HINT.search(name) is None:
        return None
    *folders, last = name.split("/")
    stem = last.rpartition(".")[0]
    splits = [split for part in folders if (split := split_folder(part))]
    roles = [i for i, part in enumerate(folders) if FOLDER.fullmatch(part)]
    kept = [*folders]
    if roles:
        at = roles[-1]
        match = FOLDER.fullmatch(folders[at])
        assert match is not None
        own = [match["name"]] if match["name"] else []
        splits += [split for split in map(split_in, own) if split]
        inner = [part for part in folders[at + 1 :] if not TIMES.fullmatch(part)]
        kept = [*folders[:at], *own, *inner]
    else:
        match = STEM.fullmatch(stem)
        if match is None:
            return None
        stem = match["name"]
    key = "/".join([*kept, stem])
    below = [part for part in kept if not (split_folder(part) or (roles and split_in(part)))]
    own_id = "/".join([*below, stem])
    return match["role"].upper(), splits[0] if splits else "all", key, own_id


def _incomplete(pair: Twins) -> Problem | None:
    """What is wrong where it is not one small and one large picture."""
    for some, other, which in (
        (pair.high, pair.low, "small picture (LR)"),
        (pair.low, pair.high, "large picture (HR)"),
    ):
        if not other:
            why = f"there is no {which} of this name"
            return Problem(why, "Put it there, or take this one away.", some[0].source)
    for some in (pair.high, pair.low):
        if len(some) > 1:
            why = f"its pair has another picture of this kind too, {some[0].source}"
            fix = "Keep one of them; of several scales, a set each."
            return Problem(why, fix, some[1].source)
    return None


def _sample(pair: Twins) -> tuple[int, str, Sample]:
    """The scale, the split and the sample.

    Raises:
        DataError: a picture that is none, or sizes that do not fit.
    """
    (high,), (low,) = pair.high, pair.low
    whole, small = size_of(high), size_of(low)
    scale = scale_between(small, whole)
    if scale is None:
        sizes = f"{small[0]}×{small[1]} and {whole[0]}×{whole[1]}"
        if whole[0] <= small[0] and whole[1] <= small[1]:
            why, fix = f"is not larger than its small picture ({sizes})", "Are the names swapped?"
        else:
            why, fix = f"is no whole number of times as large as its small picture ({sizes})", MEND
        high.fail(why, fix)
    target = TargetReader(high, (scale * small[0], scale * small[1]), whole)
    sample = Sample(pair.id, low.source, PictureReader(low), size=small, read_target=target)
    return scale, pair.split, sample


def scale_between(small: tuple[int, int], large: tuple[int, int]) -> int | None:
    """The number s by which (H, W) was reduced: s·H and s·W, or larger by less than s; None if none.

    Of pictures smaller than s several would fit: the largest then.
    """
    scale = min(b // a for a, b in zip(small, large, strict=True))
    fits = all(0 <= b - scale * a < scale for a, b in zip(small, large, strict=True))
    return scale if fits and scale >= 2 else None


def _of_one_scale(
    found: list[tuple[int, str, Sample]], problems: list[Problem]
) -> list[tuple[str, Sample]]:
    """Those of the commonest scale, of two that are as common the smaller one."""
    counts = Counter(scale for scale, _, _ in found)
    if not counts:
        return []
    most = min(counts, key=lambda scale: (-counts[scale], scale))
    for scale, _, sample in found:
        if scale != most:
            why = f"is enlarged {scale} times, {counts[most]:,} others {most} times"
            fix = "Keep one scale a set: name the folder that has one."
            problems.append(Problem(why, fix, sample.source))
    return [(split, sample) for scale, split, sample in found if scale == most]


def _unused(tree: Tree) -> list[Problem]:
    """One warning for pictures that have no role."""
    left = [name for name in filter(is_picture_name, tree.files) if _role(name) is None]
    if not left:
        return []
    why = f"not read: {len(left):,} pictures that are neither LR nor HR, the first of them here"
    fix = "Name them so, or take them away."
    return [Problem(why, fix, tree.files[left[0]].source, severity="warning")]
