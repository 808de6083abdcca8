"""Augmentation: each picture moved by its own numbers, the same whatever batch it is in."""

from __future__ import annotations

import pytest
import torch

from boda.data.dataset import epoch_order, mix
from boda.data.transforms import mirror, policies, random_table, shift


@pytest.fixture
def images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (6, 3, 16, 24), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("name", policies.names())
def test_every_policy_keeps_shape_and_bytes_and_does_not_depend_on_the_batch(name, images) -> None:
    numbers = random_table(6, seed=1, epoch=2)
    before = images.clone()
    out = policies[name](images, numbers)
    assert out.shape == images.shape and out.dtype == torch.uint8
    assert torch.equal(images, before), "the cached pictures are not written to"
    for i in range(6):
        assert torch.equal(policies[name](images[i : i + 1], numbers[i : i + 1])[0], out[i])


@pytest.mark.parametrize("name", [n for n in policies.names() if n != "none"])
def test_every_policy_but_none_does_something(name, images) -> None:
    assert not torch.equal(policies[name](images, random_table(6, 1, 2)), images)


def test_mirror_is_a_loop(images) -> None:
    numbers = torch.tensor([0.1, 0.9, 0.49, 0.5, 0.0, 0.99])
    for picture, number, out in zip(images, numbers, mirror(images, numbers), strict=True):
        assert torch.equal(out, picture.flip(2) if number < 0.5 else picture)


def test_shift_is_a_loop(images) -> None:
    numbers = torch.rand(6, 2, generator=torch.Generator().manual_seed(3))
    out = shift(images, numbers)
    for n in range(6):
        top, left = int(numbers[n, 0] * 5), int(numbers[n, 1] * 7)  # 16 // 8 = 2, 24 // 8 = 3
        for y in range(16):
            for x in range(24):
                from_y, from_x = y + top - 2, x + left - 3
                inside = 0 <= from_y < 16 and 0 <= from_x < 24
                expected = images[n, :, from_y, from_x] if inside else torch.zeros(3)
                assert torch.equal(out[n, :, y, x].float(), expected.float())


def test_digits_are_never_mirrored() -> None:
    image = torch.zeros(200, 1, 16, 16, dtype=torch.uint8)
    image[:, :, 5:11, 2:5] = 255  # on the left
    out = policies["digits"](image, random_table(200, 0, 0)).float()
    assert (out[..., :8].sum((1, 2, 3)) > 5 * out[..., 8:].sum((1, 2, 3))).all()


def test_numbers_and_orders_depend_on_seed_and_epoch_alone() -> None:
    assert torch.equal(random_table(5, 1, 2), random_table(5, 1, 2))
    assert not torch.equal(random_table(5, 1, 2), random_table(5, 1, 3))
    assert sorted(epoch_order(50, 1, 2).tolist()) == list(range(50))
    assert not torch.equal(epoch_order(50, 1, 2), epoch_order(50, 2, 1))


def test_neighbouring_seeds_are_unrelated() -> None:
    seeds = {mix(a, b) for a in range(100) for b in range(100)}
    assert len(seeds) == 10_000 and all(0 <= seed < 2**63 for seed in seeds)
