"""Small sets of pairs for super-resolution: the small pictures are means of 2×2 pixels of the large ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.data.map_sets import save

SIZES = {"가": (10, 14), "2": (8, 6)}  # of the large pictures


def large(name: str, scale: int = 2) -> np.ndarray:
    """(H, W, 3) uint8, of sides that are multiples of ``scale``."""
    height, width = (side * scale // 2 for side in SIZES[name])
    seed = sum(name.encode())
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def small(name: str, scale: int = 2) -> np.ndarray:
    picture = large(name, scale)
    height, width = picture.shape[0] // scale, picture.shape[1] // scale
    cells = picture.reshape(height, scale, width, scale, 3)
    return cells.mean((1, 3)).astype(np.uint8)


def in_one_folder(root: Path, scale: int = 2) -> Path:
    for name in SIZES:
        save(large(name, scale), root / f"{name}_SRF_{scale}_HR.png")
        save(small(name, scale), root / f"{name}_SRF_{scale}_LR.png")
    return root


def in_folders(root: Path, high: str = "HR", low: str = "LR", end: str = "") -> Path:
    for name in SIZES:
        save(large(name), root / high / f"{name}.png")
        save(small(name), root / low / f"{name}{end}.png")
    return root


def pictures(root: Path) -> Path:
    for name in SIZES:
        save(large(name), root / f"{name}.png")
    return root


def samples_of(root: Path) -> dict[str, Path]:
    """One set of every format."""
    return {
        "superres": in_one_folder(root / "superres"),
        "pictures": pictures(root / "pictures"),
    }
