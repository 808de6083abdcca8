"""What the numbers a network puts out mean, task by task. NumPy only.

Training, the ``predict`` verb and an exported file on a machine without torch all read their
outputs here, so they cannot disagree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image as Pillow

from boda.data.prepare import Preparation
from boda.enlarging import pixels
from boda.masks import paste
from boda.registry import Registry
from boda.types import Image, Prediction

TOP = 5  # classes a classifier's prediction lists
CONFIDENT = 0.25  # score from which a box is told
BOX = 6  # numbers that tell a box: its corners, its score, its class
PRESENT = 0.5  # Pc from which a picture is said to have an object
readers: Registry = Registry("task")


@dataclass(frozen=True)
class Seen:
    """A picture that went through a network.

    Attributes:
        picture: the original, (H, W, 3) uint8.
        source: where it came from.
        preparation: how it was brought to the network.
    """

    picture: Image
    source: str
    preparation: Preparation

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the original."""
        return self.picture.shape[0], self.picture.shape[1]

    def original(self, boxes: np.ndarray) -> np.ndarray:
        """(N, 4) xyxy of the working picture → of the original, clipped to it; float32."""
        corners = self.preparation.moved_back(boxes.reshape(-1, 2, 2), self.size)
        return corners.clip(0, self.size[::-1]).reshape(-1, 4).astype(np.float32)


@readers.register("classify")
def classify(scores: np.ndarray, classes: Sequence[str], seen: Seen) -> Prediction:
    """The best classes, best first; of equal scores the lower class index.

    Args:
        scores: (K,) probabilities.
        classes: K names.
        seen: the picture.
    """
    best = np.argsort(-scores, kind="stable")[:TOP]
    return Prediction(
        source=seen.source,
        size=seen.size,
        labels=best,
        names=[classes[i] for i in best],
        scores=scores[best],
        _picture=seen.picture,
    )


@readers.register("localize")
def localize(row: np.ndarray, classes: Sequence[str], seen: Seen) -> Prediction:
    """One box in pixels of the original picture, or none where Pc is below one half.

    Args:
        row: (5 + K,) Pc, then x1, y1, x2, y2 in pixels of the working picture, then K probabilities.
        classes: K names.
        seen: the picture.

    Returns:
        The prediction; the box's score is Pc times the probability of its class.
    """
    found = [int(row[5:].argmax())] if row[0] >= PRESENT else []
    label = np.array(found, np.int64)
    return Prediction(
        source=seen.source,
        size=seen.size,
        labels=label,
        names=[classes[i] for i in found],
        scores=row[0] * row[5 + label],
        boxes=seen.original(row[None, 1:5])[: len(found)],
        _picture=seen.picture,
    )


@readers.register("landmarks")
def landmarks(points: np.ndarray, names: Sequence[str], seen: Seen) -> Prediction:
    """The points in pixels of the original picture; one may lie a little outside.

    Args:
        points: (K, 2) x and y in pixels of the working picture.
        names: of the K points.
        seen: the picture.
    """
    return Prediction(
        source=seen.source,
        size=seen.size,
        names=list(names),
        points=seen.preparation.moved_back(points, seen.size),
        _picture=seen.picture,
    )


@readers.register("detect")
def detect(rows: np.ndarray, classes: Sequence[str], seen: Seen) -> Prediction:
    """Boxes in pixels of the original picture, the surest first.

    Args:
        rows: (K, 6) x1, y1, x2, y2 in pixels of the working picture, score, class; a row of score 0
            is no box.
        classes: names.
        seen: the picture.
    """
    rows = rows[rows[:, 4] > 0]
    labels = rows[:, 5].astype(np.int64)
    return Prediction(
        source=seen.source,
        size=seen.size,
        labels=labels,
        names=[classes[i] for i in labels],
        scores=rows[:, 4],
        boxes=seen.original(rows[:, :4]),
        _picture=seen.picture,
    )


