"""How well a picture finds others of the same: recall@k, R-precision, MAP@R. NumPy and SciPy.

Each picture in turn is the question, all the others are what is searched. MAP@R: Musgrave, Belongie,
Lim, "A metric learning reality check", 2020, arXiv 2003.08505, section 3.2.

A tie is a miss: others that are as near as a picture of the same come before it. A network that
gives the same vector to everything finds nothing, whatever the order of the pictures.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from boda.metrics import NothingToMeasure
from boda.metrics.embeddings import Embeddings, Measure, cosine_distances

BLOCK = 256  # questions at a time: memory is O(BLOCK · N)


class Retrieval:
    """Embeddings of a test set, fed batch by batch.

    Args:
        ks: of recall@k.
        measure: how far embeddings are from each other.
    """

    def __init__(self, ks: Sequence[int] = (1, 5, 10), measure: Measure = cosine_distances) -> None:
        if not ks or min(ks) < 1:
            raise ValueError(f"recall at {list(ks)}; ranks are 1 and more")
        self.ks, self.measure = tuple(ks), measure
        self._kept = Embeddings()

    def update(self, embeddings: np.ndarray, identities: list[str]) -> None:
        """Take in a batch.

        Args:
            embeddings: (N, D) finite.
            identities: N names, who is shown.

        Raises:
            ValueError: shapes that do not fit, numbers that are not finite. Nothing is kept then.
        """
        self._kept.add(embeddings, identities)

    def merge(self, other: Retrieval) -> None:
        """Take in what ``other`` has; the order of the pictures changes no figure."""
        self._kept.extend(other._kept)

    def compute(self) -> dict[str, float]:
        """The figures, all in 0..1, means over the pictures of which there is another of the same.

        With R others of the same, of which the j-th nearest is found at rank rⱼ among all:
        ``recall_at_k`` is the share with r₁ <= k; ``r_precision`` the mean of |{rⱼ <= R}| / R;
        ``map_at_r`` the mean of Σ j/rⱼ / R over the rⱼ <= R.

        Raises:
            NothingToMeasure: nobody is shown twice.
            ValueError: no pictures have been counted.
        """
        if not len(self._kept):
            raise ValueError("there are no pictures to compute metrics of")
        _, who = np.unique(self._kept.identities, return_inverse=True)
        asked = np.flatnonzero(np.bincount(who)[who] > 1)
        if not len(asked):
            raise NothingToMeasure(f"nobody is shown twice in these {len(who):,} pictures")
        vectors, rows = self._kept.vectors, []
        for start in range(0, len(asked), BLOCK):
            block = asked[start : start + BLOCK]
            far = self.measure(vectors[block], vectors)
            rows += [self._figures(far[i], who, question) for i, question in enumerate(block)]
        names = [*(f"recall_at_{k}" for k in self.ks), "r_precision", "map_at_r"]
        return dict(zip(names, np.mean(rows, axis=0).tolist(), strict=True))

    def _figures(self, far: np.ndarray, who: np.ndarray, question: int) -> list[float]:
        """Of one question: recall at each k, R-precision and average precision at R."""
        same = who == who[question]
        others = np.sort(far[~same])
        same[question] = False
        found = np.sort(far[same])
        order = np.arange(1, len(found) + 1)
        ranks = order + np.searchsorted(others, found, side="right")
        within = ranks <= len(found)
        precision = (order / ranks)[within].sum() / len(found)
        return [*(float(ranks[0] <= k) for k in self.ks), within.mean(), precision]
