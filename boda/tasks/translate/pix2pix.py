"""``pix2pix``: the generator is to be like the truth, pixel by pixel, and to convince a discriminator.

Isola, Zhu, Zhou, Efros, "Image-to-image translation with conditional adversarial networks", 2016,
arXiv 1611.07004: the adversarial loss and 100 times L1, Adam at 2e-4 with momentum 0.5, the
discriminator's objective halved. The discriminator sees what was given beside what was made of it.

Deviations: the generator's turn comes first, and the discriminator judges what it made then: that
saves a pass, and shifts nothing but the phase of two that alternate. Its weights that are used are the
moving average (Yazıcı et al. 2018, arXiv 1806.04498).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from boda.data.dataset import Batch
from boda.data.prepare import Preparation
from boda.errors import UsageError, unknown
from boda.models.pix2pix import Pix2Pix
from boda.ops.adversarial_losses import LOSSES, AdversarialLoss
from boda.tasks.base import Method, methods
from boda.tasks.translate.derived import FACTOR, PAIRS, pairs_of

DIRECTIONS = ("a2b", "b2a")
MOMENTUM = (0.5, 0.999)  # Adam's decays


@dataclass
class Config:
    """Settings of ``pix2pix``."""

    pairs: str = field(
        default="data",
        metadata={"help": "those of the data, or made of each picture: gray, edges or small"},
    )
    direction: str = field(
        default="a2b", metadata={"help": "a2b or b2a: which of a pair is made of which"}
    )
    loss: str = field(
        default="non-saturating",
        metadata={"help": ", ".join(LOSSES)},
    )
    l1: float = field(default=100.0, metadata={"help": "share of the mean absolute difference"})
    adversarial: float = field(
        default=1.0, metadata={"help": "share of the discriminator's say; 0 = L1 alone"}
    )

    def __post_init__(self) -> None:
        AdversarialLoss(self.loss)
        if self.pairs not in PAIRS:
            raise unknown("pairs", self.pairs, PAIRS)
        if self.direction not in DIRECTIONS:
            raise unknown("direction", self.direction, DIRECTIONS)
        for name in ("l1", "adversarial"):
            if not getattr(self, name) >= 0:
                raise UsageError(f"{name} is {getattr(self, name)}; it must not be less than 0.")
        if not self.l1 + self.adversarial:
            raise UsageError("l1 and adversarial are both 0: nothing is left to learn from.")


@methods.register("pix2pix")
class Pix2PixMethod(Method):
    """Turn 0 is the generator's, turn 1 the discriminator's."""

    Config = Config
    task = "translate"
    located = True
    keeps_last = True
    tunes = True
    net: Pix2Pix

    def __init__(self, net: nn.Module, preparation: Preparation, config: Any) -> None:
        super().__init__(net, preparation, config)
        self.head = ""  # its input is not fixed, however many blocks are
        self.loss, self.pairs = AdversarialLoss(config.loss), pairs_of(config.pairs)
        self._made: tuple[Tensor, Tensor] | None = None

    def refuse_size(self) -> None:
        """A copy of a quarter of the size has whole pixels."""
        if self.config.pairs == "small" and any(side % FACTOR for side in self.size):
            raise UsageError(
                f"--size {self.size[0]}x{self.size[1]}: pairs=small reduces pictures by {FACTOR}. "
                f"Give multiples of {FACTOR}."
            )

    def forward(self, batch: Batch, turn: int = 0) -> dict[str, Tensor]:
        """The loss of whose turn it is; without targets, each picture is its own."""
        given = self.pairs.given(batch.images)
        wanted = self.pairs.wanted(batch.images if batch.targets is None else batch.targets)
        if turn == 0:
            made = self.pairs.whole(given, self.net(given))
            self._made = batch.index, made.detach()
            apart = F.l1_loss(made.float(), wanted)
            self.noted["l1"] = apart.detach()
            logits = self._judged(given, made)
            return {
                "l1": self.config.l1 * apart,
                "adversarial": self.config.adversarial * self.loss.generator(logits),
            }
        real, false = self._judged(given, wanted), self._judged(given, self._taken(batch, given))
        self.noted["real_right"], self.noted["made_right"] = (
            share.detach() for share in self.loss.accuracy(real, false)
        )
        return {"discriminator": self.loss.discriminator(real, false) / 2}

    def _judged(self, given: Tensor, picture: Tensor) -> Tensor:
        return self.net.discriminator(torch.cat([given, picture.to(given)], 1))

    def _taken(self, batch: Batch, given: Tensor) -> Tensor:
        """What the generator made of this batch in its own turn."""
        kept, self._made = self._made, None
        if kept is not None and torch.equal(kept[0], batch.index):
            return kept[1]
        with torch.no_grad():
            return self.pairs.whole(given, self.net(given))

    def shown(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) uint8 → RGB from 0 to 1 of what is given of them."""
        return self.pairs.shown(images)

    def output(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) uint8 → RGB of the same shape, 0 to 1."""
        given = self.pairs.given(images)
        return self.pairs.picture(self.pairs.whole(given, self.net(given)))

    def optimizers(self, rate: float) -> list[torch.optim.Optimizer]:
        """Adam for each of the two."""
        parts = (self.net.generator, self.net.discriminator)
        return [adam(list(part.parameters()), rate) for part in parts]


def adam(parameters: list[nn.Parameter], rate: float) -> torch.optim.Optimizer:
    """With the momentum that is usual for adversaries."""
    return torch.optim.Adam(parameters, rate, MOMENTUM, fused=True)
