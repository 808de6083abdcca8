"""Readers of identities: folders of people, Omniglot's archives and its fixed runs."""

from __future__ import annotations

import io
import shutil
import unicodedata
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from boda.data.check import check
from boda.data.identities import (
    counts,
    group_of,
    known_before,
)
from boda.data.readers import read
from boda.errors import DataError
from boda.types import Episode
from tests.data import identity_sets as sets
from tests.data.identity_sets import errors, told, who

# ---- folders of identities


def test_folders_are_identities(tmp_path: Path) -> None:
    dataset = read(sets.people(tmp_path), task="match")
    assert (dataset.format, dataset.task) == ("identities", "match")
    assert dataset.classes == sorted(sets.PEOPLE) and dataset.problems == []
    assert Counter(s.identity for s in dataset.splits["all"]) == sets.PEOPLE
    for sample in dataset.splits["all"]:
        assert dataset.classes[sample.label] == sample.identity == sample.id.split("/")[0]


def test_without_a_task_they_are_classes(tmp_path: Path) -> None:
    assert read(sets.people(tmp_path)).format == "folders"


def test_a_split_may_have_people_of_its_own(tmp_path: Path) -> None:
    """For ``classify`` the same folders are wrong: a class of test would be unknown."""
    sets.people(tmp_path / "train", {"Kim": 2, "Lee": 2})
    sets.people(tmp_path / "test", {"Park": 2, "Choi": 2})
    dataset = read(tmp_path, task="match")
    assert who(dataset) == {"train": {"Kim", "Lee"}, "test": {"Park", "Choi"}}
    assert dataset.classes == ["Choi", "Kim", "Lee", "Park"]
    assert not check(dataset).errors
    assert errors(read(tmp_path, task="classify").problems)


def test_names_are_compared_composed(tmp_path: Path) -> None:
    sets.people(tmp_path / "train", {unicodedata.normalize("NFD", "이두리"): 2, "Kim": 2})
    sets.people(tmp_path / "test", {"이두리": 2, "Park": 2})
    (problem,) = check(read(tmp_path, task="match")).errors
    assert "'이두리'" in problem.why


@pytest.mark.parametrize("pack", ["zip", "tar"])
@pytest.mark.parametrize("kind", ["pgm", "jpg"])
def test_archives_of_faces(tmp_path: Path, pack: str, kind: str) -> None:
    folder = tmp_path / "faces"
    for person in range(1, 4):
        for number in range(1, 3):
            file = folder / "orl_faces" / f"s{person}" / f"{number}.{kind}"
            sets.write(file, sets.picture(10 * person + number, "PPM" if kind == "pgm" else "JPEG"))
    shutil.make_archive(str(tmp_path / "packed"), pack, folder)
    dataset = read(tmp_path / f"packed.{pack}", task="match")
    assert who(dataset) == {"all": {"s1", "s2", "s3"}} and dataset.problems == []
    one = dataset.splits["all"][0]
    assert one.image.shape == (sets.SIDE, sets.SIDE, 3)
    if kind == "pgm":
        with Image.open(folder / "orl_faces" / one.id) as plain:
            assert (one.image[..., 1] == np.asarray(plain)).all()


def test_what_lies_beside_is_named(tmp_path: Path) -> None:
    sets.people(tmp_path)
    sets.write(tmp_path / "loose.png", sets.picture(9))
    (tmp_path / "nobody").mkdir()
    problems = read(tmp_path, task="match").problems
    assert {Path(p.file).name for p in problems} == {"loose.png", "nobody"}
    assert all("identity" in p.why and p.severity == "warning" for p in problems)


def test_one_identity_is_not_enough(tmp_path: Path) -> None:
    sets.people(tmp_path, {"Kim": 3})
    with pytest.raises(DataError, match="there is one identity, 'Kim'"):
        read(tmp_path, task="match")


# ---- Omniglot


def test_an_alphabet_is_the_group(tmp_path: Path) -> None:
    path = sets.omniglot(tmp_path / "images_background_small1.zip", {"Greek": 2, "Latin": 1})
    dataset = read(path)
    assert (dataset.format, dataset.task, dataset.problems) == ("omniglot", "match", [])
    assert dataset.classes == ["Greek/character01", "Greek/character02", "Latin/character01"]
    assert [group_of(name) for name in dataset.classes] == ["Greek", "Greek", "Latin"]
    assert group_of("Kim") == ""
    assert {s.id for s in dataset.splits["all"]} == set(sets.drawings({"Greek": 2, "Latin": 1}))


