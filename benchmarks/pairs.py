"""Two sides measured in turn, so that what the machine does beside them falls on both alike."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Pairs:
    """What two sides measured, pair by pair."""

    ours: list[float]
    theirs: list[float]

    @property
    def ratios(self) -> list[float]:
        """Ours through theirs, one a pair, ascending."""
        return sorted(a / b for a, b in zip(self.ours, self.theirs, strict=True))

    @property
    def medians(self) -> tuple[float, float]:
        """Of our side and of theirs."""
        return statistics.median(self.ours), statistics.median(self.theirs)

    @property
    def ratio(self) -> float:
        """The median of the ratios."""
        return statistics.median(self.ratios)


def in_turn(ours: Callable[[], float], theirs: Callable[[], float], pairs: int) -> Pairs:
    """Measure both sides ``pairs`` times, each first in every second pair.

    Args:
        ours: measures once, and returns seconds or a speed.
        theirs: measures the same.
        pairs: those that count; one before them warms both up.
    """
    found: dict[Callable[[], float], list[float]] = {ours: [], theirs: []}
    for number in range(pairs + 1):
        for side in (ours, theirs) if number % 2 else (theirs, ours):
            value = side()
            if number:
                found[side].append(value)
    return Pairs(found[ours], found[theirs])
