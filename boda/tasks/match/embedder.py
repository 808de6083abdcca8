"""What the methods of ``match`` share: vectors of pictures, batches of P×K, and their settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from boda.data.dataset import Pictures
from boda.data.prepare import Preparation
from boda.errors import UsageError
from boda.metrics.embeddings import Measure, cosine_distances
from boda.ops.distances import l2_normalize
from boda.tasks.base import Method
from boda.tasks.match.order import people_order
from boda.tasks.optimizing import Optimizing, optimizer


@dataclass
class Settings(Optimizing):
    """Settings of all methods of ``match``."""

    weight_decay: float = field(default=0.01, metadata={"help": "not on norms and biases"})
    pictures: int = field(
        default=4, metadata={"help": "of each identity in a batch; the batch says of how many"}
    )
    rotations: bool = field(
        default=False, metadata={"help": "turned by 90°, 180° and 270° it is somebody else"}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pictures < 2:
            raise UsageError(
                f"pictures={self.pictures}: give 2 or more, or nothing shows the same."
            )


class Embedder(Method):
    """A picture → a vector; the vectors of pictures that show the same are near each other."""

    task = "match"
    Config: ClassVar[type[Settings]] = Settings

    def __init__(self, net: nn.Module, preparation: Preparation, config: Any) -> None:
        super().__init__(net, preparation, config)
        self.head = ""  # what it learns is not a layer upon fixed features
        self.together = config.pictures

    @classmethod
    def refuse(cls, config: dict[str, Any], classes: int, batch: int) -> None:
        """A batch in which there are no two to tell apart."""
        super().refuse(config, classes, batch)
        shown = config["pictures"]
        if batch < 2 * shown:
            raise UsageError(
                f"--batch {batch} with {shown} pictures of each: give {2 * shown} or more, so that "
                "a batch has two identities to tell apart."
            )

    @property
    def measure(self) -> Measure:
        """How far its vectors are from each other."""
        return cosine_distances

    def order(self, pictures: Pictures, batch: int, seed: int, epoch: int) -> Tensor:
        """P×K: see ``people_order``."""
        return people_order(pictures.labels, self.config.pictures, batch, seed, epoch)

    def output(self, images: Tensor) -> Tensor:
        """(N, C, H, W) uint8 → (N, D) float32, of length 1."""
        return l2_normalize(self.net(self.normalize(images)))

    def optimizers(self, rate: float) -> list[torch.optim.Optimizer]:
        """The one that is named; what is one-dimensional (norms, biases) is not decayed."""
        groups = self.groups(self.config.weight_decay, self.config.layer_decay)
        return [optimizer(groups, self.config.optimizer, rate)]
