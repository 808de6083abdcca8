"""Where a gallery lies: an SQLite file, or PostgreSQL by its address; both behind one interface."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from boda.errors import UsageError
from boda.gallery.records import About, Calibration, Entry, Match, Person

ADDRESSES = ("postgresql://", "postgres://")
FORMAT = 1  # of the tables; a gallery of a higher one was made by a newer boda


class Store(Protocol):
    """Entries, found by name, by picture and by nearness. Entries never change: they come and go.

    Writers may work at the same time, in any number of processes. What a method has written when it
    returns is on the disk.

    Attributes:
        where: the file or the address, without its password.
        about: whose vectors these are; read again by ``refresh``.
    """

    where: str
    about: About

    def refresh(self) -> About:
        """``about`` as it is now: other processes may have calibrated anew."""

    def extent(self) -> tuple[int, int]:
        """The number of entries, and the highest number that an entry was ever given."""

    def add(self, entries: Sequence[Entry]) -> list[bool]:
        """Take entries in, all in one step; False for each whose picture was there already."""

    def known(self, digests: Sequence[str]) -> dict[str, str]:
        """Of the pictures that are there: digest → name."""

    def remove(self, name: str) -> tuple[int, bool]:
        """Take a name's entries out, so that their bytes are gone from the gallery's files.

        Returns:
            How many there were, and whether the bytes are gone already: where others are reading,
            some may stay until the last of them is done.
        """

    def people(self) -> list[Person]:
        """Everybody, by code point."""

    def labels(self) -> tuple[np.ndarray, list[str]]:
        """(N,) int64 numbers of the entries, rising, and the name of each."""

    def vectors(self, ids: np.ndarray) -> np.ndarray:
        """(K, D) float32, of these entries in this order."""

    def blocks(self) -> Iterator[tuple[list[str], np.ndarray]]:
        """All vectors in pieces: the names, and (B, D) float32."""

    def nearest(self, queries: np.ndarray, count: int) -> list[list[Match]]:
        """For each of (Q, D) float32 vectors of length 1 the ``count`` most similar entries.

        The search is exact: every vector is compared. The best comes first; of two that are equally
        similar the one that came first.
        """

    def entries(self) -> Iterator[Entry]:
        """Everything, in the order of coming."""

    def calibrated(self, calibration: Calibration | None, rate: float) -> None:
        """Keep a calibration."""

    def close(self) -> None:
        """Let go of the file or the connection."""


def is_address(where: str) -> bool:
    """Whether this names a PostgreSQL database and not a file."""
    return where.startswith(ADDRESSES)


def refuse_newer(where: str, version: int) -> None:
    """A gallery of a format that this boda does not know is left alone."""
    if version > FORMAT:
        raise UsageError(
            f"{where} was made by a newer boda (format {version}; this one reads {FORMAT}). "
            "Update boda: pip install --upgrade boda"
        )


def create_store(where: str, about: About) -> Store:
    """A new, empty gallery.

    Args:
        where: a file that is not there yet, or ``postgresql://…``.
        about: whose vectors it will hold.

    Raises:
        UsageError: there is something already, or it cannot be written.
    """
    if is_address(where):
        from boda.gallery.postgres_store import PostgresStore

        return PostgresStore.create(where, about)
    from boda.gallery.sqlite_store import SqliteStore

    return SqliteStore.create(where, about)


def open_store(where: str) -> Store:
    """A gallery that is there.

    Raises:
        UsageError: there is none, it was made by a newer boda, or it cannot be reached.
        DataError: the file is no gallery, or is damaged.
    """
    if is_address(where):
        from boda.gallery.postgres_store import PostgresStore

        return PostgresStore.open(where)
    from boda.gallery.sqlite_store import SqliteStore

    return SqliteStore.open(where)
