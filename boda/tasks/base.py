"""What every task and every method is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, Self

import numpy as np
import torch
from torch import Tensor, nn

from boda.data.dataset import Batch
from boda.data.prepare import Preparation, Rule
from boda.data.survey import Survey
from boda.models import parts
from boda.registry import Registry

Start = Literal["scratch", "head", "whole"]


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
    def defaults(
        self, survey: Survey, model: str | None, start: Start = "scratch"
    ) -> dict[str, Default]:
        """model, size, epochs, batch, rate, augment and the method's fields worth changing, with reasons.

        Args:
            survey: what the data looks like.
            model: the one that is wanted, or None.
            start: "scratch" with random weights; with weights from before the "whole" or its "head" learns.
        """

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
        frozen: how many blocks of the network, from the input on, keep their weights.
        thawing: whether frozen blocks are to learn later: each needs groups of its own in an optimizer.
        from_features: whether batches hold what the frozen blocks give, in the place of pictures.
    """

    Config: ClassVar[type]
    task: ClassVar[str]
    scale: Tensor
    shift: Tensor
    frozen = 0
    thawing = False
    from_features = False

    def __init__(self, net: nn.Module, preparation: Preparation, config: Any) -> None:
        super().__init__()
        self.net, self.config, self.channels = net, config, preparation.channels
        self.head = parts.head(net)[0]
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

    def logits(self, images: Tensor) -> Tensor:
        """What the network gives for uint8 pictures, or its head for features of them."""
        if self.from_features:
            return self.net.get_submodule(self.head)(images)
        return self.net(self.normalize(images))

    def freeze(self, count: int) -> None:
        """The first ``count`` blocks keep their weights and their running averages; the others learn."""
        self.frozen = count
        for number, block in enumerate(parts.blocks(self.net)):
            for module in block:
                module.requires_grad_(number >= count)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Training mode, but frozen blocks stay as in evaluation."""
        super().train(mode)
        if mode and self.frozen:
            row = parts.blocks(self.net)
            if self.frozen == len(
                row
            ):  # then no dropout before the head either: its input is fixed
                self.net.eval()
                self.net.get_submodule(self.head).train()
            for block in row[: self.frozen]:
                for module in block:
                    module.eval()
        return self

    def groups(self, weight_decay: float, layer_decay: float = 1.0) -> list[dict[str, Any]]:
        """What learns, in groups for an optimizer; what is one-dimensional (norms, biases) is not decayed.

        Args:
            weight_decay: of the weights.
            layer_decay: how much smaller the rate of each block is than that of the block behind it
                (discriminative rates: Howard, Ruder 2018, arXiv 1801.06146).
        """
        if layer_decay == 1 and not self.thawing:
            return self._groups(list(self.parameters()), weight_decay)
        row = parts.blocks(self.net)
        found, seen = [], set()
        for depth, block in enumerate(reversed(row), start=1):
            inside = [p for module in block for p in module.parameters()]
            seen |= {id(p) for p in inside}
            found += self._groups(inside, weight_decay, layer_decay**depth)
        rest = [p for p in self.parameters() if id(p) not in seen]
        return self._groups(rest, weight_decay) + found

    @staticmethod
    def _groups(
        parameters: list[nn.Parameter], weight_decay: float, share: float = 1.0
    ) -> list[dict[str, Any]]:
        learning = [p for p in parameters if p.requires_grad]
        groups: list[dict[str, Any]] = [
            {"params": [p for p in learning if p.ndim > 1], "weight_decay": weight_decay},
            {"params": [p for p in learning if p.ndim <= 1], "weight_decay": 0.0},
        ]
        return [{**group, "rate_share": share} for group in groups if group["params"]]

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
