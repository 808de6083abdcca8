"""The task: a picture larger, with what bicubic interpolation loses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from boda import models
from boda.data.dataset import Pictures, decoded
from boda.data.low_resolution import paired
from boda.data.survey import Survey
from boda.enlarging import pixels
from boda.ops.color import to_chw, to_hwc
from boda.ops.perceptual import Features
from boda.ops.resampling import enlarge
from boda.tasks.base import Default, Method, Start, Task, tasks
from boda.tasks.upscale.collected import Collected
from boda.tasks.upscale.features import features_of
from boda.tasks.upscale.gallery import worst
from boda.types import Dataset

MODEL = "srresnet"
TILE = 128  # small pixels of a tile's sides, in which pictures are enlarged after the fit
WIDE = 192  # of networks that look farther around than a third of that
STEPS = {  # optimizer and rate
    "srresnet": ("muon", 5e-3),
    "srcnn": ("adamw", 1e-3),
    "srresnet-2016": ("adamw", 5e-4),
    "srgan": ("adamw", 2e-4),
}
EPOCHS = 20


class Upscale(Task):
    """Super-resolution: of pairs, or of pictures whose small ones are made.

    Args:
        features: in which the perceptual distance is measured; None: it is not.
        called: what a person calls them.
    """

    name = "upscale"
    headline = "psnr"
    description = "A picture two, three or four times as large."
    rule = "tiles"
    measured = False

    def __init__(self, features: Features | None = None, called: str = "") -> None:
        self.features, self.called = features, called

    def of(self, method: Method) -> Task:
        """With the distance in the features that the method's configuration names."""
        called = method.config.features
        if not called:
            return self
        return Upscale(features_of(called, method.scale.device.type), called)

    def arranged(self, dataset: Dataset, settings: dict[str, Any]) -> Dataset:
        """Pairs of the network's scale; of single pictures the small ones are made."""
        return paired(dataset, settings["scale"])

    def defaults(
        self, survey: Survey, model: str | None, start: Start = "scratch"
    ) -> dict[str, Default]:
        """A small residual network at the scale of the data."""
        entry = models.entry(model or MODEL)
        with torch.device("meta"):
            reach = cast(int, models.create(entry.name).reach)
        tile = WIDE if 3 * reach > TILE else TILE
        steps = STEPS.get(entry.name, STEPS["srresnet-2016"])
        why = f"{'tried' if entry.name == MODEL else 'usual, not tried,'} for {entry.name}"
        scale = Default(entry.options["scale"], "the data is no pairs; 2, 3 or 4, as you like")
        if survey.scale:
            scale = Default(survey.scale, "the data's pairs are so")
        return {
            "model": Default(
                entry.name, "you named it" if model else "residual blocks at the small size"
            ),
            "scale": scale,
            "size": Default(f"{tile}x{tile}", "of the tiles in which any picture is enlarged"),
            "batch": Default(16, "patches; every pixel of them teaches"),
            "epochs": Default(EPOCHS, "of as many patches as ``patches`` says"),
            "optimizer": Default(steps[0], why),
            "rate": Default(steps[1], why),
            "ema": Default(0.999, "averaged weights enlarge better than the last ones"),
            "clip": Default(1.0, "one patch must not throw everything over"),
            "channels": Default(3, "red, green and blue, also of gray pictures"),
            "augment": Default("none", "patches are turned and mirrored already"),
        }

    def metrics(self, classes: Sequence[str]) -> Collected:
        """PSNR and SSIM, the perceptual distance where features are named."""
        return Collected(self.features)

    def update(
        self, metrics: Collected, outputs: np.ndarray, pictures: Pictures, index: Tensor
    ) -> None:
        """What was made, in whole levels, against the large pictures."""
        for planes, i in zip(outputs, index.tolist(), strict=True):
            metrics.add(pixels(planes), pictures.samples[i])

    def details(self, metrics: Collected) -> dict[str, Any]:
        """The figures of each picture, and in whose features the distance is."""
        named = {"compared_in": self.called} if self.called else {}
        return {"per_picture": metrics.rows, **named}

    def condensed(self, outputs: np.ndarray) -> np.ndarray:
        """(N,) of pictures (H, W, 3) uint8: they differ in size."""
        made = np.empty(len(outputs), object)
        for i, planes in enumerate(outputs):
            made[i] = pixels(planes)
        return made

    def baseline(
        self, method: Method, classes: Sequence[str], pictures: Pictures
    ) -> dict[str, float]:
        """What bicubic interpolation reaches: ``bicubic_psnr`` and so on."""
        plain = Collected(self.features)
        for sample in pictures.samples:
            low = to_chw(torch.tensor(decoded(sample)))
            plain.add(to_hwc(enlarge(low, cast(int, method.net.scale))).numpy(), sample)
        return {f"bicubic_{name}": value for name, value in plain.compute().items()}

    def mistakes(
        self, classes: Sequence[str], outputs: np.ndarray, pictures: Pictures, most: int
    ) -> list[dict[str, Any]]:
        """The pictures of the lowest PSNR, where they are farthest from the truth."""
        return worst(list(outputs), pictures, most)


tasks.add("upscale", Upscale())
