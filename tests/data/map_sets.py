"""Small sets of maps in every format, drawn by hand: two pictures, classes of pixels, some ignored.

The same maps in all of them: 1.png, 40 × 30, has two classes on the ground and a line that is ignored;
2.png, 20 × 20, is all ground but for a square.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from boda.data.readers.camvid import NAMES as CAMVID
from tests.data.detection_sets import pictures, write

CLASSES = ["ground", "길", "car"]
COLOURS = ((0, 0, 0), (128, 64, 128), (64, 0, 192))


def drawn() -> dict[str, np.ndarray]:
    """Picture → (H, W) uint8, the class of each pixel, 255 = ignore."""
    first, second = np.zeros((30, 40), np.uint8), np.zeros((20, 20), np.uint8)
    first[5:25, 4:20] = 1
    first[2:10, 22:38] = 2
    first[29] = 255
    second[3:9, 2:8] = 1
    return {"1.png": first, "2.png": second}


TRUTH = drawn()


def save(values: np.ndarray, path: Path, mode: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values, mode).save(path) if mode else Image.fromarray(values).save(path)
    return path


def masks(root: Path, names: str | None = "\n".join(CLASSES)) -> Path:
    pictures(root / "images")
    for name, values in TRUTH.items():
        save(values, root / "labels" / name)
    if names is not None:
        write(root / "classes.txt", names)
    return root


def camvid(root: Path) -> Path:
    pictures(root / "train")
    for name, values in TRUTH.items():
        save(np.where(values == 255, 11, values).astype(np.uint8), root / "trainannot" / name)
    return root


def voc(root: Path) -> Path:
    pictures(root / "JPEGImages")
    for name, values in TRUTH.items():
        save(values, root / "SegmentationClass" / name)
    return root


MAKERS = {"masks": masks, "camvid": camvid, "voc-segmentation": voc}
NAMED = {
    "masks": CLASSES,
    "camvid": list(CAMVID[:11]),
    "voc-segmentation": ["background", "aeroplane", "bicycle"],
}


def samples_of(root: Path) -> dict[str, Path]:
    """One set of every format."""
    return {name: maker(root / name) for name, maker in MAKERS.items()}
