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


@given(
    SIZES,
    SIZES,
    SIZES,
    SIZES,
    st.sampled_from(["crop", "letterbox", "stretch"]),
    st.sampled_from([0, 7, 33, 70]),
)
@settings(max_examples=150, deadline=None)
def test_the_matrix_says_where_the_pixels_went(
    h: int, w: int, height: int, width: int, rule, resize: int
) -> None:
    preparation = Preparation(height, width, rule=rule, resize=resize)
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


@pytest.mark.parametrize("width", [256, 301])
def test_a_larger_resize_cuts_whole_pixels_from_the_middle(width: int) -> None:
    """A picture that has the scale already is only cropped, not blurred by half a pixel."""
    picture = np.random.default_rng(0).integers(0, 256, (256, width, 3), dtype=np.uint8)
    left = (width - 227) // 2
    preparation = Preparation(227, 227, resize=256)
    assert np.array_equal(preparation(picture), picture[14:241, left : left + 227])
    np.testing.assert_allclose(preparation.matrix(256, width)[:2, 2], [-left, -14])


@given(SIZES, SIZES, st.integers(4, 40), st.integers(0, 30))
@settings(max_examples=60, deadline=None)
def test_resize_then_crop_is_two_steps_of_pillow(h: int, w: int, size: int, more: int) -> None:
    """Scaled to the shorter side and cropped; the one step differs where the long side is rounded."""
    picture, resize = ramp(h, w), size + more
    scale = resize / min(h, w)
    whole = (round(w * scale), round(h * scale))
    scaled = Image.fromarray(picture).resize(whole, Image.Resampling.BILINEAR)
    left, top = (whole[0] - size) // 2, (whole[1] - size) // 2
    expected = np.asarray(scaled.crop((left, top, left + size, top + size))).astype(int)
    found = Preparation(size, size, resize=resize)(picture).astype(int)
    slope = 255 * (1 + 1 / scale) * np.array([1 / w, 1 / h, 0])  # of a pixel there and one here
    assert (np.abs(found - expected).max((0, 1)) <= slope + 2).all()


@pytest.mark.parametrize(("h", "w"), [(20, 21), (21, 20), (23, 20)])
def test_a_picture_a_little_larger_is_cropped(h: int, w: int) -> None:
    out = Preparation(20, 20)(ramp(h, w))
    top, left = (h - 20) // 2, (w - 20) // 2
    assert np.array_equal(out, ramp(h, w)[top : top + 20, left : left + 20])


def test_a_resize_smaller_than_the_target_leaves_nothing_empty() -> None:
    picture = ramp(30, 40)
    assert np.array_equal(Preparation(20, 20, resize=10)(picture), Preparation(20, 20)(picture))


def test_a_picture_of_the_target_size_is_still_cropped() -> None:
    picture = ramp(20, 20)
    assert not np.array_equal(Preparation(20, 20, resize=30)(picture), picture)
    many = np.stack([picture, picture])
    found = Preparation(20, 20, resize=30).batch(many)
    assert np.array_equal(found[0].transpose(1, 2, 0), Preparation(20, 20, resize=30)(picture))


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
    preparation = Preparation(3, 4, 1, "stretch", (0.1,), (0.2,), 8)
    assert Preparation.from_dict(preparation.to_dict()) == preparation


def test_a_record_from_before_there_was_a_resize_is_read() -> None:
    values = Preparation(3, 4).to_dict()
    del values["resize"]
    assert Preparation.from_dict(values) == Preparation(3, 4)


def test_it_tells_itself_to_people() -> None:
    told = str(Preparation(224, 224, mean=(0.5,) * 3, std=(0.25,) * 3, resize=256))
    assert told == (
        "RGB, 224×224 from the middle of a shorter side of 256, "
        "mean 0.5 0.5 0.5, deviation 0.25 0.25 0.25"
    )
