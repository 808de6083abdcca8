"""What ``match`` is measured by: against plain loops, and against what the data lists."""

from __future__ import annotations

import numpy as np
import pytest

from boda.data.identities import Listed
from boda.metrics import NothingToMeasure
from boda.metrics.embeddings import euclidean_distances
from boda.metrics.recognition import Recognition

NO_PAIRS = (np.zeros((0, 2), np.int64), np.zeros(0, bool), np.zeros(0, np.int64))


def people(count: int, each: int, spread: float, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    """Vectors about a direction a person."""
    generator = np.random.default_rng(seed)
    middles = generator.normal(size=(count, 16)).repeat(each, 0)
    names = [f"g{person % 2}/p{person}" for person in range(count) for _ in range(each)]
    return middles + spread * generator.normal(size=middles.shape), names


def measured(vectors: np.ndarray, names: list[str], **how) -> tuple[dict[str, float], Recognition]:
    metrics = Recognition()
    for start in range(0, len(names), 7):
        some = slice(start, start + 7)
        groups = [name.rpartition("/")[0] for name in names[some]]
        metrics.update(vectors[some], names[some], groups, **how)
    return metrics.compute(), metrics


def test_clear_people_are_all_known() -> None:
    found, metrics = measured(*people(12, 4, 1e-3))
    for name in ("accuracy", "accuracy_within", "auc", "recall_at_1", "map_at_r"):
        assert found[name] == 1
    assert found["accuracy_interval"] == 0 and found["eer"] == 0
    assert metrics.asked["across"]["ways"] == 12 and metrics.asked["within"]["ways"] == 6


def test_without_knowledge_it_is_chance() -> None:
    vectors, names = people(12, 6, 1.0)
    noise = np.random.default_rng(3).normal(size=vectors.shape)
    found, _ = measured(noise, names)
    assert found["accuracy"] == pytest.approx(1 / 12, abs=0.05)
    assert found["auc"] == pytest.approx(0.5, abs=0.06)


def test_every_pair_is_verified_once() -> None:
    vectors, names = people(6, 5, 0.8)
    found, _ = measured(vectors, names)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    same, other = [], []
    for i in range(30):
        for j in range(i):
            (same if names[i] == names[j] else other).append(unit[i] @ unit[j])
    right = sum((a > b) + 0.5 * (a == b) for a in same for b in other)
    assert found["auc"] == pytest.approx(right / len(same) / len(other), abs=1e-9)


def test_fixed_episodes_are_asked_as_they_are() -> None:
    vectors, names = people(8, 2, 0.9)
    support, queries = np.arange(0, 16, 2), np.arange(1, 16, 2)
    listed = Listed(*NO_PAIRS, ((support, queries, np.arange(8)),))
    found, metrics = measured(vectors, names, listed=listed)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    right = [max(range(8), key=lambda s: unit[q] @ unit[2 * s]) == q // 2 for q in queries]
    assert found["accuracy"] == np.mean(right)
    assert metrics.asked == {"fixed": {"ways": 8, "shots": 1, "count": 1, "left_out": []}}
    assert "recall_at_1" not in found


def test_listed_pairs_are_verified_as_they_are() -> None:
    vectors, names = people(8, 3, 0.5)
    pairs = np.array([[0, 1], [3, 4], [0, 3], [6, 9], [6, 7], [12, 15], [13, 14], [1, 20]])
    same = np.array([names[a] == names[b] for a, b in pairs])
    listed = Listed(pairs, same, np.arange(8) // 4, ())
    found, _ = measured(vectors, names, listed=listed)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = [unit[a] @ unit[b] for a, b in pairs]
    own = [score for score, alike in zip(scores, same, strict=True) if alike]
    others = [score for score, alike in zip(scores, same, strict=True) if not alike]
    wins = [a > b for a in own for b in others]
    assert found["auc"] == pytest.approx(np.mean(wins)) and "accuracy" in found


def test_of_many_pictures_some_are_compared() -> None:
    vectors, names = people(10, 20, 0.5)
    metrics = Recognition(euclidean_distances, compared=50)
    metrics.update(vectors, names, [""] * len(names))
    found = metrics.compute()
    every = Recognition(euclidean_distances)
    every.update(vectors, names, [""] * len(names))
    assert found["auc"] == pytest.approx(every.compute()["auc"], abs=0.05)
    assert "accuracy_within" not in found


def test_nobody_twice_is_nothing_to_measure() -> None:
    with pytest.raises(NothingToMeasure, match="nobody is shown twice"):
        measured(np.eye(4), ["a", "b", "c", "d"])
