"""The stages of R-CNN that are no gradient descent: support vector machines, then regressors.

Girshick, Donahue, Darrell, Malik 2013, arXiv 1311.2524, section 2.3 and appendices B and C. Mining
hard negatives: Felzenszwalb, Girshick, McAllester, Ramanan, "Object detection with discriminatively
trained part-based models", 2010 (PAMI 32(9); no arXiv id), section 5. Scores from margins: Platt,
"Probabilistic outputs for support vector machines", 1999 (no arXiv id). C, the weight of the
positives and λ are those of the authors' code, for features of a mean norm of 20.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

NORM = 20.0  # of the features that the constants are for
PENALTY = 1e-3  # C
POSITIVE = 2.0  # what a positive counts
BIAS = 10.0  # the value of the bias's input
HARD = -1.0  # margin from which a negative is learned from
EASY = -1.2  # below which it is left out again
FIRST, MORE = 2000, 4000  # negatives at first, and at most new in a round
ROUNDS = 12  # at most
SLACK = 1e-2  # of a margin, as far as the solver goes
NEVER = -10.0  # the log-odds of a class without examples


class Mined(NamedTuple):
    """A support vector machine.

    Attributes:
        weights: (D + 1,), the last one the bias.
        rounds: how often it was fitted.
        negatives: how many it was fitted to in the end.
    """

    weights: Tensor
    rounds: int
    negatives: int


def mined_svm(features: Tensor, positive: Tensor, negative: Tensor) -> Mined:
    """A linear support vector machine, fitted to the few negatives that matter.

    It is fitted to some negatives; those of the others that are on the wrong side of their margin
    join them, those far on the right side leave, and it is fitted again, until none is wrong. What
    comes out is what all negatives would give, since those beyond the margin count nothing.

    Args:
        features: (M, D) float32, of a mean norm of about 20.
        positive: (P,) int64 rows, one at least.
        negative: (M,) bool, one at least.
    """
    from sklearn.svm import LinearSVC

    allowed = negative.nonzero()[:, 0]
    drawn = torch.randperm(len(allowed), generator=torch.Generator().manual_seed(0))[:FIRST]
    cache = allowed[drawn].sort().values
    weights = features.new_zeros(features.shape[1] + 1)
    rounds = 0
    while rounds < ROUNDS:
        rounds += 1
        rows = torch.cat([positive, cache])
        truth = np.arange(len(rows)) < len(positive)
        machine = LinearSVC(
            loss="hinge",
            C=PENALTY,
            class_weight={True: POSITIVE, False: 1.0},
            intercept_scaling=BIAS,
            random_state=0,
            max_iter=5000,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # not all the way is near enough
            machine.fit(features[rows].numpy(), truth)
        solved = np.append(machine.coef_[0], machine.intercept_[0])
        weights = torch.from_numpy(solved.astype(np.float32))
        margins = affine(features, weights)
        kept = cache[margins[cache] >= EASY]
        new = negative & (margins > HARD + SLACK)
        new[cache] = False
        hard = new.nonzero()[:, 0]
        if not len(hard):
            break
        hard = hard[margins[hard].argsort(descending=True, stable=True)[:MORE]]
        cache = torch.cat([kept, hard]).sort().values
    return Mined(weights, rounds, len(cache))


def platt(margins: Tensor, truth: Tensor) -> tuple[float, float]:
    """Of P(object) = σ(a · margin + b) a and b: logistic regression on one number.

    Args:
        margins: (M,).
        truth: (M,) bool, both kinds among them.

    Returns:
        a, above 0, and b.
    """
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression().fit(margins[:, None].numpy(), truth.numpy())
    return max(1e-3, float(fitted.coef_[0, 0])), float(fitted.intercept_[0])


def ridge(features: Tensor, targets: Tensor, penalty: float) -> Tensor:
    """Least squares with λ‖w‖², of the weights and not of the bias, by the normal equations.

    Args:
        features: (M, D).
        targets: (M, T).
        penalty: λ, above 0.

    Returns:
        (T, D + 1) float32, the last column the bias.
    """
    x, y = features.double(), targets.double()
    x_mean, y_mean = x.mean(0), y.mean(0)
    x, y = x - x_mean, y - y_mean
    gram = x.T @ x + penalty * torch.eye(x.shape[1], dtype=x.dtype)
    weights = torch.linalg.solve(gram, x.T @ y)
    bias = y_mean - x_mean @ weights
    return torch.cat([weights, bias[None]]).T.float()


def affine(features: Tensor, weights: Tensor) -> Tensor:
    """(M, D) and (…, D + 1) → (M, …): weights times features, plus the last column."""
    rows = weights.flatten(0, -2) if weights.ndim > 1 else weights[None]
    values = torch.addmm(rows[:, -1], features, rows[:, :-1].T)
    return values.view(len(features), *weights.shape[:-1])