@pytest.mark.parametrize("unpacked", [False, True])
def test_archives_in_a_folder_are_one_set(tmp_path: Path, unpacked: bool) -> None:
    for number, seed in ((1, 0), (2, 0)):
        name = f"images_background_small{number}"
        alphabets = {"Greek": 2, ("Korean", "Tagalog")[seed]: 1} if number == 2 else {"Greek": 3}
        path = sets.omniglot(tmp_path / "set" / f"{name}.zip", alphabets, each=3 + (number == 2))
        if unpacked:
            shutil.unpack_archive(path, tmp_path / "set")
            path.unlink()
    dataset = read(tmp_path / "set")
    # Two characters of three drawings are in both; the second set has a fourth drawing of each.
    assert {s.id for s in dataset.splits["all"]} == {
        *sets.drawings({"Greek": 3}, 3),
        *sets.drawings({"Greek": 2, "Korean": 1}, 4),
    }
    assert len(dataset) == 9 + 2 + 4
    (problem,) = dataset.problems
    assert problem.why.startswith("6 drawings are those of") and "small2" in problem.file
    assert problem.severity == "warning"


def test_other_drawings_of_one_name_are_kept(tmp_path: Path) -> None:
    """The same names in two sets, and other pixels: nothing is merged, and every id is its own."""
    for number in (1, 2):
        sets.omniglot(tmp_path / f"small{number}.zip", {"Greek": 2}, seed=number)
    dataset = read(tmp_path)
    assert dataset.problems == [] and dataset.classes == ["Greek/character01", "Greek/character02"]
    assert len({s.id for s in dataset.splits["all"]}) == len(dataset) == 12


def test_a_damaged_drawing_is_no_duplicate(tmp_path: Path) -> None:
    for number in (1, 2):
        files = sets.drawings({"Greek": 2}, each=2)
        files["Greek/character01/0001_01.png"] = b"broken"
        sets.zipped(tmp_path / f"s{number}.zip", {f"s{number}/{n}": d for n, d in files.items()})
    dataset = read(tmp_path)
    assert dataset.problems[0].why.startswith("3 drawings are") and len(dataset) == 5
    assert len(check(dataset).errors) == 2


def test_the_authors_parts_and_folders_are_splits(tmp_path: Path) -> None:
    sets.omniglot(tmp_path / "a" / "images_background.zip", {"Greek": 2})
    sets.omniglot(tmp_path / "a" / "images_evaluation.zip", {"Tengwar": 2})
    assert who(read(tmp_path / "a")) == {
        "train": {"Greek/character01", "Greek/character02"},
        "test": {"Tengwar/character01", "Tengwar/character02"},
    }
    assert set(read(tmp_path / "a" / "images_evaluation.zip").splits) == {"all"}
    sets.omniglot(tmp_path / "b" / "train" / "small1.zip", {"Greek": 3})
    sets.omniglot(tmp_path / "b" / "test" / "small2.zip", {"Greek": 2, "Latin": 12})
    dataset = read(tmp_path / "b")
    assert {name: len(names) for name, names in who(dataset).items()} == {"train": 3, "test": 14}
    assert dataset.problems == []
    assert "'Greek/character01', 'Greek/character02'" in check(dataset).errors[0].why


def test_what_is_no_drawing_is_named(tmp_path: Path) -> None:
    files = sets.drawings({"Greek": 2})
    files |= {"loose.png": sets.picture(1), "Greek/more.png": sets.picture(2)}
    files |= {"Greek/character03/": b"", "strokes/Greek/character09/1.txt": b"0,0"}
    dataset = read(sets.zipped(tmp_path / "x.zip", files))
    assert [p.severity for p in dataset.problems] == ["warning"] * 2
    assert "2 pictures lie in no character's folder" in told(dataset.problems)
    assert dataset.problems[1].file.endswith("Greek/character03")


def test_the_published_archives(shared_data: Path) -> None:
    """Against the archives' own listings and Pillow's pixels."""
    plain: dict[str, set[bytes]] = {}
    for number in (1, 2):
        with zipfile.ZipFile(
            shared_data / "omniglot" / f"images_background_small{number}.zip"
        ) as z:
            for name in z.namelist():
                if name.endswith(".png"):
                    pixels = Image.open(io.BytesIO(z.read(name))).tobytes()
                    plain.setdefault(name.split("/", 1)[1].rpartition("/")[0], set()).add(pixels)
    dataset = read(shared_data / "omniglot")
    assert Counter(s.identity for s in dataset.splits["all"]) == {
        name: len(drawn) for name, drawn in plain.items()
    }
    assert (len(dataset), len(dataset.classes)) == (4840, 242)
    (problem,) = dataset.problems
    assert problem.why.startswith("1,000 drawings are those of ")
    found = counts(dataset)
    assert found["pictures"] == {"min": 20, "median": 20, "max": 20}


