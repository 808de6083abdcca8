"""From pictures to vectors and boxes: what a gallery asks of the networks that it uses.

torch is imported when the first picture goes through a network, not before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from boda.errors import DataError, UsageError
from boda.types import Image, Prediction

if TYPE_CHECKING:
    from boda.predicting import Predictor

WEIGHTS, ONNX = "model.safetensors", ".onnx"
MARGIN = 0.1  # of a box's sides, on each side: boxes are drawn tightly, and cut off chins and ears
Detector = Callable[[Image], Prediction]


class Embedder(Protocol):
    """A network that makes vectors of pictures.

    Attributes:
        run: its run, for messages and to find it again.
        model: SHA-256 of its weights, in hexadecimal: vectors of two models cannot be compared.
    """

    run: str
    model: str

    def __call__(self, pictures: Sequence[Image]) -> np.ndarray:
        """(N, D) float32 for N pictures (H, W, 3) uint8 of any sizes."""


class RunEmbedder:
    """The network of a run for the task ``match``, or of its exported file."""

    def __init__(self, run: str) -> None:
        self.run = str(Path(run).resolve())
        self.model = fingerprint(run)

    def __call__(self, pictures: Sequence[Image]) -> np.ndarray:
        """See ``Embedder``."""
        made = [p.embedding for p in self._predictor.predict_all(pictures, max(1, len(pictures)))]
        vectors = [vector for vector in made if vector is not None]
        if len(vectors) < len(pictures):
            raise UsageError(
                f"{self.run} is for {self._predictor.task}, and makes no vectors of pictures. "
                "Fit one that does: boda fit match DATA"
            )
        return np.stack(vectors)

    @cached_property
    def _predictor(self) -> Predictor:
        from boda import api

        return api.predictor(self.run)


def of_run(run: str) -> Embedder:
    """What makes vectors by a run's network.

    Raises:
        DataError: there is no such run, or it has no weights.
    """
    return RunEmbedder(run)


def fingerprint(run: str) -> str:
    """SHA-256 of a run's weights, or of an exported file, in hexadecimal."""
    path = Path(run)
    file = path if path.suffix == ONNX else path / WEIGHTS
    try:
        with open(file, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise DataError(
            f"the run's weights cannot be read ({error.strerror or error})",
            file=file,
            fix="Name where the run is now: --run RUN",
        ) from None


def unit(vectors: np.ndarray, sources: Sequence[str]) -> np.ndarray:
    """The vectors with length 1, float32.

    Args:
        vectors: (N, D) of any floating type.
        sources: of which pictures they are, for the message.

    Raises:
        DataError: a vector is zero or not finite.
    """
    values = np.asarray(vectors, np.float64)
    if values.ndim != 2 or len(values) != len(sources):
        raise ValueError(f"vectors of shape {values.shape} for {len(sources)} pictures")
    lengths = np.linalg.norm(values, axis=1)
    for source, length in zip(sources, lengths, strict=True):
        if not np.isfinite(length) or length == 0:
            raise DataError(
                "the network makes no direction of this picture: its vector is zero or not finite",
                file=source,
                fix="Leave the picture out, or fit the network again.",
            )
    return (values / lengths[:, None]).astype(np.float32)


def detector_of(run: str, conf: float | None = None) -> Detector:
    """What finds boxes on a whole photograph.

    Args:
        run: a run for a task with boxes, or its exported file.
        conf: the score from which a box counts; 0.25 if left away.

    Raises:
        UsageError: the run is for another task.
    """
    from boda import api
    from boda.predicting import BOXES

    predictor = api.predictor(run, conf=conf)
    if predictor.task not in BOXES:
        raise UsageError(
            f"{run} is for {predictor.task}, and finds no boxes. Name a run for {BOXES[0]}."
        )
    return predictor.predict


def crop(image: Image, box: np.ndarray) -> Image:
    """What is in a box, with a margin of a tenth of its sides around it, as far as the picture goes.

    Args:
        image: (H, W, 3) uint8.
        box: (4,) xyxy in pixels of the picture.

    Returns:
        (h, w, 3) uint8, at least 1×1: every pixel that the larger box touches.
    """
    height, width = image.shape[:2]
    x1, y1, x2, y2 = (float(edge) for edge in box)
    beside, above = MARGIN * (x2 - x1), MARGIN * (y2 - y1)
    left = min(max(0, int(np.floor(x1 - beside))), width - 1)
    top = min(max(0, int(np.floor(y1 - above))), height - 1)
    right = max(min(width, int(np.ceil(x2 + beside))), left + 1)
    bottom = max(min(height, int(np.ceil(y2 + above))), top + 1)
    return image[top:bottom, left:right]
