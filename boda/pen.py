"""Colours, and the small things that every drawn picture has: labels, discs, dashed boxes. No torch.

Text and ground differ by a contrast of at least 4.5 : 1.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

from boda.fonts import Font

TINY = 96  # up to here a picture is enlarged in hard-edged squares: its pixels are to be seen
PAPER, TRACK, RULE = (255, 255, 255), (233, 237, 242), (222, 227, 233)
INK, MUTED = (28, 32, 38), (92, 101, 112)
BLUE, PALE_BLUE = (37, 99, 208), (148, 180, 230)
GREEN, RED = (22, 122, 62), (190, 38, 38)
# Okabe & Ito's colours for boxes, told apart with every kind of colour vision.
PALETTE = (
    (0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167),
    (230, 159, 0), (86, 180, 233), (240, 228, 66), (90, 90, 90),
)  # fmt: skip


def fitted(picture: np.ndarray, side: int) -> Image.Image:
    """The picture with its longer side near ``side``: tiny ones enlarged by a whole factor."""
    image = Image.fromarray(np.ascontiguousarray(picture)).convert("RGB")
    longer = max(image.size)
    if longer <= min(TINY, side):
        factor = side // longer
        return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    ratio = side / longer
    size = (max(1, round(image.width * ratio)), max(1, round(image.height * ratio)))
    return image.resize(size, Image.Resampling.LANCZOS)


def tag(
    pen: ImageDraw.ImageDraw,
    label: str,
    font: Font,
    corner: tuple[int, int],
    colour: tuple[int, int, int],
    size: tuple[int, int],
) -> None:
    """A label on its colour, above the box's corner or, at the picture's edge, inside the box."""
    pad, height = 4, round(height_of(font) * 1.35)
    label = shorten(label, font, size[0] - 2 * pad)
    width = math.ceil(font.getlength(label)) + 2 * pad
    x = min(max(corner[0], 0), max(size[0] - width, 0))
    y = corner[1] - height if corner[1] >= height else max(corner[1], 0)
    pen.rectangle((x, y, x + width - 1, y + height - 1), colour)
    # sRGB luma over 150 of 255 is a light ground, on which white could not be read.
    light = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 150
    pen.text((x + pad, y + height / 2), label, INK if light else PAPER, font, anchor="lm")


def disc(
    pen: ImageDraw.ImageDraw,
    place: np.ndarray,
    radius: float,
    colour: tuple[int, int, int] | None,
) -> None:
    """A disc with a black rim, or without a colour a white ring on a black one."""
    x, y = float(place[0]) - 0.5, float(place[1]) - 0.5  # Pillow counts from the pixels' middles
    box = (x - radius, y - radius, x + radius, y + radius)
    if colour is None:
        pen.ellipse(box, outline=(0, 0, 0), width=3)
        box = (box[0] + 1, box[1] + 1, box[2] - 1, box[3] - 1)
    pen.ellipse(box, fill=colour, outline=PAPER if colour is None else (0, 0, 0), width=1)


def dashed(pen: ImageDraw.ImageDraw, box: list[int], dash: int = 6) -> None:
    """A white dashed outline on a black one: seen on every ground."""
    x1, y1, x2, y2 = box[0], box[1], max(box[0], box[2] - 1), max(box[1], box[3] - 1)
    pen.rectangle((x1, y1, x2, y2), outline=(0, 0, 0), width=2)
    for x in range(x1, x2, 2 * dash):
        for y in (y1, y2):
            pen.line((x, y, min(x + dash, x2), y), PAPER, 2)
    for y in range(y1, y2, 2 * dash):
        for x in (x1, x2):
            pen.line((x, y, x, min(y + dash, y2)), PAPER, 2)


def shorten(text: str, font: Font, width: float) -> str:
    """``text`` cut with "..." so that it is at most ``width`` pixels wide."""
    if font.getlength(text) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        fits = font.getlength(text[:middle].rstrip() + "...") <= width
        low, high = (middle, high) if fits else (low, middle - 1)
    return text[:low].rstrip() + "..." if low else ""


def height_of(font: Font) -> float:
    """Of its letters, pixels."""
    return float(getattr(font, "size", 11))


def percent(score: float) -> str:
    """``97.3 %``; 100 only for a score that is exactly 1, so that certainty is never feigned."""
    rounded = f"{100 * score:.1f}"
    return ">99.9 %" if rounded == "100.0" and score < 1 else f"{rounded} %"
