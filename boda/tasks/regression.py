"""What the methods share that let a network for classification tell places.

A global average does not lose them: zero padding lets the maps know where they are (Islam, Jia,
Bruce 2020, arXiv 2001.08248). On drawn objects ResNet-20 with its average told boxes better after
equally many looks than with a dense layer on its 4×4 map, or on the maps' centres of mass.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from boda import models
from boda.data.dataset import Batch
from boda.data.survey import Survey
from boda.tasks.base import Default, Method, Start
from boda.tasks.optimizing import optimizer

AUXILIARY = (
    0.3  # share in the loss of heads within the network: Szegedy et al. 2014, arXiv 1409.4842
)
LARGEST, STEP = 96, 32  # pixels of the working picture, and what its side is a multiple of
DEEP = 1_000_000  # parameters
LOOKS = 60_000  # at pictures, in a fit


class Regressor(Method):
    """A method whose network puts out a row of numbers a picture."""

    located = True

    @abstractmethod
    def losses(self, numbers: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The scalar losses of (N, values) float32 numbers."""

    def forward(self, batch: Batch, turn: int = 0) -> dict[str, Tensor]:
        """The losses, and "auxiliary" where the network has heads within."""
        outputs: Tensor | tuple[Tensor, ...] = self.logits(batch.images)
        numbers, *within = outputs if isinstance(outputs, tuple) else (outputs,)
        losses = self.losses(numbers.float(), batch)
        if within:
            both = [loss for each in within for loss in self.losses(each.float(), batch).values()]
            losses["auxiliary"] = AUXILIARY * torch.stack(both).sum()
        return losses

    def optimizers(self, rate: float) -> list[torch.optim.Optimizer]:
        """SGD or AdamW; what is one-dimensional (norms, biases) is not decayed."""
        groups = self.groups(self.config.weight_decay, self.config.layer_decay)
        return [optimizer(groups, self.config.optimizer, rate)]


def recipe(model: str | None, survey: Survey, start: Start) -> dict[str, Default]:
    """Network, size, optimizer, rate, batch and epochs.

    Args:
        model: the one that is wanted, or None.
        survey: of the data.
        start: with what it begins.
    """
    chosen = Default(model, "you named it")
    if model is None:
        chosen = Default("resnet20-strided", "small, for pictures of about 64 to 256 pixels")
    entry = models.entry(chosen.value)
    side = max(survey.height, survey.width)
    side = max(entry.smallest, min(LARGEST, max(64, STEP * round(side / STEP))))
    seen = f"{survey.samples:,} pictures"
    batch, why = 32, "small batches: places are learned in many steps"
    while batch > 8 and survey.samples / batch < 12:
        batch //= 2
        why = f"{seen}: small batches, so that an epoch has enough steps"
    if start != "scratch":
        rate, reason = 5e-4, "the weights are good already"
    elif entry.normalizes:
        rate, reason = 2e-3, "with batch norms AdamW may take large steps"
    else:
        rate = 3e-4 if entry.parameters > DEEP else 1e-3
        reason = "without batch norms large steps may lead astray"
    epochs = int(min(300, max(5, LOOKS / max(1, survey.samples))))
    gray = survey.gray
    return {
        "model": chosen,
        "size": Default(
            side, f"pictures of about {survey.height}×{survey.width}; a multiple of 32, at most 96"
        ),
        "optimizer": Default("adamw", "coordinates are learned fastest with Adam's steps"),
        "rate": Default(rate, reason),
        "batch": Default(batch, why),
        "epochs": Default(epochs, f"{seen}: about {LOOKS:,} looks, 5 to 300 epochs"),
        "clip": Default(10.0, "a picture far off must not throw everything over"),
        "ema": Default(0.999, "averaged weights tell places more exactly than the last ones"),
        "channels": Default(1 if gray else 3, "gray pictures" if gray else "colour"),
    }
