"""Lists of pairs: LFW's text and tables, and what is said where they are wrong."""

from __future__ import annotations

import csv
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from sklearn.datasets import fetch_lfw_pairs

from boda.data.check import check
from boda.data.identities import (
    counts,
    pairs_in,
)
from boda.data.readers import READERS, read
from boda.data.tree import open_tree
from boda.errors import DataError
from boda.types import Pair
from tests.data import identity_sets as sets
from tests.data.fuzzing import EDITS, QUICK, Edits, damaged
from tests.data.identity_sets import errors, who

# ---- pairs


def test_pairs_are_those_of_scikit_learn(tmp_path: Path) -> None:
    """LFW in small, read by scikit-learn too: the same pictures and answers, in their order."""
    home = tmp_path / "lfw_home"
    sets.people(home / "lfw_funneled", kind="jpg")
    for name in ("pairs.txt", "pairsDevTrain.txt", "pairsDevTest.txt"):
        sets.write(home / name, sets.LFW)
    window = (slice(0, sets.SIDE), slice(0, sets.SIDE))
    theirs = fetch_lfw_pairs(
        subset="10_folds",
        data_home=tmp_path,
        slice_=window,
        resize=None,
        color=True,
        download_if_missing=False,
    )
    for name in ("pairsDevTrain.txt", "pairsDevTest.txt"):
        (home / name).unlink()
    dataset = read(home, task="match")
    assert [Path(p.file).name for p in dataset.problems] == ["joblib"]  # its cache, no pictures
    indices, same, folds = pairs_in(dataset, "test")
    assert same.tolist() == theirs.target.astype(bool).tolist()
    assert folds.tolist() == [0, 0, 1, 1]
    scale = 255 if theirs.pairs.max() <= 1 else 1
    for (first, second), (one, other) in zip(indices, theirs.pairs, strict=True):
        assert (dataset.splits["test"][first].image == np.rint(one * scale)).all()
        assert (dataset.splits["test"][second].image == np.rint(other * scale)).all()


def test_who_is_in_a_pair_is_for_the_test(tmp_path: Path) -> None:
    sets.write(tmp_path / "pairs.txt", sets.LFW)
    dataset = read(sets.people(tmp_path), task="match")
    assert who(dataset) == {"train": {"Jo"}, "test": set(sets.PEOPLE) - {"Jo"}}
    assert len(dataset.splits["test"]) == 12 and not check(dataset).errors
    assert counts(dataset)["pairs"] == 4
    # Without a task the folders are classes, and the list lies beside them.
    assert read(tmp_path).format == "folders"


def test_a_table_says_the_same(tmp_path: Path) -> None:
    sets.people(tmp_path / "a" / "lfw")
    sets.people(tmp_path / "b")
    sets.write(tmp_path / "a" / "pairs.txt", sets.LFW)
    sets.write(tmp_path / "b" / "list.csv", sets.TABLE)
    one, other = (read(tmp_path / name, task="match") for name in "ab")
    assert one.pairs == other.pairs and len(one.pairs) == 4
    assert one.pairs[0] == Pair(
        "test", "Kim_Hana/Kim_Hana_0001.png", "Kim_Hana/Kim_Hana_0004.png", True, 0
    )
    named = read(tmp_path / "b" / "list.csv", task="match")
    assert named.pairs == other.pairs and named.root.name == "list.csv"


def test_lists_of_two_splits(tmp_path: Path) -> None:
    sets.people(tmp_path)
    sets.write(tmp_path / "pairsDevTrain.txt", "1\nKim_Hana 1 2\nKim_Hana 1 Park 1\n")
    sets.write(tmp_path / "pairsDevTest.txt", "1\nChoi 1 2\nChoi 1 이두리 1\n")
    dataset = read(tmp_path, task="match")
    assert who(dataset) == {"train": {"Kim_Hana", "Park", "Jo"}, "test": {"Choi", "이두리"}}
    assert [pair.split for pair in dataset.pairs] == ["test", "test", "train", "train"]
    sets.write(tmp_path / "pairs.txt", sets.LFW)
    with pytest.raises(DataError, match=r"several tables.*pairs\.txt.*[\s\S]*Name the file itself"):
        read(tmp_path, task="match")
    assert len(read(tmp_path / "pairs.txt", task="match").pairs) == 4
    (tmp_path / "pairs.txt").unlink()
    # Somebody of the test in a pair of train: that pair is across two splits.
    sets.write(tmp_path / "pairsDevTrain.txt", "1\nKim_Hana 1 2\nKim_Hana 1 Choi 1\n")
    (problem,) = errors(read(tmp_path, task="match").problems)
    assert problem.why == "one of the pair is in train, the other in test" and problem.line == 3


