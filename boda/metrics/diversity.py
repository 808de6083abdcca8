"""Whether a generator has collapsed, what it draws, and whether it copies. NumPy, SciPy, PyTorch.

Collapse: pictures that are all alike. Their mean distance and their mean SSIM, pair by pair, are told
beside those of real pictures (Odena, Olah, Shlens 2016, arXiv 1610.09585, section 4.2). What is drawn: a
classifier's answers. Copies: pictures that lie nearer to one of training than others of their kind do
(after Meehan, Chaudhuri, Dasgupta 2020, arXiv 2004.05675, who compare with held-out pictures too).

Deviations: SSIM, not the MS-SSIM of Odena et al., whose fifth scale needs pictures of 176 pixels;
the share of copies is our own figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from boda.metrics import NothingToMeasure
from boda.metrics.embeddings import euclidean_distances
from boda.metrics.frechet import checked
from boda.metrics.pictures import ssim

ROWS, COLUMNS = 256, 4096  # compared at once: memory is O(ROWS · COLUMNS)
EXTRA = 8  # candidates beyond those that are asked for
NEAR = 0.01  # of real pictures lie nearer to training than a copy's limit
AT_ONCE = 64  # pairs whose SSIM is computed at once


def mean_distance(vectors: np.ndarray) -> float:
    """The mean Euclidean distance of two different ones; 0 when all are the same.

    Args:
        vectors: (N, D) finite: features, or pixels.

    Raises:
        NothingToMeasure: fewer than two.
    """
    x = checked(vectors)
    _at_least_two(len(x))
    total = 0.0
    for start in range(0, len(x), ROWS):
        for other in range(start, len(x), COLUMNS):
            rows, columns = x[start : start + ROWS], x[other : other + COLUMNS]
            table = euclidean_distances(rows, columns)
            # Each pair once: of the block on the diagonal what lies above it.
            total += float(np.triu(table, start - other + 1).sum())
    return total / (len(x) * (len(x) - 1) / 2)


def mean_similarity(pictures: np.ndarray, pairs: int = 1000, seed: int = 0) -> float:
    """The mean SSIM of pairs of different pictures: 1 when all are the same.

    Args:
        pictures: (N, C, H, W), uint8 0 to 255 or floating 0 to 1; at least 11×11.
        pairs: how many are drawn; all of them where there are no more.
        seed: of the draw.

    Raises:
        NothingToMeasure: fewer than two pictures.
        ValueError: less than one pair.
    """
    n = len(pictures)
    _at_least_two(n)
    if pairs < 1:
        raise ValueError(f"{pairs} pairs; 1 or more are meant")
    one, other = np.triu_indices(n, 1) if n * (n - 1) // 2 <= pairs else _drawn(n, pairs, seed)
    values = [
        ssim(pictures[one[part]], pictures[other[part]]).numpy()
        for part in np.array_split(np.arange(len(one)), -(-len(one) // AT_ONCE))
    ]
    return float(np.concatenate(values).mean())


def _drawn(n: int, pairs: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of different ones."""
    random = np.random.default_rng(seed)
    one = random.integers(0, n, pairs)
    return one, (one + random.integers(1, n, pairs)) % n


@dataclass(frozen=True)
class ClassHistogram:
    """What a classifier sees in made pictures.

    Attributes:
        counts: (K,) pictures of each class.
        confidence: the mean of the surest class's probability, 0..1.
    """

    classes: tuple[str, ...]
    counts: np.ndarray
    confidence: float

    @property
    def shares(self) -> dict[str, float]:
        """Name → share of the pictures, 0..1."""
        total = int(self.counts.sum())
        return {name: int(n) / total for name, n in zip(self.classes, self.counts, strict=True)}

    def figures(self) -> dict[str, float]:
        """Flat figures.

        Returns:
            ``classes_found``; ``smallest_share`` and ``largest_share`` of a class; ``class_entropy``,
            0 (one class only) to 1 (all alike often); ``confidence``.
        """
        shares = self.counts / self.counts.sum()
        there = shares[shares > 0]
        most = np.log(len(shares)) if len(shares) > 1 else 1.0
        return {
            "classes_found": float(len(there)),
            "smallest_share": float(shares.min()),
            "largest_share": float(shares.max()),
            "class_entropy": float(-(there * np.log(there)).sum() / most) + 0.0,
            "confidence": self.confidence,
        }


