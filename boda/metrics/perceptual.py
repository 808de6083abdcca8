"""How far pictures are from their truth in the features of a network, as a figure of many pictures.

See ``boda.ops.perceptual`` for the distance and its paper. The figure hangs on the network and the
weights, so both are to be named beside it; figures of other networks do not compare.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from boda.errors import UsageError
from boda.metrics.pictures import without_border
from boda.ops.perceptual import Features, perceptual_distance


class Perceptual:
    """The mean perceptual distance; every picture counts the same, however large.

    Args:
        features: gives maps by name for (N, C, H, W) pictures 0 to 1, float32; see
            ``boda.ops.perceptual``.
        border: pixels that are cut off at each edge; in super-resolution the factor.
    """

    def __init__(self, features: Features, border: int = 0) -> None:
        self.features, self.border = features, border
        self._each: list[float] = []

    @property
    def samples(self) -> int:
        """How many pictures were given."""
        return len(self._each)

    def update(self, said: Tensor, truth: Tensor) -> list[float]:
        """Count some pictures of one size.

        Args:
            said: (N, C, H, W), uint8 0 to 255 or floating 0 to 1.
            truth: the same shape.

        Returns:
            their N distances.

        Raises:
            UsageError: shapes that differ, or nothing left without the border.
        """
        with torch.no_grad():
            one, other = self._prepared(said), self._prepared(truth)
            found: list[float] = perceptual_distance(self.features, one, other).tolist()
        self._each += found
        return found

    def merge(self, other: Perceptual) -> None:
        """Add what ``other`` has counted, as if its pictures had been given here."""
        if other.border != self.border:
            raise ValueError("only figures of the same border can be merged")
        self._each += other._each

    def compute(self) -> dict[str, float]:
        """``perceptual``, 0 where all pictures equal their truth.

        Raises:
            ValueError: no pictures have been counted.
        """
        if not self._each:
            raise ValueError("there are no pictures to compute metrics of")
        # fsum rounds once, at the end: the order does not matter.
        return {"perceptual": math.fsum(self._each) / len(self._each)}

    def _prepared(self, pictures: Tensor) -> Tensor:
        if pictures.ndim != 4:
            raise UsageError(f"pictures of shape {tuple(pictures.shape)}. Give (N, C, H, W).")
        x = without_border(pictures, self.border)
        return x.float() if x.is_floating_point() else x.float() / 255
