"""Small networks with two stages whose weights follow from their names, as the record has them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from boda import tasks
from boda.data import imagenet
from boda.data.prepare import Preparation
from boda.models.faster_rcnn import FasterRCNN, Sizes
from boda.models.mask_rcnn import MaskRCNN
from tests.golden.filling import fill
from tests.golden.scenes import scenes

SIZES = Sizes(width=16, hidden=32, anchor=8, before=150, proposals=60, norm=False)
PREPARATION = Preparation(96, 128, rule="letterbox", mean=imagenet.MEAN, std=imagenet.STD)


@torch.no_grad()
def answering(net: FasterRCNN, answers: dict[str, Any]) -> FasterRCNN:
    """The network, filled, with the recorded factors and biases of the layers that answer."""
    fill(net, 0.7)
    for name, told in answers.items():
        layer = net.get_submodule(name)
        layer.weight.mul_(told["factor"])
        layer.bias.copy_(torch.tensor(told["bias"]))
    return net.eval()


def small(masks: bool) -> FasterRCNN:
    """ResNet-18 with fixed norms, a pyramid of 16 channels, three classes; new weights."""
    if masks:
        return MaskRCNN("resnet18", SIZES, 2, 3, 3, {})
    return FasterRCNN("resnet18", SIZES, 3, 3, {})


@torch.inference_mode()
def found(masks: bool, answers: dict[str, Any]) -> Tensor:
    """What the method finds in the scenes: (2, 100, 6 or 6 + 28·28)."""
    kind = tasks.method("mask-rcnn" if masks else "faster-rcnn")
    method = kind(answering(small(masks), answers), PREPARATION, kind.Config()).eval()
    return method.output(scenes().to(torch.uint8))
