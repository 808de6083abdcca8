"""Borders in a map of classes: where they are, how near they lie, what they should weigh.

The weights are those of the U-Net paper: Ronneberger, Fischer & Brox 2015 (arXiv 1505.04597),
equation 2. All maps are NumPy arrays (H, W) uint8, the class of each pixel, 255 = not known.

Deviations: an object is a connected piece of one class, since a map of classes knows no other;
within an object the distance to it is 0; where d1 + d2 is above 6 sigma the weight, then below
2·10⁻⁸ w0, is 0.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from boda.errors import UsageError
from boda.types import IGNORED

REACH = 6.0  # sigmas
TOUCHING = np.ones((3, 3), bool)  # corners touch too: a thin diagonal pole is one object


def boundary_weights(
    classes: np.ndarray, w0: float = 10.0, sigma: float = 5.0, background: int | None = 0
) -> np.ndarray:
    """What pixels between two near objects weigh in addition: w0 · exp(−(d1 + d2)² / (2 sigma²)).

    d1 and d2 are the distances to the nearest and to the second nearest object, in pixels, from
    centre to centre. The narrow gaps between things of one class, which decide whether they are
    told apart, are few pixels; so they count more.

    Args:
        classes: (H, W) uint8, 255 = not known.
        w0: the weight where d1 + d2 = 0.
        sigma: how far it reaches, pixels.
        background: the class of what is no object. With None all pieces are objects, so that every
            border between two classes weighs more, on both of its sides.

    Returns:
        (H, W) float32 in 0..w0; 0 everywhere where there are less than two objects, and where the
        class is not known. The paper's whole weight is this plus that of the class, or plus 1.

    Raises:
        UsageError: a map that is not (H, W) uint8, a sigma that is not above 0, a negative w0.
    """
    _check(classes)
    if not (0 < sigma < np.inf and 0 <= w0 < np.inf):
        raise UsageError(f"w0={w0} and sigma={sigma}. Give 0 or more, and pixels above 0.")
    reach = int(np.ceil(REACH * sigma))
    first = np.full(classes.shape, np.inf, np.float32)
    second = first.copy()
    for kind in np.unique(classes):
        if kind in (background, IGNORED):
            continue
        pieces, _ = ndimage.label(classes == kind, TOUCHING)
        for number, box in enumerate(ndimage.find_objects(pieces), start=1):
            # Farther than the reach an object adds nothing, so only its surroundings are measured.
            around = tuple(slice(max(0, side.start - reach), side.stop + reach) for side in box)
            distance = ndimage.distance_transform_edt(pieces[around] != number)
            distance = distance.astype(np.float32)
            nearest, next_one = first[around], second[around]
            np.minimum(next_one, np.maximum(nearest, distance), out=next_one)
            np.minimum(nearest, distance, out=nearest)
    both = first + second
    both[(both > REACH * sigma) | (classes == IGNORED)] = np.inf
    return (w0 * np.exp(-(both**2) / (2 * sigma**2))).astype(np.float32)


def contours(classes: np.ndarray) -> np.ndarray:
    """The contours of all classes: pixels beside one, above or below, of another known class.

    A contour runs within its class, so that every pixel is on one at most. The picture's edge is
    none, nor is the edge of what is not known.

    Args:
        classes: (H, W) uint8, 255 = not known.

    Returns:
        (H, W) uint8: the pixel's class where it is on a contour, else 255.

    Raises:
        UsageError: a map that is not (H, W) uint8.
    """
    _check(classes)
    on = np.zeros(classes.shape, bool)
    known = classes != IGNORED
    for one, other in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        change = (classes[one] != classes[other]) & known[one] & known[other]
        on[one] |= change
        on[other] |= change
    return np.where(on, classes, np.uint8(IGNORED))


def found_within(
    contour: np.ndarray, other: np.ndarray, distance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Which pixels of contours have a pixel of the same class's contour near them in another map.

    Args:
        contour: (H, W) uint8 from ``contours``.
        other: (H, W) uint8, the same of another map of the same size.
        distance: pixels, from centre to centre; exactly so far is still near.

    Returns:
        the classes (n,) uint8 of the pixels on ``contour``, row by row; and (n,) bool, whether
        each has one near it.

    Raises:
        UsageError: sizes that differ, a distance below 0.
    """
    _check(contour)
    _check(other)
    if contour.shape != other.shape or not 0 <= distance < np.inf:
        raise UsageError(
            f"contours of {contour.shape} and {other.shape} at a distance of {distance}. Give two "
            "of one size, and 0 or more pixels."
        )
    r = int(distance)
    steps = np.mgrid[-r : r + 1, -r : r + 1].reshape(2, -1)
    squares = (steps**2).sum(0)
    order = np.argsort(squares, kind="stable")[: (squares <= distance**2).sum()]
    padded = np.pad(other, r, constant_values=IGNORED)
    rows, columns = np.nonzero(contour != IGNORED)
    kinds = contour[rows, columns]
    places = (rows + r) * padded.shape[1] + columns + r
    flat, found = padded.ravel(), np.zeros(len(kinds), bool)
    # From the nearest places outwards; those that have been found look no further, and those of a
    # class that is nowhere do not begin.
    missing = np.flatnonzero(np.isin(kinds, other))
    for down, right in steps[:, order].T:
        hit = flat[places[missing] + down * padded.shape[1] + right] == kinds[missing]
        found[missing[hit]] = True
        missing = missing[~hit]
        if not len(missing):
            break
    return kinds, found


def _check(classes: np.ndarray) -> None:
    if classes.ndim != 2 or classes.dtype != np.uint8:
        raise UsageError(
            f"a map of classes that is {classes.dtype} {classes.shape}. Give (H, W) uint8."
        )
