"""Labels follow the names of the classes, however they are spelled."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest

from boda.data.classes import by_name, unknown
from boda.data.imagenet import names
from boda.errors import DataError
from boda.types import Dataset, Sample


def dataset(*classes: str) -> Dataset:
    """One picture of each class."""
    samples = [
        Sample(name, name, read=lambda: np.zeros((4, 4, 3), np.uint8), label=index)
        for index, name in enumerate(classes)
    ]
    return Dataset(Path("data"), "folders", "classify", list(classes), {"all": samples})


def labels(data: Dataset) -> list[int | None]:
    return [sample.label for sample in data.splits["all"]]


def test_labels_are_those_of_the_given_classes() -> None:
    moved = by_name(dataset("dog", "cat"), ["bird", "cat", "dog"])
    assert moved.classes == ["bird", "cat", "dog"] and labels(moved) == [2, 1]


def test_underscores_are_spaces_but_the_exact_name_comes_first() -> None:
    assert labels(by_name(dataset("ice_bear"), ["cat", "ice bear"])) == [1]
    assert labels(by_name(dataset("ice bear"), ["cat", "ice_bear"])) == [1]
    assert labels(by_name(dataset("a_b", "a b"), ["a b", "a_b"])) == [1, 0]


def test_hangul_is_one_name_in_both_forms() -> None:
    decomposed = unicodedata.normalize("NFD", "고양이")
    assert decomposed != "고양이" and labels(by_name(dataset(decomposed), ["개", "고양이"])) == [1]


def test_wordnet_numbers_are_imagenets_only() -> None:
    assert labels(by_name(dataset("n01443537"), names())) == [1]
    assert unknown(dataset("n01443537"), ["goldfish"]) == ["n01443537"]


def test_an_unknown_class_is_named() -> None:
    with pytest.raises(DataError, match="does not know: fox"):
        by_name(dataset("cat", "fox"), ["cat"])
