"""Kinds of masks that a decoder changes, or that say less than it seems: read as they are, or named."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from boda.data.readers import read
from boda.errors import DataError
from tests.data.map_sets import camvid, save

SHAPE = (9, 13)


def values(count: int, seed: int = 0) -> np.ndarray:
    """(9, 13) uint8, each of 0 to count − 1."""
    drawn = np.random.default_rng(seed).integers(0, count, SHAPE).astype(np.uint8)
    drawn[0, :count] = np.arange(min(count, SHAPE[1]))
    return drawn


def picture(root: Path, name: str = "1.png") -> Path:
    save(np.random.default_rng(1).integers(0, 256, (*SHAPE, 3)).astype(np.uint8), root / name)
    return root


def masks(root: Path, *images: Image.Image) -> Path:
    """``images/0.png`` with ``masks/0.png`` and so on."""
    (root / "masks").mkdir(parents=True)
    for number, image in enumerate(images):
        picture(root / "images", f"{number}.png")
        image.save(root / "masks" / f"{number}.png")
    return root


def maps(root: Path) -> list[np.ndarray]:
    return [sample.class_map for sample in read(root, task="segment").splits["all"]]


def small_png(found: np.ndarray, bits: int) -> bytes:
    """A gray PNG of so many bits a pixel, written out by hand."""

    def chunk(name: bytes, data: bytes) -> bytes:
        end = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + end

    height, width = found.shape
    each = 8 // bits
    padded = np.pad(found, ((0, 0), (0, -width % each))).reshape(height, -1, each)
    rows = (padded << (bits * np.arange(each)[::-1])).sum(2).astype(np.uint8)
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    head = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(data))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(("bits", "count"), [(2, 4), (4, 6)])
def test_gray_of_few_bits_keeps_its_numbers(bits: int, count: int, tmp_path: Path) -> None:
    """A decoder stretches them to 0..255: of 2 bits the last class would be 255, which is ignored."""
    picture(tmp_path / "images")
    (tmp_path / "masks").mkdir()
    drawn = values(count)
    (tmp_path / "masks" / "1.png").write_bytes(small_png(drawn, bits))
    with Image.open(tmp_path / "masks" / "1.png") as stretched:
        assert np.asarray(stretched).max() > 15
    dataset = read(tmp_path, task="segment")
    assert dataset.classes == [str(i) for i in range(count)] and dataset.problems == []
    np.testing.assert_array_equal(dataset.splits["all"][0].class_map, drawn)


def test_levels_of_gray_say_that_255_is_ignored(tmp_path: Path) -> None:
    """0, 128 and 255 may be three classes; that the last is none must not be silent."""
    drawn = np.array([0, 128, 255], np.uint8)[values(3)]
    root = masks(tmp_path, Image.fromarray(drawn))
    (problem,) = read(root, task="segment").problems
    count = int((drawn == 255).sum())
    assert f"but ignored is 255 ({count} pixels)" in problem.why


def with_palette(found: np.ndarray, *colours: tuple[int, int, int]) -> Image.Image:
    image = Image.fromarray(found)
    image.putpalette([part for colour in colours for part in colour])
    assert image.mode == "P"
    return image


def test_palettes_that_differ_are_named(tmp_path: Path) -> None:
    """The same picture of black and white, by two programs: one numbers black 0, the other 1."""
    drawn, black, white = values(2), (0, 0, 0), (255, 255, 255)
    both = with_palette(drawn, black, white), with_palette(1 - drawn, white, black)
    root = masks(tmp_path, *both)
    (problem,) = read(root, task="segment").problems
    assert problem.severity == "warning" and problem.file.endswith("1.png")
    assert "0 is (255, 255, 255) here, (0, 0, 0) in" in problem.why and "legend" in problem.fix
    (root / "classes.csv").write_text("name,r,g,b\nground,0,0,0\nthing,255,255,255\n", "utf-8")
    assert read(root, task="segment").problems == []
    for found in maps(root):
        np.testing.assert_array_equal(found, drawn)


def test_one_palette_and_gray_are_no_reason_to_speak(tmp_path: Path) -> None:
    red, blue = (200, 0, 0), (0, 0, 200)
    images = [with_palette(values(3, seed), (0, 0, 0), red, blue) for seed in (0, 1)]
    root = masks(tmp_path, *images, Image.fromarray(values(3, 2)))
    assert read(root, task="segment").problems == []


def test_what_is_transparent_is_black_in_gray_too(tmp_path: Path) -> None:
    drawn = values(2)
    layers = np.stack([drawn * 255, np.full(SHAPE, 255, np.uint8)], 2)
    layers[0, :, 1] = 0
    coloured = np.stack([drawn * 255] * 3, 2)
    coloured[8] = (200, 0, 0)
    root = masks(tmp_path, Image.fromarray(layers), Image.fromarray(coloured))
    legend = "name,r,g,b\nground,0,0,0\nthing,255,255,255\nred,200,0,0\n"
    (root / "classes.csv").write_text(legend, "utf-8")
    first, second = read(root, task="segment").splits["all"]
    wanted = drawn.copy()
    wanted[0] = 0
    np.testing.assert_array_equal(first.class_map, wanted)
    for sample in (first, second):
        counts = np.bincount(sample.class_map.ravel(), minlength=3)
        assert sample.read_semantic.counts == tuple(counts)


def test_a_stack_of_masks_in_one_file_is_named(tmp_path: Path) -> None:
    """Only the first would be read."""
    picture(tmp_path / "images")
    (tmp_path / "masks").mkdir()
    first, *others = (Image.fromarray(values(2, seed)) for seed in range(3))
    first.save(tmp_path / "masks" / "1.tif", save_all=True, append_images=others)
    with pytest.raises(DataError, match=r"1\.tif: holds 3 pictures.* Save each"):
        read(tmp_path, task="segment")
    first.save(tmp_path / "masks" / "1.tif")
    np.testing.assert_array_equal(maps(tmp_path)[0], values(2))


def test_a_name_that_json_has_twice(tmp_path: Path) -> None:
    root = masks(tmp_path, Image.fromarray(values(2)))
    (root / "classes.json").write_text('{"a": 0, "b": 1, "b": 2}', "utf-8")
    with pytest.raises(DataError, match="the name 'b' is there twice"):
        read(root, task="segment")


def test_binary_masks_in_camvids_layout(tmp_path: Path) -> None:
    root = camvid(tmp_path)
    for mask in (root / "trainannot").iterdir():
        there = np.asarray(Image.open(mask)) == 1
        save(there.astype(np.uint8) * 255, mask)
    with pytest.raises(DataError, match=r"Name two classes in classes\.txt"):
        read(root, task="segment")
