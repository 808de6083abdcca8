"""IDX, the files of MNIST and Fashion-MNIST, packed (.gz) or not.

http://yann.lecun.com/exdb/mnist: two zero bytes, a type (8 = unsigned byte), the number of
dimensions, each dimension as a big-endian 32-bit number, then the bytes.
"""

from __future__ import annotations

import math
import re
import zlib
from typing import ClassVar

import numpy as np

from boda.data.readers import READERS
from boda.data.readers._splits import ORDER, SPLITS
from boda.data.tree import Entry, Tree
from boda.errors import DataError
from boda.types import ArraySamples, Dataset

MOST_BYTES = 8 << 30  # of one file, unpacked
_NAME = re.compile(
    r"(?P<stem>.+?)[-_.](?P<kind>images|labels)(?P<rest>[-_.][\w.-]*)?", re.IGNORECASE
)
_OTHER = re.compile(r"\.(csv|tsv|jsonl?|txt|npy|npz|png|jpe?g|zip|tar|tgz)(\.gz)?$", re.IGNORECASE)
FASHION = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
AGAIN = "The file is damaged or incomplete: get it again."


@READERS.register("idx")
class Idx:
    """Pairs ``X-images…`` and ``X-labels…``; X says the split (t10k is MNIST's test)."""

    name: ClassVar[str] = "idx"
    tasks: ClassVar[tuple[str, ...]] = ("classify", "generate")
    description: ClassVar[str] = "the files of MNIST and Fashion-MNIST, .gz or not"
    layout: ClassVar[str] = "DATA/train-images-idx3-ubyte.gz + DATA/train-labels-idx1-ubyte.gz"

    def recognizes(self, tree: Tree) -> bool:
        """Whether there is a file of images by its name that says idx, or begins like IDX."""
        return any(
            "idx" in name.casefold() or _begins_like_idx(entry)
            for pair in _pairs(tree).values()
            for name, entry in pair.values()
        )

    def read(self, tree: Tree) -> Dataset:
        """Arrays in memory; the header is held against the bytes that are there."""
        pairs = _pairs(tree)
        if len({folder for folder, _ in pairs}) > 1:
            folders = ", ".join(sorted({tree.shown(folder) for folder, _ in pairs}))
            raise DataError(f"several IDX sets: {folders}", file=tree.root, fix="Name one of them.")
        splits: dict[str, ArraySamples] = {}
        for (_, stem), pair in pairs.items():
            split = _split(stem)
            if split in splits:
                stems = ", ".join(sorted(stem for _, stem in pairs))
                raise DataError(
                    f"several IDX sets in one folder: {stems}",
                    file=tree.root,
                    fix="Put each set (train and test) into a folder of its own.",
                )
            splits[split] = _read_pair(tree, stem, pair)
        if not splits:
            raise DataError("there are no IDX files", file=tree.root, fix=f"As {self.layout}")
        classes = _classes(tree, splits)
        ordered = {split: splits[split] for split in ORDER if split in splits}
        return Dataset(tree.root, self.name, "classify", classes, dict(ordered))


Pair = dict[str, tuple[str, Entry]]  # "images" and "labels" → name and entry


def _pairs(tree: Tree) -> dict[tuple[str, str], Pair]:
    """(folder, X) → the files of that pair; of a file packed and unpacked, the unpacked one."""
    pairs: dict[tuple[str, str], Pair] = {}
    for name, entry in tree.files.items():
        folder, _, base = name.rpartition("/")
        match = _NAME.fullmatch(base)
        if match is None or _OTHER.search(base):
            continue
        pair = pairs.setdefault((folder, match["stem"]), {})
        pair.setdefault(match["kind"].lower(), (name, entry))  # "a" sorts before "a.gz"
    return pairs


def _split(stem: str) -> str:
    word = re.split(r"[-_.]", stem.casefold())[-1]
    return "test" if word == "t10k" else SPLITS.get(word, "all")


