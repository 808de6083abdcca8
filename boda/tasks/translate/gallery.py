"""What was given, what was made of it, and what is true, side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from boda.contact_sheet import picture_grid
from boda.data.dataset import Pictures
from boda.metrics.pictures import Likeness
from boda.outputs import as_bytes, as_picture

SEAM = 2  # white columns between two
SHOWN = 6  # rows of a sheet


def truth(pictures: Pictures, index: Tensor) -> Tensor:
    """(n, 3, h, w) uint8, what is to be made: the targets, or where there are none the pictures."""
    rows = index.tolist()
    if pictures.targets is not None:
        return torch.stack([pictures.targets[i] for i in rows])
    return images(pictures, index)


def images(pictures: Pictures, index: Tensor) -> Tensor:
    """(n, 3, h, w) uint8, the working pictures."""
    found = np.stack([pictures.prepared(i) for i in index.tolist()])
    return torch.from_numpy(found.transpose(0, 3, 1, 2)).expand(-1, 3, -1, -1).contiguous()


def row(given: np.ndarray, made: np.ndarray, true: np.ndarray | None) -> np.ndarray:
    """(3, h, w) uint8 each → (h, 3·w and seams, 3); without a truth, two."""
    parts = [as_picture(each) for each in (given, made, true) if each is not None]
    seam = np.full((parts[0].shape[0], SEAM, 3), 255, np.uint8)
    return np.concatenate([each for part in parts for each in (part, seam)][:-1], 1)


def worst(
    shown: np.ndarray, made: np.ndarray, pictures: Pictures, places: list[int], most: int
) -> list[dict[str, Any]]:
    """See ``Task.mistakes``; the least like first, a picture's score is its L1.

    Args:
        shown: (n, 3, h, w) uint8, what was given.
        made: likewise.
        pictures: of the split.
        places: of the n in it.
        most: of them.
    """
    rows = []
    for given, one, i in zip(shown, made, places, strict=True):
        true = truth(pictures, torch.tensor([i]))
        figures = {name: each[0] for name, each in Likeness().update(one[None], true).items()}
        rows.append((figures["l1"], i, row(given, one, true[0].numpy()), figures))
    rows.sort(key=lambda each: (-each[0], each[1]))
    return [
        {
            "image": image,
            "source": pictures.samples[i].source,
            "truth": f"{figures['psnr']:.1f} dB",
            "predicted": f"SSIM {figures['ssim']:.3f}, L1 {figures['l1']:.3f}",
            "score": apart,
        }
        for apart, i, image, figures in rows[:most]
    ]


def sheet(shown: np.ndarray, made: np.ndarray, true: np.ndarray | None) -> np.ndarray:
    """Rows of what was given, made and is true, as one picture; (n, 3, h, w) uint8 each."""
    parts = [each for each in (shown, made, true) if each is not None]
    cells = [as_picture(each[i]) for i in range(len(shown)) for each in parts]
    return picture_grid(cells, columns=len(parts))


def quantized(values: Tensor) -> np.ndarray:
    """RGB from 0 to 1 → uint8."""
    return as_bytes(values.float().cpu().numpy())
