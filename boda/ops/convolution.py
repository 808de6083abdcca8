"""Correlation and convolution in one and two dimensions, and what they cost.

Cross-correlation slides the kernel over the signal, multiplies and adds:
``out[i] = Σ_j signal[i + j] · kernel[j]``. Convolution flips the kernel first:
``out[i] = Σ_j signal[i − j] · kernel[j]``. Networks compute the former and call it the latter.

The kernel's rank says what is meant:

====================  ==============  =================  ==================
kernel                signal          result
====================  ==============  =================  ==================
(k,)                  (…, L)          (…, L')            one kernel, 1-D
(h, w)                (…, H, W)       (…, H', W')        one kernel, 2-D
(O, C/groups, k)      (…, C, L)       (…, O, L')         O filters, 1-D
(O, C/groups, h, w)   (…, C, H, W)    (…, O, H', W')     O filters, 2-D
====================  ==============  =================  ==================

``padding`` is "valid" (none), "same" (``same_padding``), "full" (every overlap, f − 1), an int p,
or one entry for each axis: p or (before, after). ``stride`` and ``dilation`` are one int or one for
each axis. Sources: the lecture notes §2; Dumoulin & Visin, A guide to convolution arithmetic for
deep learning, arXiv:1603.07285.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from boda.errors import UsageError, unknown
from boda.ops.cost import Padding, Pads, PerAxis, output_size, padding_per_axis, per_axis

_PAD_MODES = ("zeros", "replicate", "reflect", "circular")
_EXACT = 2**53  # float64 holds every integer up to here


def correlate(
    signal: Tensor,
    kernel: Tensor,
    bias: Tensor | None = None,
    *,
    padding: Padding = "valid",
    pad_mode: str = "zeros",
    stride: PerAxis = 1,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation, the operation of a network's convolutional layer.

    Args:
        signal: shapes as in the module's table. A floating signal decides the dtype; integers with
            a floating kernel take the kernel's; integers alone give int64, computed exactly.
        kernel: shapes as in the table; it is moved to the signal's device and dtype.
        bias: (O,), or a tensor of one number for one kernel.
        padding: see the module; "same" puts the odd one of an even kernel behind (bottom, right),
            as PyTorch does.
        pad_mode: "zeros", "replicate" (aa|abc), "reflect" (cb|abc: the edge once) or "circular".
        stride: step of the window.
        dilation: distance of neighbouring kernel elements.
        groups: the filters fall into that many groups, each with its share of the channels.

    Returns:
        Shapes as in the table, sizes by ``output_size``.

    Raises:
        UsageError: a kernel larger than the padded signal, "reflect" or "circular" padding larger
            than the signal, an unknown word, shapes that do not fit.
    """
    shapes = signal.shape, kernel.shape
    plan = _plan(*shapes, padding, pad_mode, stride, dilation, groups, False)
    return _run(plan, signal, kernel, bias)


