"""Oracles: Pillow's ImageEnhance, colorsys, NumPy's covariance, one operation after the other."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from boda import ops
from boda.errors import UsageError
from boda.ops import photometric as p

quick = settings(max_examples=40, deadline=None)
factors = st.floats(0, 2)


def photo(height: int = 24, width: int = 31, seed: int = 0) -> torch.Tensor:
    """(1, 3, H, W) uint8 with smooth and rough parts."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    picture = np.stack([rows * 9, columns * 7, (rows + columns) * 4], 0) % 256
    noise = random.integers(-20, 21, picture.shape)
    return torch.from_numpy(np.clip(picture + noise, 0, 255).astype(np.uint8))[None]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (p.brightness, ImageEnhance.Brightness),
        (p.contrast, ImageEnhance.Contrast),
        (p.saturation, ImageEnhance.Color),
    ],
)
@given(factor=factors, seed=st.integers(0, 5))
@quick
def test_brightness_contrast_and_saturation_are_pillows(ours, theirs, factor, seed) -> None:
    image = photo(seed=seed)
    expected = theirs(Image.fromarray(ops.to_hwc(image[0]).numpy())).enhance(factor)
    out = ops.to_hwc(p.recolor(image, ours(factor))[0]).int()
    # Pillow rounds the mean and the gray to whole levels first, and cuts where we round.
    slack = 1 + abs(1 - factor)
    assert (out - torch.from_numpy(np.array(expected)).int()).abs().max() <= slack


def test_hue_turns_the_plane_of_yiq_and_keeps_luma_and_gray() -> None:
    image = photo().double() / 255 * 0.2 + 0.4  # far from the edges, so nothing is clipped
    for degrees in (-30.0, 10, 90):
        out = p.recolor(image, p.hue(degrees))
        for y, x in ((0, 0), (5, 17), (23, 30)):
            luma, i, q = colorsys.rgb_to_yiq(*image[0, :, y, x].tolist())
            turned = complex(i, q) * np.exp(-1j * np.deg2rad(degrees))
            # colorsys rounds the matrix of 1953 to two digits.
            after = colorsys.rgb_to_yiq(*out[0, :, y, x].tolist())
            assert after == pytest.approx((luma, turned.real, turned.imag), abs=0.01)
        assert torch.allclose(luma_of(out), luma_of(image), atol=1e-6)
    gray = torch.full((1, 3, 2, 2), 0.4, dtype=torch.float64)
    assert torch.allclose(p.recolor(gray, p.hue(77)), gray, atol=1e-6)
    assert torch.allclose(p.hue(360), p.identity(), atol=1e-12)


def luma_of(image: torch.Tensor) -> torch.Tensor:
    return 0.299 * image[:, 0] + 0.587 * image[:, 1] + 0.114 * image[:, 2]


def test_hue_grows_from_red_over_yellow_to_green_as_in_hsv() -> None:
    red = torch.tensor([0.6, 0.4, 0.4]).double().reshape(1, 3, 1, 1)
    hues = [
        colorsys.rgb_to_hsv(*p.recolor(red, p.hue(d)).flatten().tolist())[0] for d in (0, 60, 120)
    ]
    assert hues[0] % 1 == pytest.approx(0)
    assert hues[1] == pytest.approx(1 / 6, abs=0.05) and hues[2] == pytest.approx(1 / 3, abs=0.06)


@given(st.lists(st.tuples(st.sampled_from(["brightness", "contrast", "saturation", "hue"]),
                          st.floats(0.7, 1.2)), max_size=5))  # fmt: skip
@quick
def test_several_in_one_matrix_are_one_after_the_other(steps) -> None:
    image = photo().double() / 255 * 0.3 + 0.3
    matrices = [
        p.hue(30 * amount) if name == "hue" else getattr(p, name)(amount) for name, amount in steps
    ]
    expected = image
    for matrix in matrices:
        expected = p.recolor(expected, matrix)
    assert torch.allclose(p.recolor(image, p.compose(*matrices)), expected, atol=1e-9)


