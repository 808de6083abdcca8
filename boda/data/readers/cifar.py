"""CIFAR-10 and CIFAR-100, the python and the binary batches, unpacked or in their archive.

https://www.cs.toronto.edu/~kriz/cifar.html. The python batches are pickles, which can run any code
when loaded. Here nothing of a pickle is executed: the few names such a file needs are answered by
stand-ins that only keep bytes, every other name is refused.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import re
from typing import Any, ClassVar, NamedTuple

import numpy as np

from boda.data.readers import READERS
from boda.data.tree import Entry, Tree, join
from boda.errors import DataError, Problem
from boda.types import ArraySamples, Dataset

PIXELS = 3 * 32 * 32
CIFAR10 = [
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
]
AGAIN = "Get the data again from https://www.cs.toronto.edu/~kriz/cifar.html."
_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))


class Layout(NamedTuple):
    """One of the four sets of files.

    Attributes:
        train: the files of train, in order.
        test: the file of test.
        names: the file that holds the class names.
        classes: how many there are.
        binary: whether they are plain records, else pickles.
    """

    train: tuple[str, ...]
    test: str
    names: str
    classes: int
    binary: bool


LAYOUTS = (
    Layout(_BATCHES, "test_batch", "batches.meta", 10, False),
    Layout(
        tuple(f"{name}.bin" for name in _BATCHES), "test_batch.bin", "batches.meta.txt", 10, True
    ),
    Layout(("train",), "test", "meta", 100, False),
    Layout(("train.bin",), "test.bin", "fine_label_names.txt", 100, True),
)


@READERS.register("cifar")
class Cifar:
    """``data_batch_1`` … ``test_batch``, or ``train`` and ``test``, each also as ``.bin``."""

    name: ClassVar[str] = "cifar"
    tasks: ClassVar[tuple[str, ...]] = ("classify", "generate")
    description: ClassVar[str] = "the python or binary batches of CIFAR-10 and CIFAR-100"
    layout: ClassVar[str] = "DATA/data_batch_1 … DATA/test_batch (or .bin, or the .tar.gz)"

    def recognizes(self, tree: Tree) -> bool:
        """Whether one folder holds files named like CIFAR's."""
        return _find(tree) is not None

    def read(self, tree: Tree) -> Dataset:
        """Arrays of (N, 32, 32, 3) in memory; CIFAR-100 with its fine labels."""
        found = _find(tree)
        if found is None:
            raise DataError(
                "there are no batches of CIFAR", file=tree.root, fix=f"As {self.layout}"
            )
        folder, layout = found
        splits: dict[str, ArraySamples] = {}
        problems: list[Problem] = []
        for split, names in (("train", layout.train), ("test", (layout.test,))):
            at = {name: tree.files.get(join(folder, name)) for name in names}
            entries = [entry for entry in at.values() if entry is not None]
            if entries:
                splits[split] = _read_split(entries, layout)
            problems += [
                Problem(
                    f"the batch {name} is missing",
                    AGAIN,
                    tree.shown(join(folder, name)),
                    severity="warning",
                )
                for name, entry in at.items()
                if entry is None
            ]
        classes = _class_names(tree.files.get(join(folder, layout.names)), layout)
        return Dataset(tree.root, self.name, "classify", classes, dict(splits), problems)


def _find(tree: Tree) -> tuple[str, Layout] | None:
    """The folder and the layout of the first set of batches."""
    for folder in sorted({name.rpartition("/")[0] for name in tree.files}):
        for layout in LAYOUTS:
            batches = [tree.files.get(join(folder, name)) for name in (*layout.train, layout.test)]
            there = [entry for entry in batches if entry is not None]
            # "train" without a suffix may be anything: a pickle says so in its first byte.
            if there and (layout.binary or all(_is_pickle(entry) for entry in there)):
                return folder, layout
    return None


def _is_pickle(entry: Entry) -> bool:
    return entry.head(1) in (b"\x80", b"(", b"}")


