"""From samples to batches of tensors: (N, C, H, W) uint8 begins here.

Pictures are prepared once and kept as bytes while they fit a budget of memory; else they are
decoded anew each epoch by worker processes. The order of an epoch depends on (seed, epoch) alone,
so it can be entered anywhere.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from boda.data.identities import Listed
from boda.data.outlined import learned
from boda.data.prepare import Preparation
from boda.data.working_maps import WorkingMaps
from boda.data.working_masks import WorkingMasks
from boda.data.working_targets import WorkingTargets
from boda.types import ArraySamples, Sample

GIB = 1 << 30


@dataclass
class Batch:
    """What a method sees. Coordinates are pixels of the batch's pictures, with continuous edges.

    Attributes:
        images: (N, C, H, W) uint8.
        labels: (N,) int64.
        index: (N,) int64, positions in the split.
        boxes: N tensors (n, 4) float32 x1, y1, x2, y2; ``n`` differs from picture to picture.
        box_labels: N tensors (n,) int64.
        masks: N tensors (n, H, W) bool, one mask an object, in the order of the boxes.
        semantic: (N, H, W) uint8, the class of each pixel, 255 = ignore.
        points: (N, K, 2) float32 x, y or (N, K, 3) x, y, visibility (0 = not seen).
        targets: (N, 3, H', W') uint8 RGB, the pictures to be produced from these.
        mirror_order: (K,) int64; in a mirrored picture the points swap places by it, since the left
            eye becomes the right one. None: they do not.
        mixed: where pictures were mixed, the partners' labels (N,) int64 and the share (N,) float32
            of the loss that each picture's own label has; its partner's has the rest.
    """

    images: Tensor
    labels: Tensor
    index: Tensor
    boxes: list[Tensor] | None = None
    box_labels: list[Tensor] | None = None
    masks: list[Tensor] | None = None
    semantic: Tensor | None = None
    points: Tensor | None = None
    targets: Tensor | None = None
    mirror_order: Tensor | None = None
    mixed: tuple[Tensor, Tensor] | None = None

    def __len__(self) -> int:
        return len(self.index)

    def first(self, count: int) -> Batch:
        """The first ``count`` pictures, with all that is known of them."""
        some = {f.name: _first(count, getattr(self, f.name)) for f in fields(self)}
        return Batch(**{**some, "mirror_order": self.mirror_order})

    def to(self, device: torch.device) -> Batch:
        """The batch on another device."""
        if device.type == "cpu":
            return self
        return Batch(**{f.name: _on(device, getattr(self, f.name)) for f in fields(self)})


def _on(device: torch.device, value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(_on(device, each) for each in value)
    return None if value is None else value.to(device, non_blocking=True)


def _first(count: int, value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_first(count, each) for each in value)
    return None if value is None else value[:count]


class Pictures:
    """The prepared pictures of one split.

    Attributes:
        samples: where they come from.
        labels: (N,) int64; 0 where pictures have no class of their own.
        images: (N, C, H, W) uint8 when everything fits in memory, else None.
        boxes, box_labels, points: see ``Batch``; None where the samples have none. Crowds and
            difficult objects are not among the boxes: they are not to be learned.
        masks: of each picture (n, H, W) bool, in the order of its boxes; None where nobody wants
            them, since they cost time and memory.
        semantic: of each picture (H, W) uint8; None where the task is another.
        targets: of each picture (3, H, W) uint8; None where no sample has one.
        mirror_order: see ``Batch``.
        listed: the pairs and episodes of the split that its data lists; None where there are none.
    """

    mirror_order: Tensor | None = None
    listed: Listed | None = None

    def __init__(
        self,
        samples: Sequence[Sample],
        preparation: Preparation,
        images: np.ndarray | None = None,
        task: str = "",
    ) -> None:
        self.samples, self.preparation = samples, preparation
        self.images = (
            None
            if images is None
            else torch.from_numpy(np.require(images, requirements=["C", "W"]))
        )
        if isinstance(samples, ArraySamples):
            self.labels = torch.from_numpy(samples.labels.astype(np.int64))
        else:
            self.labels = torch.tensor([sample.label or 0 for sample in samples])
        self.boxes, self.box_labels = _objects(samples, preparation)
        self.masks = WorkingMasks(samples, preparation) if task == "instances" else None
        self.semantic = WorkingMaps(samples, preparation) if task == "segment" else None
        self.points = _points(samples, preparation)
        self.targets = _targets(samples, preparation)

    def __len__(self) -> int:
        return len(self.samples)

    def begin(self, epoch: int) -> None:
        """An epoch begins: pictures are the same in all of them."""

    def batches(self, order: Tensor, size: int) -> Iterator[Batch]:
        """Batches of ``size`` pictures in an order of indices; the last may be smaller."""
        if not len(order):  # torch would split it into one empty part
            return
        parts = order.split(size)
        if self.images is not None:
            for index in parts:
                yield self.batch(self.images[index], index)
            return
        stream = torch.utils.data.DataLoader(
            _Decoding(self),
            batch_sampler=[part.tolist() for part in parts],
            num_workers=min(len(parts), workers()),
            worker_init_fn=_leave_ctrl_c_to_us,
        )
        for index, images in zip(parts, stream, strict=True):
            yield self.batch(images, index)

    def batch(self, images: Tensor, index: Tensor) -> Batch:
        """The pictures at ``index`` with what is known of them; images are theirs, (n, C, H, W)."""
        rows = index.tolist()
        return Batch(
            images,
            self.labels[index],
            index,
            boxes=None if self.boxes is None else [self.boxes[i] for i in rows],
            box_labels=None if self.box_labels is None else [self.box_labels[i] for i in rows],
            masks=None if self.masks is None else [self.masks[i] for i in rows],
            semantic=None if self.semantic is None else _stacked(self.semantic, rows),
            targets=None if self.targets is None else _stacked(self.targets, rows),
            points=None if self.points is None else self.points[index],
            mirror_order=self.mirror_order,
        )

    def in_order(self, size: int) -> Iterator[Batch]:
        """All pictures, in the split's own order."""
        return self.batches(torch.arange(len(self)), size)

    def prepared(self, index: int) -> np.ndarray:
        """One prepared picture, (H, W, C) uint8."""
        if self.images is None:
            return self.preparation(decoded(self.samples[index]))
        return self.images[index].permute(1, 2, 0).numpy()


