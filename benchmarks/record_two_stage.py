"""Writes what torchvision's Faster and Mask R-CNN find in two pictures, and its anchors.

Run in the environment of the peers, from the repository:

    python -m benchmarks.record_two_stage

The networks are small: ResNet-18 with fixed norms, a pyramid of 16 channels, three classes. Their
weights follow from their names, which are changed to ours before; the answering layers are then
scaled so that things are found, and the factors and biases are kept. Of the anchors' numbers, which
are whole, a digest is kept.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models import resnet18
from torchvision.models.detection import (
    FasterRCNN,
    MaskRCNN,
    fasterrcnn_resnet50_fpn,
    maskrcnn_resnet50_fpn,
)
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.ops import FrozenBatchNorm2d

from boda.models.layouts import MASK
from boda.tasks.detect.detector import LEAST
from tests.golden.filling import digest, fill
from tests.golden.scenes import scenes

GOLDEN = Path(__file__).parents[1] / "tests" / "golden" / "two_stage.json"
WIDTH, HIDDEN, CLASSES, BEFORE, PROPOSALS = 16, 32, 3, 150, 60
SIZES = ((64, 64), (100, 130), (97, 353), (320, 448), (800, 800))  # of pictures
LEVELS = (4, 8, 16, 32)
KEPT = 30  # detections of a picture
SPREAD = {
    "regions.objectness": 2.0,
    "regions.deltas": 0.3,
    "head.classes": 3.0,
    "head.boxes": 1.0,
    "mask_head.masks": 2.0,
}


class Ours(nn.Module):
    """torchvision's network under our names, for what fills and answers."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def state_dict(self) -> dict[str, Tensor]:  # noqa: D102
        return {renamed(name): tensor for name, tensor in self.net.state_dict().items()}


class Named(nn.Module):
    """Tensors by name."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        super().__init__()
        self.tensors = tensors

    def state_dict(self) -> dict[str, Tensor]:  # noqa: D102
        return self.tensors


def renamed(name: str) -> str:
    for pattern, ours in MASK.renames:
        name = re.sub(pattern, ours, name)
    return name


def theirs(masks: bool) -> nn.Module:
    body = resnet18(weights=None, norm_layer=FrozenBatchNorm2d)
    layers = {f"layer{n + 1}": str(n) for n in range(4)}
    backbone = BackboneWithFPN(body, layers, [64, 128, 256, 512], WIDTH)
    settings: dict[str, Any] = {
        "rpn_pre_nms_top_n_test": BEFORE,
        "rpn_post_nms_top_n_test": PROPOSALS,
        "rpn_anchor_generator": anchors(),
        "box_score_thresh": LEAST,
        "box_head": TwoMLPHead(WIDTH * 49, HIDDEN),
        "box_predictor": FastRCNNPredictor(HIDDEN, 1 + CLASSES),
    }
    if masks:
        settings["mask_head"] = MaskRCNNHeads(WIDTH, (WIDTH, WIDTH), 1)
        settings["mask_predictor"] = MaskRCNNPredictor(WIDTH, WIDTH, 1 + CLASSES)
    net = (MaskRCNN if masks else FasterRCNN)(backbone, **settings).eval()
    fill(Ours(net), 0.7)
    return net


def anchors() -> AnchorGenerator:
    sides = tuple((8 * stride,) for stride in (*LEVELS, 64))
    return AnchorGenerator(sides, ((0.5, 1.0, 2.0),) * 5)


@torch.no_grad()
def look(net: nn.Module, pictures: Tensor) -> list[dict[str, Tensor]]:
    """Boxes, scores, labels and masks of 28×28 in (N, 3, H, W) 0..1."""
    sides = pictures.shape[-2:]
    net.transform.min_size, net.transform.max_size = (min(sides),), max(sides)
    found: list[dict[str, Tensor]] = []

    def keep(module: nn.Module, given: Any, out: Any) -> None:
        found.extend(dict(each) for each in out[0])  # copies: masks are enlarged in place later

    handle = net.roi_heads.register_forward_hook(keep)
    net(list(pictures))
    handle.remove()
    return found


@torch.no_grad()
def enliven(net: nn.Module, pictures: Tensor) -> dict[str, Any]:
    """Scale each answering layer as one and move each channel to mean 0; what was done."""
    done: dict[str, Any] = {}
    for name, layer in net.named_modules():
        wanted = SPREAD.get(renamed(name + ".").removesuffix("."))
        if wanted is None:
            continue
        said: list[Tensor] = []
        handle = layer.register_forward_hook(lambda module, given, out, kept=said: kept.append(out))
        look(net, pictures)
        handle.remove()
        answers = torch.cat([each.transpose(0, 1).flatten(1) for each in said], 1)
        factor = round((wanted / answers.std(1).mean()).item(), 3)
        bias = [round(v, 4) for v in ((layer.bias - answers.mean(1)) * factor).tolist()]
        layer.weight.mul_(factor)
        layer.bias.copy_(torch.tensor(bias))
        done[renamed(name + ".").removesuffix(".")] = {"factor": factor, "bias": bias}
    return done


def told(found: dict[str, Tensor]) -> dict[str, Any]:
    """The surest; of the masks every fourth pixel of every fourth row."""
    rows = {
        "boxes": [[round(v, 4) for v in box] for box in found["boxes"][:KEPT].tolist()],
        "scores": [round(v, 6) for v in found["scores"][:KEPT].tolist()],
        "labels": (found["labels"][:KEPT] - 1).tolist(),
        "count": len(found["boxes"]),
    }
    if "masks" in found:
        points = found["masks"][:KEPT, 0, ::4, ::4].flatten(1)
        rows["masks"] = [[round(v, 4) for v in mask] for mask in points.tolist()]
    return rows


def grid(size: tuple[int, int]) -> dict[str, Any]:
    """The anchors of a picture, in whole numbers."""
    cells = [[-(-side // stride) for side in size] for stride in LEVELS]
    cells.append([-(-side // 2) for side in cells[-1]])
    maps = [torch.zeros(1, 1, *each) for each in cells]
    pictures = ImageList(torch.zeros(1, 3, *size), [size])
    boxes = anchors()(pictures, maps)[0]
    whole = boxes.to(torch.int32)
    assert torch.equal(whole.float(), boxes)
    digest = hashlib.sha256(whole.numpy().astype("<i4").tobytes()).hexdigest()
    return {"size": size, "count": len(boxes), "first": boxes[:3].tolist(), "digest": digest}


def whole(build: Callable[..., nn.Module]) -> str:
    """A digest of our names for the tensors of a whole network, and of their shapes.

    Without weights torchvision builds it with batch norms, whose counters its files do not have.
    """
    named = Ours(build(weights=None, weights_backbone=None)).state_dict()
    named = {k: v for k, v in named.items() if not k.endswith("num_batches_tracked")}
    return digest(Named(named))


def main() -> None:
    pictures = scenes() / 255
    golden: dict[str, Any] = {"torchvision": torchvision.__version__}
    networks = {"faster": fasterrcnn_resnet50_fpn, "mask": maskrcnn_resnet50_fpn}
    golden["tensors"] = {name: whole(build) for name, build in networks.items()}
    golden["anchors"] = [grid(size) for size in SIZES]
    for name, masks in (("faster", False), ("mask", True)):
        net = theirs(masks)
        answers = enliven(net, pictures)
        golden[name] = {"answers": answers, "found": [told(each) for each in look(net, pictures)]}
    GOLDEN.write_text(json.dumps(golden) + "\n", "utf-8")
    print(f"{GOLDEN}: {GOLDEN.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
