"""Losses of embeddings against plain loops, pytorch-metric-learning's records, finite differences."""

import itertools
import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from boda.errors import UsageError
from boda.ops import (
    TripletLoss,
    all_pairs,
    all_triplets,
    arcface_loss,
    contrastive_loss,
    euclidean,
    mining,
    prototypical_loss,
    squared_euclidean,
    supcon_loss,
    triplet_loss,
    verification_loss,
)
from boda.ops.distances import DISTANCES
from boda.ops.metric_losses import REDUCERS
from boda.ops.mining import Triplets, hard_triplets
from tests.slow_reference import triplets as slow

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "metric_learning.json").read_text())


@pytest.fixture
def golden():
    vectors = torch.tensor(GOLDEN["embeddings"], dtype=torch.float64, requires_grad=True)
    return vectors, torch.tensor(GOLDEN["labels"])


def same_as_recorded(loss, vectors, recorded):
    (gradient,) = torch.autograd.grad(loss, vectors)
    assert loss.item() == pytest.approx(recorded["loss"], rel=1e-8)
    expected = torch.tensor(recorded["gradient"], dtype=torch.float64)
    torch.testing.assert_close(gradient, expected, rtol=1e-7, atol=1e-9)


@st.composite
def batches(draw):
    seed, n = draw(st.integers(0, 2**31)), draw(st.integers(2, 12))
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(n, draw(st.integers(2, 5)), generator=generator)
    return vectors, torch.randint(0, draw(st.integers(1, 4)), (n,), generator=generator)


NEAR = {"rel": 1e-4, "abs": 1e-6}


@settings(max_examples=60, deadline=None)
@given(batches(), st.sampled_from([0.05, 0.5, 3.0, None]), st.sampled_from(list(REDUCERS)))
def test_triplets_and_pairs_against_loops(batch, margin, reducer):
    x, labels = batch
    lists, names = x.double().tolist(), labels.tolist()
    found = triplet_loss(squared_euclidean(x, x), all_triplets(labels), margin, reducer)
    table = slow.table(lists, lists, slow.squared)
    loss, active = slow.triplet(table, slow.everything(names), margin, reducer)
    assert found.loss.item() == pytest.approx(loss, **NEAR)
    assert found.active.item() == pytest.approx(active, abs=0.02)  # a triplet at the very margin
    assert found.examples == len(slow.everything(names))

    far = margin or 1.0
    pairs = contrastive_loss(euclidean(x, x), all_pairs(labels), far, far / 4, reducer)
    loss, active = slow.contrastive(lists, names, far, far / 4, reducer)
    assert pairs.loss.item() == pytest.approx(loss, **NEAR)
    assert pairs.active.item() == pytest.approx(active, abs=0.02)


@settings(max_examples=60, deadline=None)
@given(batches(), st.sampled_from([0.1, 0.5, 2.0]), st.integers(1, 3))
def test_prototypes_and_supcon_against_loops(batch, temperature, shots):
    x, labels = batch
    lists, names = x.double().tolist(), labels.tolist()
    found = supcon_loss(x, labels, temperature)
    assert found.item() == pytest.approx(slow.supcon(lists, names, temperature), **NEAR)
    found = prototypical_loss(x, labels, shots)
    assert found.item() == pytest.approx(slow.prototypical(lists, names, shots), **NEAR)


@settings(max_examples=60, deadline=None)
@given(batches(), st.sampled_from([0.0, 0.3, 0.5, 2.5]), st.sampled_from([1.0, 16.0]))
def test_arcface_against_a_loop(batch, margin, scale):
    x, labels = batch
    weights = torch.randn(4, x.shape[1], generator=torch.Generator().manual_seed(0))
    found = arcface_loss(x, weights, labels, margin, scale)
    expected = slow.arcface(
        x.double().tolist(), weights.double().tolist(), labels.tolist(), margin, scale
    )
    # A sine below 3·10⁻⁴ is taken for that, and the scale makes the difference larger.
    assert found.item() == pytest.approx(expected, rel=1e-4, abs=1e-5 + 2e-4 * scale)
    precise = arcface_loss(x.double(), weights.double(), labels, margin, scale)
    assert precise.item() == pytest.approx(expected, rel=1e-6, abs=2e-4 * scale)