@readers.register("instances")
def instances(rows: np.ndarray, classes: Sequence[str], seen: Seen) -> Prediction:
    """Boxes and masks in pixels of the original picture, the surest first.

    Args:
        rows: (K, 6 + s·s) as those of ``detect``, then a mask of s×s probabilities over the box.
        classes: names.
        seen: the picture.
    """
    found = detect(rows[:, :BOX], classes, seen)
    masks = pasted(rows[rows[:, 4] > 0], seen.preparation, seen.size)
    return replace(found, masks=masks)


def pasted(rows: np.ndarray, preparation: Preparation, size: tuple[int, int]) -> np.ndarray:
    """The masks of rows as ``instances`` reads them, (N, H, W) bool of an original of (H, W) pixels."""
    side = math.isqrt(rows.shape[1] - BOX)
    small = rows[:, BOX:].reshape(-1, side, side)
    corners = preparation.moved_back(rows[:, :4].reshape(-1, 2, 2), size)
    return paste(small, corners.reshape(-1, 4), size)


@readers.register("generate")
def generate(picture: np.ndarray, classes: Sequence[str], seen: Seen) -> Prediction:
    """A made picture; of the one that was seen it has only the noise.

    Args:
        picture: (C, h, w), 0..1, of the working size.
        classes: names.
        seen: the picture.
    """
    image = as_picture(as_bytes(picture))
    return Prediction(source=seen.source, size=seen.size, image=image, _picture=seen.picture)


@readers.register("translate")
def translate(planes: np.ndarray, classes: Sequence[str], seen: Seen) -> Prediction:
    """The picture that was made of this one, at its size.

    Args:
        planes: (3, h, w) RGB from 0 to 1, of the working picture.
        classes: none that count.
        seen: the picture.
    """
    large = np.stack([plane(each, seen.preparation, seen.size) for each in planes])
    image = as_picture(as_bytes(large))
    return Prediction(source=seen.source, size=seen.size, image=image, _picture=seen.picture)


def as_bytes(values: np.ndarray) -> np.ndarray:
    """Floating 0 to 1, and what lies beyond as its end → uint8."""
    return np.rint(255 * np.clip(values, 0, 1)).astype(np.uint8)


def as_picture(planes: np.ndarray) -> Image:
    """(1 or 3, H, W) uint8, as networks have them → (H, W, 3)."""
    return np.ascontiguousarray(np.broadcast_to(planes, (3, *planes.shape[1:])).transpose(1, 2, 0))


@readers.register("match")
def match(vector: np.ndarray, classes: Sequence[str], seen: Seen) -> Prediction:
    """The picture's vector: what is near it shows the same.

    Args:
        vector: (D,).
        classes: the identities that were learned from; the picture may show anyone.
        seen: the picture.
    """
    return Prediction(
        source=seen.source,
        size=seen.size,
        embedding=np.asarray(vector, np.float32),
        _picture=seen.picture,
    )


@readers.register("segment")
def segment(planes: np.ndarray, classes: Sequence[str], seen: Seen) -> Prediction:
    """The class of each pixel of the original picture.

    Args:
        planes: (K, h, w) probabilities, of the working picture.
        classes: K names.
        seen: the picture.
    """
    semantic = class_map(planes, seen.preparation, seen.size)
    return told_map(semantic, classes, seen.source, seen.picture)


@readers.register("upscale")
def upscale(planes: np.ndarray, classes: Sequence[str], seen: Seen) -> Prediction:
    """The picture, enlarged; of the part of it that went through the network.

    Args:
        planes: (3, s·h, s·w) red, green and blue, 0 to 1.
        classes: none.
        seen: the picture.
    """
    return made(pixels(planes), seen.source, seen.picture)


def made(image: Image, source: str, picture: Image) -> Prediction:
    """A picture (H', W', 3) uint8 that was made of an original one, as a prediction."""
    size = picture.shape[0], picture.shape[1]
    return Prediction(source=source, size=size, image=image, _picture=picture)


def told_map(
    semantic: np.ndarray, classes: Sequence[str], source: str, picture: Image
) -> Prediction:
    """A map (H, W) uint8 of an original picture as a prediction: what is there, the largest first."""
    # Row by row: the count of a whole map at once would be made of 8 bytes a pixel.
    counts = sum((np.bincount(row, minlength=len(classes)) for row in semantic), np.zeros(1, int))
    labels = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    return Prediction(
        source=source,
        size=(semantic.shape[0], semantic.shape[1]),
        labels=labels,
        names=[classes[i] for i in labels],
        areas=counts[labels],
        semantic=semantic,
        _picture=picture,
    )


