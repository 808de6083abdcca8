"""check: every bad record is named, the good ones are decoded once, and nothing is changed."""

from __future__ import annotations

import io
import json
import os
import sqlite3
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from boda.data import check as room
from boda.data import image, verdicts
from boda.data.check import check
from boda.data.readers import read
from boda.types import ArraySamples, Dataset, Sample


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def png(*color: int, size: tuple[int, int] = (6, 4)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, color).save(out, "PNG")  # type: ignore[arg-type]
    return out.getvalue()


def make(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


GOOD = {
    "train/고양이/1.png": png(1, 0, 0),
    "train/고양이/2.png": png(2, 0, 0),
    "train/개/1.png": png(3, 3, 3, size=(10, 8)),
    "val/고양이/1.png": png(4, 0, 0),
    "val/개/1.png": png(5, 5, 5),
}


def test_a_sound_data_set(tmp_path: Path) -> None:
    report = check(read(make(tmp_path / "d", GOOD)))
    assert report.problems == []
    assert report.sizes == {"min": [4, 6], "median": [4, 6], "max": [8, 10], "gray": 0.4}
    assert report.to_dict() == {
        "format": "folders",
        "task": "classify",
        "samples": 5,
        "classes": ["개", "고양이"],
        "splits": {"train": 3, "val": 2},
        "problems": [],
    }
    assert report.text() == ""


def test_bad_pictures_are_errors_and_can_be_dropped(tmp_path: Path) -> None:
    bad = {
        "train/개/empty.png": b"",
        "train/개/text.jpg": b"this is text",
        "train/개/cut.png": png(9, 9, 9)[:50],
        "val/새/1.png": png(7, 7, 7),
    }
    root = make(tmp_path / "d", GOOD | bad)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    report = check(read(root))
    whys = {Path(problem.file).name: problem.why for problem in report.errors}
    assert set(whys) == {"empty.png", "text.jpg", "cut.png", "d"}
    assert "0 bytes" in whys["empty.png"]
    assert "looks like text" in whys["text.jpg"]
    assert "truncated" in whys["cut.png"] or "damaged" in whys["cut.png"]
    assert "'새' is in val" in whys["d"]
    assert report.warnings == []
    out = json.loads(json.dumps(report.to_dict()))
    assert set(out["problems"][0]) == {"severity", "file", "line", "field", "why", "fix"}
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    left, counts = report.drop()
    assert counts == {"train": 3, "reader": 1}
    assert {name: len(part) for name, part in left.splits.items()} == {"train": 3, "val": 2}
    assert check(left).errors == []


def test_in_an_archive_the_member_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "사진.zip", "w") as archive:
        for name, data in (GOOD | {"train/개/나쁜.png": b"no"}).items():
            archive.writestr(name, data)
    (error,) = check(read(tmp_path / "사진.zip")).errors
    assert error.file == f"{tmp_path}/사진.zip/train/개/나쁜.png"


def test_repeated_pictures(tmp_path: Path) -> None:
    more = {
        "train/고양이/same.png": png(1, 0, 0),
        "train/개/other.png": png(2, 0, 0),
        "val/개/leak.png": png(3, 3, 3, size=(10, 8)),
    }
    report = check(read(make(tmp_path / "d", GOOD | more)))
    assert report.errors == []
    loud, across, within = (problem.why for problem in report.warnings)
    assert loud.startswith("CONTRADICTION: the same picture has two different labels")
    assert "other.png" in str(report.warnings[0])
    assert "'개'" in loud and "'고양이'" in loud
    assert "in two splits" in across
    assert "leak.png" in across
    assert "same.png" in within


def test_imbalance_and_missing_classes(tmp_path: Path) -> None:
    many = {f"train/새/{i}.png": png(i, 100, 0) for i in range(11)}
    report = check(read(make(tmp_path / "d", GOOD | many)))
    missing, imbalance = (problem.why for problem in report.warnings)
    assert missing == "val has no sound picture of '새'"
    assert "11 pictures of '새', 1 of '개'" in imbalance
    assert "--balance" in report.warnings[1].fix


def test_text_is_bounded_and_json_is_not(tmp_path: Path) -> None:
    bad = {f"train/개/x{i}.png": b"" for i in range(60)}
    report = check(read(make(tmp_path / "d", GOOD | bad)))
    assert len(report.text().split("\n")) == 51
    assert report.text().endswith("… and 10 more such")
    assert len(report.to_dict()["problems"]) == 60


