"""Mask R-CNN against what torchvision's finds; ``benchmarks/record_two_stage.py`` wrote the record."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from boda import models
from tests.golden.filling import digest
from tests.golden.small_detectors import answering, found, small

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "two_stage.json").read_text("utf-8"))


def test_the_network_is_torchvision_s_to_the_tensor() -> None:
    with torch.device("meta"):
        net = models.create("mask-rcnn-resnet50-fpn")
    assert sum(p.numel() for p in net.parameters()) == 44_401_393
    assert len(net.state_dict()) == 307
    assert digest(net) == GOLDEN["tensors"]["mask"]


def test_masks_are_torchvision_s() -> None:
    golden = GOLDEN["mask"]
    outputs = found(True, golden["answers"]).numpy()
    for output, theirs in zip(outputs, golden["found"], strict=True):
        rows = output[output[:, 4] > 0]
        count = len(theirs["masks"])
        assert len(rows) == theirs["count"] and count >= 30
        np.testing.assert_allclose(rows[:count, :4], theirs["boxes"], atol=0.1)
        np.testing.assert_allclose(rows[:count, 4], theirs["scores"], atol=1e-3)
        assert rows[:count, 5].tolist() == theirs["labels"]
        points = rows[:count, 6:].reshape(-1, 28, 28)[:, ::4, ::4].reshape(count, -1)
        np.testing.assert_allclose(points, theirs["masks"], atol=1e-3)
        assert np.ptp(points) > 0.9  # of some there is much to be right about


def test_masks_change_nothing_in_the_detections() -> None:
    both = [
        found(masks, GOLDEN["mask"]["answers"] if masks else GOLDEN["faster"]["answers"])
        for masks in (False, True)
    ]
    assert both[1].shape == (2, 100, 6 + 28 * 28)
    torch.testing.assert_close(both[0], both[1][..., :6])


def test_a_mask_depends_on_its_own_region_alone() -> None:
    """Of regions in any order and number each has its mask; the picture it lies in counts."""
    net = answering(small(True), GOLDEN["mask"]["answers"])
    torch.manual_seed(0)
    with torch.inference_mode():
        maps, _, _ = net.first(torch.randn(2, 3, 64, 96))
        boxes = torch.tensor([[3.0, 5, 40, 60], [50, 2, 90, 30], [3, 5, 40, 60]])
        pictures = torch.tensor([0, 1, 1])
        masks = net.masks(maps, boxes, pictures)
        assert masks.shape == (3, 4, 28, 28)
        for i in (2, 0, 1):
            alone = net.masks(maps, boxes[i : i + 1], pictures[i : i + 1])
            torch.testing.assert_close(alone[0], masks[i], rtol=1e-4, atol=1e-4)
    assert (masks[0] - masks[2]).abs().max() > 0.1


def test_one_pass_tells_everything() -> None:
    torch.manual_seed(0)
    net = models.create("mask-rcnn-resnet18-fpn", classes=2, width=0.25).eval()
    with torch.inference_mode():
        logits, deltas, classes, boxes, masks = net(torch.randn(1, 3, 64, 64))
    assert deltas.shape == (*logits.shape, 4)
    assert classes.shape[2] == 3 and boxes.shape == (*classes.shape, 4)
    assert masks.shape == (1, min(100, classes.shape[1]), 3, 28, 28)
