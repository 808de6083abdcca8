"""The records everything else speaks: Sample, Dataset, Prediction. NumPy only.

Coordinates are pixels with continuous edges: a picture of width W spans 0 to W, its first pixel 0
to 1. Boxes are (N, 4) float32, xyxy, ``0 <= x1 < x2 <= W`` and ``0 <= y1 < y2 <= H``. Points are
(K, 2) or, with visibility, (K, 3). Classes are 0-based. In ``semantic`` 255 means "ignore".
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, overload

import numpy as np

from boda.errors import Problem
from boda.run_lengths import decode, encode

Image = np.ndarray  # (H, W, 3) uint8, RGB
IGNORED = 255  # of a pixel whose class is neither learned nor measured
GROUNDS = ("background", "__background__", "_background_", "ground", "배경")


def is_ground(name: str) -> bool:
    """Whether a class of pixels is called what is left over where nothing is."""
    return unicodedata.normalize("NFC", name).casefold() in GROUNDS


@dataclass
class Sample:
    """One picture with whatever is known about it.

    Attributes:
        id: name of the sample within its split, for example ``cat/001.png``.
        source: where it came from: a file, ``file:line`` or ``archive/member``.
        read: returns the decoded picture, (H, W, 3) uint8 RGB; picklable, so that workers can call it.
        label: class index, 0-based.
        boxes: (N, 4) float32 xyxy, see the module's docstring.
        labels: (N,) int64, the class of each box.
        masks: (N, H, W) bool, one per object.
        semantic: (H, W) uint8, the class of each pixel, 255 = ignore.
        read_semantic: returns what ``semantic`` would hold, where a map for every picture would fill
            the memory; picklable, as ``read``.
        points: (K, 2) or (K, 3) float32 x, y, visibility.
        target: (H, W, 3) uint8, the picture to be produced from this one.
        read_target: returns what ``target`` would hold, where all of them would fill the memory;
            picklable, as ``read``.
        identity: who or what is shown, for recognition.
        matrix: (3, 3) float64, working picture ← original; the identity until something resizes it.
        size: (H, W) of the original picture as its annotation says, or as its header did.
        crowd: (N,) bool, boxes around many objects at once (COCO's ``iscrowd``); None where there is none.
        difficult: (N,) bool, objects that are not to count (Pascal VOC); None where there is none.
        outlines: for each object what its format says, pixels of the original: a list of polygons,
            (K, 2) float64 each, or COCO's run-length code, ``{"size": [H, W], "counts": …}``, or None.
        areas: (N,) float64, square pixels of each object as COCO says, by which it is small or large.
    """

    id: str
    source: str
    read: Callable[[], Image] | None = None
    label: int | None = None
    boxes: np.ndarray | None = None
    labels: np.ndarray | None = None
    masks: np.ndarray | None = None
    semantic: np.ndarray | None = None
    points: np.ndarray | None = None
    target: Image | None = None
    identity: str | None = None
    matrix: np.ndarray = field(default_factory=lambda: np.eye(3))
    size: tuple[int, int] | None = None
    crowd: np.ndarray | None = None
    difficult: np.ndarray | None = None
    outlines: list[Any] | None = None
    areas: np.ndarray | None = None
    read_semantic: Callable[[], np.ndarray] | None = None
    read_target: Callable[[], Image] | None = None
    _image: Image | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.label is not None and self.label < 0:
            raise ValueError(f"{self.source}: label {self.label} is negative; classes are 0-based")
        if self.boxes is not None:
            _validate_boxes(self)
        if self.points is not None:
            _validate_points(self.points, self.source)

    @property
    def image(self) -> Image:
        """The picture, (H, W, 3) uint8 RGB; read from ``source`` when first asked for, then kept."""
        if self._image is None:
            if self.read is None:
                raise ValueError(
                    f"{self.source}: the sample has neither a picture nor a way to read one"
                )
            self._image = self.read()
        return self._image

    @property
    def class_map(self) -> np.ndarray:
        """(H, W) uint8, the class of each pixel, 255 = ignore; read anew each time, not kept."""
        if self.semantic is not None:
            return self.semantic
        if self.read_semantic is None:
            raise ValueError(f"{self.source}: the sample has no classes of pixels")
        return self.read_semantic()

    @property
    def has_target(self) -> bool:
        """Whether there is a picture to be produced from this one."""
        return self.target is not None or self.read_target is not None

    @property
    def target_image(self) -> Image:
        """(H, W, 3) uint8, the picture to be produced from this one; read anew each time, not kept."""
        if self.target is not None:
            return self.target
        if self.read_target is None:
            raise ValueError(f"{self.source}: the sample has no picture to be produced from it")
        return self.read_target()

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) of the original picture, which is read where its annotation does not tell."""
        if self.size is not None:
            return self.size
        picture = self.image if self.read is None else self.read()  # not kept
        return picture.shape[0], picture.shape[1]


def _validate_boxes(sample: Sample) -> None:
    boxes, labels = sample.boxes, sample.labels
    assert boxes is not None
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"{sample.source}: boxes have shape {boxes.shape}; (N, 4) xyxy is meant")
    if labels is not None and len(labels) != len(boxes):
        raise ValueError(f"{sample.source}: {len(boxes)} boxes but {len(labels)} labels")
    if (boxes[:, :2] >= boxes[:, 2:]).any() or (boxes < 0).any():
        raise ValueError(f"{sample.source}: a box breaks 0 <= x1 < x2, 0 <= y1 < y2")


