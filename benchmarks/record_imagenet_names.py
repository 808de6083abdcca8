"""Writes the 1,000 ImageNet class names that ship with boda, and what the peers say of their files.

Names and files come from torchvision's own metadata, the WordNet numbers from timm's list; both are
in the order of the networks' outputs. Tensors' names and shapes are those of timm's modules. Run in
the environment of the peers, from the repository:

    python benchmarks/record_imagenet_names.py
"""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import timm
import torch
import torchvision

ROOT = Path(__file__).parents[1]
NAMES = ROOT / "boda" / "data" / "imagenet.txt"
GOLDEN = ROOT / "tests" / "golden" / "torchvision_weights.json"
TENSORS = ROOT / "tests" / "golden" / "timm_tensors.json"
NETWORKS = """alexnet vgg11 vgg13 vgg16 vgg19 vgg11_bn vgg13_bn vgg16_bn vgg19_bn resnet18 resnet34
resnet50 resnet101 resnet152 googlenet mobilenet_v2 squeezenet1_1 efficientnet_b0 efficientnet_b1
efficientnet_b2 efficientnet_b3 efficientnet_b4 efficientnet_b5 efficientnet_b6 efficientnet_b7"""


def main() -> None:
    wnids = (files("timm.data") / "_info" / "imagenet_synsets.txt").read_text("utf-8").split()
    names = torchvision.models.ResNet18_Weights.IMAGENET1K_V1.meta["categories"]
    assert len(wnids) == len(set(wnids)) == len(names) == len(set(names)) == 1000
    lines = [f"{wnid} {name}\n" for wnid, name in zip(wnids, names, strict=True)]
    NAMES.write_text("".join(lines), "utf-8")
    rows = [row for network in NETWORKS.split() for row in published(network)]
    told = {"torchvision": torchvision.__version__, "files": rows}
    GOLDEN.write_text(json.dumps(told, indent=1) + "\n", "utf-8")
    shapes = {name: tensors(name) for name in ("legacy_seresnet50", "mobilenetv1_100")}
    TENSORS.write_text(json.dumps({"timm": timm.__version__, **shapes}) + "\n", "utf-8")
    print(f"{len(lines)} names in {NAMES}, {len(rows)} files in {GOLDEN}, tensors in {TENSORS}")


def tensors(network: str) -> dict[str, list[int]]:
    """Name and shape of every tensor of one of timm's networks."""
    with torch.device("meta"):
        state = timm.create_model(network).state_dict()
    return {name: list(tensor.shape) for name, tensor in state.items()}


def published(network: str) -> list[dict]:
    """One row a file that classifies: where it is, how it was measured, and what came out."""
    rows = []
    for weights in torchvision.models.get_model_weights(network):
        seen, figures = weights.transforms(), weights.meta["_metrics"]["ImageNet-1K"]
        if figures["acc@1"] is None or figures["acc@1"] != figures["acc@1"]:
            continue  # only features
        rows.append(
            {
                "network": network,
                "url": weights.url,
                "top1": figures["acc@1"],
                "top5": figures["acc@5"],
                "resize": seen.resize_size[0],
                "size": seen.crop_size[0],
                "interpolation": seen.interpolation.value,
                "mean": seen.mean,
                "std": seen.std,
            }
        )
    return rows


if __name__ == "__main__":
    main()
