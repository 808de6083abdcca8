"""From pictures to predictions, whatever runs the network. No torch here.

A network, for this module, is a function from (N, 3, H, W) uint8 arrays to output arrays: torch
behind it in a run, ONNX Runtime behind it in an exported file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from boda import enlarging, map_tiling, outputs, tiling
from boda.data.archives import ignored
from boda.data.image import decode, is_picture_name
from boda.data.prepare import Preparation
from boda.errors import DataError, Problem, UsageError
from boda.mirroring import Network, mirrored
from boda.types import Image, Prediction

BOXES = ("detect", "instances", "localize")  # tasks whose predictions hold boxes
MANY = ("detect", "instances")  # of these, those of which a picture may show any number of things
TILED = ("detect", "segment")  # what tiles see can be put together
MADE = ("upscale", "translate")  # tasks whose predictions are pictures
SMALLEST_TILE = 32
OUTPUT = 256 << 20  # bytes that the maps of the pictures of one batch may have
Picture = str | Path | np.ndarray


class Predictor:
    """Prepares pictures, runs a network over them in batches, reads its outputs.

    Attributes:
        task: name of the task, which says what the outputs mean.
        classes: names, in the order of the outputs.
        preparation: of the run; the network gets RGB whatever its channels.
        confidence: boxes of a lower score are left out.
        tile: side in pixels of the tiles in which larger pictures are looked at too; of the task
            "segment" the longer side, and larger pictures are looked at in tiles alone; 0 = none.
        reach: of the task "upscale", which goes over every picture in tiles of the working size: how
            far around a pixel the network looks.
        problems: what could not be read in the last ``predict``.
        at_once: pictures, or tiles, that go through the network together.
    """

    confidence = 0.0
    tile = 0

    def __init__(
        self,
        network: Network,
        task: str,
        classes: Sequence[str],
        preparation: Preparation,
        reach: int = 0,
    ) -> None:
        self.network, self.task, self.classes = network, task, list(classes)
        self.reach = reach
        self.preparation = replace(preparation, channels=3)
        if task in MANY:  # of the others a prediction holds no more than it is sure of
            self.confidence = outputs.CONFIDENT
        self.problems: list[Problem] = []
        self.at_once = 1

    def adjust(self, conf: float | None = None, tile: int | None = None, tta: bool = False) -> None:
        """How to look from now on.

        Args:
            conf: score from which a box is told, 0..1.
            tile: side of tiles in pixels of the original; see ``boda.tiling`` and ``boda.map_tiling``.
            tta: the mirrored picture too; see ``boda.mirroring``.

        Raises:
            UsageError: a number is out of range, or the task knows no such thing.
        """
        for name, value, tasks in (("conf", conf, BOXES), ("tile", tile, TILED)):
            if value is not None and self.task not in tasks:
                raise UsageError(
                    f"--{name} is for {' and '.join(tasks)}, not for {self.task}: leave it away."
                )
        if conf is not None:
            if not 0 <= conf <= 1:
                raise UsageError(f"--conf is {conf:g}; it is a score from 0 to 1.")
            self.confidence = conf
        if tile is not None:
            if tile < SMALLEST_TILE:
                raise UsageError(f"--tile is {tile}; it must be at least {SMALLEST_TILE} pixels.")
            self.tile = tile
        if tta:
            self.network = mirrored(self.network, self.task)

    def predict(self, picture: Picture) -> Prediction:
        """One picture: a path, or an array (H, W) or (H, W, 3) uint8.

        Raises:
            DataError: the picture cannot be read.
        """
        prediction = next(self.predict_all([picture]), None)
        if prediction is None:
            raise DataError(problems=self.problems)
        return prediction

    def predict_all(self, pictures: Iterable[Picture], batch: int = 32) -> Iterator[Prediction]:
        """Many pictures, in their order; what cannot be read is left out and named in ``problems``."""
        self.problems, self.at_once = [], batch
        if self.task == "segment":
            each = 4 * len(self.classes) * self.preparation.height * self.preparation.width
            self.at_once = batch = max(1, min(batch, OUTPUT // each))
        waiting: list[tuple[Image, str]] = []
        for number, picture in enumerate(pictures):
            try:
                waiting.append(read_picture(picture, number))
            except DataError as error:
                self.problems += error.problems
            if len(waiting) == batch:
                yield from self._run(waiting)
                waiting = []
        if waiting:
            yield from self._run(waiting)

    def _run(self, pictures: list[tuple[Image, str]]) -> Iterator[Prediction]:
        if self.task == "upscale":
            for image, source in pictures:
                large = enlarging.enlarged(
                    image, self.preparation, self.reach, self.network, self.at_once
                )
                yield outputs.made(large, source, image)
            return
        if not self.tile:
            yield from self._look(pictures)
            return
        for image, source in pictures:
            if self.task == "segment":
                yield self._map(image, source)
                continue
            views = tiling.windows((image.shape[0], image.shape[1]), self.tile)
            crops = [(image[y1:y2, x1:x2], source) for x1, y1, x2, y2 in views]
            parts: list[Prediction] = []
            for first in range(0, len(crops), self.at_once):
                parts += self._look(crops[first : first + self.at_once])
            yield self._put_together(parts, views)

    def _look(self, pictures: list[tuple[Image, str]]) -> Iterator[Prediction]:
        """Once through the network."""
        prepared = np.stack([self.preparation(image) for image, _ in pictures])
        scores = self.network(np.ascontiguousarray(prepared.transpose(0, 3, 1, 2)))
        read = outputs.readers[self.task]
        for row, (image, source) in zip(scores, pictures, strict=True):
            seen = outputs.Seen(image, source, self.preparation)
            # Of many boxes the sure ones, before masks of the picture's size are made of them.
            told = row[row[:, 4] >= self.confidence] if self.task in MANY else row
            yield read(told, self.classes, seen).surest(self.confidence)

    def _map(self, image: Image, source: str) -> Prediction:
        """The classes of a picture's pixels, in tiles where it is larger than one."""
        height, width = self.preparation.height, self.preparation.width
        side = self.tile / max(height, width)  # pixels of the picture a working pixel
        if image.shape[0] <= height * side and image.shape[1] <= width * side:
            return next(self._look([(image, source)]))
        found = map_tiling.tiled_map(image, self.tile, self.preparation, self.network, self.at_once)
        return outputs.told_map(found, self.classes, source, image)

    def _put_together(self, parts: list[Prediction], views: np.ndarray) -> Prediction:
        """The predictions for the views of a picture as one; the first view is all of it."""
        found = [
            (part.boxes, part.scores, part.labels)
            for part in parts
            if part.boxes is not None and part.scores is not None and part.labels is not None
        ]
        whole = parts[0]
        scales = [self.preparation.matrix(*part.size)[[0, 1], [0, 1]].min() for part in parts]
        pixels = 1 / np.array(scales)
        boxes, scores, labels = tiling.merge(found, views, pixels, whole.size, self.tile)
        names = [self.classes[i] for i in labels]
        return replace(whole, labels=labels, names=names, scores=scores, boxes=boxes)


