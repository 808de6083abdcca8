"""Averaged weights: they generalize better than the last ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from boda.tasks import Method

if TYPE_CHECKING:
    from torch.optim.swa_utils import AveragedModel


def averaged(method: Method, decay: float) -> AveragedModel:
    """A moving average of a method's weights and of its batch norms' statistics.

    It reaches back over a tenth of the steps done, until that is as far as ``decay`` reaches: of a
    short fit, a fixed decay would average weights from its very beginning.
    """
    from torch.optim.swa_utils import AveragedModel

    @torch.no_grad()
    def approach(averaged: Any, current: Any, steps: Any) -> None:
        count = int(steps)
        share = 1 - min(decay, (1 + count) / (10 + count))
        for mean, value in zip(averaged, current, strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, share)
            else:  # counters
                mean.copy_(value)

    return AveragedModel(method, multi_avg_fn=approach, use_buffers=True)
