"""PNGs that say who made them: such a file may be replaced, a person's own never."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

MADE_BY = ("Software", "boda")


def signed(picture: np.ndarray, palette: np.ndarray | None = None) -> bytes:
    """An (H, W, 3) uint8 picture as a PNG that says who made it.

    With a palette, (256, 3) uint8, the picture is (H, W) indices of its colours.
    """
    about = PngImagePlugin.PngInfo()
    about.add_text(*MADE_BY)
    buffer, image = io.BytesIO(), Image.fromarray(picture)
    if palette is not None:
        image.putpalette(palette.tobytes())
    image.save(buffer, "PNG", pnginfo=about)
    return buffer.getvalue()


def ours(path: Path) -> bool:
    """Whether boda made this file."""
    key, value = MADE_BY
    try:
        with Image.open(path) as picture:
            return picture.info.get(key) == value
    except (OSError, ValueError, SyntaxError):
        return False
