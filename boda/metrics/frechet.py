"""How far made pictures are from real ones as a whole: FID and KID of their features. NumPy only.

FID, the Fréchet distance of two normal distributions: Heusel et al. 2017 (arXiv 1706.08500). KID, the
squared maximum mean discrepancy with a cubic kernel: Bińkowski et al. 2018 (arXiv 1801.01401).

The features are given: the papers' are Inception's, and figures of other features, or of other numbers
of pictures, cannot be compared with them. What names the extractor stands beside the figures, and real
against real pictures says what can be reached.

Of small samples FID is too large (Chong & Forsyth 2019, arXiv 1911.07023), KID is not.
"""

from __future__ import annotations

import numpy as np

from boda.metrics import NothingToMeasure

SUBSETS, SIZE = 100, 1000  # of KID: how often it is taken, of how many pictures


class Moments:
    """Mean and covariance of features, fed batch by batch; float64, memory O(D²).

    Each batch is centred by itself before it is added (Chan, Golub, LeVeque 1979), so that features
    far from 0 lose no digits.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean = np.zeros(0)
        self._scatter = np.zeros((0, 0))  # Σ (x − mean)(x − mean)ᵀ

    def update(self, features: np.ndarray) -> None:
        """Take in a batch.

        Args:
            features: (N, D) finite, N may be 0.

        Raises:
            ValueError: another D than before, numbers that are not finite. Nothing is kept then.
        """
        x = checked(features, self.mean.size if self.count else None).astype(np.float64)
        if len(x):
            mean = x.mean(0)
            self._add(len(x), mean, (x - mean).T @ (x - mean))

    def merge(self, other: Moments) -> None:
        """Take in what ``other`` has, as if its batches had been given here, but for rounding."""
        if self.count and other.count and self.mean.size != other.mean.size:
            raise ValueError(f"features of {other.mean.size} and of {self.mean.size} numbers")
        if other.count:
            self._add(other.count, other.mean, other._scatter)

    def _add(self, count: int, mean: np.ndarray, scatter: np.ndarray) -> None:
        if not self.count:
            self.count, self.mean, self._scatter = count, mean.copy(), scatter.copy()
            return
        total, apart = self.count + count, mean - self.mean
        between = np.outer(apart, apart) * (self.count * count / total)
        self._scatter = self._scatter + scatter + between
        self.mean = self.mean + apart * (count / total)
        self.count = total

    @property
    def covariance(self) -> np.ndarray:
        """(D, D), divided by N − 1.

        Raises:
            NothingToMeasure: of fewer than two pictures.
        """
        if self.count < 2:
            raise NothingToMeasure(
                f"the spread of features is that of two pictures at least, of {self.count} there is none"
            )
        return self._scatter / (self.count - 1)

    @property
    def too_few(self) -> bool:
        """Whether the covariance has directions without a number: fewer than D + 1 pictures."""
        return self.count <= self.mean.size


def frechet_distance(one: Moments, other: Moments) -> float:
    """|μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2 (Σ₁ Σ₂)^½), 0 or more.

    The trace of the root is that of (Σ₁^½ Σ₂ Σ₁^½)^½, which is symmetric: both roots are taken of
    eigenvalues, those that rounding made negative as 0. So it holds where a covariance is singular.

    Raises:
        NothingToMeasure: one has fewer than two pictures.
        ValueError: features of different lengths.
    """
    if one.covariance.shape != other.covariance.shape:
        raise ValueError(f"features of {one.mean.size} and of {other.mean.size} numbers")
    values, vectors = np.linalg.eigh(one.covariance)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    product = root @ other.covariance @ root
    shared = np.sqrt(np.linalg.eigvalsh((product + product.T) / 2).clip(0)).sum()
    spread = np.trace(one.covariance) + np.trace(other.covariance) - 2 * shared
    return float(max(np.square(one.mean - other.mean).sum() + spread, 0.0))


def kernel_distance(
    real: np.ndarray, made: np.ndarray, subsets: int = SUBSETS, size: int = SIZE, seed: int = 0
) -> tuple[float, float]:
    """KID: the squared maximum mean discrepancy, without bias, so below 0 at times.

    Of ``subsets`` draws of ``size`` pictures each, without repetition within one:
    Σ_{i≠j} (k(xᵢ, xⱼ) + k(yᵢ, yⱼ)) / (m(m − 1)) − 2 Σ k(xᵢ, yⱼ) / m², with k(x, y) = (x·y/D + 1)³.

    Args:
        real: (N, D) finite.
        made: (M, D) finite.
        subsets: how many draws.
        size: m; no more than N and M are drawn.
        seed: of the draws.

    Returns:
        the mean over the draws, and their standard deviation: 0 where N = M = m, and every draw is
        the same.

    Raises:
        NothingToMeasure: fewer than two pictures on a side.
        ValueError: features of different lengths, less than one draw or than two pictures in one.
    """
    x = checked(real).astype(np.float64)
    y = checked(made, x.shape[1]).astype(np.float64)
    if subsets < 1 or size < 2:
        raise ValueError(f"{subsets} draws of {size} pictures; at least 1 of 2 are meant")
    m = min(size, len(x), len(y))
    if m < 2:
        raise NothingToMeasure(
            f"KID compares two pictures at least on each side, not {len(x)} and {len(y)}"
        )
    random = np.random.default_rng(seed)
    if len(x) == len(y) == m:  # every draw is of all of them
        subsets = 1
    draws = [
        _discrepancy(*(each[random.choice(len(each), m, replace=False)] for each in (x, y)))
        for _ in range(subsets)
    ]
    return float(np.mean(draws)), float(np.std(draws))


def _discrepancy(x: np.ndarray, y: np.ndarray) -> float:
    """Of two sets of as many."""
    m = len(x)
    own = 0.0
    for each in (x, y):
        table = _cubic(each, each)
        own += (table.sum() - np.trace(table)) / (m * (m - 1))
    return float(own - 2 * _cubic(x, y).mean())


def _cubic(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (x @ y.T / x.shape[1] + 1) ** 3


class Fidelity:
    """FID and KID of made pictures, fed batch by batch; KID keeps all features, O((N + M) D).

    Args:
        extractor: the name of what gives the features, for the record.
        seed: of KID's draws.
    """

    def __init__(self, extractor: str, seed: int = 0) -> None:
        self.extractor, self.seed = extractor, seed
        self._kept: dict[str, list[np.ndarray]] = {"real": [], "made": []}
        self._moments = {"real": Moments(), "made": Moments()}

    def update_real(self, features: np.ndarray) -> None:
        """Take in a batch of real pictures' features, (N, D); raises as ``Moments.update``."""
        self._update("real", features)

    def update(self, features: np.ndarray) -> None:
        """Take in a batch of made pictures' features, (N, D); raises as ``Moments.update``."""
        self._update("made", features)

    def _update(self, side: str, features: np.ndarray) -> None:
        self._moments[side].update(features)
        self._kept[side].append(np.asarray(features))

    @property
    def remark(self) -> str:
        """What a reader of the figures should know, where pictures are few; else empty."""
        counts = {side: moments.count for side, moments in self._moments.items()}
        numbers = self._moments["real"].mean.size
        few = [f"{counts[side]:,} {side}" for side in counts if self._moments[side].too_few]
        if not few:
            return ""
        return (
            f"FID of {' and '.join(few)} pictures is too large: {numbers:,} features have more "
            f"directions than that. Give more than {numbers:,} of each, or go by KID."
        )

    def compute(self) -> dict[str, float]:
        """``fid``, 0 or more; ``kid`` and ``kid_deviation``, of 100 draws of 1,000 pictures.

        Raises:
            NothingToMeasure: fewer than two pictures on a side.
            ValueError: features of different lengths.
        """
        fid = frechet_distance(self._moments["real"], self._moments["made"])
        real, made = (np.concatenate(self._kept[side]) for side in ("real", "made"))
        kid, deviation = kernel_distance(real, made, seed=self.seed)
        return {"fid": fid, "kid": kid, "kid_deviation": deviation}


def checked(features: np.ndarray, numbers: int | None = None) -> np.ndarray:
    """Features as they must be, (N, D) finite.

    Raises:
        ValueError: they are not, or D is not ``numbers``.
    """
    features = np.asarray(features)
    if features.ndim != 2 or numbers not in (None, features.shape[1]):
        wanted = "D" if numbers is None else numbers
        raise ValueError(f"features have shape {features.shape}; (N, {wanted}) is meant")
    bad = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if len(bad):
        raise ValueError(f"{len(bad)} of {len(features)} rows are not finite, first row {bad[0]}")
    return features
