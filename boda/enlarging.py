"""A picture enlarged tile by tile, the same as in one piece. No torch.

What a network makes of a pixel depends on the pixels around it as far as it reaches. Of every tile
only that is kept which has so many around it; and where the picture ends a tile ends too, so that
the network sees the same end. Only a picture that is smaller than a tile is continued, by its mirror
image.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from boda.data.prepare import Preparation, continued
from boda.mirroring import Network
from boda.tiling import starts
from boda.types import Image

TOGETHER = 4  # tiles that go through the network at once, at most


def enlarged(
    picture: Image, preparation: Preparation, reach: int, network: Network, together: int = TOGETHER
) -> Image:
    """What a network makes of a picture of any size; beside the result it holds a few tiles.

    Args:
        picture: (H, W, 3) uint8.
        preparation: tells the size (h, w) of a tile, more than ``2 * reach`` either way.
        reach: pixels to each side, beyond which nothing changes what is made of one.
        network: (n, 3, h, w) uint8 → (n, 3, s·h, s·w), 0 to 1.
        together: tiles at once; more than 4 are not needed.

    Returns:
        (s·H, s·W, 3) uint8.
    """
    size, tile = picture.shape[:2], (preparation.height, preparation.width)
    rows, columns = (_kept(length, side, reach) for length, side in zip(size, tile, strict=True))
    places = [(row, column) for row in rows for column in columns]
    out: Image | None = None
    for first in range(0, len(places), min(together, TOGETHER)):
        some = places[first : first + min(together, TOGETHER)]
        tiles = [
            continued(picture[y : y + tile[0], x : x + tile[1]], *tile)
            for (y, _, _), (x, _, _) in some
        ]
        made = network(np.ascontiguousarray(np.stack(tiles).transpose(0, 3, 1, 2)))
        scale = made.shape[2] // tile[0]
        if out is None:
            out = np.empty((scale * size[0], scale * size[1], 3), np.uint8)
        for planes, ((y, top, bottom), (x, left, right)) in zip(made, some, strict=True):
            inner = planes[:, scale * (top - y) : scale * (bottom - y)]
            inner = inner[:, :, scale * (left - x) : scale * (right - x)]
            out[scale * top : scale * bottom, scale * left : scale * right] = pixels(inner)
    assert out is not None
    return out


def pixels(planes: np.ndarray) -> Image:
    """(3, H, W) 0 to 1 → (H, W, 3) uint8, rounded; what lies beyond is cut off."""
    return (255 * planes).round().clip(0, 255).astype(np.uint8).transpose(1, 2, 0)


def _kept(length: int, tile: int, reach: int) -> list[tuple[int, int, int]]:
    """Along one side, where each tile begins, and from where to where what it shows is kept."""
    begins = starts(length, tile, tile - 2 * reach)
    ends = [(begin + tile + after) // 2 for begin, after in pairwise(begins)]
    return list(zip(begins, [0, *ends], [*ends, length], strict=True))
