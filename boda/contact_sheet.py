"""Many pictures on one sheet, each over its caption or edge by edge. No torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from boda.fonts import text_font
from boda.pen import GREEN, INK, MUTED, PAPER, RED, RULE, fitted, shorten

CELL = 64  # pixels up to which the pictures of a grid are enlarged


@dataclass(frozen=True)
class Caption:
    """What stands under a picture of a contact sheet.

    Attributes:
        text: one line, or several parted by line breaks.
        correct: True is drawn green with a tick, False red with a cross, None plain.
        instead: drawn where no font has the characters of ``text``, for example ``class 3``.
    """

    text: str
    correct: bool | None = None
    instead: str = "?"


def contact_sheet(
    pictures: Sequence[np.ndarray], captions: Sequence[str | Caption], columns: int = 0
) -> np.ndarray:
    """Many pictures on one sheet, each over its caption.

    Args:
        pictures: (H, W, 3) or (H, W) uint8, of any sizes.
        captions: as many; a plain string, or a ``Caption`` with green or red.
        columns: pictures in a row; 0 makes the sheet about four to three.

    Returns:
        (H', W', 3) uint8; 184 pixels a column.

    Raises:
        ValueError: no pictures, or not as many captions.
    """
    if len(pictures) == 0 or len(pictures) != len(captions):
        raise ValueError(f"{len(pictures)} pictures but {len(captions)} captions")
    cell, gap, line, margin = 160, 24, 19, 24
    notes = [c if isinstance(c, Caption) else Caption(c) for c in captions]
    columns = min(columns or math.ceil(math.sqrt(len(pictures) * 4 / 3)), len(pictures))
    rows = math.ceil(len(pictures) / columns)
    height = cell + 8 + line * max(note.text.count("\n") + 1 for note in notes)
    size = (
        2 * margin + columns * cell + (columns - 1) * gap,
        2 * margin + rows * height + (rows - 1) * gap,
    )
    sheet = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(sheet)
    for i, (picture, note) in enumerate(zip(pictures, notes, strict=True)):
        x = margin + (i % columns) * (cell + gap)
        y = margin + (i // columns) * (height + gap)
        small = fitted(picture, cell)
        left, top = x + (cell - small.width) // 2, y + (cell - small.height) // 2
        sheet.paste(small, (left, top))
        pen.rectangle((left - 1, top - 1, left + small.width, top + small.height), outline=RULE)
        _write_caption(pen, note, x, y + cell + 8, cell, line)
    return np.asarray(sheet)


def picture_grid(pictures: Sequence[np.ndarray], columns: int = 0) -> np.ndarray:
    """Many pictures of one size, edge by edge and without captions, as samples are shown.

    Tiny ones are enlarged by a whole factor, in hard-edged squares.

    Args:
        pictures: (H, W, 3) or (H, W) uint8, all of one size, row after row.
        columns: pictures in a row; 0 makes as many rows as columns, or one less.

    Returns:
        (H', W', 3) uint8; white lines of two pixels between them.

    Raises:
        ValueError: no pictures, or of several sizes.
    """
    sizes = {picture.shape[:2] for picture in pictures}
    if len(sizes) != 1:
        raise ValueError(f"pictures of {len(sizes)} sizes; one is meant")
    (height, width) = sizes.pop()
    factor, line = max(1, CELL // max(height, width)), 2
    columns = min(columns or math.ceil(math.sqrt(len(pictures))), len(pictures))
    rows = math.ceil(len(pictures) / columns)
    high, wide = height * factor + line, width * factor + line
    grid = np.full((rows * high - line, columns * wide - line, 3), PAPER, np.uint8)
    for i, picture in enumerate(pictures):
        top, left = i // columns * high, i % columns * wide
        large = picture.repeat(factor, 0).repeat(factor, 1)
        colour = large if large.ndim == 3 else large[..., None]
        grid[top : top + height * factor, left : left + width * factor] = colour
    return grid


def _write_caption(
    pen: ImageDraw.ImageDraw, note: Caption, x: int, y: int, width: int, line: int
) -> None:
    ink = {True: GREEN, False: RED, None: INK}[note.correct]
    for i, part in enumerate(note.text.split("\n")):
        label, font = text_font(part, note.instead if i == 0 else "", 14)
        sign = 16 if note.correct is not None and i == 0 else 0
        label = shorten(label, font, width - sign)
        left = x + (width - sign - font.getlength(label)) / 2
        if sign:
            _sign(pen, bool(note.correct), left, y + i * line + 3)
        place = (left + sign, y + i * line + 13)
        pen.text(place, label, ink if i == 0 else MUTED, font, anchor="ls")


def _sign(pen: ImageDraw.ImageDraw, correct: bool, x: float, y: float) -> None:
    """A tick or a cross in lines: the colour alone says nothing to one reader in twenty."""
    if correct:
        pen.line((x, y + 6, x + 3, y + 9, x + 10, y + 1), GREEN, 2, joint="curve")
    else:
        pen.line((x + 1, y + 1, x + 9, y + 9), RED, 2)
        pen.line((x + 1, y + 9, x + 9, y + 1), RED, 2)
