"""Named and hand-typed kernels, and gradients; oracles: SciPy, and steps seen by the eye."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from boda.errors import UsageError
from boda.ops import correlate, gradient, kernel, kernels


def test_every_name_gives_a_kernel_of_its_own():
    for name in kernels.names():
        first = kernel(name)
        assert first.ndim == 2 and first.dtype == torch.float32
        first.zero_()
        assert kernel(name).any(), "a changed copy must not change the registry"


def test_blurs_keep_the_mean_and_derivatives_ignore_it():
    for name in kernels.names():
        expected = 1 if name in ("identity", "box", "gaussian", "sharpen", "emboss") else 0
        assert kernel(name).sum() == pytest.approx(expected, abs=1e-6), name


@pytest.mark.parametrize("name", ["sobel", "prewitt"])
def test_derivatives_are_scipys(name):
    image = torch.rand(9, 11, dtype=torch.float64)
    filter_ = getattr(ndimage, name)
    for axis, letter in [(1, "x"), (0, "y")]:
        ours = correlate(image, kernel(f"{name}-{letter}"), padding="same", pad_mode="replicate")
        assert np.allclose(ours, filter_(image.numpy(), axis=axis, mode="nearest"))


def test_laplacian_is_scipys_and_scharr_is_3_10_3():
    image = torch.rand(9, 11, dtype=torch.float64)
    ours = correlate(image, kernel("laplacian"), padding="same", pad_mode="replicate")
    assert np.allclose(ours, ndimage.laplace(image.numpy(), mode="nearest"))
    assert kernel("scharr-x")[:, 2].tolist() == [3, 10, 3]
    for family in ("sobel", "scharr", "prewitt"):
        assert kernel(f"{family}-x").T.equal(kernel(f"{family}-y"))


@pytest.mark.parametrize("sigma", [0.6, 1, 2.5])
def test_gaussian_is_scipys(sigma):
    image = torch.rand(40, 40, dtype=torch.float64)
    bell = kernel(f"gaussian-{sigma}")
    assert len(bell) == 2 * math.ceil(3 * sigma) + 1
    expected = ndimage.gaussian_filter(image.numpy(), sigma, radius=len(bell) // 2)
    inside = slice(10, -10)
    ours = correlate(image, bell, padding="same")
    assert np.allclose(ours[inside, inside], expected[inside, inside], atol=1e-6)
    assert kernels.gaussian(sigma, 4).shape == (4, 4)


def test_sizes_in_the_name():
    assert kernel("box-10").shape == (10, 10)
    assert kernel("box-10").unique().tolist() == [pytest.approx(0.01)]


@given(
    st.lists(
        st.lists(st.floats(-1e6, 1e6, width=32), min_size=3, max_size=3), min_size=1, max_size=4
    )
)
@settings(max_examples=30, deadline=None)
def test_what_is_written_is_read(rows):
    text = ";".join(",".join(map(str, row)) for row in rows)
    assert kernels.parse(text).tolist() == rows


def test_parse_takes_spaces_fractions_and_a_last_semicolon():
    assert kernels.parse("1 0 -1; 1, 0, -1;\n1,0,-1;").equal(kernel("vertical-edge"))
    assert kernels.parse("1/2, .5; 1e0, -2").tolist() == [[0.5, 0.5], [1, -2]]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1,0,-1;1,0;1,0,-1", "row 2 of the kernel has 2 numbers, row 1 has 3"),
        ("1,0;1,x", "row 2 of the kernel: 'x' is no number"),
        ("1,0;1,nan", "row 2"),
        ("1,0;1,1/0", "row 2"),
        ("1,0;;1,0", "row 2 of the kernel is empty"),
        ("", "row 1 of the kernel is empty"),
    ],
)
def test_a_ragged_kernel_is_refused_by_its_row(text, says):
    with pytest.raises(UsageError) as error:
        kernels.parse(text)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: kernel("sobell-x"), "sobel-x"),
        (lambda: kernel("box-0"), "from 1 up"),
        (lambda: kernel("box-ten"), "box-10"),
        (lambda: kernel("gaussian-0"), "above 0"),
        (lambda: kernel("gaussian-nan"), "above 0"),
        (lambda: gradient(torch.zeros(5, 5), "sobl"), "Did you mean sobel"),
        (lambda: gradient(torch.zeros(5, 5), "box"), "Known"),
    ],
)
def test_unknown_names_get_the_nearest(call, says):
    with pytest.raises(UsageError) as error:
        call()
    assert says in str(error.value)


@pytest.mark.parametrize(("name", "weight"), [("sobel", 4), ("scharr", 16), ("prewitt", 3)])
def test_gradient_points_where_it_grows_brighter(name, weight):
    step = torch.zeros(2, 8, 8, dtype=torch.uint8)
    step[..., 4:] = 10  # brighter on the right
    for turns, degrees in [(0, 0), (1, -90), (2, 180), (3, 90)]:  # y points down
        magnitude, direction = gradient(torch.rot90(step, turns, (-2, -1)), name)
        assert magnitude.shape == (2, 8, 8)
        assert set(magnitude.unique().tolist()) == {0, 10 * weight}
        seen = torch.rad2deg(direction[magnitude > 0]).abs().unique().tolist()
        assert seen == [pytest.approx(abs(degrees), abs=1e-4)]
        if abs(degrees) == 90:
            assert direction[magnitude > 0].sign().unique().tolist() == [math.copysign(1, degrees)]
