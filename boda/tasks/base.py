"""What every task and every method is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from boda.data.dataset import Batch
from boda.data.prepare import Preparation, Rule
from boda.data.survey import Survey
from boda.registry import Registry


@dataclass(frozen=True)
class Default:
    """A value chosen by looking at the data, and why."""

    value: Any
    reason: str


class Metrics(Protocol):
    """Collects what a network put out and the truth; tells figures."""

    def update(self, outputs: np.ndarray, labels: np.ndarray) -> None:
        """Take in one batch."""

    def compute(self) -> dict[str, float]:
        """The figures over everything taken in, flat; the task's headline among them."""


class Task(ABC):
    """Fixes the data a task needs, its metrics and what a person gets who names nothing.

    Attributes:
        name: the word in the shell.
        headline: the metric that counts, larger is better.
        description: one sentence.
        rule: how pictures are brought to the working size.
    """

    name: ClassVar[str]
    headline: ClassVar[str]
    description: ClassVar[str]
    rule: ClassVar[Rule]

    @abstractmethod
    def defaults(self, survey: Survey, model: str | None) -> dict[str, Default]:
        """model, size, epochs, batch, rate, augment and the method's fields worth changing, with reasons."""

    @abstractmethod
    def metrics(self, classes: Sequence[str]) -> Metrics:
        """An empty collector."""

    @abstractmethod
    def details(self, metrics: Any) -> dict[str, Any]:
        """What ``evaluate`` tells beside the flat figures: per class, confusion and so on."""


class Method(nn.Module, ABC):
    """One way to fit a task: a network, its losses and its optimizers, as one plain module.

    Attributes:
        Config: a dataclass of at most a dozen fields with help texts (``field(metadata={"help": …})``).
        task: the name of its task.
    """

    Config: ClassVar[type]
    task: ClassVar[str]
    scale: Tensor
    shift: Tensor

    def __init__(self, net: nn.Module, preparation: Preparation, config: Any) -> None:
        super().__init__()
        self.net, self.config, self.channels = net, config, preparation.channels
        self.set_normalization(preparation)

    def set_normalization(self, preparation: Preparation) -> None:
        """Take over mean and deviation; they are the run's, not the weights', so not in the state dict."""
        shape = (1, preparation.channels, 1, 1)
        mean, std = torch.tensor(preparation.mean), torch.tensor(preparation.std)
        self.register_buffer("scale", (1 / (255 * std)).view(shape), persistent=False)
        self.register_buffer("shift", (-mean / std).view(shape), persistent=False)

    @abstractmethod
    def forward(self, batch: Batch, turn: int = 0) -> dict[str, Tensor]:
        """The scalar losses of a batch by name; the engine minimizes their sum.

        Args:
            batch: see ``Batch``.
            turn: which optimizer's turn it is, where there are two.
        """

    @abstractmethod
    def output(self, images: Tensor) -> Tensor:
        """(N, C, H, W) uint8 → what ``boda.outputs`` reads; this is what is exported."""

    @abstractmethod
    def optimizers(self, rate: float) -> list[torch.optim.Optimizer]:
        """One optimizer, or two that take turns; ``rate`` is the peak learning rate."""

    def normalize(self, images: Tensor) -> Tensor:
        """uint8 (N, 3 or channels, H, W) → float (N, channels, H, W), centred and scaled, channels last."""
        pixels = images.to(torch.float32, memory_format=torch.channels_last)
        if self.channels == 1 and images.shape[1] == 3:
            luma = pixels.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)  # Rec. 601, as Pillow
            pixels = (pixels * luma).sum(1, keepdim=True)
        return torch.addcmul(
            self.shift, pixels, self.scale
        )  # (pixels / 255 − mean) / std in one pass


tasks: Registry[Task] = Registry("task")
methods: Registry[type[Method]] = Registry("method")
