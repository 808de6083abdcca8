"""A picture as if what it shows had turned a little about its upright axis.

The side that turns away is squeezed and the other stretched, the edges stay: what stands at u, from −1
at the left edge to 1 at the right, is what stood at u + by·(1 − u²). It is no perspective, which would
want the depth; of faces it is near enough to tell them by.
"""

from __future__ import annotations

import torch
from torch import Tensor

from boda.errors import UsageError

MOST = 0.5  # beyond it columns would change places
VIEWS = 6


def turned(x: Tensor, by: float) -> Tensor:
    """Interpolated along the rows: (N, C, H, W) floating → the same.

    Args:
        x: pictures.
        by: −0.5 to 0.5; 0 changes nothing.

    Raises:
        UsageError: it is more, and columns would change places.
    """
    if not abs(by) <= MOST:
        raise UsageError(f"a picture cannot be turned by {by}: give {-MOST} to {MOST}.")
    width = x.shape[-1]
    u = (2 * torch.arange(width, device=x.device, dtype=x.dtype) + 1) / width - 1
    places = ((u + by * (1 - u.square()) + 1) * width - 1) / 2
    left = places.floor().clamp(0, max(0, width - 2)).long()
    share = (places - left).clamp(0, 1)
    right = (left + 1).clamp_max(width - 1)
    return torch.lerp(x[..., left], x[..., right], share)


def turned_both_ways(x: Tensor, by: float) -> Tensor:
    """Six views of each picture: turned left, not, and right, and these in a mirror.

    (N, C, H, W) → (6·N, C, H, W), view by view.
    """
    sides = torch.cat([x, turned(x, by), turned(x, -by)])
    return torch.cat([sides, sides.flip(3)])
