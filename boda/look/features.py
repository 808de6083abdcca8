"""What a layer makes of a picture: its feature maps, as numbers and as one labelled picture."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor, nn

from boda.errors import UsageError
from boda.fonts import text_font
from boda.look import colours
from boda.look.copying import layers
from boda.look.watching import see_layer
from boda.pen import INK, MUTED, PAPER, RULE

MOST = 64  # maps that one picture shows
CELL, GAP, MARGIN, LABEL = 128, 14, 26, 20  # pixels


def layer_names(module: nn.Module) -> list[str]:
    """The names of the leaf layers, in order of definition; these are what ``look`` takes."""
    return [*layers(module)]


def feature_maps(module: nn.Module, image: Tensor, layer: str) -> np.ndarray:
    """The output of a layer for one picture, in evaluation mode; of several uses the first.

    Args:
        module: a network of one input; it is left as it is.
        image: (C, H, W) float, normalized as the network wants it.
        layer: a name of ``layer_names``, or of a module with layers inside.

    Returns:
        (C, H, W) float32; (C, 1, 1) where the output has no height and width.

    Raises:
        UsageError: an unknown or unused layer, or a picture that the network cannot take.
    """
    output = see_layer(module, image, layer).output[0].float().cpu().numpy()
    if output.ndim < 3:
        return output.reshape(-1, 1, 1)
    return output if output.ndim == 3 else output.reshape(-1, *output.shape[-2:])


def grid(maps: np.ndarray, title: str = "", most: int = MOST) -> np.ndarray:
    """Feature maps side by side, each with its number and its range.

    One colour scale for all maps, so that a weak map looks weak: from blue through white (zero) to red where
    values of both signs are there, else from violet to yellow. A vector is shown as one strip of cells.

    Args:
        maps: (C, H, W); (C, 1, 1) is a vector.
        title: written above.
        most: maps that are drawn; of more, the first ones, and the title says so.

    Returns:
        (H', W', 3) uint8.

    Raises:
        UsageError: not three dimensions, or no maps.
    """
    if maps.ndim != 3 or 0 in maps.shape:
        raise UsageError(f"feature maps are (C, H, W), not an array of shape {maps.shape}.")
    if maps.shape[1:] == (1, 1):
        return _framed(_strip(maps[:, 0, 0]), title, maps)
    shown = maps[:most]
    if len(shown) < len(maps):
        title = f"{title} · the first {len(shown)} of {len(maps)}".strip(" ·")
    columns = _columns(len(shown), maps.shape)
    small = [_cell(channel, maps) for channel in shown]
    width, height = small[0].width, small[0].height
    rows = math.ceil(len(small) / columns)
    size = (columns * (width + GAP) - GAP, rows * (height + LABEL + GAP) - GAP)
    sheet = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(sheet)
    for i, cell in enumerate(small):
        x, y = (i % columns) * (width + GAP), (i // columns) * (height + LABEL + GAP)
        sheet.paste(cell, (x, y + LABEL))
        pen.rectangle((x, y + LABEL, x + width - 1, y + LABEL + height - 1), outline=RULE)
        label, font = text_font(str(i), str(i), 13)
        pen.text((x, y + LABEL - 5), label, INK, font, anchor="ls")
    return _framed(sheet, title, maps)


def _columns(count: int, shape: tuple[int, ...]) -> int:
    """A sheet of about four to three, with full rows where that is near."""
    ideal = math.sqrt(count * 4 / 3 * shape[1] / shape[2])
    choices = range(1, min(count, 12) + 1)
    return min(choices, key=lambda n: abs(math.log(n / ideal)) + 0.5 * (-count % n) / n)


def _cell(channel: np.ndarray, maps: np.ndarray) -> Image.Image:
    """A map at about 128 pixels: small ones in hard-edged squares, their values are to be seen."""
    scale = CELL / max(channel.shape)
    whole = max(1, round(scale)) if scale >= 1 else scale
    size = (max(1, round(channel.shape[1] * whole)), max(1, round(channel.shape[0] * whole)))
    how = Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.LANCZOS
    return Image.fromarray(_colour(channel, maps)).resize(size, how)


def _colour(values: np.ndarray, all_values: np.ndarray) -> np.ndarray:
    low, high = float(all_values.min()), float(all_values.max())
    if low < 0 < high:
        return colours.signed(values, max(-low, high))
    return colours.sequential(values, low, high)


def _strip(values: np.ndarray) -> Image.Image:
    """A vector as rows of at most 20 cells, each with its number above."""
    columns, cell = min(20, len(values)), 40
    rows = math.ceil(len(values) / columns)
    sheet = Image.new("RGB", (columns * (cell + 2), rows * (cell + LABEL)), PAPER)
    pen = ImageDraw.Draw(sheet)
    ground = _colour(values, values)
    for i, colour in enumerate(ground):
        x, y = (i % columns) * (cell + 2), (i // columns) * (cell + LABEL)
        pen.text((x, y + LABEL - 5), str(i), MUTED, text_font(str(i), str(i), 12)[1], anchor="ls")
        pen.rectangle(
            (x, y + LABEL, x + cell - 1, y + LABEL + cell - 1), tuple(map(int, colour)), RULE
        )
        word = f"{values[i]:.2f}" if abs(values[i]) < 100 else f"{values[i]:.0f}"
        font = text_font(word, word, 11)[1]
        pen.text(
            (x + cell / 2, y + LABEL + cell / 2), word, colours.ink_on(colour), font, anchor="mm"
        )
    return sheet


def _framed(sheet: Image.Image, title: str, maps: np.ndarray) -> np.ndarray:
    """A title above, a colour scale with its numbers below."""
    head = 40 if title else 0
    scale_width = 200
    words, font = text_font(title, title.encode("ascii", "replace").decode(), 18)
    inner = max(sheet.width, math.ceil(font.getlength(words)), scale_width + 180)
    canvas = Image.new("RGB", (inner + 2 * MARGIN, head + sheet.height + 56 + 2 * MARGIN), PAPER)
    pen = ImageDraw.Draw(canvas)
    if title:
        pen.text((MARGIN, MARGIN + 16), words, INK, font, anchor="ls")
    canvas.paste(sheet, (MARGIN, MARGIN + head))
    y = MARGIN + head + sheet.height + 28
    low, high = float(maps.min()), float(maps.max())
    if low < 0 < high:
        low, high = -max(-low, high), max(-low, high)
    ramp = _colour(np.linspace(low, high, scale_width)[None].repeat(12, 0), maps)
    left = MARGIN + math.ceil(text_font(f"{low:.3g}", "", 13)[1].getlength(f"{low:.3g}")) + 8
    pen.text((MARGIN, y + 11), f"{low:.3g}", MUTED, text_font(f"{low:.3g}", "", 13)[1], anchor="ls")
    canvas.paste(Image.fromarray(ramp), (left, y))
    pen.text(
        (left + scale_width + 8, y + 11),
        f"{high:.3g}",
        MUTED,
        text_font("0", "", 13)[1],
        anchor="ls",
    )
    return np.asarray(canvas)