def test_folders_say_the_split(tmp_path: Path) -> None:
    sets.people(tmp_path / "train", {"Jo": 2, "Baek": 2})
    sets.people(tmp_path / "test", {"Kim": 2, "Lee": 2})
    sets.write(tmp_path / "pairs.txt", "1\nKim 1 2\nKim 1 Lee 2\n")
    dataset = read(tmp_path, task="match")
    assert [(pair.split, pair.same) for pair in dataset.pairs] == [("test", True), ("test", False)]
    assert pairs_in(dataset, "train")[0].shape == (0, 2)


@pytest.mark.parametrize(
    ("old", "new", "line", "why"),
    [
        ("Park\t1\t2", "Nobody\t1\t2", 4, "there is no folder of 'Nobody'"),
        ("Park\t1\t2", "Park\t1\t9", 4, "picture 9 of 'Park' is missing"),
        ("Park\t1\t2", "Park\t1\t1", 4, "both are the same picture"),
        ("Park\t1\t2", "Park\t1\tx", 4, "'x' is no number of a picture"),
        ("Park\t1\t2", "Park\t1", 4, "the line has 2 words"),
        ("Choi\t1\tKim_Hana\t2", "Choi\t1\tChoi\t2", 5, "such a pair has three words"),
    ],
)
def test_a_pair_that_is_wrong_is_named(
    tmp_path: Path, old: str, new: str, line: int, why: str
) -> None:
    sets.people(tmp_path)
    sets.write(tmp_path / "pairs.txt", sets.LFW.replace(old, new))
    dataset = read(tmp_path, task="match")
    (problem,) = errors(dataset.problems)
    assert why in problem.why and problem.line == line and problem.file.endswith("pairs.txt")
    assert len(dataset.pairs) == 3 and problem.fix


@pytest.mark.parametrize(
    ("old", "new", "line", "why"),
    [
        (",yes,", ",perhaps,", 4, "'perhaps' is neither 1 nor 0"),
        (",yes,", ",0,", 4, "says different people; their folders are 'Park' and 'Park'"),
        (",different,", ",1,", 5, "says the same; their folders are 'Choi' and 'Kim_Hana'"),
        (",yes,2", ",yes,two", 4, "'two' is no number of a fold"),
        ("Park/Park_0002.png", "Park/Park_0007.png", 4, "Park_0007.png' is missing"),
        ("Park/Park_0002.png", "../Park_0002.png", 4, "leads out of the data"),
        ("Park/Park_0002.png", "loose.png", 4, "lies in no identity's folder"),
        (",yes,2", ",yes", 4, "the row has 3 cells"),
    ],
)
def test_a_row_that_is_wrong_is_named(
    tmp_path: Path, old: str, new: str, line: int, why: str
) -> None:
    sets.people(tmp_path)
    sets.write(tmp_path / "loose.png", sets.picture(1))
    sets.write(tmp_path / "pairs.csv", sets.TABLE.replace(old, new))
    dataset = read(tmp_path, task="match")
    (problem,) = errors(dataset.problems)
    assert why in problem.why and problem.line == line
    assert len(dataset.pairs) == 3


def test_two_pictures_of_one_number(tmp_path: Path) -> None:
    sets.people(tmp_path)
    sets.write(tmp_path / "Park" / "b01.png", sets.picture(7))
    sets.write(tmp_path / "pairs.txt", sets.LFW)
    (problem,) = errors(read(tmp_path, task="match").problems)
    assert "picture 1 of 'Park' may be" in problem.why and problem.line == 4


@pytest.mark.parametrize("header", ["2\t2", "1\t1", "7"])
def test_a_list_that_is_cut_off(tmp_path: Path, header: str) -> None:
    """The folds are stretches of the list: with a line too few no fold would be right."""
    sets.people(tmp_path)
    sets.write(tmp_path / "pairs.txt", sets.LFW.replace("2\t1", header))
    with pytest.raises(DataError, match="in all; there are 4"):
        read(tmp_path, task="match")


