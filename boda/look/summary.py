"""What a network is made of: one row a layer, with its output, parameters, cost and receptive field.

Nothing is computed with pictures where that can be avoided: a copy of the network runs on PyTorch's "meta"
device, which knows shapes only.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter
from torch.nn.utils.parametrize import is_parametrized

from boda.errors import BodaError, UsageError
from boda.look import tables
from boda.look.copying import (
    PARAMETER_CONTAINERS,
    Input,
    arguments,
    copied,
    is_shape,
    tensors_in,
    untouched,
)
from boda.look.trace import Trace, Visit

PerAxis = int | float | list[int | float] | None


@dataclass(frozen=True)
class Row:
    """One layer.

    Attributes:
        name: in the network, as ``named_modules`` has it; "(network)" for the network itself.
        kind: the name of its class.
        output_shape: of its first output at its first use, without a batch of one; None where not used.
        activation_size: the number of values of that.
        parameters: those that no earlier row has counted.
        multiply_adds: of all its uses together.
        receptive_field: pixels of the input that one output value sees, along one side; a list where the
            directions differ; None where it is not known or there is no picture.
        stride: pixels of the input from one output value to the next, thus the product of all strides up to
            here; None also where the output is no picture any more.
    """

    name: str
    kind: str
    output_shape: list[int] | None
    activation_size: int
    parameters: int
    multiply_adds: int
    receptive_field: PerAxis
    stride: PerAxis


@dataclass(frozen=True)
class Summary:
    """The rows of a network, and their totals.

    Attributes:
        model: name of the network.
        input: shape of the picture, or shapes of the inputs.
        parameters: of the network: the sum over ``parameters()``.
        multiply_adds: of one forward pass.
        layers: the rows, in order of first use, then what was not used.
        notes: what is to be said besides: layers that were used twice or never.
    """

    model: str
    input: Any
    parameters: int
    multiply_adds: int
    layers: list[Row]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The JSON of ``boda summary``."""
        found = asdict(self)
        found.pop("notes")
        return found

    def __str__(self) -> str:
        return tables.summary_text(self)

    def _repr_html_(self) -> str:
        return tables.summary_html(self)


def summary(module: nn.Module, input: Input, name: str = "") -> Summary:
    """Take a network apart, layer by layer, by watching one forward pass in evaluation mode.

    A row stands for a leaf layer; what a network does between its layers (``F.relu``, ``+``, ``cat``) has
    no row, but is followed for the receptive field. A module with layers inside gets a row where it has
    parameters of its own, or convolves or multiplies by itself, so that the rows add up to the totals. A
    layer that is used twice has one row: its parameters count once, its multiply-adds for every use, the rest
    is of its first. Batch normalization's statistics and the like are no parameters.

    Multiply-adds: of convolutions, dense layers and matrix products, from the shapes at every call; see
    ``boda.look.counting``. Receptive fields: see ``boda.look.fields``.

    Args:
        module: any network. It is left as it is: a copy runs.
        input: (C, H, W), a tensor (used with its batch), or several of them as tuple, list or dictionary.
            With a shape, the rows are of one picture.
        name: what to call it; by default the class's name.

    Returns:
        A ``Summary``: ``print`` it, or take its ``to_dict()``.

    Raises:
        UsageError: the network cannot take that input (with its own words why), or cannot be copied.
    """
    trace = _watch(module, input)
    rows, notes = _rows(trace)
    total = sum(p.numel() for p in _counted(trace.module.parameters()))
    assert total == sum(row.parameters for row in rows), "a parameter belongs to no row"
    cost = sum(row.multiply_adds for row in rows)
    return Summary(name or type(module).__name__, _shapes(input), total, cost, rows, notes)


def _watch(module: nn.Module, given: Input) -> Trace:
    """On the meta device; on the CPU where the network looks at the values themselves."""
    try:
        return _run(module, given, "meta")
    except BodaError:
        raise
    except (
        Exception
    ):  # whatever it does with values that are not there; the CPU tells whether it is that
        pass
    try:
        return _run(module, given, "cpu")
    except BodaError:
        raise
    except Exception as error:
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UsageError(
            f"{type(module).__name__} cannot take the input {_told(given)}: {why}. "
            "Give the shape of one picture as (C, H, W), or tensors for all of its arguments."
        ) from error


