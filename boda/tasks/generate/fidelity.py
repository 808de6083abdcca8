"""How like real pictures made ones are as a whole, and how unlike each other."""

from __future__ import annotations

from typing import Any

import numpy as np

from boda.metrics import NothingToMeasure
from boda.metrics.diversity import class_histogram, mean_distance
from boda.metrics.frechet import Fidelity, Moments, frechet_distance
from boda.tasks.generate.features import Features

COLLAPSED = 0.1  # of the real pictures' diversity


class Likeness:
    """FID, KID and diversity of made pictures, by one kind of features; keeps the features of all.

    Args:
        features: what pictures are compared by.
    """

    def __init__(self, features: Features) -> None:
        self.features = features
        self._both = Fidelity(features.name)
        self._halves = Moments(), Moments()
        self._real: list[np.ndarray] = []
        self._made: list[np.ndarray] = []
        self._said: list[np.ndarray] = []

    def update(self, real: np.ndarray, made: np.ndarray) -> None:
        """Take in pictures, (N, C, H, W) uint8 each."""
        theirs, _ = self.features(real)
        ours, said = self.features(made)
        self._both.update_real(theirs)
        self._both.update(ours)
        for half, moments in enumerate(self._halves):  # neighbours may be of one class: alternate
            moments.update(theirs[half::2])
        self._real.append(theirs)
        self._made.append(ours)
        self._said.append(said)

    def compute(self) -> dict[str, float]:
        """The figures.

        Returns:
            ``fid``; ``real_fid``, of one half of the real pictures against the other, which is what
            can be reached with half as many, where there are four; ``kid``; ``diversity``, the mean
            distance of two made pictures as a share of that of two real ones; and with a classifier
            ``confidence`` and how often it sees its classes.

        Raises:
            NothingToMeasure: fewer than two pictures.
        """
        if not self._real:
            raise NothingToMeasure("there are no pictures to compare with")
        figures = self._both.compute()
        del figures["kid_deviation"]
        real = mean_distance(np.concatenate(self._real))
        if min(half.count for half in self._halves) > 1:
            figures["real_fid"] = frechet_distance(*self._halves)
        figures["diversity"] = mean_distance(np.concatenate(self._made)) / max(real, 1e-9)
        if self.features.classes:
            figures |= self._histogram().figures()
        return figures

    def _histogram(self) -> Any:
        return class_histogram(np.concatenate(self._said), self.features.classes)

    def details(self) -> dict[str, Any]:
        """Which features, what a reader should know of them, and how often each class was seen."""
        about: dict[str, Any] = {"features": self.features.name, "remarks": self._remarks()}
        if self.features.classes:
            found = self._histogram()
            about["per_class"] = {
                name: {"share": share, "support": int(count)}
                for (name, share), count in zip(found.shares.items(), found.counts, strict=True)
            }
        return about

    def _remarks(self) -> list[str]:
        diversity = self.compute()["diversity"]
        told = [self._both.remark, collapse(diversity)]
        return [each for each in told if each]


def collapse(diversity: float | None) -> str:
    """What to say where made pictures are nearly all alike."""
    if diversity is None or diversity >= COLLAPSED:
        return ""
    return (
        f"the generator has collapsed: its pictures are {100 * diversity:.0f} % as far apart as real "
        "ones. Try a smaller --lr, --set norm=spectral with --set loss=hinge, or another --seed."
    )
