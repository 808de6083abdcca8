"""Sizes and costs of convolutional layers: plain arithmetic, no tensors.

f is the window's size, p the padding, s the stride, d the dilation along one axis. Sources: the
lecture notes §2 and §3; Dumoulin & Visin, arXiv:1603.07285.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import cast

from boda.errors import UsageError, unknown

PerAxis = int | Sequence[int]
Padding = str | int | Sequence[int | tuple[int, int]]
Pads = list[tuple[int, int]]  # (before, after) for each axis

_WORDS = ("valid", "same", "full")


def same_padding(f: int, dilation: int = 1) -> tuple[int, int]:
    """(before, after) that keeps the size at stride 1: p = (f − 1)/2; an even f has one more after.

    With a stride s it keeps every s-th value of that result, ceil(n/s) of them. (TensorFlow's
    "SAME" has the same sizes but starts elsewhere when s > 1: it looks at n and s as well.)
    """
    total = dilation * (f - 1)
    return total // 2, total - total // 2


def output_size(
    n: int, f: int, padding: str | int | tuple[int, int] = 0, stride: int = 1, dilation: int = 1
) -> int:
    """How many places the window of f has along n: floor((n + 2p − f)/s) + 1.

    A dilated kernel covers dilation·(f − 1) + 1 in place of f.

    Raises:
        UsageError: the window is larger than what it slides over.
    """
    if not isinstance(padding, tuple):
        padding = padding_per_axis(padding, (f,), (dilation,))[0]
    covered, padded = dilation * (f - 1) + 1, n + padding[0] + padding[1]
    if covered > padded:
        raise UsageError(
            f"the window covers {covered} pixels but the picture, with its padding, has {padded}. "
            'Use a smaller kernel, a larger picture or more padding (convolution: padding="same").'
        )
    return (padded - covered) // stride + 1


def receptive_field(layers: Iterable[int | Sequence[int]]) -> int:
    """How many input pixels, along one axis, one output value of a stack of layers sees.

    Args:
        layers: first layer first, each f, (f, stride) or (f, stride, dilation); pooling as well.

    Returns:
        1 + Σ dilation·(f − 1)·(product of the strides before).
    """
    field, step = 1, 1
    for layer in layers:
        f, stride, dilation = (*([layer] if isinstance(layer, int) else layer), 1, 1)[:3]
        field += dilation * (f - 1) * step
        step *= stride
    return field


def parameters(
    f: PerAxis, channels: int, filters: int, *, groups: int = 1, bias: bool = True
) -> int:
    """Weights of a convolutional layer, whatever the picture's size: f² · C/groups · O (+ O)."""
    return math.prod(per_axis("f", f, 2)) * channels // groups * filters + bias * filters


def multiply_adds(
    f: PerAxis, channels: int, filters: int, out: tuple[int, int], *, groups: int = 1
) -> int:
    """Multiplications of a convolutional layer: H'·W' · f² · C/groups · O for ``out`` (H', W').

    One multiply-add counts once; the bias is not counted.
    """
    return math.prod(out) * parameters(f, channels, filters, groups=groups, bias=False)


def separable_ratio(f: int, filters: int) -> float:
    """Cost of depthwise + pointwise over an ordinary convolution's: 1/n_C' + 1/f²."""
    return 1 / filters + 1 / f**2


# --- how the arguments are read -------------------------------------------------------------------


def per_axis(name: str, value: PerAxis, axes: int, least: int = 1) -> tuple[int, ...]:
    """One int for each axis."""
    if type(value) is int and value >= least:  # the usual case, in a hurry
        return (value,) * axes
    values = tuple(value) if isinstance(value, Sequence) else (value,) * axes
    if len(values) != axes or any(not isinstance(v, int) or v < least for v in values):
        raise UsageError(
            f"{name} {value}: give an int from {least} up, or one for each of {axes} axes."
        )
    return values


def padding_per_axis(padding: Padding, window: Sequence[int], dilations: Sequence[int]) -> Pads:
    """(before, after) for each axis."""
    if type(padding) is int and padding >= 0:  # the usual case, in a hurry
        return [(padding, padding)] * len(window)
    if isinstance(padding, str):
        if padding not in _WORDS:
            raise unknown("padding", padding, _WORDS)
        if padding == "valid":
            return [(0, 0)] * len(window)
        if padding == "same":
            return [same_padding(f, d) for f, d in zip(window, dilations, strict=True)]
        return [(d * (f - 1), d * (f - 1)) for f, d in zip(window, dilations, strict=True)]
    entries = tuple(padding) if isinstance(padding, Sequence) else (padding,) * len(window)
    pads = [tuple(e) if isinstance(e, Sequence) else (e, e) for e in entries]
    sound = all(len(p) == 2 and all(type(w) is int and w >= 0 for w in p) for p in pads)
    if len(pads) != len(window) or not sound:
        raise UsageError(
            f'padding {padding}: give "valid", "same", "full", an int from 0 up, or for each of '
            f"{len(window)} axes an int or (before, after)."
        )
    return cast(Pads, pads)
