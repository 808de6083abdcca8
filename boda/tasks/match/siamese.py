"""``siamese``: twins that say whether two pictures show the same.

Koch, Zemel, Salakhutdinov, "Siamese neural networks for one-shot image recognition", 2015. As many
pairs of the same as of others are drawn from each batch. Deviation: a batch of P people with K
pictures each, whose pairs are compared, in the place of a fixed list of pairs.

What it puts out are 4,096 numbers, weighted so that the score of two pictures follows from them alone
(``boda.models.siamese``); its figures are of that score. A gallery compares them by their cosine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from boda.data.dataset import Batch
from boda.metrics.embeddings import Measure
from boda.models.siamese import scores
from boda.ops.metric_losses import verification_loss
from boda.ops.mining import balanced_pairs
from boda.tasks.base import methods
from boda.tasks.match.embedder import Embedder, Settings


def signed_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """1 − Σ sign(aⱼ)·|aⱼ − bⱼ|: (N, D) and (M, D) → (N, M) float64.

    The signs are those of the learned weights, the same in all rows.
    """
    from scipy.spatial.distance import cdist  # takes longer to load than all of NumPy

    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    up = (a.sum(0) + b.sum(0)) > 0
    out = np.ones((len(a), len(b)))
    for some, sign in ((up, -1), (~up, 1)):
        if some.any():
            out += sign * cdist(a[:, some], b[:, some], "cityblock")
    return out


@dataclass
class Config(Settings):
    """Settings of ``siamese``."""


@methods.register("siamese")
class Siamese(Embedder):
    """Weighted absolute differences → whether both show the same."""

    Config = Config

    @property
    def measure(self) -> Measure:
        """1 less Koch's score, but for its bias."""
        return signed_distances

    def forward(self, batch: Batch, turn: int = 0) -> dict[str, Tensor]:
        """{"verification": binary cross entropy of the drawn pairs}."""
        vectors, bias = self.net(self.normalize(batch.images))
        pairs = balanced_pairs(batch.labels)
        logits = scores(
            vectors[pairs.first].float(), vectors[pairs.second].float(), bias[0].float()
        )
        if self.training and len(logits):
            self.noted["pairs_right"] = ((logits > 0) == pairs.same).float().mean().detach()
        return {"verification": verification_loss(logits, pairs.same)}

    def output(self, images: Tensor) -> Tensor:
        """(N, C, H, W) uint8 → (N, 4096) float32, whose signs are those of the learned weights."""
        return self.net(self.normalize(images))[0].float()
