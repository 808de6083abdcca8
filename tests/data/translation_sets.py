"""Small data for translation, drawn for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 32


def picture(seed: int, height: int = SIDE, width: int = SIDE) -> np.ndarray:
    """A bright square on a dark slope, (H, W, 3) uint8; another seed, another place and colour."""
    draw = np.random.default_rng(seed)
    out = np.broadcast_to(np.linspace(20, 90, width), (height, width))[..., None] * np.ones(3)
    y, x = draw.integers(2, height // 2), draw.integers(2, width // 2)
    out[y : y + height // 3, x : x + width // 3] = draw.integers(120, 256, 3)
    return out.astype(np.uint8)


def negative(seed: int) -> np.ndarray:
    return 255 - picture(seed)


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def side_by_side(root: Path, train: int = 8, test: int = 3) -> Path:
    """A picture, and on its right the negative of it."""
    for split, numbers in (("train", range(train)), ("test", range(train, train + test))):
        for number in numbers:
            pair = np.concatenate([picture(number), negative(number)], 1)
            save(root / split / f"{number}.png", pair)
    return root


def apart(root: Path, train: int = 8, test: int = 3) -> Path:
    """Pictures in trainA, negatives of others in trainB; in test, of the same."""
    for number in range(train):
        save(root / "trainA" / f"{number}.png", picture(number))
        save(root / "trainB" / f"n{number}.png", negative(100 + number))
    for number in range(test):
        save(root / "testA" / f"{number}.png", picture(50 + number))
        save(root / "testB" / f"{number}.png", negative(50 + number))
    return root


def samples_of(root: Path) -> dict[str, Path]:
    """A small set for each reader."""
    return {
        "side-by-side": side_by_side(root / "side-by-side", 3, 1),
        "two-folders": apart(root / "two-folders", 3, 1),
    }