def find_pictures(paths: Iterable[str | Path]) -> list[Path]:
    """The pictures that are named, and those in the folders that are named, sorted within each folder.

    Raises:
        DataError: a path is not there, or a folder holds no picture.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if is_picture_name(p.name) and p.is_file())
            inside = [p for p in inside if not ignored(p.relative_to(path).as_posix())]
            if not inside:
                raise DataError(
                    "there is no picture in this folder", file=path, fix="Name another."
                )
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise DataError("there is nothing at this path", file=path, fix="Check the path.")
    return found


def read_picture(picture: Picture, number: int) -> tuple[Image, str]:
    """A path or an array as (H, W, 3) uint8, and what to call it.

    Raises:
        DataError: it cannot be read, or is no picture.
    """
    if isinstance(picture, np.ndarray):
        return _as_rgb(picture), f"array {number}"
    try:
        data = Path(picture).read_bytes()
    except OSError as error:
        why = error.strerror or str(error)
        raise DataError(f"the file cannot be read ({why})", file=picture, fix="Check it.") from None
    return decode(data, str(picture)), str(picture)


def _as_rgb(array: np.ndarray) -> Image:
    shape = array.shape
    if (
        array.dtype != np.uint8
        or array.ndim not in (2, 3)
        or not array.size
        or (array.ndim == 3 and shape[2] not in (1, 3))
    ):
        raise DataError(
            f"an array of {array.dtype} with shape {shape} is no picture",
            file="array",
            fix="Give (H, W) or (H, W, 3) uint8, channels last, RGB.",
        )
    if array.ndim == 2:
        array = array[..., None]
    return np.broadcast_to(array, (*array.shape[:2], 3))
