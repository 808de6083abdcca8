"""``discogan``: relations between two domains are discovered, since what is made must be made undone.

Kim, Cha, Kim, Lee, Kim, "Learning to discover cross-domain relations with generative adversarial
networks", 2017, arXiv 1703.05192: cross entropy, and the mean squared error of what was rebuilt.

Deviation: the weights that are used are the moving average (Yazıcı et al. 2018, arXiv 1806.04498).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from boda.ops.adversarial_losses import LOSSES
from boda.tasks.base import methods
from boda.tasks.translate.unpaired import TwoWayConfig, TwoWayMethod


@dataclass
class Config(TwoWayConfig):
    """Settings of ``discogan``: the paper's."""

    loss: str = field(
        default="non-saturating",
        metadata={"help": ", ".join(LOSSES)},
    )
    cycle: float = field(
        default=1.0, metadata={"help": "share of what is not the same there and back"}
    )
    identity: float = field(
        default=0.0, metadata={"help": "share of what changes in a picture of the aim already"}
    )
    distance: str = field(default="l2", metadata={"help": "by which that is measured: l1 or l2"})
    pool: int = field(
        default=0, metadata={"help": "earlier pictures that are judged again; 0 = none"}
    )


@methods.register("discogan")
class DiscoGAN(TwoWayMethod):
    """Cross entropy and squares, without identity and pool."""

    Config = Config
