"""Losses of maps of classes against loops over pixels, PyTorch's own, and finite differences."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from boda.errors import UsageError
from boda.ops import PixelLosses, cross_entropy_map, dice_loss, focal_loss, median_frequency
from tests.slow_reference import segmentation as slow

LOSSES = [cross_entropy_map, dice_loss, focal_loss]


@st.composite
def batches(draw):
    """Logits and a target with ignored pixels, where not every class occurs."""
    seed, k = draw(st.integers(0, 2**31)), draw(st.integers(1, 5))
    generator = torch.Generator().manual_seed(seed)
    n, h, w = draw(st.sampled_from([(1, 1, 1), (2, 3, 4), (3, 5, 2)]))
    logits = 3 * torch.randn(n, k, h, w, generator=generator)
    target = torch.randint(0, draw(st.integers(1, k)), (n, h, w), generator=generator)
    target[torch.rand(n, h, w, generator=generator) < draw(st.sampled_from([0, 0.4]))] = 255
    target[0, 0, 0] = 0
    weights = torch.rand(k, generator=generator) + 0.1
    return logits, target.to(draw(st.sampled_from([torch.uint8, torch.int64]))), weights


@settings(max_examples=60, deadline=None)
@given(batches(), st.sampled_from([0.0, 0.5, 1.0, 2.0, 5.0]))
def test_against_loops(batch, gamma):
    logits, target, weights = batch
    lists = logits.tolist(), target.tolist()
    ones, own = [1.0] * len(weights), weights.tolist()
    near = {"rel": 1e-4, "abs": 1e-6}
    found = focal_loss(logits, target, gamma, weights)
    assert found.item() == pytest.approx(slow.focal(*lists, gamma, own), **near)
    found = focal_loss(logits, target, gamma)
    assert found.item() == pytest.approx(slow.focal(*lists, gamma, ones), **near)
    found = cross_entropy_map(logits, target, weights)
    assert found.item() == pytest.approx(slow.focal(*lists, 0.0, own), **near)
    assert dice_loss(logits, target).item() == pytest.approx(slow.dice(*lists), **near)


@settings(max_examples=25, deadline=None)
@given(batches())
def test_cross_entropy_and_its_gradient_are_those_of_torch(batch):
    logits, target, weights = batch
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    for given_weights in (None, weights):
        found = cross_entropy_map(ours, target, given_weights)
        expected = F.cross_entropy(theirs, target.long(), given_weights, ignore_index=255)
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(
            *(torch.autograd.grad(*each) for each in ((found, ours), (expected, theirs)))
        )


def test_weights_of_pixels_are_repetitions():
    """A pixel that weighs 3 counts as three pixels, one that weighs 0 not at all."""
    torch.manual_seed(0)
    logits, target = torch.randn(1, 3, 1, 4), torch.tensor([[[0, 2, 1, 255]]])
    weights = torch.tensor([0.5, 2.0, 1.0])
    found = cross_entropy_map(logits, target, weights, torch.tensor([[[3.0, 1.0, 0.0, 7.0]]]))
    again = [0, 0, 0, 1]
    expected = F.cross_entropy(logits[..., again], target[..., again], weights)
    torch.testing.assert_close(found, expected)


@pytest.fixture
def in_float64(monkeypatch):
    """Finite differences need more digits than float32 has."""
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)


def _loss(name):
    gammas = {"focal 0": 0.0, "focal 0.5": 0.5, "focal 2": 2.0}
    if name in gammas:
        return lambda logits, target: focal_loss(logits, target, gammas[name], torch.arange(1, 5))
    return {"dice": dice_loss, "cross entropy": cross_entropy_map}[name]


@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize("name", ["cross entropy", "dice", "focal 0", "focal 0.5", "focal 2"])
def test_gradients(name):
    torch.manual_seed(0)
    target = torch.randint(0, 3, (2, 3, 4))  # the fourth class does not occur
    target[0, :2, :2] = 255
    logits = torch.randn(2, 4, 3, 4, dtype=torch.float64, requires_grad=True)
    loss = _loss(name)
    assert gradcheck(lambda z: loss(z, target), (logits,))
    (gradient,) = torch.autograd.grad(loss(logits, target), logits)
    assert not gradient[0, :, :2, :2].any() and gradient[1].any()


@pytest.mark.usefixtures("in_float64")
def test_of_one_softmax_all_losses_and_their_slopes_are_those_of_each_alone():
    torch.manual_seed(0)
    target = torch.randint(0, 3, (2, 3, 4), dtype=torch.uint8)
    target[1, 2] = 255
    logits = torch.randn(2, 4, 3, 4, dtype=torch.float64, requires_grad=True)
    weights, pixels = torch.rand(4), torch.rand(2, 3, 4)

    def together(z):
        of_pixels = PixelLosses(z, target)
        return of_pixels.cross_entropy(weights, pixels) + of_pixels.dice() + of_pixels.focal(1.5)

    def apart(z):
        crossed = cross_entropy_map(z, target, weights, pixels)
        return crossed + dice_loss(z, target) + focal_loss(z, target, 1.5)

    torch.testing.assert_close(together(logits), apart(logits))
    slopes = [torch.autograd.grad(loss(logits), logits)[0] for loss in (together, apart)]
    torch.testing.assert_close(*slopes)
    assert gradcheck(together, (logits,))


@pytest.mark.parametrize("loss", LOSSES)
def test_ignored_pixels_count_nowhere(loss):
    torch.manual_seed(0)
    logits, target = torch.randn(2, 3, 4, 6), torch.randint(0, 3, (2, 4, 6), dtype=torch.uint8)
    expected = loss(logits[..., :4], target[..., :4])
    target[..., 4:] = 255
    logits[..., 4:] *= 50
    torch.testing.assert_close(loss(logits, target), expected)


@pytest.mark.parametrize("loss", LOSSES)
def test_without_a_known_pixel_0_with_a_gradient(loss):
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    found = loss(logits, torch.full((1, 2, 2), 255, dtype=torch.uint8))
    (gradient,) = torch.autograd.grad(found, logits)
    assert found.item() == 0 and not gradient.any()


@pytest.mark.parametrize("loss", [*LOSSES, lambda z, t: focal_loss(z, t, 0.5)])
def test_sure_and_right_or_sure_and_wrong_stays_finite(loss):
    target = torch.zeros(1, 2, 2, dtype=torch.uint8)
    for sure, worst in ((200.0, 1e-6), (-200.0, None)):
        logits = torch.zeros(1, 2, 2, 2)
        logits[:, 0] = sure
        logits.requires_grad_()
        found = loss(logits, target)
        (gradient,) = torch.autograd.grad(found, logits)
        assert found.isfinite() and gradient.isfinite().all()
        assert worst is None or found.item() < worst
        assert worst is not None or found.item() >= 1 - 1e-6


@pytest.mark.parametrize("loss", LOSSES)
def test_float32_under_autocast(loss):
    torch.manual_seed(0)
    logits = torch.randn(2, 4, 40, 50).bfloat16()
    target = torch.randint(0, 4, (2, 40, 50), dtype=torch.uint8)
    expected = loss(logits.float(), target)
    logits.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        found = loss(logits, target)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected)  # bfloat16's own sums would be off by 1e-3
    found.backward()
    assert logits.grad.dtype == torch.bfloat16 and logits.grad.any()


def test_dice_adds_many_pixels_without_losing_digits():
    """2^20 times a p of 0.3: one sum in float32, a number after another, is off by 5·10⁻⁴."""
    p = 0.3
    logits = (
        torch.tensor([math.log(p), math.log(1 - p)]).view(1, 2, 1, 1).expand(1, 2, 2**10, 2**10)
    )
    target = torch.zeros(1, 1, 1, dtype=torch.uint8).expand(1, 2**10, 2**10)
    expected = 1 - 2 * p / (p + 1)
    assert dice_loss(logits, target).item() == pytest.approx(expected, rel=1e-6)


def test_dice_of_a_small_class_counts_as_much_as_that_of_a_large_one():
    """All is called ground: one class of two is missed, be it a single pixel of 100."""
    target = torch.zeros(1, 10, 10, dtype=torch.uint8)
    target[0, 3, 3] = 1
    logits = torch.zeros(1, 3, 10, 10)
    logits[:, 0] = 50
    # Ground: 2·99 / (100 + 99); the pixel: 0; the third class is not there and not counted.
    assert dice_loss(logits, target).item() == pytest.approx(1 - (198 / 199 + 0) / 2)


def test_median_frequency_by_hand():
    # Frequencies 0.5, 0.1, 0.02, in no picture, 0.04: their median is 0.07.
    counts = torch.tensor([500, 100, 10, 0, 20])
    found = median_frequency(torch.tensor([1000, 1000, 500, 0, 500]), counts)
    expected = [0.07 / 0.5, 0.07 / 0.1, 0.07 / 0.02, 1.0, 0.07 / 0.04]
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert median_frequency(torch.zeros(3), torch.zeros(3)).tolist() == [1, 1, 1]


def test_with_median_frequency_classes_count_alike():
    """Where all pictures have all classes, each class's part of the weights is the same."""
    counts = torch.tensor([7_000_000_000, 30, 999])
    weights = median_frequency(counts.sum().expand(3), counts)
    parts = weights.double() * counts
    torch.testing.assert_close(parts / parts.sum(), torch.full((3,), 1 / 3, dtype=torch.float64))
    assert weights[2] == 1  # of the class in the middle


def test_bad_arguments():
    logits, target = torch.zeros(2, 3, 4, 5), torch.zeros(2, 4, 5, dtype=torch.uint8)
    for loss in LOSSES:
        with pytest.raises(UsageError, match=r"Give \(N, K, H, W\)"):
            loss(logits, target[:, :3])
        with pytest.raises(UsageError, match=r"Give \(N, K, H, W\)"):
            loss(logits[0], target[0])
    with pytest.raises(UsageError, match="one for each pixel"):
        cross_entropy_map(logits, target, None, torch.ones(4, 5))
    with pytest.raises(UsageError, match="gamma of -1"):
        focal_loss(logits, target, -1)
    with pytest.raises(UsageError, match="gamma of nan"):
        focal_loss(logits, target, math.nan)
    with pytest.raises(UsageError, match="more pixels than"):
        median_frequency(torch.tensor([1, 5]), torch.tensor([2, 5]))
    with pytest.raises(UsageError, match="twice"):
        median_frequency(torch.tensor([1, 5]), torch.tensor([1]))
