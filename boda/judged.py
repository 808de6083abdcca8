"""What a network said, drawn beside what is there: for the reports' galleries. No torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from boda.fonts import text_font
from boda.pen import PALETTE, dashed, disc, fitted, percent, tag


def marked(
    picture: np.ndarray,
    there: Sequence[tuple[np.ndarray, str, float | None]],
    said: Sequence[tuple[np.ndarray, str, float | None]],
    side: int = 320,
) -> np.ndarray:
    """A picture with what is there, in dashed white on black, and what was said, in colour.

    Args:
        picture: (H, W, 3) uint8.
        there: box xyxy in its pixels, name, and None, each.
        said: box, name and score each.
        side: to which the longer side is brought, if it is longer.

    Returns:
        (H', W', 3) uint8.
    """
    image = Image.fromarray(np.ascontiguousarray(picture)).convert("RGB")
    ratio = min(1.0, side / max(image.size))
    image = image.resize((max(1, round(image.width * ratio)), max(1, round(image.height * ratio))))
    pen = ImageDraw.Draw(image)
    for box, name, score in said:
        x1, y1, x2, y2 = (round(float(v) * ratio) for v in box)
        pen.rectangle((x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)), outline=PALETTE[1], width=2)
        text = name if score is None else f"{name} {percent(score)}"
        label, font = text_font(text, percent(score or 0), 12)
        tag(pen, label, font, (x1, y1), PALETTE[1], image.size)
    for box, _, _ in there:
        dashed(pen, [round(float(v) * ratio) for v in box])
    return np.asarray(image)


def pointed(
    picture: np.ndarray, there: np.ndarray, said: np.ndarray, side: int = 320
) -> np.ndarray:
    """A picture with the points that are there, as white rings, and those that were said, in colour.

    Args:
        picture: (H, W, 3) uint8.
        there: (K, 2) x, y in its pixels.
        said: (L, 2).
        side: to which the longer side is brought: errors of small pictures are to be seen too.

    Returns:
        (H', W', 3) uint8.
    """
    image = fitted(picture, side)
    ratio = image.width / picture.shape[1]
    pen = ImageDraw.Draw(image)
    for point in there * ratio:
        disc(pen, point, 3.5, None)
    for point in said * ratio:
        disc(pen, point, 2, PALETTE[1])
    return np.asarray(image)