def class_map(
    probabilities: np.ndarray, preparation: Preparation, size: tuple[int, int]
) -> np.ndarray:
    """The best class of each pixel of an original picture.

    Args:
        probabilities: (K, h, w), of its working picture.
        preparation: how it was brought to the network.
        size: (H, W) of the original.

    Returns:
        (H, W) uint8. What the network did not see, beside a crop, is what it saw at the crop's edge.
    """
    return best_classes(*_placed(probabilities, preparation, size), size)


def plane(probabilities: np.ndarray, preparation: Preparation, size: tuple[int, int]) -> np.ndarray:
    """One class's probabilities at the size of the original picture.

    Args:
        probabilities: (h, w), of its working picture.
        preparation: how it was brought to the network.
        size: (H, W) of the original.

    Returns:
        (H, W) float32; beside a crop as in ``class_map``.
    """
    (one,), box = _placed(probabilities[None], preparation, size)
    picture = Pillow.fromarray(np.ascontiguousarray(one, np.float32))
    return np.asarray(picture.resize(size[::-1], Pillow.Resampling.BILINEAR, box=box))


def _placed(
    planes: np.ndarray, preparation: Preparation, size: tuple[int, int]
) -> tuple[np.ndarray, tuple[float, float, float, float]]:
    """The planes (K, h, w), as wide as the original, and where that is in them: x1, y1, x2, y2."""
    corners = np.array([[0, 0], size[::-1]], np.float64)
    x1, y1, x2, y2 = preparation.moved(corners, size).reshape(-1).tolist()
    height, width = planes.shape[1:]
    left, top = math.ceil(max(0, -x1)), math.ceil(max(0, -y1))
    right, bottom = math.ceil(max(0, x2 - width)), math.ceil(max(0, y2 - height))
    if left or top or right or bottom:
        planes = np.pad(planes, ((0, 0), (top, bottom), (left, right)), "edge")
    return planes, (x1 + left, y1 + top, x2 + left, y2 + top)


def best_classes(
    planes: np.ndarray, box: tuple[float, float, float, float], size: tuple[int, int]
) -> np.ndarray:
    """A part of the planes of all classes at another size, and there the best class of each pixel.

    Each plane is resampled bilinearly, antialiased where it becomes smaller, while no more than two
    of the new size are held.

    Args:
        planes: (K, h, w) floating.
        box: x1, y1, x2, y2 of the part, in pixels of the planes.
        size: (H, W) of the result.

    Returns:
        (H, W) uint8; of equal classes the lower.
    """
    best = np.full(size, -np.inf, np.float32)
    out = np.zeros(size, np.uint8)
    for number, plane in enumerate(planes):
        picture = Pillow.fromarray(np.ascontiguousarray(plane, np.float32))
        scaled = np.asarray(picture.resize(size[::-1], Pillow.Resampling.BILINEAR, box=box))
        better = scaled > best
        np.copyto(best, scaled, where=better)
        out[better] = number
    return out


def boxes_difference(a: np.ndarray, b: np.ndarray) -> float:
    """Of two detectors' outputs (N, K, 6), whatever the order of boxes that are equally sure.

    Each box of one is compared with the most similar of its class in the other; boxes count
    as shares of the largest coordinate.
    """
    scale = max(1.0, float(np.abs(a[..., :4]).max(initial=0)))
    worst = 0.0
    for one, other in ((a, b), (b, a)):
        for rows, theirs in zip(one / _units(scale), other / _units(scale), strict=True):
            for row in rows[rows[:, 4] > 0]:
                same = theirs[(theirs[:, 5] == row[5]) & (theirs[:, 4] > 0)]
                apart = np.abs(same - row).max(1)
                worst = max(worst, float(apart.min()) if len(apart) else 1.0)
    return worst


def _units(scale: float) -> np.ndarray:
    return np.array([scale] * 4 + [1, 1], np.float32)
