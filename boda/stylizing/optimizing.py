"""Gradients to pixels: L-BFGS (Liu, Nocedal 1989, as PyTorch has it) or Adam (arXiv 1412.6980).

One step is one gradient. Pixels are not held within 0..1 on the way, where L-BFGS would lose what it
has learnt of the loss's curvature: they are drawn back as by springs, and held at the end. Most of
the way bfloat16's gradients lead as well as float32's; the last third is exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from boda.errors import TrainingError
from boda.stylizing.objective import Losses, Objective

REMEMBERED = 20  # pairs of steps and gradients; more did not lower the loss, and take memory
EXACT = 1 / 3  # of the steps, at the end
BACK = 1.0  # of a spring, where the first gradient is 1 in the mean and white is 1
Watch = Callable[[int, Losses, Tensor], bool]


@dataclass(frozen=True)
class Descent:
    """How the loss is brought down.

    Attributes:
        steps: gradients to take.
        rate: of Adam; None = L-BFGS.
        rough: whether to begin in bfloat16.
        remembered: of L-BFGS, pairs of a step and a difference of gradients, each of a picture's size.
    """

    steps: int
    rate: float | None = None
    rough: bool = False
    remembered: int = REMEMBERED

    def optimizer(self, pixels: Tensor) -> torch.optim.LBFGS | torch.optim.Adam:
        """One that remembers nothing yet."""
        if self.rate is not None:
            return torch.optim.Adam([pixels], self.rate)
        # With one iteration a call it looks at one gradient a call, and keeps what it remembers.
        return torch.optim.LBFGS(
            [pixels],
            max_iter=1,
            history_size=self.remembered,
            tolerance_grad=0,
            tolerance_change=0,
        )


def optimize(
    start: Tensor, objective: Callable[[torch.dtype], Objective], how: Descent, watch: Watch
) -> tuple[Tensor, int]:
    """Change the pixels of a picture so that its loss falls.

    Args:
        start: (1, 3, H, W).
        objective: makes that of a dtype.
        how: many steps, and of what kind.
        watch: told the steps done, the loss before the last one and the picture after it; False stops.

    Returns:
        The picture within 0..1, and the steps done.

    Raises:
        TrainingError: the loss stopped being finite, twice.
    """
    pixels = start.detach().clone(memory_format=torch.contiguous_format).requires_grad_()
    best, lowest, scale, broken = pixels.detach().clone(), math.inf, 0.0, False
    optimizer = how.optimizer(pixels)
    turn = how.steps - math.ceil(EXACT * how.steps) if how.rough else 0
    current = objective(torch.bfloat16 if turn else torch.float32)
    for step in range(how.steps):
        if step == turn and turn:
            current, lowest = objective(torch.float32), math.inf
        losses, grad = current.gradient(pixels)
        if not math.isfinite(losses.total) or not grad.isfinite().all():
            if broken:
                raise TrainingError(
                    "the loss is no finite number any more. Take --optimizer adam, or a smaller "
                    "--style-weight."
                )
            broken = True
            with torch.no_grad():
                pixels.copy_(best)
            optimizer = how.optimizer(pixels)
            continue
        if losses.total < lowest:
            best.copy_(pixels.detach())
            lowest = losses.total
        # PyTorch's L-BFGS forgets what is very small, and begins with a step by the gradient's size.
        scale = scale or 1 / max(grad.abs().mean().item(), torch.finfo(grad.dtype).tiny)
        beyond = pixels.detach() - pixels.detach().clamp(0, 1)
        pixels.grad = grad * scale + BACK * beyond
        optimizer.step(lambda value=losses.total * scale: value)
        if not watch(step + 1, losses, pixels.detach()):
            return pixels.detach().clamp(0, 1), step + 1
    return pixels.detach().clamp(0, 1), how.steps
