"""``Arithmetic`` as a picture: where the value looks, then patch × kernel = products as numbered grids."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from boda.look import colours
from boda.look.arithmetic_page import alike, equation, number, weightiest, where
from boda.look.worked import Part
from boda.look.writing import font, width_of, write
from boda.pen import BLUE, INK, MUTED, PAPER, RULE

if TYPE_CHECKING:
    from boda.look.arithmetic import Arithmetic

MARGIN, GAP, LINE = 28, 46, 22
GRID = 240  # pixels that a grid aims at
MARK = (230, 97, 0)  # the frame around the patch: seen on gray, on blue and on red
PADDING = (236, 239, 243)


def picture(found: Arithmetic) -> np.ndarray:
    """The picture, (H, W, 3) uint8."""
    shown = [part for part in weightiest(found.parts) if part.patch.size]
    scales = _Scales(shown)
    bands = [_band(found, part, scales) for part in shown]
    words = equation(found)
    hidden = len(found.parts) - len(shown)
    if hidden:
        words.insert(0, f"{hidden} more channels are not drawn; their products are in the sum")
    title = (
        f"{found.layer} · {found.kind} · value ({', '.join(map(str, found.at))}) of {_size(found)}"
    )
    width = max(
        [band.width for band in bands]
        + [width_of(line, 15) for line in words]
        + [width_of(title, 19)]
    )
    height = 46 + sum(band.height + 18 for band in bands) + LINE * len(words) + 10
    canvas = Image.new("RGB", (width + 2 * MARGIN, height + 2 * MARGIN), PAPER)
    pen = ImageDraw.Draw(canvas)
    write(pen, (MARGIN, MARGIN + 16), title, 19)
    y = MARGIN + 46
    for band in bands:
        canvas.paste(band, (MARGIN, y))
        y += band.height + 18
    pen.line((MARGIN, y, MARGIN + width, y), RULE)
    _equation(pen, found, words, y + 10)
    return np.asarray(canvas)


class _Scales:
    """What has the full colour, for all channels alike, so that they can be compared."""

    def __init__(self, parts: list[Part]) -> None:
        kernels = [part.kernel for part in parts if part.kernel is not None]
        self.kernel = max((float(abs(kernel).max()) for kernel in kernels), default=0.0)
        self.products = max((float(abs(part.products).max()) for part in parts), default=0.0)


def _equation(pen: ImageDraw.ImageDraw, found: Arithmetic, words: list[str], y: int) -> None:
    """Names to the left, numbers in a column of their own; the value stands out."""
    pairs = [line.split("   ", 1) if "   " in line else [line, ""] for line in words]
    column = MARGIN + 24 + max(width_of(name.strip(), 15) for name, value in pairs if value)
    right = column + max(width_of(value.strip(), 15) for _, value in pairs)
    for name, value in pairs:
        y += LINE
        ink = (
            BLUE
            if name.strip() in ("value", f"then {found.activation}")
            else INK
            if value
            else MUTED
        )
        write(pen, (MARGIN, y), name.strip(), 15, ink)
        write(pen, (right, y), value.strip(), 15, ink, "rs")


def _size(found: Arithmetic) -> str:
    return "×".join(map(str, found.output_shape))


def _band(found: Arithmetic, part: Part, scales: _Scales) -> Image.Image:
    """One channel: a map of the input with the patch framed, then the grids."""
    grids = _grids(found, part, scales)
    if found.input.ndim == 3 and part.channel is not None:
        grids.insert(0, ("input", _map(found.input[part.channel], part)))
    height, top = max(grid.height for _, grid in grids), 50
    width = sum(grid.width for _, grid in grids) + GAP * (len(grids) - 1)
    words = where(part)
    if part.kernel is not None:
        words += f": the products sum to {number(float(part.products.sum()))}"
    band = Image.new("RGB", (max(width, width_of(words, 14)), height + top), PAPER)
    pen = ImageDraw.Draw(band)
    write(pen, (0, 16), words, 14, MUTED)
    signs = {"kernel": "×", "weights": "×", "products": "="}
    x = 0
    for name, grid in grids:
        y = top + (height - grid.height) // 2
        if name in signs:
            write(pen, (x - GAP // 2, top + height // 2 + 9), signs[name], 26, INK, "ms")
        write(pen, (x, y - 7), name, 13)
        band.paste(grid, (x, y))
        x += grid.width + GAP
    return band


def _grids(found: Arithmetic, part: Part, scales: _Scales) -> list[tuple[str, Image.Image]]:
    """The patch in the grays of its map, kernel and products in colours; cells of one size."""
    dense = part.channel is None
    arrays = {("features" if dense else "patch"): part.patch}
    if part.kernel is not None:
        arrays |= {("weights" if dense else "kernel"): part.kernel, "products": part.products}
    if dense:
        arrays = {name: _wrapped(array) for name, array in arrays.items()}
    shown = part.patch if dense else found.input[part.channel]
    low, high = float(shown.min()), float(shown.max())
    cell, size = _cell(list(arrays.values()))
    drawn = []
    for name, array in arrays.items():
        if name in ("patch", "features"):
            ground, inside = colours.gray(array, low, high), None if dense else part.inside
        else:
            largest = scales.products if name == "products" else scales.kernel
            ground, inside = colours.signed(array, largest), None
        drawn.append((name, _cells(array, ground, cell, size, inside)))
    if found.worked.how == "largest":
        _frame(drawn[0][1], np.unravel_index(np.argmax(part.patch), part.patch.shape), cell)
    return drawn


def _wrapped(array: np.ndarray) -> np.ndarray:
    """A dense layer's row of features as a grid that is about square; the last places stay empty (NaN)."""
    columns = math.ceil(math.sqrt(array.size))
    filled = np.full(math.ceil(array.size / columns) * columns, np.nan)
    filled[: array.size] = array.ravel()
    return filled.reshape(-1, columns)


