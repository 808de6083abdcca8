"""Losses of a network that says a class for every pixel.

Cross entropy over pixels with weights: Ronneberger et al. 2015 (arXiv 1505.04597). Soft Dice:
Milletari et al. 2016 (V-Net, arXiv 1606.04797) and Sudre et al. 2017 (arXiv 1707.03237). Focal
loss: Lin et al. 2017 (arXiv 1708.02002). Median frequency balancing: Eigen & Fergus 2014 (arXiv
1411.4734), as SegNet uses it (arXiv 1511.00561).

All compute in float32, under autocast too, and pixels of 255 count nowhere. Where no pixel counts
the loss is 0, and so is its gradient.

Deviations: Dice takes the softmax's probabilities of all K classes, adds them as they are (V-Net
adds their squares, for two classes), over the whole batch and without Sudre's weights; the focal
loss is the softmax's, not K sigmoids', and its mean is over the weights, so that with gamma 0 it
is the cross entropy.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from boda.errors import UsageError
from boda.types import IGNORED

TINY = torch.finfo(torch.float32).tiny


def cross_entropy_map(
    logits: Tensor,
    target: Tensor,
    weights: Tensor | None = None,
    pixel_weights: Tensor | None = None,
) -> Tensor:
    """The mean of −log p over the pixels, p the softmax's probability of the true class.

    Args:
        logits: (N, K, H, W) floating.
        target: (N, H, W) integers in 0..K-1, or 255 = ignored.
        weights: (K,), how much each class counts; see ``median_frequency``.
        pixel_weights: (N, H, W), how much each pixel counts, such as 1 + ``boundary_weights``.

    Returns:
        () float32, nats: Σ w·(−log p) / Σ w, where a pixel's w is the product of its two weights.

    Raises:
        UsageError: shapes that do not fit.
    """
    return _mean(_surprise(logits, target), target, weights, pixel_weights)


def focal_loss(
    logits: Tensor, target: Tensor, gamma: float = 2.0, weights: Tensor | None = None
) -> Tensor:
    """Cross entropy in which pixels that are right already hardly count: −(1 − p)^gamma · log p.

    Args:
        logits: (N, K, H, W) floating.
        target: (N, H, W) integers in 0..K-1, or 255 = ignored.
        gamma: 0 or more; how much less what is right counts. With 0 it is the cross entropy.
        weights: (K,), how much each class counts (the paper's alpha).

    Returns:
        () float32: the mean over the pixels that count, over their weights where given.

    Raises:
        UsageError: shapes that do not fit, a negative gamma.
    """
    if not gamma >= 0:
        raise UsageError(f"a gamma of {gamma}. Give 0 or more; the paper's is 2.")
    surprise = _surprise(logits, target)
    # 1 − p, exact where p is almost 1; never 0, where a gamma below 1 has no slope.
    missed = (-torch.expm1(-surprise)).clamp_min(TINY)
    return _mean(missed**gamma * surprise, target, weights)


def dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """1 − the mean Dice of the classes that are there: 2 Σ p·t / (Σ p + Σ t), over the whole batch.

    p is the softmax's probability of the class, t is 1 where the class is true and else 0. What
    counts is how well a class's area is covered, be it large or small.

    Args:
        logits: (N, K, H, W) floating.
        target: (N, H, W) integers in 0..K-1, or 255 = ignored.

    Returns:
        () float32 in 0..1. A class without a true pixel in the batch has no Dice of its own; what
        it takes from the others still shows in theirs.

    Raises:
        UsageError: shapes that do not fit.
    """
    _check(logits, target)
    n, k, h, _ = logits.shape
    known = target != IGNORED
    p = logits.float().softmax(1) * known[:, None]
    place = torch.where(known, target, 0).long()
    own = p.gather(1, place[:, None])[:, 0]  # of the true class
    # Added row by row and then together: one long sum in float32 would lose its last digits.
    both = p.new_zeros(n, h, k).scatter_add(2, place, own).sum((0, 1))
    true = p.new_zeros(n, h, k).scatter_add(2, place, known.to(p)).sum((0, 1))
    said = p.sum((0, 2, 3))
    there = true > 0
    count = there.sum()
    dice = 2 * both / (said + true).clamp_min(TINY)
    # Without any class the probabilities' sum is taken, which is 0 and has a gradient.
    return torch.where(count > 0, 1 - (dice * there).sum() / count.clamp_min(1), said.sum())


def median_frequency(counts_with: Tensor, counts: Tensor) -> Tensor:
    """Weights by which rare classes count as much as common ones: median frequency / frequency.

    A class's frequency is its share of the pictures in which it is present.

    Args:
        counts_with: (K,) integers, all pixels of the pictures in which the class is present.
        counts: (K,) integers, the pixels of the class.

    Returns:
        (K,) float32. A class in no picture weighs 1 and is no part of the median: none of these
        pixels has it, so nothing changes; should it turn up later, it counts like the others.

    Raises:
        UsageError: counts of different shapes, or more pixels of a class than pixels.
    """
    whole = torch.as_tensor(counts_with).double()
    part = torch.as_tensor(counts).double()
    if whole.shape != part.shape or whole.ndim != 1:
        raise UsageError(
            f"counts of shapes {tuple(whole.shape)} and {tuple(part.shape)}. Give (K,) twice: the "
            "pixels of the pictures that have the class, and the pixels of the class."
        )
    if (part < 0).any() or (part > whole).any():
        raise UsageError(
            "a class has more pixels than the pictures in which it is, or less than none. Give the "
            "pixels of those pictures first, then those of the class."
        )
    there = part > 0
    weights = torch.ones_like(part)
    if there.any():
        frequency = part[there] / whole[there]
        weights[there] = frequency.quantile(0.5) / frequency
    return weights.float()


def _surprise(logits: Tensor, target: Tensor) -> Tensor:
    """−log p of each pixel's true class, (N, H, W) float32; 0 where it is ignored."""
    _check(logits, target)
    return F.cross_entropy(logits.float(), target.long(), ignore_index=IGNORED, reduction="none")


def _mean(
    values: Tensor,
    target: Tensor,
    weights: Tensor | None = None,
    pixel_weights: Tensor | None = None,
) -> Tensor:
    """The mean of (N, H, W) values over the weights of the pixels that count."""
    known = target != IGNORED
    share = known.to(values)
    if weights is not None:
        share = share * weights.to(values)[torch.where(known, target, 0).long()]
    if pixel_weights is not None:
        if pixel_weights.shape != target.shape:
            raise UsageError(
                f"weights of pixels have shape {tuple(pixel_weights.shape)}, the target "
                f"{tuple(target.shape)}. Give one for each pixel."
            )
        share = share * pixel_weights.to(values)
    return (values * share).sum() / share.sum().clamp_min(TINY)


def _check(logits: Tensor, target: Tensor) -> None:
    if logits.ndim != 4 or target.shape != (len(logits), *logits.shape[2:]):
        raise UsageError(
            f"logits of shape {tuple(logits.shape)} and a target of {tuple(target.shape)}. Give "
            "(N, K, H, W) and (N, H, W)."
        )
