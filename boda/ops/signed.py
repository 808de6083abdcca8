"""Pixels from −1 to 1, which networks that make pictures see and make."""

from __future__ import annotations

import torch
from torch import Tensor

HALF = 127.5  # of 255: black is −1, white 1


def signed(pictures: Tensor) -> Tensor:
    """uint8 (N, C, H, W) → float32 from −1 to 1, channels last."""
    return pictures.to(torch.float32, memory_format=torch.channels_last) / HALF - 1
