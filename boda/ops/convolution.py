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

import torch.nn.functional as F
from torch import Tensor

from boda.errors import UsageError
from boda.ops.cost import Padding, PerAxis, per_axis
from boda.ops.layer import axes_of, check_pads, finish, pad_words, plan_layer, prepare, run_layer


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
    plan = plan_layer(*shapes, padding, pad_mode, stride, dilation, groups, False)
    return run_layer(plan, signal, kernel, bias)


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
    plan = plan_layer(*shapes, padding, pad_mode, stride, dilation, groups, True)
    return run_layer(plan, signal, kernel.flip(plan.spatial), bias)


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
    axes = axes_of(signal.shape, kernel.shape, groups, channels_first=True)
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
    batch, filters, bias = prepare(signal, kernel, bias, axes)
    layer = F.conv_transpose1d if axes == 1 else F.conv_transpose2d
    out = layer(batch, filters, bias, strides, cut, added, groups, dilations)
    return finish(out, signal, kernel, axes)


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
    check_pads(signal.shape[-len(pads) :], pads, mode)
    return F.pad(signal, *pad_words(pads, mode))
