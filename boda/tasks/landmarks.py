"""K points a picture, such as the corners of eyes: 2·K numbers from any network for classification.

The network tells how far each point lies from its place in the mean shape of the training pictures.
The loss is the wing loss: Feng et al. 2017, arXiv 1711.06753. Deviations: distances are shares of
the picture, of which w and ε are 10 and 2 in 256; points that are not marked, or that augmentation
moved out of the picture, are not learned.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from boda.data.dataset import Batch, Pictures
from boda.data.prepare import Preparation
from boda.data.survey import Survey
from boda.data.symmetry import mirror_order
from boda.errors import DataError, UsageError
from boda.judged import pointed
from boda.metrics.landmarks import FAILED, Landmarks
from boda.progress import Progress
from boda.tasks.base import Default, Method, Start, Task, methods, tasks
from boda.tasks.optimizing import Optimizing
from boda.tasks.regression import Regressor, recipe
from boda.tasks.steps import Stage
from boda.types import Sample

REACH = 0.1  # share of the picture that a 1 of the network means: where points vary about as much


@dataclass
class Config(Optimizing):
    """Settings of ``landmarks``."""

    width: float = field(
        default=10 / 256, metadata={"help": "w of the wing loss, as a share of the picture"}
    )
    curvature: float = field(
        default=2 / 256, metadata={"help": "ε of the wing loss, as a share of the picture"}
    )
    mean_shape: tuple[float, ...] = field(
        default=(), metadata={"help": "x and y of each point as shares of the picture; of the data"}
    )
    mirror_order: tuple[int, ...] = field(
        default=(),
        metadata={"help": "which point becomes which in a mirrored picture; of the data"},
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not min(self.width, self.curvature) > 0:
            raise UsageError("width and curvature must be more than 0.")


@methods.register("landmarks")
class Pointer(Regressor):
    """x and y of K points from the last layer of a classifier."""

    Config = Config
    task = "landmarks"
    mean_shape: Tensor

    def __init__(self, net: nn.Module, preparation: Preparation, config: Any) -> None:
        super().__init__(net, preparation, config)
        mean = torch.tensor(config.mean_shape or (0.5, 0.5), dtype=torch.float32).view(-1, 2)
        self.register_buffer("mean_shape", mean, persistent=False)

    @classmethod
    def values(cls, classes: int) -> int:
        """Two numbers a point."""
        return 2 * classes

    @classmethod
    def learned(
        cls, train: Pictures, options: dict[str, Any], classes: Sequence[str]
    ) -> dict[str, Default]:
        """The mean shape, and how its points change places in a mirror."""
        if train.points is None:
            raise _no_points(train)
        mean = mean_shape(train)
        order, reason = mirror_order(classes, train.points.numpy())
        if order is None:
            reason += ": pictures are not mirrored"
        return {
            "mean_shape": Default(
                tuple(round(float(value), 6) for value in mean.ravel()),
                "mean place of each point in the working pictures",
            ),
            "mirror_order": Default(tuple(order or ()), reason),
        }

    def begin(self, train: Pictures, progress: Progress | None = None) -> list[Stage]:
        """A mirrored picture's points swap places."""
        order = [int(index) for index in self.config.mirror_order]
        train.mirror_order = torch.tensor(order) if order else None
        return []

    def losses(self, numbers: Tensor, batch: Batch) -> dict[str, Tensor]:
        """{"wing"}: the mean over x and y of the points that are marked."""
        if batch.points is None:
            return {"wing": 0 * numbers.sum()}
        points = batch.points.float()
        away = self._shares(numbers) - points[..., :2] / self._whole(numbers)
        marked = torch.ones_like(away[..., 0])
        if points.shape[-1] == 3:
            marked = (points[..., 2] > 0).to(away)
        loss = wing(away, self.config.width, self.config.curvature) / self.config.width
        return {"wing": (loss.mean(-1) * marked).sum() / marked.sum().clamp(min=1)}

    def output(self, images: Tensor) -> Tensor:
        """(N, C, H, W) uint8 → (N, K, 2): x and y in their pixels."""
        numbers = self.logits(images).float()
        return self._shares(numbers) * self._whole(numbers)

    def _shares(self, numbers: Tensor) -> Tensor:
        """(N, 2·K) → (N, K, 2), x and y as shares of the picture."""
        return self.mean_shape + REACH * numbers.unflatten(1, (-1, 2))

    def _whole(self, like: Tensor) -> Tensor:
        height, width = self.size
        return torch.tensor([width, height], dtype=like.dtype, device=like.device)


