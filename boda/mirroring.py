"""Test-time augmentation: the mirrored picture is looked at too, and both answers become one. No torch.

Of a classifier, the mean of both probabilities; of a map of classes too, once it is turned back. Of
a detector, weighted boxes fusion: Solovyev et al. 2019 (arXiv 1910.13302): two boxes of one object
become their mean, weighted by the scores; the new score is the mean of both, where a box that only
one of the two saw has 0 from the other.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from boda.errors import UsageError
from boda.tiling import Views, grouped

Network = Callable[[np.ndarray], np.ndarray]


def mirrored(network: Network, task: str) -> Network:
    """A network that looks at each picture and at its mirror image; it takes twice the time.

    Args:
        network: (N, 3, H, W) uint8 → the task's outputs.
        task: says what the outputs mean.

    Raises:
        UsageError: nothing is known about mirroring this task's outputs.
    """
    if task not in JOINS:
        raise UsageError(f"--tta is for {' and '.join(JOINS)}, not for {task}.")

    def both(images: np.ndarray) -> np.ndarray:
        turned = network(np.ascontiguousarray(images[..., ::-1]))
        return JOINS[task](network(images), turned, images.shape[-1])

    return both


def mean(plain: np.ndarray, turned: np.ndarray, width: int) -> np.ndarray:
    """Of the probabilities (N, K) of both."""
    return (plain + turned) / 2


def turned_mean(plain: np.ndarray, turned: np.ndarray, width: int) -> np.ndarray:
    """Of the maps of probabilities (N, K, h, w) of both, each at its place in the picture."""
    return (plain + turned[..., ::-1]) / 2


def fused(plain: np.ndarray, turned: np.ndarray, width: int) -> np.ndarray:
    """The boxes of both, (N, K, 6): x1, y1, x2, y2, score, class; the K surest.

    Args:
        plain: of the pictures.
        turned: of their mirror images, in pixels of those.
        width: of the pictures.
    """
    turned = turned.copy()
    turned[..., [0, 2]] = width - turned[..., [2, 0]]
    together = np.zeros_like(plain)
    for out, one, other in zip(together, plain, turned, strict=True):
        rows = np.concatenate([one[one[:, 4] > 0], other[other[:, 4] > 0]])
        rows = _fused(rows, int((one[:, 4] > 0).sum()))[: len(out)]
        out[: len(rows)] = rows
    return together


def _fused(rows: np.ndarray, first: int) -> np.ndarray:
    """Rows (M, 6) of both, of which the ``first`` are those of the picture itself, as one answer."""
    if not len(rows):
        return rows
    everywhere = np.array([[-np.inf, -np.inf, np.inf, np.inf]] * 2)
    view = (np.arange(len(rows)) >= first).astype(np.int64)
    boxes, scores, labels = rows[:, :4].astype(np.float64), rows[:, 4], rows[:, 5]
    seen = Views(everywhere, np.zeros(2), view, boxes, scores, labels, np.zeros(len(rows), bool))
    out = []
    for members in grouped(seen):
        weights = scores[members, None]
        box = (boxes[members] * weights).sum(0) / weights.sum()
        out.append([*box, scores[members].sum() / 2, labels[members[0]]])
    out.sort(key=lambda row: -row[4])
    return np.array(out, rows.dtype)


JOINS: dict[str, Callable[[np.ndarray, np.ndarray, int], np.ndarray]] = {
    "classify": mean,
    "detect": fused,
    "segment": turned_mean,
}
