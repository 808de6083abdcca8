"""Losses that bring pictures of one person near each other and others apart.

Triplet: as in the notes, of FaceNet (arXiv 1503.03832), its soft margin of Hermans et al. 2017
(arXiv 1703.07737). Contrastive: Hadsell, Chopra, LeCun 2006 ("Dimensionality reduction by learning
an invariant mapping", CVPR). Verification: Koch, Zemel, Salakhutdinov 2015 ("Siamese neural networks
for one-shot image recognition"). Prototypes: Snell, Swersky, Zemel 2017 (arXiv 1703.05175).
Supervised contrastive: Khosla et al. 2020 (arXiv 2004.11362), its equation 2. ArcFace: Deng et al.
2018 (arXiv 1801.07698).

A triplet loss is made of three: a distance, a miner (``mining``) and a reducer. All compute in
float32 or better, under autocast too. Where a batch has nothing to learn from, the loss is 0, and
so is its gradient.

Deviations: ArcFace's loss rises as a line where angle and margin together are more than 180°, as in
its authors' programs: its cosine would fall again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from boda.errors import UsageError, unknown
from boda.ops.distances import DISTANCES, l2_normalize, precise, product, squared_euclidean
from boda.ops.mining import RULES, Pairs, Triplets, mine

SMALLEST = 1e-7  # of sin², whose root has no slope at 0


class Reduced(NamedTuple):
    """What a batch comes to.

    Attributes:
        loss: ().
        active: (), the share of its triplets or pairs that still teach something, 0..1; 0 of none.
        examples: how many triplets or pairs there were.
    """

    loss: Tensor
    active: Tensor
    examples: int


def mean(losses: Tensor) -> Tensor:
    """Over all; 0 of none."""
    return losses.sum() / max(len(losses), 1)


def active_mean(losses: Tensor) -> Tensor:
    """Over those above 0: the step stays as large when only a few are left; 0 of none."""
    return losses.sum() / (losses > 0).sum().clamp_min(1)


REDUCERS: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": mean,
    "active": active_mean,
    "sum": torch.sum,
}


@dataclass(frozen=True)
class TripletLoss:
    """Distance, miner and reducer in one.

    Args:
        distance: a name in ``distances.DISTANCES``; the notes' and FaceNet's is squared.
        mining: a name in ``mining.RULES``.
        reducer: ``mean``, ``active`` (the mean of those above 0) or ``sum``.
        margin: above 0, in units of the distance; None for the soft margin.

    Raises:
        UsageError: an unknown name, a margin that is not above 0, none where mining needs it.
    """

    distance: str = "squared-euclidean"
    mining: str = "semi-hard"
    reducer: str = "active"
    margin: float | None = 0.2

    def __post_init__(self) -> None:
        known = (("distance", DISTANCES), ("mining", RULES), ("reducer", REDUCERS))
        for field, names in known:
            if getattr(self, field) not in names:
                raise unknown(field, getattr(self, field), names)
        if self.margin is not None and not self.margin > 0:
            raise UsageError(f"a margin of {self.margin}. Give more than 0, such as 0.2.")
        if self.margin is None and self.mining == "semi-hard":
            raise UsageError(
                'semi-hard mining needs a margin. Give one, such as 0.2, or take "hard".'
            )

    def __call__(self, embeddings: Tensor, labels: Tensor) -> Reduced:
        """The loss of a batch: embeddings (N, D), labels (N,) integers."""
        distances = DISTANCES[self.distance](embeddings, embeddings)
        triplets = mine(self.mining, embeddings, labels, distances, self.margin or 0.0)
        return triplet_loss(distances, triplets, self.margin, self.reducer)


def triplet_loss(
    distances: Tensor, triplets: Triplets, margin: float | None = 0.2, reducer: str = "mean"
) -> Reduced:
    """max(d(a,p) − d(a,n) + margin, 0): who is another shall be farther, by a margin.

    Args:
        distances: (N, N) from each to each.
        triplets: see ``mining``.
        margin: in units of the distance; None for the soft margin, log(1 + e^(d(a,p) − d(a,n))).
        reducer: ``mean``, ``active`` (of the soft margin the mean: all are above 0) or ``sum``.

    Returns:
        the loss, and the share of triplets with d(a,p) − d(a,n) + margin > 0 (soft: margin 0).
    """
    anchor, positive, negative = triplets
    excess = distances[anchor, positive] - distances[anchor, negative] + (margin or 0.0)
    losses = F.softplus(excess) if margin is None else F.relu(excess)
    return _reduced(losses, excess > 0, reducer)


def contrastive_loss(
    distances: Tensor,
    pairs: Pairs,
    margin: float = 1.0,
    near: float = 0.0,
    reducer: str = "mean",
) -> Reduced:
    """½ max(d − near, 0)² for two pictures of the same, ½ max(margin − d, 0)² of two others.

    Args:
        distances: (N, N) Euclidean, from each to each.
        pairs: see ``mining``.
        margin: from which on two others are far enough.
        near: up to which the same are near enough; 0 in the paper.
        reducer: ``mean``, ``active`` or ``sum``.

    Returns:
        the loss, and the share of pairs above 0.

    Raises:
        UsageError: a margin that is not above ``near``, or ``near`` below 0.
    """
    if not 0 <= near < margin:
        raise UsageError(
            f"the same may be {near} apart and others must be {margin}. Give 0 <= near < margin, "
            "such as 0 and 1."
        )
    d = distances[pairs.first, pairs.second]
    losses = F.relu(torch.where(pairs.same, d - near, margin - d)).square() / 2
    return _reduced(losses, losses > 0, reducer)


def verification_loss(logits: Tensor, same: Tensor) -> Tensor:
    """Binary cross entropy of "both show the same", nats: the mean of −log p, p the sigmoid's.

    Args:
        logits: (P,) floating; in Koch's network a weighted sum of |h₁ − h₂|.
        same: (P,) bool.

    Returns:
        (), float32 or better.

    Raises:
        UsageError: shapes that do not fit.
    """
    if logits.ndim != 1 or logits.shape != same.shape:
        raise UsageError(
            f"logits of shape {tuple(logits.shape)}, truths of {tuple(same.shape)}. Give (P,) twice."
        )
    logits = precise(logits)
    return mean(F.binary_cross_entropy_with_logits(logits, same.to(logits), reduction="none"))


def prototypes(support: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The mean vector of each who is shown, and who that is.

    Args:
        support: (S, D) floating.
        labels: (S,) integers.

    Returns:
        (C, D), float32 or better; (C,) labels, rising.
    """
    kinds = labels.unique()
    members = (kinds[:, None] == labels[None, :]).to(precise(support))
    return product(members, support.T) / members.sum(1, keepdim=True), kinds


