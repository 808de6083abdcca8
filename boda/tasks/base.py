"""What every task and every method is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self, cast

import numpy as np
import torch
from torch import Tensor, nn

from boda.data.dataset import Batch, Pictures, epoch_order
from boda.data.prepare import Preparation, Rule
from boda.data.survey import Survey
from boda.errors import UsageError
from boda.models import Entry, parts
from boda.ops.color import grayscale
from boda.progress import Progress
from boda.registry import Registry
from boda.tasks.steps import Stage
from boda.types import Dataset

Start = Literal["scratch", "head", "whole"]


@dataclass(frozen=True)
class Default:
    """A value chosen by looking at the data, and why."""

    value: Any
    reason: str


class Task(ABC):
    """Fixes the data a task needs, its metrics and what a person gets who names nothing.

    Attributes:
        name: the word in the shell.
        headline: the metric that counts.
        smaller: whether a smaller headline is better.
        description: one sentence.
        rule: how pictures are brought to the working size.
        method: how a network that is registered for another task is fitted for this one; such
            networks are refused where it is empty.
        borrows: the task whose networks it takes.
        pairing: its network for pairs that are made of each picture; empty where there is none.
        measured: whether pictures are centred and scaled as those of train measure; else the
            networks take them as they are, 0 to 1.
    """

    name: ClassVar[str]
    headline: ClassVar[str]
    smaller: ClassVar[bool] = False
    description: ClassVar[str]
    rule: ClassVar[Rule]
    method: ClassVar[str] = ""
    borrows: ClassVar[str] = ""
    measured: ClassVar[bool] = True
    pairing: ClassVar[str] = ""

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

    def method_of(self, entry: Entry) -> str:
        """The name of the method that fits a registered network for this task.

        Raises:
            UsageError: it is a network for another task.
        """
        if entry.task == self.name:
            return entry.method
        if entry.task == self.borrows:
            return self.method
        raise UsageError(f"{entry.name} is a network for {entry.task}, not for {self.name}.")

    def arranged(self, dataset: Dataset, settings: dict[str, Any]) -> Dataset:
        """The data as a network with these settings learns from it, or is measured on it.

        Args:
            dataset: as it was read.
            settings: the network's options and the method's configuration.

        Raises:
            UsageError: the settings are of other data.
        """
        return dataset

    def of(self, method: Method) -> Task:
        """This task, as the outputs of one of its methods are to be read; itself where all are alike."""
        return self

    @abstractmethod
    def metrics(self, classes: Sequence[str]) -> Any:
        """An empty collector; its ``compute()`` tells the figures, flat, the headline among them."""

    @abstractmethod
    def update(self, metrics: Any, outputs: np.ndarray, pictures: Pictures, index: Tensor) -> None:
        """Let the collector take in what a method put out for the pictures at ``index``."""

    @abstractmethod
    def details(self, metrics: Any) -> dict[str, Any]:
        """What ``evaluate`` tells beside the flat figures: per class, confusion and so on."""

    def condensed(self, outputs: np.ndarray) -> np.ndarray:
        """What ``mistakes`` needs of outputs, which are kept for all pictures: less, where they are large."""
        return outputs

    def baseline(
        self, method: Method, classes: Sequence[str], pictures: Pictures
    ) -> dict[str, float]:
        """Figures of what anyone reaches without a network, told beside the method's own."""
        return {}

    def illustrate(self, method: Method, pictures: Pictures) -> np.ndarray | None:
        """What a method makes so far, as one picture (H, W, 3) uint8, written after an epoch.

        It draws none of torch's default random numbers: those are the fit's.

        Args:
            method: of this task.
            pictures: of val, of train where there is none.

        Returns:
            The picture; None where the task makes none.
        """
        return None

    def remark(self, row: dict[str, Any]) -> str:
        """What a person should be told of an epoch, by its row of the history; empty for nothing."""
        return ""

    @abstractmethod
    def mistakes(
        self, classes: Sequence[str], outputs: np.ndarray, pictures: Pictures, most: int
    ) -> list[dict[str, Any]]:
        """At most ``most`` of the worst mistakes, the worst first.

        Args:
            classes: the names.
            outputs: of all pictures, in their order, ``condensed``.
            pictures: with what is true of them.
            most: of them.

        Returns:
            ``{"image", "source", "truth", "predicted", "score"}`` each.
        """


