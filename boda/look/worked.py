"""A value worked out, as records: what a layer saw in each channel, and what that came to."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

How = Literal["sum", "largest", "mean", "formula"]


@dataclass(frozen=True)
class Part:
    """What is seen in one channel of the input.

    Attributes:
        channel: its number; None for a dense layer, which has features.
        rows, columns: of the input, for each row and column of the patch; padding has numbers outside of it.
        patch: (h, w) the values there.
        kernel: (h, w) the weights; None where the layer has none.
        inside: (h, w) False where the patch reaches beyond the input, into the padding.
    """

    channel: int | None
    rows: list[int]
    columns: list[int]
    patch: np.ndarray
    kernel: np.ndarray | None
    inside: np.ndarray

    @property
    def products(self) -> np.ndarray:
        """(h, w) patch times kernel, element by element; the patch itself where there is no kernel."""
        return self.patch if self.kernel is None else self.patch * self.kernel

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; the -inf around a max pooling's input is null."""
        return {
            "channel": self.channel,
            "rows": self.rows,
            "columns": self.columns,
            "patch": _plain(self.patch),
            "kernel": None if self.kernel is None else _plain(self.kernel),
            "products": None if self.kernel is None else _plain(self.products),
            "sum": float(self.products.sum()) if np.isfinite(self.patch).all() else None,
        }


@dataclass(frozen=True)
class Worked:
    """A value worked out.

    Attributes:
        how: "sum" of products, plus bias; "largest" of a patch; "mean" of a patch; or a "formula".
        value: the result.
        parts: what is seen, one for each channel.
        total: the sum of all products, or of the patch; None where nothing is summed.
        bias: added to the sum; None where the layer has none.
        divisor: of a mean.
        formula: the numbers put into the formula, as text.
        terms: the numbers of a formula by name.
    """

    how: How
    value: float
    parts: list[Part]
    total: float | None = None
    bias: float | None = None
    divisor: float | None = None
    formula: str | None = None
    terms: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        named = {
            "how": self.how,
            "parts": [part.to_dict() for part in self.parts],
            "sum": self.total,
        }
        rest = {"divisor": self.divisor, "formula": self.formula, "terms": self.terms}
        return {**named, "bias": self.bias, **rest}


def _plain(array: np.ndarray) -> list[list[float | None]]:
    return [[float(v) if math.isfinite(v) else None for v in row] for row in array]