def wing(x: Tensor, width: float, curvature: float) -> Tensor:
    """w·ln(1 + |x|/ε) below w, |x| − C from there on, C making it continuous; of any shape."""
    x, constant = x.abs(), width - width * math.log1p(width / curvature)
    return torch.where(x < width, width * torch.log1p(x / curvature), x - constant)


def mean_shape(pictures: Pictures) -> np.ndarray:
    """(K, 2): each point's mean place as shares of the working pictures, where it is marked.

    A point that is marked nowhere lies in the middle.
    """
    assert pictures.points is not None
    points = pictures.points.double().numpy()
    sides = pictures.preparation.width, pictures.preparation.height
    marked = points[..., 2:] > 0
    total = np.where(marked, points[..., :2] / sides, 0).sum(0)
    count = marked.sum(0)
    return np.where(count > 0, total / np.maximum(count, 1), 0.5)


class Mark(Task):
    """Landmarks: the same K points in every picture."""

    name = "landmarks"
    headline = "nme"
    smaller = True
    description = "The places of the same points in every picture."
    rule = "letterbox"
    method = "landmarks"
    borrows = "classify"

    def defaults(
        self, survey: Survey, model: str | None, start: Start = "scratch"
    ) -> dict[str, Default]:
        """A small residual network; see ``boda.tasks.regression`` for the rest."""
        return {
            **recipe(model, survey, start),
            "augment": Default(
                "poses", "mirrored, turned, scaled, moved and lit, with their points"
            ),
        }

    def metrics(self, classes: Sequence[str]) -> Landmarks:
        """The normalized mean error and what stands beside it."""
        return Landmarks(classes)

    def update(
        self, metrics: Landmarks, outputs: np.ndarray, pictures: Pictures, index: Tensor
    ) -> None:
        """Points in pixels of the original pictures, against those that are marked."""
        for row, i in zip(outputs, index.tolist(), strict=True):
            sample = pictures.samples[i]
            metrics.update(_original(row, sample, pictures), _true(sample))

    def details(self, metrics: Landmarks) -> dict[str, Any]:
        """Per point, by what errors are divided, and how many pictures could be measured."""
        return {
            "per_class": metrics.per_point(),
            "normalizer": metrics.by.name,
            "measured": len(metrics.errors),
            "failure_above": FAILED,
        }

    def baseline(
        self, method: Method, classes: Sequence[str], pictures: Pictures
    ) -> dict[str, float]:
        """What one reaches who always says the mean shape of the training pictures."""
        assert isinstance(method, Pointer)
        collected = self.metrics(classes)
        height, width = method.size
        mean = method.mean_shape.cpu().numpy() * np.array([width, height])
        for sample in pictures.samples:
            collected.update(_original(mean, sample, pictures), _true(sample))
        return {"baseline_nme": collected.compute()["nme"]}

    def mistakes(
        self, classes: Sequence[str], outputs: np.ndarray, pictures: Pictures, most: int
    ) -> list[dict[str, Any]]:
        """The pictures with the largest error."""
        judge = Landmarks(classes)
        errors = [
            judge.update(_original(row, sample, pictures), _true(sample))
            for row, sample in zip(outputs, pictures.samples, strict=True)
        ]
        known = [i for i, error in enumerate(errors) if not math.isnan(error)]
        worst = sorted(known, key=lambda i: (-errors[i], i))[:most]
        found = []
        for i in worst:
            sample = pictures.samples[i]
            picture = sample.image if sample.read is None else sample.read()
            there = _true(sample)
            seen = there[:, 2] > 0 if there.shape[1] == 3 else np.ones(len(there), bool)
            said = _original(outputs[i], sample, pictures)
            found.append(
                {
                    "image": pointed(picture, there[seen, :2], said),
                    "source": sample.source,
                    "truth": f"{int(seen.sum())} points",
                    "predicted": "off by",
                    "score": errors[i],
                }
            )
        return found


def _original(points: np.ndarray, sample: Sample, pictures: Pictures) -> np.ndarray:
    """(K, 2) of the working picture in pixels of the original."""
    return pictures.preparation.moved_back(points, sample.shape)


def _true(sample: Sample) -> np.ndarray:
    assert sample.points is not None
    return sample.points


def _no_points(pictures: Pictures) -> DataError:
    return DataError(
        "some of the pictures to learn from have no points",
        file=pictures.samples[0].source,
        fix="Name data with points for every picture.",
    )


tasks.add("landmarks", Mark())
