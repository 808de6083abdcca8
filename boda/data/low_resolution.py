"""Small pictures made of large ones, so that any pictures can be learned from in super-resolution.

As the literature makes them: the large picture is cut to a multiple of the scale, at the right and
at the bottom, and reduced by antialiased bicubic interpolation (see ``boda.ops.resampling``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from boda.errors import DataError, Problem, UsageError
from boda.ops.color import to_chw, to_hwc
from boda.ops.resampling import reduce
from boda.types import Dataset, Image, Sample


def cut(picture: Image, scale: int) -> Image:
    """(H, W, 3) → the largest multiple of ``scale`` in both directions, a view."""
    height, width = (side // scale * scale for side in picture.shape[:2])
    return picture[:height, :width]


def small(picture: Image, scale: int) -> Image:
    """(H, W, 3) uint8 → (H // scale, W // scale, 3) uint8, of the cut picture."""
    large = to_chw(torch.tensor(cut(picture, scale)))
    return to_hwc(reduce(large, scale)).contiguous().numpy()


@dataclass(frozen=True)
class SmallReader:
    """Makes the small picture of a large one when called; picklable.

    Attributes:
        sample: has the large picture.
        scale: by which it is reduced.
    """

    sample: Sample
    scale: int

    def __call__(self) -> Image:
        """(H // scale, W // scale, 3) uint8."""
        return small(_picture(self.sample), self.scale)


@dataclass(frozen=True)
class LargeReader:
    """Cuts a large picture when called; picklable.

    Attributes:
        sample: has the picture.
        scale: of which its sides become multiples.
    """

    sample: Sample
    scale: int

    def __call__(self) -> Image:
        """(H, W, 3) uint8."""
        return np.ascontiguousarray(cut(_picture(self.sample), self.scale))


def paired(dataset: Dataset, scale: int) -> Dataset:
    """The data set with a small picture as ``image`` and a large one as the target, everywhere.

    Samples that are pairs already stay as they are.

    Args:
        dataset: as a reader gave it.
        scale: 2 or more.

    Raises:
        UsageError: a scale below 2, or pairs of another scale.
        DataError: pictures of which less than a pixel would be left.
    """
    if scale < 2:
        raise UsageError(f"a scale of {scale}. Give 2 or more.")
    problems: list[Problem] = []
    splits: dict[str, Sequence[Sample]] = {}
    for split, samples in dataset.splits.items():
        splits[split] = [_paired(sample, scale, problems) for sample in samples]
    if problems:
        raise DataError(problems=problems)
    return dataclasses.replace(dataset, splits=splits)


def _paired(sample: Sample, scale: int, problems: list[Problem]) -> Sample:
    if (known := scale_of(sample)) is not None:
        if known != scale:
            raise UsageError(
                f"{sample.source} is enlarged {known} times in this data, not {scale}. Use "
                f"--set scale={known}, or data of that scale."
            )
        return sample
    height, width = (side // scale for side in sample.shape)
    if min(height, width) < 1:
        why = f"{sample.shape[0]}×{sample.shape[1]} pixels cannot be reduced {scale} times"
        problems.append(Problem(why, "Take it away.", sample.source))
    return dataclasses.replace(
        sample,
        read=SmallReader(sample, scale),
        read_target=LargeReader(sample, scale),
        size=(height, width),
        _image=None,
    )


def scale_of(sample: Sample) -> int | None:
    """How many times the target is as large as the picture; None where there is no target."""
    read = sample.read_target
    if sample.target is not None:
        return sample.target.shape[0] // sample.shape[0]
    if read is None:
        return None
    known: tuple[int, int] | None = getattr(read, "size", None)
    return (known or read().shape)[0] // sample.shape[0]


def _picture(sample: Sample) -> Image:
    """Decoded anew, not kept."""
    read: Callable[[], Image] | None = sample.read
    return sample.image if read is None else read()
