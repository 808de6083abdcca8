"""A prediction as a picture: the best classes in a panel below it, labelled boxes on it. No torch.

Everything is (H, W, 3) uint8 RGB. Text and ground differ by a contrast of at least 4.5 : 1.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from boda.data.image import decode
from boda.errors import DataError
from boda.fonts import Font, label_font, text_font
from boda.types import Prediction

SMALLEST, LARGEST = 224, 1024  # longer side of a drawn classification, pixels
TINY = 96  # up to here a picture is enlarged in hard-edged squares: its pixels are to be seen
NAMED = 12  # points of a picture whose names are written beside them
PAPER, TRACK, RULE = (255, 255, 255), (233, 237, 242), (222, 227, 233)
INK, MUTED = (28, 32, 38), (92, 101, 112)
BLUE, PALE_BLUE = (37, 99, 208), (148, 180, 230)
GREEN, RED = (22, 122, 62), (190, 38, 38)
# Okabe & Ito's colours for boxes, told apart with every kind of colour vision.
PALETTE = (
    (0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167),
    (230, 159, 0), (86, 180, 233), (240, 228, 66), (90, 90, 90),
)  # fmt: skip


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


def draw(prediction: Prediction) -> np.ndarray:
    """The picture with what the network said about it.

    Args:
        prediction: with boxes or points, they are drawn on the picture; else ``labels`` and ``scores`` stand
            in a panel below it, best first. Without either, the picture is returned as it is.

    Returns:
        (H', W', 3) uint8: boxes and points keep the picture's size; with a panel, the picture's
        longer side is brought to 224..1024 pixels (pixels of tiny pictures become squares).

    Raises:
        DataError: the picture is not there any more, or cannot be read.
    """
    picture = _picture_of(prediction)
    if prediction.points is not None:
        return _with_points(picture, prediction)
    if prediction.boxes is not None:
        return _with_boxes(picture, prediction)
    if prediction.labels is None or len(prediction.labels) == 0:
        return picture
    return _with_panel(picture, prediction)


def png(array: np.ndarray) -> bytes:
    """A PNG file's bytes of an (H, W, 3) or (H, W) uint8 picture."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(array)).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


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
        small = _fit(picture, cell)
        left, top = x + (cell - small.width) // 2, y + (cell - small.height) // 2
        sheet.paste(small, (left, top))
        pen.rectangle((left - 1, top - 1, left + small.width, top + small.height), outline=RULE)
        _write_caption(pen, note, x, y + cell + 8, cell, line)
    return np.asarray(sheet)


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
        text = name if score is None else f"{name} {_percent(score)}"
        label, font = text_font(text, _percent(score or 0), 12)
        _tag(pen, label, font, (x1, y1), PALETTE[1], image.size)
    for box, _, _ in there:
        _dashed(pen, [round(float(v) * ratio) for v in box])
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
    image = _fit(picture, side)
    ratio = image.width / picture.shape[1]
    pen = ImageDraw.Draw(image)
    for point in there * ratio:
        _disc(pen, point, 3.5, None)
    for point in said * ratio:
        _disc(pen, point, 2, PALETTE[1])
    return np.asarray(image)


def _disc(
    pen: ImageDraw.ImageDraw,
    place: np.ndarray,
    radius: float,
    colour: tuple[int, int, int] | None,
) -> None:
    """A disc with a black rim, or without a colour a white ring on a black one."""
    x, y = float(place[0]) - 0.5, float(place[1]) - 0.5  # Pillow counts from the pixels' middles
    box = (x - radius, y - radius, x + radius, y + radius)
    if colour is None:
        pen.ellipse(box, outline=(0, 0, 0), width=3)
        box = (box[0] + 1, box[1] + 1, box[2] - 1, box[3] - 1)
    pen.ellipse(box, fill=colour, outline=PAPER if colour is None else (0, 0, 0), width=1)


def _dashed(pen: ImageDraw.ImageDraw, box: list[int], dash: int = 6) -> None:
    """A white dashed outline on a black one: seen on every ground."""
    x1, y1, x2, y2 = box[0], box[1], max(box[0], box[2] - 1), max(box[1], box[3] - 1)
    pen.rectangle((x1, y1, x2, y2), outline=(0, 0, 0), width=2)
    for x in range(x1, x2, 2 * dash):
        for y in (y1, y2):
            pen.line((x, y, min(x + dash, x2), y), PAPER, 2)
    for y in range(y1, y2, 2 * dash):
        for x in (x1, x2):
            pen.line((x, y, x, min(y + dash, y2)), PAPER, 2)


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


def _fit(picture: np.ndarray, side: int) -> Image.Image:
    """The picture with its longer side near ``side``: tiny ones enlarged by a whole factor."""
    image = Image.fromarray(np.ascontiguousarray(picture)).convert("RGB")
    longer = max(image.size)
    if longer <= min(TINY, side):
        factor = side // longer
        return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    ratio = side / longer
    size = (max(1, round(image.width * ratio)), max(1, round(image.height * ratio)))
    return image.resize(size, Image.Resampling.LANCZOS)


