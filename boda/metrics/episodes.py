"""How often one picture, or a few, are enough to know somebody among N: N-way K-shot accuracy.

Vinyals et al. 2016 (arXiv 1606.04080) and Snell et al. 2017 (arXiv 1703.05175) draw episodes from
all classes; Lake, Salakhutdinov, Tenenbaum 2015 ("Human-level concept learning through
probabilistic program induction") ask in twenty fixed runs, each within one alphabet, which is much
harder. NumPy and SciPy.

A tie is a miss: the true class must be nearer than every other. A network that gives the same
vector to everything knows nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from boda.metrics import NothingToMeasure
from boda.metrics.embeddings import Embeddings, Measure, cosine_distances

Z95 = 1.959964  # of a normal distribution, 95 % lie within so many standard errors


@dataclass(frozen=True)
class Episodes:
    """Drawn episodes, as places in the test set.

    Attributes:
        support: (E, N, K), the pictures from which each of N classes is known.
        queries: (E, N, Q), those asked about.
        left_out: classes shown too rarely and groups with too few classes, by name.
    """

    support: np.ndarray
    queries: np.ndarray
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """What kind of episodes, and how many.

    Attributes:
        ways: N classes among which to choose.
        shots: K pictures from which each is known.
        queries: pictures of each that are asked about.
        count: of episodes.
        seed: of the draw; the same plan on the same pictures in the same order is the same episodes.
    """

    ways: int = 20
    shots: int = 1
    queries: int = 1
    count: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.ways - 1, self.shots, self.queries, self.count) < 1 or self.seed < 0:
            raise ValueError(f"{self}: ways from 2, all else from 1, a seed from 0 is meant")


def draw(identities: Sequence[str], plan: Plan, groups: Sequence[str] | None = None) -> Episodes:
    """Episodes of classes from anywhere, or each within one group.

    Classes are drawn without repetition, and so are a class's pictures. Within groups, every group
    with enough classes is as likely as the others.

    Args:
        identities: of each picture who it shows.
        plan: see ``Plan``.
        groups: of each picture its group, such as the alphabet; None to draw across all.

    Raises:
        NothingToMeasure: there are too few classes with enough pictures.
    """
    names, who, times = np.unique(identities, return_inverse=True, return_counts=True)
    need = plan.shots + plan.queries
    left_out = [str(name) for name in names[times < need]]
    of = np.asarray(groups if groups is not None else [""] * len(who))
    pools = {}
    for group in np.unique(of):
        kinds = np.unique(who[of == group])
        kinds = kinds[times[kinds] >= need]
        if len(kinds) >= plan.ways:
            pools[str(group)] = kinds
        elif group:
            left_out.append(str(group))
    if not pools:
        where = "no group has" if groups is not None else "there are not"
        raise NothingToMeasure(
            f"{where} {plan.ways} classes with {need} pictures each, as {plan.ways}-way "
            f"{plan.shots}-shot episodes need"
        )
    rng, by_order = np.random.default_rng(plan.seed), np.argsort(who, kind="stable")
    pictures = dict(enumerate(np.split(by_order, np.cumsum(times)[:-1])))
    ordered, drawn = list(pools.values()), []
    for _ in range(plan.count):
        pool = ordered[rng.integers(len(ordered))]
        kinds = rng.choice(pool, plan.ways, replace=False)
        drawn.append([rng.choice(pictures[kind], need, replace=False) for kind in kinds])
    each = np.array(drawn)
    return Episodes(each[:, :, : plan.shots], each[:, :, plan.shots :], tuple(left_out))


def accuracies(
    vectors: np.ndarray, episodes: Episodes, measure: Measure = cosine_distances
) -> np.ndarray:
    """(E,) float64, of each episode the share of its pictures that is nearest to its own class.

    Args:
        vectors: (N, D), of all pictures.
        episodes: see ``draw``.
        measure: how far pictures are from the means of the classes' vectors, which are averaged as
            they are: give them at length 1 where lengths mean nothing.
    """
    out = np.empty(len(episodes.support))
    for e, (support, queries) in enumerate(zip(episodes.support, episodes.queries, strict=True)):
        means = np.asarray(vectors[support], np.float64).mean(1)
        far = measure(vectors[queries.ravel()], means)
        out[e] = nearest(far, np.repeat(np.arange(len(support)), queries.shape[1])).mean()
    return out


def nearest(far: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(T,) bool: whether the true one is nearer than every other.

    Args:
        far: (T, C) distances; one that is NaN is nearest to nothing.
        truth: (T,) integers in 0..C-1.
    """
    far, rows = np.array(far, np.float64), np.arange(len(far))
    own = far[rows, truth]
    far[rows, truth] = np.inf
    return own < far.min(axis=1)


