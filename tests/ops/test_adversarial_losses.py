"""Losses of adversaries against plain formulas, finite differences, and gradients known by heart."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.autograd import gradcheck

from boda.errors import UsageError
from boda.ops.adversarial_losses import (
    LOSSES,
    SMOOTHED,
    AdversarialLoss,
    gradient_penalty,
    r1_penalty,
)
from tests.slow_reference import generation as slow

logits = st.lists(st.floats(-20, 20), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(logits, logits, st.sampled_from(LOSSES), st.sampled_from([0.0, 0.1, 0.7]))
def test_against_plain_formulas(real, made, name, smoothing):
    smoothing *= name in SMOOTHED
    loss = AdversarialLoss(name, smoothing)
    r, f = (torch.tensor(z, dtype=torch.float64) for z in (real, made))
    # 1 − σ(20) has lost eight digits in the plain formula.
    near = {"rel": 1e-6, "abs": 1e-6}
    expected = slow.discriminator(name, real, made, smoothing)
    assert loss.discriminator(r, f).item() == pytest.approx(expected, **near)
    assert loss.generator(f).item() == pytest.approx(slow.generator(name, made), **near)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients(name):
    torch.manual_seed(0)
    loss = AdversarialLoss(name, 0.2 if name in SMOOTHED else 0.0)
    real, made = (torch.randn(5, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert gradcheck(loss.discriminator, (real, made))
    assert gradcheck(loss.generator, (made,))


def test_why_non_saturating():
    """Where the discriminator is sure, minimax teaches nothing and the other one all it can."""
    slopes = {}
    for name in ("minimax", "non-saturating"):
        z = torch.tensor([-12.0], requires_grad=True)
        (slopes[name],) = torch.autograd.grad(AdversarialLoss(name).generator(z), z)
    assert -1e-5 < slopes["minimax"].item() < 0
    assert slopes["non-saturating"].item() == pytest.approx(-1, abs=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_a_generator_that_fools_more_has_less_loss_and_its_judge_more(name):
    loss = AdversarialLoss(name)
    real, made = torch.tensor([0.8]), torch.tensor([0.2])
    better = made + 0.3
    assert loss.generator(better) < loss.generator(made)
    assert loss.discriminator(real, better) > loss.discriminator(real, made)


@pytest.mark.parametrize("name", SMOOTHED)
def test_smoothing_is_one_sided(name):
    """The best logit for a real picture is that of 1 − s; for a made one nothing changes."""
    loss, plain = AdversarialLoss(name, 0.1), AdversarialLoss(name)
    best = torch.tensor(0.9, dtype=torch.float64)
    z = best if name == "least-squares" else torch.logit(best)
    z.requires_grad_()
    (slope,) = torch.autograd.grad(loss.discriminator(z, torch.zeros(1)), z)
    assert slope.item() == pytest.approx(0, abs=1e-12)
    real, made, other = torch.tensor([0.4]), torch.tensor([-1.0]), torch.tensor([2.0])
    change = loss.discriminator(real, made) - loss.discriminator(real, other)
    expected = plain.discriminator(real, made) - plain.discriminator(real, other)
    torch.testing.assert_close(change, expected)


@pytest.mark.parametrize("name", LOSSES)
def test_patches_are_many_logits_and_autocast_changes_nothing(name):
    torch.manual_seed(0)
    loss = AdversarialLoss(name)
    real, made = torch.randn(2, 1, 6, 6).bfloat16(), torch.randn(3, 1, 6, 6).bfloat16()
    expected = loss.discriminator(real.float().flatten(), made.float().flatten())
    with torch.autocast("cpu", torch.bfloat16):
        found = loss.discriminator(real, made)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", LOSSES)
def test_very_sure_logits_stay_finite(name):
    loss = AdversarialLoss(name)
    for sign in (1, -1):
        real = torch.full((3,), 300.0 * sign, requires_grad=True)
        made = torch.full((3,), -300.0 * sign, requires_grad=True)
        for value in (loss.discriminator(real, made), loss.generator(made)):
            slopes = torch.autograd.grad(value, (real, made), allow_unused=True)
            assert value.isfinite()
            assert all(slope is None or slope.isfinite().all() for slope in slopes)


def test_accuracy_by_each_limit():
    real, made = torch.tensor([0.2, 0.6, -1.0, 3.0]), torch.tensor([0.1, -2.0])
    told = {name: AdversarialLoss(name).accuracy(real, made) for name in LOSSES}
    assert [x.item() for x in told["hinge"]] == [0.75, 0.5]
    assert [x.item() for x in told["least-squares"]] == [0.5, 1.0]
    # The middle of 0.7 and −0.95 is −0.125.
    assert [x.item() for x in told["wasserstein"]] == [0.75, 0.5]


def test_the_penalty_of_a_linear_critic_is_known():
    """∇(w·x) = w everywhere: (|w| − 1)² and |w|²/2, whatever the pictures."""
    w = torch.tensor([[1.0, 2.0], [2.0, 4.0]], dtype=torch.float64, requires_grad=True)

    def judge(x):
        return (x[:, 0] * w).sum((1, 2))

    real, made = torch.randn(2, 3, 1, 2, 2, dtype=torch.float64).unbind()
    shares = torch.rand(3, dtype=torch.float64)
    for found, expected, slope in (
        (gradient_penalty(judge, real, made, shares), 16, 2 * 4 * w / 5),
        (r1_penalty(judge, real), 12.5, w),
    ):
        assert found.item() == pytest.approx(expected)
        (gradient,) = torch.autograd.grad(found, w)
        torch.testing.assert_close(gradient, slope.detach())


def test_the_penalty_looks_between_the_pictures():
    """Of |x|²/2 the gradient is x itself: its length tells where it was taken."""

    def judge(x):
        return x.square().flatten(1).sum(1) / 2

    real = torch.tensor([[5.0, 0.0], [0.0, 4.0]])
    made = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    shares = torch.tensor([0.25, 1.0])
    found = gradient_penalty(judge, real, made, shares)
    assert found.item() == pytest.approx(((2 - 1) ** 2 + (4 - 1) ** 2) / 2)
    assert r1_penalty(judge, real).item() == pytest.approx((25 + 16) / 2 / 2)


def small_critic():
    """Smooth, so that finite differences know its second derivatives."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Softplus(), nn.Conv2d(2, 1, 2)).double()
    return net, torch.randn(2, 3, 1, 4, 4).double()


