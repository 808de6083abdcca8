"""AlexNet, VGG, SqueezeNet and GoogLeNet against what was recorded of torchvision's.

``benchmarks/record_classic_networks.py`` wrote the record.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from boda import models
from tests.golden.filling import trial

GOLDEN = Path(__file__).parents[1] / "golden" / "classic_networks.json"
ROWS = json.loads(GOLDEN.read_text("utf-8"))["networks"]
ROWS = [pytest.param(row, id=row["network"] + "-aux" * bool(row["options"])) for row in ROWS]


@pytest.mark.parametrize("row", ROWS)
def test_names_and_shapes(row: dict[str, Any]) -> None:
    with torch.device("meta"):
        net = models.create(row["network"], **row["options"])
    assert {name: list(t.shape) for name, t in net.state_dict().items()} == row["tensors"]


@pytest.mark.parametrize("row", [row for row in ROWS if row.values[0]["size"]])
def test_logits_and_gradients(row: dict[str, Any]) -> None:
    net = models.create(row["network"], **row["options"])
    found = trial(net, row["size"], row["training"])
    for ours, theirs in zip(found["logits"], row["logits"], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-4)
    scale = max(map(abs, row["gradient"]))
    assert found["gradient"] == pytest.approx(row["gradient"], rel=1e-4, abs=1e-4 * scale)
