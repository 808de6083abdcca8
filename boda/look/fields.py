"""What one value sees of the picture: receptive field and stride, followed through a forward pass.

An ``Axis`` says it for one direction of the picture. A window of f values, s apart, on values that see
``field`` pixels and lie ``stride`` pixels apart, sees ``field + (f − 1)·stride``, and its results lie
``s·stride`` apart (Araujo, Norris, Sim, "Computing receptive fields of convolutional neural networks",
Distill 2019). Where paths meet, the largest field counts. The numbers do not stop at the picture's edge:
padding is seen too. The rules for each function are in ``boda.look.flow``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Axis:
    """One direction of the picture, as one tensor has it.

    Attributes:
        field: pixels that one value sees.
        stride: pixels from one value to the next.
        dim: the tensor's dimension along this direction; None where every value has seen all there was.
        extent: pixels from the first to the last value, where ``dim`` has other values in it too (it was
            flattened); None where the dimension is this direction alone.
    """

    field: Fraction
    stride: Fraction
    dim: int | None
    extent: Fraction | None = None

    def window(self, f: int | Fraction, s: int | Fraction) -> Axis:
        """After a window of ``f`` values, moved ``s`` at a time."""
        return replace(self, field=self.field + (f - 1) * self.stride, stride=self.stride * s)

    def mixed(self, shape: Sequence[int]) -> Axis:
        """After a function whose every result has seen all values along ``dim``."""
        if self.dim is None:
            return self
        extent = (shape[self.dim] - 1) * self.stride if self.extent is None else self.extent
        return Axis(self.field + extent, self.stride, None)


View = tuple[Axis, ...]
UNKNOWN: View | None = None
CONSTANT: View = ()  # what depends on no picture


def first_view(tensor: Tensor, least: int = 4) -> View | None:
    """Of an input: (N, C, …) has its picture from the third dimension on.

    Args:
        tensor: the input.
        least: with fewer dimensions it is no picture, and nothing is known; 3 allows one-dimensional signals.
    """
    if tensor.ndim < least:
        return UNKNOWN
    return tuple(Axis(Fraction(1), Fraction(1), dim) for dim in range(2, tensor.ndim))


def merged(views: Sequence[View | None]) -> View | None:
    """Where paths meet: the largest field and stride of each direction."""
    known = [view for view in views if view != CONSTANT]
    if any(view is None for view in known):
        return UNKNOWN
    pictures = [view for view in known if view is not None]
    if len({len(view) for view in pictures}) > 1:
        return UNKNOWN  # a picture and a sequence
    return tuple(_larger(axes) for axes in zip(*pictures, strict=True))


def _larger(axes: tuple[Axis, ...]) -> Axis:
    placed = next((axis for axis in axes if axis.dim is not None), axes[0])
    stride = max(axis.stride for axis in axes if (axis.dim is None) == (placed.dim is None))
    return replace(placed, field=max(axis.field for axis in axes), stride=stride)


@dataclass
class Call:
    """One call of a function, with the views of the tensors among its arguments."""

    func: Callable[..., Any]
    args: Any
    kwargs: Any
    out: Tensor
    views: Sequence[View | None]

    def get(self, place: int, name: str, default: Any = None) -> Any:
        """The argument at ``place`` or of that name."""
        value = self.args[place] if len(self.args) > place else self.kwargs.get(name)
        return default if value is None else value

    def per_axis(self, place: int, name: str, default: Any, axes: int) -> tuple[int, ...]:
        """The same, one number for each of ``axes`` directions."""
        value = self.get(place, name, default)
        values = tuple(value) if isinstance(value, list | tuple) else (value,)
        return values * axes if len(values) == 1 else values


def broadcast(args: Any, kwargs: Any, views: Sequence[View | None], out: Tensor) -> View | None:
    """Dimensions are compared from the last, as broadcasting does."""
    tensors = flat((args, kwargs))
    moved: list[View | None] = []
    for tensor, view in zip(tensors, views, strict=True):
        shift = out.ndim - tensor.ndim
        moved.append(
            tuple(replace(a, dim=None if a.dim is None else a.dim + shift) for a in view or ())
        )
    return merged(moved)


def flat(value: Any) -> list[Tensor]:
    """The tensors among arguments, in order."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return []
    return [tensor for part in value for tensor in flat(part)]
