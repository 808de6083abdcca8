"""The rule that brings a picture to the network, against the definition and against its own matrix."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from boda.data.prepare import GRAY, Preparation

SIZES = st.integers(4, 60)


def ramp(height: int, width: int) -> np.ndarray:
    """A picture whose red is proportional to x and whose green to y."""
    y, x = np.mgrid[:height, :width]
    return np.stack([255 * (x + 0.5) / width, 255 * (y + 0.5) / height, 0 * x], -1).astype(np.uint8)


@given(SIZES, SIZES, SIZES, SIZES, st.sampled_from(["crop", "letterbox", "stretch"]))
@settings(max_examples=100, deadline=None)
def test_the_matrix_says_where_the_pixels_went(
    h: int, w: int, height: int, width: int, rule
) -> None:
    preparation = Preparation(height, width, rule=rule)
    out = preparation(ramp(h, w))
    assert out.shape == (height, width, 3)
    # Look up the working picture's middle pixel in the original; there the ramps say what to expect.
    # Near an edge the ramps end, so a pixel's width (of the coarser picture) is allowed for.
    back = np.linalg.inv(preparation.matrix(h, w))
    x, y, _ = back @ [width // 2 + 0.5, height // 2 + 0.5, 1]
    seen = out[height // 2, width // 2]
    if not (0 <= x < w and 0 <= y < h):  # a letterbox may leave a thin picture beside the middle
        assert rule == "letterbox" and (seen == GRAY).all()
        return
    assert abs(seen[0] - 255 * x / w) <= 255 * max(1, back[0, 0]) / w + 3
    assert abs(seen[1] - 255 * y / h) <= 255 * max(1, back[1, 1]) / h + 3


def test_crop_keeps_the_centre_of_the_longer_side() -> None:
    out = Preparation(10, 10)(ramp(10, 30))
    assert np.array_equal(out, ramp(10, 30)[:, 10:20])


def test_letterbox_fills_with_gray_and_keeps_the_proportions() -> None:
    preparation = Preparation(20, 20, rule="letterbox")
    out = preparation(np.zeros((10, 20, 3), np.uint8))
    assert (out[:5] == GRAY).all() and (out[15:] == GRAY).all() and (out[5:15] == 0).all()
    np.testing.assert_allclose(preparation.matrix(10, 20), [[1, 0, 0], [0, 1, 5], [0, 0, 1]])


def test_stretch_is_pillows_resize() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8)
    expected = Image.fromarray(picture).resize((20, 10), Image.Resampling.BILINEAR)
    assert np.array_equal(Preparation(10, 20, rule="stretch")(picture), np.asarray(expected))


def test_one_channel_is_pillows_gray() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    out = Preparation(8, 8, channels=1)(picture)
    assert np.array_equal(out[..., 0], np.asarray(Image.fromarray(picture).convert("L")))


@pytest.mark.parametrize("shape", [(5, 28, 28), (5, 20, 30, 3)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [28, 16])
def test_a_batch_is_one_by_one(shape, channels: int, size: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    preparation = Preparation(size, size, channels=channels)
    expected = np.stack([preparation(image) for image in images]).transpose(0, 3, 1, 2)
    assert np.array_equal(preparation.batch(images), expected)


def test_it_survives_json() -> None:
    preparation = Preparation(3, 4, 1, "stretch", (0.1,), (0.2,))
    assert Preparation.from_dict(preparation.to_dict()) == preparation
