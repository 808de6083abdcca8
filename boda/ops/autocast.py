"""Where a network's bfloat16 would be too coarse."""

from __future__ import annotations

import torch
from torch import Tensor


def without_autocast(x: Tensor) -> torch.autocast:
    """A block in which products on the device of ``x`` have the type of their operands."""
    # Meta tensors, which have shapes alone, know no autocast: there nothing is to be turned off.
    return torch.autocast("cpu" if x.is_meta else x.device.type, enabled=False)