def _read_pair(tree: Tree, stem: str, pair: Pair) -> ArraySamples:
    for kind in ("images", "labels"):
        if kind not in pair:
            there = next(iter(pair.values()))[1].source
            raise DataError(
                f"has no file '{stem}-{kind}…' beside it", file=there, fix="Put it there."
            )
    images_at, labels_at = pair["images"][1], pair["labels"][1]
    images, labels = _read_array(images_at, (3, 4)), _read_array(labels_at, (1,))
    if len(images) != len(labels):
        raise DataError(
            f"holds {len(labels):,} labels for {len(images):,} pictures",
            file=labels_at.source,
            fix="The two files do not belong together: get both again.",
        )
    return ArraySamples(images, labels.astype(np.int64), images_at.source)


def _read_array(entry: Entry, dimensions: tuple[int, ...]) -> np.ndarray:
    """The array of one file, uint8; its header must account for every byte."""
    data = entry.read(MOST_BYTES)
    head = _unpack_or_fail(entry, data, 20)
    if len(head) < 4 or head[:2] != b"\0\0":
        found = head[:4].hex(" ") or "nothing"
        entry.fail(f"is no IDX file: it begins with {found}, not 00 00 08", AGAIN)
    if head[2] != 8 or head[3] not in dimensions:
        meant = " or ".join(map(str, dimensions))
        entry.fail(
            f"holds type {head[2]} in {head[3]} dimensions; type 8 (bytes) in {meant} is meant",
            "Check that images and labels are not swapped.",
        )
    begin = 4 + 4 * head[3]
    if len(head) < begin:
        entry.fail(f"ends within its header, after {len(head)} bytes", AGAIN)
    shape = tuple(int.from_bytes(head[at : at + 4], "big") for at in range(4, begin, 4))
    if len(shape) == 4 and shape[3] not in (1, 3):
        entry.fail(f"holds pictures of {shape[3]} channels", "Only gray and RGB are read.")
    meant_size = begin + math.prod(shape)
    claim = f"the header says {'x'.join(map(str, shape))}, {meant_size:,} bytes with itself,"
    if math.prod(shape) == 0 or meant_size > MOST_BYTES:
        entry.fail(f"{claim} which is {'nothing' if not math.prod(shape) else 'too much'}", AGAIN)
    data = _unpack_or_fail(entry, data, meant_size + 1)  # which bounds what a bomb can give
    if len(data) != meant_size:
        there = f"more than {meant_size:,}" if len(data) > meant_size else f"{len(data):,}"
        entry.fail(f"{claim} but {there} are there", AGAIN)
    # A bytearray, so that the array may be written to, as torch wants of what it shares.
    array = np.frombuffer(bytearray(data), np.uint8, offset=begin).reshape(shape)
    return array[..., 0] if len(shape) == 4 and shape[3] == 1 else array


def _unpack_or_fail(entry: Entry, data: bytes, most: int) -> bytes:
    try:
        return _unpack(data, most)
    except zlib.error as error:
        entry.fail(f"cannot be unpacked ({error})", AGAIN)


def _unpack(data: bytes, most: int) -> bytes:
    """At most ``most`` bytes of gzip data, fewer where it is cut off; other data as it is.

    Raises:
        zlib.error: the data is damaged.
    """
    if data[:2] != b"\x1f\x8b":
        return data[:most]
    pieces, total = [], 0
    while data and total < most:  # gzip files may be strung together
        stream = zlib.decompressobj(31)
        pieces.append(stream.decompress(data, most - total))
        total += len(pieces[-1])
        data = stream.unused_data
    return b"".join(pieces)


def _begins_like_idx(entry: Entry) -> bool:
    try:
        return _unpack(entry.head(256), 3) == b"\0\0\x08"
    except zlib.error:
        return False


def _classes(tree: Tree, splits: dict[str, ArraySamples]) -> list[str]:
    count = 1 + max(int(samples.labels.max()) for samples in splits.values())
    if count < 2:
        raise DataError(
            "a classifier needs at least two classes; every label is 0",
            file=tree.root,
            fix="Check the file of labels.",
        )
    told = [str(tree.root.absolute()), *tree.files]
    if count == len(FASHION) and any("fashion" in name.casefold() for name in told):
        return list(FASHION)
    return [str(number) for number in range(count)]
