"""Drawn for the eye: a picture's channels beside each other, and a sheet of numbered kernels."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from boda.look import colours
from boda.look.arithmetic_page import number
from boda.look.filtering import weights_in_words
from boda.look.writing import font, width_of, write
from boda.pen import MUTED, PAPER, RULE, TINY

MARGIN, GAP = 28, 22
PANEL = 400  # pixels of a panel's longer side; a larger picture is made smaller
GRID, COLUMNS = 210, 5  # pixels of a kernel's side; kernels in a row
SOFT = 1.35  # times the largest weight has the full colour: numbers stay easy to read
MOST_SHOWN = 12  # columns of a kernel that are printed
CHANNELS = ("red", "green", "blue")
STRONG = ((190, 38, 38), (22, 122, 62), (37, 99, 208))  # read on white

ABOUT = {
    "identity": "changes nothing: the pixel itself",
    "box": "blur: the mean of 3×3 pixels; box-10 takes 10×10",
    "gaussian": "blur: a bell of sigma 1, near pixels count most; gaussian-2.5 has sigma 2.5",
    "sharpen": "to the pixel is added what sets it apart from its four neighbours",
    "emboss": "a relief, as if lit along the diagonal",
    "laplacian": "how far the four neighbours are from the pixel; 0 on any even slope",
    "vertical-edge": "left minus right: the notes' kernel, positive where it is brighter on the left",
    "horizontal-edge": "above minus below: positive where it is brighter above",
    "prewitt-x": "right minus left: positive where it grows brighter to the right",
    "prewitt-y": "below minus above: positive where it grows brighter downwards",
    "sobel-x": "right minus left, the middle row counted twice",
    "sobel-y": "below minus above, the middle column counted twice",
    "scharr-x": "right minus left, weighted so that slanted edges come out as strong",
    "scharr-y": "below minus above, weighted so that slanted edges come out as strong",
}


def in_order(names: Sequence[str]) -> list[str]:
    """Names as they are taught, blurs to edges; those that are not known here at the end."""
    known = list(ABOUT)
    return sorted(names, key=lambda name: known.index(name) if name in known else len(known))


def printed(kernel: Tensor) -> list[str]:
    """The kernel's numbers as lines of text, in columns; one too large for that in a sentence."""
    words = weights_in_words(kernel)
    if kernel.numel() > 9 and (kernel == kernel[0, 0]).all():
        return [f"  {kernel.numel():,} weights of {words[0][0]}"]
    if kernel.shape[1] > MOST_SHOWN or kernel.shape[0] > 2 * MOST_SHOWN:
        low, high = number(float(kernel.min())), number(float(kernel.max()))
        return [f"  {kernel.numel():,} weights from {low} to {high}"]
    width = max(len(word) for row in words for word in row)
    return ["  " + "  ".join(f"{word:>{width}}" for word in row) for row in words]


def channel_panels(picture: np.ndarray, name: str) -> np.ndarray:
    """R, G and B beside each other: above as intensities, below in their own colour.

    Args:
        picture: (H, W, 3) uint8; panels are its pixels one to one up to 400 pixels, smaller above
            that, and hard-edged squares up to 96.
        name: for the title.

    Returns:
        (H', W', 3) uint8.
    """
    small = _panel(picture)
    height, width = small.shape[:2]
    step = max(width, 230) + GAP  # the words above a narrow panel need their place
    size = (2 * MARGIN + 3 * step - GAP, 2 * MARGIN + 88 + 2 * height + GAP)
    canvas = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(canvas)
    title = f"{name} · {picture.shape[0]}×{picture.shape[1]}×3"
    write(pen, (MARGIN, MARGIN + 16), _shorten(title, 19, size[0] - 2 * MARGIN), 19)
    for i, colour in enumerate(CHANNELS):
        x, y = MARGIN + i * step, MARGIN + 34
        tinted = np.zeros_like(small)
        tinted[..., i] = small[..., i]
        channel = picture[..., i]
        words = f"{channel.min()} to {channel.max()}, mean {channel.mean():.1f}"
        write(pen, (x, y + 18), f"{colour[0].upper()}  {colour}", 15, STRONG[i])
        write(pen, (x + step - GAP, y + 18), words, 13, MUTED, "rs")
        _paste(canvas, np.repeat(small[..., i : i + 1], 3, -1), x, y + 28)
        y += height + GAP
        _paste(canvas, tinted, x, y + 28)
    foot = "above: how much of the colour, black 0 to white 255 · below: the same in its colour"
    write(pen, (MARGIN, size[1] - MARGIN), _shorten(foot, 13, size[0] - 2 * MARGIN), 13, MUTED)
    return np.asarray(canvas)


