"""The pictures that are to be produced, brought to the working size."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from boda.data.prepare import Preparation
from boda.types import Sample


class WorkingTargets(Sequence[Tensor]):
    """The target of each picture: prepared when first asked for, then kept.

    ``targets[i]`` is (3, H, W) uint8 RGB, by the rule and at the size of the working pictures, also
    where those are gray.

    Args:
        samples: each with a target.
        preparation: of the working pictures.
        most: bytes that are kept; what is beyond them is prepared anew each time.
    """

    def __init__(self, samples: Sequence[Sample], preparation: Preparation, most: int) -> None:
        self._samples = samples
        self._preparation = dataclasses.replace(preparation, channels=3)
        self._kept: dict[int, Tensor] = {}
        self._room = most // (3 * preparation.height * preparation.width)

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        index = range(len(self))[index]
        if index in self._kept:
            return self._kept[index]
        made = self._preparation(self._samples[index].target_image)
        target = torch.tensor(made.transpose(2, 0, 1))
        if len(self._kept) < self._room:
            self._kept[index] = target
        return target
