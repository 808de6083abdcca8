"""Pascal VOC's way to count pixels, in XML and in the tables made from it.

From 1, xmax and ymax included: x1 = xmin − 1, x2 = xmax. A set in which any number is 0 counts from
0, and that is said: x1 = xmin, x2 = xmax + 1, unless some xmax is the picture's width (or ymax its
height): then its numbers are edges, and x2 = xmax.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from boda.data.readers._boxes import MEND, Marked, Wrong
from boda.data.tree import Tree
from boda.errors import Problem


@dataclass(frozen=True, slots=True)
class Written:
    """One object as it is written: class, (xmin, ymin, xmax, ymax), flags and line."""

    name: str
    numbers: tuple[float, ...]
    line: int
    difficult: bool = False
    crowd: bool = False


@dataclass(slots=True)
class Raw:
    """A picture and its objects as they are written, and the file that says so."""

    picture: Marked
    file: str
    objects: list[Written] = field(default_factory=list)


def convert(raws: Sequence[Raw], low: float, high: float, problems: list[Problem]) -> None:
    """Put the boxes into the pictures: xmin − low, ymin − low, xmax + high, ymax + high."""
    for raw in raws:
        for written in raw.objects:
            xmin, ymin, xmax, ymax = written.numbers
            box = (xmin - low, ymin - low, xmax + high, ymax + high)
            try:
                if xmax < xmin or ymax < ymin:
                    why = f"the box is turned round: {xmin:g} to {xmax:g}, {ymin:g} to {ymax:g}"
                    raise Wrong(why, MEND)
                flags = {"difficult": written.difficult, "crowd": written.crowd}
                raw.picture.add(written.name, box, **flags)
            except Wrong as wrong:
                raw.picture.broken = True
                problems.append(wrong.at(raw.file, written.line))


def convention(tree: Tree, raws: Sequence[Raw], problems: list[Problem]) -> tuple[float, float]:
    """What is taken from xmin and ymin, and what is added to xmax and ymax."""
    boxes = [(written.numbers, raw) for raw in raws for written in raw.objects]
    zero = next((raw for numbers, raw in boxes if 0 in numbers), None)
    if zero is None:
        return 1, 0
    edges = any(n[2] == raw.picture.size[1] or n[3] == raw.picture.size[0] for n, raw in boxes)
    how = "xmax is an edge" if edges else "xmax is the last pixel"
    why = f"a number is 0 ({zero.picture.source}), so pixels are counted from 0, and {how}"
    fix = "Nothing need be done, if that is meant; VOC's own numbers begin with 1."
    problems.append(Problem(why, fix, str(tree.root), severity="warning"))
    return 0, 0 if edges else 1
