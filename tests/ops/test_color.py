"""Oracles: Pillow, colorsys, published Lab values and an independent inverse."""

import colorsys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from boda import ops
from boda.errors import UsageError

unit = st.floats(0, 1)
quick = settings(max_examples=100, deadline=None)


def pixel(*values):
    return torch.tensor(values, dtype=torch.float64).reshape(3, 1, 1)


def random_uint8(*shape):
    return torch.randint(0, 256, shape, dtype=torch.uint8)


def test_orders_and_channels():
    image = random_uint8(5, 7, 3)
    chw = ops.to_chw(image)
    assert chw.shape == (3, 5, 7) and ops.to_hwc(chw).equal(image)
    assert ops.to_chw(image[None]).shape == (1, 3, 5, 7)
    assert [c.tolist() for c in ops.channels(chw)] == [image[..., i].tolist() for i in range(3)]


def test_grayscale_is_pillows_l():
    image = random_uint8(64, 64, 3)
    expected = np.array(Image.fromarray(image.numpy()).convert("L"))
    ours = ops.grayscale(ops.to_chw(image))
    assert ours.dtype == torch.uint8 and np.array_equal(ours[0], expected)
    floating = ops.grayscale(ops.to_chw(image).double() / 255)[0] * 255
    assert np.abs(floating.numpy() - expected).max() <= 0.51


def test_bitmap_is_1_where_it_is_black():
    assert ops.bitmap(torch.tensor([0, 127, 128, 255], dtype=torch.uint8)).tolist() == [1, 1, 0, 0]
    assert ops.bitmap(torch.tensor([0.0, 0.2, 1]), 0.1).tolist() == [1, 0, 0]


@given(unit, unit, unit)
@quick
def test_hsv_is_colorsys(r, g, b):
    r, g, b = (round(x, 6) for x in (r, g, b))
    ours = ops.rgb_to_hsv(pixel(r, g, b)).flatten()
    h, s, v = colorsys.rgb_to_hsv(r, g, b)
    assert ours[1:].tolist() == pytest.approx([s, v], abs=1e-12)
    assert abs(float(ours[0]) - h) % 1 == pytest.approx(0, abs=1e-9)
    assert ops.hsv_to_rgb(pixel(h, s, v)).flatten().tolist() == pytest.approx(
        colorsys.hsv_to_rgb(h, s, v), abs=1e-9
    )


def test_hsv_of_pictures_and_there_and_back():
    image = random_uint8(2, 3, 16, 16)
    back = ops.hsv_to_rgb(ops.rgb_to_hsv(image)) * 255
    assert back.round().to(torch.uint8).equal(image)


# Published for sRGB under D65, 2 degrees (Lindbloom's calculator, to two decimals).
PUBLISHED = {
    (255, 0, 0): (53.24, 80.09, 67.20),
    (0, 255, 0): (87.73, -86.18, 83.18),
    (0, 0, 255): (32.30, 79.19, -107.86),
    (255, 255, 255): (100, 0, 0),
    (0, 0, 0): (0, 0, 0),
    (128, 128, 128): (53.59, 0, 0),
    (255, 255, 0): (97.14, -21.55, 94.48),
}


@pytest.mark.parametrize(("rgb", "lab"), PUBLISHED.items())
def test_lab_is_as_published(rgb, lab):
    ours = ops.rgb_to_lab(torch.tensor(rgb, dtype=torch.uint8).reshape(3, 1, 1)).flatten()
    assert ours.tolist() == pytest.approx(lab, abs=0.02)


def lab_by_hand(r, g, b):
    """The formulas of IEC 61966-2-1 and CIE 15, number by number."""
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (r, g, b))
    x = (0.4124564 * r + 0.3575761 * g + 0.1804375 * b) / 0.95047
    y = 0.2126729 * r + 0.7151522 * g + 0.0721750 * b
    z = (0.0193339 * r + 0.1191920 * g + 0.9503041 * b) / 1.08883
    fx, fy, fz = (
        t ** (1 / 3) if t > 216 / 24389 else (24389 / 27 * t + 16) / 116 for t in (x, y, z)
    )
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


@given(unit, unit, unit)
@quick
def test_lab_is_the_formula_and_goes_back(r, g, b):
    lab = ops.rgb_to_lab(pixel(r, g, b))
    assert lab.flatten().tolist() == pytest.approx(lab_by_hand(r, g, b), abs=1e-3)
    assert ops.lab_to_rgb(lab).flatten().tolist() == pytest.approx([r, g, b], abs=1e-6)


def test_lab_of_pictures_and_colours_that_do_not_exist():
    image = random_uint8(2, 3, 16, 16)
    assert (ops.lab_to_rgb(ops.rgb_to_lab(image)) * 255).round().to(torch.uint8).equal(image)
    outside = ops.lab_to_rgb(pixel(50.0, 120, -120))
    assert outside.isfinite().all() and outside.min() >= 0 and outside.max() <= 1


def test_differentiable_also_at_black_and_white():
    corners = torch.tensor([0.0, 1, 0.5]).reshape(1, 1, 3).expand(3, 1, 3).double().clone()
    corners.requires_grad_()
    for there in (ops.rgb_to_lab, ops.rgb_to_hsv, lambda x: ops.lab_to_rgb(ops.rgb_to_lab(x))):
        (gradient,) = torch.autograd.grad(there(corners).sum(), corners)
        assert gradient.isfinite().all()
    image = torch.rand(3, 2, 2, dtype=torch.float64) * 0.8 + 0.1
    assert torch.autograd.gradcheck(ops.rgb_to_lab, (image.requires_grad_(),))
    assert torch.autograd.gradcheck(ops.rgb_to_hsv, (image,))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: ops.grayscale(torch.zeros(5, 5, 3)), "to_chw"),
        (lambda: ops.rgb_to_lab(torch.zeros(1, 5, 5)), "(…, 3, H, W)"),
        (lambda: ops.rgb_to_hsv(torch.zeros(3, 5, 5, dtype=torch.int64)), "uint8"),
        (lambda: ops.bitmap(torch.zeros(3), 128), "0 to 1"),
    ],
)
def test_refused(call, says):
    with pytest.raises(UsageError) as error:
        call()
    assert says in str(error.value)
