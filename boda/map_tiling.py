"""Large pictures in overlapping tiles, blended into one map of classes. No torch.

The overlap-tile strategy: Ronneberger, Fischer, Brox 2015 (U-Net, arXiv 1505.04597). Deviations: a
network that pads gives an answer up to a tile's rim too, which is the worse the nearer it lies to
it, so tiles overlap and their answers fade into each other; only where the picture ends at the right
and at the bottom is it continued by its mirror image.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image as Pillow

from boda.data.prepare import Preparation
from boda.mirroring import Network
from boda.outputs import best_classes
from boda.tiling import OVERLAP
from boda.types import Image

GRID = (
    32  # tiles begin at its multiples: then poolings meet the pixels they meet in the whole picture
)
TOGETHER = 4  # tiles that go through the network at once, at most


def tiled_map(
    picture: Image, tile: int, preparation: Preparation, network: Network, together: int = TOGETHER
) -> np.ndarray:
    """The class of each pixel of a large picture, as a network sees it in tiles.

    Of the probabilities no more is held than one row of tiles, in working pixels: K times the height
    of a tile times the width of the picture.

    Args:
        picture: (H, W, 3) uint8.
        tile: longer side of a tile in pixels of the picture; its proportions are the run's.
        preparation: of the run; a tile becomes a working picture of it.
        network: (n, 3, h, w) uint8 → (n, K, h, w) probabilities.
        together: tiles at once; more than 4 are not needed.

    Returns:
        (H, W) uint8.
    """
    size = picture.shape[0], picture.shape[1]
    high, wide = preparation.height, preparation.width
    scale = max(high, wide) / tile  # working pixels a pixel of the picture
    tops, lefts = starts(size[0] * scale, high), starts(size[1] * scale, wide)
    down, across = weights(tops, high), weights(lefts, wide)
    views = _Views(picture, scale, (int(tops[-1]) + high, int(lefts[-1]) + wide), (high, wide))
    band: _Band | None = None
    for top, fade in zip(tops.tolist(), down, strict=True):
        for first in range(0, len(lefts), min(together, TOGETHER)):
            some = lefts[first : first + min(together, TOGETHER)].tolist()
            found = network(np.stack([views(left, top) for left in some]))
            if band is None:
                band = _Band(found.shape[1], high, int(lefts[-1]) + wide, scale, size)
            for left, planes, fading in zip(some, found, across[first:], strict=False):
                band.add(planes, left, fade[:, None] * fading)
        last = top == tops[-1]
        assert band is not None
        band.finish(None if last else int(tops[1]))
    assert band is not None
    return band.classes


def starts(length: float, tile: int) -> np.ndarray:
    """Where tiles of a size begin along a side, (T,) int64; the last one may reach beyond its end.

    Each overlaps the next by a quarter or more. Tiles of less than 43 pixels take a finer grid.
    """
    step, grid = math.floor(tile * (1 - OVERLAP)), GRID
    while grid > max(step, 1):
        grid //= 2
    step = max(step - step % grid, 1)
    count = 1 + max(0, math.ceil((length - tile) / step - 1e-9))
    return np.arange(count) * step


def weights(starts: np.ndarray, tile: int) -> np.ndarray:
    """How much each pixel of each tile counts along one side, (T, tile) float32.

    Towards another tile: 0 in the outer quarter of the overlap, then rising linearly over its half.
    Wherever one looks, the weights of the tiles there add up to 1.
    """
    step = int(starts[1]) if len(starts) > 1 else tile
    overlap = tile - step
    margin = overlap // 4
    rise = ((np.arange(tile) + 0.5 - margin) / max(overlap - 2 * margin, 1)).clip(0, 1)
    out = np.ones((len(starts), tile))
    out[1:] = rise
    out[:-1] = np.minimum(out[:-1], rise[::-1])
    total = np.zeros(int(starts[-1]) + tile)
    for start, row in zip(starts, out, strict=True):
        total[start : start + tile] += row
    return (out / total[starts[:, None] + np.arange(tile)]).astype(np.float32)


class _Views:
    """Tiles of a picture that is scaled and continued at the right and at the bottom.

    Args:
        picture: (H, W, 3) uint8.
        scale: working pixels a pixel of it.
        extent: (H', W') that the tiles cover together, working pixels.
        size: (h, w) of a tile, working pixels.
    """

    def __init__(
        self, picture: Image, scale: float, extent: tuple[int, int], size: tuple[int, int]
    ) -> None:
        beside = [
            (0, max(0, math.ceil(whole / scale) - there))
            for whole, there in zip(extent, picture.shape, strict=False)
        ]
        self.picture = Pillow.fromarray(np.pad(picture, (*beside, (0, 0)), "symmetric"))
        self.scale, self.size = scale, size

    def __call__(self, left: int, top: int) -> np.ndarray:
        """(3, h, w) uint8. Resampled out of the whole, so that tiles agree where they overlap."""
        height, width = self.size
        x1, y1, x2, y2 = (v / self.scale for v in (left, top, left + width, top + height))
        box = (x1, y1, x2, y2)
        tile = self.picture.resize((width, height), Pillow.Resampling.BILINEAR, box=box)
        return np.asarray(tile).transpose(2, 0, 1)


class _Band:
    """The probabilities of one row of tiles and of some rows above it, which become classes.

    Args:
        count: classes.
        tile: height of a tile, working pixels.
        width: of all tiles of a row together, working pixels.
        scale: working pixels a pixel of the picture.
        size: (H, W) of the picture.

    Attributes:
        classes: (H, W) uint8, filled from above.
    """

    def __init__(
        self, count: int, tile: int, width: int, scale: float, size: tuple[int, int]
    ) -> None:
        self.scale, self.reach = scale, max(1.0, scale) + 1  # rows that resampling reads around one
        self.above = math.ceil(3 * self.reach)
        self.planes = np.zeros((count, self.above + tile, width), np.float32)
        self.classes = np.zeros(size, np.uint8)
        self.top, self.done = 0, 0  # of the tiles, working pixels; of the classes, pixels

    def add(self, planes: np.ndarray, left: int, weights: np.ndarray) -> None:
        """What a tile says, (K, h, w), with the weight (h, w) of each of its pixels."""
        self.planes[:, self.above :, left : left + planes.shape[2]] += planes * weights

    def finish(self, step: int | None) -> None:
        """Make classes of the rows that no further tile touches; the next row is ``step`` lower."""
        height, width = self.classes.shape
        end = height if step is None else math.floor((self.top + step - self.reach) / self.scale)
        if end > self.done:
            hidden = max(0, self.above - self.top)  # what would lie above the picture
            planes, above = self.planes[:, hidden:], self.top - self.above + hidden
            y1, y2 = self.done * self.scale - above, min(end * self.scale - above, planes.shape[1])
            box = (0.0, y1, min(width * self.scale, planes.shape[2]), y2)
            self.classes[self.done : end] = best_classes(planes, box, (end - self.done, width))
            self.done = end
        if step is not None:
            for plane in self.planes:  # one by one: what overlaps is copied on the way
                plane[:-step] = plane[step:]
            self.planes[:, -step:] = 0
            self.top += step
