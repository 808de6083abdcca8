"""Pairs for super-resolution and plain pictures: every layout read alike, every wrong pair named."""

from __future__ import annotations

import pickle
import re
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from boda.data.check import check
from boda.data.readers import READERS, read
from boda.data.readers.superres import pairs_of, scale_between
from boda.data.tree import open_tree
from boda.errors import DataError, UsageError
from boda.types import Dataset, Sample
from tests.data import superres_sets as sets
from tests.data.map_sets import save

RECIPE = Path(__file__).parents[2] / "recipes" / "superres_protocol.py"


def pairs(dataset: Dataset, split: str = "all") -> dict[str, Sample]:
    return {sample.id: sample for sample in dataset.splits[split]}


def assert_whole(dataset: Dataset, split: str = "all", end: str = "") -> None:
    assert (dataset.format, dataset.task, dataset.problems) == ("superres", "upscale", [])
    found = pairs(dataset, split)
    assert found.keys() == {f"{name}{end}" for name in sets.SIZES}
    for name in sets.SIZES:
        sample = pickle.loads(pickle.dumps(found[f"{name}{end}"]))
        np.testing.assert_array_equal(sample.image, sets.small(name))
        np.testing.assert_array_equal(sample.target_image, sets.large(name))
        assert sample.size == sample.image.shape[:2] and sample.target is None


def one_error(path: Path) -> str:
    dataset = read(path, task="upscale")
    (problem,) = dataset.problems
    assert problem.severity == "error" and problem.fix
    return str(problem)


# ---- layouts


def test_pairs_in_one_folder(tmp_path: Path) -> None:
    root = sets.in_one_folder(tmp_path / "자료")
    for task in ("upscale", None):
        assert_whole(read(root, task=task), end="_SRF_2")
    archive = shutil.make_archive(str(tmp_path / "a"), "zip", root)
    assert_whole(read(archive), end="_SRF_2")
    assert check(read(root)).errors == []


@pytest.mark.parametrize(
    ("high", "low", "end", "split"),
    [
        ("HR", "LR", "", "all"),
        ("hr", "lr", "", "all"),
        ("HR", "LRx2", "", "all"),
        ("HR", "LR_x2", "x2", "all"),
        ("HR", "LR_bicubic/X2", "x2", "all"),
        ("train/HR", "train/LR", "", "train"),
        ("DIV2K_valid_HR", "DIV2K_valid_LR_bicubic/X2", "x2", "val"),
        ("test_HR", "test_LR", "", "test"),
    ],
)
def test_pairs_in_two_folders(tmp_path: Path, high: str, low: str, end: str, split: str) -> None:
    root = sets.in_folders(tmp_path, high, low, end)
    assert_whole(read(root, task="upscale"), split)


def test_pictures_alone(tmp_path: Path) -> None:
    root = sets.pictures(tmp_path / "a")
    (root / "README.md").write_text("mine", "utf-8")
    dataset = read(root, task="upscale")
    assert (dataset.format, dataset.task, dataset.problems) == ("pictures", "upscale", [])
    for name, size in sets.SIZES.items():
        sample = pairs(dataset)[f"{name}.png"]
        assert sample.size == size and sample.target is None and sample.read_target is None
        np.testing.assert_array_equal(sample.image, sets.large(name))
    sets.pictures(tmp_path / "b" / "train")
    sets.pictures(tmp_path / "b" / "Valid")
    splits = read(tmp_path / "b", task="upscale").splits
    assert {split: len(part) for split, part in splits.items()} == {"train": 2, "val": 2}


def test_pictures_alone_are_read_only_where_the_task_is_named(tmp_path: Path) -> None:
    root = sets.pictures(tmp_path)
    with pytest.raises(DataError, match="not in class folders"):
        read(root)
    with pytest.raises(DataError, match="not in class folders"):
        read(root, task="classify")
    with pytest.raises(DataError, match="no layout of labelled data"):
        read(root, task="segment")


@pytest.mark.parametrize("beside", ["labels.csv", "2.json", "2.txt", "cat/3.png"])
def test_what_speaks_of_the_pictures_is_another_format(tmp_path: Path, beside: str) -> None:
    root = sets.pictures(tmp_path)
    if beside.endswith("png"):
        save(sets.large("2"), root / beside)
    else:
        (root / beside).write_text("x", "utf-8")
    assert not READERS["pictures"]().recognizes(open_tree(root))
    with pytest.raises(DataError, match="not only pictures"):
        read(root, format="pictures")


