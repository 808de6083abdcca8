"""Writes what torchvision's RoI align and RoI pooling make of a few boxes, and their gradients.

Run in the environment of the peers, from the repository:

    python -m benchmarks.record_roi
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor
from torchvision import ops

GOLDEN = Path(__file__).parents[1] / "tests" / "golden" / "roi.json"
STRIDES = (4, 8, 16, 32)
SIDES = (0, 3, 50, 111.9, 112, 113, 223.9, 224, 225, 447.9, 448, 450, 900)
# Seven pixels high, in 13 cells: in float32 13 · (7 / 13) > 7, so that the last cell has one more.
UNEVEN = [[x, 0.0, x + 8.0, 24.0] for x in (0.0, 8.0, 16.0, 24.0)]


def drawn(count: int, generator: torch.Generator) -> Tensor:
    """Boxes in and around 36×32 on eighths of pixels, some of them without sides or turned over."""
    corner = torch.randint(-100, 260, (count, 2), generator=generator)
    sides = torch.randint(-20, 200, (count, 2), generator=generator)
    return torch.cat([corner, corner + sides], 1) / 8


def told(values: Tensor) -> Any:
    """Nested lists with six digits behind the point."""
    flat = [round(value, 6) for value in values.flatten().tolist()]
    return {"shape": list(values.shape), "values": flat}


def with_gradient(maps: Tensor, pooled: Tensor) -> dict[str, Any]:
    """``pooled``, and the gradient of Σ k · pooled, where k counts -3 to 3 over and over."""
    counted = torch.arange(pooled.numel()).view_as(pooled) % 7 - 3.0
    return {"pooled": told(pooled), "gradient": told(torch.autograd.grad(pooled, maps, counted)[0])}


def main() -> None:
    generator = torch.Generator().manual_seed(0)
    # No two values of a map are equal: which of two maxima has the gradient is another test's.
    maps = torch.stack([torch.randperm(72, generator=generator) for _ in range(4)]) / 8
    maps = maps.view(2, 2, 9, 8).requires_grad_()
    boxes = torch.cat([drawn(20, generator), torch.tensor(UNEVEN)])
    pictures = torch.randint(0, 2, (len(boxes),), generator=generator)
    rois = torch.cat([pictures[:, None], boxes], 1)
    levels = [
        torch.randint(-99, 99, (2, 1, 128 // s, 128 // s), generator=generator).float()
        for s in STRIDES
    ]
    sides = torch.tensor(SIDES).repeat(2)
    corner = torch.randint(-200, 100, (len(sides), 2), generator=generator).float()
    sized = torch.cat([corner, corner + sides[:, None]], 1)
    pyramid = ops.MultiScaleRoIAlign(["0", "1", "2", "3"], 3, 2)
    named = {str(i): level for i, level in enumerate(levels)}
    golden = {
        "torchvision": torchvision.__version__,
        "maps": told(maps),
        "boxes": told(boxes),
        "pictures": pictures.tolist(),
        "align": [
            {
                **{"size": size, "samples": samples, "aligned": aligned},
                **with_gradient(maps, ops.roi_align(maps, rois, size, 0.25, samples, aligned)),
            }
            for size, samples, aligned in ((3, 2, False), ((2, 3), 3, True))
        ],
        "pool": with_gradient(maps, ops.roi_pool(maps, rois, (13, 2), 0.25)),
        "levels": [told(level) for level in levels],
        "sized": told(sized),
        "pooled": told(
            pyramid(named, [sized[: len(SIDES)], sized[len(SIDES) :]], [(128, 128)] * 2)
        ),
    }
    GOLDEN.write_text(json.dumps(golden) + "\n", "utf-8")
    print(f"{len(golden)} entries in {GOLDEN}")


if __name__ == "__main__":
    main()
