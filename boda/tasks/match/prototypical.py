"""``prototypical``: in every batch an episode, N-way K-shot, as it will be asked.

Snell, Swersky, Zemel, "Prototypical networks for few-shot learning", 2017, arXiv 1703.05175.
Deviations: vectors have length 1, so that a gallery's cosines are what was learned by; their squared
distances are divided by twice the temperature, which makes them as large as the paper's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from torch import Tensor

from boda.data.dataset import Batch
from boda.errors import UsageError
from boda.ops.metric_losses import prototypical_loss
from boda.tasks.base import methods
from boda.tasks.match.embedder import Embedder, Settings


@dataclass
class Config(Settings):
    """Settings of ``prototypical``."""

    shots: int = field(
        default=1, metadata={"help": "pictures of each from which it is known; fewer than pictures"}
    )
    temperature: float = field(
        default=0.1, metadata={"help": "of the distances; less looks at the nearest"}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.shots < self.pictures:
            raise UsageError(
                f"shots={self.shots} of pictures={self.pictures}: give 1 or more, and fewer than "
                "pictures, since the rest is asked about."
            )
        if not self.temperature > 0:
            raise UsageError("temperature must be above 0.")


@methods.register("prototypical")
class Prototypical(Embedder):
    """Whoever's mean is nearest: the batch's people are the ways, their first pictures the shots."""

    Config = Config

    def forward(self, batch: Batch, turn: int = 0) -> dict[str, Tensor]:
        """{"episode": cross entropy of whose prototype is nearest}."""
        scaled = self.output(batch.images) / math.sqrt(2 * self.config.temperature)
        return {"episode": prototypical_loss(scaled, batch.labels, self.config.shots)}
