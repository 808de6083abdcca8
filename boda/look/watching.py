"""The real numbers of one layer in one forward pass: what came in, what went out, what came next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from boda.errors import BodaError, UsageError
from boda.look.copying import copied, layer_named, layers, tensors_in, untouched

ACTIVATIONS = (
    "relu", "relu_", "relu6", "tanh", "tanh_", "sigmoid", "sigmoid_", "leaky_relu", "elu", "silu", "gelu",
    "hardswish", "hardsigmoid", "hardtanh", "softplus", "mish", "softmax", "log_softmax",
)  # fmt: skip


@dataclass
class Seen:
    """One layer at its first use, for a batch of one picture.

    Attributes:
        layer: the copy that ran.
        input, output: (1, …) tensors; None where the layer takes or gives none.
        activation: name of the activation that the output goes into directly, as module or function.
        activated: its result.
    """

    layer: nn.Module
    input: Tensor | None
    output: Tensor
    activation: str | None = None
    activated: Tensor | None = None


class _After(TorchFunctionMode):
    """Watches for the first function that takes the layer's output."""

    def __init__(self) -> None:
        super().__init__()
        self.output: Tensor | None = None
        self.found: tuple[str, Tensor] | None = None

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        takes = (
            self.output is not None and any(a is self.output for a in args) and name != "__get__"
        )
        out = func(*args, **(kwargs or {}))
        if takes:
            self.output = None  # only the first
            if name in ACTIVATIONS:
                self.found = (name.rstrip("_"), out.detach().clone())
        return out


def see_layer(module: nn.Module, image: Tensor, name: str) -> Seen:
    """Run a copy of the network in evaluation mode on one picture, and watch one layer.

    Args:
        module: any network of one input; it stays as it is.
        image: (C, H, W) float, normalized as the network wants it; (1, C, H, W) is taken too.
        name: of a layer, as ``layer_names`` lists them; a module with layers inside may be named too.

    Raises:
        UsageError: an unknown layer (with the nearest name), one that this pass does not use or that
            puts out no tensor, a picture that the network cannot take.
    """
    twin = copied(module).eval()
    layer = layer_named(twin, name)
    after, seen = _After(), list[Seen]()

    def look(_module: nn.Module, args: Any, kwargs: Any, out: Any) -> None:
        # Copies: a function that works in place would change them before they are read.
        outputs = tensors_in(out)
        if seen or not outputs:
            return
        seen.append(Seen(layer, before[0] if before else None, outputs[0].detach().clone()))
        after.output = outputs[0]

    before: list[Tensor] = []
    layer.register_forward_pre_hook(
        lambda _module, args, kwargs: before.extend(
            t.detach().clone() for t in tensors_in([args, kwargs])
        ),
        with_kwargs=True,
    )
    layer.register_forward_hook(look, with_kwargs=True)
    run(twin, image, after)
    if not seen:
        used = [other for other in layers(twin) if other != name]
        raise UsageError(
            f"the layer '{name}' is not used in this network's forward pass, or puts out no tensor. "
            f"Choose another: {', '.join(used[:8])}{', …' if len(used) > 8 else ''}."
        )
    if after.found:
        seen[0].activation, seen[0].activated = after.found
    return seen[0]


def run(twin: nn.Module, image: Tensor, mode: TorchFunctionMode | None = None) -> Any:
    """A forward pass on one picture without gradients; what goes wrong is a ``UsageError``."""
    if not isinstance(image, Tensor) or not image.dtype.is_floating_point:
        raise UsageError(
            "the picture is no float tensor (C, H, W). Normalize it as the network wants it."
        )
    batch = image.detach().cpu()
    batch = batch if image.ndim == 4 else batch[None]
    if batch.shape[0] != 1:
        raise UsageError(f"{batch.shape[0]} pictures were given; one at a time is looked at.")
    dtype = next((p.dtype for p in twin.parameters()), batch.dtype)
    try:
        with untouched(), torch.no_grad():
            if mode is None:
                return twin(batch.to(dtype))
            with mode:
                return twin(batch.to(dtype))
    except BodaError:
        raise
    except Exception as error:  # whatever a network does with a picture that does not fit
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise UsageError(
            f"{type(twin).__name__} cannot take a picture of shape {tuple(batch.shape[1:])}: {why}."
        ) from error
