"""The way from pictures to an output as steps, and the way to a fit as stages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor


@dataclass(frozen=True)
class Stage:
    """A part of a fit that is no gradient descent, for the report.

    Attributes:
        name: of the stage.
        seconds: that it took.
        figures: what came of it, by name.
    """

    name: str
    seconds: float
    figures: dict[str, float]


class Step(NamedTuple):
    """A part of the way from pictures to the output.

    Attributes:
        run: the first takes the pictures; each other all values that were computed before it.
        boxes: whether it gives rows of boxes, of which equally sure ones may change places.
    """

    run: Callable[..., Tensor | tuple[Tensor, ...]]
    boxes: bool = False


@runtime_checkable
class Deciding(Protocol):
    """A method that decides on its way, such as which boxes stay; its output is the last value.

    Rounding may turn a decision, and all that follows is then another. An export is therefore
    verified step by step, each on the very numbers that it was given.
    """

    def steps(self) -> tuple[Step, ...]:
        """The way from (N, C, H, W) uint8 pictures to the output."""
        ...


def walked(steps: Sequence[Step], images: Tensor) -> list[Tensor]:
    """All values of all steps, the output last."""
    values: list[Tensor] = []
    for step in steps:
        values += as_tuple(step.run(*values) if values else step.run(images))
    return values


def as_tuple(values: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """One tensor, or several, as several."""
    return (values,) if isinstance(values, Tensor) else values
