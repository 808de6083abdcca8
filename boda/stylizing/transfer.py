"""The content of a picture in the style of others: its pixels are fitted, from coarse to fine.

Gatys, Ecker, Bethge 2015, arXiv 1508.06576; large pictures begin small, as in Gatys et al. 2016, arXiv
1611.07865, section 6. Deviation: the maximum poolings stay.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from boda import machine
from boda.errors import UsageError
from boda.progress import Progress
from boda.stylizing.features import load
from boda.stylizing.objective import Losses
from boda.stylizing.optimizing import Descent, optimize
from boda.stylizing.options import StylizeOptions
from boda.stylizing.work import Level, Request, Work

Seen = Callable[[int, Callable[[], np.ndarray]], None]


@dataclass
class Stylized:
    """A picture in another style.

    Attributes:
        picture: (H, W, 3) uint8.
        losses: of the last size, in float32, each part with its weights; None where a fitted network
            made the picture.
        seconds: from the first step to the picture.
        steps: gradients that were taken, at all sizes.
        levels: {"size": [H, W], "steps": …, "tiles": …} of each size.
        content_layers, style_layers: with their weights.
        stopped: whether the person stopped it.
    """

    picture: np.ndarray
    losses: Losses | None
    seconds: float
    steps: int = 0
    levels: list[dict[str, Any]] = field(default_factory=list)
    content_layers: dict[str, float] = field(default_factory=dict)
    style_layers: dict[str, float] = field(default_factory=dict)
    stopped: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        size = {"seconds": round(self.seconds, 3), "size": list(self.picture.shape[:2])}
        if self.losses is None:
            return size
        return {
            "loss": self.losses.total,
            "content_loss": self.losses.content,
            "style_loss": self.losses.style,
            "variation_loss": self.losses.variation,
            "steps": self.steps,
            **size,
            "levels": self.levels,
            "content_layers": self.content_layers,
            "style_layers": self.style_layers,
        }


def stylize(
    request: Request,
    options: StylizeOptions,
    progress: Progress,
    seen: Seen | None = None,
) -> Stylized:
    """Fit a picture's pixels to a content and styles; see ``boda.stylize``.

    Args:
        request: the pictures.
        options: how.
        progress: told whose weights are used, and the steps.
        seen: called after each step with its number and what makes the picture so far.

    Raises:
        UsageError: a layer, a number or a size does not fit. DataError: the weights do not.
        TrainingError: the loss stopped being finite.
    """
    if request.masks and len(request.masks) != len(request.styles):
        raise UsageError(
            f"there are {len(request.masks)} masks for {len(request.styles)} styles. Give one for each."
        )
    device = machine.choose_device(options.device)
    work = Work(request, options, load(options.network, options.weights, progress), device)
    picture: Tensor | None = None
    steps, levels = 0, list[dict[str, Any]]()
    start, total = time.perf_counter(), sum(work.steps(i) for i in range(len(options.sizes)))
    with machine.stopping() as stop, progress.working("stylizing"):
        for level, size in enumerate(options.sizes):
            task = work.at(size)
            picture = work.begin(task) if picture is None else _scaled(picture, task.size)
            before = steps

            def watch(
                done: int, losses: Losses, pixels: Tensor, before: int = before, task: Level = task
            ) -> bool:
                progress.advance(before + done, total)
                if seen is not None:
                    seen(before + done, lambda: task.finished(pixels))
                return not stop.asked

            rate = options.rate if options.optimizer == "adam" else None
            how = Descent(work.steps(level), rate, work.rough, task.remembered())
            picture, done = optimize(picture, task.objective, how, watch)
            steps += done
            levels.append({"size": list(task.size), "steps": done, "tiles": task.tiles})
            if stop.asked:
                break
    assert picture is not None  # there is one size at least
    exact = task.objective(torch.float32)
    return Stylized(
        task.finished(picture),
        exact.losses(picture),
        time.perf_counter() - start,
        steps,
        levels,
        work.content_layers,
        work.style_layers,
        stop.asked,
    )


def _scaled(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """(1, 3, H, W) at a larger size."""
    return F.interpolate(pixels, size, mode="bicubic", align_corners=False).clamp(0, 1)