def _stacked(maps: Sequence[Tensor], rows: list[int]) -> Tensor:
    return torch.stack([maps[i] for i in rows])


def _targets(samples: Sequence[Sample], preparation: Preparation) -> WorkingTargets | None:
    """What is to be produced; None where not every picture has it."""
    if isinstance(samples, ArraySamples) or not all(sample.has_target for sample in samples):
        return None
    return WorkingTargets(samples, preparation, memory_budget())


def _objects(
    samples: Sequence[Sample], preparation: Preparation
) -> tuple[list[Tensor] | None, list[Tensor] | None]:
    """Boxes in pixels of the working pictures, and their classes; None where there are none."""
    if isinstance(samples, ArraySamples) or all(sample.boxes is None for sample in samples):
        return None, None
    boxes, labels = [], []
    for sample in samples:
        own = np.zeros((0, 4), np.float32) if sample.boxes is None else sample.boxes
        kept = learned(sample)
        moved = preparation.moved(own[kept].reshape(-1, 2, 2), sample.shape).reshape(-1, 4)
        boxes.append(torch.from_numpy(moved))
        own_labels = np.zeros(len(own), np.int64) if sample.labels is None else sample.labels
        labels.append(torch.from_numpy(own_labels[kept]))
    return boxes, labels


def _points(samples: Sequence[Sample], preparation: Preparation) -> Tensor | None:
    """(N, K, 3) points in pixels of the working pictures, with visibility; None where there are none."""
    if isinstance(samples, ArraySamples) or any(sample.points is None for sample in samples):
        return None
    rows = []
    for sample in samples:
        assert sample.points is not None
        places = preparation.moved(sample.points[:, :2], sample.shape)
        seen = sample.points[:, 2:] if sample.points.shape[1] == 3 else np.full((len(places), 1), 2)
        rows.append(np.concatenate([places, seen], 1))
    return torch.from_numpy(np.stack(rows).astype(np.float32))


def objects_in(some: Batch | Pictures) -> list[tuple[Tensor, Tensor]]:
    """The boxes and classes in each picture; none where nothing is known."""
    if some.boxes is None or some.box_labels is None:
        return [(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))] * len(some)
    return list(zip(some.boxes, some.box_labels, strict=True))


def _leave_ctrl_c_to_us(_: int) -> None:
    """A worker that dies of Ctrl-C would take the fit with it before anything is saved."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class _Decoding(torch.utils.data.Dataset[Tensor]):
    """Decodes and prepares one picture; runs in worker processes."""

    def __init__(self, pictures: Pictures) -> None:
        self.samples, self.preparation = pictures.samples, pictures.preparation

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Tensor:
        image = self.preparation(decoded(self.samples[index]))
        return torch.tensor(image.transpose(2, 0, 1))


def decoded(sample: Sample) -> np.ndarray:
    """The picture without keeping it in the sample: an epoch must not fill the memory."""
    return sample.read() if sample.read is not None else sample.image


def epoch_order(length: int, seed: int, epoch: int) -> Tensor:
    """The order of the samples in one epoch: a permutation that depends on its arguments alone."""
    generator = torch.Generator().manual_seed(mix(seed, epoch))
    return torch.randperm(length, generator=generator)


def mix(*numbers: int) -> int:
    """One 63-bit seed from several numbers; neighbours give unrelated seeds (splitmix64)."""
    mask = (1 << 64) - 1
    state = 0
    for number in numbers:
        state = (state + number + 0x9E3779B97F4A7C15) & mask
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & mask
        state ^= state >> 31
    return state >> 1


def workers() -> int:
    """Worker processes for decoding: one a core, less the one that trains, at most eight."""
    return max(1, min(8, (os.cpu_count() or 2) - 1))


def memory_budget() -> int:
    """Bytes that prepared pictures may take: a quarter of the machine's memory, at most 16 GiB."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not on Windows
        total = 8 * GIB
    return min(total // 4, 16 * GIB)
