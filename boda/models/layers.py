"""What several networks share."""

from __future__ import annotations

from torch import Tensor

from boda.errors import UsageError


def at_least(x: Tensor, smallest: int, name: str) -> None:
    """Refuse (…, H, W) pictures smaller than the network can take, with the fix."""
    height, width = x.shape[-2:]
    if min(height, width) < smallest:
        raise UsageError(
            f"{name} cannot take pictures of {height}×{width}: its layers leave nothing of them. "
            f"Use --size {smallest} or more."
        )
