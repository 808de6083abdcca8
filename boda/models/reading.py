"""What a network calls for one window, written down so that any picture can go through it.

A network's ``forward`` may be written in any way; what it calls is a row of functions. Most do the
same with larger maps: convolutions, poolings, activations, norms. Those that end the maps do not,
and are replaced: a dense layer by a convolution, a mean by an average pooling of stride 1. Flattening
falls away: the maps stay maps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from boda.errors import UsageError

Maps = tuple[int, int, int]  # C, h, w
RESHAPING = ("flatten", "view", "reshape", "squeeze", "__getitem__")
POOLINGS: dict[str, Callable[..., Tensor]] = {
    "mean": F.avg_pool2d,
    "adaptive_avg_pool2d": F.avg_pool2d,
    "amax": F.max_pool2d,
    "adaptive_max_pool2d": F.max_pool2d,
}


@dataclass(frozen=True)
class Value:
    """The result of an earlier call; 0 is the picture."""

    number: int


@dataclass(frozen=True)
class Weight:
    """A parameter, a buffer or a constant of the network, by name."""

    name: str


@dataclass
class Call:
    """One function of the network, with ``Value`` and ``Weight`` among its arguments.

    ``results`` are the numbers of the tensors that it returns; ``spent`` those that no later call
    takes: their memory is free.
    """

    function: Callable[..., Any]
    args: Any
    kwargs: Any
    results: list[int]
    spent: list[int]


@dataclass(frozen=True)
class _Seen:
    """What is known of a tensor that depends on the picture.

    Attributes:
        number: of its value.
        maps: what stands for one window; of a vector (N, C·h·w), what was flattened.
        cut: lines and columns that a larger picture's maps have lost by poolings and dense layers
            over all of a window.
    """

    number: int
    maps: Maps
    cut: tuple[int, int] = (0, 0)


class Reader(TorchFunctionMode):
    """Watches one forward pass.

    Attributes:
        calls: what is to be done for a picture of any size.
        constants: tensors of the network that are neither parameters nor buffers, by name.
        result: number of the value that is the network's output.
    """

    def __init__(self, net: nn.Module, picture: Tensor) -> None:
        super().__init__()
        self.net = net
        self.calls: list[Call] = []
        self.constants: dict[str, Tensor] = {}
        self.result = 0
        named = chain(net.named_parameters(prefix="net"), net.named_buffers(prefix="net"))
        self._refs: dict[int, Value | Weight] = {id(t): Weight(name) for name, t in named}
        self._refs[id(picture)] = Value(0)
        self._seen = {id(picture): _Seen(0, (picture.shape[1], *picture.shape[2:]))}
        self._kept = [picture]  # alive, so that every id stays its tensor's
        self._numbers = 1

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        given = tensors_in((args, kwargs))
        shapes = [tensor.shape for tensor in given]  # before func may change one in place
        out = func(*args, **kwargs)
        made = tensors_in(out)
        if not made:
            return out
        sources = [(self._seen[id(t)], s) for t, s in zip(given, shapes, strict=True)
                   if id(t) in self._seen]  # fmt: skip
        self._kept += given + made
        if not sources:  # weights that are made of weights
            self._write(func, args, kwargs, made)
        elif len({seen.cut for seen, _ in sources}) > 1:
            raise refusal(
                self.net,
                "in its middle it weighs maps by what it saw of the whole window (squeeze and "
                "excitation), and every window would need maps of its own",
            )
        else:
            self._follow(func, args, kwargs, made, sources)
        return out

    def _follow(
        self, func: Any, args: Any, kwargs: Any, made: list[Tensor], sources: list[Any]
    ) -> None:
        """Write down what a function of the picture becomes."""
        (seen, shape), name, out = sources[0], getattr(func, "__name__", ""), made[0]
        c, h, w = seen.maps
        pools = name in POOLINGS and seen.maps == shape[1:]
        flattens = name in RESHAPING and out.ndim == 2 and out[0].numel() == c * h * w
        if ((name in RESHAPING or pools) and out.shape == shape) or flattens:
            self._refs[id(out)], self._seen[id(out)] = Value(seen.number), seen
        elif pools and out.ndim in (2, 4) and out.shape[:2] == shape[:2]:
            cells = (1, 1) if out.ndim == 2 else (out.shape[2], out.shape[3])
            pool = partial(pool_cells, pooling=POOLINGS[name], size=(h, w), cells=cells)
            self._write(pool, args[:1], {}, made)
            maps = (c * cells[0] * cells[1], 1, 1)
            self._note(out, maps, (seen.cut[0] + h - 1, seen.cut[1] + w - 1))
        elif name == "linear" and len(shape) == 2:
            self._write(partial(dense, maps=seen.maps), args, kwargs, made)
            self._note(out, (out.shape[1], 1, 1), (seen.cut[0] + h - 1, seen.cut[1] + w - 1))
        elif all(t.shape == shape for t in made):
            self._write(func, args, kwargs, made)
            for tensor in made:
                self._note(tensor, seen.maps, seen.cut)
        elif all(t.ndim == 4 for t in made) and all(s[1:] == each.maps for each, s in sources):
            self._write(func, args, kwargs, made)
            for tensor in made:
                self._note(tensor, (tensor.shape[1], *tensor.shape[2:]), seen.cut)
        else:
            was, becomes = tuple(shape), tuple(out.shape)
            raise refusal(self.net, f"there is no rule for its '{name}', {was} → {becomes}")

    def _write(self, func: Any, args: Any, kwargs: Any, made: list[Tensor]) -> None:
        results = list(range(self._numbers, self._numbers + len(made)))
        self._numbers += len(made)
        self.calls.append(
            Call(func, mapped(args, self._ref), mapped(kwargs, self._ref), results, [])
        )
        for number, tensor in zip(results, made, strict=True):
            self._refs[id(tensor)] = Value(number)

    def _note(self, tensor: Tensor, maps: Maps, cut: tuple[int, int]) -> None:
        ref = self._refs[id(tensor)]
        assert isinstance(ref, Value)
        self._seen[id(tensor)] = _Seen(ref.number, maps, cut)

    def _ref(self, part: Any) -> Any:
        """What stands for an argument."""
        if isinstance(part, Tensor) and id(part) not in self._refs:
            name = f"constant{len(self.constants)}"
            self.constants[name] = part
            self._refs[id(part)] = Weight(name)
        return self._refs[id(part)] if isinstance(part, Tensor) else part

    def finish(self, out: Any) -> None:
        """Take the network's output, and find when each value is needed last."""
        if not isinstance(out, Tensor) or id(out) not in self._seen:
            raise refusal(self.net, "it does not put out one tensor of logits")
        self.result = self._seen[id(out)].number
        needed = {self.result}
        for call in reversed(self.calls):
            taken = _numbers((call.args, call.kwargs))
            call.spent = sorted((taken | set(call.results)) - needed)
            needed |= taken | set(call.results)