def convolve(
    signal: Tensor,
    kernel: Tensor,
    bias: Tensor | None = None,
    *,
    padding: Padding = "valid",
    pad_mode: str = "zeros",
    stride: PerAxis = 1,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Tensor:
    """True convolution: ``correlate`` with the kernel flipped along its spatial axes.

    Arguments, result and errors are those of ``correlate``. "same" keeps the kernel's centre, its
    element (f − 1)//2, where it was: of an even kernel the odd one is now before (top, left), and
    the result is ``scipy.signal.convolve(…, mode="same")``.
    """
    shapes = signal.shape, kernel.shape
    plan = _plan(*shapes, padding, pad_mode, stride, dilation, groups, True)
    return _run(plan, signal, kernel.flip(plan.spatial), bias)


def transposed(
    signal: Tensor,
    kernel: Tensor,
    bias: Tensor | None = None,
    *,
    padding: PerAxis = 0,
    stride: PerAxis = 1,
    output_padding: PerAxis = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Tensor:
    """Transposed convolution: every input value lays down a scaled kernel; overlaps add up.

    It is the transpose of ``correlate`` with the same kernel, padding and stride: it leads from the
    output shape of that one back to its input shape.

    Args:
        signal: (…, L), (…, H, W), (…, C, L) or (…, C, H, W), as the kernel's rank says.
        kernel: (k,), (h, w), (C, O/groups, k) or (C, O/groups, h, w): channels in first.
        bias: (O,), or a tensor of one number for one kernel.
        padding: how much is cut off on every side.
        stride: distance at which the kernels are laid down.
        output_padding: how much is added at the end (bottom, right), less than stride or dilation:
            several input sizes give one output size of ``correlate``, this chooses among them. The
            notes' 2×2 → 4×4 with f = 3, p = 1, s = 2 needs 1.
        dilation: distance of neighbouring kernel elements.
        groups: the channels fall into that many groups.

    Returns:
        Sizes ``(n − 1)·stride − 2·padding + dilation·(f − 1) + 1 + output_padding``.

    Raises:
        UsageError: nothing is left, or shapes that do not fit.
    """
    axes = _axes(signal.shape, kernel.shape, groups, channels_first=True)
    sizes, window = signal.shape[-axes:], kernel.shape[-axes:]
    strides, dilations = per_axis("stride", stride, axes), per_axis("dilation", dilation, axes)
    cut = per_axis("padding", padding, axes, least=0)
    added = per_axis("output_padding", output_padding, axes, least=0)
    for n, f, p, s, d, a in zip(sizes, window, cut, strides, dilations, added, strict=True):
        if a >= max(s, d):
            raise UsageError(
                f"output_padding {a} adds empty pixels: it must be smaller than the stride ({s}) "
                f"or the dilation ({d})."
            )
        if (n - 1) * s - 2 * p + d * (f - 1) + 1 + a < 1:
            raise UsageError(f"padding {p} cuts everything off. Give a smaller one.")
    batch, filters, bias = _prepare(signal, kernel, bias, axes)
    layer = F.conv_transpose1d if axes == 1 else F.conv_transpose2d
    out = layer(batch, filters, bias, strides, cut, added, groups, dilations)
    return _finish(out, signal, kernel, axes)


def depthwise(
    signal: Tensor,
    kernels: Tensor,
    bias: Tensor | None = None,
    *,
    padding: Padding = "valid",
    pad_mode: str = "zeros",
    stride: PerAxis = 1,
    dilation: PerAxis = 1,
) -> Tensor:
    """One kernel for each channel: (…, C, H, W) with (C·m, h, w) → (…, C·m, H', W').

    Output channels c·m to c·m + m − 1 come from input channel c. Followed by ``pointwise`` it is
    the depthwise-separable convolution of MobileNet, arXiv:1704.04861.
    The rest as in ``correlate``.
    """
    if kernels.ndim != 3 or signal.ndim < 3 or kernels.shape[0] % signal.shape[-3]:
        raise UsageError(
            f"kernels {tuple(kernels.shape)} do not give every channel of {tuple(signal.shape)} "
            "equally many. Give (C·m, h, w) for a signal (…, C, H, W)."
        )
    return correlate(
        signal, kernels[:, None], bias, padding=padding, pad_mode=pad_mode, stride=stride,
        dilation=dilation, groups=signal.shape[-3],
    )  # fmt: skip


def pointwise(signal: Tensor, weights: Tensor, bias: Tensor | None = None) -> Tensor:
    """1×1 convolution, network in network: (…, C, H, W) with weights (O, C) → (…, O, H, W).

    At every pixel the same dense layer from C to O channels; arXiv:1312.4400.
    """
    if weights.ndim != 2:
        raise UsageError(f"weights have shape {tuple(weights.shape)}. Give (O, C).")
    return correlate(signal, weights[:, :, None, None], bias)


def sum_of_independent(p: Tensor, q: Tensor) -> Tensor:
    """The distribution of X + Y for independent X and Y: the convolution of theirs.

    Args:
        p: (m,) probabilities, ``p[k] = P(X = k)`` for k = 0, 1, …
        q: (n,) probabilities of Y.

    Returns:
        (m + n − 1,): entry s is Σ_k P(X = k) · P(Y = s − k).

    Raises:
        UsageError: not a distribution: negative, or its sum is not 1.
    """
    for distribution in (p, q):
        if distribution.ndim != 1 or (distribution < 0).any() or abs(distribution.sum() - 1) > 1e-4:
            raise UsageError(
                "not a distribution: give (n,) probabilities that are not negative and add up to 1."
            )
    return convolve(p, q, padding="full")


def pad(signal: Tensor, pads: Sequence[tuple[int, int]], mode: str = "zeros") -> Tensor:
    """Widen the last ``len(pads)`` axes by (before, after) each.

    Args:
        signal: (N, C, L) or (N, C, H, W).
        pads: (before, after) for each spatial axis, first axis first.
        mode: "zeros", "replicate", "reflect" (less than the size) or "circular" (at most the size).

    Raises:
        UsageError: an unknown mode, or one that would have to look beyond the signal.
    """
    _check_pads(signal.shape[-len(pads) :], pads, mode)
    flat = [width for widths in reversed(pads) for width in widths]
    return F.pad(signal, flat, "constant" if mode == "zeros" else mode)


# --- how a layer is run ---------------------------------------------------------------------------


class _Plan(NamedTuple):
    """What the shapes and the arguments come to; the rest of a call is PyTorch's."""

    spatial: tuple[int, ...]  # the axes the kernel slides along, from the end
    single: bool  # one kernel, no channels
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    groups: int
    pads: Pads | None  # where the layer cannot pad by itself
    pad_mode: str
    border: list[int]  # where it can


def _make_plan(
    signal: tuple[int, ...],
    kernel: tuple[int, ...],
    padding: Padding,
    pad_mode: str,
    stride: PerAxis,
    dilation: PerAxis,
    groups: int,
    flipped: bool,
) -> _Plan:
    """Check everything and work it out; ``flipped`` is true convolution."""
    axes = _axes(signal, kernel, groups)
    sizes, window = signal[-axes:], kernel[-axes:]
    strides, dilations = per_axis("stride", stride, axes), per_axis("dilation", dilation, axes)
    pads = padding_per_axis(padding, window, dilations)
    if flipped and padding == "same":
        pads = [(after, before) for before, after in pads]
    for n, f, around, s, d in zip(sizes, window, pads, strides, dilations, strict=True):
        output_size(n, f, around, s, d)
    _check_pads(sizes, pads, pad_mode)
    border = [before for before, _ in pads]
    alone = pad_mode == "zeros" and border == [after for _, after in pads]
    return _Plan(
        spatial=tuple(range(-axes, 0)),
        single=len(kernel) == axes,
        strides=strides,
        dilations=dilations,
        groups=groups,
        pads=None if alone else pads,
        pad_mode=pad_mode,
        border=border if alone else [0] * axes,
    )


_remembered_plan = lru_cache(maxsize=1024)(_make_plan)


def _plan(*arguments: Any) -> _Plan:
    """``_make_plan``, looked up: done anew it costs a tenth of a small picture's convolution."""
    try:
        return _remembered_plan(*arguments)
    except TypeError:  # lists cannot be looked up
        return _make_plan(*arguments)


def _run(plan: _Plan, signal: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
    axes = len(plan.spatial)
    batch, filters, bias = _prepare(signal, kernel, bias, axes)
    if plan.pads is not None:
        batch = pad(batch, plan.pads, plan.pad_mode)
    layer = F.conv1d if axes == 1 else F.conv2d
    out = layer(batch, filters, bias, plan.strides, plan.border, plan.dilations, plan.groups)
    return _finish(out, signal, kernel, axes)


def _axes(
    signal: tuple[int, ...], kernel: tuple[int, ...], groups: int, channels_first: bool = False
) -> int:
    """1 or 2 spatial axes, as the kernel's rank says; refuses shapes that do not fit together."""
    if not 1 <= len(kernel) <= 4 or 0 in kernel:
        raise UsageError(
            f"a kernel of shape {tuple(kernel)}. Give (k,), (h, w), (O, C, k) or (O, C, h, w)."
        )
    axes = 1 if len(kernel) in (1, 3) else 2
    single = len(kernel) == axes
    if len(signal) < axes + (not single):
        need = ("L", "H, W")[axes - 1] if single else ("C, L", "C, H, W")[axes - 1]
        raise UsageError(
            f"a signal of shape {tuple(signal)} with a kernel of shape "
            f"{tuple(kernel)}. Give a signal (…, {need})."
        )
    if single and groups == 1:
        return axes
    if single or groups < 1 or kernel[0] % groups:
        raise UsageError(
            f"a kernel of shape {tuple(kernel)} does not fall into {groups} groups. Give "
            "(O, C/groups, …) with O a multiple of groups."
        )
    channels, wanted = signal[-axes - 1], kernel[1] * groups
    if channels_first:
        wanted = kernel[0]
    if channels != wanted:
        raise UsageError(
            f"the signal of shape {tuple(signal)} has {channels} channels; a kernel of shape "
            f"{tuple(kernel)} in {groups} groups wants {wanted}."
        )
    return axes


def _check_pads(sizes: Sequence[int], pads: Sequence[tuple[int, int]], mode: str) -> None:
    if mode not in _PAD_MODES:
        raise unknown("pad_mode", str(mode), _PAD_MODES)
    for n, widths in zip(sizes, pads, strict=True):
        limit = {"reflect": n - 1, "circular": n}.get(mode)
        if limit is not None and max(widths) > limit:
            raise UsageError(
                f"{mode} padding of {max(widths)} needs more than the {n} pixels there are: at "
                f'most {limit} fit. Use a smaller padding, or pad_mode="replicate" or "zeros".'
            )


def _prepare(
    signal: Tensor, kernel: Tensor, bias: Tensor | None, axes: int
) -> tuple[Tensor, Tensor, Tensor | None]:
    """(N, C, …), (O, C/groups, …) and (O,), all of one device and dtype, as PyTorch wants them."""
    dtype = _work_dtype(signal, kernel, bias)
    if signal.dtype != dtype:
        signal = signal.to(dtype)
    if kernel.dtype != dtype or kernel.device != signal.device:
        kernel = kernel.to(signal)
    if kernel.ndim == axes:
        kernel = kernel.reshape(1, 1, *kernel.shape)
        signal = signal.reshape(-1, 1, *signal.shape[-axes:])
    elif signal.ndim != axes + 2:
        signal = signal.reshape(-1, *signal.shape[-axes - 1 :])
    if bias is not None:
        bias = bias.to(signal) if bias.ndim == 1 else bias.to(signal).reshape(-1)
    return signal, kernel, bias


def _finish(out: Tensor, signal: Tensor, kernel: Tensor, axes: int) -> Tensor:
    """The leading axes of the signal again; integers out of integers."""
    if not (signal.is_floating_point() or kernel.is_floating_point() or out.is_complex()):
        out = out.long()
    if kernel.ndim == axes:
        return out.reshape(*signal.shape[:-axes], *out.shape[-axes:])
    if signal.ndim == axes + 2:
        return out
    return out.reshape(*signal.shape[: -axes - 1], *out.shape[1:])


def _work_dtype(signal: Tensor, kernel: Tensor, bias: Tensor | None) -> torch.dtype:
    """What is computed in; integers in float64 as long as it holds their sums exactly."""
    for tensor in (signal, kernel):
        if tensor.is_floating_point() or tensor.is_complex():
            return tensor.dtype
    largest = signal.double().abs().max() if signal.numel() else 0
    bound = largest * kernel.double().abs().sum() + (0 if bias is None else bias.abs().max())
    return torch.float64 if bound < _EXACT else torch.int64
