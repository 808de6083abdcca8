"""Writes what torchvision's and timm's residual networks and MobileNets are and compute.

Run in the environment of the peers, from the repository:

    python -m benchmarks.record_residual_networks

Of the tensors' names and shapes a digest is kept. timm's names are changed to ours before, so that
both fill the same weights.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import timm
import torch
import torchvision
from torch import Tensor, nn

from tests.golden.filling import digest, trial

GOLDEN = Path(__file__).parents[1] / "tests" / "golden" / "residual_networks.json"
SE = ((r"^layer0\.", ""), (r"\.se_module\.", ".se."), (r"^last_linear\.", "fc."))
V1 = (
    *((r"^conv_stem\.", "stem.0."), (r"^bn1\.", "stem.1."), (r"^classifier\.", "fc.")),
    *((r"\.conv_dw\.", ".depthwise.0."), (r"\.bn1\.", ".depthwise.1.")),
    *((r"\.conv_pw\.", ".pointwise.0."), (r"\.bn2\.", ".pointwise.1.")),
)
# boda's name, theirs, renames (timm's) or none (torchvision's)
NETWORKS = [
    *((f"resnet{depth}", f"resnet{depth}", ()) for depth in (18, 34, 50, 101, 152)),
    ("mobilenet-v2", "mobilenet_v2", ()),
    *((f"efficientnet-b{n}", f"efficientnet_b{n}", ()) for n in range(8)),
    ("seresnet50", "legacy_seresnet50", SE),
    ("mobilenet-v1", "mobilenetv1_100", V1),
]
# Pictures, and the weight of the norms with which the logits neither grow nor die.
TRIALS = {
    **{"resnet18": (70, 0.5), "resnet50": (70, 0.5), "seresnet50": (70, 0.5)},
    **{"mobilenet-v1": (70, 1.0), "mobilenet-v2": (70, 1.0)},
    **{"efficientnet-b0": (70, 1.0), "efficientnet-b5": (40, 0.9)},
}
TRAINED = ("resnet18", "mobilenet-v2")  # in training mode too


class Renamed(nn.Module):
    """A network whose state has other names."""

    def __init__(self, net: nn.Module, renames: tuple[tuple[str, str], ...]) -> None:
        super().__init__()
        self.net, self.renames = net, renames

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return self.net(x)

    def state_dict(self) -> dict[str, Tensor]:  # noqa: D102
        named = {}
        for name, tensor in self.net.state_dict().items():
            for pattern, ours in self.renames:
                name = re.sub(pattern, ours, name)  # noqa: PLW2901
            named[name] = tensor
        return named


def theirs(name: str, renames: tuple[tuple[str, str], ...]) -> nn.Module:
    if renames:
        return Renamed(timm.create_model(name), renames)
    return getattr(torchvision.models, name)()


def main() -> None:
    torch.manual_seed(0)
    rows = []
    for ours, name, renames in NETWORKS:
        with torch.device("meta"):
            row = {"network": ours, "tensors": digest(theirs(name, renames)), "trials": []}
        for training in (False, True):
            if ours in TRIALS and (not training or ours in TRAINED):
                size, norm = TRIALS[ours]
                told = {"size": size, "training": training, "norm": norm}
                row["trials"].append(told | trial(theirs(name, renames), **told))
        rows.append(row)
    versions = {"torchvision": torchvision.__version__, "timm": timm.__version__}
    GOLDEN.write_text(json.dumps(versions | {"networks": rows}) + "\n", "utf-8")
    print(f"{len(rows)} networks in {GOLDEN}")


if __name__ == "__main__":
    main()
