"""The classes of pixels in the working pictures, kept small between the epochs."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from boda.data.prepare import Preparation
from boda.data.working_masks import resampled
from boda.types import IGNORED, Sample


class WorkingMaps(Sequence[Tensor]):
    """The map of each picture: made when first asked for, then kept compressed.

    ``maps[i]`` is (H, W) uint8, the class of each pixel, 255 = ignore. A pixel has the class that lies
    under its centre in the original: no class is ever mixed of two.
    """

    def __init__(self, samples: Sequence[Sample], preparation: Preparation) -> None:
        self._samples, self._preparation = samples, preparation
        self._kept: dict[int, bytes] = {}

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        index = range(len(self))[index]
        if index not in self._kept:
            made = resampled(self._samples[index].class_map, self._preparation, IGNORED)
            self._kept[index] = zlib.compress(made.tobytes(), 1)
        flat = np.frombuffer(bytearray(zlib.decompress(self._kept[index])), np.uint8)
        return torch.from_numpy(flat.reshape(self._preparation.height, self._preparation.width))
