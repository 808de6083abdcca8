"""Mixup, cutmix and cutout against plain loops; what a label weighs is what is to be seen."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from boda.data import mixing
from boda.data.change import Change, apply
from boda.data.dataset import Batch
from boda.data.prepare import Preparation
from boda.tasks.classify import Classifier

SIZE = (12, 20)


def batch_of(count: int) -> Batch:
    generator = torch.Generator().manual_seed(count)
    images = torch.randint(0, 256, (count, 3, *SIZE), dtype=torch.uint8, generator=generator)
    return Batch(images, torch.arange(count), torch.arange(count))


def test_mixup_blends_with_the_picture_before_and_weighs_the_labels_alike() -> None:
    batch, weights = batch_of(4), torch.tensor([0.25, 1.0, 0.5, 0.9])
    before = batch.images.clone()
    out = apply(batch, Change(weights=weights))
    for i in range(4):
        w = weights[i].double()
        expected = w * before[i].double() + (1 - w) * before[i - 1].double()
        assert (out.images[i].double() - expected).abs().max() <= 0.5 + 1e-4
    partners, own = out.mixed
    assert partners.tolist() == [3, 0, 1, 2] and own.equal(weights)
    assert out.images[1].equal(before[1]) and batch.images.equal(before)


@given(st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_cutmixs_weight_is_the_share_of_pixels_that_are_ones_own(seed) -> None:
    numbers = torch.rand(3, 3, generator=torch.Generator().manual_seed(seed))
    flat = torch.tensor([10, 20, 30], dtype=torch.uint8).view(3, 1, 1, 1).expand(3, 3, *SIZE)
    batch = Batch(flat.contiguous(), torch.arange(3), torch.arange(3))
    out = apply(batch, Change(patches=mixing.cutmix(numbers, SIZE)))
    for i in range(3):
        own = (out.images[i, 0] == flat[i, 0, 0, 0]).float().mean().item()
        assert out.mixed[1][i].item() == pytest.approx(own, abs=1e-6)
        others = out.images[i][out.images[i] != flat[i, 0, 0, 0]]
        assert (others == flat[i - 1, 0, 0, 0]).all()
        patch = (out.images[i, 0] != flat[i, 0, 0, 0]).nonzero()
        if len(patch):  # one rectangle
            sides = patch.amax(0) - patch.amin(0) + 1
            assert sides.prod() == len(patch)


def test_cutmix_keeps_the_share_that_was_drawn_where_nothing_is_cut_off() -> None:
    numbers = torch.tensor([[0.75, 0.5, 0.5], [0.0, 0.5, 0.5], [1.0, 0.5, 0.5]])
    patches = mixing.cutmix(numbers, (40, 80))
    areas = (patches[:, 2:] - patches[:, :2]).prod(1) / 3200
    assert areas.tolist() == pytest.approx([0.25, 1.0, 0.0])
    assert patches[0].tolist() == [20, 10, 60, 30]


def test_both_at_once_and_the_order_decides_alone() -> None:
    batch = batch_of(4)
    change = Change(
        weights=torch.tensor([0.5, 1, 1, 1]), patches=torch.tensor([[0, 0, 10, 12]] + [[0] * 4] * 3)
    )
    out = apply(batch, change)
    assert out.mixed[1].tolist() == [0.25, 1, 1, 1]
    assert out.images[0, :, :, :10].equal(batch.images[3, :, :, :10])
    again = apply(batch_of(4), change)
    assert again.images.equal(out.images), "a batch is a function of its order"


def test_a_batch_of_one_stays_itself() -> None:
    batch = batch_of(1)
    out = apply(batch, Change(weights=torch.tensor([0.3]), patches=torch.tensor([[0, 0, 5, 5]])))
    assert out.images.equal(batch.images) and out.mixed[0].equal(batch.labels)


def test_what_is_labelled_by_its_place_is_not_mixed() -> None:
    batch = batch_of(2)
    batch.boxes = [torch.zeros(0, 4)] * 2
    out = apply(batch, Change(weights=torch.tensor([0.5, 0.5])))
    assert out.images.equal(batch.images) and out.mixed is None


def test_holes_have_uniform_centres_and_are_cut_off_at_the_edge() -> None:
    generator = torch.Generator().manual_seed(0)
    holes = mixing.cutout(torch.rand(4000, 2, generator=generator), 0.5, (16, 16))
    sides = holes[:, 2:] - holes[:, :2]
    assert sides.max() == 8 and sides.min() == 4  # a centre on the edge leaves half
    assert (holes >= 0).all() and (holes <= 16).all()
    whole = (sides == 8).all(1)  # centres 4 to 12 of 16 pixels, in both directions
    assert whole.float().mean().item() == pytest.approx((9 / 16) ** 2, abs=0.03)


@pytest.mark.parametrize("weights", [(), (1.0, 3.0, 0.5)])
def test_the_loss_of_mixed_labels_is_the_mixture_of_the_losses(weights) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    config = Classifier.Config(class_weights=weights, label_smoothing=0.1)
    method = Classifier(net, Preparation(2, 2, 3), config)
    images = torch.randint(0, 256, (4, 3, 2, 2), dtype=torch.uint8)
    labels, partners = torch.tensor([0, 1, 2, 1]), torch.tensor([1, 0, 1, 2])
    own = torch.tensor([1.0, 0.25, 0.5, 0.0])
    batch = Batch(images, labels, torch.arange(4), mixed=(partners, own))
    # Every picture four times: as often its own label as it weighs, else its partner's.
    repeated, said = [], []
    for i in range(4):
        for k in range(4):
            repeated.append(images[i])
            said.append(labels[i] if k < own[i] * 4 else partners[i])
    expected = F.cross_entropy(
        method.logits(torch.stack(repeated)).float(),
        torch.stack(said),
        weight=method.class_weights,
        label_smoothing=0.1,
    )
    assert method(batch)["loss"].item() == pytest.approx(expected.item(), abs=1e-5)
    plain = method(Batch(images, labels, torch.arange(4)))["loss"]
    alone = method(Batch(images, labels, torch.arange(4), mixed=(partners, torch.ones(4))))["loss"]
    assert alone.item() == pytest.approx(plain.item(), abs=1e-6)
