"""Identities in their splits: nobody on both sides, leaks, counts, rotations."""

from __future__ import annotations

import dataclasses
import io
import pickle
import statistics
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from boda.cli import show
from boda.data.check import check
from boda.data.identities import (
    counts,
    group_of,
    known_before,
    leaks,
    learned,
    listed,
    names_in,
    numbered,
    rotated,
)
from boda.data.readers import read
from boda.data.split import arrange
from boda.errors import DataError, UsageError
from boda.types import Dataset, Pair
from tests.data import identity_sets as sets
from tests.data.identity_sets import told, who


def of(counts: dict[str, int], split: str = "all", **more: dict[str, int]) -> Dataset:
    """A data set without pictures."""
    from boda.types import Sample

    parts = {split: counts, **more}
    classes = sorted({name for part in parts.values() for name in part})
    splits = {
        name: [
            Sample(
                f"{who}/{i}.png", f"{name}/{who}/{i}.png", None, classes.index(who), identity=who
            )
            for who, count in part.items()
            for i in range(count)
        ]
        for name, part in parts.items()
    }
    return Dataset(Path("x"), "identities", "match", classes, splits)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=30), st.integers(0, 99), st.booleans())
def test_nobody_is_on_both_sides(pictures: list[int], seed: int, tested: bool) -> None:
    people = {f"p{i}": count for i, count in enumerate(pictures)}
    dataset = of(people, "train", test={"q": 2}) if tested else of(people)
    several = [name for name, count in people.items() if count > 1]
    if len(several) < 4:
        with pytest.raises(DataError, match="--val none"):
            arrange(dataset, seed)
        return
    parted, record = arrange(dataset, seed)
    found = who(parted)
    assert not found["train"] & found["val"] and found["train"] | found["val"] == set(people)
    before = Counter(s.id for part in dataset.splits.values() for s in part)
    assert Counter(s.id for part in parted.splits.values() for s in part) == before
    share = 0.1 if tested else 0.2
    alone = len(people) - len(several)
    inside = [name for name in several if name in found["val"]]
    assert len(inside) == max(2, round(share * len(several)))
    assert len(found["val"]) - len(inside) == round(share * alone)
    assert not tested or found["test"] == {"q"}
    # Neither the order of files nor how many pictures somebody has changes the draw.
    backwards = {name: samples[::-1] for name, samples in dataset.splits.items()}
    again, same = arrange(dataclasses.replace(dataset, splits=backwards), seed)
    assert who(again) == found and same == record


def test_the_record_of_a_split() -> None:
    parted, record = arrange(of({f"p{i:02}": 3 for i in range(20)}), seed=0)
    assert record["rule"] == "by identity" and record["seed"] == 0
    assert record["counts"] == {"train": 48, "val": 12}
    assert record["identities"] == {"train": 16, "val": 4}
    # Written down, so that a change of the rule or of NumPy's generator is noticed.
    assert who(parted)["val"] == {"p02", "p03", "p11", "p13"}
    other = arrange(of({f"p{i:02}": 3 for i in range(20)}), seed=1)[1]
    assert other["digests"] != record["digests"]


def test_everything_can_be_learned_from() -> None:
    dataset, _ = arrange(of({"a": 1, "b": 2}), seed=0, val=False)
    assert who(dataset) == {"train": {"a", "b"}}


# ---- the leak


NAMES = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 3), max_size=6)


@settings(max_examples=100, deadline=None)
@given(NAMES, NAMES, NAMES)
def test_leaks_against_plain_loops(train: dict, val: dict, test: dict) -> None:  # type: ignore[type-arg]
    dataset = of(train, "train", val=val, test=test)
    problems, leaked = leaks(dataset)
    expected = [
        (one, other, sorted({*a} & {*b}))
        for one, a, other, b in (
            ("train", train, "test", test),
            ("train", train, "val", val),
            ("test", test, "val", val),
        )
        if {*a} & {*b}
    ]
    assert len(problems) == len(expected)
    for problem, (one, other, names) in zip(problems, expected, strict=True):
        assert f"both {one} and {other}: " in problem.why and "--drop" in problem.fix
        assert problem.why.endswith(": " + ", ".join(f"'{name}'" for name in names))
        assert problem.severity == "error"
    left = {
        name: {s.identity for s, bad in zip(samples, leaked[name], strict=True) if not bad}
        for name, samples in dataset.splits.items()
    }
    assert left == {"train": {*train}, "test": {*test} - {*train}, "val": {*val} - {*train, *test}}


