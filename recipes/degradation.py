"""Deeper is worse, unless it is residual: plain-20 and plain-56 beside ResNet-20 and ResNet-56.

He, Zhang, Ren, Sun, "Deep residual learning for image recognition", 2015, arXiv 1512.03385, figure
6 and section 4.2: all four networks under one recipe and one budget. What counts is the *training*
error. A worse test error could be overfitting; a deeper network that fits its own training pictures
worse could not be optimized, although copying the shallow one would have been a solution.

Command:  python recipes/degradation.py CIFAR-FOLDER --out runs/degradation
Whole:    … --pictures 50000 --epochs 164 --batch 128 --seeds 0 1 2      64,000 steps: wants a GPU
Result:   training error (test error) after the small budget, 8 epochs of 10,000 pictures, seed 0:
            plain-20  45.8 % (47.2)    plain-56  72.2 % (71.0)     deeper is worse, by far
            ResNet-20 37.8 % (40.4)    ResNet-56 42.7 % (43.8)     shortcuts mend most of it
          That the deeper residual network is the *better* one, 64,000 steps show in the paper; 2,500
          do not. 4, 10, 4 and 11 minutes on one thread each of an AMD EPYC (Zen 4) that did other
          work beside, torch 2.13 CPU; docs/img/degradation.svg.

The recipe is the paper's: SGD of rate 0.1, momentum 0.9 and weight decay 1e-4 in batches of 128, a
tenth of the rate after half and after three quarters of the steps, mirrored and shifted pictures.
Nothing else is done to any of the four. The small budget has batches of 32, for more steps, with a
quarter of the rate (the linear rule of Goyal et al. 2017, arXiv 1706.02677): after two epochs of
10,000 pictures with 0.1 and 128, ResNet-56 still had 87 % wrong. After each epoch the error is
measured, in eval mode and without augmentation, on the same 5,000 of the training pictures; on the
test set once, at the end. Deviations: the mean and deviation of each channel are normalized, not
the mean of each pixel; bfloat16 where the processor has it.

Each run writes OUT/MODEL-SEED.jsonl, a line an epoch. A finished one is not done again, so the same
command goes on where it was stopped, at the run that was cut short. OUT/degradation.svg draws what
is there.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from boda import models, tasks
from boda.data import readers
from boda.data.dataset import Pictures, epoch_order
from boda.data.prepare import Preparation
from boda.data.transforms import policies, random_table
from boda.errors import BodaError, DataError, UsageError
from boda.machine import choose_device, choose_precision
from boda.tasks import Method

MODELS = ("plain20", "plain56", "resnet20", "resnet56")
BATCH, RATE, DECAY = 128, 0.1, 1e-4  # the paper's
WATCHED = 5_000  # training pictures whose error makes the curve
CIFAR = Preparation(32, 32, 3, mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616))
DEVICE = torch.device(choose_device("auto"))
BF16 = choose_precision("auto", DEVICE.type) == "bf16"


@dataclass(frozen=True)
class Budget:
    """What each of the networks may use: training pictures, passes over them, pictures a step."""

    pictures: int
    epochs: int
    batch: int


def load(data: str, split: str, count: int | None = None) -> Pictures:
    """The split's pictures in memory; ``count`` of them, always the same, where it is given."""
    dataset = readers.read(data, task="classify")
    if split not in dataset.splits or len(dataset.classes) != 10:
        raise DataError("is not CIFAR-10", file=data, fix="Name the folder with its two splits.")
    samples = dataset.splits[split]
    if count is not None:
        if not 0 < count <= len(samples):
            raise UsageError(f"--pictures is {count}; there are {len(samples)} to train on.")
        samples = [samples[int(i)] for i in epoch_order(len(samples), seed=0, epoch=0)[:count]]
    images = np.stack([CIFAR(s.read() if s.read else s.image) for s in samples])
    return Pictures(samples, CIFAR, images.transpose(0, 3, 1, 2))


def autocast() -> torch.autocast:
    return torch.autocast(DEVICE.type, torch.bfloat16, enabled=BF16)


def error(method: Method, pictures: Pictures, order: torch.Tensor) -> float:
    """Share of the pictures in ``order`` that the network gets wrong, in eval mode."""
    method.eval()
    wrong = 0
    with torch.inference_mode(), autocast():
        for batch in pictures.batches(order, 500):
            guess = method.output(batch.images.to(DEVICE)).argmax(1).cpu()
            wrong += int((guess != batch.labels).sum())
    method.train()
    return wrong / len(order)


def build(model: str, seed: int) -> tuple[Method, torch.optim.Optimizer]:
    """A new network with boda's loss around it, and the paper's optimizer."""
    torch.manual_seed(seed)
    kind = tasks.method("classifier")
    method = kind(models.create(model), CIFAR, kind.Config())
    method = method.to(DEVICE, memory_format=torch.channels_last)  # type: ignore[call-overload]
    sgd = torch.optim.SGD(method.parameters(), RATE, momentum=0.9, weight_decay=DECAY, fused=True)
    return method, sgd