def test_class_folders_stay_class_folders(tmp_path: Path) -> None:
    """Two folders called HR and LR may be two classes: only a task or a format decides."""
    root = sets.in_folders(tmp_path)
    assert read(root, task="classify").classes == ["HR", "LR"]
    with pytest.raises(UsageError, match="'folders' and 'superres'"):
        read(root)


# ---- sizes


@pytest.mark.parametrize("extra", [(0, 0), (1, 0), (0, 2), (2, 2)])
def test_a_large_picture_that_was_not_cut_is_cut(tmp_path: Path, extra: tuple[int, int]) -> None:
    """At the right and at the bottom, by less than the scale; one pixel more is an error."""
    root = sets.in_one_folder(tmp_path, 3)
    whole = np.pad(sets.large("2", 3), ((0, extra[0]), (0, extra[1]), (0, 0)))
    save(whole, root / "2_SRF_3_HR.png")
    sample = pairs(read(root, task="upscale"))["2_SRF_3"]
    np.testing.assert_array_equal(sample.target_image, sets.large("2", 3))
    wider = np.pad(sets.large("2", 3), ((0, 0), (0, 3), (0, 0)))
    save(wider, root / "2_SRF_3_HR.png")
    found = one_error(root)
    assert "2_SRF_3_HR.png: is no whole number of times as large" in found
    assert "4×3 and 12×12" in found


@pytest.mark.parametrize(
    ("small", "large", "scale"),
    [
        ((5, 7), (10, 14), 2), ((5, 7), (11, 15), 2), ((5, 7), (12, 14), None),
        ((5, 7), (15, 23), 3), ((5, 7), (15, 24), None), ((5, 7), (9, 14), None),
        ((5, 7), (5, 7), None), ((5, 7), (4, 7), None), ((5, 7), (20, 28), 4), ((1, 1), (9, 9), 9),
        ((2, 9), (7, 28), 3), ((2, 9), (6, 30), None),
    ],
)  # fmt: skip
def test_the_scale_between_two_sizes(
    small: tuple[int, int], large: tuple[int, int], scale: int | None
) -> None:
    assert scale_between(small, large) == scale
    fitting = [
        s
        for s in range(2, 12)
        if all(0 <= b - s * a < s for a, b in zip(small, large, strict=True))
    ]
    assert fitting[-1:] == ([scale] if scale else [])


# ---- what is wrong


def test_a_picture_without_its_partner(tmp_path: Path) -> None:
    root = sets.in_one_folder(tmp_path)
    for lost, left in (("HR", "LR"), ("LR", "HR")):
        (root / f"2_SRF_2_{lost}.png").rename(tmp_path / "away")
        found = one_error(root)
        assert f"2_SRF_2_{left}.png: there is no" in found and lost in found
        assert list(pairs(read(root, task="upscale"))) == ["가_SRF_2"]
        (tmp_path / "away").rename(root / f"2_SRF_2_{lost}.png")


def test_names_that_are_swapped(tmp_path: Path) -> None:
    root = sets.in_one_folder(tmp_path)
    save(sets.large("2"), root / "2_SRF_2_LR.png")
    save(sets.small("2"), root / "2_SRF_2_HR.png")
    assert "is not larger than its small picture (8×6 and 4×3). Are the names" in one_error(root)


def test_two_of_one_kind(tmp_path: Path) -> None:
    root = sets.in_folders(tmp_path)
    save(sets.small("2"), root / "LRx2" / "2.png")
    found = one_error(root)
    assert "LRx2/2.png: its pair has another picture of this kind too" in found
    assert list(pairs(read(root, task="upscale"))) == ["가"]


def test_another_scale_than_the_others(tmp_path: Path) -> None:
    sets.in_one_folder(tmp_path / "a", 2)
    sets.in_one_folder(tmp_path / "b", 3)
    (tmp_path / "b" / "가_SRF_3_HR.png").unlink()
    (tmp_path / "b" / "가_SRF_3_LR.png").unlink()
    found = one_error(tmp_path)
    assert "b/2_SRF_3_LR.png: is enlarged 3 times, 2 others 2 times" in found


