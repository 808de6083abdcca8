"""How much each class counts in the loss, so that thin and rare things are learned as well."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from boda.ops.segmentation_losses import median_frequency


def balanced(maps: Sequence[Tensor], classes: int, power: float = 1.0) -> tuple[float, ...]:
    """Median frequency balancing by the pixels of these maps.

    Args:
        maps: (H, W) uint8 each, 255 = ignored.
        classes: how many there are.
        power: 1 lets every class count alike, 0 every pixel; between them, both have a say.
    """

    def count(index: int) -> np.ndarray:
        return np.bincount(maps[index].numpy().ravel(), minlength=256)

    with ThreadPoolExecutor() as pool:  # a map may have to be decoded first
        counts = torch.from_numpy(np.stack(list(pool.map(count, range(len(maps))))))[:, :classes]
    whole = counts.sum(1, keepdim=True) * (counts > 0)
    weights = median_frequency(whole.sum(0), counts.sum(0)) ** power
    return tuple(round(float(weight), 6) for weight in weights)
