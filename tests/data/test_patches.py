"""Patches: each is what slicing, turning and mirroring its pictures gives; which they are is fixed."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from boda.data.low_resolution import paired, small
from boda.data.patches import TURNS, Patches
from boda.data.prepare import continued
from boda.errors import DataError, UsageError
from boda.types import Dataset, Sample

SIZES = [(9, 7), (5, 12), (6, 6)]  # of the small pictures


def pairs(scale: int = 2, sizes: list[tuple[int, int]] = SIZES) -> list[Sample]:
    generator = np.random.default_rng(0)
    drawn = [
        generator.integers(0, 256, (h * scale, w * scale, 3)).astype(np.uint8) for h, w in sizes
    ]
    samples = [Sample(str(i), f"{i}.png", _image=picture) for i, picture in enumerate(drawn)]
    dataset = Dataset(Path(), "", "upscale", [], {"all": samples})
    return list(paired(dataset, scale).splits["all"])


def turned(picture: np.ndarray, turn: int) -> np.ndarray:
    """In this order: rows and columns swapped, then upside down, then mirrored, all as NumPy does."""
    if turn & 1:
        picture = picture[::-1]
    if turn & 2:
        picture = picture[:, ::-1]
    return picture.swapaxes(0, 1) if turn & 4 else picture


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_patches_are_slices(scale: int) -> None:
    samples = pairs(scale)
    patches = Patches(samples, size=4, count=200)
    assert patches.scale == scale and len(patches) == 200
    table = patches.rows(patches.order(3, 0))
    low, high = patches.cut(table)
    assert low.shape == (200, 3, 4, 4) and high.shape == (200, 3, 4 * scale, 4 * scale)
    assert low.dtype == high.dtype == torch.uint8
    for (picture, y, x, turn), one, other in zip(table.tolist(), low, high, strict=True):
        sample = samples[picture]
        wanted = turned(sample.image[y : y + 4, x : x + 4], turn)
        np.testing.assert_array_equal(one.permute(1, 2, 0), wanted)
        top, left, side = y * scale, x * scale, 4 * scale
        wanted = turned(sample.target_image[top : top + side, left : left + side], turn)
        np.testing.assert_array_equal(other.permute(1, 2, 0), wanted)


def test_there_are_eight_turns() -> None:
    picture = np.arange(16).reshape(4, 4)
    found = {turned(picture, turn).tobytes() for turn in range(TURNS)}
    wanted = {
        np.rot90(own, times).tobytes()
        for own, times in itertools.product((picture, picture[:, ::-1]), range(4))
    }
    assert found == wanted and len(found) == 8


def test_every_place_is_as_likely_as_any_other() -> None:
    patches = Patches(pairs(), size=4, count=60_000)
    table = patches.rows(patches.order(3, 0))
    places = [
        (i, y, x) for i, (h, w) in enumerate(SIZES) for y in range(h - 3) for x in range(w - 3)
    ]
    codes = {place: number for number, place in enumerate(places)}
    drawn = [codes[tuple(row)] for row in table[:, :3].tolist()]  # none out of its picture
    counts = np.bincount(drawn, minlength=len(places))
    wanted = len(table) / len(places)
    assert abs((counts - wanted) ** 2 / wanted).sum() < 2 * len(places), "chi squared"
    turns = np.bincount(table[:, 3], minlength=TURNS)
    assert len(turns) == TURNS and abs(turns / len(table) - 1 / TURNS).max() < 0.01


def test_what_an_epoch_has_is_fixed() -> None:
    patches = Patches(pairs(), size=4, count=50)
    again = Patches(pairs(), size=4, count=50)
    assert torch.equal(patches.order(7, 2), again.order(7, 2))
    assert not torch.equal(patches.order(7, 2), patches.order(7, 3))
    assert not torch.equal(patches.order(7, 2), patches.order(8, 2))


def test_a_picture_smaller_than_a_patch_is_mirrored() -> None:
    """Small and large are continued alike, so that one is still the other reduced."""
    samples = pairs(2, [(3, 5), (9, 9)])
    patches = Patches(samples, size=8, count=40)
    rows = patches.rows(patches.order(0, 0))
    low, high = patches.cut(rows[rows[:, 0] == 0])
    assert len(low) and (rows[rows[:, 0] == 0][:, 1:3] == 0).all()
    for one, other in zip(low, high, strict=True):
        made = small(other.permute(1, 2, 0).numpy(), 2).astype(int)
        # But where the patch ends: there the picture would go on, and is mirrored instead.
        apart = np.abs(made - one.permute(1, 2, 0).numpy())[2:-2, 2:-2]
        assert apart.max() == 0
    shown = continued(np.arange(6, dtype=np.uint8).reshape(1, 6, 1).repeat(3, 2), 4, 4)
    assert shown[:, :3, 0].tolist() == [[0, 1, 2]] * 4


def test_what_cannot_be_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in ((0, 5), (4, 0)):
        with pytest.raises(UsageError, match="Give 1 or more of each"):
            Patches(pairs(), *wrong)
    with pytest.raises(UsageError, match="0 pictures"):
        Patches([], 4, 5)
    mixed = [*pairs(2), *pairs(3)]
    with pytest.raises(DataError, match=r"0\.png: the large picture is 27×21, .* not 2 times"):
        Patches(mixed, 4, 5)
    monkeypatch.setattr("boda.data.patches.memory_budget", lambda: 2000)
    with pytest.raises(UsageError, match=r"more than the 0\.0 GiB"):
        Patches(pairs(), 4, 5)
