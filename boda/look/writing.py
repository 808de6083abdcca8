"""Text on the drawn pages of this room, in one font a page."""

from __future__ import annotations

import math

from PIL import ImageDraw

from boda.fonts import Font, font_for, nfc, text_font
from boda.pen import INK

SIGNS = "−×√·"  # the font must have these, whether a text uses them or not


def font(text: str, size: int) -> Font:
    """A font that has the text and the signs."""
    return font_for(text + SIGNS, size) or text_font(text, "?", size)[1]


def width_of(text: str, size: int) -> int:
    """Pixels the text takes."""
    return math.ceil(font(text, size).getlength(text))


def write(
    pen: ImageDraw.ImageDraw,
    place: tuple[int, int],
    text: str,
    size: int,
    ink: tuple[int, int, int] = INK,
    anchor: str = "ls",
) -> None:
    """Text at a place; characters that cannot be printed become spaces."""
    text = "".join(letter if letter.isprintable() else " " for letter in nfc(text))
    pen.text(place, text, ink, font(text, size), anchor=anchor)
