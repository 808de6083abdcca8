"""pix2pix as its authors' PyTorch implementation trains it: the figure to hold boda's against.

Command:  python benchmarks/pix2pix_peer.py DATA [--direction b2a] [--bf16] [--constant]
          [--minutes 15] [--batch 1] [--size 128] [--threads 1] [--seed 0] [--json FILE]

DATA is pairs, such as the facades (120 to learn from, 30 to measure on). The architecture and the
recipe are written anew from the paper (Isola et al. 2016, arXiv 1611.07004) and that implementation's
documentation: at 128×128 a U-Net of seven halvings with 64 maps at first, transposed convolutions,
batch norms and dropout of one half; a PatchGAN of 70×70 with 64 maps; cross entropy and 100 times L1;
Adam at 2e-4 with momentum 0.5; batches of one picture, enlarged to 143 pixels and cut to 128 anywhere,
every second one mirrored. The rate stays for the first half of the minutes and falls to 0 along a line
in the second, as over its 100 and 100 epochs. float32 on the CPU, or autocast with ``--bf16``.

Three things favour it: all pictures are decoded and enlarged before the clock starts, its minutes are
of training alone, and it is measured in both ways, of which the better one counts: as its ``test``
does, with the statistics of the one picture and with dropout, and with running averages without it.
The last weights count; nothing is chosen by its score.

The figures are boda's, on the test pictures at the working size, as ``boda evaluate`` tells them.
``cpu_seconds`` tell by how much others kept the threads waiting.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from peer_training import Clock, tell, train_and_test
from torch import Tensor, nn

from boda.data.prepare import Preparation
from boda.errors import TrainingError
from boda.metrics.pictures import Likeness
from boda.models.patchgan import PatchGAN, begin
from boda.models.pix2pix import TranslatingUNet
from boda.types import Sample

LARGER = 143 / 128  # 286 / 256 in the paper
L1 = 100.0
RATE, MOMENTUM = 2e-4, (0.5, 0.999)


def decoded(sample: Sample, side: int, direction: str) -> tuple[Tensor, Tensor]:
    """What is given and what is true, (3, side, side) uint8 each."""
    stretch = Preparation(side, side, rule="stretch")
    given, true = (
        torch.from_numpy(stretch(picture).transpose(2, 0, 1).copy())
        for picture in (sample.image, sample.target_image)
    )
    return (true, given) if direction == "b2a" else (given, true)


def cut(pair: tuple[Tensor, Tensor], size: int, chance: np.random.Generator) -> list[Tensor]:
    """The same window of both, mirrored or not."""
    y, x = (int(chance.integers(side - size + 1)) for side in pair[0].shape[1:])
    mirrored = chance.random() < 0.5
    windows = [each[:, y : y + size, x : x + size] for each in pair]
    return [each.flip(-1) for each in windows] if mirrored else windows


def signed(pictures: list[Tensor]) -> Tensor:
    """(N, 3, H, W), −1 to 1."""
    return torch.stack(pictures).float() / 127.5 - 1


def train(
    generator: nn.Module,
    judge: nn.Module,
    pairs: list[tuple[Tensor, Tensor]],
    options: argparse.Namespace,
) -> Clock:
    """Train until the minutes are over.

    Raises:
        TrainingError: a loss is not finite.
    """
    makers, judges = (
        torch.optim.Adam(part.parameters(), RATE, MOMENTUM) for part in (generator, judge)
    )
    chance = np.random.default_rng(options.seed)
    clock = Clock(options.minutes)
    clock.start()
    while clock.spent < 1:
        order = chance.permutation(len(pairs))
        apart = 0.0
        for start in range(0, len(order), options.batch):
            some = [
                cut(pairs[i], options.size, chance) for i in order[start : start + options.batch]
            ]
            given, true = (signed(list(part)) for part in zip(*some, strict=True))
            fall = 1.0 if options.constant else min(1.0, 2 * (1 - min(1.0, clock.spent)))
            for optimizer in (makers, judges):
                optimizer.param_groups[0]["lr"] = RATE * fall
            apart = step(generator, judge, (makers, judges), given, true, options.bf16)
            clock.count(len(some))
            if clock.spent >= 1:
                break
        print(f"{clock.seconds:6.0f} s  {clock.looks:,} looks  L1 {apart:.3f}", file=sys.stderr)
    return clock


def step(
    generator: nn.Module,
    judge: nn.Module,
    optimizers: tuple[torch.optim.Optimizer, torch.optim.Optimizer],
    given: Tensor,
    true: Tensor,
    bf16: bool,
) -> float:
    """One step of the discriminator, then one of the generator; returns the L1 in −1..1."""
    makers, judges = optimizers
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        made = generator(given)
        judge.requires_grad_(True)
        real = judge(torch.cat([given, true], 1)).float()
        false = judge(torch.cat([given, made.detach()], 1)).float()
        loss = (F.softplus(-real).mean() + F.softplus(false).mean()) / 2
    judges.zero_grad()
    loss.backward()
    judges.step()
    judge.requires_grad_(False)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        false = judge(torch.cat([given, made], 1)).float()
    apart = F.l1_loss(made.float(), true)
    loss = F.softplus(-false).mean() + L1 * apart
    if not torch.isfinite(loss):
        raise TrainingError("the loss is not finite.")
    makers.zero_grad()
    loss.backward()
    makers.step()
    return apart.item()


@torch.inference_mode()
def measure(generator: nn.Module, pairs: list[tuple[Tensor, Tensor]]) -> dict[str, float]:
    """The figures over the test pictures, one at a time."""
    figures = Likeness()
    for given, true in pairs:
        made = (generator(signed([given])) + 1) / 2
        figures.update(made.clamp(0, 1), true[None])
    return figures.compute()


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """Everything that is printed."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    dataset = train_and_test(options.data, "translate")
    larger = round(options.size * LARGER)
    learned, asked = (
        [decoded(sample, side, options.direction) for sample in dataset.splits[split]]
        for split, side in (("train", larger), ("test", options.size))
    )
    depth = options.size.bit_length() - 1
    generator, judge = TranslatingUNet(depth=depth), PatchGAN()
    begin(generator)
    clock = train(generator.train(), judge.train(), learned, options)
    as_tested = measure(generator, asked)
    averaged = measure(generator.eval(), asked)
    return {
        "model": f"pix2pix, U-Net of {depth} halvings",
        "parameters": [sum(p.numel() for p in net.parameters()) for net in (generator, judge)],
        "metrics": {"as_its_test_does": as_tested, "with_running_averages": averaged},
        "precision": "bf16" if options.bf16 else "32",
        "schedule": "constant" if options.constant else "constant, then linear",
        "pictures": {"train": len(learned), "test": len(asked)},
        "size": options.size,
        "batch": options.batch,
        "minutes": options.minutes,
        "seed": options.seed,
        "seconds": round(clock.seconds, 1),
        "cpu_seconds": round(clock.cpu, 1),
        "looks": clock.looks,
        "threads": torch.get_num_threads(),
        "versions": {name: importlib.metadata.version(name) for name in ("torch", "boda")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", help="pairs with train and test")
    parser.add_argument("--direction", choices=("a2b", "b2a"), default="b2a")
    parser.add_argument("--bf16", action="store_true", help="autocast")
    parser.add_argument("--constant", action="store_true", help="the rate does not fall")
    parser.add_argument("--minutes", type=float, default=15, help="of training")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--size", type=int, choices=(64, 128, 256), default=128)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the figures there too")
    options = parser.parse_args()
    if options.minutes <= 0 or min(options.threads, options.batch) < 1:
        parser.error("--minutes is more than 0, --threads and --batch 1 or more.")
    tell(compare, options)


if __name__ == "__main__":
    main()
