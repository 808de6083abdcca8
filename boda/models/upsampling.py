"""Twice as large: transposed convolution, bilinear interpolation, un-pooling; and the checkerboard.

A transposed convolution lays its kernel down once for every value of the map, ``stride`` pixels
apart. Where the stride does not divide the kernel's side, some pixels are reached by more values than
others (``coverage``): with 3×3 and stride 2 by 1, 2, 2 and 4 in turn, and the picture gets a
checkerboard. Odena, Dumoulin, Olah, "Deconvolution and checkerboard artifacts", 2016, Distill, doi
10.23915/distill.00003. A divisible kernel is not enough at the start: with random weights each of
the four pixels that a value becomes has weights of its own. Of the output for a constant map the
ripple is, in the mean, three quarters of its energy, with 3×3 and with 4×4 alike. Kernels that begin
as bilinear interpolation have none: 0. Long, Shelhamer, Darrell, "Fully convolutional networks",
2014, arXiv 1411.4038, began so; they learn from there.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from boda.errors import unknown
from boda.models.layers import Doubling

KINDS = ("transposed", "2x2", "bilinear", "unpool")


def upsampling(kind: str, channels: int, out_channels: int) -> nn.Module:
    """A way from (N, C, H, W) to (N, C', 2H, 2W), cut to the size that is asked for.

    It is called with the map, the (H', W') that is wanted, and the switches of the pooling that made
    the map smaller, which only un-pooling looks at.

    Args:
        kind: "transposed" (4×4, begins as bilinear interpolation), "2x2" (transposed as well, without
            overlaps, begins as nearest neighbours), "bilinear" (1×1 and interpolation) or "unpool".
        channels: C.
        out_channels: C'. Where it is not C, channels are mixed by random weights.

    Raises:
        UsageError: there is no such kind.
    """
    if kind not in KINDS:
        raise unknown("up-sampling", kind, KINDS)
    if kind in ("transposed", "2x2"):
        return Transposed(channels, out_channels, overlapping=kind == "transposed")
    return Mixed(channels, out_channels, unpools=kind == "unpool")


class Transposed(nn.Module):
    """Transposed convolution with stride 2: (N, C, H, W) → (N, C', *size).

    It starts as interpolation of every channel by itself, times a 1×1 convolution where channels
    change: no checkerboard. At the picture's edge the 4×4 kernels find zeros beyond.

    Args:
        channels, out_channels: C and C'.
        overlapping: 4×4, bilinear at first; else 2×2, four equal pixels at first.
    """

    def __init__(self, channels: int, out_channels: int, overlapping: bool = True) -> None:
        super().__init__()
        self.up: nn.ConvTranspose2d
        if overlapping:
            self.up = nn.ConvTranspose2d(channels, out_channels, 4, 2, 1)
        else:
            self.up = Doubling(channels, out_channels)
        kernel = bilinear_kernel(2) if overlapping else torch.ones(2, 2)
        mixing = mixing_weights(channels, out_channels)
        with torch.no_grad():
            self.up.weight.copy_(mixing.t()[:, :, None, None] * kernel)
            self.up.bias.zero_()  # type: ignore[union-attr]

    def forward(self, x: Tensor, size: Sequence[int], switches: Tensor | None = None) -> Tensor:
        """Enlarge, then cut."""
        return sized(self.up(x), size)


class Mixed(nn.Module):
    """1×1 convolution where channels change, then interpolation or un-pooling: → (N, C', *size).

    Args:
        channels, out_channels: C and C'.
        unpools: put values back where the maxima stood; else bilinear interpolation.
    """

    def __init__(self, channels: int, out_channels: int, unpools: bool) -> None:
        super().__init__()
        self.unpools = unpools
        self.mix = (
            nn.Identity() if channels == out_channels else nn.Conv2d(channels, out_channels, 1)
        )
        if isinstance(self.mix, nn.Conv2d):
            with torch.no_grad():
                self.mix.weight.copy_(mixing_weights(channels, out_channels)[:, :, None, None])
                self.mix.bias.zero_()  # type: ignore[union-attr]

    def forward(self, x: Tensor, size: Sequence[int], switches: Tensor | None = None) -> Tensor:
        """Mix the few values, not the many."""
        x = self.mix(x)
        if not self.unpools:
            return sized(F.interpolate(x, scale_factor=2.0, mode="bilinear"), size)
        assert switches is not None, "un-pooling needs the switches of its pooling"
        return put_back(x, switches, size)


def mixing_weights(channels: int, out_channels: int) -> Tensor:
    """(C', C): the identity where channels stay, else random ones that keep the values' size.

    Variance 2/C, as values behind ReLU want it (He et al. 2015, arXiv 1502.01852).
    """
    if channels == out_channels:
        return torch.eye(channels)
    return nn.init.normal_(torch.empty(out_channels, channels), std=(2 / channels) ** 0.5)


def bilinear_kernel(factor: int) -> Tensor:
    """(2·factor, 2·factor): what one value becomes when it is enlarged by ``factor``, an even number."""
    places = torch.arange(2 * factor) + 0.5
    row = 1 - (places / factor - 1).abs()
    return row[:, None] * row


def pool(x: Tensor) -> tuple[Tensor, Tensor]:
    """2×2 maxima and their switches: (N, C, H, W) → twice (N, C, ⌈H/2⌉, ⌈W/2⌉).

    A last row or column that has no partner is pooled by itself, so that no pixel is left out. The
    switches are places in the flattened H·W map.
    """
    return F.max_pool2d(x, 2, ceil_mode=True, return_indices=True)


def put_back(values: Tensor, switches: Tensor, size: Sequence[int]) -> Tensor:
    """``ops.unpool`` for maps: no check, which no export could follow, and channels stay innermost.

    Args:
        values: (N, C, H', W').
        switches: as ``pool`` gave them, of the same shape.
        size: (H, W) before it.

    Returns:
        (N, C, H, W), zeros where no maximum stood.
    """
    flat = values.new_zeros(values.shape[0], size[0] * size[1], values.shape[1])
    places, rows = (each.permute(0, 2, 3, 1).flatten(1, 2) for each in (switches, values))
    return flat.scatter(1, places, rows).unflatten(1, tuple(size)).permute(0, 3, 1, 2)


def sized(x: Tensor, size: Sequence[int]) -> Tensor:
    """(N, C, H, W) → (N, C, *size): cut at the bottom and the right, or continued there by its edge.

    Too small are the maps of networks that do not pad, such as SqueezeNet.
    """
    lower, right = (max(0, n - have) for n, have in zip(size, x.shape[-2:], strict=True))
    if lower or right:
        x = F.pad(x, (0, right, 0, lower), mode="replicate")
    return x[..., : size[0], : size[1]]


def divisible(x: Tensor, stride: int) -> Tensor:
    """A picture continued by its edge until ``stride`` divides its sides.

    Then networks that round up and those that round down have maps of the same sizes.
    """
    return sized(x, [-(-side // stride) * stride for side in x.shape[-2:]])


def coverage(kernel: int, stride: int, count: int) -> Tensor:
    """How many of ``count`` values in a row reach each pixel of a transposed convolution.

    In two directions it is the product of both. Within it is even only where ``stride`` divides
    ``kernel``.

    Returns:
        ((count − 1)·stride + kernel,) int64.
    """
    ones = torch.ones(1, 1, count), torch.ones(1, 1, kernel)
    return F.conv_transpose1d(*ones, stride=stride)[0, 0].long()
