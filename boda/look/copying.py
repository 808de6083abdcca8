"""Looking without touching: a copy of the network to look at, its layers, and what is put into it.

The copy shares nothing with the original, so that batch normalization's statistics, lazily shaped layers,
gradients, hooks and the training mode of the person's own network stay as they are found.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import is_dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from boda.errors import UsageError, unknown

# They call the functions behind their inner layers, never those layers: such a layer is looked at as a whole.
WHOLE = (nn.MultiheadAttention,)
PARAMETER_CONTAINERS = (nn.ParameterList, nn.ParameterDict)


def copied(module: nn.Module, device: str = "cpu") -> nn.Module:
    """A copy of ``module`` on ``device``, in the training mode of the original.

    On "meta" no weight takes any memory. Hooks that people registered are left out (they belong to the
    original, and may write somewhere); those of PyTorch itself, which compute weights, are kept.

    Raises:
        UsageError: it is no module, a compiled TorchScript one, or holds something that cannot be copied.
    """
    if not isinstance(module, nn.Module):
        raise UsageError(f"a network is a torch.nn.Module, not a {type(module).__name__}.")
    module = getattr(module, "_orig_mod", module)  # what torch.compile wraps
    if any(isinstance(inner, torch.jit.ScriptModule) for inner in module.modules()):
        raise UsageError(
            "a TorchScript network cannot be looked into. Give the one it was made from."
        )
    memo = {id(tensor): _moved(tensor, device) for tensor in _tensors(module)}
    try:
        twin = copy.deepcopy(module, memo)
    except (TypeError, RuntimeError) as error:
        why = str(error).splitlines()[0]
        raise UsageError(
            f"{type(module).__name__} cannot be copied, and only copies are looked at ({why}). "
            "Keep files, locks and generators outside of the network."
        ) from None
    for inner in twin.modules():
        for hooks in (inner._forward_pre_hooks, inner._forward_hooks):
            for key in [key for key, hook in hooks.items() if not _from_torch(hook)]:
                del hooks[key]
        inner._backward_hooks.clear()
        inner._backward_pre_hooks.clear()
    return twin


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    """Parameters, buffers and plain attributes, which may be no leaves of the graph (weight norm)."""
    for inner in module.modules():
        values = (*inner._parameters.values(), *inner._buffers.values(), *vars(inner).values())
        yield from (value for value in values if isinstance(value, Tensor))


def _moved(tensor: Tensor, device: str) -> Tensor:
    if isinstance(tensor, UninitializedParameter):
        return UninitializedParameter(tensor.requires_grad, device=device, dtype=tensor.dtype)  # type: ignore
    if isinstance(tensor, UninitializedBuffer):
        return UninitializedBuffer(device=device, dtype=tensor.dtype)  # type: ignore[call-arg]
    value = tensor.detach()
    value = (
        torch.empty_like(value, device=device) if device == "meta" else value.to(device, copy=True)
    )
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(value, tensor.requires_grad)
    return value


def _from_torch(hook: Any) -> bool:
    where = getattr(hook, "__module__", None) or type(hook).__module__
    return where.split(".")[0] == "torch"


@contextmanager
def untouched() -> Iterator[None]:
    """Random numbers that are drawn within (dropout, new weights of lazy layers) are not drawn outside."""
    with torch.random.fork_rng(devices=[]):
        yield


def layers(module: nn.Module) -> dict[str, nn.Module]:
    """The leaf layers by name, in order of definition; a shared layer once, under its first name.

    A leaf has no layers inside; those that PyTorch only uses to keep a layer's weights do not count.
    A network that is one layer has the name "(network)".
    """
    found: dict[str, nn.Module] = {}
    inside: set[int] = set()
    for name, inner in module.named_modules():
        if id(inner) in inside or isinstance(inner, PARAMETER_CONTAINERS):
            continue
        if is_leaf(inner):
            found[name or ROOT] = inner
            inside |= {id(part) for part in inner.modules()}
    return found


ROOT = "(network)"


def is_leaf(module: nn.Module) -> bool:
    """Whether nothing inside of it is a layer in its own right."""
    if isinstance(module, WHOLE):
        return True
    parts = [part for name, part in module.named_children() if name != "parametrizations"]
    return all(isinstance(part, PARAMETER_CONTAINERS) for part in parts)


def layer_named(module: nn.Module, name: str) -> nn.Module:
    """The module of that name, leaf or not; an unknown name is a ``UsageError`` with the nearest."""
    if name in (ROOT, "") and is_leaf(module):
        return module
    found = dict(module.named_modules())
    if not name or name not in found:
        raise unknown("layer", name, [*layers(module)])
    return found[name]


# --- what is put in ---------------------------------------------------------------------------------

Input = Any  # a shape, a tensor, or several: see ``arguments``


def arguments(
    module: nn.Module, given: Input, device: str
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What ``module`` is called with.

    Args:
        module: the network.
        given: a shape without the batch, (C, H, W), which stands for a batch of one; a tensor, which is
            used as it is; a list or tuple of those, one an argument; a dictionary of those by the names
            of ``forward``'s arguments (if they are not its names, the dictionary is the one argument).
            A list within becomes a list; anything else is passed on.
        device: where the tensors are put.

    Returns:
        Positional and named arguments.

    Raises:
        UsageError: a size that is not positive, or nothing given.
    """
    floating = [p.dtype for p in module.parameters() if p.dtype.is_floating_point]
    dtype = floating[0] if floating else torch.float32

    def fill(value: Any) -> Any:
        if isinstance(value, Tensor):
            # As much the caller's as the network: a layer that works in place must not change it.
            return value.detach().to(device, copy=True)
        if is_shape(value):
            if min(value) < 1:
                raise UsageError(
                    f"the input {tuple(value)} has a size below 1. Give C,H,W, such as 3,32,32."
                )
            return torch.zeros((1, *value), dtype=dtype, device=device)
        if isinstance(value, dict):
            return {key: fill(part) for key, part in value.items()}
        return [fill(part) for part in value] if isinstance(value, list | tuple) else value

    if isinstance(given, dict):
        named = inspect.signature(module.forward).parameters
        takes_any = any(p.kind is p.VAR_KEYWORD for p in named.values())
        if takes_any or set(given) <= set(named):
            return (), fill(given)
        return (fill(given),), {}
    if isinstance(given, Tensor) or is_shape(given):
        return (fill(given),), {}
    if not isinstance(given, list | tuple) or not given:
        raise UsageError(
            f"the input {given!r} is neither a shape such as (3, 32, 32) nor a tensor."
        )
    return tuple(fill(given)), {}


def is_shape(value: Any) -> bool:
    """Whether it is a tuple or list of whole numbers."""
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) == 0:
        return False
    return all(isinstance(n, int) and not isinstance(n, bool) for n in value)


def tensors_in(value: Any) -> list[Tensor]:
    """All tensors within lists, tuples, dictionaries and records, in order."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, nn.utils.rnn.PackedSequence):
        return [value.data]
    if isinstance(value, dict):
        value = list(value.values())
    elif is_dataclass(value):
        value = list(vars(value).values())
    elif not isinstance(value, list | tuple):
        return []
    return [tensor for part in value for tensor in tensors_in(part)]