def run(model: str, seed: int, train: Pictures, test: Pictures, budget: Budget, path: Path) -> None:
    """Train one network; a line of ``path`` after each epoch, the last with the test error."""
    method, optimizer = build(model, seed)
    watched = torch.arange(min(WATCHED, len(train)))
    step, seconds = 0, 0.0
    steps = budget.epochs * -(-len(train) // budget.batch)
    peak = RATE * budget.batch / BATCH
    path.write_text("")
    for epoch in range(budget.epochs):
        began, total = time.perf_counter(), 0.0
        numbers = random_table(len(train), seed, epoch)
        for batch in train.batches(epoch_order(len(train), seed, epoch), budget.batch):
            done = step / steps
            rate = peak if done < 0.5 else peak / 10 if done < 0.75 else peak / 100
            optimizer.param_groups[0]["lr"] = rate
            here = batch.to(DEVICE)
            here.images = policies["light"](here.images, numbers[batch.index])  # flip, pad-4 crop
            with autocast():
                loss = method(here)["loss"]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch.labels)
            step += 1
        seconds += time.perf_counter() - began
        row = {
            "model": model,
            "seed": seed,
            **asdict(budget),
            "epoch": epoch + 1,
            "train_loss": total / len(train),
            "train_error": error(method, train, watched),
            "seconds": seconds,
        }
        if epoch + 1 == budget.epochs:
            row["test_error"] = error(method, test, torch.arange(len(test)))
        with open(path, "a") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)


def read(out: Path) -> dict[tuple[str, int], list[dict[str, Any]]]:
    """(model, seed) → its lines, of all runs in ``out``."""
    runs = {}
    for path in sorted(out.glob("*.jsonl")):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        if rows:
            runs[rows[0]["model"], rows[0]["seed"]] = rows
    return runs


def finished(out: Path, budget: Budget) -> set[tuple[str, int]]:
    """The runs that are there whole; those of another budget are refused."""
    runs = read(out)
    for (model, seed), rows in runs.items():
        found = Budget(*(rows[0][name] for name in asdict(budget)))
        if found != budget:
            raise UsageError(
                f"{out} holds {model}, seed {seed}, of another budget: {found}. "
                "Name another --out: one figure shows one budget."
            )
    return {key for key, rows in runs.items() if "test_error" in rows[-1]}


def draw(out: Path, path: Path) -> None:
    """Training error by epoch, plain left, residual right; a dot for the test error at the end."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "boda", "font.size": 10})
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(
        1, 2, figsize=(8, 3.4), sharex=True, sharey=True, layout="constrained"
    )
    named = set()
    for (model, _), rows in read(out).items():
        left, deep = model.startswith("plain"), model.endswith("56")
        name = ("plain-" if left else "ResNet-") + ("56" if deep else "20")
        colour = "#c0392b" if deep else "#2563a8"
        panel, last = panels[0 if left else 1], rows[-1]
        far = "" if "test_error" in last else f" so far, epoch {last['epoch']}"
        label = None if model in named else f"{name}: {100 * last['train_error']:.1f} %{far}"
        named.add(model)
        epochs, errors = zip(*((r["epoch"], 100 * r["train_error"]) for r in rows), strict=True)
        panel.plot(epochs, errors, color=colour, linewidth=2 if label else 1, label=label)
        if "test_error" in last:
            panel.plot(last["epoch"], 100 * last["test_error"], "o", color=colour, fillstyle="none")
    for panel, title in zip(panels, ("plain", "residual"), strict=True):
        panel.set(title=title, xlabel="epoch")
        panel.grid(color="#dddddd")
        if panel.lines:
            panel.legend(title="training error at the end", frameon=False)
    panels[0].set_ylabel("error, %  (ring: test)")
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=10_000, help="of the training split")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--batch", type=int, default=32, help="the rate is 0.1 · batch / 128")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    arguments = parser.parse_args()
    if min(arguments.epochs, arguments.batch) < 1:
        parser.error("--epochs and --batch are 1 or more.")
    out, budget = arguments.out, Budget(arguments.pictures, arguments.epochs, arguments.batch)
    out.mkdir(parents=True, exist_ok=True)
    try:
        done = finished(out, budget)
        train, test = load(arguments.data, "train", budget.pictures), load(arguments.data, "test")
        for seed in arguments.seeds:
            for model in arguments.models:
                if (model, seed) not in done:
                    run(model, seed, train, test, budget, out / f"{model}-{seed}.jsonl")
    except BodaError as problem:
        sys.exit(str(problem))
    draw(out, out / "degradation.svg")


if __name__ == "__main__":
    main()
