"""Exact search: equal to plain loops in double precision, whatever the blocks."""

from __future__ import annotations

import math

import numpy as np
import pytest

from boda.gallery import search
from boda.gallery.search import Matrix


def directions(count: int, dimension: int, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=(count, dimension))
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


def plainly(query: np.ndarray, vectors: np.ndarray, count: int) -> list[tuple[int, float]]:
    """Row and cosine of the nearest, by exactly rounded sums over every vector."""
    found = []
    for row, vector in enumerate(vectors):
        similar = math.fsum(float(a) * float(b) for a, b in zip(query, vector, strict=True))
        found.append((row, similar))
    return sorted(found, key=lambda one: (-one[1], one[0]))[:count]


def filled(vectors: np.ndarray, pieces: int = 1) -> Matrix:
    matrix = Matrix(vectors.shape[1])
    for part in np.array_split(np.arange(len(vectors)), pieces):
        matrix.append((part + 10).tolist(), [f"n{row}" for row in part], vectors[part])
    return matrix


@pytest.mark.parametrize("block", [7, 64, 16_384])
@pytest.mark.parametrize("count", [1, 5, 400])
def test_equals_plain_loops(block: int, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "BLOCK", block)
    monkeypatch.setattr(search, "AT_ONCE", 2)
    vectors, queries = directions(300, 16), directions(5, 16, seed=1)
    matrix = filled(vectors, pieces=9)
    for query, matches in zip(queries, matrix.nearest(queries, count), strict=True):
        expected = plainly(query, vectors, count)
        assert [match.id - 10 for match in matches] == [row for row, _ in expected]
        assert [match.name for match in matches] == [f"n{row}" for row, _ in expected]
        similar = [match.similarity for match in matches]
        assert np.allclose(similar, [value for _, value in expected], atol=1e-12)


def test_of_equal_ones_the_first_that_came_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "BLOCK", 4)
    vectors = directions(12, 8)
    vectors[[2, 9]] = vectors[5]
    matches = filled(vectors).nearest(vectors[5:6], 3)[0]
    assert [match.id for match in matches] == [12, 15, 19]
    assert matches[0].similarity == matches[1].similarity == pytest.approx(1, abs=1e-6)


def test_near_ties_are_ordered_in_double_precision() -> None:
    """Cosines that differ by 1e-9, which float32 cannot tell: the larger comes first all the same."""
    query = np.zeros((1, 4), np.float32)
    query[0, :2] = 1, 2.0**-12
    vectors = np.zeros((6, 4), np.float32)
    vectors[:, 0] = np.float32(0.75)
    vectors[:, 1] = [0, 1e-6, 3e-6, 2e-6, 5e-6, 4e-6]
    assert len(set((vectors @ query[0]).tolist())) == 1  # in float32 they are one
    matches = filled(vectors).nearest(query, 6)[0]
    assert [match.id - 10 for match in matches] == [4, 5, 2, 3, 1, 0]


def test_an_empty_matrix_has_no_match() -> None:
    assert Matrix(3).nearest(np.eye(3, dtype=np.float32), 2) == [[], [], []]


def test_more_look_alikes_than_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two hundred vectors that float32 hardly tells apart, of which the two best are to be found."""
    monkeypatch.setattr(search, "BLOCK", 50)
    vectors = np.repeat(directions(3, 64), 200, 0).astype(np.float64)
    vectors += np.random.default_rng(2).normal(size=vectors.shape) * 1e-6
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    query = directions(3, 64)[1]
    expected = plainly(query, vectors, 2)
    in_float32 = np.argsort(-(vectors @ query), kind="stable")[:2]
    assert in_float32.tolist() != [row for row, _ in expected]  # else this would show nothing
    matches = filled(vectors).nearest(query[None], 2)[0]
    assert [match.id - 10 for match in matches] == [row for row, _ in expected]
