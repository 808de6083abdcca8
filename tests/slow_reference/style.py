"""Style transfer's matrices and losses by plain loops, as the papers write them."""

from __future__ import annotations

import numpy as np


def gram_matrix(maps: np.ndarray, share: np.ndarray | None = None) -> np.ndarray:
    """Σ over the positions of F_k · F_k', (C, C), of maps (C, H, W); each times its share."""
    channels, height, width = maps.shape
    out = np.zeros((channels, channels))
    for k in range(channels):
        for other in range(channels):
            for y in range(height):
                for x in range(width):
                    part = 1.0 if share is None else float(share[y, x])
                    out[k, other] += float(maps[k, y, x]) * float(maps[other, y, x]) * part
    return out


def style_loss(gram: np.ndarray, target: np.ndarray, positions: int) -> float:
    """Σ (G − A)² / (2·n_H·n_W·n_C)² of two sums over as many positions, n_H·n_W."""
    total = 0.0
    for row, wanted in zip(gram, target, strict=True):
        for value, other in zip(row, wanted, strict=True):
            total += (value - other) ** 2
    return total / (2 * positions * len(gram)) ** 2


def content_loss(maps: np.ndarray, target: np.ndarray) -> float:
    """½ of the mean of (F − P)²."""
    total = 0.0
    for value, other in zip(maps.ravel().tolist(), target.ravel().tolist(), strict=True):
        total += (value - other) ** 2
    return total / 2 / maps.size
