"""FID against SciPy's matrix root, KID against loops, and both on what is known beforehand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from boda.metrics import NothingToMeasure
from boda.metrics.frechet import Fidelity, Moments, frechet_distance, kernel_distance
from tests.slow_reference import generation as slow


def moments(features, cuts=()):
    out = Moments()
    for part in np.split(features, cuts):
        out.update(part)
    return out


def drawn(seed, n, d):
    """Features with correlations, on scales from 1 to 10, away from 0."""
    random = np.random.default_rng(seed)
    return random.normal(size=(n, d)) @ random.normal(size=(d, d)) * np.linspace(1, 10, d) + 3


def by_scipy(x, y):
    a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = sqrtm(a @ b)
    assert np.abs(root.imag).max() < 1e-3
    apart = x.mean(0) - y.mean(0)
    return apart @ apart + np.trace(a + b - 2 * root.real)


@pytest.mark.parametrize(("n", "d"), [(50, 2), (200, 16), (90, 40)])
def test_against_scipys_root(n, d):
    x, y = drawn(0, n, d), drawn(1, n + 7, d)
    found = frechet_distance(moments(x), moments(y))
    assert found == pytest.approx(by_scipy(x, y), rel=1e-9)
    assert frechet_distance(moments(y), moments(x)) == pytest.approx(found, rel=1e-9)


def test_of_diagonal_covariances_it_is_a_sum():
    """|μ₁ − μ₂|² + Σ (σ₁ − σ₂)², exactly."""
    corners = np.array([[i, j] for i in (-1, 1) for j in (-1, 1)], np.float64)
    x, y = corners * (3, 5), corners * (1, 9) + (10, 0)
    sigma = np.sqrt(4 / 3)  # of ±1, divided by N − 1
    expected = 100 + sigma**2 * ((3 - 1) ** 2 + (5 - 9) ** 2)
    assert frechet_distance(moments(x), moments(y)) == pytest.approx(expected, rel=1e-12)


def test_fewer_pictures_than_features_still_have_a_distance():
    """Singular covariances; against a root computed in the few directions that are there."""
    x, y = drawn(2, 6, 20), drawn(3, 9, 20)
    one, other = moments(x), moments(y)
    assert one.too_few and not moments(drawn(0, 21, 20)).too_few
    # tr (Σ₁Σ₂)^½ is the sum of the singular values of X Yᵀ, centred, over √((N − 1)(M − 1)).
    a, b = x - x.mean(0), y - y.mean(0)
    shared = np.linalg.svd(a @ b.T, compute_uv=False).sum() / np.sqrt(5 * 8)
    spread = np.square(a).sum() / 5 + np.square(b).sum() / 8 - 2 * shared
    expected = np.square(x.mean(0) - y.mean(0)).sum() + spread
    # Of eigenvalues that are 0 but for rounding the root is 1e-8 of the largest.
    assert frechet_distance(one, other) == pytest.approx(expected, rel=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 30), st.integers(1, 5), st.data())
def test_streams_are_numpys_mean_and_covariance(seed, n, d, data):
    x = drawn(seed, n, d)
    cuts = sorted(data.draw(st.lists(st.integers(0, n), max_size=4)))
    streamed, merged = moments(x, cuts), Moments()
    for part in np.split(x, cuts):
        merged.merge(moments(part) if len(part) else Moments())
    for found in (streamed, merged):
        assert found.count == n
        np.testing.assert_allclose(found.mean, x.mean(0), rtol=1e-10)
        expected = np.cov(x, rowvar=False).reshape(d, d)
        np.testing.assert_allclose(found.covariance, expected, rtol=1e-9, atol=1e-9)


def test_features_far_from_0_lose_no_digits():
    x = drawn(4, 300, 3)
    far = moments(x + 1e7, range(10, 300, 10))
    np.testing.assert_allclose(far.covariance, np.cov(x, rowvar=False), rtol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 7), st.integers(1, 4))
def test_kid_against_loops(seed, m, d):
    x, y = drawn(seed, m, d) / 10, drawn(seed + 1, m, d) / 10
    found, deviation = kernel_distance(x, y, subsets=3)
    assert found == pytest.approx(slow.kid(x.tolist(), y.tolist()), rel=1e-8, abs=1e-8)
    assert deviation == pytest.approx(0, abs=1e-9 * max(1, abs(found)))  # nothing else to draw


def test_kid_of_subsets_is_that_of_their_draws():
    x, y = drawn(0, 12, 2) / 10, drawn(1, 9, 2) / 10
    random, each = np.random.default_rng(5), []
    for _ in range(4):
        rows = [random.choice(n, 5, replace=False) for n in (12, 9)]
        each.append(slow.kid(x[rows[0]].tolist(), y[rows[1]].tolist()))
    found = kernel_distance(x, y, subsets=4, size=5, seed=5)
    assert found == pytest.approx((np.mean(each), np.std(each)))


def test_kid_has_no_bias_and_fid_has_one():
    """Of one distribution KID is 0 in the mean, however few; FID of fewer is larger."""
    random = np.random.default_rng(0)
    sets = random.normal(size=(200, 2, 20, 3))
    kids = [kernel_distance(x, y, 1)[0] for x, y in sets]
    assert abs(np.mean(kids)) < 3 * np.std(kids) / np.sqrt(len(kids))
    few = np.mean([frechet_distance(moments(x), moments(y)) for x, y in sets])
    many = np.mean(
        [frechet_distance(moments(x), moments(y)) for x, y in sets.reshape(5, 2, 800, 3)]
    )
    assert few > 5 * many > 0


def test_fidelity():
    real, made = drawn(0, 60, 4), drawn(1, 40, 4)
    metric = Fidelity("lenet5", seed=2)
    for part in np.split(real, [13, 30]):
        metric.update_real(part)
    metric.update(made.astype(np.float32))
    kid, deviation = kernel_distance(real, made.astype(np.float32), seed=2)
    found = metric.compute()
    assert found["fid"] == pytest.approx(by_scipy(real, made), rel=1e-5)
    assert (found["kid"], found["kid_deviation"]) == (kid, deviation)
    assert metric.extractor == "lenet5" and metric.remark == ""


def test_few_pictures_are_said():
    metric = Fidelity("lenet5")
    metric.update_real(drawn(0, 30, 5))
    metric.update(drawn(1, 5, 5))
    assert "FID of 5 made pictures is too large: 5 features" in metric.remark
    assert "more than 5 of each" in metric.remark and metric.compute()["fid"] > 0


def test_refusals():
    metric = Fidelity("lenet5")
    metric.update_real(drawn(0, 30, 5))
    metric.update(drawn(1, 1, 5))
    with pytest.raises(NothingToMeasure, match="two pictures at least, of 1"):
        metric.compute()
    with pytest.raises(NothingToMeasure, match="not 3 and 1"):
        kernel_distance(np.ones((3, 2)), np.ones((1, 2)))
    with pytest.raises(ValueError, match=r"shape \(2, 4\); \(N, 5\) is meant"):
        metric.update(np.ones((2, 4)))
    bad = np.ones((3, 5))
    bad[1, 2] = np.nan
    with pytest.raises(ValueError, match="1 of 3 rows are not finite, first row 1"):
        metric.update(bad)
    with pytest.raises(ValueError, match="features of 5 and of 2 numbers"):
        frechet_distance(moments(drawn(0, 9, 5)), moments(drawn(0, 9, 2)))
    with pytest.raises(ValueError, match="at least 1 of 2"):
        kernel_distance(np.ones((3, 2)), np.ones((3, 2)), subsets=0)
    one = moments(drawn(0, 9, 5))
    with pytest.raises(ValueError, match="features of 2 and of 5"):
        one.merge(moments(drawn(0, 9, 2)))
