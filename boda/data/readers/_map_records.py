"""Records of the masks of classes: what is in one, whose mask it is, what its values mean."""

from __future__ import annotations

from dataclasses import dataclass

from boda.data.entries import Entry


@dataclass(frozen=True, slots=True)
class Found:
    """What is in one mask.

    Attributes:
        values: ascending; empty where it is of colours.
        colours: that of each value, −1 where it has none; or those there are.
        counts: pixels of each.
        channels: whether it is stored as red, green and blue.
        several: how many different ones there are, also where not all are told.
        digest: of the pixels.
    """

    values: tuple[int, ...]
    colours: tuple[int, ...]
    counts: tuple[int, ...]
    channels: bool
    several: int
    digest: bytes

    def keys(self, by_colour: bool) -> tuple[int, ...]:
        """What ``counts`` are of."""
        return self.colours if by_colour else self.values


@dataclass(slots=True)
class Pair:
    """A picture and its mask.

    Attributes:
        split: "train", "val", "test" or "all".
        id: name within the split.
        picture: its file.
        mask: its mask's file.
        size: (H, W) of the picture, once it was looked at.
        found: what is in the mask, once it was looked at and is sound.
    """

    split: str
    id: str
    picture: Entry
    mask: Entry
    size: tuple[int, int] = (0, 0)
    found: Found | None = None


@dataclass(frozen=True, slots=True)
class Meaning:
    """Value or colour → class.

    Attributes:
        by_colour: whether keys are colours.
        keys: ascending.
        classes: class index of each, 255 = ignore.
    """

    by_colour: bool
    keys: tuple[int, ...]
    classes: tuple[int, ...]

    @staticmethod
    def of(table: dict[int, int], by_colour: bool = False) -> Meaning:
        """From key → class."""
        keys = tuple(sorted(table))
        return Meaning(by_colour, keys, tuple(table[key] for key in keys))
