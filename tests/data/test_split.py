"""Parting samples: stratified, seeded, and the same everywhere."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boda.data.split import complete, hold_back, labels_of
from boda.types import ArraySamples, Dataset, Sample


def listed(labels: list[int]) -> list[Sample]:
    return [Sample(id=f"사진/{i:05}.png", source="", label=label) for i, label in enumerate(labels)]


def array(labels: list[int]) -> ArraySamples:
    images = np.arange(len(labels), dtype=np.uint8)[:, None, None]
    return ArraySamples(images, np.array(labels), "x")


def dataset(**splits) -> Dataset:  # type: ignore[no-untyped-def]
    return Dataset(Path("x"), "folders", "classify", ["a", "b", "c"], splits)


LABELS = [0] * 50 + [1] * 20 + [2] * 2


@pytest.mark.parametrize("make", [listed, array])
@pytest.mark.parametrize("name", ["all", "train"])
def test_data_without_splits_is_parted(make, name: str) -> None:  # type: ignore[no-untyped-def]
    parted, record = complete(dataset(**{name: make(LABELS)}), seed=3)
    train, val = parted.splits["train"], parted.splits["val"]
    assert list(parted.splits) == ["train", "val"]
    assert np.bincount(labels_of(train)).tolist() == [40, 16, 1]
    assert np.bincount(labels_of(val)).tolist() == [10, 4, 1]
    assert record["counts"] == {"train": 57, "val": 15}
    assert record["seed"] == 3
    assert json.loads(json.dumps(record)) == record
    again = complete(dataset(**{name: make(LABELS)}), seed=3)[1]
    assert again == record
    other = complete(dataset(**{name: make(LABELS)}), seed=4)[1]
    assert other["digests"] != record["digests"]


def test_the_choice_is_recorded_forever() -> None:
    """The digest of one split, so that a change of the rule or of NumPy's generator is noticed."""
    record = complete(dataset(all=listed(LABELS)), seed=0)[1]
    assert record["digests"]["val"] == "9f76ad182e47cacaeda28e4d546b0b7f"


def test_the_order_of_files_does_not_matter() -> None:
    samples = listed(LABELS)
    forwards = complete(dataset(all=samples), seed=0)[1]
    assert complete(dataset(all=samples[::-1]), seed=0)[1] == forwards


def test_splits_of_the_data_are_kept() -> None:
    given_splits = dataset(train=listed([0, 1]), test=listed([0]))
    same, record = complete(given_splits, seed=0)
    assert same is given_splits
    assert record == {"rule": "as the data has it", "counts": {"train": 2, "test": 1}}


def test_nothing_is_lost_or_doubled() -> None:
    parted, _ = complete(dataset(all=listed(LABELS)), seed=1)
    ids = [sample.id for part in parted.splits.values() for sample in part]
    assert sorted(ids) == [sample.id for sample in listed(LABELS)]


@pytest.mark.parametrize("make", [listed, array])
def test_hold_back(make) -> None:  # type: ignore[no-untyped-def]
    train, val = hold_back(make([0] * 600 + [1] * 30 + [2]), seed=0)
    assert np.bincount(labels_of(val), minlength=3).tolist() == [12, 1, 0]
    assert len(train) + len(val) == 631
    few = hold_back(make([0] * 600 + [1] * 400), seed=0, fraction=0.5, most=10)[1]
    assert np.bincount(labels_of(few)).tolist() == [6, 4]
    many = hold_back(make([i // 2 for i in range(40)]), seed=0, most=5)[1]
    assert sorted(labels_of(many)) == list(range(20))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 4), max_size=60), st.integers(0, 9), st.floats(0, 1))
def test_every_class_of_two_is_on_both_sides(labels: list[int], seed: int, share: float) -> None:
    train, val = hold_back(array(labels), seed, share)
    assert len(train) + len(val) == len(labels)
    for label in set(labels):
        if labels.count(label) > 1:
            assert label in labels_of(train)
            assert label in labels_of(val)
        else:
            assert label in labels_of(train)