class Method(nn.Module, ABC):
    """One way to fit a task: a network, its losses and its optimizers, as one plain module.

    Attributes:
        Config: a dataclass of at most a dozen fields with help texts (``field(metadata={"help": …})``).
        task: the name of its task.
        head: name of the network's last layer, whose input can be kept; empty where more is behind it.
        frozen: how many blocks of the network, from the input on, keep their weights.
        thawing: whether frozen blocks are to learn later: each needs groups of its own in an optimizer.
        from_features: whether batches hold what the frozen blocks give, in the place of pictures.
        size: (H, W) of the working pictures.
        located: whether what it learns has places, which move with augmented pictures.
        still: why pictures cannot be augmented; empty where they can.
        unexportable: why it cannot become an ONNX file; empty where it can.
        concludes: whether ``conclude`` makes it whole, so that nothing can be measured before.
        keeps_last: whether the last weights are kept, whatever val says of them: of adversaries no
            figure tells which are better.
        tunes: whether all of a network that was fitted before learns, however few the pictures are.
        adjustable: settings that may be chosen anew of what was fitted, since its weights do not hang on
            them.
        reserve: seconds that ``conclude`` will take, as far as ``begin`` can tell.
        together: how many neighbours in an epoch's order go to the same one of several processes.
        noted: what ``forward`` tells of its batch beside the losses, scalars by name without gradients,
            each in one of the turns; an epoch's history has their means over the pictures as
            ``train_<name>``.
    """

    Config: ClassVar[type]
    task: ClassVar[str]
    still: ClassVar[str] = ""
    unexportable: ClassVar[str] = ""
    concludes: ClassVar[bool] = False
    keeps_last: ClassVar[bool] = False
    tunes: ClassVar[bool] = False
    adjustable: ClassVar[tuple[str, ...]] = ()
    together = 1
    reserve = 0.0
    scale: Tensor
    shift: Tensor
    frozen = 0
    thawing = False
    from_features = False
    located = False

    def __init__(self, net: nn.Module, preparation: Preparation, config: Any) -> None:
        super().__init__()
        self.net, self.config, self.channels = net, config, preparation.channels
        self.noted: dict[str, Tensor] = {}
        self.size = preparation.height, preparation.width
        self.head = "" if parts.backbone(net) is not None else parts.head(net)[0]
        self.set_normalization(preparation)

    def set_normalization(self, preparation: Preparation) -> None:
        """Take over mean and deviation; they are the run's, not the weights', so not in the state dict."""
        shape = (1, preparation.channels, 1, 1)
        mean, std = torch.tensor(preparation.mean), torch.tensor(preparation.std)
        self.register_buffer("scale", (1 / (255 * std)).view(shape), persistent=False)
        self.register_buffer("shift", (-mean / std).view(shape), persistent=False)

    @classmethod
    def values(cls, classes: int) -> int:
        """How many "classes" the network is built with, where the data has so many."""
        return classes

    @classmethod
    def sized(cls, height: int, width: int) -> dict[str, Any]:
        """The options of a network that is built for one size of pictures.

        Raises:
            UsageError: it cannot be built for this one.
        """
        return {}

    @classmethod
    def learned(
        cls, train: Pictures, options: dict[str, Any], classes: Sequence[str]
    ) -> dict[str, Default]:
        """What in the configuration follows from the training pictures, such as anchor shapes.

        Args:
            train: the prepared pictures.
            options: of the network.
            classes: the names.
        """
        return {}

    def describe(self) -> dict[str, Default]:
        """What a person should know of this network and its output, beside the choices."""
        return {}

    @classmethod
    def prefers(cls, survey: Survey, start: Start) -> dict[str, Default]:
        """What of its task's defaults is otherwise for this method."""
        return {}

    @classmethod
    def refuse(cls, config: dict[str, Any], classes: int, batch: int) -> None:
        """Settings that do not fit the data or each other, before anything is done.

        Args:
            config: the settings, by name.
            classes: how many the data has.
            batch: pictures a step.

        Raises:
            UsageError: they do not.
        """
        given = config.get("class_weights") or ()
        if given and len(given) != classes:
            raise UsageError(f"class_weights has {len(given)} numbers for {classes} classes.")

    def refuse_size(self) -> None:
        """A working size that the network cannot be used with, before anything is written.

        Raises:
            UsageError: it is one.
        """
        return

    def begin(self, train: Pictures, progress: Progress | None = None) -> list[Stage]:
        """Before a fit, or the rest of one: what the pictures must know of this configuration.

        Args:
            train: the prepared pictures.
            progress: told how far it is, where that takes long.

        Returns:
            What took long, for the report.
        """
        return []

    def conclude(self, train: Pictures, val: Pictures | None, progress: Progress) -> list[Stage]:
        """After the fit, with its best weights: the stages that are no gradient descent."""
        return []

    def order(self, pictures: Pictures, batch: int, seed: int, epoch: int) -> Tensor:
        """The places of an epoch's pictures, one after the other; batches are cut from it.

        It follows from its arguments alone, and is equally long in every epoch.

        Args:
            pictures: to learn from.
            batch: pictures a step.
            seed: of the fit.
            epoch: from 0 on.
        """
        return epoch_order(len(pictures), seed, epoch)

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

    def learn_as_used(self, on: bool) -> None:
        """Whether a network that has an attribute ``as_used`` learns as it is used; at first it need not."""
        if hasattr(net := cast(Any, self.net), "as_used"):
            net.as_used = on

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
            # Then no dropout before the head either: its input is fixed.
            if self.head and self.frozen == len(row):
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
            pixels = grayscale(pixels)
        return torch.addcmul(
            self.shift, pixels, self.scale
        )  # (pixels / 255 − mean) / std in one pass


tasks: Registry[Task] = Registry("task")
methods: Registry[type[Method]] = Registry("method")
