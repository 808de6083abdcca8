"""Borders of maps of classes against loops over pixels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boda.errors import UsageError
from boda.ops import boundary_weights, contours, found_within
from tests.slow_reference import segmentation as slow


def blobs(seed, height=14, width=18, classes=4, side=3):
    """A map in blocks, so that there are pieces, with single pixels of noise and of 255."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, classes, (-(-height // side), -(-width // side)))
    out = np.kron(coarse, np.ones((side, side), int))[:height, :width].astype(np.uint8)
    noisy = rng.random(out.shape)
    out[noisy < 0.05] = rng.integers(0, classes)
    out[noisy > 0.93] = 255
    return out


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from([0, 2, None]),
    st.sampled_from([0.6, 1.5, 5.0]),
    st.sampled_from([1.0, 10.0]),
)
def test_weights_are_equation_2(seed, background, sigma, w0):
    classes = blobs(seed, side=1 + seed % 5)
    found = boundary_weights(classes, w0, sigma, background)
    expected = slow.boundary_weights(classes.tolist(), w0, sigma, background)
    assert found.dtype == np.float32 and found.shape == classes.shape
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-8 * w0)


def test_the_narrower_the_gap_the_more_it_weighs():
    classes = np.zeros((9, 40), np.uint8)
    classes[2:7, [2, 3, 4, 7, 8, 9]] = 1  # a gap of 2 pixels between two objects
    classes[2:7, 20:24] = 1  # and one of 10
    weights = boundary_weights(classes)
    # From the second to the third object: d1 + d2 = 1 + 2 in the first gap, 5 + 6 in the second.
    assert weights[4, 5] == pytest.approx(10 * np.exp(-9 / 50))
    assert weights[4, 14] == pytest.approx(10 * np.exp(-121 / 50))
    assert weights[4, 39] < 1e-4


def test_no_weight_with_less_than_two_objects():
    classes = np.zeros((8, 8), np.uint8)
    assert not boundary_weights(classes).any()
    classes[2:5, 2:5] = 1
    assert not boundary_weights(classes).any()
    assert boundary_weights(classes, background=None)[1, 3] > 5  # now the ground is an object too
    assert not boundary_weights(np.full((8, 8), 255, np.uint8), background=None).any()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_contours_against_a_loop(seed):
    classes = blobs(seed, side=1 + seed % 5)
    found = contours(classes)
    for kind in range(4):
        assert np.argwhere(found == kind).tolist() == [list(p) for p in slow.contour(classes, kind)]
    assert np.isin(found, [0, 1, 2, 3, 255]).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.99, 1.0, 1.5, 2.9, 4.5, 40.0]))
def test_found_within_against_a_loop(seed, distance):
    one, other = (contours(blobs(s, side=4)) for s in (seed, seed + 1))
    other[other == seed % 4] = 255  # a class that the other map does not have
    kinds, found = found_within(one, other, distance)
    assert np.array_equal(kinds, one[one != 255])
    for kind in range(4):
        places, others = np.argwhere(one == kind), np.argwhere(other == kind)
        assert found[kinds == kind].sum() == slow.near(places, others, distance)


def test_found_within_says_which():
    one, other = np.full((5, 9), 255, np.uint8), np.full((5, 9), 255, np.uint8)
    one[2, [0, 4, 8]] = 1, 1, 2
    other[2, 2], other[4, 8] = 1, 1
    kinds, found = found_within(one, other, 2.0)
    assert kinds.tolist() == [1, 1, 2]
    assert found.tolist() == [True, True, False]  # exactly 2 is near; another class is not
    # Row 2's last pixel and row 3's first are neighbours in memory, not in the picture.
    other[:] = 255
    other[3, 0] = 2
    assert not found_within(one, other, 2.0)[1].any()


def test_bad_arguments():
    classes = np.zeros((4, 5), np.uint8)
    with pytest.raises(UsageError, match="int64"):
        boundary_weights(classes.astype(np.int64))
    with pytest.raises(UsageError, match="sigma=0"):
        boundary_weights(classes, sigma=0)
    with pytest.raises(UsageError, match="Give \\(H, W\\)"):
        contours(classes[None])
    with pytest.raises(UsageError, match="one size"):
        found_within(classes, classes.T.copy(), 2.0)
    with pytest.raises(UsageError, match="distance of -1"):
        found_within(classes, classes, -1)
