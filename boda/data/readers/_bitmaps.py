"""What the readers of masks as pictures share: pixels as numbers, and objects from bitmaps."""

from __future__ import annotations

import posixpath

import numpy as np
from PIL import Image

from boda.data.image import open_picture
from boda.data.readers._boxes import Marked, Wrong
from boda.data.tree import Entry
from boda.errors import DataError
from boda.masks import encode

ENDS = ("_mask", "-mask", "_masks", "_instance", "_instances")  # of a mask's stem
EXACT = "Save it as PNG, one whole number a pixel, without smoothing."


def stems(mask: str, ends: tuple[str, ...] = ENDS) -> list[str]:
    """What the picture of a mask may be called, without its suffix; ``ends`` in lower case."""
    stem = posixpath.splitext(posixpath.basename(mask))[0]
    return [stem, *(stem[: -len(end)] for end in ends if stem.casefold().endswith(end))]


def numbers(entry: Entry, size: tuple[int, int]) -> np.ndarray:
    """The pixels of a mask as whole numbers from 0 on, unscaled; a colour is one number.

    Args:
        entry: gray, 16-bit gray, palette (its indices) or colour (R + 256·G + 65536·B, COCO's
            panoptic way; 0 where it is transparent).
        size: (H, W) of its picture.

    Returns:
        (H, W), an unsigned integer type.

    Raises:
        Wrong: no picture, damaged, of another size, lossy, or of a kind that holds no numbers.
    """
    return values_of(loaded(entry, size))


def loaded(entry: Entry, size: tuple[int, int]) -> Image.Image:
    """The decoded mask of a picture of ``size`` (H, W).

    Raises:
        Wrong: no picture, damaged, of another size, lossy, or several in one file.
    """
    try:
        picture = open_picture(entry.read(), entry.source)
    except DataError as error:
        raise Wrong(error.problems[0].why, error.problems[0].fix) from None
    height, width = size
    if picture.size != (width, height):
        turned = picture.size == (height, width)
        why = f"the mask is {picture.width}×{picture.height}, its picture {width}×{height}"
        fix = "Turn the mask as the picture is shown (EXIF)." if turned else "Make them one size."
        raise Wrong(why, fix)
    if picture.format in ("JPEG", "MPO"):
        raise Wrong("is JPEG, which changes the values of a mask", EXACT)
    try:
        frames, most = int(getattr(picture, "n_frames", 1)), _deepest(picture)
        picture.load()
    except Exception as error:  # Pillow's plugins raise whatever the damage makes them raise
        why = f"the {picture.format} picture is damaged ({error})"
        raise Wrong(why, "Get or save it again.") from None
    if frames > 1:
        why = f"holds {frames:,} pictures, of which one can be the mask"
        raise Wrong(why, "Save each as a file of its own.")
    return picture if most == 255 else picture.point([v * most // 255 for v in range(256)])


def _deepest(picture: Image.Image) -> int:
    """The largest number that gray of 2 or 4 bits can hold, which Pillow stretches to 255; or 255."""
    tiles = getattr(picture, "tile", None)
    told = tiles[0][3] if picture.mode == "L" and tiles else None
    kind = str(told[0] if isinstance(told, tuple) and told else told)
    return {"L;2": 3, "L;4": 15}.get(kind[:3], 255)


def values_of(picture: Image.Image) -> np.ndarray:
    """The pixels as whole numbers, see ``numbers``.

    Raises:
        Wrong: negative values, or of a kind that holds no numbers.
    """
    values = np.asarray(picture)
    if picture.mode in ("1", "L", "P"):
        return values.astype(np.uint8)
    if picture.mode.startswith("I"):
        if values.min() < 0:
            raise Wrong("holds negative values", EXACT)
        return values.astype(np.uint32)
    if picture.mode == "LA":
        return np.where(values[..., 1] > 0, values[..., 0], 0)
    if picture.mode not in ("RGB", "RGBA"):
        raise Wrong(f"holds pixels of the kind {picture.mode}, which are no numbers", EXACT)
    parts = values.astype(np.uint32)
    one = parts[..., 0] + (parts[..., 1] << 8) + (parts[..., 2] << 16)
    return np.where(values[..., 3] > 0, one, np.uint32(0)) if values.shape[2] == 4 else one


def add_mask(picture: Marked, name: str, mask: np.ndarray) -> None:
    """Take in one object of the class ``name`` by its mask (H, W) bool, of which a pixel is set."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    picture.add(name, box, outline=encode(mask), area=int(mask.sum()))
