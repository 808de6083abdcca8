"""What pictures are compared by: a named row of numbers each. FID and KID of others are other figures."""

from __future__ import annotations

from typing import ClassVar, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from boda.errors import UsageError

SIDE = 8  # of the pictures that stand for their pixels
AT_ONCE = 512  # pictures through a judge


class Features(Protocol):
    """What tells pictures apart."""

    @property
    def name(self) -> str:
        """Stands beside every figure."""
        ...

    @property
    def classes(self) -> list[str]:
        """Those that it knows; none where it is no classifier."""
        ...

    def __call__(self, pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(N, C, H, W) uint8 → (N, D) features, and (N, K) probabilities of the classes."""
        ...


class Pixels:
    """The means of 8×8 parts of a picture, 0..1: layout and light, no details."""

    name = f"pixels {SIDE}×{SIDE}"
    classes: ClassVar[list[str]] = []

    def __call__(self, pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(N, C, H, W) uint8 → (N, C·64), and (N, 0)."""
        means = F.adaptive_avg_pool2d(torch.from_numpy(pictures).float() / 255, SIDE)
        return means.flatten(1).numpy(), np.zeros((len(pictures), 0), np.float32)


class Judge:
    """A classifier that was fitted before: the input of its last layer, and what it says.

    Args:
        path: of its run.

    Raises:
        DataError: it is no run.
        UsageError: it is no classifier's.
    """

    def __init__(self, path: str) -> None:
        from boda.runs import Run

        run = Run.open(path)
        if run.record["task"] != "classify":
            raise UsageError(
                f"judge={path} is a run for {run.record['task']}. Name one of `boda fit classify`."
            )
        self.trained = run.trained()
        self.classes = self.trained.classes
        self.name = f"{self.trained.model} of {path}"

    def __call__(self, pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(N, C, H, W) uint8 → (N, D), maps as their means, and (N, K)."""
        method, prepare = self.trained.method, self.trained.preparation
        rows = pictures[:, 0] if pictures.shape[1] == 1 else pictures.transpose(0, 2, 3, 1)
        prepared = torch.from_numpy(
            np.array(prepare.batch(rows))
        )  # torch wants one that may be written
        seen: list[Tensor] = []

        def keep(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            values = inputs[0].detach().float()
            seen.append(values.mean((2, 3)) if values.ndim == 4 else values)

        hook = method.net.get_submodule(method.head).register_forward_pre_hook(keep)
        try:
            with torch.inference_mode(), torch.autocast("cpu", enabled=False):
                said = [method.output(part) for part in prepared.split(AT_ONCE)]
        finally:
            hook.remove()
        return torch.cat(seen).numpy(), torch.cat(said).numpy()
