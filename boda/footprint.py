"""What one picture costs a network: time, and memory at the most."""

from __future__ import annotations

import statistics
import time
import weakref
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from boda.tasks import Method

MOST, LONGEST = 10, 3.0  # pictures that are timed, and seconds it may take


class _Watch(TorchDispatchMode):
    """Counts the bytes that tensors hold, from when an operator makes them until nobody has them."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._seen: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                self._hold(tensor.untyped_storage())
        return out

    def _hold(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._seen:
            return
        size = storage.nbytes()
        self._seen.add(key)
        self.now += size
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._let_go, key, size)

    def _let_go(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.now -= size


def footprint(method: Method, pictures: np.ndarray) -> dict[str, float]:
    """Time and memory of one picture at a time, from its bytes to the output.

    Args:
        method: in float32, in evaluation mode.
        pictures: (N, C, H, W) uint8 prepared, one or more.

    Returns:
        ``milliseconds``: the median over at most ten pictures, after one that is not counted.
        ``megabytes``: that the tensors of one pass hold at most at once, and the weights; what an
        operator needs for itself while it works is not known. On a GPU: what it had at most.
    """
    device = method.scale.device
    given = [torch.from_numpy(pictures[i : i + 1]).to(device) for i in range(len(pictures))][:MOST]
    with torch.inference_mode():
        held = _most(method, given[0])
        times: list[float] = []
        while len(times) < len(given) and sum(times) < LONGEST:
            clock = time.perf_counter()
            method.output(given[len(times)]).cpu()  # waits for a GPU
            times.append(time.perf_counter() - clock)
    return {"milliseconds": 1000 * statistics.median(times), "megabytes": held / 1e6}


def _most(method: Method, picture: Tensor) -> int:
    """Bytes at most; this pass is also the one that warms up."""
    if picture.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(picture.device)
        method.output(picture)
        return torch.cuda.max_memory_allocated(picture.device)
    weights = sum(t.nbytes for t in method.state_dict().values())
    with _Watch() as watch:
        method.output(picture)
    return weights + watch.most
