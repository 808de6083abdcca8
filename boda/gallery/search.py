"""Exact search by cosine: every vector is compared with every query, in blocks. NumPy only."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from boda.gallery.records import Match

BLOCK = 16_384  # vectors that are multiplied at once
AT_ONCE = 64  # queries
EXTRA = 16  # candidates beyond those that are asked for
Candidates = tuple[np.ndarray, Sequence[str], np.ndarray]  # numbers, names, (K, D) vectors


class Matrix:
    """Vectors in memory with room to grow, so that new ones are appended without a copy of all.

    Attributes:
        ids: numbers of the entries, rising.
        names: the name of each.
    """

    def __init__(self, dimension: int) -> None:
        self._vectors = np.empty((0, dimension), np.float32)
        self._ids = np.empty(0, np.int64)
        self.names: list[str] = []

    def __len__(self) -> int:
        return len(self.names)

    @property
    def vectors(self) -> np.ndarray:
        """(N, D) float32."""
        return self._vectors[: len(self)]

    @property
    def ids(self) -> np.ndarray:
        """(N,) int64."""
        return self._ids[: len(self)]

    def append(self, ids: Sequence[int], names: Sequence[str], vectors: np.ndarray) -> None:
        """Take in entries with numbers above those that are there; ``vectors`` is (K, D) float32."""
        start, stop = len(self), len(self) + len(ids)
        if stop > len(self._vectors):
            # Half as much again: appending costs the same on average, however many there are.
            room = max(stop, len(self._vectors) * 3 // 2) if start else stop
            grown = np.empty((room, self._vectors.shape[1]), np.float32)
            numbers = np.empty(room, np.int64)
            grown[:start], numbers[:start] = self.vectors, self.ids
            self._vectors, self._ids = grown, numbers
        self._vectors[start:stop], self._ids[start:stop] = vectors, ids
        self.names.extend(names)

    def nearest(self, queries: np.ndarray, count: int) -> list[list[Match]]:
        """As ``Store.nearest``."""
        found: list[list[Match]] = []
        for start in range(0, len(queries), AT_ONCE):
            some = queries[start : start + AT_ONCE]
            together = self._candidates(some, count + EXTRA)  # one product for all of them
            for query, first in zip(some, together, strict=True):

                def candidates(
                    many: int, query: np.ndarray = query, first: np.ndarray = first
                ) -> Candidates:
                    enough = many == count + EXTRA
                    rows = first if enough else self._candidates(query[None], many)[0]
                    return self.ids[rows], [self.names[row] for row in rows], self.vectors[rows]

                found.append(nearest_of(query, count, candidates))
        return found

    def _candidates(self, queries: np.ndarray, count: int) -> np.ndarray:
        """(Q, ≤ count) rows of the most similar vectors, in float32 and in no order."""
        rows = np.empty((len(queries), 0), np.int64)
        values = np.empty((len(queries), 0), np.float32)
        for start in range(0, len(self), BLOCK):
            block = self.vectors[start : min(start + BLOCK, len(self))]
            here = queries @ block.T
            best = _largest(here, count)
            rows = np.concatenate([rows, best + start], 1)
            values = np.concatenate([values, np.take_along_axis(here, best, 1)], 1)
            best = _largest(values, count)
            rows, values = np.take_along_axis(rows, best, 1), np.take_along_axis(values, best, 1)
        return rows


def nearest_of(
    query: np.ndarray, count: int, candidates: Callable[[int], Candidates]
) -> list[Match]:
    """The nearest by products in double precision: the same numbers, whoever finds the candidates.

    Candidates come by products in float32, which may order near ties otherwise. Whoever is not among
    them is at most by that error nearer than the farthest that is; so long as this could matter, as
    with many pictures that are nearly one, twice as many are asked for.

    Args:
        query: (D,) float32 of length 1.
        count: how many are told.
        candidates: gives about so many of the nearest; fewer where there are no more.
    """
    slack = 2 * len(query) * float(np.finfo(np.float32).eps)  # D · eps bounds a product's error
    many = count + EXTRA
    while True:
        ids, names, vectors = candidates(many)
        products = vectors.astype(np.float64) * query.astype(np.float64)
        similar = products.sum(1)
        order = np.lexsort((ids, -similar))
        if len(ids) < many or similar[order[-1]] + slack < similar[order[count - 1]]:
            cosines = np.clip(similar, -1.0, 1.0)  # lengths are 1 up to rounding
            return [Match(int(ids[i]), names[i], float(cosines[i])) for i in order[:count]]
        many *= 2


def _largest(values: np.ndarray, count: int) -> np.ndarray:
    """(Q, ≤ count) columns of each row's largest values."""
    if values.shape[1] <= count:
        return np.broadcast_to(np.arange(values.shape[1]), values.shape)
    return np.argpartition(values, -count, axis=1)[:, -count:]
