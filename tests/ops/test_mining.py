"""Mining against plain loops, pytorch-metric-learning's recorded choices, and counts of what is drawn."""

import itertools
import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from boda.errors import UsageError
from boda.ops import (
    all_pairs,
    all_triplets,
    balanced_pairs,
    cosine_distance,
    distance_weighted_triplets,
    euclidean,
    hard_triplets,
    l2_normalize,
    mine,
    mining,
    random_triplets,
    semi_hard_triplets,
    squared_euclidean,
)
from boda.ops.distances import DISTANCES
from tests.slow_reference import triplets as slow

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "metric_learning.json").read_text())


@pytest.fixture(scope="module")
def golden():
    vectors = torch.tensor(GOLDEN["embeddings"], dtype=torch.float64)
    return vectors, torch.tensor(GOLDEN["labels"])


@st.composite
def batches(draw):
    """Vectors on a coarse grid, so that distances tie and vectors repeat; labels of uneven number."""
    seed, n = draw(st.integers(0, 2**31)), draw(st.integers(1, 12))
    generator = torch.Generator().manual_seed(seed)
    fine = draw(st.sampled_from([1, 7, 1000]))
    vectors = torch.randint(-fine, fine + 1, (n, 3), generator=generator).double() / fine
    return vectors, torch.randint(0, draw(st.integers(1, 4)), (n,), generator=generator)


def rows(triplets):
    assert all(part.dtype == torch.int64 and not part.requires_grad for part in triplets)
    return list(zip(*(part.tolist() for part in triplets), strict=True))


@settings(max_examples=50, deadline=None)
@given(batches(), batches())
def test_distances_against_loops(a, b):
    for distance, loop in (
        (squared_euclidean, slow.squared),
        (euclidean, lambda x, y: slow.squared(x, y) ** 0.5),
        (cosine_distance, lambda x, y: 1 - slow.cosine(x, y)),
    ):
        x, y = a[0], b[0]
        if distance is cosine_distance:  # where zeros point nowhere a rule of its own holds
            x, y = (v[v.any(1)] for v in (x, y))
        found = distance(x, y)
        expected = torch.tensor(slow.table(x.tolist(), y.tolist(), loop), dtype=torch.float64)
        torch.testing.assert_close(found, expected.reshape(len(x), len(y)), rtol=1e-9, atol=1e-12)


def test_distances_of_the_golden_vectors(golden):
    x, _ = golden
    for name, expected in GOLDEN["distances"].items():
        torch.testing.assert_close(DISTANCES[name](x, x), torch.tensor(expected).double())
    found = 1 - DISTANCES["cosine"](x, x)
    torch.testing.assert_close(found, torch.tensor(GOLDEN["cosines"]).double())


def test_distances_keep_near_neighbours_apart_from_each_other():
    """Far from the origin |a|² + |b|² − 2ab is off by more than these distances, in float32."""
    x = torch.tensor([[300.0, 400.0], [300.001, 400.0], [300.0, 400.002]])
    expected = torch.cdist(x.double(), x.double())
    torch.testing.assert_close(euclidean(x, x).double(), expected, rtol=1e-5, atol=0)
    unit = torch.tensor([[1.0, 0.0], [1.0, 1e-4]])
    assert cosine_distance(unit, unit)[0, 1].item() == pytest.approx(0.5e-8, rel=1e-3)
    assert cosine_distance(torch.zeros(1, 2), unit).tolist() == [pytest.approx([0.5, 0.5])]


@pytest.mark.parametrize("name", DISTANCES)
def test_distances_have_gradients_that_are_finite_at_0(name):
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    y = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(DISTANCES[name], (x, y))
    same = torch.tensor([[0.6, 0.8], [0.6, 0.8], [0.0, 0.0]], requires_grad=True)
    (gradient,) = torch.autograd.grad(DISTANCES[name](same, same).sum(), same)
    assert gradient.isfinite().all() and gradient.abs().max() < 10


@pytest.mark.parametrize("name", DISTANCES)
def test_distances_are_float32_under_autocast(name):
    x = torch.randn(6, 16).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        found = DISTANCES[name](x, x)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, DISTANCES[name](x.float(), x.float()), rtol=0, atol=0)


@settings(max_examples=80, deadline=None)
@given(batches(), st.sampled_from([0.1, 0.5, 3.0]))
def test_rules_against_loops(batch, margin):
    vectors, labels = batch
    names = labels.tolist()
    assert rows(all_triplets(labels)) == slow.everything(names)
    distances = squared_euclidean(vectors, vectors)
    table = distances.tolist()
    assert rows(hard_triplets(distances, labels)) == slow.hard(table, names)
    assert rows(semi_hard_triplets(distances, labels, margin)) == slow.semi_hard(
        table, names, margin
    )


