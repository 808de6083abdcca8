"""COCO's run-length code of a mask. NumPy only.

Lin et al. 2014 (arXiv 1405.0312) and the code its authors published, which decides how the runs are
written as a string.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

BITS, MORE, NEGATIVE, FIRST = 5, 32, 16, 48  # of a character: its bits, its two flags, and "0"


def encode(mask: np.ndarray, compressed: bool = True) -> dict[str, Any]:
    """COCO's run-length code of a mask.

    Args:
        mask: (H, W) bool.
        compressed: the runs as COCO's string, else as a list.

    Returns:
        ``{"size": [H, W], "counts": …}``. The runs go down the columns, from the left, and are of
        background and object in turn, background first.
    """
    mask = np.asarray(mask, bool)
    height, width = mask.shape
    columns = np.flatnonzero(mask.any(0))
    changes = np.zeros(0, np.int64)
    if len(columns):  # nothing changes in the columns beside it
        left, right = columns[0], columns[-1] + 1
        cells = np.pad(mask[:, left:right].T.ravel(), 1)
        changes = np.flatnonzero(cells[1:] != cells[:-1]) + left * height
        if changes[-1] == mask.size:
            changes = changes[:-1]
    runs = np.diff(changes, prepend=0, append=mask.size)
    counts = _written(runs) if compressed else runs.tolist()
    return {"size": [height, width], "counts": counts}


def decode(code: dict[str, Any]) -> np.ndarray:
    """The mask that a run-length code says, (H, W) bool.

    Args:
        code: ``{"size": [H, W], "counts": …}``, the runs as a list or as COCO's string (or bytes).

    Raises:
        ValueError: a string that is no such code; runs that do not add up to the picture's pixels.
    """
    height, width = code["size"]
    runs = run_lengths(code["counts"])
    if runs.min(initial=0) < 0:
        raise ValueError("the run-length code has a negative run")
    if runs.max(initial=0) > height * width or runs.sum() != height * width:
        raise ValueError("the runs do not add up to the picture's pixels")
    return filled(runs, height, width)


def run_lengths(counts: str | bytes | Sequence[int]) -> np.ndarray:
    """The runs that a code's ``counts`` mean, (R,) int64; what they add up to is not looked at.

    A string writes each run but the first three as the difference to the run two before, in groups
    of five bits, lowest first; a character's bit 5 says that more follow, bit 4 of the last is the
    sign.

    Raises:
        ValueError: a string that is no such code.
    """
    if not isinstance(counts, str | bytes):
        return np.asarray(counts, np.int64).reshape(-1)
    text = counts.encode("utf-8", "surrogatepass") if isinstance(counts, str) else counts
    characters = np.frombuffer(text, np.uint8).astype(np.int64) - FIRST
    if not len(characters):
        return characters
    if characters.min() < 0 or characters.max() >= 2 * MORE or characters[-1] & MORE:
        raise ValueError("the run-length code's string is no code, or is cut off")
    last = np.flatnonzero(characters & MORE == 0)
    first = np.append(0, last[:-1] + 1)
    place = BITS * (np.arange(len(characters)) - np.repeat(first, last - first + 1))
    if place.max() > 12 * BITS - 1:
        raise ValueError("the run-length code's string has a number of more than 60 bits")
    runs = np.add.reduceat((characters & MORE - 1) << place, first)
    runs -= np.where(characters[last] & NEGATIVE, 1 << place[last] + BITS, 0)
    runs[1::2], runs[2::2] = runs[1::2].cumsum(), runs[2::2].cumsum()
    return runs


def _written(runs: np.ndarray) -> str:
    values = runs.astype(np.int64)
    values[3:] -= runs[1:-2]
    out = []
    waiting = np.arange(len(values))
    while len(waiting):
        low, values = values & MORE - 1, values >> BITS
        more = values != np.where(low & NEGATIVE, -1, 0)
        out.append((waiting, low + MORE * more + FIRST))
        waiting, values = waiting[more], values[more]
    owner = np.concatenate([who for who, _ in out])
    text = np.concatenate([what for _, what in out])
    return text[np.argsort(owner, kind="stable")].astype(np.uint8).tobytes().decode("ascii")


def filled(runs: np.ndarray, height: int, width: int) -> np.ndarray:
    """Runs that add up to the picture's pixels → (height, width) bool."""
    cells = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return np.ascontiguousarray(cells.reshape(width, height).T)