def interval(values: np.ndarray) -> float:
    """Half the width of the 95 % confidence interval of a mean; 0 of a single value.

    It tells how far other episodes from the same pictures would lead, not other pictures.
    """
    if len(values) < 2:
        return 0.0
    return float(Z95 * values.std(ddof=1) / np.sqrt(len(values)))


class FewShot:
    """N-way K-shot accuracy of a test set, fed batch by batch.

    Args:
        plan: see ``Plan``.
        measure: how far embeddings are from each other.
    """

    def __init__(self, plan: Plan | None = None, measure: Measure = cosine_distances) -> None:
        self.plan, self.measure = plan or Plan(), measure
        self.left_out: dict[str, tuple[str, ...]] = {}  # of "across" and "within", once computed
        self._kept = Embeddings()

    def update(
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
        self._kept.add(embeddings, identities, groups)

    def merge(self, other: FewShot) -> None:
        """Take in what ``other`` has, behind what is here: the order decides the episodes."""
        self._kept.extend(other._kept)

    def compute(self) -> dict[str, float]:
        """The figures, in 0..1.

        Returns:
            ``accuracy``: the mean over episodes of classes from anywhere; ``accuracy_interval``:
            half the width of its 95 % confidence interval. With groups ``within_accuracy`` and
            ``within_accuracy_interval`` too, of episodes each within one group; left out where no
            group has enough classes.

        Raises:
            NothingToMeasure: there are too few classes with enough pictures.
            ValueError: no pictures have been counted.
        """
        kept = self._kept
        if not len(kept):
            raise ValueError("there are no pictures to compute metrics of")
        drawn = {"across": draw(kept.identities, self.plan)}
        if kept.groups:
            try:
                drawn["within"] = draw(kept.identities, self.plan, kept.groups)
            except NothingToMeasure:
                self.left_out["within"] = tuple(sorted(set(kept.groups)))
        out: dict[str, float] = {}
        for kind, episodes in drawn.items():
            self.left_out[kind] = episodes.left_out
            values = accuracies(kept.vectors, episodes, self.measure)
            name = "accuracy" if kind == "across" else "within_accuracy"
            out |= {name: float(values.mean()), f"{name}_interval": interval(values)}
        return out


@dataclass(frozen=True)
class Run:
    """One of the fixed runs: each test drawing shows the same character as one of training.

    Attributes:
        test: (T, D) embeddings of the drawings asked about; 20 in Lake's runs.
        training: (R, D) embeddings of the drawings that are known; 20 as well.
        truth: (T,) integers in 0..R-1, the training drawing of the same character.
    """

    test: np.ndarray
    training: np.ndarray
    truth: np.ndarray

    def __post_init__(self) -> None:
        truth = np.asarray(self.truth)
        if truth.shape != (len(self.test),) or not np.issubdtype(truth.dtype, np.integer):
            raise ValueError(f"{truth.shape} {truth.dtype} for {len(self.test)} drawings")
        if not len(truth) or truth.min() < 0 or truth.max() >= len(self.training):
            raise ValueError(f"truths are 0..{len(self.training) - 1}, at least one")


def score_runs(runs: Sequence[Run], measure: Measure = cosine_distances) -> dict[str, float]:
    """The fixed protocol: every test drawing is said to be the nearest training drawing.

    Args:
        runs: 20 in the published set.
        measure: how far embeddings are from each other.

    Returns:
        ``error_rate``: the mean of the runs' shares of wrong answers, 0..1; ``accuracy``: the rest;
        ``accuracy_interval``: half the width of its 95 % confidence interval over the runs.

    Raises:
        ValueError: no runs.
    """
    if not runs:
        raise ValueError("there are no runs to score")
    right = np.array([nearest(measure(r.test, r.training), r.truth).mean() for r in runs])
    accuracy = float(right.mean())
    error = float((1 - right).mean())
    return {"error_rate": error, "accuracy": accuracy, "accuracy_interval": interval(right)}
