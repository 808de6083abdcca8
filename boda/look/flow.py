"""Receptive fields through PyTorch's functions: one rule a function, looked up by its name.

A function without a rule leads to "unknown", never to a guess. The statistics that normalization takes over a
picture are not considered. The records are those of ``boda.look.fields``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from boda.look.fields import CONSTANT, UNKNOWN, Axis, Call, View, broadcast, flat, merged


def follow(
    name: str,
    func: Callable[..., Any],
    args: Any,
    kwargs: Any,
    views: Sequence[View | None],
    out: Tensor,
) -> View | None:
    """The view of a function's result.

    Args:
        name: the function's, such as "conv2d" or "__getitem__".
        func: the function,
        args: its arguments,
        kwargs: and those by name.
        views: of the tensors among its arguments, in order; the first is that of ``args[0]``.
        out: the result, or the first of several.
    """
    if all(view == CONSTANT for view in views):
        return CONSTANT
    if any(view is None for view in views):
        return UNKNOWN
    if name in _PASS or _is_pointwise(name):
        return broadcast(args, kwargs, views, out)
    rule = _RULES.get(name)
    first = args[0] if args else kwargs.get("input")
    if rule is None or not views:
        return UNKNOWN
    if isinstance(first, list | tuple):  # cat and its like
        return rule(merged(views), first[0], Call(func, args, kwargs, out, views))
    return rule(views[0], first, Call(func, args, kwargs, out, views))


# --- functions that leave every value where it is ---------------------------------------------------


def _names(text: str) -> list[str]:
    return text.split()


_PASS = _names("""
    batch_norm instance_norm group_norm layer_norm rms_norm local_response_norm normalize
    dropout dropout1d dropout2d dropout3d alpha_dropout feature_dropout feature_alpha_dropout
    prelu hardswish silu hardtanh relu6 rrelu logsigmoid softsign tanhshrink gumbel_softmax
    __truediv__ __rtruediv__ __rsub__ __rpow__ __neg__ __and__ __or__ rsub masked_fill zeros_like ones_like
    to type type_as float half double bfloat16 contiguous detach cpu cuda requires_grad_ real
    pad constant_pad_nd cat concat concatenate chunk split tensor_split narrow
