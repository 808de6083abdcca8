"""``segmenter``: softmax over the classes at every pixel, fitted by the losses that ``loss`` adds up.

Long, Shelhamer, Darrell 2014, arXiv 1411.4038, for the loss over all pixels; Ronneberger, Fischer,
Brox 2015, arXiv 1505.04597, for weights at the borders of things and for pictures that are continued
by their mirror image where a network gives less than it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from boda.data.dataset import Batch, Pictures
from boda.data.prepare import Preparation
from boda.errors import UsageError, unknown
from boda.models.upsampling import pool
from boda.ops.borders import boundary_weights
from boda.ops.segmentation_losses import PixelLosses
from boda.tasks.base import Default, Method, methods
from boda.tasks.optimizing import Optimizing, optimizer
from boda.tasks.segment.balance import balanced
from boda.tasks.steps import Step
from boda.types import IGNORED, is_ground

EVENED = 0.5  # power of median frequency balancing: a whole one takes too much from common classes
LOSSES = ("cross-entropy", "dice", "focal")


@dataclass
class Config(Optimizing):
    """Settings of ``segmenter``."""

    weight_decay: float = field(default=0.01, metadata={"help": "not on norms and biases"})
    loss: str = field(
        default="cross-entropy+dice", metadata={"help": "cross-entropy, dice, focal, or a sum: a+b"}
    )
    class_weights: tuple[float, ...] = field(
        default=(),
        metadata={"help": "of cross entropy and focal loss, one a class; --balance sets them"},
    )
    borders: float = field(
        default=0.0,
        metadata={"help": "how much more pixels between things count at most; U-Net's paper: 10"},
    )
    ground: int = field(
        default=0, metadata={"help": "the class that lies between things, for borders; -1 = none"}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.loss.split("+"):
            if name not in LOSSES:
                raise unknown("loss", name, LOSSES)
        if any(not weight >= 0 for weight in self.class_weights):
            raise UsageError("class_weights must not be less than 0.")
        if not self.borders >= 0:
            raise UsageError("borders must not be less than 0.")
        if self.borders and "cross-entropy" not in self.loss.split("+"):
            raise UsageError("borders weigh the cross entropy: name it in loss.")


class Unpooling(Protocol):
    """A network that puts values back where the maxima of a pooling stood.

    Attributes:
        down: the levels of the way down, with poolings between them; as many as ``up`` has levels.
        up: those of the way up.
    """

    down: nn.ModuleList
    up: nn.ModuleList

    def encoded(self, values: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """What ``decode`` takes: of each level its map, the pooled one and the switches, in turn."""
        ...

    def decode(self, size: tuple[int, int], *values: Tensor) -> Tensor:
        """Logits of pictures of (H, W) pixels from what ``encoded`` gave."""
        ...


@methods.register("segmenter")
class Segmenter(Method):
    """Logits for every pixel → softmax."""

    Config = Config
    task = "segment"
    located = True

    class_weights: Tensor | None

    def __init__(self, net: nn.Module, preparation: Preparation, config: Any) -> None:
        super().__init__(net, preparation, config)
        weights = torch.tensor(config.class_weights) if config.class_weights else None
        self.register_buffer("class_weights", weights, persistent=False)

    @classmethod
    def learned(
        cls, train: Pictures, options: dict[str, Any], classes: Sequence[str]
    ) -> dict[str, Default]:
        """Which class is the ground, and how much the classes count."""
        assert train.semantic is not None
        named = is_ground(classes[0])
        why = f"{classes[0]} is what lies between things" if named else "every class is a thing"
        weights = balanced(train.semantic, len(classes), EVENED)
        return {
            "ground": Default(0 if named else -1, why),
            "class_weights": Default(
                weights, "rare classes count more: the root of median frequency"
            ),
        }

    @classmethod
    def refuse(cls, config: dict[str, Any], classes: int, batch: int) -> None:
        """A ground that is no class."""
        super().refuse(config, classes, batch)
        if not -1 <= config["ground"] < classes:
            raise UsageError(
                f"ground={config['ground']}, and the classes are 0 to {classes - 1}; -1 = none."
            )

    def logits(self, images: Tensor) -> Tensor:
        """(N, C, H, W) uint8 → (N, classes, H, W)."""
        x = self.normalize(images)
        margins: Callable[..., tuple[int, int, int, int]] | None
        margins = getattr(self.net, "margins", None)
        if margins is None:
            return self.net(x)
        height, width = x.shape[-2:]
        return self.net(_continued(x, *margins(height, width)))[..., :height, :width]

    def forward(self, batch: Batch, turn: int = 0) -> dict[str, Tensor]:
        """The losses that ``loss`` names; pixels of the class 255 count in none."""
        target = batch.semantic
        if target is None:
            target = batch.images.new_full(batch.images[:, 0].shape, IGNORED)
        of_pixels, losses = PixelLosses(self.logits(batch.images), target), {}
        for name in self.config.loss.split("+"):
            if name == "cross-entropy":
                losses[name] = of_pixels.cross_entropy(self.class_weights, self._pixels(target))
            elif name == "dice":
                losses[name] = of_pixels.dice()
            else:
                losses[name] = of_pixels.focal(weights=self.class_weights)
        return losses

    def _pixels(self, target: Tensor) -> Tensor | None:
        """(N, H, W) weights 1 + w(x), the paper's, where they are asked for."""
        if not self.config.borders:
            return None
        maps = target.cpu().numpy()
        ground = None if self.config.ground < 0 else self.config.ground
        made = [
            torch.from_numpy(boundary_weights(each, w0=self.config.borders, background=ground))
            for each in maps
        ]
        return 1 + torch.stack(made).to(target.device, torch.float32)

    def output(self, images: Tensor) -> Tensor:
        """(N, C, H, W) uint8 → (N, classes, H, W) probabilities."""
        return self.logits(images).float().softmax(1)

    def steps(self) -> tuple[Step, ...]:
        """Where maxima stood is decided by every pooling of networks that un-pool; others have one step.

        In flat parts of a picture rounding decides, so that a pooling is a step of its own.
        """
        if not getattr(self.net, "unpools", False):
            return (Step(self.output),)
        net, rows = cast(Unpooling, self.net), []
        for level in range(len(net.down)):
            rows.append(Step(partial(self._convolved, level)))
            if level < len(net.up):
                rows.append(Step(_pooled))
        return (*rows, Step(self._decoded))

    def _convolved(self, level: int, *values: Tensor) -> Tensor:
        """A level of the way down: of the pictures, or of the last pooling's map, before its switches."""
        x = values[-2] if level else self.normalize(values[0])
        return cast(Unpooling, self.net).down[level](x)

    def _decoded(self, *values: Tensor) -> Tensor:
        net = cast(Unpooling, self.net)
        return net.decode(self.size, *net.encoded(values)).float().softmax(1)

    def optimizers(self, rate: float) -> list[torch.optim.Optimizer]:
        """The one that is named; what is one-dimensional (norms, biases) is not decayed."""
        groups = self.groups(self.config.weight_decay, self.config.layer_decay)
        return [optimizer(groups, self.config.optimizer, rate)]


def _pooled(*values: Tensor) -> tuple[Tensor, Tensor]:
    return pool(values[-1])


def _continued(x: Tensor, top: int, bottom: int, left: int, right: int) -> Tensor:
    """Continued by its mirror image, or by its edge where the picture is too small for that."""
    height, width = x.shape[-2:]
    mirrored = max(top, bottom) < height and max(left, right) < width
    return F.pad(x, (left, right, top, bottom), mode="reflect" if mirrored else "replicate")
