"""From pictures to predictions, whatever runs the network. No torch here.

A network, for this module, is a function from (N, 3, H, W) uint8 arrays to output arrays: torch
behind it in a run, ONNX Runtime behind it in an exported file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from boda import outputs
from boda.data.archives import ignored
from boda.data.image import decode, is_picture_name
from boda.data.prepare import Preparation
from boda.errors import DataError, Problem
from boda.types import Image, Prediction

Network = Callable[[np.ndarray], np.ndarray]
Picture = str | Path | np.ndarray


class Predictor:
    """Prepares pictures, runs a network over them in batches, reads its outputs.

    Attributes:
        task: name of the task, which says what the outputs mean.
        classes: names, in the order of the outputs.
        preparation: of the run; the network gets RGB whatever its channels.
        problems: what could not be read in the last ``predict``.
    """

    def __init__(
        self, network: Network, task: str, classes: Sequence[str], preparation: Preparation
    ) -> None:
        self.network, self.task, self.classes = network, task, list(classes)
        self.preparation = replace(preparation, channels=3)
        self.problems: list[Problem] = []

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
        self.problems = []
        waiting: list[tuple[Image, str]] = []
        for number, picture in enumerate(pictures):
            try:
                waiting.append(_read(picture, number))
            except DataError as error:
                self.problems += error.problems
            if len(waiting) == batch:
                yield from self._run(waiting)
                waiting = []
        if waiting:
            yield from self._run(waiting)

    def _run(self, pictures: list[tuple[Image, str]]) -> Iterator[Prediction]:
        prepared = np.stack([self.preparation(image) for image, _ in pictures])
        scores = self.network(np.ascontiguousarray(prepared.transpose(0, 3, 1, 2)))
        read = outputs.readers[self.task]
        for row, (image, source) in zip(scores, pictures, strict=True):
            yield read(row, self.classes, image, source)


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


def _read(picture: Picture, number: int) -> tuple[Image, str]:
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
