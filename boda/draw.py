"""A prediction as a picture: the best classes in a panel below it, or what it found on it. No torch.

Everything is (H, W, 3) uint8 RGB.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from boda.data.image import decode
from boda.draw_maps import with_map
from boda.draw_objects import with_boxes, with_masks
from boda.errors import DataError
from boda.fonts import label_font, text_font
from boda.pen import (
    BLUE,
    INK,
    MUTED,
    PALE_BLUE,
    PALETTE,
    PAPER,
    RULE,
    TINY,
    TRACK,
    disc,
    fitted,
    height_of,
    percent,
    shorten,
    tag,
)
from boda.types import Prediction

SMALLEST, LARGEST = 224, 1024  # longer side of a drawn classification, pixels
NAMED = 12  # points of a picture whose names are written beside them


def draw(prediction: Prediction, classes: Sequence[str] | None = None) -> np.ndarray:
    """The picture with what the network said about it.

    Args:
        prediction: where it is a picture itself, that is returned. With masks, boxes or points, they
            are drawn on the picture (of masks and boxes the masks); with a map, its colours, and a
            legend beside the picture or below it; else ``labels`` and ``scores`` stand in a panel
            below it, best first. Without either, the picture is returned as it is.
        classes: the names of all, for a legend that is the same on all frames of a video.

    Returns:
        (H', W', 3) uint8: masks, boxes and points keep the picture's size, a map's legend stands
        outside it; with a panel, the picture's longer side is brought to 224..1024 pixels (pixels of
        tiny ones become squares).

    Raises:
        DataError: the picture is not there any more, or cannot be read.
    """
    return _drawn(prediction, classes) if prediction.image is None else prediction.image


def _drawn(prediction: Prediction, classes: Sequence[str] | None) -> np.ndarray:
    picture = _picture_of(prediction)
    if prediction.points is not None:
        return _with_points(picture, prediction)
    if prediction.areas is not None:
        return with_map(picture, prediction, classes)
    if prediction.masks is not None:
        return with_masks(picture, prediction)
    if prediction.boxes is not None:
        return with_boxes(picture, prediction)
    if prediction.labels is None or len(prediction.labels) == 0:
        return picture
    return _with_panel(picture, prediction)


def png(array: np.ndarray) -> bytes:
    """A PNG file's bytes of an (H, W, 3) or (H, W) uint8 picture."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(array)).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _picture_of(prediction: Prediction) -> np.ndarray:
    if prediction._picture is not None:
        return prediction._picture
    path = Path(prediction.source)
    fix = "Predict again, or put the picture back where it was."
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataError("the picture to draw on is not there", file=path, fix=fix) from None
    except OSError as error:
        raise DataError(f"the picture cannot be read: {error}", file=path, fix=fix) from None
    return decode(data, prediction.source)


def _shown(picture: np.ndarray) -> Image.Image:
    """The picture at the size in which it is shown over its panel."""
    longer = max(picture.shape[:2])
    if longer <= TINY:  # rounded up, so that a 100-pixel limit never leaves it under 224
        return fitted(picture, longer * math.ceil(SMALLEST / longer))
    if SMALLEST <= longer <= LARGEST:
        return Image.fromarray(np.ascontiguousarray(picture)).convert("RGB")
    return fitted(picture, min(max(longer, SMALLEST), LARGEST))


def _with_panel(picture: np.ndarray, prediction: Prediction) -> np.ndarray:
    image, rows = _shown(picture), _rows(prediction)
    width = max(image.width, SMALLEST)
    text = min(max(width // 18, 13), 24)
    pad, bar = text, max(4, text // 3)
    step = text + bar + round(text * 1.05)
    panel = 2 * pad + step * len(rows) - round(text * 0.6)
    canvas = Image.new("RGB", (width, image.height + panel), PAPER)
    canvas.paste(image, ((width - image.width) // 2, 0))
    pen = ImageDraw.Draw(canvas)
    pen.line((0, image.height, width, image.height), RULE)
    for i, (name, number, score) in enumerate(rows):
        y = image.height + pad + i * step
        told = percent(score)
        share, font = text_font(told, told, text)
        right = width - pad - font.getlength(share)
        ink, fill = (INK, BLUE) if i == 0 else (MUTED, PALE_BLUE)
        pen.text((right, y + text), share, ink, font, anchor="ls")
        label, font = label_font(name, number, text)
        pen.text((pad, y + text), shorten(label, font, right - 2 * pad), ink, font, anchor="ls")
        _bar(canvas, (pad, y + text + round(text * 0.4), width - 2 * pad, bar), score, fill)
    return np.asarray(canvas)


def _rows(prediction: Prediction) -> list[tuple[str, int, float]]:
    """(name, class, score) per line, best first; a class without a name is its number."""
    assert prediction.labels is not None
    labels = [int(label) for label in prediction.labels]
    names = prediction.names or [f"class {label}" for label in labels]
    scores = [0.0] * len(labels) if prediction.scores is None else prediction.scores.tolist()
    return list(zip(names, labels, scores, strict=True))


def _bar(canvas: Image.Image, box: tuple[int, int, int, int], share: float, fill: tuple) -> None:
    """A rounded bar at x, y, width, height; drawn four times as large for smooth ends."""
    x, y, width, height = box
    large = Image.new("RGB", (width * 4, height * 4), PAPER)
    pen, radius = ImageDraw.Draw(large), height * 2
    pen.rounded_rectangle((0, 0, width * 4 - 1, height * 4 - 1), radius, TRACK)
    length = round(width * 4 * min(max(share, 0.0), 1.0))
    if length > 0:  # never shorter than the bar is high, so that a small share is still a dot
        pen.rounded_rectangle((0, 0, max(length, height * 4) - 1, height * 4 - 1), radius, fill)
    canvas.paste(large.resize((width, height), Image.Resampling.LANCZOS), (x, y))


def _with_points(picture: np.ndarray, prediction: Prediction) -> np.ndarray:
    """Small discs; their names beside them where they are few."""
    image = Image.fromarray(np.ascontiguousarray(picture)).convert("RGB")
    points = np.asarray(prediction.points, float)[:, :2]
    longer = max(image.size)
    radius, text = min(max(longer / 110, 1.5), 8), min(max(longer // 45, 10), 28)
    pen = ImageDraw.Draw(image)
    named = prediction.names is not None and len(points) <= NAMED and longer >= SMALLEST
    for i, point in enumerate(points):
        colour = PALETTE[i % len(PALETTE)] if len(points) <= NAMED else PALETTE[1]
        disc(pen, point, radius, colour)
        if named and prediction.names is not None:
            label, font = label_font(prediction.names[i], i, text)
            corner = (round(point[0] + radius) + 2, round(point[1] + height_of(font) * 0.7))
            tag(pen, label, font, corner, colour, image.size)
    return np.asarray(image)
