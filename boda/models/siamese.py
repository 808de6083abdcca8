"""``siamese-koch``: twin networks, whose weighted absolute difference says whether both see the same.

Koch, Zemel, Salakhutdinov, "Siamese neural networks for one-shot image recognition", 2015 (ICML deep
learning workshop), figure 4. Deviations: weights begin as in He et al. 2015 (arXiv 1502.01852); the
paper's wide ones saturate most of the 4,096 sigmoids. Pictures larger than 105×105 are averaged to
the 6×6 of the last map. A number is added to every pair's score, as in all programs of it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from boda.models import register
from boda.models.layers import at_least, cell_means, initialize

SIDE = 105  # pixels, Omniglot's
MAP, UNITS = 6, 4096  # side of the last map; numbers that tell a picture


class SiameseNet(nn.Module):
    """One of the twins: they share all weights, so one is enough.

    With hⱼ the 4,096 sigmoids of a picture and α the learned weights, the score of two pictures is
    Σ αⱼ·|hⱼ − h'ⱼ| + bias. The network gives uⱼ = αⱼ·hⱼ: a sigmoid is above 0, so the sign of uⱼ is
    that of αⱼ, and the score is Σ sign(uⱼ)·|uⱼ − u'ⱼ| + bias: the vectors need no weights beside.

    Args:
        channels: of the pictures.
    """

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Sequential(nn.Conv2d(channels, 64, 10), nn.ReLU(), nn.MaxPool2d(2)),
            nn.Sequential(nn.Conv2d(64, 128, 7), nn.ReLU(), nn.MaxPool2d(2)),
            nn.Sequential(nn.Conv2d(128, 128, 4), nn.ReLU(), nn.MaxPool2d(2)),
            nn.Sequential(nn.Conv2d(128, 256, 4), nn.ReLU()),
        )
        self.dense = nn.Linear(256 * MAP**2, UNITS)
        initialize(self)
        self.weights = nn.Parameter(torch.full((UNITS,), -4 / UNITS))  # a difference says "others"
        self.bias = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, channels, H, W) → u (N, 4096), and the bias of the scores, (N, 1)."""
        at_least(x, SIDE, "siamese-koch")
        maps = cell_means(self.features(x), MAP)
        vectors = self.weights * self.dense(maps.flatten(1)).sigmoid()
        return vectors, self.bias + vectors.new_zeros(len(x), 1)


def scores(vectors: Tensor, others: Tensor, bias: Tensor) -> Tensor:
    """Σ sign(uⱼ)·|uⱼ − u'ⱼ| + bias, row by row: the logits that both show the same.

    Args:
        vectors: (P, 4096), as ``SiameseNet`` gives them.
        others: (P, 4096).
        bias: (1,).

    Returns:
        (P,)
    """
    sign = (vectors + others).detach().sign()
    return (sign * (vectors - others).abs()).sum(1) + bias


@register(
    "siamese-koch",
    size=SIDE,
    smallest=SIDE,
    channels=1,
    classes=64,
    task="match",
    method="siamese",
    paper="Koch, Zemel, Salakhutdinov 2015, ICML deep learning workshop",
)
def siamese_koch(classes: int, channels: int) -> SiameseNet:
    """Koch's siamese network for drawings of 105×105; 38,951,745 parameters."""
    return SiameseNet(channels)
