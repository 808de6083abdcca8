"""Decoding: bytes of a picture → (H, W, 3) uint8 RGB; the content decides, never the name.

What becomes of the kinds that are not plain RGB:

- EXIF orientation is applied, so that the array is the way up that people see;
- transparency is composited on white;
- 16-bit gray is taken as full range and divided by 257, 16-bit colour by 256 (Pillow's way);
- 1-bit, palette, gray, CMYK (also the inverted ones Adobe writes) and YCbCr become RGB;
- of several frames (GIF, WebP, TIFF) the first is read;
- 32-bit gray outside 0..65535 and floating point are refused: their range cannot be guessed.

What is damaged is refused, never filled in. No torch here.
"""

from __future__ import annotations

import functools
import importlib
import io
import os
import posixpath
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn

import numpy as np
from PIL import Image, ImageFile

from boda.data.entries import Entry
from boda.errors import DataError

# Which files of a folder are meant to be pictures; what they are is decided by their content.
IMAGE_SUFFIXES = frozenset(
    f".{kind}"
    for kinds in (
        ("jpg", "jpeg", "jpe", "jfif", "mpo", "png", "gif", "webp", "bmp", "dib", "ico"),
        ("tif", "tiff", "ppm", "pgm", "pbm", "pnm", "jp2", "j2k", "avif", "heic", "heif", "hif"),
    )
    for kind in kinds
)
MOST_PIXELS = 178_956_970  # where Pillow itself speaks of a decompression bomb
ORIENTATION = 0x0112

# A short list on purpose: Pillow's other plugins guess without a signature, or start other
# programs.
_PLUGINS = {
    "JPEG": "JpegImagePlugin",
    "MPO": "MpoImagePlugin",
    "PNG": "PngImagePlugin",
    "BMP": "BmpImagePlugin",
    "GIF": "GifImagePlugin",
    "TIFF": "TiffImagePlugin",
    "WEBP": "WebPImagePlugin",
    "PPM": "PpmImagePlugin",
    "JPEG2000": "Jpeg2KImagePlugin",
    "ICO": "IcoImagePlugin",
    "AVIF": "AvifImagePlugin",
}
_TURN = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
_LOOKS: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript document"),
    (b"8BPS", "a Photoshop document"),
    (b"PK\3\4", "a .zip archive or an Office document"),
    (b"\x1f\x8b", "gzip-compressed data"),
    (b"Rar!", "a .rar archive"),
    (b"7z\xbc\xaf", "a .7z archive"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x1aE\xdf\xa3", "a video (Matroska or WebM)"),
    (b"version https://git-lfs", "a Git LFS pointer: the picture itself was not fetched"),
)


@dataclass(frozen=True, slots=True)
class PictureReader:
    """Reads the picture of an entry when called; picklable, so that workers can."""

    entry: Entry

    def __call__(self) -> np.ndarray:
        """(H, W, 3) uint8 RGB; ``DataError`` as ``decode``."""
        return decode(self.entry.read(), self.entry.source)


def is_picture_name(name: str) -> bool:
    """Whether a file's name says that it is meant to be a picture."""
    return posixpath.splitext(name)[1].lower() in IMAGE_SUFFIXES


def decode(data: bytes, source: str) -> np.ndarray:
    """Decode a picture.

    Args:
        data: the whole file.
        source: its path, for the message.

    Returns:
        (H, W, 3) uint8 RGB, the right way up; a fresh array that may be written to.

    Raises:
        DataError: empty, no picture, damaged or truncated, or more than 178 million pixels.
    """
    picture = open_picture(data, source)
    try:
        picture.load()
        # Some kinds have turned themselves while loading, and then no longer say so.
        turn = _TURN.get(_orientation(picture))
        if turn is not None:
            return np.array(_to_rgb(picture, source).transpose(turn))
        return np.array(_to_rgb(picture, source))
    except DataError:
        raise
    except Exception as error:  # Pillow's plugins raise whatever the damage makes them raise
        cut = "truncat" in str(error) or isinstance(error, EOFError)
        what = "is truncated" if cut else "is damaged"
        _fail(source, f"the {picture.format} picture {what} ({error})", "Get or save it again.")


def peek(source: bytes | str | Path | BinaryIO) -> tuple[int, int, str]:
    """Size and mode from the header alone, the EXIF orientation considered.

    Args:
        source: the file's bytes (its beginning is enough), its path, or an open file.

    Returns:
        (width, height, Pillow's mode), for example ``(640, 480, "RGB")``.

    Raises:
        DataError: as ``decode``, but damage after the header is not seen.
    """
    if isinstance(source, bytes):
        name, data = "picture", source
    elif isinstance(source, str | Path):
        name = str(source)
        try:
            with open(source, "rb") as file:
                return _peek(file, name)
        except OSError as error:
            _fail(name, f"cannot be read ({error.strerror})", "Check that it is there.")
    else:
        return _peek(source, str(getattr(source, "name", "picture")))
    return _peek(io.BytesIO(data), name)


def _peek(file: BinaryIO, name: str) -> tuple[int, int, str]:
    head = file.read(4096)
    file.seek(0)
    picture = open_picture(head, name, file)
    (width, height), kind = picture.size, picture.format
    # Pillow gives the size of a TIFF turned already; a PNG without EXIF would be decoded to
    # look for it.
    if kind == "TIFF" or (kind == "PNG" and "exif" not in picture.info):
        return width, height, picture.mode
    if _orientation(picture) >= 5:
        width, height = height, width
    return width, height, picture.mode