def test_a_leak_stops_and_drop_leaves_it_out_of_test(tmp_path: Path) -> None:
    sets.people(tmp_path / "train", {"Kim": 2, "Lee": 2})
    sets.people(tmp_path / "test", {"Choi": 2, "Lee": 3, "Park": 2})
    report = check(read(tmp_path, task="match"))
    (problem,) = report.errors
    assert "1 identity is in both train and test: 'Lee'" in problem.why
    left, dropped = report.drop()
    assert who(left) == {"train": {"Kim", "Lee"}, "test": {"Choi", "Park"}}
    assert dropped == {"test": 3}
    assert not check(left).errors
    # For ``classify`` it is as it should be.
    assert "both train and test" not in check(read(tmp_path / "train", task="classify")).text()


def test_a_picture_of_a_leak_is_said_once(tmp_path: Path) -> None:
    """The same pictures of the same person in both: the error says it; other pictures are warned of."""
    people = {"Kim": 2, "Lee": 2}
    sets.people(tmp_path / "train", people)
    sets.people(tmp_path / "test", people | {"Park": 2})
    sets.write(tmp_path / "test" / "Park" / "3.png", sets.picture(1))  # Kim's first
    report = check(read(tmp_path, task="match"))
    assert len(report.errors) == 1
    (problem,) = report.warnings
    assert "CONTRADICTION" in problem.why and "Park/3.png" in told([problem])


def test_one_picture_only_is_a_warning(tmp_path: Path) -> None:
    report = check(read(sets.people(tmp_path), task="match"))
    assert not report.errors
    (problem,) = report.warnings
    assert problem.why == "1 identity has one picture only: 'Jo'"


def test_another_set_may_hold_known_people() -> None:
    dataset = of({"a": 2, "b": 2, "c": 1})
    dataset.pairs = [
        Pair("all", "a/0.png", "b/1.png", False),
        Pair("all", "b/0.png", "b/1.png", True),
    ]
    left, problems = known_before(dataset, ["a", "x"])
    assert who(left) == {"all": {"b", "c"}} and left.pairs == dataset.pairs[1:]
    assert "1 identity is in this data and what the network was fitted with: 'a'" in told(problems)
    assert known_before(dataset, ["x"]) == (dataset, [])


# ---- counts


def test_counts_against_statistics(tmp_path: Path) -> None:
    people = {"a": 1, "b": 7, "c": 2, "d": 4}
    found = check(read(sets.people(tmp_path, people), task="match")).to_dict()["identities"]
    numbers = list(people.values())
    assert found == {
        "count": 4,
        "splits": {"all": 4},
        "pictures": {"min": 1, "median": statistics.median(numbers), "max": 7},
    }


def test_the_counts_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sets.people(tmp_path / "train", {"Kim": 3, "Lee": 2})
    sets.people(tmp_path / "test", {"Park": 4})
    show.check(check(read(tmp_path, task="match")))
    lines = capsys.readouterr().out.splitlines()
    assert "9 pictures (5 train, 4 test), 3 identities: Kim, Lee, Park" in lines
    assert "2 to 4 pictures an identity, median 3; identities: 2 train, 1 test" in lines


def test_orl_faces(shared_data: Path) -> None:
    with zipfile.ZipFile(shared_data / "orl-faces" / "orl_faces.zip") as archive:
        plain = Counter(name.split("/")[1] for name in archive.namelist() if name.endswith(".pgm"))
        face = np.asarray(Image.open(io.BytesIO(archive.read("orl_faces/s7/3.pgm"))))
    dataset = read(shared_data / "orl-faces", task="match")
    assert Counter(s.identity for s in dataset.splits["all"]) == plain and len(plain) == 40
    one = next(s for s in dataset.splits["all"] if s.id == "s7/3.pgm")
    assert (one.image == face[..., None]).all() and face.shape == (112, 92)
    parted, record = arrange(dataset, seed=0)
    assert record["identities"] == {"train": 32, "val": 8}
    assert not check(parted).problems