def read(net: nn.Module, window: Tensor) -> Reader:
    """Write down what a network does with a window.

    Args:
        net: in evaluation mode.
        window: (1, C, h, w).

    Raises:
        UsageError: it does something that has no form for larger pictures.
    """
    reader = Reader(net, window)
    with torch.no_grad(), reader:
        out = net(window)
    reader.finish(out)
    return reader


def dense(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, maps: Maps) -> Tensor:
    """A dense layer on windows of (C, h, w) as a convolution: its rows are C·h·w numbers, in that order."""
    return F.conv2d(x, weight.unflatten(1, maps), bias)


def pool_cells(
    x: Tensor,
    *,
    pooling: Callable[..., Tensor],
    size: tuple[int, int],
    cells: tuple[int, int],
) -> Tensor:
    """Pool every window of h×w to a×b cells, which become channels: (N, C, H, W) → (N, C·a·b, H', W').

    Cell i of a takes the lines from ⌊i·h/a⌋ to before ⌈(i + 1)·h/a⌉, as adaptive poolings do. With
    H' = H − h + 1.
    """
    (h, w), (height, width) = size, x.shape[-2:]
    found = []
    for top, bottom in _edges(h, cells[0]):
        for left, right in _edges(w, cells[1]):
            part = x[..., top : height - h + bottom, left : width - w + right]
            found.append(pooling(part, (bottom - top, right - left), 1))
    return found[0] if len(found) == 1 else torch.stack(found, 2).flatten(1, 2)


def _edges(length: int, cells: int) -> list[tuple[int, int]]:
    return [(i * length // cells, -(-(i + 1) * length // cells)) for i in range(cells)]


def refusal(net: nn.Module, why: str) -> UsageError:
    """The error for a network without a convolutional form."""
    return UsageError(
        f"{type(net).__name__} cannot be made convolutional: {why}. Slide it window by window."
    )


def mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    """The same lists, tuples and dictionaries around changed parts."""
    if isinstance(value, dict):
        return {key: mapped(part, change) for key, part in value.items()}
    if isinstance(value, list | tuple) and not isinstance(value, torch.Size):
        return type(value)(mapped(part, change) for part in value)
    return change(value)


def tensors_in(value: Any) -> list[Tensor]:
    """The tensors within lists, tuples and dictionaries, in order."""
    found: list[Tensor] = []
    mapped(value, lambda part: found.append(part) if isinstance(part, Tensor) else None)
    return found


def _numbers(value: Any) -> set[int]:
    """Of the values within."""
    found: set[int] = set()

    def note(part: Any) -> None:
        if isinstance(part, Value):
            found.add(part.number)

    mapped(value, note)
    return found
