"""``adversarial``: a generator and a discriminator take turns, each learning from the other.

Goodfellow et al. 2014, arXiv 1406.2661, with the losses of ``boda.ops.adversarial_losses`` and Adam
with the momentum of Radford, Metz, Chintala 2015, arXiv 1511.06434. The discriminator may learn at a
rate of its own (Heusel et al. 2017, arXiv 1706.08500). What is used is the generator's moving average
(Yazıcı et al. 2018, arXiv 1806.04498), as that of every method. Of few pictures the discriminator is
shown changed ones (Zhao et al. 2020, arXiv 2006.10738; ``boda.ops.differentiable_augmentation``).

Deviations: one turn each, also with the Wasserstein loss, whose paper gives the critic five; let it
learn faster instead, with ``pace``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from boda.data.dataset import Batch
from boda.data.prepare import Preparation
from boda.errors import UsageError
from boda.models.gan import Adversaries
from boda.ops.adversarial_losses import LOSSES, AdversarialLoss, gradient_penalty, r1_penalty
from boda.ops.color import grayscale
from boda.ops.differentiable_augmentation import disguised
from boda.ops.signed import signed
from boda.tasks.base import Method, methods
from boda.tasks.generate.features import Judge


@dataclass
class Config:
    """Settings of ``adversarial``."""

    loss: str = field(
        default="non-saturating",
        metadata={"help": ", ".join(LOSSES)},
    )
    smoothing: float = field(
        default=0.0, metadata={"help": "what a real picture lacks of being called real, as 0.1"}
    )
    gp: float = field(
        default=0.0, metadata={"help": "share of the gradient penalty; the paper's is 10"}
    )
    r1: float = field(default=0.0, metadata={"help": "share of the R1 penalty; the paper's is 10"})
    momentum: float = field(default=0.5, metadata={"help": "Adam's first decay"})
    decay: float = field(default=0.999, metadata={"help": "Adam's second decay"})
    pace: float = field(
        default=1.0, metadata={"help": "the discriminator's rate, as a multiple of the generator's"}
    )
    diffaugment: bool = field(
        default=False,
        metadata={"help": "the discriminator sees real and made pictures changed alike"},
    )
    judge: str = field(
        default="",
        metadata={"help": "a run for classify, in whose features fid and kid are measured"},
    )

    def __post_init__(self) -> None:
        AdversarialLoss(self.loss, self.smoothing)
        for name in ("gp", "r1"):
            if not getattr(self, name) >= 0:
                raise UsageError(f"{name} is {getattr(self, name)}; it must not be less than 0.")
        for name in ("momentum", "decay"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}; it must be from 0 to below 1.")
        if not self.pace > 0:
            raise UsageError(f"pace is {self.pace}; it must be more than 0.")


@methods.register("adversarial")
class Adversarial(Method):
    """Turn 0 is the discriminator's, turn 1 the generator's; pictures are −1 to 1 for both."""

    Config = Config
    task = "generate"
    unexportable = "its pictures are drawn from noise, not made of others"
    keeps_last = True
    tunes = True
    net: Adversaries

    def __init__(self, net: nn.Module, preparation: Preparation, config: Any) -> None:
        super().__init__(net, preparation, config)
        self.head = ""  # its input is not fixed, however many blocks are
        self.loss = AdversarialLoss(config.loss, config.smoothing)
        self.judge = Judge(config.judge) if config.judge else None
        if (config.gp or config.r1) and self.net.discriminator.mixes:
            raise UsageError(
                "gp and r1 want each picture's own slope, which batch norms mix. Take --set norm=layer "
                "or --set norm=spectral."
            )

    @classmethod
    def sized(cls, height: int, width: int) -> dict[str, Any]:
        """Both are built for square pictures of one size."""
        if height != width:
            raise UsageError(
                f"--size {height}x{width}: pictures are made square. Use --size {min(height, width)}."
            )
        return {"size": height}

    @classmethod
    def refuse(cls, config: dict[str, Any], classes: int, batch: int) -> None:
        """A judge that is none."""
        super().refuse(config, classes, batch)
        if config["judge"]:
            Judge(config["judge"])

    @property
    def classes(self) -> int:
        """How many the generator can be told to draw; 0 for none."""
        return self.net.generator.classes

    def forward(self, batch: Batch, turn: int = 0) -> dict[str, Tensor]:
        """The loss of whose turn it is, with the penalties of the discriminator's slopes."""
        real, labels = signed(self._own(batch.images)), batch.labels if self.classes else None
        noise = self.net.draw(len(real)).to(real)
        if turn == 1:
            made = self.net.generate(noise, labels)
            self._note_diversity(real, made)
            return {"generator": self.loss.generator(self._judged(made, labels))}
        with torch.no_grad():
            made = self.net.generate(noise, labels)
        says = [self._judged(pictures, labels) for pictures in (real, made)]
        right = self.loss.accuracy(*(logits.detach() for logits in says))
        self.noted |= dict(zip(("accuracy_real", "accuracy_made"), right, strict=True))
        return {
            "discriminator": self.loss.discriminator(*says),
            **self._penalties(real, made, labels),
        }

    def _judged(self, pictures: Tensor, labels: Tensor | None) -> Tensor:
        """What the discriminator says of what it is shown."""
        shown = disguised(pictures) if self.config.diffaugment else pictures
        return self.net.discriminator(shown, labels)

    def _penalties(self, real: Tensor, made: Tensor, labels: Tensor | None) -> dict[str, Tensor]:
        penalties: dict[str, Tensor] = {}
        if not torch.is_grad_enabled():  # a trial, which has no slopes
            return penalties

        def judge(pictures: Tensor) -> Tensor:
            return self._judged(pictures, labels)

        if self.config.gp:
            shares = torch.rand(len(real)).to(real)
            penalties["gp"] = self.config.gp * gradient_penalty(judge, real, made, shares)
        if self.config.r1:
            penalties["r1"] = self.config.r1 * r1_penalty(judge, real)
        return penalties

    def _note_diversity(self, real: Tensor, made: Tensor) -> None:
        """How far apart the made ones are, as a share of the real ones': near 0 it has collapsed."""
        if len(real) < 2:
            return
        ours, theirs = (
            torch.pdist(pictures.detach().float().flatten(1)).mean() for pictures in (made, real)
        )
        self.noted["diversity"] = ours / theirs.clamp_min(1e-6)

    def _own(self, images: Tensor) -> Tensor:
        """Pictures of as many channels as this network has, uint8."""
        if self.channels == 1 and images.shape[1] == 3:
            return grayscale(images)
        return images

    def output(self, images: Tensor) -> Tensor:
        """A made picture for each real one, so that there are as many: (N, channels, H, W) in 0..1.

        Its noise, and its class where there are some, follow from the real picture's bytes alone.
        """
        pictures = self._own(images).cpu().numpy()
        noise, labels = zip(*(self._of(each.tobytes()) for each in pictures), strict=True)
        return self.made(torch.cat(noise), torch.cat(labels) if self.classes else None)

    def _of(self, picture: bytes) -> tuple[Tensor, Tensor]:
        """(1, noise) and a class (1,)."""
        digest = hashlib.blake2b(picture, digest_size=8).digest()
        random = torch.Generator().manual_seed(int.from_bytes(digest) >> 1)
        noise = self.net.draw(1, random)
        return noise, torch.randint(max(1, self.classes), (1,), generator=random)

    def made(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, noise), and classes (N,) where there are some → (N, channels, H, W) in 0..1."""
        device = self.scale.device
        labels = None if labels is None else labels.to(device)
        return self.net.generate(noise.to(device), labels).float() / 2 + 0.5

    def optimizers(self, rate: float) -> list[torch.optim.Optimizer]:
        """Adam, for the discriminator and for the generator."""
        betas = self.config.momentum, self.config.decay
        judge = {
            "params": list(self.net.discriminator.parameters()),
            "rate_share": self.config.pace,
        }
        maker = {"params": list(self.net.generator.parameters()), "rate_share": 1.0}
        return [torch.optim.Adam([group], rate, betas, fused=True) for group in (judge, maker)]