""")


def _is_pointwise(name: str) -> bool:
    """Whether PyTorch itself marks the operation so; ``relu_`` and ``__iadd__`` are relu and add."""
    base = name.strip("_")
    for word in (base, base[1:]) if name.startswith("__") else (base,):
        packet = getattr(torch.ops.aten, word, None)
        if packet is not None:
            return any(torch.Tag.pointwise in getattr(packet, o).tags for o in packet.overloads())
    return False


# --- windows ----------------------------------------------------------------------------------------


def _slide(view: View, x: Tensor, windows: Sequence[tuple[Any, Any]], channels: int | None) -> View:
    """Windows (f, s) on the last dimensions; a direction that lies along the channels is mixed."""
    start, axes = x.ndim - len(windows), []
    for axis in view:
        if axis.dim is not None and axis.dim >= start and axis.extent is None:
            axes.append(axis.window(*windows[axis.dim - start]))
        else:
            mixes = axis.dim is not None and (axis.dim >= start or axis.dim == channels)
            axes.append(axis.mixed(x.shape) if mixes else axis)
    return tuple(axes)


def _convolution(view: View, x: Tensor, call: Call) -> View:
    weight = call.get(1, "weight")
    axes = weight.ndim - 2
    strides, dilations = call.per_axis(3, "stride", 1, axes), call.per_axis(5, "dilation", 1, axes)
    windows = [
        (d * (f - 1) + 1, s) for f, s, d in zip(weight.shape[2:], strides, dilations, strict=True)
    ]
    return _slide(view, x, windows, x.ndim - axes - 1)


def _transposed(view: View, x: Tensor, call: Call) -> View:
    weight = call.get(1, "weight")
    axes = weight.ndim - 2
    strides, dilations = call.per_axis(3, "stride", 1, axes), call.per_axis(7, "dilation", 1, axes)
    sizes = zip(weight.shape[2:], strides, dilations, strict=True)
    return _slide(view, x, [_laid_down(f, s, d) for f, s, d in sizes], x.ndim - axes - 1)


def _laid_down(f: int, s: int, d: int) -> tuple[int, Fraction]:
    """How many values lie from the first to the last kernel that reaches one result: taps alike modulo s."""
    taps = [d * j for j in range(f)]
    reach = max((b - a) // s for a in taps for b in taps if (b - a) % s == 0)
    return reach + 1, Fraction(1, s)


def _pool(view: View, x: Tensor, call: Call) -> View:
    axes = int(call.func.__name__.split("_pool")[1][0])
    f = call.per_axis(1, "kernel_size", None, axes)
    s = call.per_axis(2, "stride", f, axes) if call.get(2, "stride") not in (None, [], ()) else f
    dilated = call.func.__name__.startswith("max")
    d = call.per_axis(4, "dilation", 1, axes) if dilated else (1,) * axes
    return _slide(view, x, [(b * (a - 1) + 1, c) for a, c, b in zip(f, s, d, strict=True)], None)


def _adaptive(view: View, x: Tensor, call: Call) -> View:
    axes = int(call.func.__name__[-2])
    sizes = zip(x.shape[-axes:], call.out.shape[-axes:], strict=True)
    return _slide(view, x, [(_widest(n, o), Fraction(n, o)) for n, o in sizes], None)


def _widest(n: int, o: int) -> int:
    """The largest of the ``o`` windows that adaptive pooling lays over ``n`` values."""
    return max(math.ceil((i + 1) * n / o) - i * n // o for i in range(o))


def _resized(view: View, x: Tensor, call: Call) -> View:
    taps = {"linear": 2, "bilinear": 2, "trilinear": 2, "bicubic": 4}
    mode = call.get(3, "mode", "nearest") if call.func.__name__ == "interpolate" else "nearest"
    if mode == "area":
        return _slide(view, x, [(_widest(n, o), Fraction(n, o)) for n, o in _sizes(x, call)], None)
    return _slide(view, x, [(taps.get(mode, 1), Fraction(n, o)) for n, o in _sizes(x, call)], None)


def _sizes(x: Tensor, call: Call) -> list[tuple[int, int]]:
    return list(zip(x.shape[2:], call.out.shape[2:], strict=True))


def _shuffled(view: View, x: Tensor, call: Call) -> View:
    windows = [(math.ceil(Fraction(n, o)), Fraction(n, o)) for n, o in _sizes(x, call)]
    return _slide(view, x, windows, None)


# --- functions that mix whole dimensions ------------------------------------------------------------


def _dense(view: View, x: Tensor, call: Call) -> View:
    return tuple(axis.mixed(x.shape) if axis.dim == x.ndim - 1 else axis for axis in view)


def _reduced(view: View, x: Tensor, call: Call) -> View | None:
    dims = call.get(1, "dim")
    if isinstance(dims, Tensor):  # max(a, b) is the larger of each two
        return broadcast(call.args, call.kwargs, call.views, call.out)
    chosen = range(x.ndim) if dims is None else [dims] if isinstance(dims, int) else dims
    gone = {dim % x.ndim for dim in chosen}
    view = tuple(axis.mixed(x.shape) if axis.dim in gone else axis for axis in view)
    if call.out.ndim == x.ndim:
        return view
    return tuple(
        axis if axis.dim is None else replace(axis, dim=axis.dim - sum(g < axis.dim for g in gone))
        for axis in view
    )


def _product(view: View, x: Tensor, call: Call) -> View | None:
    other = call.args[1]
    if len(call.views) > 1 and call.views[1] == CONSTANT and other.ndim == 2:
        return _dense(view, x, call)
    return _everything(view, x, call)


def _everything(view: View, x: Tensor, call: Call) -> View | None:
    """Attention and its like: every result may depend on every value."""
    tensors = flat((call.args, call.kwargs))
    pairs = zip(tensors, call.views, strict=True)
    return merged([tuple(a.mixed(t.shape) for a in v) for t, v in pairs if v is not None])


# --- functions that move dimensions -----------------------------------------------------------------


def _permuted(view: View, x: Tensor, call: Call) -> View:
    probe = torch.empty(
        tuple(range(1, x.ndim + 1)), device="meta"
    )  # every size tells its dimension
    order = [size - 1 for size in call.func(probe, *call.args[1:], **call.kwargs).shape]
    return tuple(a if a.dim is None else replace(a, dim=order.index(a.dim)) for a in view)


def _reshaped(view: View, x: Tensor, call: Call) -> View | None:
    """A dimension stays itself, or goes into a larger one; one that is taken apart is no longer known."""
    axes = []
    for axis in view:
        if axis.dim is None:
            axes.append(axis)
            continue
        size, step = x.shape[axis.dim], math.prod(x.shape[axis.dim + 1 :])
        if size == 1:
            axes.append(axis.mixed(x.shape))
            continue
        place = _containing(size, step, call.out.shape)
        if place is None:
            return UNKNOWN
        extent = axis.extent
        if call.out.shape[place] != size and extent is None:
            extent = (size - 1) * axis.stride
        axes.append(replace(axis, dim=place, extent=extent))
    return tuple(axes)


def _containing(size: int, step: int, shape: Sequence[int]) -> int | None:
    """The dimension of ``shape`` that has all of one with ``size`` values, ``step`` apart in memory."""
    inner = 1
    for dim in reversed(range(len(shape))):
        outer = inner * shape[dim]
        if inner <= step and size * step <= outer and outer % (size * step) == 0 == step % inner:
            return dim
        inner = outer
    return None


def _indexed(view: View, x: Tensor, call: Call) -> View | None:
    index = call.args[1] if isinstance(call.args[1], tuple) else (call.args[1],)
    if not all(i is None or i is ... or isinstance(i, int | slice) for i in index):
        return UNKNOWN
    if ... not in index:
        index = (*index, ...)
    place = index.index(...)
    missing = x.ndim - sum(i is not None and i is not ... for i in index)
    index = (*index[:place], *[slice(None)] * missing, *index[place + 1 :])
    steps: dict[int, tuple[int | None, int]] = {}  # old dimension → new one, step
    old = new = 0
    for i in index:
        if i is not None:
            steps[old] = (None, 1) if isinstance(i, int) else (new, i.step or 1)
            old += 1
        new += not isinstance(i, int) or isinstance(i, bool)
    return tuple(_taken(axis, *steps[axis.dim]) if axis.dim is not None else axis for axis in view)


def _taken(axis: Axis, dim: int | None, step: int) -> Axis:
    return replace(axis, dim=dim, stride=axis.stride * step if axis.extent is None else axis.stride)


def _unbound(view: View, x: Tensor, call: Call) -> View | None:
    dim = call.get(1, "dim", 0) % x.ndim
    return tuple(
        a if a.dim is None else replace(a, dim=None if a.dim == dim else a.dim - (a.dim > dim))
        for a in view
    )


def _stacked(view: View | None, x: Tensor, call: Call) -> View | None:
    dim = call.get(1, "dim", 0) % (x.ndim + 1)
    return tuple(a if a.dim is None else replace(a, dim=a.dim + (a.dim >= dim)) for a in view or ())


_RULES: dict[str, Callable[[Any, Tensor, Call], View | None]] = {
    **{f"conv{n}d": _convolution for n in (1, 2, 3)},
    **{f"conv_transpose{n}d": _transposed for n in (1, 2, 3)},
    **{f"{kind}_pool{n}d": _pool for kind in ("max", "avg") for n in (1, 2, 3)},
    **{f"max_pool{n}d_with_indices": _pool for n in (1, 2, 3)},
    **{f"adaptive_{kind}_pool{n}d": _adaptive for kind in ("max", "avg") for n in (1, 2, 3)},
    **dict.fromkeys(("interpolate", "upsample", "upsample_nearest", "max_unpool1d"), _resized),
    **dict.fromkeys(("max_unpool2d", "max_unpool3d"), _resized),
    **dict.fromkeys(("pixel_shuffle", "pixel_unshuffle"), _shuffled),
    "linear": _dense,
    **dict.fromkeys(
        _names("mean sum amax amin max min std var norm logsumexp prod softmax log_softmax"),
        _reduced,
    ),
    **dict.fromkeys(("matmul", "__matmul__", "mm", "bmm"), _product),
    **dict.fromkeys(("scaled_dot_product_attention", "multi_head_attention_forward"), _everything),
    **dict.fromkeys(_names("permute transpose swapaxes movedim t adjoint"), _permuted),
    **dict.fromkeys(
        _names("flatten reshape view unflatten squeeze unsqueeze view_as reshape_as"), _reshaped
    ),
    "__getitem__": _indexed,
    **dict.fromkeys(("unbind", "select"), _unbound),
    "stack": _stacked,
}
