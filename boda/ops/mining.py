"""Which triplets and pairs of a batch are learned from: all, random, hard, semi-hard, by distance.

Hard: Hermans, Beyer, Leibe 2017 (arXiv 1703.07737). Semi-hard: Schroff, Kalenichenko, Philbin 2015
(FaceNet, arXiv 1503.03832). By distance: Wu, Manmatha, Smola, Krähenbühl 2017 (arXiv 1706.07567).

A triplet is three places in the batch: an anchor, a positive (another picture of whom the anchor
shows) and a negative (a picture of somebody else). Whoever is shown once, or alone, anchors none.
Memory is O(N²) for N pictures; ``all_triplets`` lists no more than ``MOST``. What is drawn, is drawn
on the CPU by torch's generator.

Deviations: an anchor and a positive without a semi-hard negative give no triplet (FaceNet does not
say). The paper of sampling by distance bounds the weights by a λ, its authors' programs the
distances: none counts as nearer than 0.5, and from 1.4 on there is no weight; so do we.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from boda.errors import UsageError, unknown
from boda.ops.distances import euclidean, l2_normalize

RULES = ("all", "random", "hard", "semi-hard", "distance-weighted")
MOST = 10_000_000  # triplets of one batch: 240 MB of places
NEAREST, FARTHEST = 0.5, 1.4  # of unit vectors, for sampling by distance


class Triplets(NamedTuple):
    """Places in the batch, (T,) int64 each."""

    anchor: Tensor
    positive: Tensor
    negative: Tensor


class Pairs(NamedTuple):
    """Places in the batch, (P,) int64, and whether both show the same, (P,) bool."""

    first: Tensor
    second: Tensor
    same: Tensor


def mine(
    rule: str, embeddings: Tensor, labels: Tensor, distances: Tensor, margin: float
) -> Triplets:
    """The triplets of a batch by a rule's name, one of ``RULES``.

    Args:
        rule: ``all``, ``random``, ``hard``, ``semi-hard`` or ``distance-weighted``.
        embeddings: (N, D); "distance-weighted" looks at them at length 1, the others not at all.
        labels: (N,) integers, who is shown.
        distances: (N, N), by which "hard" and "semi-hard" choose.
        margin: of "semi-hard".

    Returns:
        places; none of them carries a gradient.

    Raises:
        UsageError: an unknown rule, shapes that do not fit.
    """
    if rule == "all":
        return all_triplets(labels)
    if rule == "random":
        return random_triplets(labels)
    if rule == "hard":
        return hard_triplets(distances, labels)
    if rule == "semi-hard":
        return semi_hard_triplets(distances, labels, margin)
    if rule == "distance-weighted":
        unit = l2_normalize(embeddings.detach())
        return distance_weighted_triplets(euclidean(unit, unit), labels, embeddings.shape[1])
    raise unknown("mining rule", rule, RULES)


def all_triplets(labels: Tensor) -> Triplets:
    """Every valid triplet, in order of anchor, positive, negative.

    Args:
        labels: (N,) integers, who is shown.

    Raises:
        UsageError: labels that are not (N,), more than ``MOST`` triplets.
    """
    same, differ = _relations(labels)
    count = int((same.sum(1) * differ.sum(1)).sum())
    if count > MOST:
        raise UsageError(
            f"a batch of {len(labels):,} pictures has {count:,} triplets, more than {MOST:,}. "
            'Take fewer pictures, or another rule, such as "semi-hard".'
        )
    others = differ.sum(1)
    anchor, positive = same.nonzero(as_tuple=True)
    negative = differ.nonzero()[:, 1]  # of the first anchor, of the second, …
    each = others[anchor]
    pair = torch.arange(len(anchor), device=labels.device).repeat_interleave(each)
    within = torch.arange(count, device=labels.device) - (each.cumsum(0) - each)[pair]
    start = (others.cumsum(0) - others)[anchor]
    return Triplets(anchor[pair], positive[pair], negative[start[pair] + within])


def random_triplets(labels: Tensor, generator: torch.Generator | None = None) -> Triplets:
    """For every anchor and positive one negative, each as likely as the others.

    Args:
        labels: (N,) integers, who is shown.
        generator: on the CPU; torch's own where there is none.

    Raises:
        UsageError: labels that are not (N,).
    """
    same, differ = _relations(labels)
    return _draw(same, differ.cpu().double(), generator)


@torch.no_grad()
def hard_triplets(distances: Tensor, labels: Tensor) -> Triplets:
    """For every anchor its farthest positive and its nearest negative ("batch hard", Hermans 2017).

    Args:
        distances: (N, N) from each to each. Of equal ones the first in the batch is taken.
        labels: (N,) integers, who is shown.

    Raises:
        UsageError: shapes that do not fit.
    """
    same, differ = _relations(labels, distances)
    anchor = (same.any(1) & differ.any(1)).nonzero()[:, 0]
    positive = distances.masked_fill(~same, -torch.inf)[anchor]
    negative = distances.masked_fill(~differ, torch.inf)[anchor]
    if not len(anchor):
        return Triplets(anchor, anchor, anchor)
    return Triplets(anchor, positive.argmax(1), negative.argmin(1))


@torch.no_grad()
def semi_hard_triplets(distances: Tensor, labels: Tensor, margin: float) -> Triplets:
    """For every anchor and positive the nearest negative that is farther, yet within the margin.

    d(a,p) < d(a,n) < d(a,p) + margin, as in FaceNet. Where there is no such negative, there is no
    triplet: what is far enough teaches nothing, and the nearest of all can make every vector the
    same early on.

    Args:
        distances: (N, N) from each to each. Of equal ones the first in the batch is taken.
        labels: (N,) integers, who is shown.
        margin: above 0, in units of the distance.

    Raises:
        UsageError: shapes that do not fit, a margin that is not above 0.
    """
    if not margin > 0:
        raise UsageError(
            f"a margin of {margin} leaves no semi-hard negatives. Give more than 0, such as 0.2."
        )
    same, differ = _relations(labels, distances)
    if not len(labels):
        return all_triplets(labels)
    rising, place = distances.masked_fill(~differ, torch.inf).sort(dim=1, stable=True)
    after = torch.searchsorted(rising, distances.contiguous(), right=True)
    after = after.clamp_max(len(labels) - 1)  # a distance that is not finite is behind all
    nearest = rising.gather(1, after)
    there = same & (distances < nearest) & (nearest < distances + margin)
    anchor, positive = there.nonzero(as_tuple=True)
    return Triplets(anchor, positive, place.gather(1, after)[anchor, positive])


@torch.no_grad()
def distance_weighted_triplets(
    distances: Tensor,
    labels: Tensor,
    dimensions: int,
    generator: torch.Generator | None = None,
) -> Triplets:
    """For every anchor and positive one negative, drawn so that all distances are about as likely.

    Args:
        distances: (N, N), Euclidean, of unit vectors: 0..2.
        labels: (N,) integers, who is shown.
        dimensions: D of the vectors, 2 or more.
        generator: on the CPU; torch's own where there is none.

    Raises:
        UsageError: shapes that do not fit, fewer than two dimensions.
    """
    same, _ = _relations(labels, distances)
    return _draw(same, negative_weights(distances, labels, dimensions), generator)


@torch.no_grad()
def negative_weights(distances: Tensor, labels: Tensor, dimensions: int) -> Tensor:
    """How likely each negative of each anchor is drawn: 1/q(d), q the density of distances.

    Between points spread evenly on a sphere q(d) ∝ d^(D−2) · (1 − d²/4)^((D−3)/2): almost all are
    √2 apart. Drawing by 1/q brings near negatives and far ones alike. Distances below 0.5 count as
    0.5, lest noise be drawn; from 1.4 on a negative teaches nothing, and has no weight. Where that
    leaves none, all negatives of the anchor are alike.

    Args:
        distances: (N, N), Euclidean, of unit vectors: 0..2.
        labels: (N,) integers, who is shown.
        dimensions: D of the vectors, 2 or more.

    Returns:
        (N, N) float64 on the CPU; a row's sum is 1, or 0 where there is no negative at all.

    Raises:
        UsageError: shapes that do not fit, fewer than two dimensions.
    """
    if dimensions < 2:
        raise UsageError(
            f"vectors of {dimensions} numbers: at length 1 they lie on no sphere. Give 2 or more."
        )
    _, differ = _relations(labels, distances)
    d, differ = distances.cpu().double(), differ.cpu()
    useful = differ & (d < FARTHEST)
    d = d.clamp(NEAREST, FARTHEST)
    # In logs: with D = 512, q itself is 10⁻⁹⁵ at 0.5 and 10⁻³⁴ at 1.
    log_q = (dimensions - 2) * d.log() + (dimensions - 3) / 2 * (1 - d.square() / 4).log()
    surprise = (-log_q).masked_fill(~useful, -torch.inf)
    weights = surprise.softmax(1)  # NaN where there is no useful one
    alike = differ.double() / differ.sum(1, keepdim=True).clamp_min(1)
    return torch.where(useful.any(1, keepdim=True), weights, alike)


def all_pairs(labels: Tensor) -> Pairs:
    """Every pair of two pictures once, in order.

    Args:
        labels: (N,) integers, who is shown.

    Raises:
        UsageError: labels that are not (N,).
    """
    same, differ = _relations(labels)
    first, second = (same | differ).triu(1).nonzero(as_tuple=True)
    return Pairs(first, second, same[first, second])


def balanced_pairs(labels: Tensor, generator: torch.Generator | None = None) -> Pairs:
    """As many pairs of two as of one and the same, drawn from all of them without repetition.

    In a batch of P people and K pictures each, far more pairs are of two: without this a network
    that says "different" to everything does well.

    Args:
        labels: (N,) integers, who is shown.
        generator: on the CPU; torch's own where there is none.

    Raises:
        UsageError: labels that are not (N,).
    """
    pairs = all_pairs(labels)
    kinds = [pairs.same.nonzero()[:, 0], (~pairs.same).nonzero()[:, 0]]
    count = min(len(kind) for kind in kinds)
    drawn = [k[torch.randperm(len(k), generator=generator)[:count].to(k.device)] for k in kinds]
    return Pairs(*(each[torch.cat(drawn).sort().values] for each in pairs))


def _draw(same: Tensor, weights: Tensor, generator: torch.Generator | None) -> Triplets:
    """For every anchor and positive a negative, drawn by its weight in the anchor's row."""
    device, same, weights = same.device, same.cpu(), weights.cpu()
    upto = weights.cumsum(1)
    same = same & (weights > 0).any(1, keepdim=True)
    anchor, positive = same.nonzero(as_tuple=True)
    most = int(same.sum(1).max()) if len(same) else 0
    chance = torch.rand(len(same), most, dtype=torch.float64, generator=generator)
    # The first place up to which there is more than that: what has no weight is never drawn.
    drawn = torch.searchsorted(upto, chance * upto[:, -1:], right=True) if most else chance.long()
    which = same.cumsum(1)[anchor, positive] - 1  # of the anchor's positives
    negative = drawn[anchor, which]
    return Triplets(anchor.to(device), positive.to(device), negative.to(device))


def _relations(labels: Tensor, distances: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Who shows the same without being the same picture, and who shows another: (N, N) bool twice."""
    if labels.ndim != 1 or labels.is_floating_point():
        raise UsageError(
            f"labels of shape {tuple(labels.shape)} and {labels.dtype}. Give (N,) integers."
        )
    if distances is not None and distances.shape != (len(labels), len(labels)):
        raise UsageError(
            f"distances of shape {tuple(distances.shape)} for {len(labels)} labels. Give (N, N)."
        )
    equal = labels[:, None] == labels[None, :]
    same = equal.clone().fill_diagonal_(False)
    return same, ~equal
