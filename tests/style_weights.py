"""A file of weights for style transfer that needs no download."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

# What the weights of the notes' normalized VGG are like: a 1×1 layer, then 3×3 ones with a
# reflection before each.
WIDTHS = {2: (3, 64), 5: (64, 64), 9: (64, 128), 12: (128, 128), 16: (128, 256)}


def normalised(file: Path) -> nn.Sequential:
    """Random weights in that layout, and PyTorch's own row of layers that computes with them."""
    torch.manual_seed(0)
    first = nn.Conv2d(3, 3, 1)
    first.weight.data = 255 * torch.eye(3).flip(0)[:, :, None, None]
    first.bias.data = torch.tensor([-103.939, -116.779, -123.68])
    rows: list[nn.Module] = [first]
    for place, (channels, out) in WIDTHS.items():
        rows += [nn.ReLU()] * (place in (5, 9, 12, 16)) + [nn.MaxPool2d(2)] * (place in (9, 16))
        layer = nn.Conv2d(channels, out, 3)
        nn.init.normal_(layer.weight, std=0.02 if place == 2 else (2 / (9 * channels)) ** 0.5)
        rows += [nn.ReflectionPad2d(1), layer]
    net = nn.Sequential(*rows).requires_grad_(False)
    assert {int(name.split(".")[0]) for name in net.state_dict()} == {0, *WIDTHS}
    torch.save(net.state_dict(), file)
    return net
