"""Pictures that follow from their places, each with one that is like it: no file has to be kept."""

from __future__ import annotations

import numpy as np


def pairs() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Name → (said, truth), (H, W, C) uint8: noise, blur, another brightness, flat areas, both ends."""
    y, x, c = np.mgrid[:24, :31, :3]
    waves = 128 + 90 * np.sin(x / 3 + c) * np.cos(y / 4 - c) + (x > 15) * 30
    truth = waves.round().clip(0, 255).astype(np.uint8)
    noise = (x * 37 + y * 61 + c * 17) % 41 - 20
    flat = np.full_like(truth, 200)
    flat[8:, 12:] = (10, 250, 90)
    blurred = (truth.astype(int) + np.roll(truth, 1, 0) + np.roll(truth, 1, 1)) // 3
    ends = ((x + y) % 2 * 255).astype(np.uint8)
    return {
        "noise": ((truth + noise).clip(0, 255).astype(np.uint8), truth),
        "blur": (blurred.astype(np.uint8), truth),
        "brighter": ((truth // 2 + 100).astype(np.uint8), truth),
        "flat": (flat[:, ::-1].copy(), flat),
        "smallest": (flat[3:14, 5:16], truth[3:14, 5:16]),
        "opposite": (255 - ends, ends),
    }
