"""Losses of a network that says a class for every pixel.

Cross entropy over pixels with weights: Ronneberger et al. 2015 (arXiv 1505.04597). Soft Dice:
Milletari et al. 2016 (V-Net, arXiv 1606.04797) and Sudre et al. 2017 (arXiv 1707.03237). Focal
loss: Lin et al. 2017 (arXiv 1708.02002). Median frequency balancing: Eigen & Fergus 2014 (arXiv
1411.4734), as SegNet uses it (arXiv 1511.00561).

All compute in float32, under autocast too, and pixels of 255 count nowhere. Where no pixel counts
the loss is 0, and so is its gradient. A loss that adds up several takes them from one ``PixelLosses``,
which takes the softmax once.

Deviations: Dice takes the softmax's probabilities of all K classes, adds them as they are (V-Net
adds their squares, for two classes), over the whole batch and without Sudre's weights; the focal
loss is the softmax's, not K sigmoids', and its mean is over the weights, so that with gamma 0 it
is the cross entropy.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from boda.errors import UsageError
from boda.types import IGNORED

TINY = torch.finfo(torch.float32).tiny


class PixelLosses:
    """The losses of one map of logits, of one softmax.

    Args:
        logits: (N, K, H, W) floating.
        target: (N, H, W) integers in 0..K-1, or 255 = ignored.

    Raises:
        UsageError: shapes that do not fit.
    """

    def __init__(self, logits: Tensor, target: Tensor) -> None:
        if logits.ndim != 4 or target.shape != (len(logits), *logits.shape[2:]):
            raise UsageError(
                f"logits of shape {tuple(logits.shape)} and a target of {tuple(target.shape)}. Give "
                "(N, K, H, W) and (N, H, W)."
            )
        self.known = target != IGNORED
        self.place = torch.where(self.known, target, 0).long()
        counted: Any = _Softmax.apply
        self.surprise, self.said, self.both = counted(logits.float(), self.place, self.known)

    def cross_entropy(
        self, weights: Tensor | None = None, pixel_weights: Tensor | None = None
    ) -> Tensor:
        """See ``cross_entropy_map``."""
        return self._mean(self.surprise, weights, pixel_weights)

    def focal(self, gamma: float = 2.0, weights: Tensor | None = None) -> Tensor:
        """See ``focal_loss``."""
        if not gamma >= 0:
            raise UsageError(f"a gamma of {gamma}. Give 0 or more; the paper's is 2.")
        # 1 − p, exact where p is almost 1; never 0, where a gamma below 1 has no slope.
        missed = (-torch.expm1(-self.surprise)).clamp_min(TINY)
        return self._mean(missed**gamma * self.surprise, weights)

    def dice(self) -> Tensor:
        """See ``dice_loss``."""
        true = _by_class(self.known.to(self.said), self.place, len(self.said))
        there = true > 0
        count = there.sum()
        dice = 2 * self.both / (self.said + true).clamp_min(TINY)
        # Without any class the probabilities' sum is taken, which is 0 and has a gradient.
        return torch.where(
            count > 0, 1 - (dice * there).sum() / count.clamp_min(1), self.said.sum()
        )

    def _mean(
        self, values: Tensor, weights: Tensor | None = None, pixel_weights: Tensor | None = None
    ) -> Tensor:
        """The mean of (N, H, W) values over the weights of the pixels that count."""
        share = self.known.to(values)
        if weights is not None:
            share = share * weights.to(values)[self.place]
        if pixel_weights is not None:
            if pixel_weights.shape != share.shape:
                raise UsageError(
                    f"weights of pixels have shape {tuple(pixel_weights.shape)}, the target "
                    f"{tuple(share.shape)}. Give one for each pixel."
                )
            share = share * pixel_weights.to(values)
        return (values * share).sum() / share.sum().clamp_min(TINY)


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
    return PixelLosses(logits, target).cross_entropy(weights, pixel_weights)


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
    return PixelLosses(logits, target).focal(gamma, weights)


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
    return PixelLosses(logits, target).dice()


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


class _Softmax(torch.autograd.Function):
    """What losses need of the softmax, whose slope is written down: it passes over the maps three times.

    Of logits z (N, K, H, W), the true classes y and whether they are known (N, H, W): −log p of the true
    class (N, H, W), Σ p of each class (K,), and Σ p of each class where it is true (K,).
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, y: Tensor, known: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        p = z.softmax(1)
        own = p.gather(1, y[:, None])[:, 0]
        # The likeliest class's p is 1/K at least, so that its logarithm has all its digits.
        surprise = z.amax(1) - z.gather(1, y[:, None])[:, 0] - p.amax(1).log()
        p.mul_(known[:, None])
        ctx.save_for_backward(p, own, y, known)
        said = p.sum(3).sum((0, 2))  # row by row: one long sum would lose its last digits
        return torch.where(known, surprise, 0), said, _by_class(own * known, y, z.shape[1])

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None, None]:
        p, own, y, known = ctx.saved_tensors
        of_surprise, of_said, of_both = slopes
        of_own = of_both[y] * own
        # dp_k/dz_j = p_k ([j = k] − p_j), of all that hangs on p; d(−log p_y)/dz_j = p_j − [j = y].
        common = of_surprise - of_own - (of_said @ p.flatten(2)).view(own.shape)
        slope = torch.addcmul(p * of_said.view(-1, 1, 1), p, common[:, None])
        return (
            slope.scatter_add_(1, y[:, None], ((of_own - of_surprise) * known)[:, None]),
            None,
            None,
        )


def _by_class(values: Tensor, place: Tensor, classes: int) -> Tensor:
    """(N, H, W) values added up for the class of each pixel, row by row and then together: (K,)."""
    rows = values.new_zeros(*values.shape[:2], classes)
    return rows.scatter_add(2, place, values).sum((0, 1))
