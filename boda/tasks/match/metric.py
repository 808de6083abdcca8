"""``metric``: a loss on the vectors of a batch, composed of distance, miner and reducer.

``supcon``: Khosla et al. 2020 (arXiv 2004.11362), every pair of a batch at once, and the default.
``triplet``: the notes' loss, FaceNet's (Schroff et al. 2015, arXiv 1503.03832), with every mining
rule of ``boda.ops.mining``. ``contrastive``: Hadsell, Chopra, LeCun 2006. All on unit vectors.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from boda.data.dataset import Batch
from boda.errors import UsageError, unknown
from boda.ops.distances import euclidean
from boda.ops.metric_losses import TripletLoss, contrastive_loss, supcon_loss
from boda.ops.mining import balanced_pairs
from boda.tasks.base import methods
from boda.tasks.match.embedder import Embedder, Settings

LOSSES = ("supcon", "triplet", "contrastive")
MARGINS = {"triplet": 0.2, "contrastive": 1.0}  # FaceNet's; of unit vectors a right angle is 1.41


@dataclass
class Config(Settings):
    """Settings of ``metric``."""

    loss: str = field(default="supcon", metadata={"help": "supcon, triplet or contrastive"})
    mining: str = field(
        default="semi-hard",
        metadata={"help": "of triplets: all, random, hard, semi-hard or distance-weighted"},
    )
    distance: str = field(
        default="squared-euclidean",
        metadata={"help": "of triplets: squared-euclidean, euclidean or cosine"},
    )
    reducer: str = field(
        default="active", metadata={"help": "of triplets: mean, active (of those above 0) or sum"}
    )
    margin: float = field(
        default=0.0,
        metadata={"help": "by which others are farther; 0 = 0.2 of triplets, 1 of contrastive"},
    )
    temperature: float = field(
        default=0.1, metadata={"help": "of supcon; less looks at the nearest"}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.loss not in LOSSES:
            raise unknown("loss", self.loss, LOSSES)
        if not self.margin >= 0 or not self.temperature > 0:
            raise UsageError("margin must not be less than 0, and temperature must be above 0.")
        self.triplet_loss()  # an unknown rule is refused at once

    def triplet_loss(self) -> TripletLoss:
        """Distance, miner and reducer in one."""
        margin = self.margin or MARGINS["triplet"]
        return TripletLoss(self.distance, self.mining, self.reducer, margin)


@methods.register("metric")
class Metric(Embedder):
    """Unit vectors by a composed loss; tells the share of triplets or pairs that still teach."""

    Config = Config

    def forward(self, batch: Batch, turn: int = 0) -> dict[str, Tensor]:
        """{the loss's name: its value}."""
        config, vectors = self.config, self.output(batch.images)
        if config.loss == "supcon":
            return {"supcon": supcon_loss(vectors, batch.labels, config.temperature)}
        if config.loss == "triplet":
            found = config.triplet_loss()(vectors, batch.labels)
        else:
            pairs = balanced_pairs(batch.labels)
            margin = config.margin or MARGINS["contrastive"]
            found = contrastive_loss(euclidean(vectors, vectors), pairs, margin)
        if self.training:
            self.noted["active"] = found.active.detach()
        return {config.loss: found.loss}
