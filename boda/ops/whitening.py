"""Whitening within classes: directions in which pictures of the same differ count little.

Hatch, Kajarekar, Stolcke, "Within-class covariance normalization for SVM-based speaker recognition",
2006; after the principal components, as in Fisherfaces (Belhumeur, Hespanha, Kriegman 1997).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

RIDGE = 0.1  # of the mean variance within, added to each: few examples know few directions


@dataclass
class Scatter:
    """Sums over examples, fed in parts, in float64.

    Attributes:
        counts: (C,) examples of each class.
        sums: (C, D).
        products: (D, D), the sum of x xᵀ.
    """

    classes: int
    numbers: int
    counts: Tensor = field(init=False)
    sums: Tensor = field(init=False)
    products: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.counts = torch.zeros(self.classes, dtype=torch.float64)
        self.sums = torch.zeros(self.classes, self.numbers, dtype=torch.float64)
        self.products = torch.zeros(self.numbers, self.numbers, dtype=torch.float64)

    def add(self, x: Tensor, labels: Tensor) -> None:
        """Take in (N, D) examples of (N,) int64 classes."""
        x = x.double()
        self.counts += torch.bincount(labels, minlength=self.classes)
        self.sums.index_add_(0, labels, x)
        self.products.addmm_(x.T, x)

    def covariances(self) -> tuple[Tensor, Tensor, Tensor]:
        """(D,) mean, (D, D) covariance of all, and (D, D) the mean one within the classes."""
        count = self.counts.sum()
        mean = self.sums.sum(0) / count
        there = self.counts > 0
        means, shares = self.sums[there], 1 / self.counts[there, None]
        total = self.products / count - torch.outer(mean, mean)
        within = (self.products - (means * shares).T @ means) / count
        return mean, total, within


def within_whitening(
    total: Tensor, within: Tensor, kept: int, ridge: float = RIDGE
) -> tuple[Tensor, int]:
    """The map onto principal components in which the variance within classes is about 1.

    Args:
        total: (D, D) covariance of all examples.
        within: (D, D) mean covariance within classes.
        kept: columns of the map.
        ridge: added to the variances within, times their mean.

    Returns:
        (D, kept) float64, and how many of its columns are not 0: the components that there are.
    """
    values, vectors = torch.linalg.eigh(total)
    there = int((values > 1e-7 * values[-1].clamp_min(1e-30)).sum())
    there = max(1, min(kept, there))
    components = vectors.flip(1)[:, :there]
    inside = components.T @ within @ components
    floor = ridge * inside.diagonal().mean().clamp_min(1e-30)
    variances, axes = torch.linalg.eigh(inside)
    out = total.new_zeros(len(total), kept)
    out[:, :there] = components @ (axes / (variances.clamp_min(0) + floor).sqrt())
    return out, there
