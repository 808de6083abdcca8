"""Time of boda's RoI align, in plain PyTorch, beside torchvision's compiled one.

Command:  python benchmarks/roi.py [--boxes 512] [--channels 256] [--pairs 9] [--device cpu]
          in an environment that has torchvision as well as boda

Boxes of 16 to 320 pixels, thrown at random into one picture of 1216×800, pooled to 7×7 with 2×2
samples a cell: in the map of stride 8 and in the larger one of stride 4; forward alone, and forward
and backward. What both compute is compared first. The two sides take turns in one process; a ratio
is boda's time through torchvision's: the median over the pairs, with the lowest and the highest.
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

from boda.ops import roi_align

WIDTH, HEIGHT = 1216, 800


def thrown(count: int) -> Tensor:
    centres = torch.rand(count, 2) * torch.tensor([WIDTH, HEIGHT])
    half = 8 * torch.exp(3 * torch.rand(count, 2))
    boxes = torch.cat([centres - half, centres + half], 1)
    return boxes.clamp(min=0).minimum(torch.tensor([WIDTH, HEIGHT, WIDTH, HEIGHT]))


def timed(pool: Callable[[], Tensor], maps: Tensor, weight: Tensor | None) -> float:
    """Seconds of one pooling, with its gradient where there is a weight for it."""
    maps.grad = None
    start = time.perf_counter()
    with torch.set_grad_enabled(weight is not None):
        pooled = pool()
    if weight is not None:
        pooled.backward(weight)
    if maps.is_cuda:
        torch.cuda.synchronize(maps.device)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--boxes", type=int, default=512)
    parser.add_argument("--channels", type=int, default=256)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    options = parser.parse_args()
    torch.manual_seed(0)
    device = options.device
    boxes = thrown(options.boxes).to(device)
    pictures = torch.zeros(len(boxes), dtype=torch.int64, device=device)
    weight = torch.randn(len(boxes), options.channels, 7, 7).to(device)
    print(f"{len(boxes)} boxes, {device}, {torch.get_num_threads()} threads")
    for stride in (8, 4):
        maps = torch.randn(1, options.channels, HEIGHT // stride, WIDTH // stride, device=device)
        maps.requires_grad_()
        ours = partial(roi_align, maps, boxes, pictures, 7, scale=1 / stride)
        theirs = partial(torchvision.ops.roi_align, maps, [boxes], 7, 1 / stride, 2)
        here, there = ours(), theirs()
        apart = (here - there).abs().max().item()
        gradients = [torch.autograd.grad(pooled, maps, weight)[0] for pooled in (here, there)]
        apart_back = (gradients[0] - gradients[1]).abs().max() / gradients[1].abs().max()
        print(f"{tuple(maps.shape)}: apart by {apart:.1e}, gradients by {apart_back:.1e} of theirs")
        for name, factor in (("forward", None), ("forward and backward", weight)):
            sides = [partial(timed, pool, maps, factor) for pool in (ours, theirs)]
            found = in_turn(sides[0], sides[1], options.pairs)
            mine, other = (1000 * seconds for seconds in found.medians)
            print(
                f"  {name:21} ours {mine:6.1f} ms, theirs {other:6.1f} ms: "
                f"ratio {found.ratio:.2f} ({found.ratios[0]:.2f} to {found.ratios[-1]:.2f})"
            )


if __name__ == "__main__":
    main()
