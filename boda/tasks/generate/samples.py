"""Made pictures of fixed noise: the same points in every epoch, and the way from one to another."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from boda.outputs import as_bytes, as_picture
from boda.tasks.generate.adversarial import Adversarial

AT_ONCE = 256


def drawn(method: Adversarial, count: int, seed: int) -> Tensor:
    """Noise (count, noise) that follows from the seed."""
    return method.net.draw(count, torch.Generator().manual_seed(seed))


def in_turn(method: Adversarial, count: int) -> Tensor | None:
    """Classes 0, 1, … over and over, (count,); None where there are none."""
    return torch.arange(count) % method.classes if method.classes else None


def pictures(method: Adversarial, noise: Tensor, labels: Tensor | None) -> list[np.ndarray]:
    """(N, noise) and classes (N,) → (H, W, 3) uint8 each."""
    was_training = method.training
    method.eval()
    made: list[np.ndarray] = []
    with torch.inference_mode():
        for start in range(0, len(noise), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            of = None if labels is None else labels[part]
            planes = as_bytes(method.made(noise[part], of).cpu().numpy())
            made += [as_picture(each) for each in planes]
    method.train(was_training)
    return made


def between(method: Adversarial, rows: int, steps: int, seed: int) -> Tensor:
    """(rows · steps, noise): in each row the straight way from one point to another, ends included."""
    ends = drawn(method, 2 * rows, seed).view(rows, 2, 1, -1)
    share = torch.linspace(0, 1, steps).view(1, steps, 1)
    return torch.lerp(ends[:, 0], ends[:, 1], share).flatten(0, 1)
