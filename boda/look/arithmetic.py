"""The arithmetic of one output value: the patch it looks at, the kernel, the products, the sum, the bias.

One rule a kind of layer, from the layer's definition, in float64. The network's own value is kept beside
the one that the rule comes to: the two must agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn

from boda.errors import UsageError
from boda.look import arithmetic_page
from boda.look.rules import RULES
from boda.look.watching import Seen, see_layer
from boda.look.worked import Part, Worked


@dataclass(frozen=True)
class Arithmetic:
    """How one value of a layer came about.

    Attributes:
        layer, kind: name and class of the layer.
        at: place of the value in the output, (channel, y, x), or (feature,) of a dense layer.
        output_shape: of the layer, without the batch.
        worked: the parts, the sum, the bias and the other terms; see ``boda.look.worked``.
        value: what they come to.
        network: the network's own value.
        activation, activated: the activation that the layer's output goes into directly, and its result;
            None where something else comes next.
        input: (C, H, W) what came into the layer, or (features,).
    """

    layer: str
    kind: str
    at: tuple[int, ...]
    output_shape: tuple[int, ...]
    worked: Worked
    value: float
    network: float
    activation: str | None
    activated: float | None
    input: np.ndarray

    @property
    def parts(self) -> list[Part]:
        """One for each channel that the value looks at."""
        return self.worked.parts

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "layer": self.layer,
            "kind": self.kind,
            "at": list(self.at),
            "output_shape": list(self.output_shape),
            **self.worked.to_dict(),
            "value": self.value,
            "network": self.network,
            "activation": self.activation,
            "activated": self.activated,
        }

    def __str__(self) -> str:
        return arithmetic_page.page(self)

    def picture(self) -> np.ndarray:
        """(H, W, 3) uint8: where the value looks, and patch, kernel and products as numbered grids."""
        from boda.look import arithmetic_picture

        return arithmetic_picture.picture(self)


def arithmetic(module: nn.Module, image: Tensor, layer: str, at: Sequence[int]) -> Arithmetic:
    """Spell out one output value of a layer, in evaluation mode.

    Args:
        module: a network of one input; it is left as it is.
        image: (C, H, W) float, normalized as the network wants it.
        layer: name of a convolution, transposed convolution, dense layer, pooling, batch normalization or
            activation; see ``boda.look.layer_names``.
        at: (channel, y, x) in the layer's output, counted from 0; (feature,) where the output has no height
            and width.

    Returns:
        An ``Arithmetic``: ``print`` it, ``picture()`` it, or take its ``to_dict()``. Of a layer that is used
        more than once, the first use.

    Raises:
        UsageError: an unknown or unused layer, one of another kind, or a place outside of its output.
    """
    seen = see_layer(module, image, layer)
    rule = next((rule for kind, rule in RULES.items() if isinstance(seen.layer, kind)), None)
    if rule is None or seen.input is None:
        known = ", ".join(dict.fromkeys(kind.__name__.strip("_") for kind in RULES))
        raise UsageError(
            f"the arithmetic of {layer}, a {type(seen.layer).__name__}, is not known here. "
            f"Choose a layer of one of these kinds: {known}."
        )
    place = _place(layer, seen.output, at)
    worked = rule(seen.layer, seen.input[0].double().numpy(), place)
    return Arithmetic(
        layer=layer,
        kind=type(seen.layer).__name__,
        at=place,
        output_shape=tuple(seen.output.shape[1:]),
        worked=worked,
        value=worked.value,
        network=float(seen.output[0][place]),
        activation=seen.activation,
        activated=_activated(seen, place),
        input=seen.input[0].double().numpy(),
    )


def _activated(seen: Seen, place: tuple[int, ...]) -> float | None:
    if seen.activated is None or seen.activated.shape != seen.output.shape:
        return None
    return float(seen.activated[0][place])


def _place(layer: str, output: Tensor, at: Sequence[int]) -> tuple[int, ...]:
    """``at`` checked; 5,0,0 is taken for feature 5 of a dense layer."""
    shape, place = tuple(output.shape[1:]), tuple(at)
    if len(shape) == 1 and len(place) == 3 and place[1:] == (0, 0):
        place = place[:1]
    if len(place) == len(shape) and all(0 <= i < n for i, n in zip(place, shape, strict=True)):
        return place
    limits = ",".join(f"0..{n - 1}" for n in shape)
    words = {3: "channel, y, x", 1: "one feature"}.get(len(shape), f"{len(shape)} numbers")
    raise UsageError(
        f"{','.join(map(str, at))} lies outside of the output of {layer}, which is "
        f"{'×'.join(map(str, shape))}. Give {words} within {limits}."
    )
