"""Augmentation: each picture moved by its own numbers, the same whatever batch it is in."""

from __future__ import annotations

import hashlib

import pytest
import torch
from scipy import stats

from boda.data import operations
from boda.data.change import Change, pictures
from boda.data.dataset import Batch, epoch_order, mix
from boda.data.transforms import policies, random_table
from boda.ops import geometry, warp_points

SIZE = (16, 24)


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
    moved = pictures(images, Change(operations.mirror(numbers, SIZE)))
    for picture, number, out in zip(images, numbers, moved, strict=True):
        assert torch.equal(out, picture.flip(2) if number < 0.5 else picture)


def test_shift_is_a_loop(images) -> None:
    numbers = torch.rand(6, 8, generator=torch.Generator().manual_seed(3))
    numbers[:, 0] = torch.tensor([0.1, 0.6, 0.2, 0.7, 0.3, 0.8])
    out = policies["light"](images, numbers)
    for n in range(6):
        picture = images[n].flip(2) if numbers[n, 0] < 0.5 else images[n]
        top, left = int(numbers[n, 1] * 5), int(numbers[n, 2] * 7)  # 16 // 8 = 2, 24 // 8 = 3
        for y in range(16):
            for x in range(24):
                from_y, from_x = y + top - 2, x + left - 3
                inside = 0 <= from_y < 16 and 0 <= from_x < 24
                expected = picture[:, from_y, from_x] if inside else torch.zeros(3)
                assert torch.equal(out[n, :, y, x].float(), expected.float())


def test_light_gives_the_pixels_that_accuracies_were_recorded_with() -> None:
    image = torch.arange(3 * 32 * 32).remainder(251).to(torch.uint8).reshape(1, 3, 32, 32)
    out = policies["light"](image.expand(40, -1, -1, -1), random_table(40, seed=7, epoch=3))
    assert hashlib.sha256(out.numpy().tobytes()).hexdigest()[:16] == "477cb04e419aea31"


def test_a_resized_crop_is_a_window_of_whole_pixels_inside() -> None:
    numbers = torch.rand(500, 4, generator=torch.Generator().manual_seed(0)).double()
    size = (40, 60)
    matrix = operations.resized_crop(numbers, size, smallest=0.3)
    ends = torch.tensor([[0.0, 0], [60, 40]]).double().expand(500, 2, 2)
    window = warp_points(ends, geometry.invert(matrix)).flatten(1)
    assert torch.allclose(window, window.round(), atol=1e-9)
    window = window.round()
    assert (window >= 0).all() and (window <= torch.tensor([60, 40, 60, 40])).all()
    width, height = window[:, 2] - window[:, 0], window[:, 3] - window[:, 1]
    share = width * height / (40 * 60)
    assert 0.25 < share.min() < 0.33 and share.max() == pytest.approx(1, abs=0.05)
    proportion = (width / 60) / (height / 40)
    assert 0.7 < proportion.min() < 0.78 and 1.28 < proportion.max() < 1.43
    for low, free in ((window[:, 0], 60 - width), (window[:, 1], 40 - height)):
        place = low[free > 4] / free[free > 4]  # all places, both ends among them
        assert place.min() == 0 and place.max() == 1 and 0.4 < place.mean() < 0.6


def test_a_perspective_moves_each_corner_inwards() -> None:
    numbers = torch.rand(50, 8, generator=torch.Generator().manual_seed(0))
    matrix = operations.perspective(numbers, SIZE, amount=0.25)
    corners = torch.tensor([[0.0, 0], [24, 0], [24, 16], [0, 16]]).expand(50, 4, 2)
    moved = (warp_points(corners, matrix) - corners).abs() / torch.tensor([24.0, 16])
    assert torch.allclose(moved, 0.25 * numbers.unflatten(1, (4, 2)), atol=1e-4)
    assert (warp_points(corners, matrix) >= -1e-4).all()


def test_further_numbers_are_uniform_unrelated_and_each_rows_own() -> None:
    table = random_table(4000, 0, 0)
    numbers = operations.more(table, 12)
    assert torch.equal(operations.more(table[17:18], 12)[0], numbers[17])
    assert torch.equal(operations.more(table, 5), numbers[:, :5])
    assert numbers.min() >= 0 and numbers.max() < 1
    for column in numbers.unbind(1):
        assert stats.kstest(column.numpy(), "uniform").pvalue > 1e-4
    together = torch.cat([table, numbers], 1).double()
    related = torch.corrcoef(together.mT) - torch.eye(20).double()
    assert related.abs().max() < 0.07  # 4.4 deviations of 1/sqrt(4000)


def test_only_strong_mixes_and_says_what_of_whom(images) -> None:
    batch = Batch(images, torch.arange(6), torch.arange(6))
    for name in policies:
        out = policies[name].augment(batch, random_table(6, 0, 0))
        assert (out.mixed is not None) == policies[name].mixes == (name == "strong")
    partners, own = policies["strong"].augment(batch, random_table(6, 0, 0)).mixed
    assert partners.tolist() == [5, 0, 1, 2, 3, 4]
    assert own.shape == (6,) and (own >= 0).all() and (own <= 1).all()


def test_photos_changes_colours_and_geometry_but_not_too_much(images) -> None:
    even = torch.full((300, 3, 16, 16), 120, dtype=torch.uint8)
    out = policies["photos"](even, random_table(300, 0, 0)).float()
    level = out.mean((1, 2, 3))
    assert 0.75 * 120 < level.min() < 0.85 * 120 and 1.15 * 120 < level.max() < 1.25 * 120
    assert (out.flatten(1).std(1) < 1).all(), "what moves in is the picture's own"


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
