"""Figures of merit: ``update`` with a batch, ``compute`` a flat dictionary; NumPy only."""

from __future__ import annotations


class NothingToMeasure(ValueError):  # noqa: N818 it says what is the case
    """What was counted has nothing that a figure could be of; says so for the person."""
