"""The losses of style transfer: what is where (content), and which maps go together (style).

Gatys, Ecker, Bethge, "A neural algorithm of artistic style", 2015, arXiv 1508.06576; maps that count
only in a part of the picture: Gatys et al., "Controlling perceptual factors in neural style
transfer", 2016, arXiv 1611.07865. Deviations: Gram matrices are means over the positions, not sums,
so that pictures of different sizes can be compared; with n_H·n_W positions in both pictures the
style loss is the paper's Σ(G − A)² / (2·n_H·n_W·n_C)² to the last digit. The content loss is a mean,
not a sum, so that its weight means the same at every size.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from boda.errors import UsageError

PIECES = 64  # of the positions, whose products are rounded apart where numbers have 16 bits


def gram_matrix(maps: Tensor, share: Tensor | None = None) -> Tensor:
    """How often two maps are strong at one place: the mean of F_k · F_k' over the positions.

    Args:
        maps: (1, C, H, W) floating.
        share: (H, W), how much each position counts; all the same where it is left away. The notes'
            sum is ``gram_matrix(maps) * H * W``.

    Returns:
        (C, C), float32 of maps with 16 bits, else of their dtype.

    Raises:
        UsageError: shapes that do not fit, or no position that counts.
    """
    if maps.ndim != 4 or len(maps) != 1:
        raise UsageError(f"maps of shape {tuple(maps.shape)}. Give one picture's, (1, C, H, W).")
    if share is None:
        return _Products.apply(maps, None) / maps[0, 0].numel()
    if share.shape != maps.shape[2:] or not (share >= 0).all() or not share.any():
        raise UsageError(
            f"shares of shape {tuple(share.shape)} for maps of {tuple(maps.shape)}. Give (H, W) "
            "numbers of 0 or more, not all of them 0."
        )
    products: Tensor = _Products.apply(maps, share)
    return products / share.sum()


def style_loss(gram: Tensor, target: Tensor) -> Tensor:
    """Σ (G − A)² / (2·n_C)², which is the notes' 1/(2·n_H·n_W·n_C)² for their sums.

    Args:
        gram: (C, C) of ``gram_matrix``.
        target: likewise.

    Returns:
        () of their dtype.
    """
    if gram.shape != target.shape:
        raise UsageError(
            f"Gram matrices of {tuple(gram.shape)} and {tuple(target.shape)}. Compare one layer's."
        )
    return (gram - target).square().sum() / (2 * len(gram)) ** 2


def content_loss(maps: Tensor, target: Tensor) -> Tensor:
    """Half of the mean of (F − P)², in float32 at least.

    Args:
        maps: (1, C, H, W) of one layer.
        target: likewise.

    Returns:
        ().
    """
    if maps.shape != target.shape:
        raise UsageError(
            f"maps of {tuple(maps.shape)} and {tuple(target.shape)}. Compare one layer's, of "
            "pictures of one size."
        )
    difference = maps - target
    return difference.to(_exact(maps.dtype)).square().mean() / 2


def total_variation(picture: Tensor) -> Tensor:
    """How rough a picture is: the mean of the squares of the steps to the right and downwards, added.

    Mahendran, Vedaldi 2014, arXiv 1412.0035, with their exponent β = 2.

    Args:
        picture: (…, H, W) floating, of 2 pixels or more each way.
    """
    right, down = picture.diff(dim=-1), picture.diff(dim=-2)
    return right.square().mean() + down.square().mean()


class _Products(torch.autograd.Function):
    """F · diag(share) · Fᵀ.

    Its gradient is one product, since the matrix is symmetric; autograd would take two.
    """

    @staticmethod
    def forward(ctx: Any, maps: Tensor, share: Tensor | None) -> Tensor:
        rows = maps[0].flatten(1).T  # (H·W, C), in one piece where channels are last
        weighted = rows if share is None else rows * share.reshape(-1, 1).to(rows)
        ctx.save_for_backward(weighted)
        ctx.size = maps.shape
        exact = _exact(maps.dtype)
        if exact == maps.dtype or len(rows) < PIECES:
            return weighted.T.to(exact) @ rows.to(exact)
        # A product of 16 bits is rounded to 16 bits: so many small ones, added in float32, are
        # nearer to the truth than one of all.
        whole = len(rows) - len(rows) % PIECES
        left, right = (part[:whole].unflatten(0, (PIECES, -1)) for part in (weighted, rows))
        products = torch.bmm(left.mT, right).to(exact).sum(0)
        return products + weighted[whole:].T.to(exact) @ rows[whole:].to(exact)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (weighted,) = ctx.saved_tensors
        _, channels, height, width = ctx.size
        rows = weighted @ (grad + grad.T).to(weighted)
        return rows.T.reshape(1, channels, height, width), None


def _exact(dtype: torch.dtype) -> torch.dtype:
    """Float32 for numbers of 16 bits."""
    return torch.promote_types(dtype, torch.float32)