@pytest.mark.parametrize(
    "recorded", GOLDEN["triplet"], ids=lambda r: f"{r['distance']} {r['reducer']}"
)
def test_triplets_and_gradients_of_pytorch_metric_learning(golden, recorded):
    x, labels = golden
    distances = DISTANCES[recorded["distance"]](x, x)
    if recorded["reducer"] == "soft, hard":
        found = triplet_loss(distances, hard_triplets(distances, labels), None, "mean")
    else:
        found = triplet_loss(distances, all_triplets(labels), 0.4, recorded["reducer"])
    same_as_recorded(found.loss, x, recorded)


def test_pairs_of_pytorch_metric_learning(golden):
    """Its hinges, squared and halved as in the paper."""
    x, labels = golden
    each = [hinge for _, _, hinge in GOLDEN["hinges"]]
    pairs = all_pairs(labels)
    assert [[i, j] for i, j, _ in GOLDEN["hinges"]] == torch.stack(pairs[:2], 1).tolist()
    found = contrastive_loss(euclidean(x, x), pairs, 1.5, 0.3)
    assert found.loss.item() == pytest.approx(sum(h * h / 2 for h in each) / len(each), rel=1e-8)
    assert found.active.item() == pytest.approx(sum(h > 0 for h in each) / len(each))
    assert 0 < found.active < 1


@pytest.mark.parametrize("temperature", GOLDEN["supcon"])
def test_supcon_and_gradients_of_pytorch_metric_learning(golden, temperature):
    x, labels = golden
    found = supcon_loss(x, labels, float(temperature))
    same_as_recorded(found, x, GOLDEN["supcon"][temperature])


@pytest.mark.parametrize("recorded", GOLDEN["arcface"], ids=lambda r: str(r["margin"]))
def test_arcface_and_gradients_of_pytorch_metric_learning(golden, recorded):
    x, labels = golden
    weights = torch.tensor(GOLDEN["directions"], dtype=torch.float64)
    found = arcface_loss(x, weights, labels, recorded["margin"], recorded["scale"])
    same_as_recorded(found, x, recorded)


def losses():
    labels = torch.tensor([0, 1, 0, 2, 1, 2, 1])
    weights = torch.randn(3, 4, generator=torch.Generator().manual_seed(1)).bfloat16()
    named = {
        "contrastive": lambda x, k: contrastive_loss(euclidean(x, x), all_pairs(k), 2.0, 0.5).loss,
        "prototypical": prototypical_loss,
        "supcon": supcon_loss,
        "arcface": lambda x, k: arcface_loss(x, weights.to(x), k, scale=8.0),
        "verification": lambda x, k: verification_loss(x[:, 0], k == 0),
    }
    for mining_rule in ("all", "hard", "semi-hard"):
        for margin in (0.7, None):
            if margin or mining_rule != "semi-hard":
                named[f"{mining_rule} {margin}"] = (
                    lambda x, k, r=mining_rule, m=margin: TripletLoss("euclidean", r, "mean", m)(x, k)[0]
                )  # fmt: skip
    return labels, named


