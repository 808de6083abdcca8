"""The regions of working pictures, searched once: they are the same whenever they are asked for.

In memory a picture's regions are found by its content; those of a training split are kept in the
user's cache folder too, so that another fit or a resumed one need not search again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from boda.data.dataset import GIB, Pictures
from boda.files import cache_folder, replacing
from boda.ops.regions import selective_search
from boda.progress import Progress

VERSION = 1  # of how they are searched; a new number forgets the old ones
IN_MEMORY = GIB // 4
ON_DISK = GIB

_known: OrderedDict[bytes, np.ndarray] = OrderedDict()  # by content and mode; the newest last


class Proposals:
    """Selective search with one mode.

    Args:
        mode: "fast" or "quality".
        most: regions a picture; the first ones, in which those of all kinds are mixed.
    """

    def __init__(self, mode: str, most: int) -> None:
        self.mode, self.most = mode, most

    def of(self, image: Tensor) -> Tensor:
        """(C, H, W) uint8 → (n, 4) float32 xyxy; the whole picture where nothing is found."""
        name = self._name(image)
        boxes = _known.get(name)
        if boxes is None:
            boxes = self.anew(image)
            _learn(name, boxes)
        return torch.from_numpy(boxes[: self.most].copy())

    def all_of(self, pictures: Pictures, places: Tensor, progress: Progress) -> list[Tensor]:
        """The regions of the pictures at ``places``; ``progress`` is told how far it is."""
        names: list[bytes] = []
        for batch in pictures.batches(places, 64):
            names += [self._name(image) for image in batch.images]
        key = hashlib.blake2b(b"".join(names), digest_size=16).hexdigest()
        file = cache_folder() / "regions" / f"{key}.safetensors"
        found = _recall(file)
        if found is None:
            found = []
            for batch in pictures.batches(places, 64):
                for image in batch.images:
                    found.append(self.anew(image))
                    progress.advance(len(found), len(places))
            _remember(file, found)
        for name, boxes in zip(names, found, strict=True):
            _learn(name, boxes)
        return [torch.from_numpy(boxes[: self.most].copy()) for boxes in found]

    def anew(self, image: Tensor) -> np.ndarray:
        """What ``of`` gives, all of it and not from memory."""
        pixels = image.expand(3, -1, -1).permute(1, 2, 0).cpu().numpy()
        boxes = selective_search(np.ascontiguousarray(pixels), self.mode)
        height, width = image.shape[-2:]
        return boxes if len(boxes) else np.array([[0, 0, width, height]], np.float32)

    def _name(self, image: Tensor) -> bytes:
        told = f"{VERSION} {self.mode} {tuple(image.shape)}".encode()
        pixels = np.ascontiguousarray(image.cpu().numpy())
        return hashlib.blake2b(told + pixels.tobytes(), digest_size=16).digest()


def _learn(name: bytes, boxes: np.ndarray) -> None:
    _known[name] = boxes
    _known.move_to_end(name)
    room = IN_MEMORY - sum(each.nbytes for each in _known.values())
    while room < 0 and len(_known) > 1:
        room += _known.popitem(last=False)[1].nbytes


def _recall(file: Path) -> list[np.ndarray] | None:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        values = load_file(file)
        os.utime(file)  # the oldest that is not used makes room
    except (OSError, SafetensorError):
        return None
    return np.split(values["boxes"], values["counts"].cumsum()[:-1])


def _remember(file: Path, found: list[np.ndarray]) -> None:
    """Keep them on the disk; where there is no room they are searched again another time."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    counts = np.array([len(boxes) for boxes in found])
    with contextlib.suppress(OSError, SafetensorError):
        file.parent.mkdir(parents=True, exist_ok=True)
        kept = sorted(file.parent.glob("*.safetensors"), key=lambda f: f.stat().st_mtime)
        room = ON_DISK - 16 * int(counts.sum())
        while kept and sum(f.stat().st_size for f in kept) > room:
            kept.pop(0).unlink(missing_ok=True)
        if room > 0:
            with replacing(file) as temporary:
                save_file({"boxes": np.concatenate(found), "counts": counts}, temporary)
