"""One class for every picture: softmax over logits, cross entropy, fitted by stochastic gradients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from boda import models
from boda.data.dataset import Batch, Pictures
from boda.data.prepare import Preparation
from boda.data.survey import Survey
from boda.errors import UsageError
from boda.metrics.classification import Classification
from boda.tasks.base import Default, Method, Start, Task, methods, tasks
from boda.tasks.optimizing import CHOICE, Optimizing, optimizer

SMALL = 40  # pixels; larger pictures want a network that strides
DEEP = 1_000_000  # parameters
AUXILIARY = (
    0.3  # share in the loss of heads within the network: Szegedy et al. 2014, arXiv 1409.4842
)


@dataclass
class Config(Optimizing):
    """Settings of ``classifier``."""

    optimizer: str = field(default="sgd", metadata={"help": CHOICE})
    weight_decay: float = field(default=5e-4, metadata={"help": "not on norms and biases"})
    label_smoothing: float = field(default=0.0, metadata={"help": "0 to 1, Szegedy 2015"})
    class_weights: tuple[float, ...] = field(
        default=(), metadata={"help": "of the loss, one a class; --balance sets them"}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(not weight >= 0 for weight in self.class_weights):
            raise UsageError("class_weights must not be less than 0.")
        if not 0 <= self.label_smoothing < 1:
            raise UsageError(f"label_smoothing is {self.label_smoothing}; it is from 0 to below 1.")


@methods.register("classifier")
class Classifier(Method):
    """Logits → softmax; the loss is cross entropy."""

    Config = Config
    task = "classify"

    class_weights: Tensor | None

    def __init__(self, net: nn.Module, preparation: Preparation, config: Any) -> None:
        super().__init__(net, preparation, config)
        weights = torch.tensor(config.class_weights) if config.class_weights else None
        self.register_buffer("class_weights", weights, persistent=False)

    def forward(self, batch: Batch, turn: int = 0) -> dict[str, Tensor]:
        """{"loss": cross entropy}, and "auxiliary" where the network has heads within.

        Of mixed pictures it is that of both labels by their shares.
        """
        outputs: Tensor | tuple[Tensor, ...] = self.logits(batch.images)
        logits, *within = outputs if isinstance(outputs, tuple) else (outputs,)
        losses = {"loss": self._loss(logits.float(), batch)}
        if within:
            both = [self._loss(each.float(), batch) for each in within]
            losses["auxiliary"] = AUXILIARY * torch.stack(both).sum()
        return losses

    def _loss(self, logits: Tensor, batch: Batch) -> Tensor:
        if batch.mixed is None:
            return self._cross_entropy(logits, batch.labels, "mean")
        partners, own = batch.mixed
        loss = own * self._cross_entropy(logits, batch.labels)
        loss = loss + (1 - own) * self._cross_entropy(logits, partners)
        if self.class_weights is None:
            return loss.mean()
        weights = own * self.class_weights[batch.labels] + (1 - own) * self.class_weights[partners]
        return loss.sum() / weights.sum()

    def _cross_entropy(self, logits: Tensor, labels: Tensor, reduction: str = "none") -> Tensor:
        smoothing = self.config.label_smoothing
        return F.cross_entropy(
            logits, labels, self.class_weights, reduction=reduction, label_smoothing=smoothing
        )

    def output(self, images: Tensor) -> Tensor:
        """(N, C, H, W) uint8 → (N, classes) probabilities."""
        return self.logits(images).float().softmax(1)

    def optimizers(self, rate: float) -> list[torch.optim.Optimizer]:
        """SGD or AdamW; what is one-dimensional (norms, biases) is not decayed."""
        groups = self.groups(self.config.weight_decay, self.config.layer_decay)
        return [optimizer(groups, self.config.optimizer, rate)]


class Classify(Task):
    """Classification: the whole picture is one thing."""

    name = "classify"
    headline = "accuracy"
    description = "One class for every picture."
    rule = "crop"

    def defaults(
        self, survey: Survey, model: str | None, start: Start = "scratch"
    ) -> dict[str, Default]:
        """LeNet-5 for small gray pictures, ResNet-20 for small colour ones, else one that strides."""
        side = max(survey.height, survey.width)
        kind = "gray" if survey.gray else "colour"
        seen = f"{kind} pictures of about {survey.height}×{survey.width}"
        if model is not None:
            chosen = Default(model, "you named it")
        elif side > SMALL:
            chosen = Default("resnet20-strided", f"{seen}: a network that strides down first")
        elif survey.gray:
            chosen = Default("lenet5", f"{seen}: small and gray, as in LeNet-5's paper")
        else:
            chosen = Default("resnet20", f"{seen}: small and in colour, as in CIFAR")
        entry = models.entry(chosen.value)
        defaults = {
            "model": chosen,
            "size": _size(entry, survey),
            **_recipe(entry, survey, start),
        }
        defaults["channels"] = Default(1 if survey.gray else 3, seen)
        defaults["augment"] = _augmentation(survey)
        return defaults

    def metrics(self, classes: Sequence[str]) -> Classification:
        """Accuracy and what stands beside it."""
        return Classification(list(classes))

    def update(
        self, metrics: Classification, outputs: np.ndarray, pictures: Pictures, index: Tensor
    ) -> None:
        """Probabilities and labels."""
        metrics.update(outputs, pictures.labels[index].numpy())

    def details(self, metrics: Classification) -> dict[str, Any]:
        """Per class, the confusion matrix, and the bins of the calibration."""
        return {
            "per_class": metrics.per_class(),
            "confusion": metrics.confusion().tolist(),
            "calibration": metrics.calibration(),
        }

    def mistakes(
        self, classes: Sequence[str], outputs: np.ndarray, pictures: Pictures, most: int
    ) -> list[dict[str, Any]]:
        """The pictures that were wrong, the surest first."""
        labels = pictures.labels.numpy()
        best = outputs.argmax(1)
        wrong = np.flatnonzero(best != labels)
        worst = wrong[np.argsort(-outputs[wrong, best[wrong]], kind="stable")][:most]
        return [
            {
                "image": np.broadcast_to(image := pictures.prepared(int(i)), (*image.shape[:2], 3)),
                "source": pictures.samples[int(i)].source,
                "truth": classes[labels[i]],
                "predicted": classes[best[i]],
                "score": float(outputs[i, best[i]]),
            }
            for i in worst
        ]


tasks.add("classify", Classify())


def _size(entry: models.Entry, survey: Survey) -> Default:
    paper = entry.size[0]
    if max(survey.height, survey.width) <= SMALL or min(survey.height, survey.width) >= paper:
        return Default(paper, f"the size {entry.name} was published for")
    side = max(entry.smallest, 32 * max(1, round(min(survey.height, survey.width) / 32)))
    return Default(side, f"the pictures are about {survey.height}×{survey.width}; a multiple of 32")


def _recipe(entry: models.Entry, survey: Survey, start: Start) -> dict[str, Default]:
    """Optimizer, rate, batch and epochs: networks with batch norms like SGD, the others Adam."""
    if start == "head":
        optimizer, rate, decay = "adamw", 1e-3, 0.01
        reason = "one layer on features of fixed scale: Adam's steps fit any network's"
    elif entry.name.startswith(("lenet", "mlp")):
        optimizer, rate, decay = "adamw", 3e-3, 0.01
        reason = "tanh and dense layers learn fastest with Adam's steps"
    elif not entry.normalizes:
        deep = entry.parameters > DEEP
        optimizer, rate, decay = "adamw", 3e-4 if deep else 1e-3, 0.01
        reason = "without batch norms SGD's large steps may lead astray: Adam's are of one size"
    else:
        optimizer, rate, decay = "sgd", 0.2, 5e-4
        reason = "networks with batch norms generalize best with SGD and momentum"
    good = start == "whole" and optimizer == "sgd"  # Adam's steps are small anyway
    gently = "; a tenth, since the weights are good already" if good else ""
    rate = rate / 10 if gently else rate
    batch, why = 128, "large enough to keep the processor busy, small enough to generalize"
    while batch > 16 and survey.samples / batch < 20:
        batch //= 2
        rate /= math.sqrt(2) if optimizer == "adamw" else 2
        why = f"{survey.samples} pictures: small batches, so that an epoch has enough steps"
    epochs = int(min(60, max(10, 300_000 / max(1, survey.samples))))
    return {
        "optimizer": Default(optimizer, reason),
        "rate": Default(rate, f"usual for {optimizer} with batches of {batch}{gently}"),
        "batch": Default(batch, why),
        "weight_decay": Default(decay, f"usual for {optimizer}"),
        "epochs": Default(
            epochs, f"{survey.samples} pictures: about 300,000 looks, 10 to 60 epochs"
        ),
    }


def _augmentation(survey: Survey) -> Default:
    if max(survey.height, survey.width) > SMALL:
        return Default("photos", "photographs: mirrored, zoomed, shifted, lit otherwise")
    if survey.gray:
        return Default(
            "digits", "small gray pictures may be writing: moved a little, never mirrored"
        )
    return Default("light", "small colour pictures: mirrored and shifted, as for CIFAR")
