"""N-way K-shot episodes: the draw's properties, the figures against loops, and the fixed runs."""

import collections

import numpy as np
import pytest
from scipy import stats

from boda.metrics import NothingToMeasure
from boda.metrics.embeddings import cosine_distances, euclidean_distances
from boda.metrics.episodes import (
    Episodes,
    FewShot,
    Plan,
    Run,
    accuracies,
    draw,
    interval,
    score_runs,
)
from tests.slow_reference import triplets as slow


def alphabets(seed=0, noise=0.5, sizes=(6, 8, 5), each=6, size=5):
    """Characters near the centre of their alphabet: within one they are harder to tell apart."""
    rng = np.random.default_rng(seed)
    vectors, names, groups = [], [], []
    for a, count in enumerate(sizes):
        centre = 4 * rng.normal(size=size)
        for c in range(count):
            own = centre + rng.normal(size=size)
            vectors.append(own + noise * rng.normal(size=(each, size)))
            names += [f"alphabet{a}/character{c:02}"] * each
            groups += [f"alphabet{a}"] * each
    return np.concatenate(vectors), names, groups


@pytest.mark.parametrize("groups_too", [False, True])
@pytest.mark.parametrize("shots, queries", [(1, 1), (3, 2)])
def test_episodes_are_what_they_say(groups_too, shots, queries):
    _, names, groups = alphabets()
    plan = Plan(ways=6, shots=shots, queries=queries, count=40, seed=3)
    found = draw(names, plan, groups if groups_too else None)
    assert found.support.shape == (40, 6, shots) and found.queries.shape == (40, 6, queries)
    who, where = np.array(names), np.array(groups)
    crossed = 0
    for support, asked in zip(found.support, found.queries, strict=True):
        both = np.concatenate([support, asked], 1)
        assert len(np.unique(both)) == both.size  # no picture twice
        assert all(len(set(who[row])) == 1 for row in both)  # a row shows one class
        assert len(set(who[support[:, 0]])) == 6  # and no class twice
        crossed += len(set(where[both.ravel()])) > 1
    assert crossed == 0 if groups_too else crossed == 40
    assert found.left_out == (("alphabet2",) if groups_too else ())


def test_every_class_every_picture_and_every_group_are_as_likely():
    names = [f"{g}{c}" for g, count in (("a", 3), ("b", 9)) for c in range(count) for _ in range(4)]
    groups = [name[0] for name in names]
    found = draw(names, Plan(ways=2, count=4000), groups)
    of = collections.Counter(groups[i] for i in found.support[:, 0, 0])
    assert stats.chisquare([of["a"], of["b"]]).pvalue > 1e-3
    inside = collections.Counter(i for i in found.queries.ravel() if groups[i] == "b")
    assert len(inside) == 36 and stats.chisquare(list(inside.values())).pvalue > 1e-3


def test_the_seed_is_the_episodes():
    _, names, _ = alphabets()
    first, again, other = (draw(names, Plan(ways=4, count=5, seed=s)) for s in (1, 1, 2))
    assert np.array_equal(first.support, again.support)
    assert np.array_equal(first.queries, again.queries)
    assert not np.array_equal(first.support, other.support)


@pytest.mark.parametrize("shots, queries", [(1, 1), (1, 3), (4, 2)])
def test_accuracies_against_a_loop(shots, queries):
    vectors, names, _ = alphabets(seed=shots)
    vectors = np.round(vectors)  # so that some are equally far
    episodes = draw(names, Plan(5, shots, queries, count=60))
    lists = vectors.tolist()
    pairs = list(zip(episodes.support.tolist(), episodes.queries.tolist(), strict=True))
    for measure, loop in (
        (euclidean_distances, lambda a, b: slow.squared(a, b) ** 0.5),
        (cosine_distances, lambda a, b: round(1 - slow.cosine(a, b), 12)),
    ):
        rounded = lambda a, b, m=measure: np.round(m(a, b), 12)  # noqa: E731 both sides tie alike
        found = accuracies(vectors, episodes, rounded)
        expected = [slow.few_shot(lists, pair, loop) for pair in pairs]
        assert found.tolist() == pytest.approx(expected)
        assert 0.3 < found.mean() < 1


def test_figures_across_and_within():
    vectors, names, groups = alphabets()
    plan = Plan(ways=6, queries=2, count=300)
    metric = FewShot(plan, euclidean_distances)
    for part in np.array_split(np.arange(len(names)), 4):
        metric.update(vectors[part], [names[i] for i in part], [groups[i] for i in part])
    found = metric.compute()
    across = accuracies(vectors, draw(names, plan), euclidean_distances)
    within = accuracies(vectors, draw(names, plan, groups), euclidean_distances)
    assert found["accuracy"] == across.mean() and found["within_accuracy"] == within.mean()
    assert found["accuracy"] > found["within_accuracy"] + 0.05
    assert metric.left_out == {"across": (), "within": ("alphabet2",)}
    mean = stats.norm.interval(0.95, across.mean(), stats.sem(across))
    assert found["accuracy_interval"] == pytest.approx((mean[1] - mean[0]) / 2, rel=1e-6)
    assert interval(across[:1]) == 0.0


