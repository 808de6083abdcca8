"""The rules behind ``boda.look.arithmetic``: what each kind of layer does for one value of its output.

Each takes the layer, its input as float64 without the batch, and the place in the output, and returns a
``Worked``. They are written with loops and plain sums, not with PyTorch's layers, which they are to explain.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from boda.look.worked import Part, Worked

Place = tuple[int, ...]


def _numbers(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().double().numpy()


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _summed(parts: list[Part], bias: torch.Tensor | None, place: Place) -> Worked:
    total = float(sum(part.products.sum() for part in parts))
    added = None if bias is None else float(bias[place[0]].detach())
    return Worked("sum", total + (added or 0.0), parts, total, added)


# --- convolutions -----------------------------------------------------------------------------------


def _convolution(layer: nn.Conv2d, x: np.ndarray, place: Place) -> Worked:
    """out[o, y, x] = bias[o] + Σ_c Σ_i Σ_j in[c, s·y + d·i − p, s·x + d·j − p] · weight[o, c, i, j]."""
    weight, (o, *where) = _numbers(layer.weight), place
    before = [_padding(layer, axis) for axis in (0, 1)]
    lines = [
        [
            layer.stride[a] * where[a] + layer.dilation[a] * i - before[a]
            for i in range(weight.shape[2 + a])
        ]
        for a in (0, 1)
    ]
    per_group = weight.shape[1]
    first = (
        o // (weight.shape[0] // layer.groups) * per_group
    )  # the first channel of the filter's group
    patches = [
        _part(x, first + c, lines[0], lines[1], layer.padding_mode, weight[o, c])
        for c in range(per_group)
    ]
    return _summed(patches, layer.bias, place)


def _padding(layer: nn.Conv2d, axis: int) -> int:
    """How many values stand before the input; "same" puts the odd one behind."""
    if isinstance(layer.padding, str):
        reach = layer.dilation[axis] * (layer.kernel_size[axis] - 1)
        return reach // 2 if layer.padding == "same" else 0
    return int(layer.padding[axis])


def _part(
    x: np.ndarray,
    channel: int,
    rows: Sequence[int],
    columns: Sequence[int],
    mode: str = "zeros",
    kernel: np.ndarray | None = None,
    outside: float = 0.0,
) -> Part:
    """The values of a channel at these rows and columns, which may lie in the padding."""
    height, width = x.shape[-2:]
    ys, xs = [_source(y, height, mode) for y in rows], [_source(c, width, mode) for c in columns]
    patch = np.full((len(rows), len(columns)), outside)
    for i, y in enumerate(ys):
        for j, c in enumerate(xs):
            if y is not None and c is not None:
                patch[i, j] = x[channel, y, c]
    in_rows = np.array([0 <= y < height for y in rows], bool)
    in_columns = np.array([0 <= c < width for c in columns], bool)
    return Part(channel, list(rows), list(columns), patch, kernel, np.outer(in_rows, in_columns))


def _source(i: int, n: int, mode: str) -> int | None:
    """Where the padding's value at ``i`` comes from; None for zeros."""
    if 0 <= i < n:
        return i
    if mode == "zeros":
        return None
    if mode == "replicate":
        return min(max(i, 0), n - 1)
    if mode == "circular":
        return i % n
    return -i if i < 0 else 2 * (n - 1) - i  # reflect, the edge once


