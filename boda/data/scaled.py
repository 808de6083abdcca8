"""Small pictures of any size with their large ones: patches to learn from, whole ones to measure on."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from boda.data.dataset import Batch, Pictures, decoded
from boda.data.patches import Patches
from boda.ops.color import to_chw


class ScaledPictures(Pictures):
    """The pictures of one split, each small with a large target, at the sizes that they have.

    Attributes:
        patches: what is learned from; None until ``cut`` says how large they are.
    """

    patches: Patches | None = None

    def cut(self, size: int, count: int) -> None:
        """Learn from ``count`` patches of ``size`` small pixels an epoch; all pictures are decoded.

        Raises:
            UsageError, DataError: see ``Patches``.
        """
        self.patches = Patches(self.samples, size, count)

    def batches(self, order: Tensor, size: int) -> Iterator[Batch]:
        """Patches by their numbers, ``size`` at a time, with those of the large pictures as targets.

        ``index`` is the number of the picture that a patch is of.
        """
        assert self.patches is not None, "cut says what to learn from"
        for numbers in order.split(size) if len(order) else ():
            rows = self.patches.rows(numbers)
            small, large = self.patches.cut(rows)
            index = rows[:, 0]
            yield Batch(small, self.labels[index], index, targets=large)

    def in_order(self, size: int) -> Iterator[Batch]:
        """The whole small pictures, one at a time: they differ in size."""
        for i in range(len(self)):
            index = torch.tensor([i])
            picture = to_chw(torch.tensor(decoded(self.samples[i])))[None]
            yield Batch(picture, self.labels[index], index)
