"""Decoding: every kind of picture, and everything that is none."""

from __future__ import annotations

import io
import pickle
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from boda.data.image import PictureReader, decode, is_picture_name, looks_like, peek
from boda.data.tree import open_tree
from boda.errors import DataError

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (12, 20, 3), dtype=np.uint8)


def encoded(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def rgb(pixels: np.ndarray = PIXELS) -> Image.Image:
    return Image.fromarray(pixels)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "WEBP"])
def test_lossless_kinds_come_out_to_the_byte(kind: str) -> None:
    data = encoded(rgb(), kind, **({"lossless": True} if kind == "WEBP" else {}))
    out = decode(data, "a")
    assert out.dtype == np.uint8
    assert out.flags.writeable
    np.testing.assert_array_equal(out, PIXELS)
    assert peek(data) == (20, 12, "RGB")


def test_jpeg_is_what_pillow_decodes() -> None:
    data = encoded(rgb(), "JPEG")
    np.testing.assert_array_equal(decode(data, "a.png"), np.asarray(Image.open(io.BytesIO(data))))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_orientation(orientation: int, kind: str) -> None:
    # By its definition: where the stored row 0 and column 0 are when seen the right way up.
    seen = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: a.transpose(1, 0, 2)[:, ::-1],
        7: lambda a: a.transpose(1, 0, 2)[::-1, ::-1],
        8: lambda a: a.transpose(1, 0, 2)[::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    plain = decode(encoded(rgb(), kind, **options), "a")
    data = encoded(rgb(), kind, exif=exif, **options)
    out = decode(data, "a")
    np.testing.assert_array_equal(out, seen(plain))
    assert peek(data)[:2] == (out.shape[1], out.shape[0])


def test_gray_palette_and_one_bit() -> None:
    gray = PIXELS[..., 0]
    np.testing.assert_array_equal(decode(encoded(rgb(gray)), "a"), np.stack([gray] * 3, -1))
    bits = gray > 128
    out = decode(encoded(Image.fromarray(bits)), "a")
    np.testing.assert_array_equal(out[..., 1], bits * 255)
    palette = rgb().quantize(16)
    expected = np.asarray(palette.convert("RGB"))
    np.testing.assert_array_equal(decode(encoded(palette), "a"), expected)


def test_sixteen_bit_gray_is_full_range() -> None:
    values = np.array([[0, 257, 257 * 100, 65535, 128, 129]], np.uint16)
    for kind in ("PNG", "TIFF", "PPM"):
        out = decode(encoded(Image.fromarray(values), kind), "a")
        assert out[0, :, 0].tolist() == [0, 1, 100, 255, 0, 1]
        assert out.shape == (1, 6, 3)


def png(width: int, height: int, depth: int, color: int, raw: bytes) -> bytes:
    """A PNG by hand."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", crc)

    header = struct.pack(">LLBBBBB", width, height, depth, color, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def test_sixteen_bit_colour() -> None:
    raw = b"\0" + struct.pack(">6H", 0, 0x80FF, 0xFFFF, 0x1234, 0, 0)
    assert decode(png(2, 1, 16, 2, raw), "a").tolist() == [[[0, 128, 255], [0x12, 0, 0]]]


def test_transparency_is_composited_on_white() -> None:
    rgba = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [0, 0, 0, 128]]], np.uint8)
    out = decode(encoded(Image.fromarray(rgba)), "a")
    assert out[0].tolist() == [[10, 20, 30], [255, 255, 255], [127, 127, 127]]
    la = Image.fromarray(rgba).convert("LA")
    assert decode(encoded(la), "a")[0, 1].tolist() == [255, 255, 255]
    palette = rgb(np.zeros((2, 2), np.uint8)).convert("P")
    assert (decode(encoded(palette, transparency=0), "a") == 255).all()
    black = rgb(np.zeros((2, 2, 3), np.uint8))
    assert (decode(encoded(black, transparency=(0, 0, 0)), "a") == 255).all()


def test_cmyk_jpeg_also_inverted() -> None:
    plain = np.full((8, 8, 3), (200, 40, 90), np.uint8)
    data = encoded(rgb(plain).convert("CMYK"), "JPEG", quality=95)
    assert np.abs(decode(data, "a").astype(int) - plain).max() < 12


def test_first_frame_of_animations() -> None:
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    for kind in ("GIF", "WEBP", "TIFF"):
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        out = decode(data, "a")
        assert out.shape == (4, 4, 3)
        red, _, blue = out[0, 0]
        assert red > 200
        assert blue < 50


@pytest.mark.parametrize(
    ("data", "why", "fix"),
    [
        (b"", "empty .0 bytes", "again"),
        (b"Just some words.\nAnd more.", "not a picture: it looks like text", "Take it away"),
        ("그냥 글".encode(), "text", ""),
        (b"%PDF-1.7 ...", "a PDF document", ""),
        (b"<!DOCTYPE html><html>404", "web page", ""),
        (b'<?xml version="1.0"?><svg>', "SVG", ""),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS", ""),
        (bytes(200), "nothing but zero bytes", ""),
        (b"PK\3\4....", r"\.zip archive", ""),
        (bytes(range(128, 256)), "no format that is known", ""),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "PostScript", ""),
        (b"\0\0\0\x18ftypisom" + bytes(20), "video", ""),
    ],
)
def test_what_is_no_picture(data: bytes, why: str, fix: str) -> None:
    with pytest.raises(DataError, match=rf"cat/1\.jpg: .*{why}.*{fix}"):
        decode(data, "cat/1.jpg")
    with pytest.raises(DataError):
        peek(data)


def test_heic_without_a_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setitem(sys.modules, "pillow_heif.as_plugin", None)
    with pytest.raises(DataError, match=r"HEIC.*pip install pillow-heif"):
        decode(b"\0\0\0\x1cftypheic\0\0\0\0mif1heic" + bytes(100), "폰.heic")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_truncated_pictures_are_refused(kind: str, share: float) -> None:
    pixels = RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encoded(rgb(pixels), kind)
    with pytest.raises(DataError, match=r"(truncated|damaged|header)"):
        decode(data[: int(len(data) * share)], "a.jpg")


def test_progressive_jpeg_truncated() -> None:
    data = encoded(rgb(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)), "JPEG", progressive=True)
    with pytest.raises(DataError, match=r"JPEG picture is truncated"):
        decode(data[:-200], "a.jpg")


def test_decompression_bomb() -> None:
    data = png(60000, 60000, 8, 2, b"")
    before = Image.MAX_IMAGE_PIXELS
    with pytest.raises(DataError, match=r"178,956,970 pixels: a decompression bomb"):
        decode(data, "bomb.png")
    assert before == Image.MAX_IMAGE_PIXELS


def test_no_pixels() -> None:
    with pytest.raises(DataError):
        decode(b"P6 0 0 255\n", "a.ppm")
    with pytest.raises(DataError):
        decode(png(0, 5, 8, 2, b""), "a.png")


def test_floating_point_and_wide_integers_are_refused() -> None:
    floats = np.zeros((3, 3), np.float32)
    with pytest.raises(DataError, match=r"floating-point.*PNG"):
        decode(encoded(Image.fromarray(floats), "TIFF"), "a.tif")
    wide = np.full((3, 3), 1 << 20, np.int32)
    with pytest.raises(DataError, match=r"beyond 16-bit gray"):
        decode(encoded(Image.fromarray(wide), "TIFF"), "a.tif")


def test_reader_is_picklable_and_decides_by_content(tmp_path: Path) -> None:
    (tmp_path / "고양이.jpg").write_bytes(encoded(rgb(), "PNG"))
    entry = open_tree(tmp_path).files["고양이.jpg"]
    read = pickle.loads(pickle.dumps(PictureReader(entry)))
    np.testing.assert_array_equal(read(), PIXELS)
    assert peek(tmp_path / "고양이.jpg") == (20, 12, "RGB")
    with open(tmp_path / "고양이.jpg", "rb") as file:
        assert peek(file) == (20, 12, "RGB")


def test_names_and_looks() -> None:
    assert is_picture_name("a/B.JPG")
    assert not is_picture_name("a/b.txt")
    assert looks_like(b"a,b\n1,2\n") == "text"


def test_real_pictures_named_wrongly(shared_data: Path) -> None:
    folder = shared_data / "face-keypoints" / "test"
    for path in sorted(folder.iterdir())[:3]:  # .jpg by name, PNG with alpha by content
        width, height, mode = peek(path)
        assert mode == "RGBA"
        assert decode(path.read_bytes(), str(path)).shape == (height, width, 3)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"]),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=8),
    st.floats(0, 1),
)
def test_damage_gives_a_data_error_or_a_picture(
    kind: str, changes: list[tuple[float, int]], share: float
) -> None:
    data = bytearray(encoded(rgb(), kind))
    for at, value in changes:
        data[int(at * (len(data) - 1))] = value
    part = bytes(data[: max(1, int(share * len(data)))])
    for look in (lambda: decode(part, "a"), lambda: peek(part)):
        try:
            look()
        except DataError as error:
            assert error.problems[0].fix


def test_the_data_room_does_not_import_torch() -> None:
    code = (
        "import sys, boda.data.readers, boda.data.check, boda.data.split, boda.data.image\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