def kernel_sheet(kernels: Sequence[tuple[str, Tensor]]) -> np.ndarray:
    """Kernels as numbered grids, each under its name and over what it does.

    Every kernel has its own colour scale, set by its largest weight.

    Args:
        kernels: (name, (h, w)) in the order in which they are drawn.

    Returns:
        (H', W', 3) uint8.
    """
    rows = math.ceil(len(kernels) / COLUMNS)
    step_x, step_y = GRID + 2 * GAP, GRID + 96
    columns = min(COLUMNS, len(kernels))
    size = (2 * MARGIN + columns * step_x - 2 * GAP, 2 * MARGIN + 44 + rows * step_y + 10)
    canvas = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(canvas)
    write(pen, (MARGIN, MARGIN + 16), "The kernels", 22)
    words = "red above zero, blue below, white zero"
    write(pen, (size[0] - MARGIN, MARGIN + 16), words, 13, MUTED, "rs")
    for i, (name, kernel) in enumerate(kernels):
        x = MARGIN + (i % columns) * step_x
        y = MARGIN + 44 + (i // columns) * step_y
        write(pen, (x, y + 16), name, 16)
        write(pen, (x + GRID, y + 16), _size(kernel), 12, MUTED, "rs")
        _numbers(canvas, kernel, x, y + 26)
        for k, line in enumerate(_wrapped(ABOUT.get(name, ""), 13, GRID + GAP // 2)):
            write(pen, (x, y + 26 + GRID + 18 + 17 * k), line, 13, MUTED)
    return np.asarray(canvas)


def _numbers(canvas: Image.Image, kernel: Tensor, x: int, y: int) -> None:
    """The kernel in a square of ``GRID`` pixels, every weight in its cell."""
    values = kernel.numpy()
    words = [[re.sub(r"\b0\.", ".", word) for word in row] for row in weights_in_words(kernel)]
    cell = GRID // max(values.shape)
    left = x + (GRID - cell * values.shape[1]) // 2
    top = y + (GRID - cell * values.shape[0]) // 2
    longest = max((word for row in words for word in row), key=len)
    text = next((s for s in range(20, 6, -1) if width_of(longest, s) <= cell - 4), 0)
    pen = ImageDraw.Draw(canvas)
    ground = colours.signed(values, SOFT * float(abs(values).max()))
    for i, j in np.ndindex(values.shape):
        box = (left + j * cell, top + i * cell, left + (j + 1) * cell, top + (i + 1) * cell)
        red, green, blue = (int(part) for part in ground[i, j])
        pen.rectangle(box, (red, green, blue), RULE)
        if text:  # else the numbers could not be read
            centre = ((box[0] + box[2] + 1) / 2, (box[1] + box[3] + 1) / 2)
            ink = colours.ink_on(ground[i, j])
            pen.text(centre, words[i][j], ink, font(words[i][j], text), anchor="mm")


def _panel(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    longer = max(height, width)
    if longer <= TINY:
        factor = max(1, PANEL // 2 // longer)
        return picture.repeat(factor, 0).repeat(factor, 1)
    if longer <= PANEL:
        return picture
    size = max(1, round(width * PANEL / longer)), max(1, round(height * PANEL / longer))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


def _paste(canvas: Image.Image, panel: np.ndarray, x: int, y: int) -> None:
    height, width = panel.shape[:2]
    canvas.paste(Image.fromarray(panel), (x, y))
    ImageDraw.Draw(canvas).rectangle((x - 1, y - 1, x + width, y + height), outline=RULE)


def _size(kernel: Tensor) -> str:
    total = float(kernel.double().sum())
    return f"{kernel.shape[0]}×{kernel.shape[1]}, sum {round(total, 3) + 0.0:g}"


def _wrapped(text: str, size: int, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        lines = [*lines[:-1], longer] if width_of(longer, size) <= width else [*lines, word]
    return lines


def _shorten(text: str, size: int, width: int) -> str:
    while len(text) > 4 and width_of(text, size) > width:
        text = text[:-4].rstrip() + "..."
    return text
