"""Style transfer beside the PyTorch tutorial's: the same network, layers, weights and steps.

Command:  python benchmarks/stylize_peer.py CONTENT STYLE --weights FILE [--size 512] [--steps 300]
          [--threads N] [--rounds 1] [--out DIR]

"Neural Transfer Using PyTorch" is written down anew here: a row of layers up to the last one that is
needed, a loss module behind each, Gram matrices divided by all their values, mean squared errors,
weights of 1e6 for style and 1 for content, L-BFGS as PyTorch has it with one gradient counted as one
step, pixels held in 0..1 before each. Content is conv_4, style conv_1 to conv_5: conv2_2, and conv1_1
to conv3_1, which FILE, the notes' normalized VGG-19, has. The tutorial begins with the content.

Both take turns in this process. Seconds are from the first layer's targets to the last step; reading
files and weights is not counted. The loss is the tutorial's, recomputed by its own code in float32 on
what each made, in 0..1. Ours has the same weights: 4e6/n_C² for a layer's style and 2 for the content,
since its losses are Σ(G − A)²/(2·n_C)² of mean products and half the mean square.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from boda import machine
from boda.models.state_files import read_state
from boda.progress import Progress
from boda.stylizing.features import Source, load
from boda.stylizing.objective import Objective, Style, Weights
from boda.stylizing.optimizing import Descent, optimize

STYLE, CONTENT = 1e6, 1.0
STYLES, CONTENTS = ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"), ("conv2_2",)
CHANNELS = dict(zip(STYLES, (64, 64, 128, 128, 256), strict=True))


class TheirLoss(nn.Module):
    """Lets what comes by pass, and keeps how far it is from the target."""

    def __init__(self, given: Tensor, style: bool) -> None:
        super().__init__()
        self.style = style
        self.target = (their_gram(given) if style else given).detach()
        self.loss = torch.zeros(())

    def forward(self, x: Tensor) -> Tensor:
        """``x``, as it came."""
        self.loss = F.mse_loss(their_gram(x) if self.style else x, self.target)
        return x


def their_gram(x: Tensor) -> Tensor:
    rows = x.view(x.shape[0] * x.shape[1], -1)
    return torch.mm(rows, rows.t()).div(x.numel())


def their_network(file: Path, content: Tensor, style: Tensor) -> tuple[nn.Sequential, list, list]:
    """The row of layers with losses in it, as the tutorial makes it."""
    tensors = read_state(file)
    net, contents, styles = nn.Sequential(), [], []
    for number, key in enumerate(("0", "2", "5", "9", "12", "16")):
        weight, bias = tensors[f"{key}.weight"], tensors[f"{key}.bias"]
        layer = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2])
        layer.load_state_dict({"weight": weight, "bias": bias})
        if number == 0:
            net.append(layer)
            continue
        net.append(nn.ReflectionPad2d(1)).append(layer)
        if number == 4:
            net.append(TheirLoss(net(content), style=False))
            contents.append(net[-1])
        net.append(TheirLoss(net(style), style=True))
        styles.append(net[-1])
        if number < 5:
            net.append(nn.ReLU(inplace=False))
            if number in (2, 4):
                net.append(nn.MaxPool2d(2, 2))
    return net.eval().requires_grad_(False), contents, styles


def theirs(file: Path, content: Tensor, style: Tensor, steps: int) -> Tensor:
    net, contents, styles = their_network(file, content, style)
    picture = content.clone().requires_grad_()
    optimizer, done = torch.optim.LBFGS([picture]), 0

    def closure() -> Tensor:
        nonlocal done
        with torch.no_grad():
            picture.clamp_(0, 1)
        optimizer.zero_grad()
        net(picture)
        loss = STYLE * sum(part.loss for part in styles) + CONTENT * sum(p.loss for p in contents)
        loss.backward()
        done += 1
        return loss

    while done < steps:  # 20 a call, as the tutorial has it, and no more than are counted
        optimizer.param_groups[0]["max_iter"] = min(20, steps - done)
        optimizer.step(closure)
    return picture.detach().clamp(0, 1)


def their_loss(file: Path, content: Tensor, style: Tensor, picture: Tensor) -> float:
    with torch.no_grad():
        net, contents, styles = their_network(file, content, style)
        net(picture)
    parts = STYLE * sum(part.loss for part in styles) + CONTENT * sum(p.loss for p in contents)
    return float(parts)


def ours(source: Source, content: Tensor, style: Tensor, steps: int) -> Tensor:
    weights = Weights(
        dict.fromkeys(CONTENTS, 2 * CONTENT),
        {name: 4 * STYLE / CHANNELS[name] ** 2 for name in STYLES},
    )

    def objective(dtype: torch.dtype) -> Objective:
        return Objective(source.features(weights.layers, dtype), content, [Style(style)], weights)

    rough = machine.choose_precision("auto", "cpu") == "bf16"
    return optimize(content, objective, Descent(steps, rough=rough), lambda *_: True)[0]


def read(file: Path, size: int) -> Tensor:
    """(1, 3, size, size): the tutorial takes pictures of one size."""
    picture = Image.open(file).convert("RGB")
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    square = picture.crop((left, top, left + side, top + side)).resize((size, size))
    return torch.from_numpy(np.array(square)).permute(2, 0, 1)[None].contiguous().float() / 255


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("content", type=Path)
    parser.add_argument("style", type=Path)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, help="a folder for both pictures")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    content, style = (read(file, asked.size) for file in (asked.content, asked.style))
    source = load("vgg19", str(asked.weights), Progress(quiet=True))
    work = {
        "tutorial": lambda: theirs(asked.weights, content, style, asked.steps),
        "boda": lambda: ours(source, content, style, asked.steps),
    }
    seconds: dict[str, list[float]] = {name: [] for name in work}
    cpu: dict[str, list[float]] = {name: [] for name in work}
    loss: dict[str, float] = {}
    for _ in range(asked.rounds):
        for name, run in work.items():
            wall, spent = time.perf_counter(), time.process_time()
            made = run()
            seconds[name].append(time.perf_counter() - wall)
            cpu[name].append(time.process_time() - spent)
            loss[name] = their_loss(asked.weights, content, style, made)
            line = f"{name:9} {seconds[name][-1]:8.1f} s  {cpu[name][-1]:8.1f} s of processor"
            print(f"{line}  loss {loss[name]:.5g}", flush=True)
            if asked.out is not None:
                asked.out.mkdir(parents=True, exist_ok=True)
                pixels = (made[0] * 255).round().byte().permute(1, 2, 0).numpy()
                Image.fromarray(pixels).save(asked.out / f"{name}.png")
    wall, spent = (
        statistics.median(t["boda"]) / statistics.median(t["tutorial"]) for t in (seconds, cpu)
    )
    result = {
        "size": asked.size,
        "steps": asked.steps,
        "threads": asked.threads,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "loss": loss,
        "time_ratio": round(wall, 4),
        "cpu_ratio": round(spent, 4),
        "loss_ratio": round(loss["boda"] / loss["tutorial"], 4),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
