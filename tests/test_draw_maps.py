"""Drawn maps: colours that stay with their classes, rims, and legends that hide nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from boda import outputs
from boda.draw import draw
from boda.draw_maps import coloured, colours
from boda.pen import PALETTE, PAPER
from boda.types import Prediction

NAMES = ["background", "road", "나무", "car"]


def scene(height: int = 240, width: int = 320) -> tuple[np.ndarray, np.ndarray]:
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    semantic = np.zeros((height, width), np.uint8)
    semantic[height // 2 :] = 1
    semantic[: height // 2, : width // 4] = 3
    return picture, semantic


def told(picture: np.ndarray, semantic: np.ndarray, names: list[str] = NAMES) -> Prediction:
    return outputs.told_map(semantic, names, "x.png", picture)


def test_a_region_has_its_classs_colour_and_a_rim() -> None:
    picture, semantic = scene()
    drawn = draw(told(picture, semantic))
    inner = np.s_[130:230, 10:310]
    mixed = (picture[inner].astype(int) + PALETTE[1]) // 2
    assert np.array_equal(drawn[inner], mixed)
    assert (drawn[120, :320] == PALETTE[1]).all()  # the road's first row
    assert (drawn[119, :80] == PALETTE[3]).all() and (drawn[10, 79] == PALETTE[3]).all()
    assert np.array_equal(drawn[:119, 81:320], picture[:119, 81:])  # the background as it was


def test_what_is_not_known_is_left_as_it_is() -> None:
    picture, semantic = scene()
    semantic[5:9, 5:9], semantic[30:40, 30:40] = 255, 2
    drawn = coloured(picture, semantic, 2)
    assert np.array_equal(drawn[5:9, 5:9], picture[5:9, 5:9])
    assert np.array_equal(drawn[30:40, 30:40], picture[30:40, 30:40])
    assert (drawn != picture).any()


def test_colours_are_all_different_and_the_first_are_the_palettes() -> None:
    found = colours()
    assert found.shape == (256, 3) and found.dtype == np.uint8
    assert [tuple(row) for row in found[:8].tolist()] == list(PALETTE)
    assert len({tuple(row) for row in found.tolist()}) == 256
    near = np.linalg.norm(found[:20, None].astype(float) - found[None, :20], axis=2)
    assert near[~np.eye(20, dtype=bool)].min() > 60  # of the first twenty no two are alike


@pytest.mark.parametrize("names", [NAMES, ["background", "a" * 99, "나무", "car"]])
@pytest.mark.parametrize("size", [(240, 320), (120, 400), (40, 600), (300, 97), (101, 100)])
def test_the_legend_stands_outside_the_picture(size: tuple[int, int], names: list[str]) -> None:
    picture, semantic = scene(*size)
    drawn = draw(told(picture, semantic, names))
    height, width = size
    assert drawn.shape[0] >= height and drawn.shape[1] >= width
    assert np.array_equal(drawn[:height, :width], coloured(picture, semantic, 256, 0))
    panel = drawn.copy()
    panel[:height, :width] = PAPER
    pixels = {tuple(p) for p in panel.reshape(-1, 3).tolist()}
    assert {PALETTE[1], PALETTE[3]} <= pixels and PALETTE[2] not in pixels
    # Nothing is cut off at the panel's edges: they are paper.
    assert (panel[:, -3:] == PAPER).all(1).all() or drawn.shape[1] == width
    assert (panel[-3:] == PAPER).all() or drawn.shape[0] == height


def test_tiny_pictures_become_squares() -> None:
    picture, semantic = scene(8, 12)
    drawn = draw(told(picture, semantic))
    large = coloured(*(a.repeat(19, 0).repeat(19, 1) for a in (picture, semantic)), 256, 0)
    assert np.array_equal(drawn[: 8 * 19, : 12 * 19], large)


def test_frames_of_a_video_have_one_size() -> None:
    picture, semantic = scene()
    one, other = told(picture, semantic), told(picture, np.full_like(semantic, 2))
    assert draw(one, NAMES).shape == draw(other, NAMES).shape != draw(other).shape
    many = [f"class {i}" for i in range(200)]
    assert draw(told(picture, semantic, many), many).shape == picture.shape  # no room for names


def test_it_is_drawn_the_same_without_the_pixels(tmp_path: Path) -> None:
    picture, semantic = scene()
    Image.fromarray(picture).save(tmp_path / "x.png")
    prediction = outputs.told_map(semantic, NAMES, str(tmp_path / "x.png"), picture)
    before = draw(prediction)
    prediction.forget_pixels()
    assert np.array_equal(draw(prediction), before)
