"""What drawn pictures are made of: outlines, how much of each pixel they cover, grounds and light.

A pixel's coverage is counted on a grid of 4×4 points in it. Edges of what is drawn are therefore
smooth, and a mask has the pixels of which at least half is covered.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw

FINE = 4  # parts of a pixel's edge
NIGHT = np.array([0.16, 0.20, 0.34], np.float32)  # what is left of red, green and blue
LAMPLIGHT = np.array([0.95, 0.80, 0.50], np.float32)
REACH, BULB = 0.16, 0.025  # of a lamp's light and glow, deviations in parts of the picture


@dataclass(frozen=True)
class Patch:
    """What one outline covers.

    Attributes:
        coverage: (h, w) uint8, 255 = the whole pixel.
        left, top: where its first pixel lies in the picture; it may lie outside.
    """

    coverage: np.ndarray
    left: int
    top: int

    def inside(self, size: int) -> tuple[tuple[slice, slice], np.ndarray]:
        """The part in a picture of ``size`` × ``size``: where it is, and its coverage."""
        height, width = self.coverage.shape
        x1, x2 = max(self.left, 0), max(min(self.left + width, size), 0)
        y1, y2 = max(self.top, 0), max(min(self.top + height, size), 0)
        rows = slice(max(y1 - self.top, 0), max(y2 - self.top, 0))
        columns = slice(max(x1 - self.left, 0), max(x2 - self.left, 0))
        return (slice(y1, y2), slice(x1, x2)), self.coverage[rows, columns]

    def mask(self, size: int) -> np.ndarray:
        """(size, size) bool, the pixels of which at least half is covered."""
        where, coverage = self.inside(size)
        mask = np.zeros((size, size), bool)
        mask[where] = coverage >= 128
        return mask


def cover(outline: np.ndarray, size: int | None = None) -> Patch:
    """The patch of a polygon, (K, 2) x, y in pixels with continuous edges.

    With ``size``, only what is in a picture of that size, which is quicker.
    """
    left, top = (int(value) for value in np.floor(outline.min(0)))
    right, bottom = (int(value) + 1 for value in np.floor(outline.max(0)))
    if size is not None:
        left, top = min(max(left, 0), size - 1), min(max(top, 0), size - 1)
        right, bottom = max(min(right, size), left + 1), max(min(bottom, size), top + 1)
    fine = Pillow.new("L", ((right - left) * FINE, (bottom - top) * FINE))
    corners = np.floor((outline - (left, top)) * FINE).astype(int)
    ImageDraw.Draw(fine).polygon(corners.ravel().tolist(), fill=255)
    return Patch(np.asarray(fine.reduce(FINE)), left, top)


def paint(
    canvas: np.ndarray, patch: Patch, colour: np.ndarray, over: np.ndarray | None = None
) -> None:
    """Lay a colour on the canvas.

    Args:
        canvas: (size, size, 3) float32, which is changed.
        patch: where.
        colour: (3,), or (h, w, 3) for the part of the patch in the picture.
        over: the colour, (3,), of a larger patch that this one lies within. Where both cover a
            part of a pixel it is the same part, so this one takes the other's place there.
    """
    where, coverage = patch.inside(len(canvas))
    below = canvas[where]
    share = coverage.astype(np.float32)[..., None] / np.float32(255)
    covered = below if over is None else over.astype(np.float32)
    below += share * (np.asarray(colour, np.float32) - covered)


def ellipse(x: float, y: float, a: float, b: float, corners: int = 48) -> np.ndarray:
    """(corners, 2): the half-axes are a and b."""
    angle = np.linspace(0, 2 * math.pi, corners, endpoint=False)
    return np.stack([x + a * np.cos(angle), y + b * np.sin(angle)], 1)


def stroke(line: np.ndarray, width: float) -> np.ndarray:
    """The outline of a line, (K, 2), of that width; it goes half a width beyond its ends."""
    along = np.gradient(line, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    longer = line.copy()
    longer[0] -= along[0] * width / 2
    longer[-1] += along[-1] * width / 2
    across = along[:, ::-1] * (-width / 2, width / 2)
    return np.concatenate([longer + across, (longer - across)[::-1]])


def _polar(angles: np.ndarray, radii: np.ndarray) -> np.ndarray:
    return np.stack([radii * np.sin(angles), -radii * np.cos(angles)], 1)


def _cross(arm: float = 0.32, end: float = 0.95) -> np.ndarray:
    quarter = np.array([[-arm, -end], [arm, -end], [arm, -arm]])
    turn = np.array([[0, 1], [-1, 0]])  # a quarter to the right, for rows
    return np.concatenate([quarter @ np.linalg.matrix_power(turn, n) for n in range(4)])


def _heart() -> np.ndarray:
    t = np.linspace(0, 2 * math.pi, 60, endpoint=False)
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([16 * np.sin(t) ** 3, -y - 2], 1) / 17


# Within a circle of radius 1 or a little less, the right way up.
OUTLINES = {
    "circle": ellipse(0, 0, 0.88, 0.88, 60),
    "square": np.array([[-0.78, -0.78], [0.78, -0.78], [0.78, 0.78], [-0.78, 0.78]]),
    "triangle": _polar(np.arange(3) * 2 * math.pi / 3, np.ones(3)),
    "star": _polar(np.arange(10) * math.pi / 5, np.tile([1.0, 0.42], 5)),
    "cross": _cross(),
    "heart": _heart(),
}


def ground(generator: np.random.Generator, size: int) -> np.ndarray:
    """A textured ground, (size, size, 3) float32 in 0..255: a slope, stripes, a chequer or clouds."""
    # Two sides of one colour, so that what lies on it can differ from both.
    first = generator.uniform(40, 215, 3)
    second = np.clip(first + generator.uniform(-60, 60, 3), 10, 245)
    angle = generator.uniform(0, 2 * math.pi)
    waves, edge = generator.uniform(2.5, 9), generator.uniform(0.5, 4)
    phases, clouds = generator.uniform(0, 2 * math.pi, 2), generator.random((8, 8))
    kind = ("slope", "stripes", "chequer", "clouds")[generator.integers(4)]
    at = ((np.arange(size) + 0.5) / size - 0.5).astype(np.float32)
    along = at * math.cos(angle) + at[:, None] * math.sin(angle)
    if kind == "slope":
        share = along * 0.7 + 0.5
    elif kind == "clouds":
        rough = Pillow.fromarray(clouds.astype(np.float32))
        share = np.asarray(rough.resize((size, size), Pillow.Resampling.BICUBIC))
    else:
        wave = np.sin(2 * math.pi * waves * along + phases[0])
        if kind == "chequer":
            across = at[:, None] * math.cos(angle) - at * math.sin(angle)
            wave *= np.sin(2 * math.pi * waves * across + phases[1])
        share = wave * edge + 0.5
    share = np.clip(share, 0, 1, dtype=np.float32)[..., None]
    return first.astype(np.float32) + share * (second - first).astype(np.float32)


def contrasting(generator: np.random.Generator, below: np.ndarray) -> np.ndarray:
    """A colour, (3,), that differs from ``below`` by 180 in the sum of its channels, or nearly."""
    colours = generator.uniform(15, 240, (8, 3))
    distance = np.abs(colours - below).sum(1)
    far = np.flatnonzero(distance >= 180)
    return colours[far[0] if len(far) else distance.argmax()]


def shaded(colour: np.ndarray, patch: Patch, size: int, slope: np.ndarray) -> np.ndarray:
    """The colour, brighter to one side: (h, w, 3) of the patch inside the picture."""
    height, width = patch.coverage.shape
    where, _ = patch.inside(size)
    y = (np.arange(where[0].start, where[0].stop) - patch.top) / height - 0.5
    x = (np.arange(where[1].start, where[1].stop) - patch.left) / width - 0.5
    light = (1 + slope[0] * x + slope[1] * y[:, None]).astype(np.float32)
    return light[..., None] * colour.astype(np.float32)


def lamp_posts(generator: np.random.Generator, canvas: np.ndarray) -> np.ndarray:
    """Draw one or two thin lamp posts; where their lamps are, (N, 2) x, y in pixels."""
    size = len(canvas)
    lamps = generator.uniform((0.08, 0.1), (0.92, 0.6), (generator.integers(1, 3), 2)) * size
    for x, y in lamps:
        thick, head = 0.008 * size, 0.022 * size
        pole = np.array([[x - thick, y], [x + thick, y], [x + thick, size], [x - thick, size]])
        paint(canvas, cover(pole), np.array([52, 54, 58]))
        paint(canvas, cover(OUTLINES["square"] * head + (x, y)), np.array([225, 222, 205]))
    return lamps


def at_night(canvas: np.ndarray, lamps: np.ndarray) -> np.ndarray:
    """The same scene, (size, size, 3) float32: dark and bluish, but for the light of its lamps."""
    size = len(canvas)
    at = np.arange(size, dtype=np.float32) + np.float32(0.5)
    light = np.tile(NIGHT, (size, size, 1))
    glow = np.zeros((size, size), np.float32)
    for x, y in lamps:
        square = ((at - float(x)) ** 2 + (at[:, None] - float(y)) ** 2) / size**2
        light += np.exp(-square / (2 * REACH**2))[..., None] * LAMPLIGHT
        glow += np.exp(-square / (2 * BULB**2))
    return canvas * np.minimum(light, 1.1) + glow[..., None] * (np.float32(150) * LAMPLIGHT)


def developed(canvas: np.ndarray, generator: np.random.Generator, grain: int) -> np.ndarray:
    """The picture, uint8 RGB, with the grain of a camera: up to ``grain`` levels up or down."""
    rounded = canvas + np.float32(0.5)  # for the whole part below
    rounded += generator.integers(-grain, grain + 1, canvas.shape, np.int8)
    return np.clip(rounded, 0, 255, out=rounded).astype(np.uint8)
