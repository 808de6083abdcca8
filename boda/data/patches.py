"""Patches of small pictures and the same places of their large ones, drawn anew each epoch.

A patch is a number, that of its place among all places of all pictures and of one of the eight ways
to turn and mirror it. Which numbers an epoch has follows from (seed, epoch) and nothing else: an
interrupted fit goes on with the ones that it would have had. All are equally likely.

The pictures stay decoded in memory. One that is smaller than a patch is continued by its mirror
image, its edge pixels included, as the resampling continued it when it was made smaller, so that
small and large still fit each other.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from boda.data.dataset import GIB, memory_budget, mix
from boda.data.low_resolution import scale_of
from boda.data.prepare import continued
from boda.errors import DataError, UsageError
from boda.types import Image, Sample

TURNS = 8  # mirrored or not, upside down or not, rows and columns swapped or not
MOST_THREADS = 8
STREAM = 2  # of random numbers: an epoch's order and its augmentation have others


class Patches:
    """Aligned patches of (small, large) pictures.

    Args:
        samples: with a small picture and a large ``target_image``, all of one scale.
        size: pixels of the small patch's sides.
        count: patches an epoch.

    Attributes:
        scale: how many times the large pictures are as large.

    Raises:
        UsageError: no sample, a size or a count below 1, or more pixels than memory should hold.
        DataError: a picture that cannot be read, or a pair whose sizes do not fit.
    """

    def __init__(self, samples: Sequence[Sample], size: int, count: int) -> None:
        if not samples or size < 1 or count < 1:
            raise UsageError(
                f"{count} patches of {size} pixels from {len(samples)} pictures. Give 1 or more of "
                "each."
            )
        _refuse_too_much(samples)
        self.size, self.count = size, count
        with ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1)) as pool:
            pairs = list(pool.map(_decoded, samples))
        self.scale = pairs[0][1].shape[0] // pairs[0][0].shape[0]
        for sample, (low, high) in zip(samples, pairs, strict=True):
            _fit(sample, low, high, self.scale)
        large = size * self.scale
        self.low = _Flat([continued(low, size, size) for low, _ in pairs])
        self.high = _Flat([continued(high, large, large) for _, high in pairs])

    def __len__(self) -> int:
        """Patches an epoch."""
        return self.count

    def order(self, seed: int, epoch: int) -> Tensor:
        """(count,) int64, the numbers of an epoch's patches."""
        generator = torch.Generator().manual_seed(mix(seed, epoch, STREAM))
        every = int(self._places().sum())
        drawn = (torch.rand(self.count, dtype=torch.float64, generator=generator) * every).long()
        return TURNS * drawn + torch.randint(TURNS, (self.count,), generator=generator)

    def rows(self, numbers: Tensor) -> Tensor:
        """(N, 4) int64: picture, y and x of the small patch's corner, and one of eight turns."""
        places = self._places()
        ends = places.cumsum(0)
        drawn, turn = numbers // TURNS, numbers % TURNS
        picture = torch.searchsorted(ends, drawn, right=True)
        place = drawn - (ends - places)[picture]
        across = (self.low.widths - self.size + 1)[picture]
        return torch.stack([picture, place // across, place % across, turn], 1)

    def _places(self) -> Tensor:
        """(P,) int64, how many corners each picture has."""
        return (self.low.heights - self.size + 1) * (self.low.widths - self.size + 1)

    def cut(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The patches of rows, see ``rows``.

        Args:
            rows: (N, 4) int64.

        Returns:
            (N, 3, size, size) and (N, 3, scale·size, scale·size), uint8.
        """
        picture, y, x, turn = rows.unbind(1)
        s = self.scale
        low = self.low.patches(picture, y, x, turn, self.size)
        return low, self.high.patches(picture, s * y, s * x, turn, s * self.size)


class _Flat:
    """Pictures of several sizes, one behind the other: (pixels, 3) uint8.

    Attributes:
        pixels: of all pictures, row by row.
        heights, widths: (P,) int64.
        starts: (P,) int64, where each picture begins.
    """

    def __init__(self, pictures: list[Image]) -> None:
        self.pixels = torch.from_numpy(np.concatenate([each.reshape(-1, 3) for each in pictures]))
        sizes = torch.tensor([picture.shape[:2] for picture in pictures])
        self.heights, self.widths = sizes.unbind(1)
        areas = self.heights * self.widths
        self.starts = areas.cumsum(0) - areas

    def patches(self, picture: Tensor, y: Tensor, x: Tensor, turn: Tensor, size: int) -> Tensor:
        """(N, 3, size, size) uint8, all in one look-up: turning is where a pixel is looked up."""
        steps = torch.arange(size)
        down, across = y[:, None] + _along(steps, turn & 1), x[:, None] + _along(steps, turn & 2)
        down, across = down[:, :, None], across[:, None, :]
        swapped = (turn & 4 > 0)[:, None, None]
        row = torch.where(swapped, down.transpose(1, 2), down)
        column = torch.where(swapped, across.transpose(1, 2), across)
        width = self.widths[picture][:, None, None]
        index = self.starts[picture][:, None, None] + row * width + column
        return self.pixels[index].permute(0, 3, 1, 2).contiguous()


def _along(steps: Tensor, backwards: Tensor) -> Tensor:
    """(N, size): 0, 1, 2, …, or … 2, 1, 0."""
    return torch.where(backwards[:, None] > 0, len(steps) - 1 - steps, steps)


def _refuse_too_much(samples: Sequence[Sample]) -> None:
    """Before any is decoded: three bytes a pixel, of small and large ones."""
    pixels = sum(sample.shape[0] * sample.shape[1] for sample in samples)
    total = 3 * pixels * (1 + (scale_of(samples[0]) or 1) ** 2)
    if total > memory_budget():
        raise UsageError(
            f"these pictures take {total / GIB:.1f} GiB decoded, more than the "
            f"{memory_budget() / GIB:.1f} GiB that are kept. Use fewer of them."
        )


def _decoded(sample: Sample) -> tuple[Image, Image]:
    """Small and large, read anew: the sample keeps neither."""
    low = sample.image if sample.read is None else sample.read()
    return low, sample.target_image


def _fit(sample: Sample, low: Image, high: Image, scale: int) -> None:
    if scale < 1 or high.shape[:2] != (scale * low.shape[0], scale * low.shape[1]):
        raise DataError(
            f"the large picture is {high.shape[0]}×{high.shape[1]}, the small one "
            f"{low.shape[0]}×{low.shape[1]}: not {scale} times as large",
            file=sample.source,
            fix="Use pairs of one scale.",
        )
