"""Time of boda's networks beside torchvision's own modules, with the same weights and pictures.

Command:  python benchmarks/models_speed.py [--models resnet18 mobilenet-v2 efficientnet-b0]
          [--pairs 15] [--json FILE]      in an environment that has torchvision as well as boda

Each network three ways (forward in eval mode with a batch of 16 and of 1; a training step with 16:
forward, cross entropy, backward, SGD with momentum), and each of these twice:

  module    both in float32 and contiguous: what the code of the network itself costs
  default   boda's precision and memory format for this machine, and its repeatable algorithms in
            training, against torchvision's module as it comes, float32 and contiguous

The two sides take turns in one process. A ratio is boda's time through torchvision's: the median
over the pairs, with the lowest and the highest. Before anything is timed the two outputs are
compared, so that it is the same work.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import importlib.metadata
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from pairs import in_turn
from torch import Tensor, nn

from boda import models
from boda.errors import BodaError, UsageError
from boda.machine import choose_precision, deterministic

PEERS = {  # boda's name: torchvision's
    "resnet18": "resnet18",
    "mobilenet-v2": "mobilenet_v2",
    "efficientnet-b0": "efficientnet_b0",
}
SIDE = 224
AT_LEAST = 0.2  # seconds that one measurement takes: a single short call is mostly noise
CPU = torch.device("cpu")
Step = Callable[[], object]


def twins(name: str) -> tuple[nn.Module, nn.Module]:
    """Boda's network and torchvision's with the same random weights.

    Raises:
        UsageError: torchvision is not here, or the two do not compute the same.
    """
    try:
        from torchvision import models as peers
    except ImportError as problem:
        raise UsageError(
            f"this compares with torchvision, and it cannot be imported ({problem}). "
            "Use an environment that has it beside boda: pip install torchvision"
        ) from None
    torch.manual_seed(0)
    theirs = peers.get_model(PEERS[name], weights=None)
    ours = models.create(name, classes=1000)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        far = (ours.eval()(x) - theirs.eval()(x)).abs().max().item()
    if not far < 1e-4:
        raise UsageError(f"{name}: the two outputs differ by {far:g}; timing them says nothing.")
    return ours, theirs


def repeated(step: Step) -> Callable[[], float]:
    """A measurement: seconds of one ``step``, each time over as many as take a while."""
    step()
    began = time.perf_counter()
    step()
    count = max(1, round(AT_LEAST / (time.perf_counter() - began)))

    def measure() -> float:
        began = time.perf_counter()
        for _ in range(count):
            step()
        return (time.perf_counter() - began) / count

    return measure


def forward(net: nn.Module, x: Tensor, bf16: bool) -> Step:
    net = copy.deepcopy(net).eval()

    def step() -> None:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            net(x)

    return step


def training(net: nn.Module, x: Tensor, bf16: bool, repeatable: bool) -> Step:
    net = copy.deepcopy(net).train()
    sgd = torch.optim.SGD(net.parameters(), 1e-3, momentum=0.9)
    y = torch.arange(len(x))

    def step() -> None:
        sgd.zero_grad()
        with deterministic(CPU) if repeatable else contextlib.nullcontext():
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                logits = net(x)
            F.cross_entropy(logits.float(), y).backward()
            sgd.step()

    return step


def compare(name: str, pairs: int) -> list[dict[str, object]]:
    """Six rows: three kinds of work, as bare modules and in each side's default use."""
    ours, theirs = twins(name)
    fast = copy.deepcopy(ours).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    bf16 = choose_precision("auto", "cpu") == "bf16"
    rows = []
    for work, batch in (("forward", 16), ("forward", 1), ("training step", 16)):
        x = torch.randn(batch, 3, SIDE, SIDE)
        x_fast = x.contiguous(memory_format=torch.channels_last)
        if work == "forward":
            peer, bare = forward(theirs, x, False), forward(ours, x, False)
            default = forward(fast, x_fast, bf16)
        else:
            peer, bare = training(theirs, x, False, False), training(ours, x, False, False)
            default = training(fast, x_fast, bf16, True)
        for use, side in (("module", bare), ("default", default)):
            found = in_turn(repeated(side), repeated(peer), pairs)
            a, b = found.medians
            row = {
                "model": name,
                "work": work,
                "batch": batch,
                "use": use,
                "boda_ms": 1000 * a,
                "torchvision_ms": 1000 * b,
                "ratio": found.ratio,
                "lowest": found.ratios[0],
                "highest": found.ratios[-1],
            }
            rows.append(row)
            print(
                f"{name:<16}{work:<14}{batch:>3}  {use:<8}{1000 * a:9.1f}{1000 * b:12.1f}"
                f"{found.ratio:8.3f} ({found.ratios[0]:.3f} to {found.ratios[-1]:.3f})"
                f"{1 / found.ratio:7.2f}×",
                flush=True,
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", nargs="+", choices=list(PEERS), default=list(PEERS))
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--json", type=Path, help="write the figures there too")
    arguments = parser.parse_args()
    if arguments.pairs < 1:
        parser.error("--pairs is the number of measurements of each side; 1 or more.")
    try:
        packages = ("torch", "torchvision", "boda")
        versions = {package: importlib.metadata.version(package) for package in packages}
        about = {
            "versions": versions,
            "threads": torch.get_num_threads(),
            "precision": choose_precision("auto", "cpu"),
            "pairs": arguments.pairs,
        }
        print(", ".join(f"{name} {version}" for name, version in versions.items()), end="; ")
        print(f"{about['threads']} threads, {arguments.pairs} pairs, boda's default precision "
              f"{about['precision']}, channels last; milliseconds")  # fmt: skip
        print(f"{'network':<16}{'work':<14}{'N':>3}  {'use':<8}{'boda':>9}{'torchvision':>12}"
              f"{'ratio':>8}  (all pairs)     faster")  # fmt: skip
        rows = [row for name in arguments.models for row in compare(name, arguments.pairs)]
    except importlib.metadata.PackageNotFoundError as missing:
        sys.exit(f"{missing.name} is not installed here. Use an environment that has it.")
    except BodaError as problem:
        sys.exit(str(problem))
    if arguments.json:
        arguments.json.write_text(json.dumps({**about, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
