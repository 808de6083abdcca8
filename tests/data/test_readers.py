"""Readers: what each understands, what it says when it does not, and the contract all keep."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import struct
import tarfile
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from boda.data.readers import READERS, read
from boda.data.tree import open_tree
from boda.errors import BodaError, DataError, UsageError
from boda.types import ArraySamples, Sample
from tests.data import detection_sets as detection
from tests.data import identity_sets as identities
from tests.data import map_sets as maps
from tests.data import mask_sets as masks
from tests.data import points_sets as points
from tests.data import superres_sets as superres
from tests.data import translation_sets as translation

FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def png(value: int = 0, size: int = 4) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (size, size), (value % 256, value // 256, 0)).save(out, "PNG")
    return out.getvalue()


def write(path: Path, data: bytes | str = b"") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def folders(root: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        write(root / name, png(number))
    return root


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}L", 0, 8, array.ndim, *array.shape) + array.tobytes()


def mnist(root: Path, pack: Callable[[bytes], bytes] = bytes, suffix: str = "") -> Path:
    for name, count in (("train", 6), ("t10k", 3)):
        images = np.arange(count * 20, dtype=np.uint8).reshape(count, 4, 5)
        labels = np.arange(count, dtype=np.uint8) % 3
        write(root / f"{name}-images-idx3-ubyte{suffix}", pack(idx(images)))
        write(root / f"{name}-labels-idx1-ubyte{suffix}", pack(idx(labels)))
    return root


def batch(count: int, labels: str = "labels", classes: int = 10) -> dict:  # type: ignore[type-arg]
    rows = np.arange(count * 3072).astype(np.uint8).reshape(count, 3072)
    return {"data": rows, labels: [i % classes for i in range(count)]}


def cifar10(root: Path, protocol: int = 2) -> Path:
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        write(root / name, pickle.dumps(batch(4), protocol))
    names = {"label_names": [f"c{i}" for i in range(10)]}
    write(root / "batches.meta", pickle.dumps(names, protocol))
    return root


# ---- the registry


def samples_of(root: Path) -> dict[str, Path]:
    """One small valid set for every reader."""
    table = "file,label\na.png,0\nb.png,1\n"
    write(folders(root / "manifest", "a.png", "b.png") / "labels.csv", table)
    return {
        "folders": folders(root / "folders", "a/1.png", "b/1.png"),
        "idx": mnist(root / "idx"),
        "cifar": cifar10(root / "cifar"),
        "manifest": root / "manifest",
        **detection.samples_of(root),
        **points.samples_of(root),
        **masks.samples_of(root),
        **maps.samples_of(root),
        **identities.samples_of(root),
        **superres.samples_of(root),
        **translation.samples_of(root),
    }


@pytest.mark.parametrize("name", READERS.names())
def test_contract(name: str, tmp_path: Path) -> None:
    reader = READERS[name]
    assert reader.name == name
    assert reader.tasks and reader.description and reader.layout
    examples = samples_of(tmp_path)
    assert name in examples, "give the new reader a small valid set here"
    for other, path in examples.items():
        # COCO's keypoints have boxes too: one file, which two tasks read.
        # The values of masks may number objects or classes, unless names say which.
        both = [("coco", "keypoints"), ("masks", "instance-png")]
        # A folder a person is a folder a class too, with or without a list of pairs beside it.
        both += [("folders", "identities"), ("folders", "pairs"), ("identities", "folders")]
        # And where there are two folders, of which nothing more is known, they may be domains.
        both += [("folders", "two-folders"), ("identities", "two-folders")]
        both += [("two-folders", "folders"), ("pictures", "side-by-side")]
        own = other == name or (name, other) in both
        assert reader().recognizes(open_tree(path)) == own
        # Every picture has two halves, and two runs of Omniglot are two folders, where it is said so.
        asked = [("side-by-side", "pictures"), ("two-folders", "omniglot-runs")]
        if not own and (name, other) not in asked:
            with pytest.raises(DataError) as caught:
                reader().read(open_tree(path))
            assert all(problem.fix for problem in caught.value.problems)
    dataset = read(examples[name], task=reader.tasks[0])
    assert dataset.format == name
    assert dataset.root == examples[name]
    assert len(dataset) > 0
    for samples in dataset.splits.values():
        for sample in list(samples):
            assert sample.image.dtype == np.uint8
            assert sample.image.ndim == 3
            if dataset.task in ("detect", "instances"):
                assert sample.boxes is not None and sample.labels is not None
                assert len(sample.boxes) and sample.labels.max() < len(dataset.classes)
            elif dataset.task == "landmarks":
                assert sample.points is not None and sample.label is None
                assert sample.points.shape == (len(dataset.classes), 3)
            elif dataset.task == "segment":
                assert sample.class_map.shape == sample.image.shape[:2]
                assert {*np.unique(sample.class_map)} <= {*range(len(dataset.classes)), 255}
            elif dataset.task == "upscale":
                assert sample.label is None and sample.size == sample.image.shape[:2]
            elif dataset.task == "translate":
                assert (sample.label is None) == (not dataset.classes) <= sample.has_target
            else:
                assert sample.label is not None and sample.label < len(dataset.classes)
            assert sample.id and sample.source
        if not isinstance(samples, ArraySamples):
            assert pickle.loads(pickle.dumps(samples[0])).image.shape == samples[0].image.shape
    with pytest.raises(DataError, match="Did you mean"):
        read(examples[name].with_name(name + "x"))


def test_an_unknown_format_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"unknown format 'folder'.*Did you mean folders"):
        read(folders(tmp_path, "a/1.png", "b/1.png"), format="folder")


def test_two_formats_that_fit(tmp_path: Path) -> None:
    write(folders(tmp_path, "a/1.png", "b/1.png") / "x.csv", "file,label\na/1.png,0\nb/1.png,1\n")
    with pytest.raises(UsageError, match=r"'folders' and 'manifest'.*--format"):
        read(tmp_path)
    assert read(tmp_path, format="manifest").classes == ["0", "1"]


def test_a_task_the_data_is_not_for(tmp_path: Path) -> None:
    folders(tmp_path, "a/1.png", "b/1.png")
    with pytest.raises(UsageError, match=r"unknown task 'clasify'\. Did you mean classify"):
        read(tmp_path, task="clasify")


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({}, "folder is empty"),
        ({"고양이/1.png": png(), "고양이/2.png": png()}, "two classes.*one class, '고양이'"),
        ({"train/cat/1.png": png()}, "at least two classes"),
        ({"1.png": png(), "2.png": png()}, "not in class folders"),
        ({"train/1.png": png(), "test/2.png": png()}, "not in class folders"),
        ({"notes.txt": b"x"}, "there are no pictures"),
    ],
)
def test_folders_that_cannot_be_read(tmp_path: Path, files: dict[str, bytes], why: str) -> None:
    for name, data in files.items():
        write(tmp_path / "data" / name, data)
    (tmp_path / "data").mkdir(exist_ok=True)
    with pytest.raises(DataError, match=f"(?s){why}") as caught:
        read(tmp_path / "data")
    (problem,) = caught.value.problems
    assert problem.file == str(tmp_path / "data")
    assert problem.fix


def test_what_is_told_is_for_the_task(tmp_path: Path) -> None:
    write(tmp_path / "data" / "train" / "1.png", png())
    (tmp_path / "none").mkdir()
    for name in ("data", "none"):
        with pytest.raises(DataError) as caught:
            read(tmp_path / name, task="segment")
        said = str(caught.value)
        assert "class folders" not in said and "\n  manifest" not in said
        lines = [line for line in said.split("\n") if line.startswith("  ")]
        widest = max(len(line.split()[0]) for line in lines)
        assert all(line[widest + 2] == " " and line[widest + 3] != " " for line in lines)
    with pytest.raises(DataError, match="Name the folder that holds the pictures and what"):
        read(write(tmp_path / "a.png", png()), task="segment")


def test_single_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"single file .one picture.*Name the folder"):
        read(write(tmp_path / "a.png", png()))
    with pytest.raises(DataError, match=r"empty \(0 bytes\)"):
        read(write(tmp_path / "b.zip", b""))
    with pytest.raises(DataError, match=r"one file \(text, beginning with 'x,y'"):
        read(write(tmp_path / "c.csv", "x,y\n1,2\n"))


# ---- class folders


def test_splits_by_any_of_their_names(tmp_path: Path) -> None:
    names = ["Training/b/1.png", "Training/a/1.png", "valid/a/1.png", "TEST/b/deep/2.png"]
    dataset = read(folders(tmp_path, *names))
    assert dataset.classes == ["a", "b"]
    assert {name: len(samples) for name, samples in dataset.splits.items()} == {
        "train": 2,
        "val": 1,
        "test": 1,
    }
    assert [sample.id for sample in dataset.splits["test"]] == ["b/deep/2.png"]
    assert dataset.splits["test"][0].label == 1
    assert dataset.splits["test"][0].source == f"{tmp_path}/TEST/b/deep/2.png"


def test_wrapping_folders_are_skipped(tmp_path: Path) -> None:
    dataset = read(folders(tmp_path, "x/y/나/1.png", "x/y/가/1.png", "x/y/A/1.png"))
    assert dataset.classes == ["A", "가", "나"]
    assert [sample.id for sample in dataset.splits["all"]] == ["A/1.png", "가/1.png", "나/1.png"]
    assert not dataset.problems


def test_one_class_in_two_spellings(tmp_path: Path) -> None:
    other = unicodedata.normalize("NFD", "고양이")
    root = folders(tmp_path, "train/고양이/1.png", "train/개/1.png", f"val/{other}/1.png")
    dataset = read(root)
    assert dataset.classes == ["개", "고양이"]
    assert dataset.splits["val"][0].label == 1
    assert dataset.splits["val"][0].image.shape == (4, 4, 3)


def test_a_class_train_does_not_have(tmp_path: Path) -> None:
    names = ["train/a/1.png", "train/b/1.png", "val/c/1.png", "val/a/1.png"]
    dataset = read(folders(tmp_path, *names))
    (problem,) = dataset.problems
    assert problem.severity == "error"
    assert "class 'c' is in val (1 pictures) but not in train" in problem.why
    assert len(dataset.splits["val"]) == 1


def test_warnings_of_class_folders(tmp_path: Path) -> None:
    folders(tmp_path, "a/1.png", "b/1.png", "stray.png")
    (tmp_path / "빈").mkdir()
    write(tmp_path / "a" / "odd", png())
    write(tmp_path / "a" / "labels.txt", "fine")
    problems = {Path(p.file).name: p for p in read(tmp_path).problems}
    assert set(problems) == {"빈", "odd", "stray.png"}
    assert all(problem.severity == "warning" for problem in problems.values())
    assert "no pictures" in problems["빈"].why
    assert "no picture's suffix" in problems["odd"].why
    assert "in no class folder" in problems["stray.png"].why


def test_two_folders_for_one_split(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="two folders mean the split 'val'"):
        read(folders(tmp_path, "val/a/1.png", "valid/b/1.png", "train/a/1.png", "train/b/1.png"))


@pytest.mark.parametrize("mode", ["w:gz", "w"])
def test_class_folders_in_an_archive(tmp_path: Path, mode: str) -> None:
    folders(tmp_path / "x", "개/1.png", "고양이/1.png")
    with tarfile.open(tmp_path / "data.bin", mode) as archive:
        archive.add(tmp_path / "x", "x")
    dataset = read(tmp_path / "data.bin")
    assert dataset.classes == ["개", "고양이"]
    assert dataset.splits["all"][0].source == f"{tmp_path}/data.bin/x/개/1.png"
    assert dataset.splits["all"][0].image.shape == (4, 4, 3)


def test_real_class_folders(shared_data: Path) -> None:
    flowers = read(shared_data / "flowers5")
    assert flowers.classes == ["daisy", "dandelion", "roses", "sunflowers", "tulips"]
    assert {name: len(part) for name, part in flowers.splits.items()} == {"train": 400, "val": 150}
    cifar = read(shared_data / "cifar10-jpg" / "test.tar.gz")
    assert len(cifar.splits["test"]) == 10_000
    assert cifar.splits["test"][0].image.shape == (32, 32, 3)
    assert len(read(shared_data / "orl-faces").classes) == 40
    with pytest.raises(DataError, match="no layout"):
        read(shared_data / "raccoon", task="classify")


# ---- IDX


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx(tmp_path: Path, suffix: str) -> None:
    dataset = read(mnist(tmp_path, gzip.compress if suffix else bytes, suffix))
    assert dataset.classes == ["0", "1", "2"]
    train, test = dataset.splits["train"], dataset.splits["test"]
    assert isinstance(train, ArraySamples)
    assert train.images.shape == (6, 4, 5)
    assert train.images.flags.writeable
    assert train.images[1, 0].tolist() == [20, 21, 22, 23, 24]
    assert train.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert len(test) == 3
    assert train[1].source == f"{tmp_path}/train-images-idx3-ubyte{suffix}:2"


def test_other_idx_names(tmp_path: Path) -> None:
    images, labels = idx(np.zeros((4, 2, 2, 3), np.uint8)), idx(np.arange(4, dtype=np.uint8))
    write(tmp_path / "raw" / "글자-images.bin", images)
    write(tmp_path / "raw" / "글자-labels.bin", labels)
    dataset = read(tmp_path)
    assert dataset.splits["all"][0].image.shape == (2, 2, 3)
    write(tmp_path / "raw" / "train-images.idx3-ubyte", images)
    with pytest.raises(DataError, match="no file 'train-labels"):
        read(tmp_path)


def test_fashion_names(tmp_path: Path) -> None:
    write(tmp_path / "Fashion" / "train-images-idx3-ubyte", idx(np.zeros((10, 2, 2), np.uint8)))
    write(tmp_path / "Fashion" / "train-labels-idx1-ubyte", idx(np.arange(10, dtype=np.uint8)))
    assert read(tmp_path).classes[9] == "Ankle boot"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (idx(np.zeros((60, 4, 5), np.uint8))[:-1], "says 60x4x5, 1,216 bytes.* 1,215 are there"),
        (idx(np.zeros((60, 4, 5), np.uint8)) + b"x", "more than 1,216 are there"),
        (gzip.compress(idx(np.zeros((60, 4, 5), np.uint8))[:-9]), "1,207 are there"),
        (gzip.compress(idx(np.zeros((60, 4, 5), np.uint8)))[:-12], "are there"),
        (gzip.compress(idx(np.zeros((60, 4, 5), np.uint8)) + bytes(10**6)), "more than 1,216"),
        (struct.pack(">HBB3L", 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1), "too much"),
        (struct.pack(">HBB3L", 0, 8, 3, 0, 28, 28), "nothing"),
        (struct.pack(">HBB", 0, 8, 3), "ends within its header"),
        (struct.pack(">HBBL", 0, 8, 1, 3) + b"abc", "swapped"),
        (b"\1\2\3\4" + bytes(30), "begins with 01 02 03 04"),
    ],
    # Compressed bytes hold the second they were made in: as names, two workers would disagree.
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_idx_headers_that_lie(tmp_path: Path, data: bytes, why: str) -> None:
    mnist(tmp_path)
    write(tmp_path / "train-images-idx3-ubyte", data)
    with pytest.raises(DataError, match=f"train-images-idx3-ubyte.*{why}"):
        read(tmp_path, format="idx")


def test_idx_of_two_sizes_and_a_broken_checksum(tmp_path: Path) -> None:
    mnist(tmp_path, gzip.compress, ".gz")
    labels = tmp_path / "t10k-labels-idx1-ubyte.gz"
    labels.write_bytes(gzip.compress(idx(np.zeros(4, np.uint8))))
    with pytest.raises(DataError, match="4 labels for 3 pictures"):
        read(tmp_path)
    data = bytearray(gzip.compress(idx(np.zeros(3, np.uint8))))
    data[-6] ^= 1
    labels.write_bytes(bytes(data))
    with pytest.raises(DataError, match="cannot be unpacked"):
        read(tmp_path)


def test_real_mnist_is_read(shared_data: Path) -> None:
    dataset = read(shared_data / "mnist")
    assert dataset.classes == [str(digit) for digit in range(10)]
    assert dataset.splits["train"][0].label == 5
    assert {name: len(part) for name, part in dataset.splits.items()} == {
        "train": 60_000,
        "test": 10_000,
    }


def test_any_idx_header_is_a_data_set_or_a_data_error(tmp_path: Path) -> None:
    mnist(tmp_path)

    @FUZZ
    @given(st.binary(max_size=40), st.booleans(), st.booleans())
    def run(data: bytes, plausible: bool, packed: bool) -> None:
        data = b"\0\0\x08\x03" + data if plausible else data
        data = gzip.compress(data) if packed else data
        write(tmp_path / "train-images-idx3-ubyte", data)
        with pytest.raises(BodaError):
            read(tmp_path)

    run()


# ---- CIFAR


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_cifar10_pickles(tmp_path: Path, protocol: int) -> None:
    dataset = read(cifar10(tmp_path / "cifar-10-batches-py", protocol))
    assert dataset.classes == [f"c{i}" for i in range(10)]
    train = dataset.splits["train"]
    assert isinstance(train, ArraySamples)
    assert train.images.shape == (20, 32, 32, 3)
    expected = batch(4)["data"][1].reshape(3, 32, 32)[:, 5, 7]
    assert train.images[1, 5, 7].tolist() == expected.tolist()
    assert train.source.endswith("data_batch_*")
    assert len(dataset.splits["test"]) == 4


def test_cifar_pickles_of_python_2(tmp_path: Path) -> None:
    """The published files hold byte strings for keys and for the pixels: protocol 2 by hand."""
    pixels = bytes(range(256)) * 12
    old = (
        b"\x80\x02}(U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
        b"K\x00\x85U\x01b\x87R(K\x01K\x01M\x00\x0c\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"
        b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
        + struct.pack("<L", len(pixels))
        + pixels
        + b"tbU\x06labels]K\x07au."
    )
    cifar10(tmp_path)
    write(tmp_path / "test_batch", old)
    test = read(tmp_path).splits["test"]
    assert test[0].label == 7
    assert test[0].image[0, 1].tolist() == [1, 1, 1]


def test_cifar100_has_fine_labels(tmp_path: Path) -> None:
    for name in ("train", "test"):
        content = batch(6, "fine_labels", 100) | {"coarse_labels": [0] * 6}
        write(tmp_path / name, pickle.dumps(content))
    write(tmp_path / "meta", pickle.dumps({"fine_label_names": [f"f{i}" for i in range(100)]}))
    dataset = read(tmp_path)
    assert dataset.classes[99] == "f99"
    assert dataset.splits["train"][5].label == 5


@pytest.mark.parametrize("classes", [10, 100])
def test_binary_batches(tmp_path: Path, classes: int) -> None:
    row = bytes([3] if classes == 10 else [1, 42]) + bytes(range(256)) * 12
    names = ["data_batch_1.bin", "test_batch.bin"] if classes == 10 else ["train.bin", "test.bin"]
    for name in names:
        write(tmp_path / "x" / name, row * 2)
    dataset = read(tmp_path)
    assert len(dataset.classes) == classes
    assert dataset.splits["train"][1].label == (3 if classes == 10 else 42)
    assert dataset.splits["train"][0].image[0, 5].tolist() == [5, 5, 5]
    missing = [problem for problem in dataset.problems if "missing" in problem.why]
    assert len(missing) == (4 if classes == 10 else 0)
    write(tmp_path / "x" / names[1], row[:-1])
    with pytest.raises(DataError, match=f"{names[1]}.*bytes, no multiple of a record's"):
        read(tmp_path)


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):  # type: ignore[no-untyped-def]
        return (open, (str(self.path), "w"))


def test_a_pickle_never_runs_code(tmp_path: Path) -> None:
    cifar10(tmp_path)
    witness = tmp_path / "witness"
    write(tmp_path / "test_batch", pickle.dumps({"data": Evil(witness), "labels": []}))
    with pytest.raises(DataError, match=r"test_batch.*wants to run .*open"):
        read(tmp_path)
    assert not witness.exists()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"\x80\x02r\xff\xff\xff\x7f.", "reserves more memory"),
        (b"\x80\x02}q", "damaged or truncated"),
        (pickle.dumps([1]), "holds a list"),
        (pickle.dumps({"data": 3}), "no fields data and labels"),
        (pickle.dumps(batch(2) | {"labels": [1]}), "array of 2x3072 for 1 labels"),
        (pickle.dumps(batch(2) | {"labels": [1, 10]}), "label 10 is none of 0..9"),
        (pickle.dumps(batch(2) | {"labels": ["a", None]}), "labels that are no numbers"),
        (pickle.dumps(batch(1) | {"data": np.zeros((1, 3072))}), "no array of unsigned bytes"),
    ],
)
def test_bad_cifar_batches(tmp_path: Path, content: bytes, why: str) -> None:
    write(cifar10(tmp_path) / "test_batch", content)
    with pytest.raises(DataError, match=f"test_batch.*{why}"):
        read(tmp_path)


# ---- manifests


def rows(root: Path, name: str, text: str | bytes, pictures: int = 4) -> Path:
    folders(root, *(f"사진/{number}.png" for number in range(pictures)))
    return write(root / name, text)


TABLE = "file,label\n사진/0.png,고양이\n사진/1.png,개\n사진/2.png,개\n"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("labels.csv", TABLE.encode()),
        ("labels.csv", TABLE.encode("utf-8-sig")),
        ("labels.csv", TABLE.encode("cp949")),
        ("labels.csv", TABLE.encode("utf-16")),
        ("labels.csv", TABLE.replace(",", ";").replace("\n", "\r\n").encode()),
        ("labels.csv", unicodedata.normalize("NFD", TABLE).encode()),
        ("labels.csv", TABLE.replace("file,label", " Filename ,class").encode()),
        ("labels.csv", TABLE.replace("사진/", "사진\\").encode()),
        ("labels.tsv", TABLE.replace(",", "\t").encode()),
        (
            "labels.jsonl",
            "".join(
                json.dumps({"image": file, "class_name": label}) + "\n"
                for file, label in (line.split(",") for line in TABLE.split("\n")[1:-1])
            ),
        ),
    ],
)
def test_manifests(tmp_path: Path, name: str, data: bytes | str) -> None:
    path = rows(tmp_path, name, data)
    for given_path in (tmp_path, path):
        dataset = read(given_path, format="manifest")
        assert dataset.classes == ["개", "고양이"]
        assert [sample.label for sample in dataset.splits["all"]] == [1, 0, 0]
        first = dataset.splits["all"][0]
        line = 1 if name.endswith("jsonl") else 2
        assert first.source == f"{path}:{line}"
        assert first.id == "사진/0.png"
        assert first.image.shape == (4, 4, 3)
        assert not dataset.problems


def test_numeric_classes_are_in_their_order(tmp_path: Path) -> None:
    lines = "".join(f"사진/{i}.png,{label}\n" for i, label in enumerate([10, 9, 2, 10]))
    assert read(rows(tmp_path, "m.csv", "file,label\n" + lines).parent).classes == ["2", "9", "10"]


def test_a_split_column_and_a_table_a_split(tmp_path: Path) -> None:
    text = "path,class,split\n사진/0.png,a,Train\n사진/1.png,b,train\n사진/2.png,b,valid\n"
    rows(tmp_path / "one", "m.csv", text + "사진/3.png,a,sometimes\n")
    dataset = read(tmp_path / "one")
    assert {name: len(part) for name, part in dataset.splits.items()} == {"train": 2, "val": 1}
    (problem,) = dataset.problems
    assert (problem.line, problem.field) == (5, "split")
    assert "'sometimes' is no split" in problem.why
    rows(tmp_path / "two", "train.csv", TABLE)
    rows(tmp_path / "two", "test.csv", "file,label\n사진/3.png,개\n")
    assert list(read(tmp_path / "two").splits) == ["train", "test"]
    rows(tmp_path / "three", "a.csv", TABLE)
    rows(tmp_path / "three", "b.csv", TABLE)
    with pytest.raises(DataError, match=r"several tables.*a.csv, b.csv"):
        read(tmp_path / "three", format="manifest")


@pytest.mark.parametrize(
    ("row", "line", "field", "why", "severity"),
    [
        ("사진/9.png,개", 5, "file", "picture '사진/9.png' is missing", "error"),
        ("../../x.png,개", 5, "file", "leads out of the data", "error"),
        ("/etc/x.png,개", 5, "file", "is absolute", "error"),
        ("C:\\x.png,개", 5, "file", "is absolute", "error"),
        (",개", 5, "file", "names no picture", "error"),
        ("사진/3.png, ", 5, "label", "names no class", "error"),
        ("사진/3.png", 5, None, "1 cells, the header 2", "error"),
        ("사진/3.png,개,x", 5, None, "3 cells, the header 2", "error"),
        ('"사진/3.png,개', 5, None, "cannot be parsed", "error"),
        ("사진/2.png,개", 5, None, "in line 4 already", "warning"),
        ("사진/2.png,고양이", 5, None, "'고양이' here and '개' in line 4", "error"),
    ],
)
def test_wrong_rows(
    tmp_path: Path, row: str, line: int, field: str | None, why: str, severity: str
) -> None:
    path = rows(tmp_path, "labels.csv", TABLE + row + "\n")
    dataset = read(tmp_path, format="manifest")
    (problem,) = dataset.problems
    assert (problem.file, problem.line, problem.field) == (str(path), line, field)
    assert why in problem.why
    assert problem.fix
    assert problem.severity == severity
    assert len(dataset) == 3


def test_wrong_json_lines(tmp_path: Path) -> None:
    good = '{"file": "사진/0.png", "label": 0}\n{"file": "사진/1.png", "label": 1}\n'
    bad = '{"file":\n[1]\n{"file": "사진/2.png", "label": true}\n{"label": 1}\n' + "[" * 9000
    rows(tmp_path, "m.jsonl", good + bad)
    problems = read(tmp_path, format="manifest").problems
    assert [problem.line for problem in problems] == [3, 4, 5, 6, 7]


def test_a_table_of_which_nothing_is_right(tmp_path: Path) -> None:
    rows(tmp_path, "m.csv", "file,label\nx.png,a\ny.png,b\n")
    with pytest.raises(DataError, match=r"m.csv:2 \[file\]: the picture 'x.png'") as caught:
        read(tmp_path, format="manifest")
    assert len(caught.value.problems) == 2


def test_the_real_manifest(shared_data: Path) -> None:
    dataset = read(shared_data / "imagenet-sample")
    assert len(dataset.classes) == 125
    assert dataset.classes[dataset.splits["all"][0].label or 0] == "tench"
    assert not dataset.problems


def test_any_table_is_a_data_set_or_a_boda_error(tmp_path: Path) -> None:
    rows(tmp_path, "m.csv", TABLE)
    cell = st.sampled_from(["사진/0.png", "사진/1.png", "../x", "개", *'",\n\r\0가;'])
    kind = st.sampled_from(["csv", "jsonl"])

    @FUZZ
    @given(st.lists(cell, max_size=30).map("".join), st.binary(max_size=8), kind)
    def run(text: str, tail: bytes, suffix: str) -> None:
        (tmp_path / "m.csv").unlink(missing_ok=True)
        (tmp_path / "m.jsonl").unlink(missing_ok=True)
        head = "file,label\n" if suffix == "csv" else '{"file": "사진/0.png", "label": 1}\n'
        write(tmp_path / f"m.{suffix}", (head + text).encode() + tail)
        try:
            dataset = read(tmp_path, format="manifest")
        except BodaError:
            return
        assert all(isinstance(sample, Sample) for sample in dataset.splits["all"])

    run()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "cp949", "utf-8"])
def test_a_long_table_of_any_encoding_is_recognized(tmp_path: Path, encoding: str) -> None:
    """Longer than what is looked at: the cut must not halve a letter."""
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    text = "file,label\n" + "a.png,고양이\n" * 12_000
    mark = "\ufeff" if encoding == "utf-16-be" else ""  # "utf-16" writes one by itself
    (tmp_path / "labels.csv").write_bytes((mark + text).encode(encoding))
    assert READERS["manifest"]().recognizes(open_tree(tmp_path))