def prototypical_loss(embeddings: Tensor, labels: Tensor, shots: int = 1) -> Tensor:
    """One episode: the first pictures of each tell who is who, the rest are asked about.

    Logits are −|x − c|², c the means of those first pictures; the loss is their cross entropy.

    Args:
        embeddings: (N, D), P people with K pictures each, in any order.
        labels: (N,) integers.
        shots: how many pictures of each are its prototype, less than K.

    Returns:
        (), float32 or better, nats: the mean over the pictures asked about; those shown no more
        often than ``shots`` are asked about in none, yet stand among the answers.

    Raises:
        UsageError: shapes that do not fit, less than one shot.
    """
    _check(embeddings, labels)
    if shots < 1:
        raise UsageError(f"{shots} shots. Give 1 or more: without one there is no prototype.")
    before = (labels[:, None] == labels[None, :]).tril(-1).sum(1)
    asked = before >= shots
    means, kinds = prototypes(embeddings[~asked], labels[~asked])
    logits = -squared_euclidean(embeddings[asked], means)
    truth = torch.searchsorted(kinds, labels[asked])
    return mean(F.cross_entropy(logits, truth, reduction="none"))


def supcon_loss(embeddings: Tensor, labels: Tensor, temperature: float = 0.1) -> Tensor:
    """Supervised contrastive: of all others in the batch, those who show the same are the likely ones.

    For anchor i the mean over its positives p of −log(e^(zᵢ·zₚ/τ) / Σ e^(zᵢ·zₐ/τ)), a all but i
    itself, z at length 1.

    Args:
        embeddings: (N, D) floating, of any length.
        labels: (N,) integers, who is shown.
        temperature: τ, above 0; 0.1 in the paper.

    Returns:
        (), float32 or better, nats: the mean over the anchors that have a positive.

    Raises:
        UsageError: shapes that do not fit, a temperature that is not above 0.
    """
    _check(embeddings, labels)
    if not temperature > 0:
        raise UsageError(f"a temperature of {temperature}. Give more than 0, such as 0.1.")
    z = l2_normalize(embeddings)
    itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
    same = (labels[:, None] == labels[None, :]) & ~itself
    logits = product(z, z) / temperature
    # Not −∞: a batch of one would be NaN on the way, though not in the end.
    surprise = -logits.masked_fill(itself, torch.finfo(logits.dtype).min).log_softmax(1)
    positives = same.sum(1)
    each = torch.where(same, surprise, 0).sum(1) / positives.clamp_min(1)
    return each.sum() / (positives > 0).sum().clamp_min(1)


