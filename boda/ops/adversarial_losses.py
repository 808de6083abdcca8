"""What generator and discriminator minimize, of the discriminator's logits for real and made pictures.

Minimax and non-saturating: Goodfellow et al. 2014 (arXiv 1406.2661). Least squares: Mao et al. 2016
(arXiv 1611.04076), with its targets 0, 1 and 1. Hinge: Lim & Ye 2017 (Geometric GAN, arXiv
1705.02894). Wasserstein: Arjovsky et al. 2017 (arXiv 1701.07875) and its gradient penalty, Gulrajani
et al. 2017 (arXiv 1704.00028). One-sided label smoothing: Salimans et al. 2016 (arXiv 1606.03498).
R1: Mescheder, Geiger, Nowozin 2018 (arXiv 1801.04406).

All compute in float32 or better, under autocast too, and take logits of any shape, such as those of
patches: (N, …). A loss is the mean over all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from boda.errors import UsageError, unknown
from boda.ops.distances import precise

LOSSES = ("non-saturating", "minimax", "least-squares", "hinge", "wasserstein")
SMOOTHED = ("non-saturating", "minimax", "least-squares")  # those that have a target for real ones
Judge = Callable[[Tensor], Tensor]  # pictures (N, …) → logits (N, …)


@dataclass(frozen=True)
class AdversarialLoss:
    """The losses of the two who play against each other.

    Args:
        name: one of ``LOSSES``; D is the logit, σ the sigmoid, r real and f made pictures:

            ================ ==================================== =================
            name             discriminator                        generator
            ================ ==================================== =================
            non-saturating   −log σ(D(r)) − log(1 − σ(D(f)))      −log σ(D(f))
            minimax          the same                             log(1 − σ(D(f)))
            least-squares    ½ (D(r) − 1)² + ½ D(f)²              ½ (D(f) − 1)²
            hinge            max(0, 1 − D(r)) + max(0, 1 + D(f))  −D(f)
            wasserstein      D(f) − D(r)                          −D(f)
            ================ ==================================== =================

        smoothing: s, what a real picture lacks of being called real, 0..1 (1 not included): its
            target is 1 − s. That of made ones stays 0.

    Raises:
        UsageError: an unknown name, a smoothing out of range or where there is no target.
    """

    name: str = "non-saturating"
    smoothing: float = 0.0

    def __post_init__(self) -> None:
        if self.name not in LOSSES:
            raise unknown("adversarial loss", self.name, LOSSES)
        if not 0 <= self.smoothing < 1:
            raise UsageError(
                f"a smoothing of {self.smoothing}. Give 0 to less than 1, such as 0.1."
            )
        if self.smoothing and self.name not in SMOOTHED:
            raise UsageError(
                f"{self.name} has no target that could be smoothed. Leave the smoothing at 0, or "
                f"take {', '.join(SMOOTHED)}."
            )

    def discriminator(self, real: Tensor, made: Tensor) -> Tensor:
        """What the discriminator minimizes.

        Args:
            real: (N, …) logits of real pictures.
            made: (M, …) logits of made ones.

        Returns:
            (), float32 or better.
        """
        real, made, s = precise(real), precise(made), self.smoothing
        if self.name == "hinge":
            return F.relu(1 - real).mean() + F.relu(1 + made).mean()
        if self.name == "wasserstein":
            return made.mean() - real.mean()
        if self.name == "least-squares":
            return ((real - (1 - s)).square().mean() + made.square().mean()) / 2
        # softplus(−z) = −log σ(z) and softplus(z) = −log(1 − σ(z)), without a logarithm of 0.
        surprise = (1 - s) * F.softplus(-real) + s * F.softplus(real)
        return surprise.mean() + F.softplus(made).mean()

    def generator(self, made: Tensor) -> Tensor:
        """What the generator minimizes.

        Args:
            made: (N, …) logits of its pictures.

        Returns:
            (), float32 or better.
        """
        made = precise(made)
        if self.name == "minimax":
            return -F.softplus(made).mean()
        if self.name == "non-saturating":
            return F.softplus(-made).mean()
        if self.name == "least-squares":
            return (made - 1).square().mean() / 2
        return -made.mean()

    def accuracy(self, real: Tensor, made: Tensor) -> tuple[Tensor, Tensor]:
        """How many of both the discriminator tells right: 1 and 1 and the generator learns little.

        Real is what lies above 0, with least squares above ½, and with Wasserstein, whose logits have
        no zero, above the middle of the two means.

        Args:
            real: (N, …) logits of real pictures.
            made: (M, …) logits of made ones.

        Returns:
            () and (), shares of the real and of the made, 0..1.
        """
        real, made = precise(real), precise(made)
        limit = torch.full_like(real.mean(), 0.5 if self.name == "least-squares" else 0.0)
        if self.name == "wasserstein":
            limit = (real.mean() + made.mean()) / 2
        return (real > limit).to(real).mean(), (made <= limit).to(made).mean()


def gradient_penalty(judge: Judge, real: Tensor, made: Tensor, shares: Tensor) -> Tensor:
    """The mean of (|∇D(x)| − 1)², x between a real and a made picture; the paper adds it ten times.

    Each picture's gradient is to be of its own logit: not with a discriminator that has batch norms.

    Args:
        judge: the discriminator.
        real: (N, …) pictures.
        made: (N, …), no gradient goes back to who made them.
        shares: (N,) how much of the real one, drawn uniformly from 0..1.

    Returns:
        (), float32 or better, that can be differentiated by the discriminator's weights.

    Raises:
        UsageError: shapes that do not fit.
    """
    if real.shape != made.shape or shares.shape != real.shape[:1]:
        raise UsageError(
            f"real pictures of shape {tuple(real.shape)}, made ones of {tuple(made.shape)} and "
            f"shares of {tuple(shares.shape)}. Give (N, …) twice, and (N,)."
        )
    shares = shares.to(real).view(-1, *[1] * (real.ndim - 1))
    between = torch.lerp(made.detach(), real.detach(), shares)
    lengths = torch.linalg.vector_norm(_slopes(judge, between), dim=1)
    return (lengths - 1).square().mean()


def r1_penalty(judge: Judge, real: Tensor) -> Tensor:
    """Half the mean of |∇D(x)|² at real pictures; the paper adds it γ = 10 times.

    Args:
        judge: the discriminator.
        real: (N, …) pictures.

    Returns:
        (), float32 or better, that can be differentiated by the discriminator's weights.
    """
    return _slopes(judge, real.detach()).square().sum(1).mean() / 2


def _slopes(judge: Judge, pictures: Tensor) -> Tensor:
    """(N, numbers): the gradient of each picture's logit, of patches the mean of theirs."""
    with torch.enable_grad():
        x = pictures.clone().requires_grad_()
        logits = precise(judge(x)).reshape(len(x), -1).mean(1)
        (slopes,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    return precise(slopes).flatten(1)
