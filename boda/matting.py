"""From a network's coarse idea of where something is to how much of each pixel it covers. No torch.

He, Sun, Tang, "Guided image filtering", ECCV 2010, with a colour guide: within every window the matte
is a linear function of the picture's colours, so that its edges are those of the picture. Of large
pictures that function is found at a smaller size and applied at the full one (He, Sun, "Fast guided
filter", 2015, arXiv 1505.00996). Deviations: it is applied twice, and what is nearly sure is made
sure, so that a person is whole where the paper's matte keeps a veil; edges are a little softened.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image as Pillow

LONGEST = 1280  # pixels of the longer side at which the filter's function is found
EDGE = 1e-4  # squared differences of colours, 0..1, above which something is an edge for the matte
WINDOW = 1.0  # half a window, in pixels of the network: its edges are that unsure
SMALLEST = 2.0  # half a window at least, pixels
STEEPER = 4.0  # a network's probability changes more slowly than its picture does
SURE = 0.15  # what a matte lacks of 0 or 1 and is still taken for it
SOFT = 0.7  # deviation of the Gaussian over the edges, pixels; more in large pictures
ISLAND = 0.05  # the share of the largest piece below which another may be dropped
NEAR = 0.05  # how near it must be to stay, as a share of the picture's longer side
HOLE = 0.01  # the share of all kept below which a hole in it is closed
_BLOCK = 1 << 20  # pixels that are worked on at once at the full size


def matte(picture: np.ndarray, probability: np.ndarray, cell: float = 1.0) -> np.ndarray:
    """How much of each pixel is covered by what a network saw.

    Args:
        picture: (H, W, 3) uint8 RGB.
        probability: (H, W) float32 in 0..1; from one half on it is there.
        cell: how many pixels of the picture one of the network's is: so unsure its edges are.

    Returns:
        (H, W) float32 in 0..1; 0 and 1 are exact but near the edges.
    """
    from scipy import ndimage

    step = max(1, math.ceil(max(picture.shape[:2]) / LONGEST))
    guide = np.asarray(Pillow.fromarray(picture).reduce(step), np.float32) / 255
    plane = cleaned(np.asarray(Pillow.fromarray(probability).reduce(step)))
    # Twice, in windows as wide as the network is unsure and in half of them: the first moves a wrong
    # edge to the picture's, the second takes off most of the veil that wide windows leave.
    for part in (1, 2):
        steeper = np.clip((plane - 0.5) * STEEPER + 0.5, 0, 1)
        radius = math.ceil(max(SMALLEST, WINDOW * cell / step / part))
        slope, offset = coefficients(guide, steeper, radius, EDGE)
        plane = _of_colours(guide, slope, offset)
    covered = _applied(picture, slope, offset, step)
    ndimage.gaussian_filter(covered, SOFT * math.sqrt(step), truncate=2, output=covered)
    covered -= SURE
    covered /= 1 - 2 * SURE
    return covered.clip(0, 1, out=covered)


def guided_filter(guide: np.ndarray, plane: np.ndarray, radius: int, epsilon: float) -> np.ndarray:
    """The guided filter with a colour guide; its time does not depend on the radius.

    Args:
        guide: (H, W, 3) float32 in 0..1.
        plane: (H, W) float32, what is filtered.
        radius: windows are 2 · radius + 1 pixels wide and high, and cut at the picture's border.
        epsilon: squared differences of the guide that count as flat.

    Returns:
        (H, W) float32.
    """
    slope, offset = coefficients(guide, plane, radius, epsilon)
    return _of_colours(guide, slope, offset)


def coefficients(
    guide: np.ndarray, plane: np.ndarray, radius: int, epsilon: float
) -> tuple[np.ndarray, np.ndarray]:
    """The guided filter's function of the guide: slopes (H, W, 3) and offset (H, W), float32.

    Each is the mean over all windows that hold the pixel, as in the paper's equation 8.
    """
    means = np.stack([box_mean(guide[..., c], radius) for c in range(3)], -1)
    mean = box_mean(plane, radius)
    covariance = np.empty((*plane.shape, 3, 3), np.float32)
    with_plane = np.empty_like(guide)
    for i in range(3):
        product = box_mean(guide[..., i] * plane, radius)
        with_plane[..., i] = product - means[..., i] * mean
        for j in range(i, 3):
            product = box_mean(guide[..., i] * guide[..., j], radius)
            covariance[..., i, j] = product - means[..., i] * means[..., j]
            covariance[..., j, i] = covariance[..., i, j]
    covariance += epsilon * np.eye(3, dtype=np.float32)
    slope = np.linalg.solve(covariance, with_plane[..., None])[..., 0]
    offset = mean - np.einsum("hwc,hwc->hw", slope, means)
    slope = np.stack([box_mean(slope[..., c], radius) for c in range(3)], -1)
    return slope, box_mean(offset, radius)


def _of_colours(guide: np.ndarray, slope: np.ndarray, offset: np.ndarray) -> np.ndarray:
    return np.asarray(np.einsum("hwc,hwc->hw", guide, slope) + offset)


def box_mean(plane: np.ndarray, radius: int) -> np.ndarray:
    """The mean over windows of 2 · radius + 1 pixels, cut at the border, by cumulative sums: O(N).

    Args:
        plane: (H, W) float32.
        radius: 0 or more.

    Returns:
        (H, W) float32.
    """
    out = plane
    for axis in (0, 1):
        length = plane.shape[axis]
        place = np.arange(length)
        low, high = np.maximum(place - radius, 0), np.minimum(place + radius + 1, length)
        # In float64: a sum over a row of a large picture would lose the last digits of a float32.
        sums = np.cumsum(out, axis, dtype=np.float64)
        sums = np.concatenate([np.zeros_like(sums.take([0], axis)), sums], axis)
        count = (high - low).reshape((-1, 1) if axis == 0 else (1, -1))
        out = ((sums.take(high, axis) - sums.take(low, axis)) / count).astype(np.float32)
    return out


def cleaned(probability: np.ndarray) -> np.ndarray:
    """Without tiny islands far from the rest, and without tiny holes.

    Args:
        probability: (H, W) float32 in 0..1.

    Returns:
        (H, W) float32; what lies nearest to a dropped island is 0, what is in a closed hole 1.
    """
    from scipy import ndimage

    there = probability >= 0.5
    around = np.ones((3, 3), bool)  # corners join what is there, not what is not
    pieces, count = ndimage.label(there, around)
    if count == 0:
        return probability
    out = probability.copy()
    areas = np.bincount(pieces.ravel())
    areas[0] = 0
    large = areas >= ISLAND * areas.max()
    if not large[1:].all():
        far = ndimage.distance_transform_edt(~large[pieces]) > NEAR * max(there.shape)
        stays = large.copy()
        stays[np.unique(pieces[~far])] = True
        nearest = ndimage.distance_transform_edt(
            ~there, return_distances=False, return_indices=True
        )
        out[~stays[pieces[tuple(nearest)]]] = 0
        there = out >= 0.5
    holes, count = ndimage.label(~there)
    areas = np.bincount(holes.ravel())
    outside = np.unique(np.concatenate([holes[0], holes[-1], holes[:, 0], holes[:, -1]]))
    closed = areas < HOLE * np.count_nonzero(there)
    closed[outside] = False
    closed[0] = False  # that is what is there
    out[closed[holes]] = 1
    return out


def _applied(picture: np.ndarray, slope: np.ndarray, offset: np.ndarray, step: int) -> np.ndarray:
    """The function that was found at 1/``step`` of the size, of the picture's own colours; (H, W)."""
    height, width = picture.shape[:2]
    out = np.empty((height, width), np.float32)
    rows = max(1, _BLOCK // width)
    planes = [Pillow.fromarray(np.ascontiguousarray(slope[..., c])) for c in range(3)]
    planes.append(Pillow.fromarray(offset))
    for top in range(0, height, rows):
        end = min(top + rows, height)
        box = (0, top / step, width / step, end / step)
        size = (width, end - top)
        *slopes, part = (
            np.asarray(plane.resize(size, Pillow.Resampling.BILINEAR, box)) for plane in planes
        )
        for c, plane in enumerate(slopes):
            part = part + plane * (picture[top:end, :, c] * np.float32(1 / 255))
        out[top:end] = part.clip(0, 1)
    return out
