"""Parting samples: stratified, seeded, and the same everywhere."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boda.data.split import arrange, complete, hold_back, labels_of, series
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


def slices(patients: int, each: int = 6) -> list[Sample]:
    names = [f"patient{p:02}_slice{s:03}.png" for p in range(patients) for s in range(each)]
    return [Sample(id=name, source=name) for name in names]


def patient(sample: Sample) -> str:
    return sample.id.partition("_")[0]


@pytest.mark.parametrize("seed", range(5))
def test_a_series_is_in_one_split(seed: int) -> None:
    pictures = Dataset(Path("x"), "masks", "segment", ["a"], {"all": slices(20)})
    parted, record = complete(pictures, seed)
    train, val = ({patient(s) for s in parted.splits[name]} for name in ("train", "val"))
    assert len(train) == 16 and len(val) == 4 and not train & val
    assert record["rule"] == "by series: 20 by their names, of which none is in two splits"
    backwards = dataclasses.replace(pictures, splits={"all": slices(20)[::-1]})
    assert complete(backwards, seed)[1]["digests"] == record["digests"]


def test_a_series_is_held_back_whole() -> None:
    splits = {"train": slices(20), "test": slices(2)}
    parted, record = arrange(Dataset(Path("x"), "masks", "segment", ["a"], splits), 0)
    assert len({patient(s) for s in parted.splits["val"]}) == 1 and len(parted.splits["val"]) == 6
    assert record["rule"].endswith("by series: 20 by their names, of which none is in two splits")


@pytest.mark.parametrize(
    "samples",
    [
        slices(4),  # too few to part
        slices(1, 100),
        [Sample(id=f"사진/{i:05}.png", source="") for i in range(50)],  # one folder of pictures
        [Sample(id=f"case{i}/image.png", source="") for i in range(50)],  # one each: no series
        listed([0] * 50),
        array([0] * 50),
    ],
)
def test_other_names_are_no_series(samples: list[Sample]) -> None:
    assert series(samples) is None
