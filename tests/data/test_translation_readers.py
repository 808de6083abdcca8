"""Pairs and domains from the layouts in which people have them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from boda.data.check import check
from boda.data.readers import read
from boda.errors import DataError
from tests.data.translation_sets import SIDE, apart, negative, picture, save, side_by_side


def test_halves_of_a_picture_are_a_pair(tmp_path: Path) -> None:
    data = read(side_by_side(tmp_path), task="translate")
    assert data.format == "side-by-side" and data.classes == []
    assert {name: len(part) for name, part in data.splits.items()} == {"train": 8, "test": 3}
    for sample in data.splits["test"]:
        number = int(Path(sample.id).stem)
        assert (sample.image == picture(number)).all() and sample.size == (SIDE, SIDE)
        assert (sample.target_image == negative(number)).all()
    assert check(data).errors == []


def test_what_cannot_be_halved_is_named(tmp_path: Path) -> None:
    side_by_side(tmp_path, 20)
    save(tmp_path / "train" / "odd.png", picture(0, 32, 63))
    save(tmp_path / "train" / "single.png", picture(0, 32, 32))
    data = read(tmp_path, task="translate")
    found = {Path(problem.file or "").name: problem.why for problem in data.problems}
    assert found["odd.png"].startswith("is 63×32 and cannot")
    assert "twice as wide" in found["single.png"] and len(data.splits["train"]) == 20
    assert len(check(data).errors) == 2


def test_other_proportions_are_halved_where_one_says_so(tmp_path: Path) -> None:
    save(tmp_path / "1.png", np.concatenate([picture(1, 40, 30), picture(2, 40, 30)], 1))
    assert read(tmp_path, task="translate").format == "pictures"
    (sample,) = read(tmp_path, "side-by-side", "translate").splits["all"]
    assert (sample.image == picture(1, 40, 30)).all()
    assert (sample.target_image == picture(2, 40, 30)).all()


@pytest.mark.parametrize(
    "layout",
    ["{split}A/{n}.png {split}B/{n}.png", "{split}/낮/{n}.png {split}/밤/{n}.png",
     "A/{split}/{n}.png B/{split}/{n}.png", "set/A/{split}/{n}.png set/B/{split}/{n}.png",
     "{split}_a/{n}.png {split}_b/{n}.png"],
)  # fmt: skip
def test_folders_with_names_that_agree_are_pairs(tmp_path: Path, layout: str) -> None:
    first, second = layout.split()
    for split, numbers in (("train", range(4)), ("val", (4, 5)), ("test", (6, 7))):
        for n in numbers:
            save(tmp_path / first.format(split=split, n=n), picture(n))
            save(tmp_path / second.format(split=split, n=n), negative(n))
    data = read(tmp_path, task="translate")
    assert data.format == "two-folders" and data.classes == []
    assert {name: len(part) for name, part in data.splits.items()} == {
        "train": 4, "val": 2, "test": 2,
    }  # fmt: skip
    for sample in data.splits["val"]:
        assert (sample.target_image == 255 - sample.image).all()


def test_pairs_without_splits_and_with_other_suffixes(tmp_path: Path) -> None:
    for n in range(3):
        save(tmp_path / "A" / f"{n}.png", picture(n))
        save(tmp_path / "B" / f"{n}.bmp", negative(n))
    data = read(tmp_path, task="translate")
    assert len(data.splits["all"]) == 3
    assert all((s.target_image == 255 - s.image).all() for s in data.splits["all"])


def test_broken_pairs_are_named_by_their_files(tmp_path: Path) -> None:
    for n in range(6):
        save(tmp_path / "A" / f"{n}.png", picture(n))
        save(tmp_path / "B" / f"{n}.png", negative(n) if n else picture(n, 40, 32))
    save(tmp_path / "A" / "alone.png", picture(9))
    save(tmp_path / "B" / "1.bmp", negative(1))
    (tmp_path / "B" / "2.png").write_bytes(b"nothing")
    data = read(tmp_path, task="translate")
    found = {str(Path(p.file or "").relative_to(tmp_path)): p.why for p in data.problems}
    assert set(found) == {"B/0.png", "A/alone.png", "B/1.png", "B/2.png"} or set(found) == {
        "B/0.png", "A/alone.png", "B/1.bmp", "B/2.png",
    }  # fmt: skip
    assert "is 32×40, its partner" in found["B/0.png"]
    assert found["A/alone.png"] == "has no partner of this name in B"
    assert len(data.splits["all"]) == 4


def test_domains_without_pairs_have_their_truth_in_test_alone(tmp_path: Path) -> None:
    data = read(apart(tmp_path), task="translate")
    assert data.classes == ["A", "B"] and data.format == "two-folders"
    assert [s.label for s in data.splits["train"]] == [0] * 8 + [1] * 8
    assert not any(s.has_target for s in data.splits["train"])
    for sample in data.splits["test"]:
        assert (sample.target_image == 255 - sample.image).all()
    assert check(data).errors == []


def test_class_folders_and_bare_pictures_serve_too(tmp_path: Path) -> None:
    for n in range(6):
        save(tmp_path / "classes" / f"kind{n % 3}" / f"{n}.png", picture(n))
        save(tmp_path / "bare" / f"{n}.png", picture(n))
    assert read(tmp_path / "classes", task="translate").format == "folders"
    assert read(tmp_path / "bare", task="translate").format == "pictures"
    shutil.rmtree(tmp_path / "classes" / "kind2")
    assert read(tmp_path / "classes").format == "folders"  # without a task they are classes
    assert read(tmp_path / "classes", task="translate").format == "two-folders"


def test_one_folder_is_not_two(tmp_path: Path) -> None:
    save(tmp_path / "A" / "1.png", picture(1))
    with pytest.raises(DataError, match="two folders"):
        read(tmp_path, "two-folders", "translate")