def _validate_points(points: np.ndarray, source: str) -> None:
    if points.ndim != 2 or points.shape[1] not in (2, 3):
        raise ValueError(f"{source}: points have shape {points.shape}; (K, 2) or (K, 3) is meant")
    if not np.isfinite(points).all():
        raise ValueError(f"{source}: a point is not finite")


class ArraySamples(Sequence[Sample]):
    """Labelled pictures of one size that lie in memory as one array; a ``Sample`` is made when asked for.

    Attributes:
        images: (N, H, W) gray or (N, H, W, 3) RGB, uint8.
        labels: (N,) integers.
        source: the file they came from; sample i is ``source:i+1``.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, source: str) -> None:
        if len(images) != len(labels):
            raise ValueError(f"{source}: {len(images)} pictures but {len(labels)} labels")
        self.images, self.labels, self.source = images, labels, source

    def __len__(self) -> int:
        return len(self.images)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> ArraySamples: ...
    def __getitem__(self, index: int | slice) -> Sample | ArraySamples:
        if isinstance(index, slice):
            return self.take(np.arange(len(self))[index])
        index = range(len(self))[index]
        picture = self.images[index]
        if picture.ndim == 2:
            picture = np.broadcast_to(picture[..., None], (*picture.shape, 3))
        where = f"{self.source}:{index + 1}"
        return Sample(id=str(index), source=where, label=int(self.labels[index]), _image=picture)

    def take(self, indices: np.ndarray) -> ArraySamples:
        """The samples at ``indices``, in that order."""
        return ArraySamples(self.images[indices], self.labels[indices], self.source)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two pictures of one split, of which it is asked whether they show the same.

    Attributes:
        split: the split of both.
        first, second: their ids.
        same: whether they show the same identity.
        fold: 0-based, the part of the list that it stands in; all 0 where it has no parts.
    """

    split: str
    first: str
    second: str
    same: bool
    fold: int = 0


@dataclass(frozen=True, slots=True)
class Episode:
    """One fixed N-way problem: each query is to be found again among the pictures of the support.

    Attributes:
        name: for example "run01".
        split: the split of all its pictures.
        support: ids of the known pictures, one or more an identity.
        queries: ids of the pictures that are asked about.
        answers: for each query the index in ``support`` of a picture that shows the same.
    """

    name: str
    split: str
    support: tuple[str, ...]
    queries: tuple[str, ...]
    answers: tuple[int, ...]


@dataclass
class Dataset:
    """Samples in named splits, as one reader understood them.

    Attributes:
        root: what the person named.
        format: the reader's name.
        task: the task the data is for, where the format says so.
        classes: names in the format's order, else sorted by code point; NFC. For ``match`` they are
            the identities of all splits.
        splits: "train", "val", "test" → samples. Data without splits has everything in "all".
        problems: what the reader found wrong; a record with an error is not in ``splits``.
        pairs: of pictures, where the data lists them.
        episodes: fixed ones, where the data has them.
    """

    root: Path
    format: str
    task: str
    classes: list[str]
    splits: dict[str, Sequence[Sample]]
    problems: list[Problem] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)
    episodes: list[Episode] = field(default_factory=list)

    def __len__(self) -> int:
        return sum(len(samples) for samples in self.splits.values())


