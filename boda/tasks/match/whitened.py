"""``whitened``: a learned vector, beside descriptions that are whitened within each who is shown.

The first by supervised contrastive learning (Khosla et al. 2020, arXiv 2004.11362), as ``metric``
does; the others in closed form, after Hatch, Kajarekar, Stolcke, "Within-class covariance
normalization for SVM-based speaker recognition", 2006. Deviation: pictures are taken in a mirror
too, as somebody else's, since few people show few ways to differ from oneself; and a vector is the
mean of six, of the picture, of it turned a little to both sides, and of these in a mirror.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import torch
from torch import Tensor

from boda.data.dataset import Batch, Pictures
from boda.errors import UsageError
from boda.models.described import DescribedNet
from boda.ops.distances import l2_normalize
from boda.ops.metric_losses import supcon_loss
from boda.ops.turning import VIEWS, turned_both_ways
from boda.ops.whitening import Scatter, within_whitening
from boda.progress import Progress
from boda.tasks.base import methods
from boda.tasks.match.embedder import Embedder, Settings
from boda.tasks.steps import Stage

AT_ONCE = 128  # pictures
TURN = 0.18  # of the views, see ``boda.ops.turning``


@dataclass
class Config(Settings):
    """Settings of ``whitened``."""

    temperature: float = field(default=0.1, metadata={"help": "less looks at the nearest"})

    turned: bool = field(
        default=True,
        metadata={
            "help": "a vector is the mean of six, turned and mirrored; false where a mirror shows "
            "something else"
        },
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.temperature > 0:
            raise UsageError("temperature must be above 0, such as 0.1.")


@methods.register("whitened")
class Whitened(Embedder):
    """Contrastive learning of one part of the vector; then the covariances, and maps for the rest."""

    Config = Config
    concludes = True
    net: DescribedNet

    def forward(self, batch: Batch, turn: int = 0) -> dict[str, Tensor]:
        """{"supcon": of the learned vectors}."""
        vectors = l2_normalize(self.net.learned(self.normalize(batch.images)))
        return {"supcon": supcon_loss(vectors, batch.labels, self.config.temperature)}

    def output(self, images: Tensor) -> Tensor:
        """(N, C, H, W) uint8 → (N, D) float32, of length 1."""
        if not self.config.turned:
            return super().output(images)
        vectors = self.net(turned_both_ways(self.normalize(images), TURN))
        return l2_normalize(vectors.unflatten(0, (VIEWS, -1)).sum(0))

    @torch.inference_mode()
    def conclude(self, train: Pictures, val: Pictures | None, progress: Progress) -> list[Stage]:
        """One pass over the training pictures: their covariances, and the maps that follow."""
        began, people = time.monotonic(), int(train.labels.max()) + 1
        device = next(self.parameters()).device
        scatters = [Scatter(2 * people, numbers) for numbers in self.net.numbers()]
        for batch in train.in_order(AT_ONCE):
            images = batch.images.to(device)
            for seen, labels in (
                (images, batch.labels),
                (images.flip(3), batch.labels + people),
            ):
                described = self.net.descriptions(self.normalize(seen))
                for scatter, each in zip(scatters, described, strict=True):
                    scatter.add(each.cpu(), labels)
        kept = 0
        for place, scatter in enumerate(scatters):
            mean, total, within = scatter.covariances()
            linear = self.net.get_buffer(f"map{place}")
            values, there = within_whitening(total, within, linear.shape[1])
            linear.copy_(values)
            self.net.get_buffer(f"mean{place}").copy_(mean)
            kept += there
        figures = {"pictures": float(2 * len(train)), "components": float(kept)}
        return [Stage("whitening", round(time.monotonic() - began, 3), figures)]