def test_dropped_pictures_take_their_pairs_along(tmp_path: Path) -> None:
    sets.people(tmp_path)
    sets.write(tmp_path / "pairs.txt", sets.LFW)
    sets.write(tmp_path / "Kim_Hana" / "Kim_Hana_0004.png", b"broken")
    dataset = read(tmp_path, task="match")
    left, dropped = check(dataset).drop()
    assert dropped == {"test": 1, "pairs": 1}
    indices, same, folds = pairs_in(left, "test")
    assert (len(indices), same.tolist(), folds.tolist()) == (3, [False, True, False], [0, 1, 1])
    shown = [[left.splits["test"][i].identity for i in pair] for pair in indices]
    assert shown == [["이두리", "Park"], ["Park", "Park"], ["Choi", "Kim_Hana"]]


def test_lists_make_the_fingerprint(tmp_path: Path) -> None:
    sets.people(tmp_path)
    sets.write(tmp_path / "pairs.txt", sets.LFW)
    one = check(read(tmp_path, task="match")).fingerprint
    sets.write(tmp_path / "pairs.txt", sets.LFW.replace("Park\t1\t2", "Park\t1\t3"))
    assert check(read(tmp_path, task="match")).fingerprint != one


def test_pairs_in_an_archive(tmp_path: Path) -> None:
    sets.write(tmp_path / "set" / "pairs.txt", sets.LFW)
    sets.people(tmp_path / "set" / "lfw")
    with tarfile.open(tmp_path / "lfw.tgz", "w:gz") as archive:
        archive.add(tmp_path / "set", "set")
    assert len(read(tmp_path / "lfw.tgz", task="match").pairs) == 4


@pytest.mark.parametrize(
    ("name", "text", "pairs"),
    [
        ("pairs.txt", "10\t300\nKim\t1\t2\n", True),
        ("pairs.txt", "1100\nKim 1 2\n", True),
        ("pairs.txt", "601\nKim\t2\n", False),  # people.txt
        ("pairs.txt", "Kim 1 2\n", False),
        ("labels.txt", "10\t300\nKim\t1\t2\n", False),
        ("a.csv", "file1,file2,same\n", True),
        ("a.csv", "file,label\n", False),
        ("a.csv", "image1,image2,issame\na,b,1\n", True),
    ],
)
def test_what_is_a_list_of_pairs(tmp_path: Path, name: str, text: str, pairs: bool) -> None:
    sets.people(tmp_path)
    sets.write(tmp_path / name, text)
    assert READERS["pairs"]().recognizes(open_tree(tmp_path)) == pairs
    assert READERS["identities"]().recognizes(open_tree(tmp_path)) != pairs


# ---- damage


SETS = {
    "pairs.txt": sets.LFW,
    "pairs.csv": sets.TABLE,
    "class_labels.txt": sets.runs()[0]["run01/class_labels.txt"].decode(),
}


@pytest.fixture(scope="module")
def grounds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder for each file of ``SETS`` to be damaged in; the path of that file."""
    root = tmp_path_factory.mktemp("damage")
    for name in ("pairs.txt", "pairs.csv"):
        sets.people(root / name)
    for name, data in sets.runs()[0].items():
        sets.write(root / "runs" / name, data)
    return {
        "pairs.txt": root / "pairs.txt" / "pairs.txt",
        "pairs.csv": root / "pairs.csv" / "pairs.csv",
        "class_labels.txt": root / "runs" / "run01" / "class_labels.txt",
    }


@pytest.mark.parametrize("name", SETS)
@QUICK
@given(edits=EDITS)
def test_a_damaged_list_ends_in_words(grounds: dict[str, Path], name: str, edits: Edits) -> None:
    """A pair for each line, or an error that names the line or the whole list."""
    data = damaged(SETS[name], edits)
    file = grounds[name]
    file.write_bytes(data)
    root = file.parents[1] if name == "class_labels.txt" else file.parent
    format = "omniglot-runs" if name == "class_labels.txt" else "pairs"
    try:
        dataset = read(root, format, "match")
    except DataError as error:
        assert all(problem.fix and problem.why for problem in error.problems)
        return
    bad = errors(dataset.problems)
    assert all(problem.fix for problem in bad)
    for pair in dataset.pairs:
        assert pair.same == (pair.first.split("/")[0] == pair.second.split("/")[0])
        assert pair.first != pair.second and pair.fold >= 0
    for episode in dataset.episodes:
        assert len(episode.queries) == len(episode.answers)
        assert all(0 <= answer < len(episode.support) for answer in episode.answers)
    if name == "pairs.txt":
        text = data.decode("utf-8-sig", "replace")
        lines = sum(bool(line.strip()) for line in text.splitlines()) - 1
        assert len(dataset.pairs) + len(bad) == lines or "�" in text
    elif name == "pairs.csv":
        rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig", "replace"), newline="")))
        assert len(dataset.pairs) + len(bad) <= len(rows)
