"""Sliding windows: any classifier's run finds where its classes are in pictures of any size.

A window of the size that the run was fitted for goes over the picture, and over smaller copies of
it, so that larger things fit into the window too; what the classifier is sure of becomes a box, and
of boxes of one class that overlap the best stays. In one pass with what the windows share (Sermanet
et al. 2013, arXiv 1312.6229; ``boda.models.convolutional``) where that comes to the same numbers,
window by window where it does not.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from PIL import Image as Pillow

from boda.errors import DataError, UsageError, unknown
from boda.models.convolutional import Convolutional, convolutionalize
from boda.ops.suppression import nms
from boda.predicting import Picture, Predictor, read_picture
from boda.trained import Trained
from boda.types import Image, Prediction

Mode = Literal["auto", "convolutional", "windows"]
MODES = ("auto", "convolutional", "windows")
BACKGROUND = ("background", "none", "negative", "배경")
STEP = 2**0.5  # between scales: at the worst a thing is 19 % larger or smaller than the window
BATCH = 64  # windows of one forward pass
TILE, SIDE = 128, 512  # windows each way of one part of a picture, or pixels, whichever is less
MOST = 20_000  # candidates of one picture that non-max suppression compares, the surest


@dataclass(frozen=True)
class Windows:
    """How the window goes over a picture.

    Attributes:
        mode: "convolutional" (all windows in one pass), "windows" (in batches), or "auto": the first
            where the network does not pad and its strides allow, else the second.
        scales: factors of the picture's sides, such as (1, 0.5); by default from 1 down, each
            √2 below the last, as long as a window fits.
        stride: pixels of the scaled picture from one window to the next; by default the network's
            in one pass, a quarter of the window in batches.
        background: the class that stands for "nothing here"; by default one that is called
            background, none, negative or 배경, where there is one.
        confidence: boxes of a lower probability are left out, 0..1.
        overlap: of two boxes of a class with a larger IoU the surer one stays, 0..1.
    """

    mode: Mode = "auto"
    scales: Sequence[float] = ()
    stride: int | None = None
    background: str | None = None
    confidence: float = 0.5
    overlap: float = 0.3

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise unknown("mode", self.mode, MODES)
        if any(not 0 < scale < math.inf for scale in self.scales):
            raise UsageError(
                f"scales {list(self.scales)}. Give factors above 0, such as 1 and 0.5."
            )
        if self.stride is not None and self.stride < 1:
            raise UsageError(f"a stride of {self.stride} pixels. Give 1 or more.")
        for name, value in {"confidence": self.confidence, "overlap": self.overlap}.items():
            if not 0 <= value <= 1:
                raise UsageError(f"{name} is {value}; it is from 0 to 1.")


class Sliding(Predictor):
    """A classifier's run as a detector; ``predict`` and ``predict_all`` are those of ``Predictor``.

    A run that knows no background calls every window something: fit one with a class of it.

    Args:
        trained: a network for the task classify, with its weights.
        windows: how the window goes over the pictures.

    Attributes:
        window: (h, w), pixels of the scaled picture.
        stride: pixels of the scaled picture from window to window, down and across.
        convolutional: the network that sees all windows in one pass; None where it sees one by one.

    Raises:
        UsageError: the network is for another task; it has no convolutional form, or none with
            this stride, and that was asked for; no class is called like the background.
    """

    def __init__(self, trained: Trained, windows: Windows | None = None) -> None:
        if trained.task != "classify":
            raise UsageError(
                f"{trained.model} is a network for {trained.task}, and needs no sliding window. "
                "Name a run of classify."
            )
        super().__init__(trained.run, trained.task, trained.classes, trained.preparation)
        self.windows = windows or Windows()
        self.confidence = self.windows.confidence
        self.method = trained.method
        self.batch = BATCH
        self.window = (self.preparation.height, self.preparation.width)
        self.background = _background(self.classes, self.windows.background)
        self.convolutional = self._convolutional(trained.preparation.channels)
        if self.windows.stride is not None:
            self.stride = (self.windows.stride, self.windows.stride)
        elif self.convolutional is not None:
            self.stride = self.convolutional.stride
        else:
            self.stride = (max(1, self.window[0] // 4), max(1, self.window[1] // 4))
        if self.stride[0] > self.window[0] or self.stride[1] > self.window[1]:
            raise UsageError(
                f"windows of {self.window[0]}×{self.window[1]} pixels, {self.stride[0]} apart, leave "
                f"gaps. Give a stride of at most {min(self.window)}."
            )

    def adjust(self, conf: float | None = None, tile: int | None = None, tta: bool = False) -> None:
        """How to look from now on: ``conf`` is ``confidence``.

        Raises:
            UsageError: it is not within 0..1; tiles or mirrored pictures are asked for.
        """
        if tile is not None or tta:
            raise UsageError("--tile and --tta are not for sliding windows: leave them away.")
        if conf is not None:
            self.windows = replace(self.windows, confidence=conf)
            self.confidence = conf

    def predict_all(self, pictures: Iterable[Picture], batch: int = BATCH) -> Iterator[Prediction]:
        """Many pictures, in their order; what cannot be read is left out and named in ``problems``.

        Args:
            pictures: paths or arrays; one at a time is in memory.
            batch: windows of one forward pass, where they do not go through it all at once.
        """
        self.problems, self.batch = [], batch
        for number, picture in enumerate(pictures):
            try:
                image, source = read_picture(picture, number)
            except DataError as error:
                self.problems += error.problems
            else:
                yield self._find(image, source)

    def _find(self, image: Image, source: str) -> Prediction:
        """What is in one picture, the surest first."""
        found = [self._at_scale(image, size) for size in self._sizes(image.shape[:2])]
        boxes, scores, labels = (torch.cat(parts) for parts in zip(*found, strict=True))
        if len(scores) > MOST:
            best = scores.topk(MOST).indices.sort().values
            boxes, scores, labels = boxes[best], scores[best], labels[best]
        kept = nms(boxes, scores, self.windows.overlap, labels)
        chosen = labels[kept].numpy()
        return Prediction(
            source=source,
            size=(image.shape[0], image.shape[1]),
            labels=chosen,
            names=[self.classes[label] for label in chosen],
            scores=scores[kept].numpy(),
            boxes=boxes[kept].numpy(),
            _picture=image,
        )

    def _sizes(self, size: tuple[int, ...]) -> list[tuple[int, int]]:
        """(H, W) of the copies of a picture of ``size``; if no window fits, the one where it just does."""
        fitting = max(window / side for window, side in zip(self.window, size, strict=True))
        scales = list(self.windows.scales)
        if not scales and fitting < 1:
            steps = math.floor(math.log(1 / fitting, STEP) + 1e-9)
            scales = [STEP**-step for step in range(steps + 1)]
        scales = [scale for scale in scales if scale >= fitting * (1 - 1e-9)] or [fitting]
        h, w = self.window
        return [(max(h, round(s * size[0])), max(w, round(s * size[1]))) for s in scales]

    def _at_scale(
        self, image: Image, size: tuple[int, int]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Boxes (N, 4) in pixels of the picture, scores (N,) and labels (N,) of one of its copies."""
        height, width = image.shape[:2]
        scaled = image
        if size != (height, width):
            bilinear = Pillow.Resampling.BILINEAR
            scaled = np.asarray(Pillow.fromarray(image).resize(size[::-1], bilinear))
        # The last windows hang over the edge by less than a stride: nothing is left out there.
        beyond = [-(n - w) % s for n, w, s in zip(size, self.window, self.stride, strict=True)]
        scaled = np.pad(scaled, ((0, beyond[0]), (0, beyond[1]), (0, 0)), mode="edge")
        found = []
        for row, column, tile in self._tiles(scaled):
            scores = self._probabilities(tile)
            scores[..., self.background] = -1
            i, j, label = (scores >= self.confidence).nonzero(as_tuple=True)
            found.append((scores[i, j, label], label, row + i, column + j))
        scores, labels, i, j = (torch.cat(parts) for parts in zip(*found, strict=True))
        x, y = j * self.stride[1], i * self.stride[0]
        ends = (x + self.window[1]).clamp(max=size[1]), (y + self.window[0]).clamp(max=size[0])
        across, down = width / size[1], height / size[0]
        sides = [x * across, y * down, ends[0] * across, ends[1] * down]
        return torch.stack(sides, 1).float(), scores, labels

    def _tiles(self, scaled: np.ndarray) -> Iterator[tuple[int, int, np.ndarray]]:
        """Parts of a picture with some of its windows each, which bound the memory of a pass.

        Yields:
            Row and column of its first window; the part, (H, W, 3).
        """
        pairs = list(zip(scaled.shape, self.window, self.stride, strict=False))
        rows, columns = ((side - window) // step + 1 for side, window, step in pairs)
        down, across = (min(TILE, max(SIDE, window) // step + 1) for _, window, step in pairs)
        for i in range(0, rows, down):
            for j in range(0, columns, across):
                spans = [
                    slice(first * step, (min(first + count, total) - 1) * step + window)
                    for first, count, total, (_, window, step) in zip(
                        (i, j), (down, across), (rows, columns), pairs, strict=True
                    )
                ]
                yield i, j, scaled[tuple(spans)]

    def _probabilities(self, part: np.ndarray) -> torch.Tensor:
        """(rows, columns, classes) of the windows of a part of a picture (H, W, 3) uint8."""
        if self.convolutional is None:
            views = np.lib.stride_tricks.sliding_window_view(part, self.window, (0, 1))
            views = views[:: self.stride[0], :: self.stride[1]]
            rows, columns = views.shape[:2]
            places = np.arange(rows * columns)
            scores = [
                self.network(np.ascontiguousarray(views[some // columns, some % columns]))
                for some in np.split(places, range(self.batch, len(places), self.batch))
            ]
            return torch.from_numpy(np.concatenate(scores)).unflatten(0, (rows, columns))
        pixels = torch.from_numpy(np.ascontiguousarray(part.transpose(2, 0, 1)))[None]
        own = self.convolutional.stride
        down, across = self.stride[0] // own[0], self.stride[1] // own[1]
        with torch.no_grad():
            images = self.method.normalize(pixels.to(self.method.scale.device))
            logits = self.convolutional(images)[0, :, ::down, ::across]
            return logits.float().softmax(0).permute(1, 2, 0).cpu()

    def _convolutional(self, channels: int) -> Convolutional | None:
        """The one-pass form, where it is wanted and allowed."""
        mode, stride = self.windows.mode, self.windows.stride
        if mode == "windows":
            return None
        try:
            form = convolutionalize(self.method.net, self.window, channels)
        except UsageError:
            if mode == "auto":
                return None
            raise
        fits = stride is None or all(stride % own == 0 for own in form.stride)
        if mode == "convolutional" and not fits:
            raise UsageError(
                f"in one pass windows lie {form.stride[0]} pixels apart, or a multiple of that, and "
                f"not {stride}. Give such a stride, or the mode windows."
            )
        return form if mode == "convolutional" or (fits and form.exact) else None


def _background(classes: Sequence[str], name: str | None) -> list[int]:
    """The indices of the classes that stand for nothing."""
    spelled = [unicodedata.normalize("NFC", each) for each in classes]
    if name is None:
        return [i for i, each in enumerate(spelled) if each.casefold() in BACKGROUND]
    if unicodedata.normalize("NFC", name) not in spelled:
        raise unknown("class", name, classes)
    return [spelled.index(unicodedata.normalize("NFC", name))]
