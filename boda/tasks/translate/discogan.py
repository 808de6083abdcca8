"""``discogan``: relations between two domains are discovered, since what is made must be made undone.

Kim, Cha, Kim, Lee, Kim, "Learning to discover cross-domain relations with generative adversarial
networks", 2017, arXiv 1703.05192: cross entropy, and a distance of what was rebuilt.

Deviations: of the distances that the paper allows, it takes the mean squared error with a share of 1
(``--set distance=l2 --set cycle=1``), here it is L1 with one of 5: squares of small differences weigh so
little that colours were lost. The weights that are used are the moving average (Yazıcı et al. 2018,
arXiv 1806.04498).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from boda.ops.adversarial_losses import LOSSES
from boda.tasks.base import methods
from boda.tasks.translate.unpaired import TwoWayConfig, TwoWayMethod


@dataclass
class Config(TwoWayConfig):
    """Settings of ``discogan``: the paper's, but for the distance."""

    loss: str = field(
        default="non-saturating",
        metadata={"help": ", ".join(LOSSES)},
    )
    identity: float = field(
        default=0.0, metadata={"help": "share of what changes in a picture of the aim already"}
    )
    pool: int = field(
        default=0, metadata={"help": "earlier pictures that are judged again; 0 = none"}
    )


@methods.register("discogan")
class DiscoGAN(TwoWayMethod):
    """Cross entropy, without identity and pool."""

    Config = Config
