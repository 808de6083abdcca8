"""ResNet-20 on CIFAR-10 in twelve minutes on two cores, beside the loop everybody writes.

Command:  python recipes/cifar10_resnet20.py CIFAR-FOLDER --out runs/cifar10 [--minutes 12] [--seeds 0 1 2]
Result:   84.5 % and 84.8 % (83.4 % on a busy machine) against 77.2 %; see docs/ledger.md. Two cores,
          12 minutes each side. The lines of a run are appended to OUT/results.jsonl.

The two sides take turns. Boda's side is the command `boda fit classify CIFAR-FOLDER --minutes 12`,
nothing named, its minutes counted from the command's start; then `boda evaluate`, once. The plain
side is a float32 loop with SGD 0.1, momentum 0.9, weight decay 1e-4, the rate divided by ten at
half and at three quarters of its time, flips and pad-4 crops; its minutes are of training alone, on
pictures that are decoded already.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

BATCH = 128


def boda_side(data: str, out: Path, minutes: float, seed: int) -> dict:
    run = out / f"boda-{seed}"
    boda = [sys.executable, "-m", "boda"]
    fit = [*boda, "fit", "classify", data, "--minutes", str(minutes), "--seed", str(seed)]
    subprocess.run([*fit, "--out", str(run)], check=True)
    evaluate = [*boda, "evaluate", str(run), "--split", "test", "--json"]
    done = subprocess.run(evaluate, check=True, stdout=subprocess.PIPE, text=True)
    rows = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    return {
        "side": "boda",
        "accuracy": json.loads(done.stdout)["metrics"]["accuracy"],
        "epochs": rows[-1]["steps"] * BATCH / 49_000,
        "pictures_per_second": sorted(r["images_per_second"] for r in rows)[len(rows) // 2],
        "seconds": rows[-1]["seconds"],
    }


def plain_side(data: str, minutes: float, seed: int) -> dict:
    import numpy as np
    import torch
    import torch.nn.functional as F

    from boda import models
    from boda.data import readers
    from boda.data.transforms import NUMBERS, policies

    def load(split: str) -> tuple[torch.Tensor, torch.Tensor]:
        samples = readers.read(data).splits[split]
        x = torch.from_numpy(np.stack([s.read() for s in samples])).permute(0, 3, 1, 2)
        return x.contiguous(), torch.tensor([s.label for s in samples])

    mean = torch.tensor([0.4914, 0.4822, 0.4465]).view(1, 3, 1, 1)
    std = torch.tensor([0.247, 0.243, 0.262]).view(1, 3, 1, 1)

    def normalize(images: torch.Tensor) -> torch.Tensor:
        return (images.float() / 255 - mean) / std

    (x, y), (x_test, y_test) = load("train"), load("test")
    augment = policies["light"]  # flips and pad-4 crops, as on boda's side
    torch.manual_seed(seed)
    net = models.create("resnet20")
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9, weight_decay=1e-4)
    began, seen = time.perf_counter(), 0
    elapsed = 0.0
    while elapsed < 60 * minutes:
        for index in torch.randperm(len(x)).split(BATCH):
            images = normalize(augment(x[index], torch.rand(len(index), NUMBERS)))
            share = elapsed / (60 * minutes)
            optimizer.param_groups[0]["lr"] = (
                0.1 if share < 0.5 else 0.01 if share < 0.75 else 0.001
            )
            optimizer.zero_grad()
            F.cross_entropy(net(images), y[index]).backward()
            optimizer.step()
            seen += len(index)
            elapsed = time.perf_counter() - began
            if elapsed >= 60 * minutes:
                break
    net.eval()
    with torch.inference_mode():
        right = sum(
            int((net(normalize(part)).argmax(1) == truth).sum())
            for part, truth in zip(x_test.split(500), y_test.split(500), strict=True)
        )
    return {
        "side": "plain",
        "accuracy": right / len(y_test),
        "epochs": seen / len(x),
        "pictures_per_second": seen / elapsed,
        "seconds": elapsed,
    }


def keep(out: Path, seed: int, row: dict) -> None:
    line = json.dumps({"seed": seed, **row})
    with open(out / "results.jsonl", "a") as file:
        file.write(line + "\n")
    print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=12)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--plain", type=int, help="only the plain side, with this seed")
    arguments = parser.parse_args()
    if arguments.plain is not None:
        print(json.dumps(plain_side(arguments.data, arguments.minutes, arguments.plain)))
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    for seed in arguments.seeds:
        keep(arguments.out, seed, boda_side(arguments.data, arguments.out, arguments.minutes, seed))
        alone = [sys.executable, __file__, arguments.data, "--out", str(arguments.out)]
        alone += ["--minutes", str(arguments.minutes), "--plain", str(seed)]
        done = subprocess.run(alone, check=True, stdout=subprocess.PIPE, text=True)
        keep(arguments.out, seed, json.loads(done.stdout))


if __name__ == "__main__":
    main()
