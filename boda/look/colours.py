"""Numbers as colours: gray for what has no sign, blue to white to red around zero for what has one."""

from __future__ import annotations

import numpy as np

# From Cynthia Brewer's RdBu: dark ends that still differ for every kind of colour vision.
_SIGNED = np.array(
    [[5, 48, 97], [33, 102, 172], [67, 147, 195], [146, 197, 222], [209, 229, 240], [250, 250, 250],
     [253, 219, 199], [244, 165, 130], [214, 96, 77], [178, 24, 43], [103, 0, 31]], float,
)  # fmt: skip
# Matplotlib's viridis (Smith, van der Walt, Firing), at nine places: even steps of lightness.
_SEQUENTIAL = np.array(
    [[68, 1, 84], [71, 44, 122], [59, 81, 139], [44, 113, 142], [33, 144, 141], [39, 173, 129],
     [92, 200, 99], [170, 220, 50], [253, 231, 37]], float,
)  # fmt: skip


def signed(values: np.ndarray, largest: float = 0.0) -> np.ndarray:
    """(…, 3) uint8: negative blue, zero nearly white, positive red.

    Args:
        values: any shape.
        largest: the absolute value that has the full colour; by default that of ``values``.
    """
    finite = np.where(np.isfinite(values), values, 0.0)
    scale = largest or float(abs(finite).max(initial=0.0)) or 1.0
    return _blend(_SIGNED, (finite / scale + 1) / 2)


def gray(values: np.ndarray, low: float | None = None, high: float | None = None) -> np.ndarray:
    """(…, 3) uint8 from black (``low``) to white (``high``), by default the smallest and the largest."""
    return np.repeat((255 * _share(values, low, high) + 0.5).astype(np.uint8)[..., None], 3, -1)


def sequential(
    values: np.ndarray, low: float | None = None, high: float | None = None
) -> np.ndarray:
    """(…, 3) uint8 from violet over green to yellow."""
    return _blend(_SEQUENTIAL, _share(values, low, high))


def _share(values: np.ndarray, low: float | None, high: float | None) -> np.ndarray:
    finite = values[np.isfinite(values)]
    low = float(finite.min(initial=np.inf)) if low is None else low
    high = float(finite.max(initial=-np.inf)) if high is None else high
    if not high > low:  # one value everywhere, or none at all
        return np.full(values.shape, 0.5)
    return np.clip((np.where(np.isfinite(values), values, low) - low) / (high - low), 0, 1)


def _blend(stops: np.ndarray, share: np.ndarray) -> np.ndarray:
    place = np.clip(share, 0, 1) * (len(stops) - 1)
    below = np.minimum(place.astype(int), len(stops) - 2)
    rest = (place - below)[..., None]
    return (stops[below] * (1 - rest) + stops[below + 1] * rest + 0.5).astype(np.uint8)


def ink_on(colour: np.ndarray) -> tuple[int, int, int]:
    """Black or white, whichever is read better on this ground."""
    luma = 0.299 * float(colour[0]) + 0.587 * float(colour[1]) + 0.114 * float(colour[2])
    return (28, 32, 38) if luma > 140 else (255, 255, 255)
