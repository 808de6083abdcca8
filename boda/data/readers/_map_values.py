"""What the values of masks mean, decided over a whole set: classes, the object of 0 and 255, ignore.

That 0 and 255 are read as class numbers is the commonest silent error of the field; here every value
that is of no class is named, with its file, its pixels and what to do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from boda.data.mapped import BACKGROUND
from boda.data.readers._bitmaps import EXACT
from boda.data.readers._legends import MOST, Legend, colour, shown_colour
from boda.data.readers._map_records import Found, Meaning, Pair
from boda.errors import DataError, Problem
from boda.types import IGNORED

OBJECT = "object"
TOLD = 5  # values or colours that a message names
SMOOTHED_FROM = 16  # values that are no classes, of which so many come from smoothing alone
UNKNOWN = {255: IGNORED, 65535: IGNORED}  # values that mean "ignore", in 8 and in 16 bits
NAMES = "Write the names of the classes, one a line from value 0 on, to classes.txt."


def meaning_of(
    pairs: Sequence[Pair], legend: Legend | None, root: Path, problems: list[Problem]
) -> tuple[list[str], list[Meaning | None]]:
    """The classes of a set, and what the values of each mask mean; None where they mean nothing.

    Args:
        pairs: all masks of the set that can be read.
        legend: where something tells names.
        root: what the person named.
        problems: get what is wrong.

    Raises:
        DataError: the values as a whole cannot be classes.
    """
    if legend is not None and len(legend.names) == 1 and legend.colours is None:
        legend = replace(legend, names=(BACKGROUND, *legend.names), values=(0, 1))
    coloured = _coloured(pairs)
    numbered = [pair for pair in pairs if id(pair) not in coloured]
    table: dict[int, int] | None = None
    meanings: dict[int, Meaning] = {}
    if coloured and (legend is None or legend.colours is None):
        problems.append(_without_legend([p for p in pairs if id(p) in coloured], root))
    elif legend is not None and legend.colours is not None:
        by_colour = Meaning.of(legend.meaning(legend.colours), by_colour=True)
        if _by_colour(numbered, legend):
            coloured |= {id(pair) for pair in numbered}
            numbered = []
        meanings = dict.fromkeys(coloured, by_colour)
    classes = [] if legend is None else legend.classes
    if numbered:
        classes, table = _numbered(numbered, legend, root, problems)
        meanings |= dict.fromkeys(map(id, numbered), Meaning.of(table))
        _warn_of_binary(numbered, table, problems)
        _warn_of_palettes(numbered, problems)
    if legend is not None and legend.source and (void := set(legend.names) - set(classes)):
        why = f"pixels called {', '.join(sorted(void))} are ignored"
        fix = "If they are a class, give it another name."
        problems.append(Problem(why, fix, legend.source, severity="warning"))
    found = [meanings.get(id(pair)) for pair in pairs]
    for pair, meaning in zip(pairs, found, strict=True):
        problems += [] if meaning is None else _strangers(pair, meaning, legend)
    return classes, found


def _coloured(pairs: Sequence[Pair]) -> set[int]:
    """The ids of pairs whose masks are of colours; one all gray belongs to them where others are."""
    if all(_of(pair).values for pair in pairs):
        return set()
    return {id(pair) for pair in pairs if _of(pair).channels}


def _of(pair: Pair) -> Found:
    assert pair.found is not None
    return pair.found


def _without_legend(coloured: list[Pair], root: Path) -> Problem:
    """One problem for all coloured masks, which nothing explains."""
    counts: Counter[int] = Counter()
    for pair in coloured:
        counts.update(dict(zip(_of(pair).colours, _of(pair).counts, strict=True)))
    told = _told(counts.most_common(TOLD), shown_colour)
    more = f" and {len(counts) - TOLD:,} more" if len(counts) > TOLD else ""
    why = f"{len(coloured):,} masks are of colours, the first of them here, and no legend says "
    why += f"what they mean: {told}{more}"
    fix = "Beside the masks or above them write classes.csv: name,r,g,b and a line for each class."
    fix += f" {EXACT}" * (len(counts) > MOST)
    return Problem(why, fix, coloured[0].mask.source)


def _told(pairs: Iterable[tuple[int, int]], shown: object = str) -> str:
    """Values with their pixels."""
    assert callable(shown)
    return ", ".join(f"{shown(key)} ({count:,} pixels)" for key, count in pairs)


def _by_colour(pairs: Sequence[Pair], legend: Legend) -> bool:
    """Whether masks of numbers are read by their colours: as many pixels at least mean something so."""
    known, values = set(legend.colours or ()), {*legend.values, IGNORED}
    hits = [0, 0]
    for found in map(_of, pairs):
        for value, own, count in zip(found.values, found.colours, found.counts, strict=True):
            hits[0] += count * (own in known)
            hits[1] += count * (value in values)
    return hits[0] >= hits[1]


def _numbered(
    pairs: Sequence[Pair], legend: Legend | None, root: Path, problems: list[Problem]
) -> tuple[list[str], dict[int, int]]:
    """Classes and value → class for masks of numbers.

    Raises:
        DataError: they cannot be classes.
    """
    counts: Counter[int] = Counter()
    for found in map(_of, pairs):
        counts.update(dict(zip(found.values, found.counts, strict=True)))
    if 255 in counts and counts.keys() <= {0, 255} and (legend is None or 255 not in legend.values):
        return _binary(counts, legend, root, problems)
    if legend is not None:
        return legend.classes, UNKNOWN | legend.meaning(legend.values)
    values = sorted(value for value in counts if value not in UNKNOWN)
    contiguous = values == list(range(len(values)))
    largest = sum(count for _, count in counts.most_common(2))
    smooth = len(values) >= SMOOTHED_FROM and largest > 0.8 * counts.total() and not contiguous
    if smooth or len(values) > 200:
        why = f"the masks hold {len(counts):,} different values, most of them in few pixels: "
        why += "it looks as if they had been smoothed, or saved as JPEG once"
        raise DataError(why, file=root, fix=f"{EXACT} If they are classes: {NAMES}")
    if len(values) < 2:
        told = _told(sorted(counts.items()))
        why = f"the masks hold one value alone, {told}; a class each needs two values at least"
        raise DataError(why, file=root, fix=f"Draw the objects. If they are rare: {NAMES}")
    if not contiguous:
        shown = ", ".join(map(str, values[:8])) + (" …" if len(values) > 8 else "")
        why = f"the {len(values):,} values of the masks are not numbered through ({shown}); each "
        why += "is taken for a class"
        if ignored := sorted((value, counts[value]) for value in UNKNOWN if value in counts):
            why += f", but ignored is {_told(ignored)}"
        fix = f"{NAMES} If they number objects: --format instance-png; if they are gray levels "
        fix += "of colours, give a legend, classes.csv with name,r,g,b."
        problems.append(Problem(why, fix, str(root), severity="warning"))
    elif _like_objects(pairs):
        why = "the values of every mask are numbered through, to another end in each: they may "
        why += "number objects, not classes"
        fix = f"If so: --format instance-png. If not: {NAMES}"
        problems.append(Problem(why, fix, str(root), severity="warning"))
    table = {value: index for index, value in enumerate(values)}
    return [str(value) for value in values], table | UNKNOWN


def _binary(
    counts: Counter[int], legend: Legend | None, root: Path, problems: list[Problem]
) -> tuple[list[str], dict[int, int]]:
    """0 and 255 alone: 255 is the object, and that is said."""
    if legend is not None and len(legend.names) > 2:
        why = f"the masks hold 0 and 255 alone, but {len(legend.names)} classes are named: "
        why += "they are binary masks, in which 255 is the object"
        fix = f"Name two classes in {legend.source or 'classes.txt'}, or save the masks with the "
        fix += "classes' values."
        raise DataError(why, file=root, fix=fix)
    if 0 not in counts:
        why = f"the masks hold 255 alone ({counts[255]:,} pixels)"
        raise DataError(why, file=root, fix="Draw the ground as 0.")
    classes = [BACKGROUND, OBJECT] if legend is None else list(legend.names)
    why = f"the masks hold 0 and 255 alone: 0 is read as '{classes[0]}', 255 as '{classes[1]}'"
    fix = "Nothing need be done."
    if legend is None:
        fix += " To name them, write two lines to classes.txt."
    problems.append(Problem(why, fix, str(root), severity="warning"))
    return classes, {0: 0, 255: 1}


def _like_objects(pairs: Sequence[Pair]) -> bool:
    """Whether each mask has the values 0 or 1 to n, without a gap, and n differs."""
    last: set[int] = set()
    for found in map(_of, pairs):
        values = [value for value in found.values if value not in (0, IGNORED)]
        if values != list(range(1, len(values) + 1)):
            return False
        last.add(len(values))
    return len(pairs) >= 5 and max(last) >= 3 and len(last) >= 3


def _warn_of_binary(pairs: Sequence[Pair], table: dict[int, int], problems: list[Problem]) -> None:
    """A warning for masks of 0 and 255 among masks of numbers."""
    if table.get(255) != IGNORED:
        return
    found = [_of(pair) for pair in pairs]
    if any(255 in each.values and len(each.values) > 2 for each in found):
        return
    binary = [pair for pair in pairs if _of(pair).values == (0, 255)]
    if binary:
        why = f"{len(binary):,} masks hold 0 and 255 alone, the first of them here, others have "
        why += "other values but never 255: 255 is ignored"
        fix = "If 255 is an object there, save it with its class's value."
        problems.append(Problem(why, fix, binary[0].mask.source, severity="warning"))


def _warn_of_palettes(pairs: Sequence[Pair], problems: list[Problem]) -> None:
    """A warning where one number is of two colours: programs that make palettes anew number anew."""
    seen: dict[int, tuple[int, Pair]] = {}
    for pair in pairs:
        rows = list(zip(_of(pair).values, _of(pair).colours, strict=True))
        if all(own in (-1, colour(value, value, value)) for value, own in rows):
            continue  # gray
        for value, own in rows:
            first, other = seen.setdefault(value, (own, pair))
            if first == own:
                continue
            why = f"the palettes differ: {value} is {_seen(own)} here, {_seen(first)} in "
            why += f"{other.mask.source}; the numbers are taken for the classes"
            fix = "If the colours are, give a legend, classes.csv with name,r,g,b."
            problems.append(Problem(why, fix, pair.mask.source, severity="warning"))
            return


def _strangers(pair: Pair, meaning: Meaning, legend: Legend | None) -> list[Problem]:
    """An error where a mask has values or colours that are of no class."""
    found, known = _of(pair), set(meaning.keys)
    strange = [
        (key, count)
        for key, count in zip(found.keys(meaning.by_colour), found.counts, strict=True)
        if key not in known
    ]
    if not strange:
        return []
    source = pair.mask.source
    many = len(strange) + found.several - len(found.counts)
    if many > SMOOTHED_FROM:
        what = "colours" if meaning.by_colour else "values"
        why = f"{found.several:,} different {what}, {many:,} of them of no class: it looks smoothed"
        return [Problem(why, EXACT, source)]
    largest = sorted(strange, key=lambda each: -each[1])[:TOLD]
    more = f" and {many - TOLD:,} more" if many > TOLD else ""
    where = (legend and legend.source) or "the format"
    if meaning.by_colour:
        told = _told(((key, count) for key, count in largest), _seen)
        fix = "Add them there, or correct the mask; save it as PNG, without smoothing."
        return [Problem(f"colours that {where} does not name: {told}{more}", fix, source)]
    pairs = zip(meaning.keys, meaning.classes, strict=True)
    classes = [value for value, own in pairs if own != IGNORED]
    why = (
        f"values that are of no class: {_told(sorted(largest))}{more}; the classes of {where} are "
    )
    why += f"{_ranges(classes)}, 255 is ignored"
    return [Problem(why, _mend([key for key, _ in strange], classes, where), source)]


def _seen(code: int) -> str:
    return shown_colour(code) if code >= 0 else "a number without colour"


def _ranges(values: list[int]) -> str:
    if values == list(range(values[0], values[-1] + 1)):
        return f"{values[0]} to {values[-1]}"
    return ", ".join(map(str, values[:8])) + (" …" if len(values) > 8 else "")


def _mend(strange: list[int], classes: list[int], where: str) -> str:
    """What to do about values that are of no class."""
    if strange == [len(classes)] and classes == list(range(len(classes))):
        return f"If 0 is the ground, put '{BACKGROUND}' before the first name of {where}."
    if len(strange) > 1 and min(strange) > len(classes) + 1 and max(strange) <= MOST:
        return (
            "They look like gray levels of colours: save the masks with the classes' numbers, "
            "or give a legend, classes.csv with name,r,g,b."
        )
    return f"Correct the mask, or name the classes in {where}."