# ---- rotations


def test_a_turned_character_is_another(tmp_path: Path) -> None:
    dataset = read(sets.omniglot(tmp_path / "a.zip", {"Greek": 2}))
    turned = rotated(dataset)
    assert len(turned.classes) == 8 and turned.classes == sorted(turned.classes)
    assert {group_of(name) for name in turned.classes} == {"Greek"}
    assert len(turned) == 4 * len(dataset)
    of_id = {s.id: s for s in turned.splits["all"]}
    assert len(of_id) == len(turned)
    for sample in dataset.splits["all"]:
        for degrees, ending in ((0, ""), (90, "@90"), (180, "@180"), (270, "@270")):
            other = of_id[f"{sample.id}{ending}"]
            assert other.identity == f"{sample.identity}{ending}"
            assert turned.classes[other.label] == other.identity
            plain = np.asarray(Image.fromarray(sample.image).rotate(degrees))
            assert (pickle.loads(pickle.dumps(other)).image == plain).all()
    with pytest.raises(UsageError, match="turned already"):
        rotated(turned)


def test_one_split_is_turned_and_others_stay(tmp_path: Path) -> None:
    sets.people(tmp_path / "train", {"Kim": 2, "Lee": 2})
    sets.people(tmp_path / "test", {"Park": 2, "Choi": 2})
    dataset = read(tmp_path, task="match")
    turned = rotated(dataset, ["train"])
    assert who(turned)["test"] == {"Park", "Choi"} and len(who(turned)["train"]) == 8
    assert counts(turned)["count"] == 10 and not check(turned).errors
    for samples in turned.splits.values():
        assert all(turned.classes[s.label] == s.identity for s in samples)


def test_sides_are_exchanged() -> None:
    dataset = of({"a": 1, "b": 1})
    for sample in dataset.splits["all"]:
        sample._image, sample.size = np.arange(24, dtype=np.uint8).reshape(2, 4, 3), (2, 4)
    turned = rotated(dataset).splits["all"]
    assert [s.size for s in turned[:8:2]] == [(2, 4), (4, 2), (2, 4), (4, 2)]
    assert [s.image.shape[:2] for s in turned[:8:2]] == [s.size for s in turned[:8:2]]


def test_those_of_train_come_first() -> None:
    """Other data has numbers of its own: only names count."""
    dataset = of({"b": 2, "d": 1}, "train", val={"a": 1, "c": 2})
    again = numbered(dataset)
    assert again.classes == ["b", "d", "a", "c"] and learned(again) == ["b", "d"]
    for samples in again.splits.values():
        assert all(again.classes[sample.label or 0] == sample.identity for sample in samples)
    assert names_in(again, "val") == ["a", "c"] and names_in(again, "test") == []
    apart = dataclasses.replace(dataset, splits={"train": dataset.splits["val"]})
    assert learned(numbered(apart)) == ["a", "c"]


def test_who_is_in_two_splits_has_one_number() -> None:
    again = numbered(of({"a": 1, "b": 1}, "train", val={"b": 2}))
    assert [sample.label for sample in again.splits["val"]] == [1, 1]
    assert [problem.severity for problem in leaks(again)[0]] == ["error"]


def test_what_is_listed_is_found_by_its_places(tmp_path: Path) -> None:
    files, truth = sets.runs(ways=4)
    dataset = read(sets.zipped(tmp_path / "all_runs.zip", files), task="match")
    found = listed(dataset, "test")
    assert found is not None and len(found.episodes) == 2 and not len(found.pairs)
    samples = dataset.splits["test"]
    for support, queries, answers in found.episodes:
        for query, answer in zip(queries, answers, strict=True):
            assert samples[query].identity == samples[support[answer]].identity
    assert len(truth) == 2 and listed(of({"a": 2, "b": 2}), "all") is None
