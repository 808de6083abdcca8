"""Throughput of boda's ``fit`` against a bare PyTorch loop over tensors already in memory.

Command:  python benchmarks/throughput.py [--rounds 7]

Same network, batch 128, precision, optimizer and memory format; training steps only; the two in
turn in one process. The bare loop's pictures are normalized floats already; boda's are bytes,
normalized in every step, and its loss is looked at in every step, as a fit does.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from pairs import in_turn

from boda import models, tasks
from boda.data.dataset import Pictures
from boda.data.prepare import Preparation
from boda.engine import Engine
from boda.launching import launch
from boda.options import Plan
from boda.progress import Progress
from boda.runs import Run
from boda.types import ArraySamples

BATCH = 128
CASES = {  # model: (channels, optimizer, pictures a round)
    "resnet20": (3, "sgd", 30 * BATCH),
    "lenet5": (1, "adamw", 400 * BATCH),
}


def method_for(model: str, channels: int, optimizer: str) -> torch.nn.Module:
    kind = tasks.method(models.entry(model).method)
    preparation = Preparation(32, 32, channels, mean=(0.5,) * channels, std=(0.25,) * channels)
    return kind(models.create(model), preparation, kind.Config(optimizer=optimizer))


def with_boda(
    model: str, images: np.ndarray, labels: np.ndarray, options: argparse.Namespace
) -> float:
    """Pictures a second in the steps of one epoch."""
    channels, optimizer, _ = CASES[model]
    method = method_for(model, channels, optimizer)
    planes = images.transpose(0, 2, 3, 1) if channels == 3 else images[:, 0]
    preparation = Preparation(32, 32, channels)
    train = Pictures(ArraySamples(planes, labels, "memory"), preparation, images)
    plan = Plan(
        epochs=1,
        batch=BATCH,
        rate=0.01,
        precision=options.precision,
        device="cpu",
        augment=options.augment,
    )
    about = {
        "task": "classify",
        "method": "classifier",
        "model": model,
        "classes": list("0123456789"),
        "preparation": preparation.to_dict(),
    }
    with tempfile.TemporaryDirectory() as folder:
        run = Run.create(Path(folder) / "run", about)
        engine = Engine(run, launch(plan), plan, Progress(quiet=True))
        engine.fit(method, tasks.task("classify"), train, None)
        return run.history()[0]["images_per_second"]


def bare(model: str, images: np.ndarray, labels: np.ndarray, options: argparse.Namespace) -> float:
    """Pictures a second of the loop that everybody writes."""
    channels, optimizer, _ = CASES[model]
    method = method_for(model, channels, optimizer)
    net = method.net.to(memory_format=torch.channels_last).train()
    x = ((torch.from_numpy(images) / 255 - 0.5) / 0.25).contiguous(
        memory_format=torch.channels_last
    )
    y = torch.from_numpy(labels)
    (step,) = method.optimizers(0.01)
    order = torch.randperm(len(x))
    began = time.perf_counter()
    for index in order.split(BATCH):
        step.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=options.precision == "bf16"):
            loss = F.cross_entropy(net(x[index]), y[index])
        loss.backward()
        step.step()
    return len(x) / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--augment", default="none", help="in boda's loop only")
    arguments = parser.parse_args()
    for model, (channels, _, count) in CASES.items():
        generator = np.random.default_rng(0)
        images = generator.integers(0, 256, (count, channels, 32, 32), dtype=np.uint8)
        labels = generator.integers(0, 10, count)
        sides = (partial(side, model, images, labels, arguments) for side in (with_boda, bare))
        pairs = in_turn(*sides, arguments.rounds)
        ours, theirs = pairs.medians
        print(
            f"{model} {arguments.precision}: boda {ours:,.0f} pictures/s, bare loop {theirs:,.0f}, "
            f"ratio median {pairs.ratio:.3f} ({pairs.ratios[0]:.3f} to {pairs.ratios[-1]:.3f}), "
            f"{arguments.rounds} pairs, {torch.get_num_threads()} threads, torch {torch.__version__}",
            flush=True,
        )


if __name__ == "__main__":
    main()