def _read_split(entries: list[Entry], layout: Layout) -> ArraySamples:
    read = _read_binary if layout.binary else _read_pickle
    parts = [read(entry, layout) for entry in entries]
    images = np.concatenate([pixels for pixels, _ in parts])
    labels = np.concatenate([numbers for _, numbers in parts])
    source = entries[0].source
    if len(entries) > 1:  # sample i of five files: one name that stands for all
        source = re.sub(r"\d(\.bin)?$", r"*\1", source)
    # (N, 3·1024), plane after plane → (N, 32, 32, 3)
    pictures = np.ascontiguousarray(images.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    return ArraySamples(pictures, labels, source)


def _read_binary(entry: Entry, layout: Layout) -> tuple[np.ndarray, np.ndarray]:
    """Records of one label (CIFAR-100: coarse and fine) and 3,072 pixels."""
    data = entry.read()
    record = PIXELS + (1 if layout.classes == 10 else 2)
    if not data or len(data) % record:
        entry.fail(f"holds {len(data):,} bytes, no multiple of a record's {record:,}", AGAIN)
    rows = np.frombuffer(data, np.uint8).reshape(-1, record)
    return rows[:, -PIXELS:], _labels(entry, rows[:, record - PIXELS - 1], layout)


def _read_pickle(entry: Entry, layout: Layout) -> tuple[np.ndarray, np.ndarray]:
    """The fields ``data`` (N, 3072) and ``labels`` or ``fine_labels`` (N,)."""
    content = _load(entry)
    pixels = content.get("data")
    labels = content.get("labels" if layout.classes == 10 else "fine_labels")
    if not isinstance(pixels, _Array) or not isinstance(labels, list):
        entry.fail(f"has no fields data and labels; it has {', '.join(map(str, content))}", AGAIN)
    images = pixels.value(entry)
    if images.shape != (len(labels), PIXELS) or not len(labels):
        shape = "x".join(map(str, images.shape))
        entry.fail(f"holds an array of {shape} for {len(labels):,} labels", AGAIN)
    try:
        numbers = np.array(labels, dtype=np.int64)
    except (TypeError, ValueError, OverflowError):
        numbers = np.empty((0, 0), np.int64)
    if numbers.ndim != 1:
        entry.fail("holds labels that are no numbers", AGAIN)
    return images, _labels(entry, numbers, layout)


def _labels(entry: Entry, labels: np.ndarray, layout: Layout) -> np.ndarray:
    wrong = np.flatnonzero((labels < 0) | (labels >= layout.classes))
    if len(wrong):
        at = int(wrong[0])
        raise DataError(
            f"label {labels[at]} is none of 0..{layout.classes - 1} ({len(wrong):,} such)",
            file=entry.source,
            line=at + 1,
            fix=AGAIN,
        )
    return labels.astype(np.int64)


def _class_names(entry: Entry | None, layout: Layout) -> list[str]:
    names: list[Any] = []
    if entry is not None and layout.binary:
        names = entry.read().decode("utf-8", "replace").split()
    elif entry is not None:
        content = _load(entry)
        names = content.get("label_names" if layout.classes == 10 else "fine_label_names") or []
        names = [_text(name) for name in names]
    if len(names) == layout.classes and all(isinstance(name, str) for name in names):
        return names
    if entry is not None:
        entry.fail(f"holds {len(names)} class names; {layout.classes} are meant", AGAIN)
    return list(CIFAR10) if layout.classes == 10 else [str(number) for number in range(100)]


class _Array:
    """Stands in for a NumPy array in a pickle: keeps the state, runs nothing."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def value(self, entry: Entry) -> np.ndarray:
        """The array of unsigned bytes, where the state describes one."""
        try:
            _, shape, dtype, fortran, data = self.state
            data = data.encode("latin1") if isinstance(data, str) else data
            assert isinstance(dtype, _Dtype)
            assert dtype.kind in ("u1", "|u1", "uint8")
            array = np.frombuffer(data, np.uint8)
            return array.reshape(shape, order="F" if fortran else "C")
        except (AssertionError, TypeError, ValueError, UnicodeError, OverflowError):
            entry.fail("its data is no array of unsigned bytes", AGAIN)


class _Dtype:
    """Stands in for a NumPy dtype."""

    def __init__(self, kind: Any = None, *_: Any) -> None:
        self.kind = _text(kind)

    def __setstate__(self, state: Any) -> None:
        """Byte order and the like, which unsigned bytes do not have."""


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _frombuffer(data: Any = b"", dtype: Any = None, shape: Any = (), order: Any = "C") -> _Array:
    """What NumPy calls in pickles of protocol 5."""
    array = _Array()
    array.state = (1, shape, dtype, order == "F", data)
    return array


def _encode(text: Any = "", *_: Any) -> bytes:
    return str(text).encode("latin1")


class _Unpickler(pickle.Unpickler):
    """Knows the few names that such a file needs."""

    known: ClassVar[dict[tuple[str, str], Any]] = {
        ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
        ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
        ("numpy.core.numeric", "_frombuffer"): _frombuffer,
        ("numpy._core.numeric", "_frombuffer"): _frombuffer,
        ("numpy", "ndarray"): _Array,
        ("numpy", "dtype"): _Dtype,
        ("_codecs", "encode"): _encode,
    }

    def find_class(self, module: str, name: str) -> Any:
        """A stand-in, or ``UnpicklingError``."""
        try:
            return self.known[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it wants to run {module}.{name}") from None


def _load(entry: Entry) -> dict[str, Any]:
    """The dict in a batch, keys as text."""
    data = entry.read()
    try:
        for operation, argument, _ in pickletools.genops(data):
            # A number of a memo cell makes the unpickler reserve that many: small
            # file, much memory.
            if "PUT" in operation.name and int(argument or 0) > len(data):
                raise pickle.UnpicklingError("it reserves more memory than it needs")
        content = _Unpickler(io.BytesIO(data), encoding="bytes").load()
    except pickle.UnpicklingError as error:
        entry.fail(f"is no batch of CIFAR that may be read: {error}", AGAIN)
    except Exception as error:  # a damaged pickle raises whatever its bytes happen to mean
        entry.fail(f"is damaged or truncated ({error or type(error).__name__})", AGAIN)
    if not isinstance(content, dict):
        entry.fail(f"holds a {type(content).__name__}, not the dict of a batch", AGAIN)
    return {str(_text(key)): value for key, value in content.items()}


def _text(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
