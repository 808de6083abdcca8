"""How far vectors are from each other, each of one set from each of another.

Squared Euclidean distance is that of FaceNet (Schroff et al. 2015, arXiv 1503.03832) and of
prototypical networks (Snell et al. 2017, arXiv 1703.05175), the distance itself that of Hadsell et
al. 2006 and Hermans et al. 2017 (arXiv 1703.07737).

All are computed from differences, in float32 or better, under autocast too: |a|² + |b|² − 2ab would
be faster and lose near neighbours, for whom mining asks. Memory is O(NM) on a CPU.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from boda.errors import UsageError
from boda.ops.autocast import without_autocast
from boda.ops.roi_operator import exact

Distance = Callable[[Tensor, Tensor], Tensor]  # (N, D), (M, D) → (N, M)


def l2_normalize(x: Tensor) -> Tensor:
    """Vectors of length 1: x / |x|.

    Args:
        x: (…, D) floating.

    Returns:
        (…, D), float32 or better. Zeros stay zeros, and their gradient stays finite.
    """
    x = precise(x)
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x / torch.where(length > 0, length, 1)


def squared_euclidean(a: Tensor, b: Tensor) -> Tensor:
    """Σ (a − b)², 0 or more.

    Args:
        a: (N, D) floating.
        b: (M, D) floating.

    Returns:
        (N, M), float32 or better.

    Raises:
        UsageError: not (N, D) and (M, D).
    """
    return euclidean(a, b).square()


def euclidean(a: Tensor, b: Tensor) -> Tensor:
    """The square root of Σ (a − b)², 0 or more; where it is 0, where it has no slope, so is its gradient.

    Args:
        a: (N, D) floating.
        b: (M, D) floating.

    Returns:
        (N, M), float32 or better.

    Raises:
        UsageError: not (N, D) and (M, D).
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise UsageError(
            f"vectors of shapes {tuple(a.shape)} and {tuple(b.shape)}. Give (N, D) and (M, D)."
        )
    return torch.cdist(precise(a), precise(b), compute_mode="donot_use_mm_for_euclid_dist")


def cosine_distance(a: Tensor, b: Tensor) -> Tensor:
    """1 − cos of the angle, 0..2: half the squared distance of the vectors at length 1.

    Args:
        a: (N, D) floating.
        b: (M, D) floating.

    Returns:
        (N, M), float32 or better. Zeros, which point nowhere, are ½ from everything else.

    Raises:
        UsageError: not (N, D) and (M, D).
    """
    return squared_euclidean(l2_normalize(a), l2_normalize(b)) / 2


def precise(x: Tensor) -> Tensor:
    """As float32 where it has fewer digits: the losses of embeddings live on small differences."""
    return x.to(exact(x.dtype))


def product(a: Tensor, b: Tensor) -> Tensor:
    """Each of ``a`` times each of ``b``, (N, D) and (M, D) → (N, M), float32 or better in any autocast."""
    with without_autocast(a):
        return precise(a) @ precise(b).T


DISTANCES: dict[str, Distance] = {
    "squared-euclidean": squared_euclidean,
    "euclidean": euclidean,
    "cosine": cosine_distance,
}