def counting(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    decoded: list[str] = []
    original = image.decode

    def decode(data: bytes, source: str) -> np.ndarray:
        decoded.append(source)
        return original(data, source)

    monkeypatch.setattr(image, "decode", decode)
    return decoded


def test_each_file_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make(tmp_path / "d", GOOD | {"train/개/bad.png": b"x"})
    decoded = counting(monkeypatch)
    first = check(read(root))
    assert len(decoded) == 6
    decoded.clear()
    second = check(read(root))
    assert [Path(name).name for name in decoded] == ["bad.png"]  # a decoder may have come
    assert second.to_dict() == first.to_dict()
    assert second.sizes == first.sizes
    assert second.fingerprint == first.fingerprint
    decoded.clear()
    (root / "val/개/1.png").write_bytes(png(200, 0, 0, size=(7, 7)))
    assert check(read(root)).fingerprint != first.fingerprint
    assert len(decoded) == 2


def test_visit_sees_every_sound_picture_once(tmp_path: Path) -> None:
    root = make(tmp_path / "d", GOOD | {"train/개/0.png": b"x"})
    dataset = read(root)
    check(dataset)  # fills the cache, which does not keep visit from its pictures
    seen: dict[tuple[str, int], np.ndarray] = {}
    threads, steps = set(), []

    def visit(split: str, index: int, picture: np.ndarray) -> None:
        assert (split, index) not in seen
        seen[split, index] = picture
        threads.add(threading.current_thread())

    report = check(dataset, workers=2, visit=visit, progress=lambda *step: steps.append(step))
    assert len(seen) == 5
    for (split, index), picture in seen.items():
        sample = dataset.splits[split][index]
        np.testing.assert_array_equal(picture, sample.read())  # type: ignore[misc]
        assert report.sound[split][index]
    assert threading.main_thread() not in threads
    assert steps[-1] == (6, 6)


def test_a_visitor_that_fails_is_not_silenced(tmp_path: Path) -> None:
    def visit(split: str, index: int, picture: np.ndarray) -> None:
        raise RuntimeError("no memory")

    with pytest.raises(RuntimeError, match="no memory"):
        check(read(make(tmp_path / "d", GOOD)), visit=visit)


@pytest.mark.parametrize("harm", ["garbage", "folder", "unwritable", "other table"])
def test_a_cache_that_cannot_be_used_does_not_matter(
    tmp_path: Path, own_cache: Path, harm: str
) -> None:
    file = verdicts.cache_file()
    if harm == "unwritable":
        own_cache.write_bytes(b"a file where the folder would be")
    elif harm == "folder":
        file.mkdir(parents=True)
    else:
        file.parent.mkdir(parents=True)
        if harm == "garbage":
            file.write_bytes(os.urandom(5000))
        else:
            with sqlite3.connect(file) as memory:
                memory.execute("CREATE TABLE verdicts (x)")
    for _ in range(2):
        assert check(read(make(tmp_path / "d", GOOD))).problems == []


def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "MOST", 10)
    for start in range(0, 30, 6):
        some = {bytes([i]): verdicts.Verdict(1, 1, True, -i) for i in range(start, start + 6)}
        verdicts.remember(some)
        assert verdicts.recall(some) == some
    assert len(verdicts.recall(bytes([i]) for i in range(30))) <= 10


def test_several_threads_share_the_cache() -> None:
    def work(start: int) -> None:
        some = {bytes([start, i]): verdicts.Verdict(1, 2, False, i) for i in range(50)}
        verdicts.remember(some)
        found.append(verdicts.recall(some) == some)

    found: list[bool] = []
    threads = [threading.Thread(target=work, args=(start,)) for start in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 6


def arrays(images: np.ndarray, labels: list[int], split: str = "all") -> Dataset:
    samples = ArraySamples(images, np.array(labels), "x.idx")
    return Dataset(Path("x"), "idx", "classify", ["0", "1"], {split: samples})


@pytest.mark.parametrize("shape", [(6, 4, 5), (6, 8, 8), (6, 4, 5, 3)])
def test_pictures_in_memory(shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    images[3] = images[0]
    images[5] = images[1]
    report = check(arrays(images, [0, 1, 0, 0, 1, 0]))
    loud, within = report.warnings
    assert "CONTRADICTION" in loud.why
    assert (loud.file, loud.line) == ("x.idx", 2)
    assert "x.idx:6 (all, '0')" in loud.why
    assert "the same picture as x.idx:4" in within.why
    assert report.sizes["gray"] == (1.0 if len(shape) == 3 else 0.0)
    assert report.sizes["max"] == list(shape[1:3])
    assert check(arrays(images, [0, 1, 0, 0, 1, 1])).fingerprint != report.fingerprint


def test_equal_numbers_are_no_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_row_digests", lambda rows: np.zeros(len(rows), np.int64))
    images = np.arange(6 * 4, dtype=np.uint8).reshape(6, 2, 2)
    images[4] = images[2]
    (problem,) = check(arrays(images, [0, 1, 0, 1, 0, 1])).warnings
    assert problem.line == 3


def test_the_same_in_two_splits_of_arrays() -> None:
    images = np.arange(8 * 16, dtype=np.uint8).reshape(8, 4, 4)
    dataset = arrays(images[:4], [0, 1, 0, 1], "train")
    dataset.splits["test"] = ArraySamples(images[2:], np.array([0, 1] * 3), "y.idx")
    assert len([p for p in check(dataset).warnings if "in two splits" in p.why]) == 2


def test_samples_that_hold_their_picture() -> None:
    pixels = np.zeros((3, 3, 3), np.uint8)
    samples = [Sample(f"{i}", f"s{i}", lambda i=i: pixels + i, label=i % 2) for i in range(4)]
    dataset = Dataset(Path("x"), "made", "classify", ["a", "b"], {"train": samples})
    assert check(dataset).problems == []
    assert samples[0]._image is None  # looking at a picture does not keep it


def test_an_empty_split() -> None:
    dataset = Dataset(Path("x"), "made", "classify", ["a", "b"], {"train": []})
    report = check(dataset)
    assert report.sizes == {}
    assert "no sound picture" in report.warnings[0].why


def test_mnist_is_sound(shared_data: Path) -> None:
    dataset = read(shared_data / "mnist")
    report = check(dataset)
    assert report.problems == []
    assert report.sizes["gray"] == 1


def test_the_flowers_hold_one_contradiction(shared_data: Path) -> None:
    (problem,) = check(read(shared_data / "flowers5")).problems
    assert problem.severity == "warning"
    assert "CONTRADICTION" in problem.why
    assert "15922772266_1167a06620.jpg" in problem.file
