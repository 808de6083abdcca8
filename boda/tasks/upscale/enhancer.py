"""``enhancer``: a network that enlarges, fitted by the difference of pixels.

Dong, Loy, He, Tang 2014 (arXiv 1501.00092) for the squared difference of patches; Lim et al. 2017
(EDSR, arXiv 1707.02921) for the absolute one, which they find the better for PSNR too, and for
patches that are turned and mirrored.

Deviations: pictures go in and come out from 0 to 1, whatever the paper has.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from boda.data.dataset import Batch, Pictures
from boda.data.prepare import Preparation
from boda.data.scaled import ScaledPictures
from boda.errors import UsageError, unknown
from boda.ops.autocast import without_autocast
from boda.ops.color import grayscale
from boda.progress import Progress
from boda.tasks.base import Method, methods
from boda.tasks.optimizing import Optimizing, optimizer
from boda.tasks.steps import Stage
from boda.tasks.upscale.features import features_of

LOSSES = {"l1": F.l1_loss, "l2": F.mse_loss}


@dataclass
class Config(Optimizing):
    """Settings of ``enhancer``."""

    weight_decay: float = field(default=0.0, metadata={"help": "not on norms and biases"})
    loss: str = field(default="l1", metadata={"help": "l1, or l2: the squared difference"})
    patch: int = field(default=24, metadata={"help": "small pixels of a patch's sides"})
    patches: int = field(default=16_000, metadata={"help": "that are learned from in an epoch"})
    features: str = field(
        default="",
        metadata={"help": "whose distance is measured too: MODEL:FILE, MODEL:imagenet or a run"},
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.loss not in LOSSES:
            raise unknown("loss", self.loss, LOSSES)
        if self.patch < 1 or self.patches < 1:
            raise UsageError(f"patch={self.patch} and patches={self.patches}: give 1 or more.")


@methods.register("enhancer")
class Enhancer(Method):
    """A small picture → a large one."""

    Config = Config
    task = "upscale"
    still = "its patches are turned and mirrored already"
    tunes = True  # all of it works on pixels: there is no head upon features

    def __init__(self, net: nn.Module, preparation: Preparation, config: Any) -> None:
        super().__init__(net, preparation, config)
        self.head = ""

    @classmethod
    def refuse(cls, config: dict[str, Any], classes: int, batch: int) -> None:
        """Features that are none."""
        super().refuse(config, classes, batch)
        if config["features"]:
            features_of(config["features"])

    def refuse_size(self) -> None:
        """Tiles of which nothing would be kept."""
        least = 2 * cast(int, self.net.reach) + 1
        if min(self.size) < least:
            raise UsageError(
                f"--size {self.size[0]}x{self.size[1]}: this network looks {self.net.reach} pixels "
                f"around each, so its tiles are {least} or more."
            )

    def begin(self, train: Pictures, progress: Progress | None = None) -> list[Stage]:
        """How large the patches are, and how many."""
        cast(ScaledPictures, train).cut(self.config.patch, self.config.patches)
        return []

    def order(self, pictures: Pictures, batch: int, seed: int, epoch: int) -> Tensor:
        """The numbers of an epoch's patches."""
        patches = cast(ScaledPictures, pictures).patches
        assert patches is not None
        return patches.order(seed, epoch)

    def forward(self, batch: Batch, turn: int = 0) -> dict[str, Tensor]:
        """The difference of what is made and what is there, of the luminance where that is all it makes."""
        made = self.net(self.normalize(batch.images)).float()
        truth = real(batch, made)
        if getattr(self.net, "luminance", False):
            made, truth = grayscale(made), grayscale(truth)
        return {self.config.loss: LOSSES[self.config.loss](made, truth)}

    def output(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) uint8 → (N, 3, s·H, s·W), 0 to 1; in float32 always: bfloat16 has 128 levels."""
        with without_autocast(images):
            return self.net(self.normalize(images)).clamp(0, 1)

    def optimizers(self, rate: float) -> list[torch.optim.Optimizer]:
        """The one that is named."""
        groups = self.groups(self.config.weight_decay, self.config.layer_decay)
        return [optimizer(groups, self.config.optimizer, rate)]


def real(batch: Batch, made: Tensor) -> Tensor:
    """The large pictures of a batch, 0 to 1, shaped as those that were made; black where there are none."""
    if batch.targets is None:
        return torch.zeros_like(made)
    return batch.targets.to(made.dtype, memory_format=torch.channels_last) / 255