@pytest.mark.parametrize("name", losses()[1])
def test_gradients(name):
    labels, named = losses()
    x = torch.randn(7, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x.requires_grad_()
    assert gradcheck(lambda x: named[name](x, labels), (x,))
    (gradient,) = torch.autograd.grad(named[name](x, labels), x)
    assert gradient.any()


@pytest.mark.parametrize("name", losses()[1])
def test_float32_under_autocast(name):
    labels, named = losses()
    x = torch.randn(7, 4, generator=torch.Generator().manual_seed(0)).bfloat16().requires_grad_()
    expected = named[name](x.detach().float(), labels)
    with torch.autocast("cpu", torch.bfloat16):
        found = named[name](x, labels)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    found.backward()
    assert x.grad.dtype == torch.bfloat16 and x.grad.any()


@pytest.mark.parametrize("labels", [[], [1], [0, 1, 2]])
@pytest.mark.parametrize("name", [n for n in losses()[1] if n not in ("arcface", "verification")])
def test_nothing_to_learn_is_0_with_a_gradient(name, labels):
    if name == "contrastive" and len(labels) > 1:
        return  # pairs of two can be too near
    x = torch.randn(len(labels), 4, requires_grad=True)
    found = losses()[1][name](x, torch.tensor(labels, dtype=torch.int64))
    (gradient,) = torch.autograd.grad(found, x)
    assert found.item() == 0 and not gradient.any() and gradient.isfinite().all()


@pytest.mark.parametrize("name", losses()[1])
def test_equal_vectors_and_zeros_have_finite_gradients(name):
    """What a network that gives one vector for everything is stuck at, or must get out of."""
    labels, named = losses()
    for value in (0.0, 1.0, 1e4):
        x = torch.full((7, 4), value, requires_grad=True)
        found = named[name](x, labels)
        (gradient,) = torch.autograd.grad(found, x)
        assert found.isfinite() and gradient.isfinite().all()


def test_the_notes_formula():
    """max(|f(A) − f(P)|² − |f(A) − f(N)|² + α, 0), and all encodings equal cost α."""
    f = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    one = Triplets(*torch.tensor([[0], [1], [2]]))
    distances = squared_euclidean(f, f)
    assert triplet_loss(distances, one, 0.2).loss.item() == 0  # 1 − 4 + 0.2
    assert triplet_loss(distances, one, 3.5).loss.item() == pytest.approx(0.5)
    assert triplet_loss(0 * distances, one, 0.2).loss.item() == pytest.approx(0.2)


def test_soft_margin_counts_those_in_the_wrong_order():
    distances = torch.tensor([[0.0, 1.0, 2.0, 0.5], *[[0.0] * 4] * 3])
    both = Triplets(*torch.tensor([[0, 0], [1, 1], [2, 3]]))
    found = triplet_loss(distances, both, None)
    expected = (math.log(1 + math.exp(-1)) + math.log(1 + math.exp(0.5))) / 2
    assert found.loss.item() == pytest.approx(expected) and found.active.item() == 0.5


def test_random_triplets_soon_teach_nothing_and_hard_ones_do():
    """The notes' point: where people are apart already, but for one confusion."""
    generator = torch.Generator().manual_seed(0)
    centres = 2 * torch.eye(16)
    centres[1] = centres[0] + 0.2 * torch.eye(16)[5]  # two that look alike
    labels = torch.arange(16).repeat_interleave(4)
    x = centres[labels] + 0.05 * torch.randn(64, 16, generator=generator)
    torch.manual_seed(0)
    active = {rule: TripletLoss(mining=rule)(x, labels).active.item() for rule in mining.RULES[:4]}
    assert active["random"] < 0.05 < active["hard"] and active["semi-hard"] == 1.0


def test_verification_is_the_mean_of_minus_log_p():
    logits, same = torch.tensor([0.3, -2.0, 400.0, -400.0]), torch.tensor([True, False, True, True])
    p = [1 / (1 + math.exp(-0.3)), 1 - 1 / (1 + math.exp(2.0))]
    expected = (-math.log(p[0]) - math.log(p[1]) + 0 + 400) / 4
    assert verification_loss(logits, same).item() == pytest.approx(expected)


def test_arcface_rises_with_the_angle_all_the_way():
    """Where the angle plus the margin are beyond 180° the loss must not fall again."""
    angles = torch.linspace(0.01, 3.13, 200, dtype=torch.float64)
    x = torch.stack([angles.cos(), angles.sin()], 1)
    weights = torch.tensor([[1.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
    each = [arcface_loss(v[None], weights, torch.tensor([0]), 1.0, 4.0).item() for v in x]
    assert all(a < b for a, b in itertools.pairwise(each))


def test_errors_say_the_fix():
    x, labels = torch.randn(4, 3), torch.tensor([0, 0, 1, 1])
    for field, name in (("distance", "cosin"), ("mining", "harder"), ("reducer", "men")):
        with pytest.raises(UsageError, match=f"unknown {field} '{name}'. Did you mean"):
            TripletLoss(**{field: name})
    with pytest.raises(UsageError, match=r"more than 0, such as 0\.2"):
        TripletLoss(margin=0.0)
    with pytest.raises(UsageError, match='or take "hard"'):
        TripletLoss(margin=None)
    with pytest.raises(UsageError, match="0 <= near < margin"):
        contrastive_loss(euclidean(x, x), all_pairs(labels), 0.5, 0.5)
    with pytest.raises(UsageError, match="1 or more"):
        prototypical_loss(x, labels, 0)
    with pytest.raises(UsageError, match="temperature"):
        supcon_loss(x, labels, 0.0)
    with pytest.raises(UsageError, match=r"\(N, D\) and \(N,\)"):
        supcon_loss(x, labels[:3])
    with pytest.raises(UsageError, match=r"\(classes, numbers\)"):
        arcface_loss(x, torch.randn(2, 4), labels)
    with pytest.raises(UsageError, match="0 <= margin < π"):
        arcface_loss(x, torch.randn(2, 3), labels, margin=4.0)
    with pytest.raises(UsageError, match=r"\(P,\) twice"):
        verification_loss(x, labels == 0)
    with pytest.raises(UsageError, match="unknown reducer"):
        triplet_loss(squared_euclidean(x, x), all_triplets(labels), 0.2, "average")
