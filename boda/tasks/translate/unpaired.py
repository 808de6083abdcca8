"""What the methods for two domains without pairs share: there and back, and two discriminators.

A batch has as many pictures of A as of B. Both generators learn in turn 0, both discriminators in
turn 1, of what was made in turn 0.

With ``through=1`` what comes back teaches the way there as well, as in the papers. A network then learns
to hide in a picture what it is to become again (Chu, Zhmoginov, Sandler 2017, "CycleGAN, a master of
steganography", arXiv 1712.02950): of a night it makes a day in which the lamps' light still faintly
lies, and the way back never has to find the lamps. With 0 what was made is merely given: each way learns
from real pictures and from what the other way made of them, as in the back-translation of texts
(Sennrich, Haddow, Birch 2016, arXiv 1511.06709; Lample et al. 2018, arXiv 1711.00043). Then nothing but
the discriminators watches what is made, and patterns fade after some thousand steps; a share between
them scales the slope.

With ``noise`` discriminators see real and made pictures through noise (Sønderby et al. 2016, arXiv
1610.04490; Arjovsky, Bottou 2017, arXiv 1701.04862). By a camera's grain, which no generator can know,
they would tell them apart for ever, and generators would learn to draw grain and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from boda.data.dataset import Batch, Pictures, mix
from boda.data.prepare import Preparation
from boda.errors import UsageError, unknown
from boda.models.cyclegan import TwoWays
from boda.ops.adversarial_losses import LOSSES, AdversarialLoss
from boda.ops.signed import signed
from boda.tasks.base import Default, Method
from boda.tasks.translate.image_pool import ImagePool
from boda.tasks.translate.pix2pix import DIRECTIONS, adam

DISTANCES = ("l1", "l2")


@dataclass
class TwoWayConfig:
    """Settings of methods for two domains."""

    direction: str = field(
        default="a2b", metadata={"help": "a2b or b2a: which is made of which; both are learned"}
    )
    loss: str = field(
        default="least-squares",
        metadata={"help": ", ".join(LOSSES)},
    )
    cycle: float = field(
        default=5.0, metadata={"help": "share of what is not the same there and back"}
    )
    identity: float = field(
        default=2.5, metadata={"help": "share of what changes in a picture of the aim already"}
    )
    through: float = field(
        default=1.0,
        metadata={"help": "how much what comes back teaches the way there too, 0 to 1"},
    )
    distance: str = field(default="l1", metadata={"help": "by which that is measured: l1 or l2"})
    noise: float = field(
        default=0.0,
        metadata={
            "help": "through which discriminators look: its deviation, of pixels from -1 to 1"
        },
    )
    pool: int = field(
        default=50, metadata={"help": "earlier pictures that are judged again; 0 = none"}
    )

    def __post_init__(self) -> None:
        AdversarialLoss(self.loss)
        if self.direction not in DIRECTIONS:
            raise unknown("direction", self.direction, DIRECTIONS)
        if self.distance not in DISTANCES:
            raise unknown("distance", self.distance, DISTANCES)
        if not 0 <= self.through <= 1:
            raise UsageError(f"through is {self.through}; it is from 0 to 1.")
        for name in ("cycle", "identity", "noise", "pool"):
            if not getattr(self, name) >= 0:
                raise UsageError(f"{name} is {getattr(self, name)}; it must not be less than 0.")


class TwoWayMethod(Method):
    """Turn 0 is the generators', turn 1 the discriminators'."""

    task = "translate"
    located = True
    keeps_last = True
    tunes = True
    together = 2
    adjustable: ClassVar[tuple[str, ...]] = ("direction",)
    net: TwoWays

    def __init__(self, net: nn.Module, preparation: Preparation, config: Any) -> None:
        super().__init__(net, preparation, config)
        self.head = ""  # its input is not fixed, however many blocks are
        self.loss = AdversarialLoss(config.loss)
        self.distance = F.l1_loss if config.distance == "l1" else F.mse_loss
        self.pool_a, self.pool_b = (ImagePool(config.pool, self.size) for _ in range(2))
        self._made: tuple[Tensor, Tensor, Tensor] | None = None

    @classmethod
    def learned(
        cls, train: Pictures, options: dict[str, Any], classes: Sequence[str]
    ) -> dict[str, Default]:
        """What goes with generators that change the light."""
        if not options.get("slow"):
            return {}
        hidden = "light must not hide in a day what the night is to become again"
        return {
            "through": Default(0.2, hidden),
            "noise": Default(0.1, "above a camera's grain, which nobody can foretell"),
        }

    @classmethod
    def refuse(cls, config: dict[str, Any], classes: int, batch: int) -> None:
        """Half a pair."""
        super().refuse(config, classes, batch)
        if batch % 2:
            raise UsageError(
                f"--batch {batch}: as many pictures of A as of B are looked at. Give an even number."
            )

    def order(self, pictures: Pictures, batch: int, seed: int, epoch: int) -> Tensor:
        """A, B, A, B, …: all of the larger domain, and those of the smaller one again and again."""
        parts = [torch.nonzero(pictures.labels == label).flatten() for label in (0, 1)]
        length = max(map(len, parts))
        if not all(map(len, parts)):
            raise UsageError("all pictures to learn from are of one domain; both are needed.")
        columns = []
        for label, part in enumerate(parts):
            generator = torch.Generator().manual_seed(mix(seed, epoch, 2, label))
            rounds = -(-length // len(part))
            drawn = [part[torch.randperm(len(part), generator=generator)] for _ in range(rounds)]
            columns.append(torch.cat(drawn)[:length])
        return torch.stack(columns, 1).flatten()

    def forward(self, batch: Batch, turn: int = 0) -> dict[str, Tensor]:
        """The losses of whose turn it is."""
        a, b = self._domains(batch)
        return self._generators(batch, a, b) if turn == 0 else self._judges(batch, a, b)

    def _domains(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The pictures of both, −1 to 1; where there are none of one, those of the other."""
        a, b = (signed(batch.images[batch.labels == label]) for label in (0, 1))
        return a if len(a) else b, b if len(b) else a

    def _generators(self, batch: Batch, a: Tensor, b: Tensor) -> dict[str, Tensor]:
        share = self.config.identity
        # Pictures of the aim go the same way: one pass for both.
        there = self.net.translate(torch.cat([a, b]) if share else a)
        back = self.net.translate(torch.cat([b, a]) if share else b, back=True)
        made_b, made_a = there[: len(a)], back[: len(b)]
        self._made = batch.index, made_a.detach(), made_b.detach()
        again_a = self.net.translate(self._led(made_b), back=True)
        again_b = self.net.translate(self._led(made_a))
        apart = self.distance(again_a.float(), a) + self.distance(again_b.float(), b)
        self.noted["cycle"] = apart.detach()
        judged = self.net.judge_b(self._seen(made_b)), self.net.judge_a(self._seen(made_a))
        losses = {
            "adversarial": self.loss.generator(judged[0]) + self.loss.generator(judged[1]),
            "cycle": self.config.cycle * apart,
        }
        if share:
            same = self.distance(there[len(a) :].float(), b)
            losses["identity"] = share * (same + self.distance(back[len(b) :].float(), a))
        return losses

    def _judges(self, batch: Batch, a: Tensor, b: Tensor) -> dict[str, Tensor]:
        made_a, made_b = self._taken(batch, a, b)
        losses, shares = {}, []
        for name, judge, pool, real, made in (
            ("judge_a", self.net.judge_a, self.pool_a, a, made_a),
            ("judge_b", self.net.judge_b, self.pool_b, b, made_b),
        ):
            logits = judge(self._seen(real))
            false = judge(self._seen(pool.exchange(made.to(real))))
            losses[name] = self.loss.discriminator(logits, false) / 2
            shares.append(torch.stack(self.loss.accuracy(logits, false)))
        right = torch.stack(shares).mean(0).detach()
        self.noted["real_right"], self.noted["made_right"] = right[0], right[1]
        return losses

    def _led(self, made: Tensor) -> Tensor:
        """What is to be led back: the same pictures, with a share of their slope."""
        return torch.lerp(made.detach(), made, self.config.through)

    def _seen(self, pictures: Tensor) -> Tensor:
        """As a discriminator sees them."""
        if not self.config.noise:
            return pictures
        return pictures + self.config.noise * torch.randn_like(pictures)

    def _taken(self, batch: Batch, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """What the generators made of this batch in their own turn."""
        kept, self._made = self._made, None
        if kept is not None and torch.equal(kept[0], batch.index):
            return kept[1], kept[2]
        with torch.no_grad():
            return self.net.translate(b, back=True), self.net.translate(a)

    @property
    def source(self) -> int:
        """The label of the domain that is translated."""
        return DIRECTIONS.index(self.config.direction)

    def shown(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) uint8 → 0 to 1."""
        return images.float() / 255

    def output(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) uint8 of the one domain → RGB of the other, 0 to 1."""
        return (self.net.translate(signed(images), back=self.source == 1).float() + 1) / 2

    def returned(self, made: Tensor) -> Tensor:
        """(N, 3, H, W) RGB of the other domain, 0 to 1 → the one it came from, 0 to 1."""
        x = 2 * made.contiguous(memory_format=torch.channels_last) - 1
        return (self.net.translate(x, back=self.source == 0).float() + 1) / 2

    def optimizers(self, rate: float) -> list[torch.optim.Optimizer]:
        """Adam for both generators, and for both discriminators."""
        makers = [*self.net.generator.parameters(), *self.net.back.parameters()]
        judges = [*self.net.judge_a.parameters(), *self.net.judge_b.parameters()]
        return [adam(makers, rate), adam(judges, rate)]
