"""Collapse, classes, neighbours and copies against loops and pictures made to have them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boda.metrics import NothingToMeasure, diversity
from boda.metrics.diversity import (
    class_histogram,
    copying,
    mean_distance,
    mean_similarity,
    nearest_neighbours,
)
from boda.metrics.pictures import ssim
from tests.slow_reference import generation as slow


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 20), st.sampled_from([(3, 6), (4, 4), (256, 4096)]))
def test_mean_distance_against_a_loop(seed, n, blocks):
    vectors = np.random.default_rng(seed).integers(-3, 4, (n, 2)).astype(np.float64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(diversity, "ROWS", blocks[0])
        patch.setattr(diversity, "COLUMNS", blocks[1])
        assert mean_distance(vectors) == pytest.approx(slow.mean_distance(vectors.tolist()))


def test_all_alike_are_0_apart():
    assert mean_distance(np.full((500, 7), 0.3, np.float32)) == 0


def test_similarity_of_all_pairs_and_of_some():
    pictures = np.random.default_rng(0).integers(0, 256, (5, 1, 12, 13), dtype=np.uint8)
    every = [(i, j) for i in range(5) for j in range(i + 1, 5)]
    one, other = (pictures[list(side)] for side in zip(*every, strict=True))
    expected = ssim(one, other).mean().item()
    assert mean_similarity(pictures, pairs=10) == pytest.approx(expected)
    some = mean_similarity(pictures, pairs=9, seed=1)
    assert some != pytest.approx(expected, abs=1e-6) and some == mean_similarity(pictures, 9, 1)
    # Nothing is compared with itself, which would be 1.
    largest = ssim(pictures[[0, 0, 1]], pictures[[1, 2, 2]]).max().item()
    assert all(mean_similarity(pictures[:3], 2, seed) <= largest for seed in range(20))


def test_a_collapsed_generator_is_seen():
    random = np.random.default_rng(0)
    varied = random.random((20, 1, 16, 16))
    collapsed = varied[:1] + 0.01 * random.random((20, 1, 16, 16))
    assert mean_similarity(varied) < 0.2 and mean_similarity(collapsed) > 0.95
    assert mean_similarity(np.repeat(varied[:1], 3, 0)) == pytest.approx(1)


@pytest.fixture
def in_small_blocks(monkeypatch):
    monkeypatch.setattr(diversity, "ROWS", 3)
    monkeypatch.setattr(diversity, "COLUMNS", 5)


@pytest.mark.usefixtures("in_small_blocks")
@pytest.mark.parametrize("seed", range(8))
def test_neighbours_against_a_loop(seed):
    """On a grid: many are equally far, some are the same, and the earlier one comes first."""
    random = np.random.default_rng(seed)
    bank = random.integers(0, 6, (int(random.integers(1, 25)), 3)).astype(np.float32)
    queries = random.integers(0, 6, (7, 3)).astype(np.float64)
    count = int(random.integers(1, 5))
    places, far = nearest_neighbours(queries, bank, count)
    expected = slow.neighbours(queries.tolist(), bank.tolist(), count)
    assert places.tolist() == [[place for place, _ in row] for row in expected]
    np.testing.assert_allclose(far, [[distance for _, distance in row] for row in expected])


def test_a_copy_is_0_away_also_where_products_would_round():
    bank = np.random.default_rng(0).random((50, 20)) + 1e6
    places, far = nearest_neighbours(bank[[7, 3]], bank)
    assert places.tolist() == [[7], [3]] and not far.any()


def test_copies_are_told_from_new_pictures():
    random = np.random.default_rng(0)
    training, held_out, new = random.normal(size=(3, 400, 6))
    copies = training[:200] + 1e-3 * random.normal(size=(200, 6))
    fresh = copying(new, held_out, training)
    copied = copying(copies, held_out, training)
    half = copying(np.concatenate([copies, new[:200]]), held_out, training)
    assert fresh["copied"] < 0.05 and copied["copied"] == 1
    assert half["copied"] == pytest.approx(0.5, abs=0.03)
    assert fresh["nearest_made"] == pytest.approx(fresh["nearest_real"], rel=0.1)
    assert copied["nearest_made"] < 0.01 * copied["nearest_real"]


def test_histogram():
    probabilities = [[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.1, 0.9, 0.0], [0.8, 0.2, 0.0]]
    found = class_histogram(np.array(probabilities), ["cat", "개", "dog"])
    assert found.shares == {"cat": 0.75, "개": 0.25, "dog": 0.0}
    entropy = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25)) / np.log(3)
    assert found.figures() == pytest.approx(
        {
            "classes_found": 2,
            "smallest_share": 0,
            "largest_share": 0.75,
            "class_entropy": entropy,
            "confidence": 0.75,
        }
    )
    even = class_histogram(np.eye(4), list("abcd")).figures()
    assert (even["class_entropy"], even["classes_found"]) == (pytest.approx(1), 4)
    assert class_histogram(np.ones((3, 1)), ["a"]).figures()["class_entropy"] == 0


def test_refusals():
    with pytest.raises(NothingToMeasure, match="of two at least, not of 1"):
        mean_distance(np.ones((1, 3)))
    with pytest.raises(NothingToMeasure, match="not of 1"):
        mean_similarity(np.ones((1, 1, 12, 12)))
    with pytest.raises(ValueError, match="0 pairs"):
        mean_similarity(np.ones((3, 1, 12, 12)), 0)
    with pytest.raises(NothingToMeasure, match="no pictures to search"):
        nearest_neighbours(np.ones((1, 3)), np.ones((0, 3)))
    with pytest.raises(ValueError, match=r"\(N, 3\) is meant"):
        nearest_neighbours(np.ones((1, 3)), np.ones((2, 4)))
    with pytest.raises(ValueError, match="0 neighbours"):
        nearest_neighbours(np.ones((1, 3)), np.ones((2, 3)), 0)
    with pytest.raises(NothingToMeasure, match="both needed"):
        copying(np.ones((0, 3)), np.ones((2, 3)), np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"\(N, 2\) is meant"):
        class_histogram(np.ones((2, 3)), ["a", "b"])
    with pytest.raises(NothingToMeasure, match="no pictures to classify"):
        class_histogram(np.ones((0, 2)), ["a", "b"])
