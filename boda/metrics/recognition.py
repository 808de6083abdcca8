"""How well a network knows again those it never saw: everything that ``match`` is measured by.

Episodes, verification and retrieval on the same vectors (``episodes``, ``verification``,
``retrieval``). What the data lists itself, pairs or fixed episodes, is asked in the place of what
would be drawn. NumPy and SciPy.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from boda.metrics import NothingToMeasure
from boda.metrics.embeddings import Embeddings, Measure, cosine_distances
from boda.metrics.episodes import Episodes, Plan, Run, accuracies, draw, interval, score_runs
from boda.metrics.retrieval import Retrieval
from boda.metrics.verification import Roc, Verification

if TYPE_CHECKING:
    from boda.data.identities import Listed

WAYS = 20  # among whom to choose, where there are so many
COMPARED = 4000  # pictures of which every pair is verified; of more, evenly spread ones
BLOCK = 256  # rows of distances at a time
POINTS = 200  # of the ROC that is told
KEPT = (  # of verification's figures
    "auc",
    "eer",
    "verification_accuracy",
    "verification_accuracy_error",
    "threshold",
    "tar_at_far_0.01",
    "tar_at_far_0.001",
)


class Recognition:
    """Vectors of a split, fed batch by batch in its order.

    Args:
        measure: how far vectors are from each other.
        compared: pictures of which every pair is verified, at most.

    Attributes:
        asked: what was asked, once computed: kind → ``{"ways", "shots", "count", "left_out"}``.
        roc: ``{"false_accept", "true_accept"}``, rising, once computed; empty where nothing could be
            verified.
    """

    def __init__(self, measure: Measure = cosine_distances, compared: int = COMPARED) -> None:
        self.measure, self.compared = measure, compared
        self.asked: dict[str, dict[str, Any]] = {}
        self.roc: dict[str, list[float]] = {}
        self._kept = Embeddings()
        self._listed: Listed | None = None

    def update(
        self,
        vectors: np.ndarray,
        identities: list[str],
        groups: list[str],
        listed: Listed | None = None,
    ) -> None:
        """Take in a batch.

        Args:
            vectors: (N, D) finite.
            identities: N names, who is shown.
            groups: N names, such as the alphabets of characters; "" where there are none.
            listed: what the data asks of the split; the same with every batch.

        Raises:
            ValueError: shapes that do not fit, numbers that are not finite. Nothing is kept then.
        """
        self._kept.add(vectors, identities, groups)
        self._listed = listed

    def compute(self) -> dict[str, float]:
        """The figures, in 0..1 but the threshold.

        Returns:
            ``accuracy``: N-way one-shot, N being 20 or as many as there are, over seeded episodes, or
            over the fixed ones; ``accuracy_interval``: half the width of its 95 % confidence interval.
            ``accuracy_within`` and its interval: of episodes each within one group, N being no more
            than half of the groups have; left out without groups. Those of ``Verification``, over
            the listed pairs, else over all. ``recall_at_1``, ``recall_at_5`` and ``map_at_r``; left
            out where there are fixed episodes.

        Raises:
            NothingToMeasure: nobody is shown twice, or one only.
            ValueError: no pictures have been counted.
        """
        kept, listed = self._kept, self._listed
        if not len(kept):
            raise ValueError("there are no pictures to compute metrics of")
        out = self._fixed() if listed is not None and listed.episodes else self._drawn()
        out |= self._verified()
        if listed is None or not listed.episodes:
            retrieval = Retrieval((1, 5), self.measure)
            retrieval.update(kept.vectors, kept.identities)
            found = retrieval.compute()
            out |= {name: found[name] for name in ("recall_at_1", "recall_at_5", "map_at_r")}
        return out

    def questions(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Every picture that can be asked about, and all among whom it is to be found.

        Yields:
            (Q,) places, (S,) places, and (Q, S) distances; from a picture to itself infinite.
        """
        vectors = self._kept.vectors
        if self._listed is not None and self._listed.episodes:
            for support, queries, _ in self._listed.episodes:
                yield queries, support, self.measure(vectors[queries], vectors[support])
            return
        everything = np.arange(len(vectors))
        for start in range(0, len(vectors), BLOCK):
            some = everything[start : start + BLOCK]
            far = np.array(self.measure(vectors[some], vectors))
            far[np.arange(len(some)), some] = np.inf
            yield some, everything, far

    def _fixed(self) -> dict[str, float]:
        assert self._listed is not None
        vectors, episodes = self._kept.vectors, self._listed.episodes
        runs = [Run(vectors[asked], vectors[known], truth) for known, asked, truth in episodes]
        found = score_runs(runs, self.measure)
        ways = len(episodes[0][0])
        self.asked["fixed"] = {"ways": ways, "shots": 1, "count": len(runs), "left_out": []}
        return {name: found[name] for name in ("accuracy", "accuracy_interval")}

    def _drawn(self) -> dict[str, float]:
        """Across all, and within groups."""
        who = self._kept.identities
        _, first, times = np.unique(who, return_index=True, return_counts=True)
        if not (times > 1).any():
            raise NothingToMeasure(f"nobody is shown twice in these {len(who):,} pictures")
        of = np.asarray(self._kept.groups)[first[times > 1]]
        out = self._episodes("accuracy", len(of), None)
        sizes = np.unique(of[of != ""], return_counts=True)[1]
        if len(sizes) and (ways := int(np.sort(sizes)[len(sizes) // 2])) > 1:
            out |= self._episodes("accuracy_within", ways, self._kept.groups)
        return out

    def _episodes(self, name: str, there: int, groups: list[str] | None) -> dict[str, float]:
        plan = Plan(ways=max(2, min(WAYS, there)))
        of = None if groups is None else tuple(groups)
        drawn = _episodes_of(tuple(self._kept.identities), plan, of)
        values = accuracies(self._kept.vectors, drawn, self.measure)
        kind = "across" if groups is None else "within"
        told = {"ways": plan.ways, "shots": plan.shots, "count": plan.count}
        self.asked[kind] = {**told, "left_out": list(drawn.left_out)}
        return {name: float(values.mean()), f"{name}_interval": interval(values)}

    def _verified(self) -> dict[str, float]:
        pairs = Verification()
        for scores, same, folds in self._pairs():
            pairs.update(scores, same, folds)
        try:
            found = pairs.compute()
        except (NothingToMeasure, ValueError):  # pairs of one kind only
            return {}
        self.roc = _thinned(pairs.curve)
        return {name: found[name] for name in KEPT if name in found}

    def _pairs(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray | None]]:
        """Scores of pairs, 1 less their distances, whether they show the same, and folds."""
        kept, listed = self._kept, self._listed
        vectors, who = kept.vectors, np.unique(kept.identities, return_inverse=True)[1]
        if listed is not None and len(listed.pairs):
            first, second = listed.pairs.T
            for start in range(0, len(first), BLOCK):
                some = slice(start, start + BLOCK)
                far = self.measure(vectors[first[some]], vectors[second[some]]).diagonal()
                folds = listed.folds[some] if listed.folds.any() else None
                yield 1 - far, listed.same[some], folds
            return
        if listed is not None:
            for asked, known, far in self.questions():
                yield (1 - far).ravel(), (who[asked][:, None] == who[known]).ravel(), None
            return
        step = -(-len(vectors) // self.compared)
        vectors, who = vectors[::step], who[::step]
        for start in range(0, len(vectors), BLOCK):
            far = self.measure(vectors[start : start + BLOCK], vectors[start:])
            upper = np.triu(np.ones(far.shape, bool), 1)
            same = who[start : start + BLOCK, None] == who[start:]
            yield 1 - far[upper], same[upper], None


@lru_cache(maxsize=4)
def _episodes_of(
    identities: tuple[str, ...], plan: Plan, groups: tuple[str, ...] | None
) -> Episodes:
    """Drawn once for a split: drawing takes longer than asking, and a fit asks after every epoch."""
    return draw(identities, plan, groups)


def _thinned(curve: Roc) -> dict[str, list[float]]:
    """The curve at ``POINTS`` rates of false accepts, closer to each other where they are small."""
    rates = np.linspace(0, 1, POINTS) ** 2
    accepted = np.interp(rates, curve.false_accept, curve.true_accept)
    return {"false_accept": rates.round(6).tolist(), "true_accept": accepted.round(6).tolist()}
