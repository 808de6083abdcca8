"""Writes the tensors of torchvision's AlexNet, VGG, SqueezeNet and GoogLeNet, and what they compute.

Run in the environment of the peers, from the repository:

    python -m benchmarks.record_classic_networks
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import torch
import torchvision
from torchvision import models

from tests.golden.filling import trial

GOLDEN = Path(__file__).parents[1] / "tests" / "golden" / "classic_networks.json"
# boda's name, torchvision's, (boda's options, torchvision's), pictures, training mode
RUNS = [
    ("alexnet", "alexnet", ({}, {}), 80, False),
    ("vgg11", "vgg11", ({}, {}), 40, False),
    ("vgg16-bn", "vgg16_bn", ({}, {}), None, False),
    ("squeezenet-1.1", "squeezenet1_1", ({}, {}), 50, False),
    ("googlenet", "googlenet", ({}, {"aux_logits": False}), 70, False),
    ("googlenet", "googlenet", ({"auxiliary": True}, {"aux_logits": True}), 112, True),
]


def main() -> None:
    warnings.simplefilter("ignore")  # torchvision's about googlenet's initial weights
    torch.manual_seed(0)
    rows = []
    for name, theirs, (ours, options), size, training in RUNS:
        with torch.device("cpu" if size else "meta"):
            net = getattr(models, theirs)(**options)
        rows.append(
            {
                "network": name,
                "options": ours,
                "tensors": {key: list(value.shape) for key, value in net.state_dict().items()},
                "size": size,
                "training": training,
                **(trial(net, size, training) if size else {}),
            }
        )
    told = {"torchvision": torchvision.__version__, "networks": rows}
    GOLDEN.write_text(json.dumps(told) + "\n", "utf-8")
    print(f"{len(rows)} networks in {GOLDEN}")


if __name__ == "__main__":
    main()
