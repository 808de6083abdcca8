"""ResNet, SE-ResNet, MobileNet and EfficientNet against what was recorded of torchvision and timm.

``benchmarks/record_residual_networks.py`` wrote the record.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from boda import models
from tests.golden.filling import digest, trial

GOLDEN = Path(__file__).parents[1] / "golden" / "residual_networks.json"
ROWS = json.loads(GOLDEN.read_text("utf-8"))["networks"]
TRIALS = [
    pytest.param(row["network"], told, id=row["network"] + "-training" * told["training"])
    for row in ROWS
    for told in row["trials"]
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["network"])
def test_names_and_shapes(row: dict[str, Any]) -> None:
    with torch.device("meta"):
        assert digest(models.create(row["network"])) == row["tensors"]


@pytest.mark.parametrize(("name", "told"), TRIALS)
def test_logits_and_gradients(name: str, told: dict[str, Any]) -> None:
    found = trial(models.create(name), told["size"], told["training"], told["norm"])
    logits, (theirs,) = found["logits"][0], told["logits"]
    assert (
        max(abs(a - b) for a, b in zip(theirs[:4], theirs[4:], strict=True)) > 0.01
    )  # two pictures
    assert logits == pytest.approx(theirs, rel=1e-4, abs=1e-4 * max(map(abs, theirs)))
    scale = max(map(abs, told["gradient"]))
    assert found["gradient"] == pytest.approx(told["gradient"], rel=1e-4, abs=1e-4 * scale)