@dataclass
class Prediction:
    """What a network says about one picture, in pixels of the original picture.

    Attributes:
        source: the picture's path.
        size: (H, W) of the original picture.
        labels: (N,) class indices; for a classifier the best classes, best first.
        names: the classes' names, in the order of ``labels``.
        scores: (N,) float in 0..1.
        boxes: (N, 4) float32 xyxy.
        masks: (N, H, W) bool, one per object.
        semantic: (H, W) uint8, the class of each pixel; ``labels`` are then the classes that are
            there, the largest first.
        areas: (N,) int64, pixels of each of these classes.
        image: (H', W', 3) uint8, the picture that was made of this one.
        made: (H', W') of that, also after ``forget_pixels``.
    """

    source: str
    size: tuple[int, int]
    labels: np.ndarray | None = None
    names: list[str] | None = None
    scores: np.ndarray | None = None
    boxes: np.ndarray | None = None
    masks: np.ndarray | None = None
    semantic: np.ndarray | None = None
    areas: np.ndarray | None = None
    points: np.ndarray | None = None
    embedding: np.ndarray | None = None
    image: Image | None = None
    made: tuple[int, int] | None = None
    _picture: Image | None = field(default=None, repr=False)
    _codes: list[dict[str, Any]] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.image is not None:
            self.made = self.image.shape[0], self.image.shape[1]

    def to_dict(self) -> dict[str, Any]:
        """The one JSON schema of predictions: plain lists and numbers, without absent fields.

        A mask is COCO's run-length code, ``{"size": [H, W], "counts": "…"}``. A map of classes is told
        as such a mask for each of ``labels``, with ``areas`` in pixels and ``shares`` of the picture.
        """
        out: dict[str, Any] = {"source": self.source, "size": list(self.size)}
        for name in ("labels", "names", "scores", "boxes", "points", "embedding", "areas"):
            value = getattr(self, name)
            if value is not None:
                out[name] = value.tolist() if isinstance(value, np.ndarray) else list(value)
        if self.made is not None:
            out["made"] = list(self.made)
        if self.shares is not None:
            out["shares"] = [round(share, 6) for share in self.shares.tolist()]
        if (codes := self._coded()) is not None:
            out["masks"] = codes
        return out

    @property
    def shares(self) -> np.ndarray | None:
        """(N,) float 0..1, how much of the picture each class of a map covers; None without a map."""
        return None if self.areas is None else self.areas / (self.size[0] * self.size[1])

    @property
    def class_map(self) -> np.ndarray | None:
        """(H, W) uint8, the class of each pixel, also after ``forget_pixels``; None where it has none."""
        if self.semantic is not None or self.areas is None:
            return self.semantic
        assert self.labels is not None and self._codes is not None
        out = np.zeros(self.size, np.uint8)
        for label, code in zip(self.labels, self._codes, strict=True):
            out[decode(code)] = label
        return out

    def _coded(self) -> list[dict[str, Any]] | None:
        """The run-length code of each mask, or of each class of a map."""
        if self.semantic is not None and self.labels is not None:
            return [encode(self.semantic == label) for label in self.labels]
        return self._codes if self.masks is None else [encode(mask) for mask in self.masks]

    def surest(self, confidence: float) -> Prediction:
        """With the boxes of at least that score; itself where it has none."""
        if self.boxes is None or self.scores is None:
            return self
        kept = np.flatnonzero(self.scores >= confidence)
        some = {
            name: value[kept]
            for name in ("labels", "scores", "boxes", "masks")
            if (value := getattr(self, name)) is not None
        }
        names = None if self.names is None else [self.names[i] for i in kept]
        return replace(self, names=names, **some)

    def draw(self) -> Image:
        """The original picture with the prediction drawn on it, (H', W', 3) uint8 RGB."""
        from boda.draw import draw

        return draw(self)

    def save(self, path: str | Path) -> None:
        """Write the drawn prediction as a picture."""
        from PIL import Image as Pillow

        Pillow.fromarray(self.draw()).save(path)

    def forget_pixels(self) -> None:
        """Let go of the original pixels, which drawing reads from ``source`` again, of masks and map.

        ``to_dict`` still tells them: their run-length codes are kept. A picture that was made is gone.
        """
        self._picture, self._codes = None, self._coded()
        self.masks = self.semantic = self.image = None

    def _repr_png_(self) -> bytes:
        """What a notebook shows."""
        from boda.draw import png

        return png(self.draw())
