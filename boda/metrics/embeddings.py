"""Embeddings as metrics take them in: checked, kept, and how far they are from each other.

NumPy and SciPy. Distances are computed from differences in float64: equal vectors are 0 apart, and
equally far from a third, to the last bit. That is what a rule about ties can be built upon.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Measure = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (N, D), (M, D) → (N, M), small is near


def cosine_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """1 − cos of the angle, 0..2: (N, D) and (M, D) → (N, M) float64. Zeros are ½ from all others."""
    from scipy.spatial.distance import cdist  # takes longer to load than all of NumPy

    return cdist(unit(a), unit(b), "sqeuclidean") / 2


def euclidean_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The square root of Σ (a − b)²: (N, D) and (M, D) → (N, M) float64."""
    from scipy.spatial.distance import cdist

    return cdist(np.asarray(a, np.float64), np.asarray(b, np.float64))


def unit(x: np.ndarray) -> np.ndarray:
    """(N, D) at length 1, float64; zeros stay zeros."""
    x = np.asarray(x, np.float64)
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(length > 0, length, 1)


class Embeddings:
    """Embeddings of pictures, who they show, and of which group that is; fed batch by batch."""

    def __init__(self) -> None:
        self._vectors: list[np.ndarray] = []
        self.identities: list[str] = []
        self.groups: list[str] = []

    def __len__(self) -> int:
        return len(self.identities)

    def add(
        self, embeddings: np.ndarray, identities: list[str], groups: list[str] | None = None
    ) -> None:
        """Take in a batch.

        Args:
            embeddings: (N, D) finite.
            identities: N names, who is shown.
            groups: N names, such as the alphabets of characters; given always or never.

        Raises:
            ValueError: shapes that do not fit, numbers that are not finite. Nothing is kept then.
        """
        embeddings = np.asarray(embeddings)
        if embeddings.ndim != 2 or len(embeddings) != len(identities):
            raise ValueError(
                f"embeddings have shape {embeddings.shape}; ({len(identities)}, D) is meant"
            )
        if self._vectors and embeddings.shape[1] != self._vectors[0].shape[1]:
            raise ValueError(
                f"embeddings of {embeddings.shape[1]} numbers; those before have "
                f"{self._vectors[0].shape[1]}"
            )
        bad = np.flatnonzero(~np.isfinite(embeddings).all(axis=1))
        if len(bad):
            raise ValueError(
                f"{len(bad)} of {len(embeddings)} embeddings are not finite, first at row {bad[0]}"
            )
        if groups is not None and len(groups) != len(identities):
            raise ValueError(f"{len(groups)} groups of {len(identities)} pictures")
        if self.identities and identities and (groups is None) == bool(self.groups):
            raise ValueError("give groups with every batch, or with none")
        self._vectors.append(embeddings)
        self.identities += identities
        self.groups += groups or []

    def extend(self, other: Embeddings) -> None:
        """Take in what ``other`` has, behind what is here."""
        if len(other):
            self.add(other.vectors, other.identities, other.groups or None)

    @property
    def vectors(self) -> np.ndarray:
        """(N, D) of all batches."""
        return np.concatenate(self._vectors)
