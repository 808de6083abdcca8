"""Graph-based segmentation: a picture falls into regions that are even inside and differ at their rims.

Felzenszwalb & Huttenlocher 2004, "Efficient graph-based image segmentation" (IJCV 59(2); no arXiv
id). Deviations: an edge's weight is rounded to a level, w = (level / 16)², steps of an eighth near
w = 1 and of one and a quarter near w = 100; small regions are joined as in the authors' program,
along the lightest edge first.

The paper takes edge after edge. Here all edges of one level are taken at once, which gives the very
same regions. A region C lets an edge of weight w pass if w ≤ Int(C) + k / |C|. One that does not
never grows again, for the weights to come are higher still. One that does, and has merged, has
Int(C) = w, so it lets all others of this weight pass too. Which regions pass is therefore settled
before a level begins, and every edge between two of them merges them, in whatever order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from boda.errors import UsageError

FINE = 16  # levels for a weight of 1; for four times the weight twice as many
_REACH = 4  # standard deviations to each side of the blur
_NONE = np.iinfo(np.uint16).max  # the level of an edge that would leave the picture
_FEW = 256  # so many numbers are sorted faster than a flag for every region is looked through


@dataclass(frozen=True)
class Edges:
    """Edges between neighbouring pixels (or regions), the lightest first.

    Attributes:
        one: (E,) int64, an end of each.
        other: (E,) int64, the other end.
        starts: (L + 1,) int64; the edges of level l are ``starts[l]`` up to ``starts[l + 1]``.
    """

    one: np.ndarray
    other: np.ndarray
    starts: np.ndarray


def segment(image: np.ndarray, k: float, smallest: int, sigma: float = 0.8) -> np.ndarray:
    """Cut a picture into regions (Felzenszwalb & Huttenlocher 2004).

    Args:
        image: (H, W, 3) uint8, or (H, W, C) floating, 0 to 255 whatever the colour space.
        k: the scale of observation, in units of the pixels' values times pixels: the larger it
            is, the larger are the regions.
        smallest: pixels; a region with fewer is joined with the neighbour it differs least from.
        sigma: pixels, the deviation of the Gaussian that smooths the picture first; 0 for none.

    Returns:
        (H, W) int64, the region of every pixel, 0 … R − 1; regions are 8-connected.

    Raises:
        UsageError: no such picture, a negative k or sigma.
    """
    if image.ndim != 3 or 0 in image.shape:
        raise UsageError(f"a picture of shape {image.shape}. Give (H, W, C), a pixel at least.")
    if not (k >= 0 and sigma >= 0):
        raise UsageError(f"k is {k} and sigma {sigma}. Give 0 or more for both.")
    edges = edges_of(smooth(image, sigma))
    return regions_of(edges, k, smallest, image.shape[0] * image.shape[1]).reshape(image.shape[:2])


def smooth(image: np.ndarray, sigma: float) -> np.ndarray:
    """(H, W, C) float32, every channel blurred by a Gaussian of ``sigma`` pixels."""
    return ndimage.gaussian_filter(image.astype(np.float32), (sigma, sigma, 0), truncate=_REACH)


def edges_of(image: np.ndarray) -> Edges:
    """The edges from every pixel to its eight neighbours, weighed by the distance of their colours.

    Args:
        image: (H, W, C) floating.

    Returns:
        Edges between pixels, which are numbered row by row.
    """
    height, width = image.shape[:2]
    here, there = slice(None, -1), slice(1, None)
    every = slice(None)
    # To the right, down, down to the right, down to the left: the rest is the same from the far end.
    steps = (
        ((every, here), (every, there), 1),
        ((here, every), (there, every), width),
        ((here, here), (there, there), width + 1),
        ((here, there), (there, here), width - 1),
    )
    planes = [np.ascontiguousarray(image[..., c]) for c in range(image.shape[2])]
    levels = np.full((len(steps), height, width), _NONE, np.uint16)
    for level, (near, far, _) in zip(levels, steps, strict=True):
        squared = np.zeros_like(planes[0][near])
        for plane in planes:
            difference = plane[near] - plane[far]
            squared += difference * difference
        # The square root is the distance, the root of that what levels grow with.
        level[near] = np.minimum(np.rint(FINE * np.sqrt(np.sqrt(squared))), _NONE - 1)
    counts = np.bincount(levels.reshape(-1), minlength=_NONE + 1)[:_NONE]
    top = int(np.flatnonzero(counts)[-1]) + 1 if counts.any() else 0
    starts = np.concatenate([[0], np.cumsum(counts[:top])])
    order = np.argsort(levels.reshape(-1), kind="stable")[: starts[-1]]
    direction, one = np.divmod(order, height * width)
    return Edges(one, one + np.array([step for _, _, step in steps])[direction], starts)


def regions_of(edges: Edges, k: float, smallest: int, pixels: int) -> np.ndarray:
    """(pixels,) int64, the region of each pixel; see ``segment``."""
    labels, sizes = _grown(edges, k, pixels)
    return _without_small(edges, labels, sizes, smallest)


def _grown(edges: Edges, k: float, pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """The region of each pixel, and each region's size, before small ones are joined."""
    labels = np.arange(pixels)
    parent = labels.copy()
    sizes = np.ones(pixels)
    bounds = np.full(pixels, float(k))  # Int(C) + k / |C|: the heaviest edge that C lets pass
    top, renumber = len(edges.starts) - 1, FINE
    for level in range(top):
        weight = (level / FINE) ** 2
        begin, end = edges.starts[level], edges.starts[level + 1]
        one, other = _roots(parent, edges.one[begin:end]), _roots(parent, edges.other[begin:end])
        passing = (one != other) & (bounds[one] >= weight) & (bounds[other] >= weight)
        if passing.any():
            gone = _union(parent, one[passing], other[passing])
            into = _roots(parent, gone)
            np.add.at(sizes, into, sizes[gone])
            bounds[into] = weight + k / sizes[into]
        if level + 1 in (renumber, top):  # at weights 1, 4, 16, …: fewer regions and edges are left
            renumber *= 2
            now, roots = _numbered(parent)
            labels, sizes, bounds = now[labels], sizes[roots], bounds[roots]
            parent = np.arange(len(roots))
            edges = _left(edges, now, level + 1, bounds)
    return labels, sizes.astype(np.int64)


