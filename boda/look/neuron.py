"""A neuron, the activations and the losses by their formulas, with their numbers shown.

The lecture notes' §3: weighted sum, activation, and what the network is then blamed for. Everything is a
plain tensor expression that can be differentiated; PyTorch's own functions, which guard against overflow in
more places, are what networks use, and what the tests compare these with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from boda.errors import UsageError, unknown


def tanh(z: Tensor) -> Tensor:
    """(e^z − e^−z) / (e^z + e^−z), from −1 to 1."""
    # With e^−2|z|, which cannot overflow; the sign is put back.
    e = torch.exp(-2 * z.abs())
    return torch.sign(z) * (1 - e) / (1 + e)


def relu(z: Tensor) -> Tensor:
    """max(0, z)."""
    return z.clamp(min=0)


def sigmoid(z: Tensor) -> Tensor:
    """1 / (1 + e^−z), between 0 and 1."""
    return 1 / (1 + torch.exp(-z))


def softmax(z: Tensor) -> Tensor:
    """e^z_k / Σ_j e^z_j along the last dimension; the largest z is taken off first, which changes nothing."""
    e = torch.exp(z - z.amax(-1, keepdim=True).detach())
    return e / e.sum(-1, keepdim=True)


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": tanh,
    "relu": relu,
    "sigmoid": sigmoid,
    "softmax": softmax,
}


def mean_squared_error(prediction: Tensor, truth: Tensor) -> Tensor:
    """1/n Σ (p − y)²; both of one shape."""
    return ((prediction - truth) ** 2).mean()


def binary_cross_entropy(prediction: Tensor, truth: Tensor) -> Tensor:
    """−1/n Σ (y·log p + (1 − y)·log(1 − p)); probabilities between 0 and 1, truth 0 or 1, of one shape."""
    truth = truth.to(prediction.dtype)
    return -(truth * prediction.log() + (1 - truth) * (1 - prediction).log()).mean()


def cross_entropy(prediction: Tensor, truth: Tensor) -> Tensor:
    """−1/N Σ log p[true class]; probabilities (N, K) whose rows sum to 1, classes (N,)."""
    return -prediction.gather(-1, truth[..., None]).log().mean()


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": mean_squared_error,
    "bce": binary_cross_entropy,
    "cross-entropy": cross_entropy,
}


@dataclass(frozen=True)
class Neuron:
    """One neuron at work.

    Attributes:
        inputs, weights: (n,) each.
        bias: added to the sum.
        activation: its name.
        sum: Σ weight·input + bias.
        value: the activation of that.
    """

    inputs: Tensor
    weights: Tensor
    bias: float
    activation: str
    sum: float
    value: float

    def __str__(self) -> str:
        pairs = zip(self.weights.tolist(), self.inputs.tolist(), strict=True)
        products = " + ".join(f"{_n(w)}·{_n(x)}" for w, x in pairs)
        return (
            f"z = {products} + {_n(self.bias)} = {_n(self.sum)}\n"
            f"{self.activation}(z) = {_n(self.value)}"
        )


def neuron(
    inputs: Sequence[float] | Tensor,
    weights: Sequence[float] | Tensor,
    bias: float = 0.0,
    activation: str = "tanh",
) -> Neuron:
    """A weighted sum and its activation.

    Args:
        inputs: n numbers.
        weights: as many.
        bias: one number.
        activation: "tanh", "relu" or "sigmoid"; softmax belongs to a whole layer, see ``softmax``.

    Raises:
        UsageError: not as many weights as inputs, or an unknown activation.
    """
    x = torch.as_tensor(inputs, dtype=torch.float64)
    w = torch.as_tensor(weights, dtype=torch.float64)
    if x.shape != w.shape or x.ndim != 1:
        raise UsageError(
            f"a neuron has one weight for each input: {x.numel()} inputs, {w.numel()} weights."
        )
    if activation == "softmax" or activation not in ACTIVATIONS:
        raise unknown("activation", activation, [name for name in ACTIVATIONS if name != "softmax"])
    z = (w * x).sum() + bias
    value = ACTIVATIONS[activation](z)
    return Neuron(x, w, float(bias), activation, float(z), float(value))


def explain_loss(name: str, prediction: Tensor, truth: Tensor) -> str:
    """The formula of a loss with these numbers in it, one term a line, and what it comes to.

    Args:
        name: "mse", "bce" or "cross-entropy".
        prediction: as the loss of that name takes it,
        truth: and what should have come out.

    Raises:
        UsageError: an unknown name.
    """
    if name not in LOSSES:
        raise unknown("loss", name, LOSSES)
    if name == "mse":
        pairs = zip(prediction.flatten().tolist(), truth.flatten().tolist(), strict=True)
        terms = [f"({_n(p)} − {_n(y)})² = {_n((p - y) ** 2)}" for p, y in pairs]
    elif name == "bce":
        chosen = torch.where(truth.bool(), prediction, 1 - prediction).flatten().tolist()
        pairs = zip(prediction.flatten().tolist(), truth.flatten().tolist(), strict=True)
        words = [_n(p) if y else f"1 − {_n(p)}" for p, y in pairs]
        terms = [f"−log({w}) = {_n(-_log(p))}" for w, p in zip(words, chosen, strict=True)]
    else:
        chosen = prediction.gather(-1, truth[..., None]).flatten().tolist()
        pairs = zip(chosen, truth.flatten().tolist(), strict=True)
        terms = [f"−log p[{k}] = −log({_n(p)}) = {_n(-_log(p))}" for p, k in pairs]
    value = float(LOSSES[name](prediction, truth))
    return "\n".join([*terms, f"mean of {len(terms)}: {_n(value)}"])


def _log(p: float) -> float:
    return float(torch.log(torch.tensor(p, dtype=torch.float64)))


def _n(value: float) -> str:
    return f"{value:.4g}".replace("-", "−")
