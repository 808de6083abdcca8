"""``cyclegan``: what goes there and back is to be the same again.

Zhu, Park, Isola, Efros, "Unpaired image-to-image translation using cycle-consistent adversarial
networks", 2017, arXiv 1703.10593: least squares, 10 times the cycle's L1, half of that for pictures
that are of the aim already, a pool of 50 earlier pictures, Adam at 2e-4 with momentum 0.5. Their least
squares lack the half that ``boda.ops.adversarial_losses`` has, so 5 here are their 10.

Deviations: the weights that are used are the moving average (Yazıcı et al. 2018, arXiv 1806.04498). The
network ``cyclegan``, whose generators begin with what they are given, is not asked to keep pictures of
the aim (``--set identity=2.5`` asks).
"""

from __future__ import annotations

from dataclasses import dataclass

from boda.tasks.base import methods
from boda.tasks.translate.unpaired import TwoWayConfig, TwoWayMethod


@dataclass
class Config(TwoWayConfig):
    """Settings of ``cyclegan``: the paper's."""


@methods.register("cyclegan")
class CycleGAN(TwoWayMethod):
    """Least squares, L1, identity and pool."""

    Config = Config
