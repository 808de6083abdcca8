"""SqueezeNet 1.1 against published counts."""

from __future__ import annotations

import torch

from boda import models
from boda.look import summary


def test_published_counts() -> None:
    with torch.device("meta"):
        found = summary(models.create("squeezenet-1.1"), (3, 224, 224))
    assert found.parameters == 1_235_496
    assert f"{found.multiply_adds / 1e9:.3f}" == "0.349"  # torchvision's own figure


def test_poolings_round_up() -> None:
    with torch.device("meta"):
        found = summary(models.create("squeezenet-1.1"), (3, 78, 78))
    sides = [row.output_shape[1] for row in found.layers if row.kind == "MaxPool2d"]
    assert sides == [19, 9, 4]  # of 38, 19 and 9; rounded down it would be 18