def _left(edges: Edges, now: np.ndarray, level: int, bounds: np.ndarray) -> Edges:
    """The edges from ``level`` on that may still merge two regions, which are numbered anew."""
    begin = edges.starts[level]
    one, other = now[edges.one[begin:]], now[edges.other[begin:]]
    passes = bounds >= (level / FINE) ** 2
    alive = np.flatnonzero((one != other) & passes[one] & passes[other])
    starts = np.searchsorted(alive, np.maximum(edges.starts - begin, 0))
    return Edges(one[alive], other[alive], starts)


def _union(parent: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Join the trees of the roots ``one[i]`` and ``other[i]``; the roots that are none any more.

    In each round every root that has an edge to a lower one hangs itself below such a one. A root
    may have several edges, of which a round serves one; the next round sees to the others.
    """
    hung = []
    while len(one):
        high, low = np.maximum(one, other), np.minimum(one, other)
        parent[high] = low
        hung.append(high)
        while not np.array_equal(above := parent[parent[high]], parent[high]):
            parent[high] = above
        one, other = _roots(parent, one), _roots(parent, other)
        apart = one != other
        one, other = one[apart], other[apart]
    gone = np.concatenate(hung)
    if len(gone) < _FEW:
        return np.unique(gone)
    flags = np.zeros(len(parent), bool)
    flags[gone] = True
    return np.flatnonzero(flags)


def _roots(parent: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The root above each place."""
    roots = parent[places]
    while not np.array_equal(above := parent[roots], roots):
        roots = above
    return roots


def _numbered(parent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The tree of each place, counted 0, 1, 2, … by their roots, and (T,) those roots."""
    above = _roots(parent, np.arange(len(parent)))
    is_root = above == np.arange(len(parent))
    return (np.cumsum(is_root) - 1)[above], np.flatnonzero(is_root)


def _without_small(
    edges: Edges, labels: np.ndarray, sizes: np.ndarray, smallest: int
) -> np.ndarray:
    """Take the edges once more, the lightest first; each joins its two regions if one is small."""
    one, other, small = labels[edges.one], labels[edges.other], sizes < smallest
    rim = np.flatnonzero((one != other) & (small[one] | small[other]))
    one, other = one[rim], other[rim]
    # Of several edges between two regions the lightest decides: sizes only grow.
    pairs = np.minimum(one, other) * len(sizes) + np.maximum(one, other)
    first = np.sort(np.unique(pairs, return_index=True)[1])
    parent, size = list(range(len(sizes))), sizes.tolist()

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = place = parent[parent[place]]
        return place

    for a, b in zip(one[first].tolist(), other[first].tolist(), strict=True):
        low, high = sorted((root(a), root(b)))
        if low != high and (size[low] < smallest or size[high] < smallest):
            parent[high] = low
            size[low] += size[high]
    now, _ = _numbered(np.array(parent, np.int64))
    return now[labels]
