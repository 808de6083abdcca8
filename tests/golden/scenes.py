"""Two pictures of coloured squares with a grain, for detectors to find things in."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.golden.filling import pattern


def scenes() -> Tensor:
    """(2, 3, 96, 128) whole numbers 0..255, float32; the same wherever they are computed."""
    squares = pattern(torch.Size((2, 3, 6, 8)), 11)
    squares = squares.repeat_interleave(16, 2).repeat_interleave(16, 3)
    grain = pattern(torch.Size((2, 3, 96, 128)), 3)
    return (128 + 90 * squares + 30 * grain).round().clamp(0, 255)
