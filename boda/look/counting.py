"""Multiply-adds, counted where they happen: at the call of every convolution and matrix product.

The formula is that of the layer's definition, from the shapes of what goes in and comes out: a convolution
does (weights of one filter) multiply-adds for each value of its output, a transposed one for each of its
input, a dense layer (features in) for each of its output. One multiply-add counts once; biases,
normalization, activations and pooling are not counted, as in the papers. `torch.utils.flop_counter`, which
looks elsewhere (at the kernels that PyTorch chose) and counts two for each, comes to exactly twice as many.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

UNCOUNTED = ("einsum", "tensordot", "bilinear", "cdist")  # products whose cost is not one formula


def multiply_adds(name: str, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> int:
    """Of one call of a PyTorch function; 0 for a function that is not a product.

    Args:
        name: of the function, such as "conv2d" or "linear".
        args: what it was called with,
        kwargs: and by name.
        out: what it returned.
    """
    rule = _RULES.get(name)
    return 0 if rule is None else rule(args, kwargs, out)


def _argument(args: tuple[Any, ...], kwargs: dict[str, Any], place: int, *names: str) -> Any:
    if len(args) > place:
        return args[place]
    return next((kwargs[name] for name in names if name in kwargs), None)


def _convolution(args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> int:
    weight = _argument(args, kwargs, 1, "weight")  # (O, C/groups, …): one filter is weight[0]
    return out.numel() * math.prod(weight.shape[1:])


def _transposed(args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> int:
    x, weight = _argument(args, kwargs, 0, "input"), _argument(args, kwargs, 1, "weight")
    return x.numel() * math.prod(
        weight.shape[1:]
    )  # (C, O/groups, …): one input value lays down weight[0]


def _dense(args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> int:
    return out.numel() * _argument(args, kwargs, 1, "weight").shape[-1]


def _product(args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> int:
    return out.numel() * _argument(args, kwargs, 0, "input").shape[-1]


def _product_from_right(args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> int:
    return out.numel() * args[1].shape[-1]  # __rmatmul__(self, other) is other @ self


def _added_product(args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> int:
    return out.numel() * _argument(args, kwargs, 1, "mat1", "batch1", "mat").shape[-1]


def _recurrent(args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> int:
    """Every weight matrix is used once for each step of each sequence."""
    flat = [
        t
        for a in args
        for t in (a if isinstance(a, list | tuple) else [a])
        if isinstance(t, Tensor)
    ]
    weights = {id(t): t.numel() for t in flat if t.ndim == 2 and isinstance(t, nn.Parameter)}
    return sum(weights.values()) * (flat[0].numel() // flat[0].shape[-1])


def _attention(args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> int:
    query, key = args[0], args[1]  # (…, L, E), (…, S, E)
    value = _argument(args, kwargs, 2, "value")
    scores = math.prod(query.shape[:-1]) * key.shape[-2]
    return scores * (query.shape[-1] + value.shape[-1])


def _multihead(args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> int:
    """Projections of queries, keys, values and result, and the two products between them."""
    query, key, value = (t if t.ndim == 3 else t.unsqueeze(1) for t in args[:3])  # (L, N, E)
    (length, batch, width), steps = query.shape, key.shape[0]
    inside = batch * width * (length * width + steps * key.shape[2] + steps * value.shape[2])
    between = 2 * batch * length * steps * width
    return inside + between + batch * length * width * width


_RULES: dict[str, Callable[[tuple[Any, ...], dict[str, Any], Any], int]] = {
    **{f"conv{n}d": _convolution for n in (1, 2, 3)},
    **{f"conv_transpose{n}d": _transposed for n in (1, 2, 3)},
    "linear": _dense,
    **dict.fromkeys(("matmul", "__matmul__", "mm", "bmm", "mv", "dot"), _product),
    "__rmatmul__": _product_from_right,
    **dict.fromkeys(("addmm", "baddbmm", "addmv", "addmm_"), _added_product),
    **dict.fromkeys(("lstm", "gru", "rnn_tanh", "rnn_relu"), _recurrent),
    **dict.fromkeys(("lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell"), _recurrent),
    "scaled_dot_product_attention": _attention,
    "multi_head_attention_forward": _multihead,
}
