"""A network as a row of blocks from the input to the head, whatever its classes are called.

Transfer learning wants this: keep the first blocks, whose filters suit any picture, and fit the
last ones and the head, which know what the pictures were.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol, cast

from torch import Tensor, nn

from boda.errors import UsageError


class HasTrunk(Protocol):
    """A network that names the steps it goes from the pictures to the maps before its head."""

    def trunk(self) -> Sequence[Callable[[Tensor], Tensor]]:
        """The steps, in their order; each takes a map and gives one."""
        ...


def head(net: nn.Module) -> tuple[str, nn.Module]:
    """The last layer, whose rows are the classes, and its name.

    It is the last dense layer; where a pooling or the like comes behind the last weights, the
    ``nn.Sequential`` that holds both. Its output is the network's output.
    """
    weighted = [(name, module) for name, module in net.named_modules() if _has_weight(module)]
    name, module = weighted[-1]
    place = name.rpartition(".")[0]
    outer = net.get_submodule(place)
    if isinstance(outer, nn.Sequential) and outer[-1] is not module:
        name, module = place, outer
    return name, module


def backbone(net: nn.Module) -> nn.Module | None:
    """The classifier, without its head, that stands at the beginning of the network; None without."""
    found = getattr(net, "backbone", None)
    return None if found is None else found.net


def blocks(net: nn.Module) -> list[list[nn.Module]]:
    """The blocks before the head, from the input on; each is a list of modules.

    A block is a convolution or dense layer with the norms behind it, or a module that holds several
    of them (a residual block, an inception block). Together they hold every parameter and every
    running average that the head does not. A network with a backbone has that one's blocks: all
    behind them is its head.
    """
    within = backbone(net)
    last = head(net)[1] if within is None else None
    net = net if within is None else within
    found: list[list[nn.Module]] = []
    for module in _units(net, last):
        if any(_has_weight(part) for part in module.modules()) or not found:
            found.append([module])
        else:  # a norm
            found[-1].append(module)
    return found


def maps(net: nn.Module, x: Tensor, strides: Sequence[int]) -> list[Tensor]:
    """The last map of each of these strides, as pyramids and decoders want them.

    Args:
        net: a network with a ``trunk``, or with the steps before its head in ``features``.
        x: (N, channels, H, W).
        strides: pixels from one value of a map to the next, such as (8, 16, 32), rising.

    Returns:
        (N, C', ⌈H/stride⌉, ⌈W/stride⌉) each.

    Raises:
        UsageError: the network has no trunk, or no map of such a stride.
    """
    found = _last_maps(net, x, max(strides))
    if missing := [stride for stride in strides if stride not in found]:
        raise UsageError(f"{type(net).__name__} has no map of stride {missing[0]}.")
    return [found[stride] for stride in strides]


def last_map(net: nn.Module, x: Tensor) -> Tensor:
    """What the head is given, before it is averaged: (N, channels, H, W) → (N, C', H', W').

    Raises:
        UsageError: the network does not name the steps before its head.
    """
    for step in _steps(net):
        x = step(x)
    return x


def strides(net: nn.Module, x: Tensor) -> list[int]:
    """The strides of the maps that ``maps`` can give for pictures like these, rising."""
    return sorted(_last_maps(net, x, x.shape[-1]))


def _last_maps(net: nn.Module, x: Tensor, largest: int) -> dict[int, Tensor]:
    side, found = x.shape[-1], {1: x}
    for step in _steps(net):
        x = step(x)
        stride = 2 ** round(math.log2(side / x.shape[-1]))  # whatever way a layer rounds
        if stride > largest:
            break
        found[stride] = x
    return found


def _steps(net: nn.Module) -> Sequence[Callable[[Tensor], Tensor]]:
    if hasattr(net, "trunk"):
        return cast(HasTrunk, net).trunk()
    features = getattr(net, "features", None)
    if not isinstance(features, nn.Sequential):
        raise UsageError(
            f"{type(net).__name__} cannot be a backbone: it does not name the steps before its head. "
            "Residual networks, MobileNet v2, EfficientNets, VGGs and SqueezeNet do."
        )
    return list(features)


def _units(module: nn.Module, last: nn.Module | None) -> list[nn.Module]:
    """What is in the module, containers opened, without the head and without what holds no state."""
    units: list[nn.Module] = []
    for child in module.children():
        if child is last or not child.state_dict():
            continue
        opened = isinstance(child, nn.Sequential | nn.ModuleList) or last in set(child.modules())
        units += _units(child, last) if opened else [child]
    return units


def _has_weight(module: nn.Module) -> bool:
    """Whether it has a weight of its own that connects channels: a convolution or a dense layer."""
    weight = module._parameters.get("weight")
    return weight is not None and weight.ndim > 1