def test_the_leak_between_the_published_archives(shared_data: Path, tmp_path: Path) -> None:
    """Greek (24 characters) and Latin (26) are in both."""
    for split, number in (("train", 1), ("test", 2)):
        (tmp_path / split).mkdir()
        name = f"images_background_small{number}.zip"
        (tmp_path / split / name).symlink_to(shared_data / "omniglot" / name)
    report = check(read(tmp_path))
    (problem,) = report.errors
    assert problem.why == "50 identities are in both train and test: 24 of 'Greek', 26 of 'Latin'"
    left, dropped = report.drop()
    assert dropped == {"test": 1000}
    alphabets = {split: {group_of(n) for n in names} for split, names in who(left).items()}
    assert alphabets["test"] == {"Japanese_(katakana)", "Sanskrit", "Tagalog"}
    assert {"Greek", "Latin"} <= alphabets["train"]
    other = read(tmp_path / "test")
    stranger, problems = known_before(other, read(tmp_path / "train").classes)
    assert len(stranger) == 2120 and "24 of 'Greek', 26 of 'Latin'" in told(problems)


# ---- the fixed runs


def answers(episode: Episode) -> dict[str, str]:
    return {
        query: episode.support[answer]
        for query, answer in zip(episode.queries, episode.answers, strict=True)
    }


@pytest.mark.parametrize("wrapped", [False, True])
def test_the_runs_of_an_archive(tmp_path: Path, wrapped: bool) -> None:
    files, truth = sets.runs(ways=20, count=20)
    if wrapped:
        files = {f"all_runs/{name}": data for name, data in files.items()}
    dataset = read(sets.zipped(tmp_path / "all_runs.zip", files))
    assert (dataset.format, dataset.task, dataset.problems) == ("omniglot-runs", "match", [])
    assert [len(samples) for samples in dataset.splits.values()] == [800]
    assert [episode.name for episode in dataset.episodes] == sorted(truth)
    identity = {s.id: s.identity for s in dataset.splits["test"]}
    for episode in dataset.episodes:
        run = episode.name
        assert answers(episode) == {
            f"{run}/test/item{item:02}.png": f"{run}/training/class{known:02}.png"
            for item, known in enumerate(truth[run], start=1)
        }
        assert len(set(episode.support)) == len(set(episode.queries)) == 20
        assert all(identity[query] == identity[known] for query, known in answers(episode).items())
    one = next(s for s in dataset.splits["test"] if s.id == "run03/test/item07.png")
    assert (one.image[..., 0] == np.asarray(Image.open(io.BytesIO(sets.picture(3007))))).all()
    assert check(dataset).to_dict()["identities"]["episodes"] == 20


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("run01/test/item02.png ", "", "the line has 1 words, not two"),
        ("test/item02.png", "test/item77.png", "item77.png' is missing"),
        ("run01/test/item02.png", "run02/test/item02.png", "is of another run"),
        ("test/item02.png", "test/item01.png", "has an answer above"),
        ("test/item02.png", "training/class01.png", "is a picture to learn from"),
        ("run01/test/item02.png", "../x.png", "leads out of the data"),
    ],
)
def test_a_line_that_is_wrong_is_named(tmp_path: Path, old: str, new: str, why: str) -> None:
    files, _ = sets.runs()
    name = "run01/class_labels.txt"
    files[name] = files[name].decode().replace(old, new).encode()
    dataset = read(sets.zipped(tmp_path / "all_runs.zip", files))
    (problem,) = errors(dataset.problems)
    assert why in problem.why and problem.line == 2 and problem.file.endswith(name)
    assert [len(episode.queries) for episode in dataset.episodes] == [2, 3]


def test_an_answer_that_is_not_there(tmp_path: Path) -> None:
    files, _ = sets.runs()
    del files["run01/training/class02.png"]
    dataset = read(sets.zipped(tmp_path / "all_runs.zip", files))
    (problem,) = errors(dataset.problems)
    assert "class02.png' is missing" in problem.why


def test_pictures_of_no_line_are_named(tmp_path: Path) -> None:
    files, _ = sets.runs()
    files["run02/test/item04.png"] = sets.picture(4)
    (problem,) = read(sets.zipped(tmp_path / "all_runs.zip", files)).problems
    assert "1 pictures are in no line" in problem.why and problem.file.endswith("item04.png")