def _shown(picture: np.ndarray) -> Image.Image:
    """The picture at the size in which it is shown over its panel."""
    longer = max(picture.shape[:2])
    if longer <= TINY:  # rounded up, so that a 100-pixel limit never leaves it under 224
        return _fit(picture, longer * math.ceil(SMALLEST / longer))
    if SMALLEST <= longer <= LARGEST:
        return Image.fromarray(np.ascontiguousarray(picture)).convert("RGB")
    return _fit(picture, min(max(longer, SMALLEST), LARGEST))


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
        percent = _percent(score)
        share, font = text_font(percent, percent, text)
        right = width - pad - font.getlength(share)
        ink, fill = (INK, BLUE) if i == 0 else (MUTED, PALE_BLUE)
        pen.text((right, y + text), share, ink, font, anchor="ls")
        label, font = label_font(name, number, text)
        pen.text((pad, y + text), _shorten(label, font, right - 2 * pad), ink, font, anchor="ls")
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


def _with_boxes(picture: np.ndarray, prediction: Prediction) -> np.ndarray:
    image = Image.fromarray(np.ascontiguousarray(picture)).convert("RGB")
    boxes = np.asarray(prediction.boxes, float).reshape(-1, 4)
    longer = max(image.size)
    text, line = min(max(longer // 40, 12), 32), min(max(longer // 300, 2), 6)
    pen = ImageDraw.Draw(image)
    scores = prediction.scores if prediction.scores is not None else np.ones(len(boxes))
    for i in np.argsort(scores, kind="stable"):  # the surest last: its label stays on top
        number = int(prediction.labels[i]) if prediction.labels is not None else 0
        name = prediction.names[i] if prediction.names else f"class {number}"
        colour = PALETTE[number % len(PALETTE)]
        # Continuous edges: the box [0, 0, 3, 4] covers pixels 0..2 and 0..3.
        x1, y1, x2, y2 = boxes[i]
        left, top = round(x1), round(y1)
        right, bottom = max(round(x2) - 1, left), max(round(y2) - 1, top)
        pen.rectangle((left, top, right, bottom), outline=colour, width=line)
        label, font = label_font(name, number, text)
        if prediction.scores is not None:
            label = f"{label} {_percent(float(scores[i]))}"
        _tag(pen, label, font, (left, top), colour, image.size)
    return np.asarray(image)


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
        _disc(pen, point, radius, colour)
        if named and prediction.names is not None:
            label, font = label_font(prediction.names[i], i, text)
            corner = (round(point[0] + radius) + 2, round(point[1] + _height(font) * 0.7))
            _tag(pen, label, font, corner, colour, image.size)
    return np.asarray(image)


def _tag(
    pen: ImageDraw.ImageDraw,
    label: str,
    font: Font,
    corner: tuple[int, int],
    colour: tuple[int, int, int],
    size: tuple[int, int],
) -> None:
    """A label on its colour, above the box's corner or, at the picture's edge, inside the box."""
    pad, height = 4, round(_height(font) * 1.35)
    label = _shorten(label, font, size[0] - 2 * pad)
    width = math.ceil(font.getlength(label)) + 2 * pad
    x = min(max(corner[0], 0), max(size[0] - width, 0))
    y = corner[1] - height if corner[1] >= height else max(corner[1], 0)
    pen.rectangle((x, y, x + width - 1, y + height - 1), colour)
    # sRGB luma over 150 of 255 is a light ground, on which white could not be read.
    light = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 150
    pen.text((x + pad, y + height / 2), label, INK if light else PAPER, font, anchor="lm")


def _write_caption(
    pen: ImageDraw.ImageDraw, note: Caption, x: int, y: int, width: int, line: int
) -> None:
    ink = {True: GREEN, False: RED, None: INK}[note.correct]
    for i, part in enumerate(note.text.split("\n")):
        label, font = text_font(part, note.instead if i == 0 else "", 14)
        sign = 16 if note.correct is not None and i == 0 else 0
        label = _shorten(label, font, width - sign)
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


def _shorten(text: str, font: Font, width: float) -> str:
    """``text`` cut with "..." so that it is at most ``width`` pixels wide."""
    if font.getlength(text) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        fits = font.getlength(text[:middle].rstrip() + "...") <= width
        low, high = (middle, high) if fits else (low, middle - 1)
    return text[:low].rstrip() + "..." if low else ""


def _height(font: Font) -> float:
    return float(getattr(font, "size", 11))


def _percent(score: float) -> str:
    """``97.3 %``; 100 only for a score that is exactly 1, so that certainty is never feigned."""
    rounded = f"{100 * score:.1f}"
    return ">99.9 %" if rounded == "100.0" and score < 1 else f"{rounded} %"