def arcface_loss(
    embeddings: Tensor,
    weights: Tensor,
    labels: Tensor,
    margin: float = 0.5,
    scale: float = 64.0,
) -> Tensor:
    """Cross entropy of scale · cos(angle to each class), the true class's angle made larger.

    Args:
        embeddings: (N, D) floating, of any length.
        weights: (C, D), a direction for each who can be shown; learned.
        labels: (N,) integers in 0..C-1.
        margin: radians added to the true angle, 0 or more and below π; 0.5 in the paper, and with
            0 it is the normalized softmax.
        scale: of the cosines; 64 in the paper.

    Returns:
        (), float32 or better, nats, the mean over the batch.

    Raises:
        UsageError: shapes that do not fit, a margin or a scale out of range.
    """
    _check(embeddings, labels)
    if weights.ndim != 2 or weights.shape[1] != embeddings.shape[1]:
        raise UsageError(
            f"weights of shape {tuple(weights.shape)} for embeddings of {embeddings.shape[1]} "
            "numbers. Give (classes, numbers)."
        )
    if not 0 <= margin < math.pi or not scale > 0:
        raise UsageError(
            f"a margin of {margin} and a scale of {scale}. Give 0 <= margin < π, such as 0.5, and a "
            "scale above 0, such as 64."
        )
    cosines = product(l2_normalize(embeddings), l2_normalize(weights))
    own = cosines.gather(1, labels[:, None].long()).clamp(-1, 1)
    sine = (1 - own.square()).clamp_min(SMALLEST).sqrt()
    moved = own * math.cos(margin) - sine * math.sin(margin)  # cos(angle + margin)
    line = own - margin * math.sin(margin)
    moved = torch.where(own >= -math.cos(margin), moved, line)
    true = labels[:, None] == torch.arange(len(weights), device=labels.device)
    logits = scale * torch.where(true, moved, cosines)
    return mean(F.cross_entropy(logits, labels.long(), reduction="none"))


def _reduced(losses: Tensor, active: Tensor, reducer: str) -> Reduced:
    if reducer not in REDUCERS:
        raise unknown("reducer", reducer, REDUCERS)
    share = active.sum() / max(len(active), 1)
    return Reduced(REDUCERS[reducer](losses), share, len(losses))


def _check(embeddings: Tensor, labels: Tensor) -> None:
    if embeddings.ndim != 2 or labels.shape != embeddings.shape[:1]:
        raise UsageError(
            f"embeddings of shape {tuple(embeddings.shape)} and labels of {tuple(labels.shape)}. "
            "Give (N, D) and (N,)."
        )