def class_histogram(probabilities: np.ndarray, classes: Sequence[str]) -> ClassHistogram:
    """Count what a classifier says.

    Args:
        probabilities: (N, K) of the classes, each row 1 together.
        classes: K names.

    Raises:
        NothingToMeasure: no pictures.
        ValueError: shapes that do not fit, numbers that are not finite.
    """
    p = checked(probabilities, len(classes))
    if not len(p):
        raise NothingToMeasure("there are no pictures to classify")
    counts = np.bincount(p.argmax(1), minlength=len(classes))
    return ClassHistogram(tuple(classes), counts, float(p.max(1).mean(dtype=np.float64)))


def nearest_neighbours(
    queries: np.ndarray, bank: np.ndarray, count: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest of a bank to each query, by Euclidean distance; exact, in blocks.

    Candidates come of |a|² + |b|² − 2ab, which is fast; the distances of those few of differences, so
    that a copy is 0 away. Of equal distances the one earlier in the bank comes first; of more than
    eight beyond ``count`` it may be any.

    Args:
        queries: (N, D) finite.
        bank: (M, D) finite, for example the training pictures' pixels.
        count: how many of each; no more than M are told.

    Returns:
        (N, count) int64 places in the bank and (N, count) float64 distances, the nearest first.

    Raises:
        NothingToMeasure: an empty bank.
        ValueError: shapes that do not fit, fewer than one to find.
    """
    queries, bank = checked(queries), checked(bank, np.shape(queries)[1])
    if not len(bank):
        raise NothingToMeasure("there are no pictures to search")
    if count < 1:
        raise ValueError(f"{count} neighbours; 1 or more are meant")
    count = min(count, len(bank))
    places, far = np.empty((len(queries), count), np.int64), np.empty((len(queries), count))
    for start in range(0, len(queries), ROWS):
        some = queries[start : start + ROWS].astype(np.float64)
        for i, candidates in enumerate(_candidates(some, bank, count + EXTRA), start):
            exact = euclidean_distances(some[i - start, None], bank[candidates])[0]
            order = np.lexsort((candidates, exact))[:count]
            places[i], far[i] = candidates[order], exact[order]
    return places, far


def _candidates(queries: np.ndarray, bank: np.ndarray, count: int) -> np.ndarray:
    """(N, ≤ count) places of the nearest but for rounding, in no order."""
    rows = np.empty((len(queries), 0), np.int64)
    values = np.empty((len(queries), 0))
    for start in range(0, len(bank), COLUMNS):
        block = bank[start : start + COLUMNS].astype(np.float64)
        here = np.square(block).sum(1) - 2 * queries @ block.T  # |a|² is the same for all of a row
        numbers = np.broadcast_to(np.arange(start, start + len(block)), here.shape)
        rows, values = np.concatenate([rows, numbers], 1), np.concatenate([values, here], 1)
        if rows.shape[1] > count:
            best = np.argpartition(values, count - 1, axis=1)[:, :count]
            rows = np.take_along_axis(rows, best, 1)
            values = np.take_along_axis(values, best, 1)
    return rows


def copying(made: np.ndarray, held_out: np.ndarray, training: np.ndarray) -> dict[str, float]:
    """Whether made pictures lie nearer to training pictures than real, unseen ones do.

    Args:
        made: (N, D) finite: pixels or features.
        held_out: (H, D) of real pictures that were not trained on.
        training: (M, D) of those that were.

    Returns:
        ``nearest_made`` and ``nearest_real``: the median distance to the nearest training picture;
        ``copied``: the share of made pictures nearer than all but the nearest 1 % of the held-out
        ones: about 0.01 when nothing is copied, 1 when all is.

    Raises:
        NothingToMeasure: one of the three is empty.
    """
    if not len(made) or not len(held_out):
        raise NothingToMeasure("made and held-out pictures are both needed to tell a copy")
    ours, theirs = (nearest_neighbours(x, training)[1][:, 0] for x in (made, held_out))
    return {
        "nearest_made": float(np.median(ours)),
        "nearest_real": float(np.median(theirs)),
        "copied": float((ours < np.quantile(theirs, NEAR)).mean()),
    }


def _at_least_two(count: int) -> None:
    if count < 2:
        raise NothingToMeasure(f"how alike pictures are is told of two at least, not of {count}")
