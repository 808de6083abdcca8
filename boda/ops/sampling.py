"""A few of very many examples, so that the background does not drown what is to be learned.

Girshick, "Fast R-CNN", 2015, arXiv 1504.08083, section 2.3, and Ren et al., "Faster R-CNN", 2015,
arXiv 1506.01497, section 3.1.3.
"""

from __future__ import annotations

import torch
from torch import Tensor

from boda.ops.anchors import NEGATIVE


def sample_balanced(given: Tensor, count: int, share: float) -> tuple[Tensor, Tensor]:
    """Draw examples: at most ``share`` of them positive, the rest background.

    The draw is that of torch's own generator on the CPU.

    Args:
        given: (N,) int64 as ``match_anchors`` gives it: an object's index, −1 for background,
            others less than −1 are not drawn.
        count: of examples in all, at most.
        share: 0..1, of positive ones at most.

    Returns:
        places of the positive ones and of the background, rising.
    """
    positive, negative = (given >= 0).nonzero()[:, 0], (given == NEGATIVE).nonzero()[:, 0]
    positive = _some(positive, int(count * share))
    return positive, _some(negative, count - len(positive))


def _some(places: Tensor, most: int) -> Tensor:
    if len(places) <= most:
        return places
    drawn = torch.randperm(len(places))[:most].sort().values
    return places[drawn.to(places.device)]