def _transposed(layer: nn.ConvTranspose2d, x: np.ndarray, place: Place) -> Worked:
    """Σ in[c, i, j] · weight[c, o, k, l], and the bias, over all s·i + d·k − p = y and s·j + d·l − p = x."""
    weight, (o, *where) = _numbers(layer.weight), place
    per_group = weight.shape[1]
    channels = weight.shape[0] // layer.groups
    lines = []
    for a in (0, 1):
        s, d, p = layer.stride[a], layer.dilation[a], int(layer.padding[a])
        reached = ((i, where[a] + p - s * i) for i in range(x.shape[1 + a]))
        lines.append(
            [(i, t // d) for i, t in reached if t % d == 0 and 0 <= t // d < weight.shape[2 + a]]
        )
    rows, columns = [i for i, _ in lines[0]], [j for j, _ in lines[1]]
    parts = []
    for c in range(o // per_group * channels, (o // per_group + 1) * channels):
        kernel = weight[c, o % per_group][
            np.ix_([k for _, k in lines[0]], [k for _, k in lines[1]])
        ]
        parts.append(_part(x, c, rows, columns, kernel=kernel))
    return _summed(parts, layer.bias, place)


def _dense(layer: nn.Linear, x: np.ndarray, place: Place) -> Worked:
    """out[o] = bias[o] + Σ_i in[i] · weight[o, i]; on a longer tensor along its last dimension."""
    values, weights = x[place[:-1]], _numbers(layer.weight)[place[-1]]
    inside = np.ones((1, len(values)), bool)
    part = Part(None, [0], list(range(len(values))), values[None], weights[None], inside)
    return _summed([part], layer.bias, place[-1:])


# --- pooling ----------------------------------------------------------------------------------------


def _lines(layer: Any, x: np.ndarray, place: Place) -> list[list[int]]:
    """Rows and columns of a pooling window, padding included."""
    f, s = _pair(layer.kernel_size), _pair(layer.stride or layer.kernel_size)
    p, d = _pair(layer.padding), _pair(getattr(layer, "dilation", 1))
    return [[s[a] * place[1 + a] + d[a] * i - p[a] for i in range(f[a])] for a in (0, 1)]


def _max_pool(layer: nn.MaxPool2d, x: np.ndarray, place: Place) -> Worked:
    """The largest of the window; padding never is."""
    rows, columns = _lines(layer, x, place)
    part = _part(x, place[0], rows, columns, outside=-math.inf)
    return Worked("largest", float(part.patch.max()), [part])


def _average_pool(layer: nn.AvgPool2d, x: np.ndarray, place: Place) -> Worked:
    """The mean of the window; ``count_include_pad`` says whether the padding's zeros count."""
    rows, columns = _lines(layer, x, place)
    part = _part(x, place[0], rows, columns)
    if layer.divisor_override:
        count = int(layer.divisor_override)
    elif layer.count_include_pad:  # what ceil_mode adds beyond the padding never counts
        p = _pair(layer.padding)
        ends = [n + q for n, q in zip(x.shape[-2:], p, strict=True)]
        count = sum(r < ends[0] for r in rows) * sum(c < ends[1] for c in columns)
    else:
        count = int(part.inside.sum())
    return _mean(part, count)


def _mean(part: Part, count: int) -> Worked:
    total = float(part.patch.sum())
    return Worked("mean", total / count, [part], total, divisor=float(count))


def _adaptive_lines(x: np.ndarray, place: Place, size: Any) -> list[list[int]]:
    """Window i of o over n values: from floor(i·n/o) to before ceil((i + 1)·n/o)."""
    sizes = size if isinstance(size, tuple | list) else (size, size)
    lines = []
    for i, n, asked in zip(place[1:], x.shape[-2:], sizes, strict=True):
        o = n if asked is None else asked
        lines.append(list(range(i * n // o, -(-(i + 1) * n // o))))
    return lines


def _adaptive_average(layer: nn.AdaptiveAvgPool2d, x: np.ndarray, place: Place) -> Worked:
    rows, columns = _adaptive_lines(x, place, layer.output_size)
    part = _part(x, place[0], rows, columns)
    return _mean(part, part.patch.size)


def _adaptive_max(layer: nn.AdaptiveMaxPool2d, x: np.ndarray, place: Place) -> Worked:
    rows, columns = _adaptive_lines(x, place, layer.output_size)
    part = _part(x, place[0], rows, columns)
    return Worked("largest", float(part.patch.max()), [part])


# --- one value in, one value out --------------------------------------------------------------------


def _point(x: np.ndarray, place: Place) -> Part:
    """The one value at the same place."""
    if x.ndim == 3:
        return _part(x, place[0], [place[1]], [place[2]])
    return Part(None, [0], [place[-1]], np.array([[x[place]]]), None, np.ones((1, 1), bool))


def _normalization(layer: nn.BatchNorm2d, x: np.ndarray, place: Place) -> Worked:
    """(in − mean) / √(variance + ε) · scale + shift, with the running statistics."""
    c, value = place[0], float(x[place])
    if layer.running_mean is None or layer.running_var is None:  # then those of the input itself
        mean, variance = float(x[c].mean()), float(x[c].var())
    else:
        mean, variance = float(layer.running_mean[c]), float(layer.running_var[c])
    scale = 1.0 if layer.weight is None else float(layer.weight[c].detach())
    shift = 0.0 if layer.bias is None else float(layer.bias[c].detach())
    result = (value - mean) / math.sqrt(variance + layer.eps) * scale + shift
    formula = f"({value:.4g} − {mean:.4g}) / √({variance:.4g} + {layer.eps:g}) · {scale:.4g} + {shift:.4g}"
    terms = {"input": value, "mean": mean, "variance": variance, "eps": layer.eps}
    terms |= {"scale": scale, "shift": shift}
    return Worked("formula", result, [_point(x, place)], formula=formula, terms=terms)


def _response(layer: nn.LocalResponseNorm, x: np.ndarray, place: Place) -> Worked:
    """In / (k + α/n · Σ in²)^β, the sum over n channels around this one, at the same place."""
    c, value, n = place[0], float(x[place]), layer.size
    around = x[max(0, c - n // 2) : c + (n - 1) // 2 + 1]
    around = np.array([channel[place[1:]] for channel in around])
    squares = float((around**2).sum())
    result = value / (layer.k + layer.alpha / n * squares) ** layer.beta
    formula = f"{value:.4g} / ({layer.k:g} + {layer.alpha:g} / {n} · {squares:.4g})^{layer.beta:g}"
    terms = {"input": value, "sum of squares": squares, "channels": float(len(around))}
    return Worked("formula", result, [_point(x, place)], formula=formula, terms=terms)


_FORMULAS = {
    nn.ReLU: "max(0, {x})",
    nn.Tanh: "tanh({x})",
    nn.Sigmoid: "1 / (1 + e^−({x}))",
}


def _function(layer: nn.Module, x: np.ndarray, place: Place) -> Worked:
    """An activation of one value; the three of the notes by their formulas."""
    value = float(x[place])
    if isinstance(layer, nn.ReLU):
        result = max(0.0, value)
    elif isinstance(layer, nn.Tanh):
        result = math.tanh(value)
    elif isinstance(layer, nn.Sigmoid):
        result = (
            1 / (1 + math.exp(-value)) if value >= 0 else math.exp(value) / (1 + math.exp(value))
        )
    else:
        result = float(layer(torch.tensor([value], dtype=torch.float64))[0])
    words = _FORMULAS.get(type(layer), type(layer).__name__ + "({x})").format(x=f"{value:.4g}")
    return Worked("formula", result, [_point(x, place)], formula=words, terms={"input": value})


RULES: dict[type[nn.Module], Callable[..., Worked]] = {
    nn.Conv2d: _convolution,
    nn.ConvTranspose2d: _transposed,
    nn.Linear: _dense,
    nn.MaxPool2d: _max_pool,
    nn.AvgPool2d: _average_pool,
    nn.AdaptiveAvgPool2d: _adaptive_average,
    nn.AdaptiveMaxPool2d: _adaptive_max,
    nn.BatchNorm2d: _normalization,
    nn.BatchNorm1d: _normalization,
    nn.LocalResponseNorm: _response,
    nn.ReLU: _function,
    nn.Tanh: _function,
    nn.Sigmoid: _function,
    **dict.fromkeys((nn.LeakyReLU, nn.ReLU6, nn.ELU, nn.SiLU, nn.GELU), _function),
    **dict.fromkeys(
        (nn.Hardswish, nn.Hardsigmoid, nn.Identity, nn.Dropout, nn.Dropout2d), _function
    ),
}
