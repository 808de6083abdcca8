"""Pictures that are to be produced, from the sample to the batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from boda.data.check import check
from boda.data.dataset import Pictures
from boda.data.prepare import Preparation
from boda.data.transforms import policies, random_table
from boda.data.working_targets import WorkingTargets
from boda.errors import DataError
from boda.types import Dataset, Sample

SIDE = 8


def pairs(count: int = 5) -> list[Sample]:
    """The target of each is the negative of its picture."""
    drawn = np.random.default_rng(0).integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)
    return [
        Sample(f"{i}", f"{i}.png", target=255 - each, _image=each) for i, each in enumerate(drawn)
    ]


def test_a_batch_holds_the_targets_of_its_pictures() -> None:
    images = np.stack([sample.image for sample in pairs()]).transpose(0, 3, 1, 2)
    pictures = Pictures(pairs(), Preparation(SIDE, SIDE), images.copy())
    [batch] = pictures.batches(torch.tensor([3, 0, 4]), 8)
    assert batch.targets is not None and batch.targets.dtype == torch.uint8
    assert torch.equal(batch.targets, 255 - batch.images)
    assert torch.equal(batch.first(2).targets, batch.targets[:2])


def test_targets_stay_in_colour_and_are_prepared_as_their_pictures() -> None:
    tall = np.zeros((16, 8, 3), np.uint8)
    tall[2:14] = (200, 0, 0)
    sample = Sample("1", "1.png", read_target=lambda: tall, _image=tall)
    kept = WorkingTargets([sample, sample], Preparation(4, 4, 1), most=48)
    assert torch.equal(kept[1][:, 0, 0], torch.tensor([200, 0, 0], dtype=torch.uint8))
    assert torch.equal(kept[0], kept[1]) and kept[0].shape == (3, 4, 4)
    assert list(kept._kept) == [1]  # 48 bytes have room for one


def test_samples_without_a_target_have_none() -> None:
    bare = Sample("1", "1.png", _image=pairs(1)[0].image)
    assert Pictures([*pairs(2), bare], Preparation(SIDE, SIDE)).targets is None


def test_targets_move_as_their_pictures_and_keep_their_colours() -> None:
    images = np.stack([sample.image for sample in pairs()]).transpose(0, 3, 1, 2)
    pictures = Pictures(pairs(), Preparation(SIDE, SIDE), images.copy())
    [batch] = pictures.in_order(8)
    numbers = random_table(5, 0, 0)
    changed = policies["light"].augment(batch, numbers)
    assert changed.targets is not None and not torch.equal(changed.images, batch.images)
    still = changed.images.sum(1) > 0  # zeros moved into both
    opposite = (changed.targets == 255 - changed.images).all(1)
    assert bool(opposite[still].all())
    lit = policies["strong"].augment(batch, numbers)
    assert lit.targets is not None and lit.mixed is None
    mirrored = policies["photos"].augment(batch, numbers).targets
    assert mirrored is not None and mirrored.shape == batch.targets.shape  # type: ignore[union-attr]


def test_a_target_is_part_of_the_fingerprint_and_must_be_readable() -> None:
    def gone() -> np.ndarray:
        raise DataError("is no picture", file="b.png", fix="Mend it.")

    def fingerprint(samples: list[Sample]) -> str:
        return check(Dataset(Path(), "pairs", "translate", [], {"train": samples})).fingerprint

    other = pairs()
    other[2].target = other[1].target
    assert fingerprint(pairs()) == fingerprint(pairs()) != fingerprint(other)
    broken = pairs()
    broken[2].target, broken[2].read_target = None, gone
    report = check(Dataset(Path(), "pairs", "translate", [], {"train": broken}))
    assert [str(problem) for problem in report.errors] == ["b.png: is no picture. Mend it."]
    assert report.sound["train"].tolist() == [True, True, False, True, True]