def test_penalties_have_derivatives_by_the_weights():
    net, (real, made) = small_critic()
    shares = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    names, weights = zip(*net.named_parameters(), strict=True)

    def judged(*values):
        given = dict(zip(names, values, strict=True))
        return lambda x: torch.func.functional_call(net, given, (x,)).flatten(1).mean(1)

    assert gradcheck(lambda *w: gradient_penalty(judged(*w), real, made, shares), weights)
    assert gradcheck(lambda *w: r1_penalty(judged(*w), real), weights)


def test_patches_are_judged_by_their_mean_and_nobody_else_learns():
    net, (real, made) = small_critic()
    real.requires_grad_()
    made.requires_grad_()
    shares = torch.rand(3)
    with torch.no_grad():  # a penalty needs slopes even where nothing is learned
        found = gradient_penalty(net, real, made, shares)
    expected = gradient_penalty(lambda x: net(x).flatten(1).mean(1), real, made, shares)
    torch.testing.assert_close(found, expected.detach())
    (expected + r1_penalty(net, real)).backward()
    assert real.grad is None and made.grad is None and net[0].weight.grad.any()


def test_refusals():
    with pytest.raises(UsageError, match="Did you mean hinge"):
        AdversarialLoss("hinges")
    with pytest.raises(UsageError, match="smoothing of 1"):
        AdversarialLoss(smoothing=1.0)
    for name in ("hinge", "wasserstein"):
        with pytest.raises(UsageError, match="no target"):
            AdversarialLoss(name, 0.1)
    with pytest.raises(UsageError, match=r"\(N,\)"):
        gradient_penalty(lambda x: x, torch.ones(2, 3), torch.ones(2, 3), torch.ones(3))
