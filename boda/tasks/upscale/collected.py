"""What is measured of enlarged pictures: PSNR and SSIM of Y as the literature does, and how far apart.

See ``boda.metrics.pictures`` for the protocol; the border that is cut off is as wide as the scale.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from boda.data.low_resolution import scale_of
from boda.errors import DataError
from boda.metrics.perceptual import Perceptual
from boda.metrics.pictures import WINDOW, Likeness
from boda.ops.color import to_chw
from boda.ops.perceptual import Features
from boda.types import Image, Sample

FIGURES = ("psnr", "ssim")


class Collected:
    """Means over pictures, each of which counts the same, and the figures of each.

    Args:
        features: of a network, for the perceptual distance; None: it is not measured.

    Attributes:
        rows: of each picture ``{"source", "psnr", "ssim"}`` and, where it is measured, "perceptual".
    """

    def __init__(self, features: Features | None = None) -> None:
        self.features = features
        self.rows: list[dict[str, Any]] = []
        self._likeness: Likeness | None = None
        self._perceptual: Perceptual | None = None

    def add(self, made: Image, sample: Sample) -> None:
        """Count one picture.

        Args:
            made: (H, W, 3) uint8.
            sample: with the true one as its target.

        Raises:
            DataError: the picture is too small for a window of SSIM.
        """
        truth, scale = sample.target_image, scale_of(sample) or 1
        if min(truth.shape[:2]) < WINDOW + 2 * scale:
            raise DataError(
                f"the large picture has {truth.shape[0]}×{truth.shape[1]} pixels, too few to measure",
                file=sample.source,
                fix=f"Take away what has less than {WINDOW + 2 * scale} either way.",
            )
        if self._likeness is None:
            self._likeness = Likeness(y=True, border=scale)
            if self.features is not None:
                self._perceptual = Perceptual(self.features, border=scale)
        said, there = (
            to_chw(torch.tensor(np.ascontiguousarray(picture)))[None] for picture in (made, truth)
        )
        found = self._likeness.update(said, there)
        row = {"source": sample.source, **{name: found[name][0] for name in FIGURES}}
        if self._perceptual is not None:
            (row["perceptual"],) = self._perceptual.update(said, there)
        self.rows.append(row)

    def compute(self) -> dict[str, float]:
        """``psnr`` in dB, ``ssim`` and, where it is measured, ``perceptual``."""
        if self._likeness is None:
            raise ValueError("there are no pictures to compute metrics of")
        means = self._likeness.compute()
        found = {name: means[name] for name in FIGURES}
        return found | (self._perceptual.compute() if self._perceptual is not None else {})