def test_what_is_no_picture(tmp_path: Path) -> None:
    for which in ("HR", "LR"):
        root = sets.in_one_folder(tmp_path / which)
        (root / f"2_SRF_2_{which}.png").write_text("no", "utf-8")
        assert f"2_SRF_2_{which}.png: is not a picture" in one_error(root)
        assert len(read(root, task="upscale")) == 1
    root = sets.pictures(tmp_path / "alone")
    (root / "2.png").write_bytes(b"")
    assert "2.png: the file is empty" in one_error(root)
    (root / "가.png").unlink()
    with pytest.raises(DataError, match=r"2\.png: the file is empty"):
        read(root, task="upscale")


def test_a_target_that_changes_or_breaks_later(tmp_path: Path) -> None:
    root = sets.in_one_folder(tmp_path)
    sample = pairs(read(root, task="upscale"))["2_SRF_2"]
    save(sets.large("가"), root / "2_SRF_2_HR.png")
    with pytest.raises(DataError, match=r"2_SRF_2_HR\.png: has another size than a moment ago"):
        _ = sample.target_image
    data = (root / "가_SRF_2_HR.png").read_bytes()
    (root / "가_SRF_2_HR.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=r"가_SRF_2_HR\.png"):
        _ = pairs(read(root, task="upscale"))["가_SRF_2"].target_image


def test_pictures_in_no_role_are_told(tmp_path: Path) -> None:
    root = sets.in_one_folder(tmp_path)
    save(sets.large("2"), root / "extra.png")
    (problem,) = read(root, task="upscale").problems
    assert problem.severity == "warning" and problem.file.endswith("extra.png")
    assert "1 pictures that are neither LR nor HR" in problem.why


NAMES = st.sampled_from(
    [*("1_HR.png", "1_LR.png", "HR/1.png", "LR/1.png", "LR/X2/1x2.png", "1x2_LR.png", "LR.png"),
     *("1_HR_LR.png", "HR/LR/1.png", "LR/HR/1.png", "train/HR/1.png", "train/1_LR.png", "x2.png",
       "_HR.png", "HR/1.jpg", "LRx2/1.png", "test_LR/1.png", "hr/가.png", "Lr/가.png")]
)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(files=st.dictionaries(NAMES, st.sampled_from(["small", "large", "no"]), max_size=8))
def test_any_names_are_pairs_or_problems(
    files: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Every picture is in a pair, or in a problem that names it or counts it."""
    root = tmp_path_factory.mktemp("any")
    for name, kind in files.items():
        if kind == "no":
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(b"no")
        else:
            save((sets.small if kind == "small" else sets.large)("2"), root / name)
    try:
        dataset = read(root, "superres")
    except DataError as error:
        assert all(problem.why and problem.fix for problem in error.problems)
        return
    for part in dataset.splits.values():
        assert len({sample.id for sample in part}) == len(part)
        for sample in part:
            assert sample.image.shape == (4, 3, 3) and sample.target_image.shape == (8, 6, 3)
    told = {problem.file for problem in dataset.problems if problem.severity == "error"}
    used = {sample.source for part in dataset.splits.values() for sample in part}
    count = 2 * len(used)
    for twins in pairs_of(open_tree(root)):
        group = {entry.source for entry in (*twins.high, *twins.low)}
        assert bool(group & told) != bool(group & used), "in one way or the other"
        count += 0 if group & used else len(group)
    warned = [problem for problem in dataset.problems if problem.severity == "warning"]
    count += sum(int(re.search(r"(\d+) pictures", problem.why)[1]) for problem in warned)
    assert count == len(files) and all(problem.fix for problem in dataset.problems)


# ---- the protocol


def test_bicubic_scores_what_the_literature_says(shared_data: Path) -> None:
    """Set5 33.66, 30.39, 28.42 dB at ×2, ×3, ×4, and Set14 26.00 dB at ×4, to 0.1 dB."""
    recipe = runpy.run_path(str(RECIPE))
    assert list(recipe["PUBLISHED"].values()) == [33.66, 30.39, 28.42, 26.00]
    for name, published in recipe["PUBLISHED"].items():
        found = recipe["bicubic"](shared_data / "superres" / name)
        assert found["psnr"] == pytest.approx(published, abs=0.1), name
