"""A network as a row of blocks from the input to the head, whatever its classes are called.

Transfer learning wants this: keep the first blocks, whose filters suit any picture, and fit the
last ones and the head, which know what the pictures were.
"""

from __future__ import annotations

from torch import nn


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


def blocks(net: nn.Module) -> list[list[nn.Module]]:
    """The blocks before the head, from the input on; each is a list of modules.

    A block is a convolution or dense layer with the norms behind it, or a module that holds several
    of them (a residual block, an inception block). Together they hold every parameter and every
    running average that the head does not.
    """
    last = head(net)[1]
    found: list[list[nn.Module]] = []
    for module in _units(net, last):
        if any(_has_weight(part) for part in module.modules()) or not found:
            found.append([module])
        else:  # a norm
            found[-1].append(module)
    return found


def _units(module: nn.Module, last: nn.Module) -> list[nn.Module]:
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