def test_the_interval_holds_as_often_as_it_says():
    """95 of 100 intervals of other episodes hold the mean of very many."""
    vectors, names, _ = alphabets(noise=1.0)
    measured = lambda seed, count: accuracies(  # noqa: E731
        vectors, draw(names, Plan(5, 1, 1, count, seed)), euclidean_distances
    )
    truth = measured(99, 4000).mean()
    held = 0
    for seed in range(50):
        values = measured(seed, 40)
        held += abs(values.mean() - truth) <= interval(values)
    assert held >= 42  # 47 or 48 expected; fewer than 42 once in 100


def test_one_vector_for_everything_knows_nobody():
    _, names, _ = alphabets()
    metric = FewShot(Plan(ways=5, count=20))
    metric.update(np.ones((len(names), 4)), names)
    assert metric.compute() == {"accuracy": 0.0, "accuracy_interval": 0.0}


def test_merge_is_the_same_as_one_after_the_other():
    vectors, names, groups = alphabets()
    whole, first, second = (FewShot(Plan(ways=5, count=30)) for _ in range(3))
    whole.update(vectors, names, groups)
    first.update(vectors[:40], names[:40], groups[:40])
    second.update(vectors[40:], names[40:], groups[40:])
    first.merge(second)
    assert first.compute() == whole.compute()


def test_groups_that_are_all_too_small_are_said_and_left_out():
    vectors, names, groups = alphabets()
    metric = FewShot(Plan(ways=10, count=10))
    metric.update(vectors, names, groups)
    assert "within_accuracy" not in metric.compute()
    assert metric.left_out["within"] == ("alphabet0", "alphabet1", "alphabet2")


def test_too_little_is_said():
    with pytest.raises(NothingToMeasure, match="there are not 20 classes with 2 pictures each"):
        draw(["a", "a", "b", "b", "c"], Plan())
    with pytest.raises(NothingToMeasure, match="no group has 2 classes"):
        draw(["a", "a", "b", "b"], Plan(ways=2), ["x", "x", "y", "y"])
    found = draw(["a", "a", "b", "b", "once"], Plan(ways=2, count=3))
    assert isinstance(found, Episodes) and found.left_out == ("once",)
    for wrong in ({"ways": 1}, {"shots": 0}, {"queries": 0}, {"count": 0}, {"seed": -1}):
        with pytest.raises(ValueError, match="is meant"):
            Plan(**wrong)
    with pytest.raises(ValueError, match="no pictures"):
        FewShot().compute()
    metric = FewShot()
    metric.update(np.eye(2), ["a", "b"], ["x", "x"])
    with pytest.raises(ValueError, match="with every batch, or with none"):
        metric.update(np.eye(2), ["a", "b"])
    with pytest.raises(ValueError, match="1 groups of 2"):
        metric.update(np.eye(2), ["a", "b"], ["x"])


def test_fixed_runs_by_hand():
    """Two runs of three: one right of three (a tie is wrong), then three of three."""
    training = np.array([[0.0], [10.0], [20.0]])
    first = Run(np.array([[1.0], [5.0], [9.0]]), training, np.array([0, 1, 2]))
    second = Run(np.array([[21.0], [1.0], [9.0]]), training, np.array([2, 0, 1]))
    found = score_runs([first, second], euclidean_distances)
    assert found["error_rate"] == pytest.approx(1 / 3) and found["accuracy"] == pytest.approx(2 / 3)
    spread = np.std([1 / 3, 1.0], ddof=1) / np.sqrt(2) * stats.norm.ppf(0.975)
    assert found["accuracy_interval"] == pytest.approx(spread, rel=1e-6)


def test_fixed_runs_against_argmin():
    rng = np.random.default_rng(0)
    runs, wrong = [], 0
    for _ in range(20):
        training = rng.normal(size=(20, 6))
        truth = rng.permutation(20)
        test = training[truth] + 0.8 * rng.normal(size=(20, 6))
        runs.append(Run(test, training, truth))
        far = np.linalg.norm(test[:, None] - training, axis=2)
        wrong += (far.argmin(1) != truth).sum()
    assert 0.05 < wrong / 400 < 0.9
    found = score_runs(runs, euclidean_distances)
    assert found["error_rate"] == pytest.approx(wrong / 400)


@pytest.mark.parametrize("truth", [[0, 3], [0], [-1, 0], [0.0, 1.0]])
def test_runs_that_do_not_fit(truth):
    with pytest.raises(ValueError, match=r"drawings|truths are 0\.\.2"):
        Run(np.eye(2, 3), np.eye(3), np.array(truth))
    with pytest.raises(ValueError, match="no runs"):
        score_runs([])
