"""Back-propagation, step by step: a forward and a backward pass, and the gradient at every layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from boda.errors import BodaError, UsageError, unknown
from boda.look.copying import copied, layers, tensors_in, untouched
from boda.look.tables import html_table, shape_text, text_table

Loss = Callable[[Tensor, Tensor], Tensor]
HEADER = ("layer", "kind", "output", "|output|", "|∂L/∂output|", "|∂L/∂weights|", "|∂L/∂bias|")


@dataclass
class Step:
    """One layer, at its first use.

    Attributes:
        name, kind: of the layer.
        output: what it put out, with the batch.
        gradient: ∂loss/∂output, of the same shape; None where none comes this far.
        parameters: ∂loss/∂parameter by name ("weight", "bias", …), from all uses together.
    """

    name: str
    kind: str
    output: Tensor
    gradient: Tensor | None = None
    parameters: dict[str, Tensor] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Shapes and norms as plain JSON values."""
        return {
            "name": self.name,
            "kind": self.kind,
            "output_shape": list(self.output.shape),
            "output": norm(self.output),
            "gradient": norm(self.gradient),
            "parameters": {name: norm(gradient) for name, gradient in self.parameters.items()},
        }


@dataclass
class Backward:
    """A forward and a backward pass.

    Attributes:
        loss: its value.
        loss_name: which it was.
        steps: the layers, in the order of the forward pass; the gradients came the other way.
        input_gradient: ∂loss/∂input; None where the input holds no real numbers.
    """

    loss: float
    loss_name: str
    steps: list[Step]
    input_gradient: Tensor | None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values: norms, not the tensors."""
        return {
            "loss": self.loss,
            "loss_name": self.loss_name,
            "layers": [step.to_dict() for step in self.steps],
            "input_gradient": norm(self.input_gradient),
        }

    def _rows(self) -> list[list[str]]:
        rows = []
        for step in self.steps:
            weights = [g for name, g in step.parameters.items() if not name.startswith("bias")]
            biases = [g for name, g in step.parameters.items() if name.startswith("bias")]
            numbers = [
                norm(step.output),
                norm(step.gradient),
                _together(weights),
                _together(biases),
            ]
            rows.append(
                [step.name, step.kind, shape_text(list(step.output.shape)), *map(_word, numbers)]
            )
        return rows

    def __str__(self) -> str:
        table = text_table(HEADER, self._rows(), left=3)
        ends = f"{self._title()}\n|∂L/∂input| = {_word(norm(self.input_gradient))}"
        return f"forward, from top to bottom; backward, from bottom to top\n\n{table}\n\n{ends}"

    def _title(self) -> str:
        return f"loss L ({self.loss_name}) = {self.loss:.6g}"

    def _repr_html_(self) -> str:
        return f"<p><b>{self._title()}</b></p>{html_table(HEADER, self._rows(), left=3)}"


def backward(model: nn.Module, x: Tensor, y: Tensor, loss: str | Loss | None = None) -> Backward:
    """Run a copy of the network forward and backward, in the network's own mode, and keep every gradient.

    Args:
        model: a network of one input; it is left as it is, its gradients too.
        x: (N, …) a batch.
        y: what should come out.
        loss: "cross-entropy" (y: (N,) classes), "bce" (y of the output's shape, 0 or 1), "mse" (y of the
            output's shape), or a function (output, y) → scalar. By default chosen by y: whole numbers with
            one dimension less than the output are classes; whole numbers or truth values of its shape go to
            bce; real numbers to mse. Cross-entropy and bce take logits, unless the network ends in a softmax
            or a sigmoid layer.

    Returns:
        A ``Backward``: ``print`` it, take its ``to_dict()``, or its ``steps`` with the tensors.

    Raises:
        UsageError: an unknown loss, a y that does not fit the output, or nothing to differentiate.
    """
    twin = copied(model)
    steps: dict[int, Step] = {}
    order: list[nn.Module] = []
    for name, layer in layers(twin).items():
        layer.register_forward_hook(_keeper(name, steps, order))
    x = x.detach().cpu().clone()
    entry = x.requires_grad_() if x.dtype.is_floating_point else None
    with untouched(), torch.enable_grad():
        try:
            # The network may work in place; what is differentiated for must stay as it is.
            outputs = tensors_in(twin(x.clone()))
        except BodaError:
            raise
        except Exception as error:  # whatever a network does with an input that does not fit
            shape = tuple(x.shape)
            raise UsageError(
                f"the network cannot take x of shape {shape}: {_first(error)}."
            ) from error
        if not outputs:
            raise UsageError("the network put out no tensor that a loss could be taken of.")
        target = y.detach().cpu()
        chosen, name = _choose(loss, outputs[0], target, order[-1] if order else twin)
        value = _value(chosen, name, outputs[0], target)
        value.backward()
    for layer in twin.modules():
        if id(layer) in steps:
            step = steps[id(layer)]
            step.gradient = step.output.grad
            step.output = step.output.detach()
            step.parameters = {n: p.grad for n, p in layer.named_parameters() if p.grad is not None}
    return Backward(
        float(value.detach()), name, [*steps.values()], None if entry is None else entry.grad
    )


def _keeper(name: str, steps: dict[int, Step], order: list[nn.Module]) -> Callable[..., Any]:
    def keep(layer: nn.Module, _inputs: Any, out: Any) -> Any:
        order.append(layer)
        found = tensors_in(out)
        if id(layer) in steps or not found:
            return None
        steps[id(layer)] = Step(name, type(layer).__name__, found[0])
        if found[0].requires_grad:
            found[0].retain_grad()
        # The next layer gets a copy: a ReLU that works in place would overwrite what is kept here.
        return out.clone() if isinstance(out, Tensor) else None

    return keep


def _choose(
    loss: str | Loss | None, output: Tensor, y: Tensor, last: nn.Module
) -> tuple[Loss, str]:
    """The loss as a function, and its name."""
    if callable(loss):
        return loss, getattr(loss, "__name__", type(loss).__name__)
    if loss is None:
        whole = not y.dtype.is_floating_point
        loss = "mse" if not whole else "cross-entropy" if y.ndim == output.ndim - 1 else "bce"
    if loss == "mse":
        return F.mse_loss, "mse"
    if loss == "bce":
        if isinstance(last, nn.Sigmoid):
            return lambda p, t: F.binary_cross_entropy(p, t.to(p.dtype)), "bce"
        return lambda z, t: F.binary_cross_entropy_with_logits(z, t.to(z.dtype)), "bce, of logits"
    if loss == "cross-entropy":
        if isinstance(last, nn.Softmax | nn.LogSoftmax):
            logs = isinstance(last, nn.LogSoftmax)
            return lambda p, t: F.nll_loss(p if logs else p.log(), t), "cross-entropy"
        return F.cross_entropy, "cross-entropy, of logits"
    raise unknown("loss", str(loss), ("mse", "bce", "cross-entropy"))


def _value(chosen: Loss, name: str, output: Tensor, y: Tensor) -> Tensor:
    if name.startswith(("mse", "bce")) and output.shape != y.shape:
        raise UsageError(
            f"{name} compares like with like: the output is {tuple(output.shape)}, y is {tuple(y.shape)}."
        )
    try:
        value = chosen(output, y)
    except (RuntimeError, IndexError, ValueError) as error:
        shapes = f"output {tuple(output.shape)} and y {tuple(y.shape)} of {str(y.dtype)[6:]}"
        raise UsageError(f"{name} cannot be taken of {shapes}: {_first(error)}.") from error
    if value.ndim != 0 or not value.requires_grad:
        raise UsageError("the loss is not one number that depends on the input or a weight.")
    return value


def _first(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0].rstrip(".")


def norm(tensor: Tensor | None) -> float | None:
    """√Σ t²; None for None."""
    return None if tensor is None else float(tensor.detach().double().norm())


def _together(gradients: list[Tensor]) -> float | None:
    """The norm of several as if they were one."""
    return norm(torch.cat([gradient.flatten() for gradient in gradients])) if gradients else None


def _word(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}".replace("-", "−")