def _cell(arrays: list[np.ndarray]) -> tuple[int, int]:
    """Pixels of a cell, and of the numbers in it: 0 where they could not be read."""
    side = max(max(array.shape) for array in arrays)
    if side > 12:
        return max(GRID // side, 3), 0
    words = [word for array in arrays for row in _words(array) for word in row]
    longest = max(words, key=lambda word: width_of(word, 14))
    cell = min(max(GRID // side, 34), 64)
    size = next((s for s in range(16, 10, -1) if width_of(longest, s) <= cell - 6), 10)
    return max(cell, width_of(longest, size) + 6), size


def _words(values: np.ndarray) -> list[list[str]]:
    """Large grids have room for two figures a cell only."""
    return alike(values, 3 if max(values.shape) <= 5 else 2)


def _cells(
    values: np.ndarray, ground: np.ndarray, cell: int, size: int, inside: np.ndarray | None
) -> Image.Image:
    """A grid of coloured cells, numbered where ``size`` is not 0."""
    (rows, columns), words = values.shape, _words(values)
    line = 1 if cell > 8 else 0
    image = Image.new("RGB", (columns * cell + line, rows * cell + line), RULE)
    pen = ImageDraw.Draw(image)
    for i, j in np.ndindex(rows, columns):
        box = (j * cell + line, i * cell + line, (j + 1) * cell - 1, (i + 1) * cell - 1)
        if np.isnan(values[i, j]):
            pen.rectangle(box, PAPER)
            continue
        beyond = inside is not None and not inside[i, j]
        colour = np.array(PADDING) if beyond else ground[i, j]
        pen.rectangle(box, tuple(int(c) for c in colour))
        if size:
            ink = MUTED if beyond else colours.ink_on(colour)
            centre = ((box[0] + box[2] + 1) / 2, (box[1] + box[3] + 1) / 2)
            pen.text(centre, words[i][j], ink, font(words[i][j], size), anchor="mm")
    return image


def _frame(grid: Image.Image, place: tuple[np.intp, ...], cell: int) -> None:
    """A frame around one cell: the one that max pooling took."""
    y, x = int(place[0]) * cell, int(place[1]) * cell
    ImageDraw.Draw(grid).rectangle((x, y, x + cell, y + cell), outline=MARK, width=3)


def _map(channel: np.ndarray, part: Part) -> Image.Image:
    """The input's channel in gray, with the patch framed."""
    height, width = channel.shape
    scale = GRID / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    image = Image.fromarray(colours.gray(channel)).resize(size, Image.Resampling.NEAREST)
    pen = ImageDraw.Draw(image)
    edges = [part.columns[0], part.rows[0], part.columns[-1] + 1, part.rows[-1] + 1]
    x1, y1, x2, y2 = (round(edge * scale) for edge in edges)
    x1, y1, x2, y2 = max(x1, 0), max(y1, 0), min(x2, size[0]) - 1, min(y2, size[1]) - 1
    for grow, colour in ((2, PAPER), (1, MARK), (0, MARK)):
        pen.rectangle((x1 - grow, y1 - grow, x2 + grow, y2 + grow), outline=colour)
    return image
