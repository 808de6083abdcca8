"""The threshold: equal to plain loops, and unknown people are as rarely known as it promises."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest

from boda.gallery.calibration import (
    Impostors,
    calibrate,
    choose_probes,
    impostors,
    is_stale,
    threshold_at,
)
from boda.gallery.records import Calibration


def unit(values: np.ndarray) -> np.ndarray:
    return (values / np.linalg.norm(values, axis=-1, keepdims=True)).astype(np.float32)


def crowd(people: int, each: int, dimension: int, generator: np.random.Generator) -> np.ndarray:
    """(people · each, D): directions about a common mean, which real embeddings have too."""
    who = generator.normal(size=(people, 1, dimension)) + 0.5
    return unit(
        (who + 0.4 * generator.normal(size=(people, each, dimension))).reshape(-1, dimension)
    )


class Kept:
    """As much of a store as calibration asks for."""

    def __init__(self, names: list[str], vectors: np.ndarray, block: int = 7) -> None:
        self.names, self.all, self.block = names, vectors, block

    def extent(self) -> tuple[int, int]:
        return len(self.names), len(self.names)

    def labels(self) -> tuple[np.ndarray, list[str]]:
        return np.arange(len(self.names)) + 1, self.names

    def vectors(self, ids: np.ndarray) -> np.ndarray:
        return self.all[ids - 1]

    def blocks(self) -> Iterator[tuple[list[str], np.ndarray]]:
        for start in range(0, len(self.names), self.block):
            some = slice(start, start + self.block)
            yield self.names[some], self.all[some]


def test_impostors_equal_plain_loops() -> None:
    vectors = crowd(6, 3, 12, np.random.default_rng(0))
    names = [f"n{row // 3}" for row in range(18)]
    found = impostors(vectors[2:9], names[2:9], Kept(names, vectors, 5).blocks())
    nearest, every = [], []
    for row in range(2, 9):
        similar = [
            sum(float(a) * float(b) for a, b in zip(vectors[row], vectors[other], strict=True))
            for other in range(18)
            if names[other] != names[row]
        ]
        nearest.append(max(similar))
        every += similar
    mean = sum(every) / len(every)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in every) / len(every))
    assert np.allclose(found.nearest, nearest, atol=1e-6)
    assert found.mean == pytest.approx(mean, abs=1e-6)
    assert found.deviation == pytest.approx(deviation, abs=1e-6)


def test_the_threshold_is_the_one_before_the_kth_largest() -> None:
    nearest = np.random.default_rng(1).permutation(np.arange(1, 200) / 1000)
    found = Impostors(nearest, 0.0, 0.1)
    for rate, k in ((0.01, 2), (0.0149, 2), (0.015, 3), (0.1, 20), (0.5, 100)):
        assert threshold_at(rate, found, 199, 32) == (pytest.approx((201 - k) / 1000), True)
    for rate in (0.009, 0.004):
        below, measured = threshold_at(rate, found, 199, 32)
        assert not measured and below >= 0.199


def test_too_few_pictures_are_estimated_and_never_below_what_was_seen() -> None:
    found = Impostors(np.array([0.1, 0.2, 0.3]), 0.05, 0.2)
    # All of 3 names stay below t with 99 %: each with 0.99^(1/3).
    expected = 0.05 + 0.2 * NormalDist().inv_cdf(0.99 ** (1 / 3))
    threshold, measured = threshold_at(0.01, found, 3, 64)
    assert not measured and threshold == pytest.approx(expected, abs=2e-6) and threshold > 0.3
    assert threshold_at(0.01, replace(found, nearest=np.array([0.9, 0.1])), 3, 64)[0] == 0.9
    # One comparison has no deviation; unrelated directions in 64 dimensions have 1/8.
    alone = threshold_at(0.01, Impostors(np.array([0.1, 0.1]), 0.1, 0.0), 2, 64)[0]
    assert alone == pytest.approx(0.1 + NormalDist().inv_cdf(math.sqrt(0.99)) / 8, abs=2e-6)
    assert threshold_at(0.01, Impostors(np.ones(2), 1.0, 0.0), 2, 64)[0] == 1.0


@pytest.mark.parametrize(("people", "rate"), [(199, 0.01), (59, 0.05), (119, 0.05)])
def test_unknown_people_are_known_as_rarely_as_promised(people: int, rate: float) -> None:
    """Over many galleries, the share of strangers above the threshold is at most the rate.

    Similarities are mutual: the largest of all stands twice among the probes'. So the j-th largest pair
    is the threshold, and a stranger is above it with a probability of about 2j / P.
    """
    generator = np.random.default_rng(people)
    above = strangers = 0
    for _ in range(60):
        vectors = crowd(people, 1, 16, generator)
        found = calibrate(Kept([f"n{i}" for i in range(people)], vectors, 64), rate)  # type: ignore[arg-type]
        assert found is not None and found.measured and found.probes == people
        unknown = crowd(400, 1, 16, generator)
        above += int(((unknown @ vectors.T).max(1) > found.threshold).sum())
        strangers += 400
    expected = 2 * (math.floor(rate * (people + 1)) // 2) / people
    share = above / strangers
    # A gallery's own share scatters by as much as itself where j is 1; the mean of 60 by an eighth.
    assert 0.6 * expected < share < 1.4 * expected, share
    assert expected < 1.01 * rate


def test_an_estimate_from_ten_people_keeps_strangers_out() -> None:
    """With ten names a rate of 1 % cannot be counted: the estimate is to be of its order, not of 10 %."""
    generator = np.random.default_rng(3)
    shares, known = [], []
    for _ in range(40):
        people = crowd(10, 2, 32, generator)
        vectors, others = people[::2], people[1::2]
        found = calibrate(Kept([f"n{i}" for i in range(10)], vectors), 0.01)  # type: ignore[arg-type]
        assert found is not None and not found.measured
        unknown = crowd(300, 1, 32, generator)
        shares.append(((unknown @ vectors.T).max(1) > found.threshold).mean())
        known.append(((vectors * others).sum(1) > found.threshold).mean())
    assert np.mean(shares) < 0.03
    assert np.mean(known) > 0.9  # and it does not keep out those who are known


def test_probes_are_of_every_name_before_a_second_of_any() -> None:
    names = ["a"] * 5 + ["b"] + ["c"] * 3
    assert sorted(names[i] for i in choose_probes(names, 3)) == ["a", "b", "c"]
    assert sorted(names[i] for i in choose_probes(names, 5)) == ["a", "a", "b", "c", "c"]
    assert choose_probes(names, 100).tolist() == list(range(9))
    many = [f"{letter}{i}" for letter in "xyz" for i in range(1000)]
    chosen = choose_probes(many, 300)
    assert (np.bincount(chosen // 1000) > 70).all()  # not the first by their letters
    assert (chosen == choose_probes(many, 300)).all()


def test_one_name_says_nothing() -> None:
    vectors = crowd(1, 4, 8, np.random.default_rng(0))
    assert calibrate(Kept(["a"] * 4, vectors), 0.01) is None  # type: ignore[arg-type]
    assert calibrate(Kept([], vectors[:0]), 0.01) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("extent", "rate", "stale"),
    [
        ((100, 100), 0.01, False),
        ((110, 110), 0.01, False),  # ten came
        ((111, 111), 0.01, True),
        ((90, 100), 0.01, False),  # ten went
        ((89, 100), 0.01, True),
        ((100, 106), 0.01, True),  # six came and six went
        ((100, 100), 0.02, True),
    ],
)
def test_a_tenth_of_a_gallery_makes_a_threshold_stale(
    extent: tuple[int, int], rate: float, stale: bool
) -> None:
    then = Calibration(0.5, 0.01, True, 100, 100, 100, 100)
    assert is_stale(then, rate, extent) is stale
    assert is_stale(None, rate, extent)