def looks_like(data: bytes) -> str:
    """What bytes that are no picture seem to be, in words, for example "a PDF document"."""
    known = next((what for magic, what in _LOOKS if data.startswith(magic)), None)
    if known is not None:
        return known
    if data[4:8] == b"ftyp":
        return "a HEIC picture" if data[8:12] in _HEIC_BRANDS else "a video or an AVIF picture"
    if not data.strip(b"\0"):
        return "nothing but zero bytes"
    begin = data[:1024].lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    if b"<svg" in begin or begin.startswith((b"<!doctype html", b"<html")):
        return "an SVG drawing" if b"<svg" in begin else "a web page (a download that failed?)"
    text = data[:512].decode("utf-8", "ignore")
    readable = sum(letter.isprintable() or letter in "\r\n\t" for letter in text)
    if text and readable == len(text) and len(text.encode()) > 0.9 * len(data[:512]):
        return "text"
    return "no format that is known"


def open_picture(data: bytes, source: str, file: BinaryIO | None = None) -> Image.Image:
    """Open a picture by its header; ``data`` is its beginning where ``file`` holds all of it.

    Raises:
        DataError: empty, no picture, or more than 178 million pixels.
    """
    if not data:
        _fail(source, "the file is empty (0 bytes)", "Get it again or take it away.")
    try:
        picture = _open_heic(data, source, file) if _is_heic(data) else None
        if picture is None:
            picture = Image.open(file or io.BytesIO(data), formats=_formats())
    except DataError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        _fail_bomb(source)
    except (
        Exception
    ) as error:  # a broken header may raise anything, not only UnidentifiedImageError
        _fail_unknown(data, source, error)
    width, height = picture.size
    if width < 1 or height < 1:
        _fail(source, f"the picture has no pixels ({width}x{height})", "Take it away.")
    if width * height > MOST_PIXELS:
        _fail_bomb(source)
    return picture


@functools.cache
def _formats() -> tuple[str, ...]:
    """The formats of ``_PLUGINS`` that this Pillow can open."""
    for plugin in _PLUGINS.values():
        try:
            importlib.import_module(f"PIL.{plugin}")
        except ImportError:  # AVIF came with Pillow 11.3
            continue
    return tuple(name for name in _PLUGINS if name in Image.OPEN)


def _is_heic(data: bytes) -> bool:
    return data[4:8] == b"ftyp" and data[8:12] in _HEIC_BRANDS


def _open_heic(data: bytes, source: str, file: BinaryIO | None) -> Image.Image | None:
    """Open with pillow-heif where it is installed; None for AVIF, which shares HEIC's box."""
    if b"avif" in data[8:40]:
        return None
    try:
        heif = importlib.import_module("pillow_heif.as_plugin")
    except ImportError:
        _fail(
            source,
            "is a HEIC picture, and no decoder for it is installed",
            "Save it as JPEG, or run: pip install pillow-heif",
        )
    opened: ImageFile.ImageFile = heif.HeifImageFile(file or io.BytesIO(data))
    return opened


def _orientation(picture: Image.Image) -> int:
    try:
        return int(picture.getexif().get(ORIENTATION, 1))
    except Exception:  # EXIF that cannot be read says nothing; the picture beside it is sound
        return 1


def _to_rgb(picture: Image.Image, source: str) -> Image.Image:
    mode = picture.mode
    if mode == "RGB" and "transparency" not in picture.info:
        return picture
    if mode.startswith("I"):
        return Image.fromarray(_gray_16(picture, source)).convert("RGB")
    if mode == "F":
        _fail(
            source,
            "holds floating-point values, whose range is not known",
            "Save it as 8-bit or 16-bit PNG.",
        )
    if mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture).convert("RGB")
    return picture.convert("RGB")


def _gray_16(picture: Image.Image, source: str) -> np.ndarray:
    """Full-range 16-bit gray as 8 bits: 65535 / 257 = 255."""
    values = np.asarray(picture).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        _fail(
            source,
            f"holds values {values.min()}..{values.max()}, beyond 16-bit gray",
            "Save it as 8-bit or 16-bit PNG.",
        )
    return ((values + 128) // 257).astype(np.uint8)


def _fail_unknown(data: bytes, source: str, error: Exception) -> NoReturn:
    what = looks_like(data)
    if what == "no format that is known" and not isinstance(error, Image.UnidentifiedImageError):
        _fail(source, f"the picture's header is damaged ({error})", "Get or save it again.")
    if any(
        data.startswith(sign) for sign in (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"BM")
    ):
        _fail(source, "the picture is truncated or damaged in its header", "Get or save it again.")
    _fail(
        source,
        f"is not a picture: it looks like {what}",
        "Take it away, or put the picture in its place.",
    )


def _fail_bomb(source: str) -> NoReturn:
    _fail(
        source,
        f"claims more than {MOST_PIXELS:,} pixels: a decompression bomb, or far too large",
        "Make it smaller or take it away.",
    )


def _fail(source: str, why: str, fix: str) -> NoReturn:
    raise DataError(why, file=os.fspath(source), fix=fix)
