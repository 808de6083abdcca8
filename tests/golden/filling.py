"""Weights and pictures that follow from their places, and what a network makes of them.

Recorded here and computed there, no random numbers have to agree between versions of PyTorch.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor, nn

PERIOD = 9973  # a prime, so that it meets no kernel's rhythm
PATTERN = torch.from_numpy(np.sin(0.7 * np.arange(1, PERIOD + 1, dtype=np.float64) ** 2))


def pattern(shape: torch.Size, start: int) -> Tensor:
    """Values of about mean 0 and variance 1/2, of this shape."""
    values = PATTERN.roll(-start).float()
    return values.repeat(-(-shape.numel() // PERIOD))[: shape.numel()].reshape(shape)


@torch.no_grad()
def fill(net: nn.Module, norm: float = 1.0) -> nn.Module:
    """Give every weight and running average a known value; dropout off, for it is random.

    The start of the pattern follows from the tensor's name, not from the order of the tensors.
    ``norm`` is the mean weight of the norms, below 1 where many blocks are added up.
    """
    for name, tensor in net.state_dict().items():
        if not tensor.is_floating_point():
            continue
        values = pattern(tensor.shape, sum(name.encode()) * 37 % PERIOD)
        if tensor.ndim > 1:
            values *= 2 / tensor[0].numel() ** 0.5
        elif name.endswith("running_var"):
            values = 1 + values / 2
        elif name.endswith("weight"):  # of one dimension: a norm's
            values = norm * (1 + values / 2)
        else:
            values = values / 10
        tensor.copy_(values)
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return net


def trial(
    net: nn.Module, size: int, training: bool, norm: float = 1.0
) -> dict[str, list[list[float]] | list[float]]:
    """The first logits of every output for two pictures, and a part of the first gradient.

    Args:
        net: takes (2, 3, size, size); several outputs in the order logits, first and second head.
        size: of the pictures.
        training: training mode; in float64, for a batch norm of few values enlarges the rounding.
        norm: see ``fill``.
    """
    dtype = torch.float64 if training else torch.float32
    fill(net, norm).to(dtype).train(training)
    outputs = net(pattern(torch.Size((2, 3, size, size)), 5).to(dtype) * 2)
    if hasattr(outputs, "aux_logits1"):  # torchvision's order
        outputs = (outputs.logits, outputs.aux_logits1, outputs.aux_logits2)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    loss = sum(nn.functional.log_softmax(logits, 1)[:, 3].sum() for logits in outputs)
    (gradient,) = torch.autograd.grad(loss, next(net.parameters()))
    return {
        "logits": [logits[:, :4].flatten().tolist() for logits in outputs],
        "gradient": gradient.flatten()[:8].tolist(),
    }


def digest(net: nn.Module) -> str:
    """Of the names and shapes of the network's tensors, whatever their order."""
    lines = sorted(f"{name} {list(tensor.shape)}" for name, tensor in net.state_dict().items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
