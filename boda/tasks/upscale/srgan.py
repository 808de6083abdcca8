"""``srgan``: a generator that is to look real, judged by a discriminator and in a network's features.

Ledig et al., "Photo-realistic single image super-resolution using a generative adversarial network",
2016, arXiv 1609.04802. The generator starts from one that was fitted by pixels; its loss is the
content, the distance in the features of a classifier, and a thousandth of the adversarial loss.

Deviations: features are compared by their directions, in several layers (``boda.ops.perceptual``);
the difference of pixels has a small share too, as in ESRGAN (Wang et al. 2018, arXiv 1809.00219),
which keeps colours in place. Without features the content is the pixels' difference alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor

from boda.data.dataset import Batch
from boda.errors import UsageError
from boda.models.srgan import SRGAN
from boda.ops.adversarial_losses import AdversarialLoss
from boda.ops.perceptual import perceptual_distance
from boda.tasks.base import methods
from boda.tasks.optimizing import optimizer
from boda.tasks.upscale import enhancer
from boda.tasks.upscale.enhancer import LOSSES, Enhancer, real
from boda.tasks.upscale.features import features_of

JUDGING, MAKING = 0, 1  # whose turn it is


@dataclass
class Config(enhancer.Config):
    """Settings of ``srgan``."""

    features: str = field(
        default="",
        metadata={"help": "learned by and measured in: MODEL:FILE, MODEL:imagenet or a run"},
    )
    content: float = field(default=1.0, metadata={"help": "weight of the features' distance"})
    pixels: float = field(default=1.0, metadata={"help": "weight of the pixels' difference"})
    adversarial: float = field(default=1e-3, metadata={"help": "weight of the adversarial loss"})

    def __post_init__(self) -> None:
        super().__post_init__()
        if not min(self.content, self.pixels, self.adversarial) >= 0:
            raise UsageError("content, pixels and adversarial must not be less than 0.")


@methods.register("srgan")
class SuperResolutionGAN(Enhancer):
    """Generator and discriminator, in turns; the discriminator's is first."""

    Config = Config
    keeps_last = True

    def forward(self, batch: Batch, turn: int = JUDGING) -> dict[str, Tensor]:
        """The losses of whose turn it is; those of the generator's turn are the history's."""
        net, loss = cast(SRGAN, self.net), AdversarialLoss()
        small = self.normalize(batch.images)
        if turn == JUDGING:
            with torch.no_grad():
                made = net.generator(small).float()
            told = net.discriminator(real(batch, made)), net.discriminator(made)
            if self.training:
                right = loss.accuracy(*told)
                self.noted["real_right"], self.noted["made_right"] = (r.detach() for r in right)
            return {"discriminator": loss.discriminator(*told)}
        config = self.config
        made = net.generator(small).float()
        truth = real(batch, made)
        losses = {"pixels": config.pixels * LOSSES[config.loss](made, truth)}
        if config.features:
            features = features_of(config.features, made.device.type)
            apart = perceptual_distance(features, made, truth).mean()
            losses["content"] = config.content * apart
        losses["adversarial"] = config.adversarial * loss.generator(net.discriminator(made))
        return losses

    def optimizers(self, rate: float) -> list[torch.optim.Optimizer]:
        """One for the discriminator, one for the generator."""
        net, config = cast(SRGAN, self.net), self.config
        return [
            optimizer(
                self._groups(list(part.parameters()), config.weight_decay), config.optimizer, rate
            )
            for part in (net.discriminator, net.generator)
        ]
