"""How a convolutional layer is prepared and run: the machinery behind ``boda.ops.convolution``.

What can be known from the shapes and arguments is checked and worked out once (``Plan``) and
remembered; a call then costs little more than PyTorch's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from boda.errors import UsageError, unknown
from boda.ops.cost import Padding, PerAxis, output_size, padding_per_axis, per_axis

_PAD_MODES = ("zeros", "replicate", "reflect", "circular")
_EXACT = 2**53  # float64 holds every integer up to here


class Plan(NamedTuple):
    """What the shapes and the arguments come to; the rest of a call is PyTorch's."""

    spatial: tuple[int, ...]  # the axes the kernel slides along, from the end
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    groups: int
    border: list[int]  # zeros the layer adds by itself
    widen: tuple[list[int], str] | None  # where it cannot: what F.pad is told


def _make_plan(
    signal: tuple[int, ...],
    kernel: tuple[int, ...],
    padding: Padding,
    pad_mode: str,
    stride: PerAxis,
    dilation: PerAxis,
    groups: int,
    flipped: bool,
) -> Plan:
    """Check everything and work it out; ``flipped`` is true convolution."""
    axes = axes_of(signal, kernel, groups)
    sizes, window = signal[-axes:], kernel[-axes:]
    strides, dilations = per_axis("stride", stride, axes), per_axis("dilation", dilation, axes)
    pads = padding_per_axis(padding, window, dilations)
    if flipped and padding == "same":
        pads = [(after, before) for before, after in pads]
    for n, f, around, s, d in zip(sizes, window, pads, strides, dilations, strict=True):
        output_size(n, f, around, s, d)
    check_pads(sizes, pads, pad_mode)
    border = [before for before, _ in pads]
    alone = pad_mode == "zeros" and border == [after for _, after in pads]
    return Plan(
        spatial=tuple(range(-axes, 0)),
        strides=strides,
        dilations=dilations,
        groups=groups,
        border=border if alone else [0] * axes,
        widen=None if alone else pad_words(pads, pad_mode),
    )


_remembered_plan = lru_cache(maxsize=1024)(_make_plan)


def plan_layer(*arguments: Any) -> Plan:
    """``_make_plan``, looked up: done anew it costs a tenth of a small picture's convolution."""
    try:
        return _remembered_plan(*arguments)
    except TypeError:  # lists cannot be looked up
        return _make_plan(*arguments)


def run_layer(plan: Plan, signal: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
    """PyTorch's layer, whatever the leading axes and dtypes."""
    axes = len(plan.spatial)
    batch, filters, bias = prepare(signal, kernel, bias, axes)
    if plan.widen is not None:
        batch = F.pad(batch, *plan.widen)
    layer = F.conv1d if axes == 1 else F.conv2d
    out = layer(batch, filters, bias, plan.strides, plan.border, plan.dilations, plan.groups)
    return finish(out, signal, kernel, axes)


def axes_of(
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


def check_pads(sizes: Sequence[int], pads: Sequence[tuple[int, int]], mode: str) -> None:
    """Refuse an unknown mode, and one that would look beyond the signal."""
    if mode not in _PAD_MODES:
        raise unknown("pad_mode", str(mode), _PAD_MODES)
    for n, widths in zip(sizes, pads, strict=True):
        limit = {"reflect": n - 1, "circular": n}.get(mode)
        if limit is not None and max(widths) > limit:
            raise UsageError(
                f"{mode} padding of {max(widths)} needs more than the {n} pixels there are: at "
                f'most {limit} fit. Use a smaller padding, or pad_mode="replicate" or "zeros".'
            )


def pad_words(pads: Sequence[tuple[int, int]], mode: str) -> tuple[list[int], str]:
    """What F.pad is told: the last axis first, and its own word for zeros."""
    flat = [width for widths in reversed(pads) for width in widths]
    return flat, "constant" if mode == "zeros" else mode


def prepare(
    signal: Tensor, kernel: Tensor, bias: Tensor | None, axes: int
) -> tuple[Tensor, Tensor, Tensor | None]:
    """(N, C, …), (O, C/groups, …) and (O,), all of one device and dtype, as PyTorch wants them."""
    if bias is not None and bias.is_floating_point() and not _real(signal) and not _real(kernel):
        raise UsageError(
            "integers with a bias that is none: the sum would be cut off. Give an integer bias, or "
            "a floating signal."
        )
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


def finish(out: Tensor, signal: Tensor, kernel: Tensor, axes: int) -> Tensor:
    """The leading axes of the signal again; integers out of integers."""
    if not _real(signal) and not _real(kernel):
        out = out.long()
    if kernel.ndim == axes:
        return out.reshape(*signal.shape[:-axes], *out.shape[-axes:])
    if signal.ndim == axes + 2:
        return out
    return out.reshape(*signal.shape[: -axes - 1], *out.shape[1:])


def _real(tensor: Tensor) -> bool:
    """Whether it holds real or complex numbers, not integers."""
    return tensor.is_floating_point() or tensor.is_complex()


def _work_dtype(signal: Tensor, kernel: Tensor, bias: Tensor | None) -> torch.dtype:
    """What is computed in; integers in float64 as long as it holds their sums exactly."""
    for tensor in (signal, kernel):
        if _real(tensor):
            return tensor.dtype
    largest = signal.double().abs().max() if signal.numel() else 0
    bound = largest * kernel.double().abs().sum() + (0 if bias is None else bias.abs().max())
    return torch.float64 if bound < _EXACT else torch.int64