def _run(module: nn.Module, given: Input, device: str) -> Trace:
    twin = copied(module, device).eval()
    args, kwargs = arguments(twin, given, device)
    trace = Trace(twin)
    trace.see(tensors_in([args, kwargs]))
    with untouched(), torch.no_grad(), torch.device(device), trace:
        twin(*args, **kwargs)
    return trace


def _rows(trace: Trace) -> tuple[list[Row], tuple[str, ...]]:
    counted: set[int] = set()
    rows, unused, often = [], [], []
    used = [visit for visit in trace.visits.values() if visit.uses]
    idle = [visit for visit in trace.visits.values() if not visit.uses]
    batch_of_one = _batch_of_one(trace)
    for visit in used + idle:
        own = [p for p in _counted(_own(visit)) if id(p) not in counted]
        counted |= {id(p) for p in own}
        parameters = sum(p.numel() for p in own)
        if visit.uses > 1 and visit.leaf:
            often.append(f"{visit.name} ({visit.uses}×)")
        if not visit.uses and visit.leaf:
            unused.append(visit.name)
        if parameters or visit.cost or (visit.leaf and visit.uses):
            rows.append(_row(visit, parameters, batch_of_one))
    notes = [
        f"used more than once, costs added up: {', '.join(often)}" if often else "",
        f"never used in this pass: {', '.join(unused)}" if unused else "",
        f"not in the multiply-adds: {', '.join(sorted(trace.uncounted))}"
        if trace.uncounted
        else "",
    ]
    return rows, tuple(note for note in notes if note)


def _row(visit: Visit, parameters: int, batch_of_one: bool) -> Row:
    shape, size = None, 0
    if visit.shape is not None:
        size = torch.Size(visit.shape).numel()
        shape = list(visit.shape[1:] if batch_of_one and visit.shape[:1] == (1,) else visit.shape)
    field, stride = None, None
    if visit.view:
        field = _alike([Fraction(math.ceil(axis.field)) for axis in visit.view])
        if all(axis.dim is not None and axis.extent is None for axis in visit.view):
            stride = _alike([axis.stride for axis in visit.view])
    kind = type(visit.module)
    if is_parametrized(visit.module):  # PyTorch puts a class of its own before the layer's
        kind = kind.__mro__[1]
    return Row(visit.name, kind.__name__, shape, size, parameters, visit.cost, field, stride)


def _alike(values: Sequence[Fraction]) -> PerAxis:
    """One number where all are the same; whole numbers as such."""
    plain = [int(v) if v.denominator == 1 else float(v) for v in values]
    return plain[0] if len(set(plain)) == 1 else plain


def _own(visit: Visit) -> Iterator[nn.Parameter]:
    """A leaf has all parameters within; another module those outside of its layers."""
    if visit.leaf:
        yield from visit.module.parameters()
        return
    yield from visit.module.parameters(recurse=False)
    for name, child in visit.module.named_children():
        # Where PyTorch computes a weight from others, those are the module's own.
        if isinstance(child, PARAMETER_CONTAINERS) or name == "parametrizations":
            yield from child.parameters()


def _counted(parameters: Iterator[nn.Parameter]) -> Iterator[nn.Parameter]:
    """Without those of lazy layers that were not used: nobody knows their size yet."""
    return (p for p in parameters if not isinstance(p, UninitializedParameter))


def _batch_of_one(trace: Trace) -> bool:
    return all(tensor_shape[:1] == (1,) for tensor_shape in trace.inputs)


def _shapes(given: Input) -> Any:
    """Shapes as lists, in the structure in which they were given."""
    if isinstance(given, Tensor):
        return list(given.shape)
    if is_shape(given):
        return list(given)
    if isinstance(given, dict):
        return {str(key): _shapes(value) for key, value in given.items()}
    return [_shapes(value) for value in given] if isinstance(given, list | tuple) else str(given)


def _told(given: Input) -> str:
    return str(_shapes(given)).replace("[", "(").replace("]", ")")