def test_contrast_is_about_the_mean_luma_after_what_came_before() -> None:
    image = photo().double() / 255 * 0.4
    out = p.recolor(image, p.compose(p.tint(torch.tensor([0.1, 0.2, 0.05])), p.contrast(0.0)))
    mean = luma_of(image).mean() + 0.299 * 0.1 + 0.587 * 0.2 + 0.114 * 0.05
    assert torch.allclose(out, mean.expand_as(out), atol=1e-9)


def test_gray_pictures_of_one_channel_are_those_of_three() -> None:
    gray = photo()[:, :1]
    matrix = p.compose(p.brightness(1.1), p.contrast(0.8), p.hue(40), p.saturation(0.2))
    matrix = p.compose(matrix, p.tint(torch.tensor([0.02, 0.02, 0.02])))
    three = p.recolor(gray.expand(-1, 3, -1, -1), matrix)
    assert (p.recolor(gray, matrix).int() - three.int()).abs().max() <= 1


def test_one_matrix_each_and_dtypes() -> None:
    images = torch.cat([photo(seed=s) for s in range(3)])
    matrices = p.compose(p.brightness(torch.tensor([0.5, 1.0, 2.0])), p.contrast(0.9))
    together = p.recolor(images, matrices)
    assert together.dtype == torch.uint8
    for i in range(3):
        assert p.recolor(images[i : i + 1], matrices[i])[0].equal(together[i])
    floats = p.recolor(images.float(), matrices, white=255.0)
    assert floats.dtype == torch.float32 and floats.min() >= 0 and floats.max() <= 255
    assert floats.round().to(torch.uint8).equal(together)
    assert p.recolor(images, p.identity()).equal(images)


def test_principal_colours_are_numpys_and_the_shift_goes_along_them() -> None:
    images = torch.cat([photo(seed=s) for s in range(4)])
    variances, axes = p.principal_colours(images)
    pixels = images.permute(1, 0, 2, 3).flatten(1).numpy() / 255
    values, vectors = np.linalg.eigh(np.cov(pixels, bias=True))
    assert variances.tolist() == pytest.approx(values[::-1].tolist(), abs=1e-9)
    for ours, theirs in zip(axes.numpy(), vectors.T[::-1], strict=True):
        assert abs(ours @ theirs) == pytest.approx(1, abs=1e-6)
    strengths = torch.tensor([0.3, -0.1, 0.2])
    image = images[:1].double() / 255 * 0.4 + 0.3
    shifted = p.recolor(image, p.principal_shift(strengths, variances, axes))
    expected = sum(s * v * a for s, v, a in zip(strengths, variances, axes, strict=True))
    assert torch.allclose(shifted - image, expected.reshape(1, 3, 1, 1).expand_as(image), atol=1e-7)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: p.recolor(torch.zeros(3, 4, 4), p.identity()), "(N, 3 or 1, H, W)"),
        (lambda: p.recolor(torch.zeros(2, 2, 4, 4), p.identity()), "(N, 3 or 1, H, W)"),
        (lambda: p.recolor(torch.zeros(2, 3, 4, 4), torch.eye(3)), "(5, 5)"),
        (lambda: p.recolor(torch.zeros(2, 3, 4, 4), torch.eye(5).expand(3, 5, 5)), "(N, 5, 5)"),
        (lambda: p.recolor(torch.zeros(1, 3, 4, 4, dtype=torch.int64), p.identity()), "uint8"),
        (lambda: p.tint(torch.zeros(2)), "red, green, blue"),
        (lambda: p.principal_colours(torch.zeros(4, 4)), "(…, 3, H, W)"),
    ],
)
def test_refused(call, says) -> None:
    with pytest.raises(UsageError) as error:
        call()
    assert says in str(error.value)
