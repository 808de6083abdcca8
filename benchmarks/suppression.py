"""Time of boda's non-max suppression, in plain PyTorch, beside torchvision's compiled one.

Command:  python benchmarks/suppression.py [--boxes 10000] [--pairs 9] [--device cpu]
          in an environment that has torchvision as well as boda

Cases: boxes of 4 to 64 pixels thrown at random into 600×600, as one class and as 20; and the same
number crowded around 80 objects, as a detector's are. What is kept is compared first. The two sides
take turns in one process; a ratio is boda's time through torchvision's: the median over the pairs,
with the lowest and the highest.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import torch
import torchvision
from pairs import in_turn
from torch import Tensor

from boda.ops import nms

THRESHOLD = 0.5


def thrown(count: int) -> Tensor:
    sides = 4 + 60 * torch.rand(count, 2)
    corner = torch.rand(count, 2) * (600 - sides)
    return torch.cat([corner, corner + sides], 1)


def crowded(count: int) -> Tensor:
    centres = (600 * torch.rand(80, 2))[torch.randint(80, (count,))] + 8 * torch.randn(count, 2)
    half = 30 + 20 * torch.rand(count, 2)
    return torch.cat([centres - half, centres + half], 1)


def timed(work: Callable[[], Tensor], device: torch.device) -> float:
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--boxes", type=int, default=10_000)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    options = parser.parse_args()
    torch.manual_seed(0)
    n, device = options.boxes, options.device
    scores = (torch.randperm(n) / n).to(device)  # no two equal: torchvision's ties are in any order
    cases = {
        "random, 1 class": (thrown(n), None),
        "random, 20 classes": (thrown(n), torch.randint(20, (n,)).to(device)),
        "80 objects, 1 class": (crowded(n), None),
        "80 objects, 20 classes": (crowded(n), torch.randint(20, (n,)).to(device)),
    }
    print(f"{n} boxes, IoU {THRESHOLD}, {device}, {torch.get_num_threads()} threads")
    for name, (drawn, labels) in cases.items():
        boxes = drawn.to(device)
        ours = partial(nms, boxes, scores, THRESHOLD, labels)
        if labels is None:
            theirs = partial(torchvision.ops.nms, boxes, scores, THRESHOLD)
        else:
            theirs = partial(torchvision.ops.batched_nms, boxes, scores, labels, THRESHOLD)
        kept = ours()
        same = "the same" if kept.equal(theirs()) else "NOT THE SAME"
        found = in_turn(partial(timed, ours, device), partial(timed, theirs, device), options.pairs)
        here, there = (1000 * seconds for seconds in found.medians)
        print(
            f"{name:23} {len(kept):5} kept, {same}; ours {here:6.1f} ms, theirs {there:6.1f} ms: "
            f"ratio {found.ratio:.2f} ({found.ratios[0]:.2f} to {found.ratios[-1]:.2f})"
        )


if __name__ == "__main__":
    main()
