"""A map of classes on its picture: colours, contours, and a legend beside or below. No torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from boda.fonts import Font, label_font, text_font
from boda.pen import INK, MUTED, PALETTE, PAPER, RULE, TINY, percent, shorten
from boda.types import Prediction, is_ground

SMALLEST = 224  # longer side of a drawn map, pixels
LETTERS = 14  # width of a name in a legend at most, in heights of its letters
DARK = 0.45  # lightness in OKLab, 0..1
Row = tuple[str, int, float]  # of a legend: name, class, share


@lru_cache(maxsize=1)
def colours() -> np.ndarray:
    """(256, 3) uint8, the colour of each class: eight for every kind of colour vision, then others.

    Each next one is that of a grid which is farthest from all before it, and from white, in OKLab
    (Ottosson 2020), where distances are about those that the eye sees. None is dark: through dark
    colours nothing of the picture could be seen.
    """
    steps = np.linspace(0, 255, 16).round()
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), 3).reshape(-1, 3)
    grid = grid[_oklab(grid)[:, 0] > DARK]
    chosen = [np.array(colour, float) for colour in PALETTE]
    known, places = _oklab(np.array([*chosen, (255, 255, 255)])), _oklab(grid)
    far = np.linalg.norm(places[:, None] - known, axis=2).min(1)
    while len(chosen) < 256:
        best = int(far.round(6).argmax())
        chosen.append(grid[best])
        far = np.minimum(far, np.linalg.norm(places - places[best], axis=1))
    return np.array(chosen).astype(np.uint8)


def _oklab(rgb: np.ndarray) -> np.ndarray:
    """(N, 3) sRGB of 0..255 → lightness and two axes of colour."""
    share = rgb / 255
    light = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    cones = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    axes = np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    )
    return np.cbrt(light @ cones.T) @ axes.T


def coloured(
    picture: np.ndarray, semantic: np.ndarray, classes: int, bare: int | None = None
) -> np.ndarray:
    """The picture under the colours of its classes, each region with a rim.

    Args:
        picture: (H, W, 3) uint8.
        semantic: (H, W) uint8; values from ``classes`` on, as 255, are nothing known.
        classes: how many there are.
        bare: a class that is left as it is, without colour.

    Returns:
        (H, W, 3) uint8.
    """
    mixed = ((picture.astype(np.uint16) + colours()[semantic]) // 2).astype(np.uint8)
    rim = _rim(semantic, min(max(max(semantic.shape) // 600, 1), 3))
    mixed[rim] = colours()[semantic[rim]]
    plain = semantic >= classes
    if bare is not None:
        plain |= semantic == bare
    mixed[plain] = picture[plain]
    return mixed


def _rim(semantic: np.ndarray, line: int) -> np.ndarray:
    """(H, W) bool: pixels from which another class is no farther than ``line``."""
    out = np.zeros(semantic.shape, bool)
    for step in range(1, line + 1):
        below = semantic[step:] != semantic[:-step]
        beside = semantic[:, step:] != semantic[:, :-step]
        out[step:] |= below
        out[:-step] |= below
        out[:, step:] |= beside
        out[:, :-step] |= beside
    return out


def with_map(
    picture: np.ndarray, prediction: Prediction, classes: Sequence[str] | None = None
) -> np.ndarray:
    """The picture with its map and a legend: each class with its share, the largest first.

    Args:
        picture: (H, W, 3) uint8.
        prediction: with a map.
        classes: the names of all. With them the legend has a line for each, also those that are not
            there, in their order: then all frames of a video have one size. A legend that would be
            higher than the picture is then left away.

    Returns:
        (H', W', 3) uint8: the picture is not covered; of one of at most 96 pixels, pixels become
        squares.
    """
    semantic, rows = prediction.class_map, _rows(prediction, classes)
    assert semantic is not None
    factor = math.ceil(SMALLEST / max(semantic.shape)) if max(semantic.shape) <= TINY else 1
    if factor > 1:
        picture, semantic = (a.repeat(factor, 0).repeat(factor, 1) for a in (picture, semantic))
    bare = next((number for name, number, _ in rows if is_ground(name)), None)
    drawn = coloured(picture, semantic, len(colours()), bare)
    return _with_legend(drawn, rows, bare, math.inf if classes is None else drawn.shape[0])


def _rows(prediction: Prediction, classes: Sequence[str] | None) -> list[Row]:
    assert prediction.labels is not None and prediction.shares is not None
    there = dict(zip(prediction.labels.tolist(), prediction.shares.tolist(), strict=True))
    if classes is not None:
        return [(name, number, there.get(number, 0.0)) for number, name in enumerate(classes)]
    names = prediction.names or [f"class {number}" for number in there]
    return [(name, *row) for name, row in zip(names, there.items(), strict=True)]


def _with_legend(
    picture: np.ndarray, rows: Sequence[Row], bare: int | None, highest: float
) -> np.ndarray:
    """Beside the picture where the rows are no higher than it, else below it in columns."""
    height, width = picture.shape[:2]
    text = min(max(max(height, width) // 36, 13), 64)
    pad, step = text, round(text * 1.6)
    labels = [label_font(name, number, text) for name, number, _ in rows]
    longest = max(font.getlength(label) for label, font in labels)
    share = text_font("100.0 %", "100.0 %", text)[1].getlength("100.0 %")
    # A swatch, the name, its share, and half a letter between them.
    column = math.ceil(text + min(longest, LETTERS * text) + share + text) + pad
    beside = 2 * pad + step * len(rows) - (step - text) <= height
    columns = 1 if beside else max(1, (width - pad) // column)
    lines = math.ceil(len(rows) / columns)
    panel = 2 * pad + step * lines - (step - text)
    if panel > highest:
        return picture
    if beside:
        size, left, top = (width + pad + column, height), width, 0
    else:
        size, left, top = (max(width, pad + column), height + panel), 0, height
    canvas = Image.new("RGB", size, PAPER)
    canvas.paste(Image.fromarray(picture), (0, 0))
    pen = ImageDraw.Draw(canvas)
    pen.line((left, top, left, height) if beside else (0, top, size[0], top), RULE)
    for i, (row, label) in enumerate(zip(rows, labels, strict=True)):
        x, y = left + pad + i // lines * column, top + pad + i % lines * step
        _entry(pen, (x, y, column - pad, text), row, label, None if row[1] == bare else row[1])
    return np.asarray(canvas)


def _entry(
    pen: ImageDraw.ImageDraw,
    box: tuple[int, int, int, int],
    row: Row,
    label: tuple[str, Font],
    colour: int | None,
) -> None:
    """A line of a legend at x, y, width, height of its text; without a colour an empty swatch."""
    x, y, width, text = box
    fill = None if colour is None else tuple(colours()[colour].tolist())
    pen.rectangle((x, y, x + text - 1, y + text - 1), fill, MUTED if fill is None else fill)
    ink, told = (INK, percent(row[2])) if row[2] else (MUTED, "–")
    if told == "0.0 %":
        told = "<0.1 %"
    told, font = text_font(told, told, text)
    middle = y + text / 2
    pen.text((x + width, middle), told, ink, font, anchor="rm")
    room = width - 2 * text - font.getlength("100.0 %")
    name, font = label
    pen.text((x + 1.5 * text, middle), shorten(name, font, room), ink, font, anchor="lm")