def test_rules_against_pytorch_metric_learning(golden):
    x, labels = golden
    distances = squared_euclidean(x, x)
    found = {rule: rows(mine(rule, x, labels, distances, 0.4)) for rule in ("all", "hard")}
    for rule, triplets in found.items():
        assert triplets == [tuple(row) for row in GOLDEN["mined"][rule]]
    # Theirs are all semi-hard negatives, ours the nearest of them.
    between = {}
    for a, p, n in GOLDEN["mined"]["semi-hard"]:
        between.setdefault((a, p), []).append(n)
    nearest = [(*pair, min(n, key=distances[pair[0]].__getitem__)) for pair, n in between.items()]
    assert rows(mine("semi-hard", x, labels, distances, 0.4)) == nearest and len(nearest) > 5


def test_weights_against_pytorch_metric_learning(golden):
    x, labels = golden
    unit = l2_normalize(x)
    found = mining.negative_weights(euclidean(unit, unit), labels, 6)
    there = [i for i, row in enumerate(GOLDEN["weights"]) if row is not None]
    assert len(there) > 8
    expected = torch.tensor([GOLDEN["weights"][i] for i in there], dtype=torch.float64)
    torch.testing.assert_close(found[there], expected, rtol=1e-8, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(batches(), st.integers(2, 30))
def test_weights_against_a_loop(batch, dimensions):
    vectors, labels = batch
    unit = l2_normalize(vectors)
    distances = euclidean(unit, unit)
    found = mining.negative_weights(distances, labels, dimensions)
    expected = slow.negative_weights(
        distances.tolist(), labels.tolist(), dimensions, mining.NEAREST, mining.FARTHEST
    )
    torch.testing.assert_close(found, torch.tensor(expected).double().view_as(found))


def test_weights_of_many_dimensions_stay_finite():
    """1/q(0.5) is 10^95 times as much as 1/q(1.39) in 512 dimensions."""
    distances = torch.tensor(
        [[0.0, 1.0, 0.5, 1.39, 1.2], [1.0, 0, 1.38, 1.39, 1.41]] + 3 * [[0.0] * 5]
    )
    found = mining.negative_weights(distances, torch.tensor([0, 0, 1, 1, 1]), 512)
    assert found[0].tolist() == pytest.approx([0, 0, 1, 0, 0])
    ratio = found[1, 3] / found[1, 2]  # of densities, (d/e)^510 · ((1 − d²/4)/(1 − e²/4))^254.5
    expected = (1.38 / 1.39) ** 510 * ((4 - 1.38**2) / (4 - 1.39**2)) ** 254.5
    assert ratio.item() == pytest.approx(expected, rel=1e-4) and found[1, 4] == 0


def test_drawn_by_distance_all_distances_are_about_as_likely():
    """The point of the paper: on a sphere nearly all are √2 apart, yet what is drawn is spread out."""
    generator = torch.Generator().manual_seed(0)
    unit = l2_normalize(torch.randn(1500, 8, generator=generator))
    distances, labels = euclidean(unit, unit), torch.arange(1500) // 2
    drawn = {
        "evenly": random_triplets(labels, generator),
        "by distance": distance_weighted_triplets(distances, labels, 8, generator),
    }
    near, far = mining.NEAREST + 0.05, mining.FARTHEST
    steps = torch.linspace(near, far, 6)
    found = {}
    for name, (anchor, _, negative) in drawn.items():
        d = distances[anchor, negative]
        found[name] = torch.histogram(d[(d > near) & (d < far)], steps).hist
    evenly, spread = found["evenly"], found["by distance"]
    assert evenly[-1] > 10 * evenly[0]
    assert spread.max() < 1.5 * spread.min() and spread.sum() > 1000


@pytest.mark.parametrize("rule", ["random", "distance-weighted"])
def test_draws_are_as_likely_as_their_weights(rule):
    """Counts of 8,000 draws against the weights, by a chi-squared test."""
    vectors = 1 + torch.randn(7, 4, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([0, 1, 0, 2, 1, 0, 3])
    unit = l2_normalize(vectors)
    distances = euclidean(unit, unit)
    weights = (labels[:, None] != labels).double()
    if rule != "random":
        weights = mining.negative_weights(distances, labels, 4)
    generator, counts = torch.Generator().manual_seed(2), torch.zeros(7, 7)
    for _ in range(1000):
        if rule == "random":
            found = random_triplets(labels, generator)
        else:
            found = distance_weighted_triplets(distances, labels, 4, generator)
        pairs = [row[:2] for row in rows(found)]
        assert pairs == [(i, j) for i, j in itertools.product(range(7), range(7))
                         if i != j and labels[i] == labels[j]]  # fmt: skip
        counts.index_put_((found.anchor, found.negative), torch.ones(8), accumulate=True)
    assert not counts[weights == 0].any()
    for a in (0, 1, 2, 4, 5):
        possible = weights[a] > 0
        expected = weights[a, possible] / weights[a].sum() * counts[a].sum()
        assert stats.chisquare(counts[a, possible], expected).pvalue > 1e-3


@pytest.mark.parametrize("chance", [0.0, 1 - 2.0**-53])
def test_what_has_no_weight_is_not_drawn_at_either_end_of_chance(monkeypatch, chance):
    monkeypatch.setattr(torch, "rand", lambda *size, **_: chance * torch.ones(size).double())
    labels = torch.tensor([0, 0, 1, 1, 2, 0, 0])
    for anchor, _, negative in rows(random_triplets(labels)):
        others = (labels != labels[anchor]).nonzero()[:, 0].tolist()
        assert negative == others[0 if chance == 0 else -1]


@pytest.mark.parametrize("rule", ["random", "distance-weighted"])
def test_draws_follow_the_seed(rule):
    x, labels = torch.randn(24, 5), torch.arange(24) // 4
    found = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        found.append(rows(mine(rule, x, labels, squared_euclidean(x, x), 0.2)))
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize("rule", mining.RULES)
@pytest.mark.parametrize("labels", [[], [5], [0, 0, 0], [0, 1, 2]])
def test_without_two_of_one_and_another_there_are_no_triplets(rule, labels):
    x = torch.randn(len(labels), 3, requires_grad=True)
    names = torch.tensor(labels, dtype=torch.int64)
    assert rows(mine(rule, x, names, squared_euclidean(x, x), 0.2)) == []


def test_semi_hard_lies_strictly_between():
    """A negative as far as the positive is hard, one at the margin is easy."""
    distances = torch.tensor([[0.0, 1.0, 1.0, 1.5, 1.25], *[[9.0] * 5] * 4])
    labels = torch.tensor([0, 0, 1, 2, 3])
    assert rows(semi_hard_triplets(distances, labels, 0.5))[:1] == [(0, 1, 4)]
    assert rows(semi_hard_triplets(distances, labels, 0.25)) == []


@pytest.mark.parametrize("rule", mining.RULES)
def test_vectors_that_are_not_finite_do_not_stop_the_miner(rule):
    """The engine says so of the loss; a miner that fails first would hide it."""
    x = torch.full((6, 4), torch.nan)
    mine(rule, x, torch.arange(6) // 2, squared_euclidean(x, x), 0.2)


def test_too_many_triplets_are_refused_before_they_are_listed():
    with pytest.raises(UsageError, match=r"2,000 pictures has 1,998,000,000 triplets.*semi-hard"):
        all_triplets(torch.arange(2000) % 2)
    assert not rows(all_triplets(torch.zeros(1500, dtype=torch.int64)))  # pairs, but no negatives


def test_pairs():
    labels = torch.tensor([1, 0, 1, 1, 2, 0])
    found = list(zip(*(part.tolist() for part in all_pairs(labels)), strict=True))
    pairs = itertools.combinations(range(6), 2)
    assert found == [(i, j, labels[i].item() == labels[j].item()) for i, j in pairs]
    drawn = balanced_pairs(labels, torch.Generator().manual_seed(0))
    rest = list(zip(*(part.tolist() for part in drawn), strict=True))
    assert sorted(set(rest)) == rest and set(rest) <= set(found)
    assert drawn.same.sum() == 4 and len(rest) == 8
    assert not len(balanced_pairs(torch.arange(5)).same)


def test_balanced_pairs_draw_every_pair_of_two_sooner_or_later():
    labels, generator = torch.arange(8) // 2, torch.Generator().manual_seed(0)
    seen = set()
    for _ in range(60):
        pairs = balanced_pairs(labels, generator)
        seen |= set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))
    assert len(seen) == 28


def test_errors_say_the_fix():
    x, labels = torch.randn(4, 3), torch.tensor([0, 0, 1, 1])
    distances = squared_euclidean(x, x)
    with pytest.raises(UsageError, match=r"Did you mean semi-hard"):
        mine("semihard", x, labels, distances, 0.2)
    with pytest.raises(UsageError, match=r"Give \(N,\) integers"):
        all_triplets(labels.float())
    with pytest.raises(UsageError, match=r"Give \(N, N\)"):
        hard_triplets(distances[:3], labels)
    with pytest.raises(UsageError, match="more than 0"):
        semi_hard_triplets(distances, labels, 0.0)
    with pytest.raises(UsageError, match="2 or more"):
        distance_weighted_triplets(distances, labels, 1)
    with pytest.raises(UsageError, match=r"Give \(N, D\) and \(M, D\)"):
        euclidean(x, x[:, :2])
