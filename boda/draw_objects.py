"""Objects on a picture: boxes, or translucent masks with contours, each with its name. No torch."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from boda import masks as bitmaps
from boda.fonts import label_font
from boda.pen import PALETTE, percent, tag
from boda.types import Prediction

Colour = tuple[int, int, int]

# How far an object's shade is from its class's colour, towards white or (below 0) black: the objects
# of a class take turns, so that those that touch are told apart.
SHADES = (0.0, 0.4, -0.35, 0.2, -0.2, 0.6)
COVER = 0.45  # how much of a pixel a mask's colour hides


def with_boxes(picture: np.ndarray, prediction: Prediction) -> np.ndarray:
    """The picture with boxes and names, the surest on top.

    Args:
        picture: (H, W, 3) uint8.
        prediction: with ``boxes``.

    Returns:
        (H, W, 3) uint8.
    """
    image = Image.fromarray(np.ascontiguousarray(picture)).convert("RGB")
    boxes = np.asarray(prediction.boxes, float).reshape(-1, 4)
    pen, line = ImageDraw.Draw(image), _line(image.size)
    for i in _rising(prediction, len(boxes)):
        colour = PALETTE[_label(prediction, i) % len(PALETTE)]
        corner = _box(pen, boxes[i], colour, line)
        _name(pen, prediction, i, corner, colour, image.size)
    return np.asarray(image)


def with_masks(picture: np.ndarray, prediction: Prediction) -> np.ndarray:
    """The picture with masks and names: where objects overlap, the surest one's is seen.

    The box is drawn only where an object has no pixel.

    Args:
        picture: (H, W, 3) uint8.
        prediction: with ``masks``, (N, H, W) bool.

    Returns:
        (H, W, 3) uint8.
    """
    masks = np.asarray(prediction.masks)
    filled = np.array(picture)
    tight = bitmaps.boxes(masks)
    boxes = tight if prediction.boxes is None else np.asarray(prediction.boxes, float)
    boxes = boxes.reshape(-1, 4)
    colours, order = _shades(prediction, len(masks)), _rising(prediction, len(masks))
    size = picture.shape[1], picture.shape[0]
    for i in order:
        x1, y1, x2, y2 = tight[i].astype(int).tolist()
        place = np.s_[y1:y2, x1:x2]
        _fill(filled[place], picture[place], masks[i][place], colours[i], _line(size))
    image = Image.fromarray(filled)
    pen = ImageDraw.Draw(image)
    for i in order:
        corner = round(boxes[i, 0]), round(boxes[i, 1])
        if not tight[i].any():
            corner = _box(pen, boxes[i], colours[i], 1)
        _name(pen, prediction, i, corner, colours[i], size)
    return np.asarray(image)


def _fill(
    out: np.ndarray, picture: np.ndarray, mask: np.ndarray, colour: Colour, line: int
) -> None:
    """Cover an object's pixels in ``out``; its rim, ``line`` pixels inside, wholly."""
    mixed = (1 - COVER) * picture[mask] + COVER * np.array(colour)
    out[mask] = np.round(mixed).astype(np.uint8)
    inner = np.pad(mask, line)
    for _ in range(line):
        core = inner[1:-1, 1:-1]
        sides = inner[:-2, 1:-1] & inner[2:, 1:-1] & inner[1:-1, :-2] & inner[1:-1, 2:]
        inner = core & sides
    out[mask & ~inner] = colour


def _shades(prediction: Prediction, count: int) -> list[Colour]:
    """Each object's colour: its class's, and the next shade for each next object of the class."""
    out, seen = [], dict[int, int]()
    for i in range(count):
        label = _label(prediction, i)
        turn = seen.get(label, 0)
        seen[label] = turn + 1
        amount = SHADES[turn % len(SHADES)]
        colour = np.array(PALETTE[label % len(PALETTE)])
        aim = 255 if amount > 0 else 0
        red, green, blue = np.round(colour + abs(amount) * (aim - colour)).astype(int).tolist()
        out.append((red, green, blue))
    return out


def _rising(prediction: Prediction, count: int) -> list[int]:
    """The surest last; of equal ones the last."""
    if prediction.scores is None:
        return list(range(count))
    return [int(i) for i in np.argsort(prediction.scores, kind="stable")]


def _label(prediction: Prediction, i: int) -> int:
    return 0 if prediction.labels is None else int(prediction.labels[i])


def _line(size: tuple[int, int]) -> int:
    return min(max(max(size) // 300, 2), 6)


def _box(pen: ImageDraw.ImageDraw, box: np.ndarray, colour: Colour, line: int) -> tuple[int, int]:
    """Draw a box and return its upper left pixel."""
    # Continuous edges: the box [0, 0, 3, 4] covers pixels 0..2 and 0..3.
    left, top = round(box[0]), round(box[1])
    right, bottom = max(round(box[2]) - 1, left), max(round(box[3]) - 1, top)
    pen.rectangle((left, top, right, bottom), outline=colour, width=line)
    return left, top


def _name(
    pen: ImageDraw.ImageDraw,
    prediction: Prediction,
    i: int,
    corner: tuple[int, int],
    colour: Colour,
    size: tuple[int, int],
) -> None:
    number = _label(prediction, i)
    name = prediction.names[i] if prediction.names else f"class {number}"
    label, font = label_font(name, number, min(max(max(size) // 40, 12), 32))
    if prediction.scores is not None:
        label = f"{label} {percent(float(prediction.scores[i]))}"
    tag(pen, label, font, corner, colour, size)
