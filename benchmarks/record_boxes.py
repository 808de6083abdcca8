"""Writes what torchvision computes of a few boxes: overlaps, losses' kin, suppression, deltas.

Run in the environment of the peers, from the repository:

    python -m benchmarks.record_boxes
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
import torchvision
from torchvision import ops
from torchvision.models.detection._utils import BoxCoder

GOLDEN = Path(__file__).parents[1] / "tests" / "golden" / "boxes.json"


def drawn(count: int, generator: torch.Generator) -> torch.Tensor:
    """Boxes in 100×100 on quarters of pixels, which float32 holds exactly."""
    corner = torch.randint(0, 320, (count, 2), generator=generator)
    sides = torch.randint(8, 160, (count, 2), generator=generator)
    return torch.cat([corner, corner + sides], 1) / 4


def main() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b, many = drawn(12, generator), drawn(9, generator), drawn(150, generator)
    scores = torch.randperm(150, generator=generator) / 150  # no two equal
    labels = torch.randint(0, 3, (150,), generator=generator)
    coder = BoxCoder((1.0, 1.0, 1.0, 1.0))
    told = {
        "torchvision": torchvision.__version__,
        **{"a": a.tolist(), "b": b.tolist(), "many": many.tolist()},
        **{"scores": scores.tolist(), "labels": labels.tolist()},
        "iou": ops.box_iou(a, b).tolist(),
        "giou": ops.generalized_box_iou(a, b).tolist(),
        "diou": ops.distance_box_iou(a, b).tolist(),
        "ciou": ops.complete_box_iou(a, b).tolist(),
        "encoded": coder.encode_single(a[:9], b).tolist(),
        "nms": {str(t): ops.nms(many, scores, t).tolist() for t in (0.1, 0.3, 0.5, 0.7)},
        "nms by class": ops.batched_nms(many, scores, labels, 0.3).tolist(),
    }
    GOLDEN.write_text(json.dumps(told) + "\n", "utf-8")
    print(f"{len(told)} entries in {GOLDEN}")


if __name__ == "__main__":
    main()
