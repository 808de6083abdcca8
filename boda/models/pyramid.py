"""What networks that answer for many places share: a backbone's maps, and a pyramid of them.

The pyramid: Lin, Dollár, Girshick, He, Hariharan, Belongie, "Feature pyramid networks for object
detection", 2016, arXiv 1612.03144; with the way back down of Liu, Qi, Qin, Shi, Jia, "Path
aggregation network for instance segmentation", 2018, arXiv 1803.01534. Deviations: maps are put
side by side, not added, and batch norm stands behind every convolution.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from boda import models
from boda.errors import UsageError
from boda.models import parts
from boda.models.layers import ConvNorm


def narrowed(width: float) -> dict[str, Any]:
    """The options of a backbone of that width; none for 1, which those that have no width can be."""
    return {} if width == 1 else {"width": width}


class Backbone(nn.Module):
    """A classifier without its head: the last map of each size, or the last of all.

    Args:
        name: of the classifier; it says what its steps are (``trunk``).
        channels: of the pictures.
        strides: of the maps that are wanted, such as (8, 16, 32); without any, the last map is.
        options: of the classifier, such as ``width``.
        fewer: whether it may lack the coarsest of them, as SqueezeNet does.

    Raises:
        UsageError: there is no such classifier, it has no such option or no maps of these strides.

    Attributes:
        name, channels, options: as given.
        strides: of its maps.
        net: the classifier, its head taken out; its weights keep their names.
        widths: channels of the maps.
    """

    def __init__(
        self,
        name: str,
        channels: int,
        strides: tuple[int, ...],
        options: dict[str, Any],
        fewer: bool = False,
    ) -> None:
        super().__init__()
        self.name, self.channels, self.options = name, channels, options
        refuse = [option for option in options if option not in models.entry(name).options]
        if refuse:
            raise UsageError(
                f"{name} has no {refuse[0]}, so as a backbone it takes it as it is: --set {refuse[0]}=1."
            )
        self.net = models.create(name, channels=channels, **options)
        with torch.device("meta"):
            side = 8 * max(strides, default=32)  # unpadded borders must not count
            whole, x = self.whole(channels), torch.empty(1, channels, side, side)
            if fewer:
                last = max(parts.strides(whole, x))
                strides = tuple(stride for stride in strides if stride <= last)
            found = parts.maps(whole, x, strides) if strides else [parts.last_map(whole, x)]
        self.strides = strides
        self.widths = [each.shape[1] for each in found]
        setattr(self.net, parts.head(self.net)[0].partition(".")[0], nn.Identity())

    def whole(self, channels: int) -> nn.Module:
        """The classifier with its head, new, in evaluation mode."""
        return models.create(self.name, channels=channels, **self.options).eval()

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, channels, H, W) → maps (N, C', ⌈H/stride⌉, ⌈W/stride⌉), one a stride or the last."""
        if not self.strides:
            return [parts.last_map(self.net, x)]
        return parts.maps(self.net, x, self.strides)


class Pooled(nn.Module):
    """A map with what lies around every place: (N, C, H, W) → (N, C', H, W).

    Maximum of 5×5, of that once more and once more again, side by side: fields of 5, 9 and 13 (the
    fast spatial pyramid pooling of YOLO v5; He et al. 2014, arXiv 1406.4729).
    """

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.squeeze = ConvNorm(channels, channels // 2, 1, activation=nn.SiLU)
        self.expand = ConvNorm(2 * channels, out_channels, 1, activation=nn.SiLU)

    def forward(self, x: Tensor) -> Tensor:
        """Squeeze, pool three times, put side by side."""
        row = [self.squeeze(x)]
        for _ in range(3):
            row.append(F.max_pool2d(row[-1], 5, 1, 2))
        return self.expand(torch.cat(row, 1))


class Pyramid(nn.Module):
    """Maps that know both what there is and where: down from the coarsest, and up again.

    Args:
        widths: channels of the given maps, the finest first; each is half as large as the one before.
        width: channels of the maps that come out.
        depth: residual 3×3 pairs in each merging.
    """

    def __init__(self, widths: list[int], width: int, depth: int = 1) -> None:
        super().__init__()
        self.pooled = Pooled(widths[-1], width)
        self.lateral = nn.ModuleList(ConvNorm(w, width, 1, activation=nn.SiLU) for w in widths[:-1])
        self.down = nn.ModuleList(Merge(2 * width, width, depth) for _ in widths[:-1])
        self.stride = nn.ModuleList(
            ConvNorm(width, width, 3, 2, activation=nn.SiLU) for _ in widths[:-1]
        )
        self.up = nn.ModuleList(Merge(2 * width, width, depth) for _ in widths[:-1])

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Maps of ``widths`` channels → as many of ``width`` channels, of the same sizes."""
        finer = [lateral(x) for lateral, x in zip(self.lateral, maps, strict=False)]
        row = [self.pooled(maps[-1])]
        for merge, x in zip(reversed(self.down), reversed(finer), strict=True):
            above = F.interpolate(row[0], size=x.shape[-2:], mode="nearest")
            row.insert(0, merge(torch.cat([above, x], 1)))
        out = [row[0]]
        for stride, merge, x in zip(self.stride, self.up, row[1:], strict=True):
            out.append(merge(torch.cat([stride(out[-1]), x], 1)))
        return out


class Merge(nn.Module):
    """1×1 to the width, then ``depth`` residual pairs of 3×3: (N, C, H, W) → (N, C', H, W)."""

    def __init__(self, channels: int, out_channels: int, depth: int) -> None:
        super().__init__()
        self.squeeze = ConvNorm(channels, out_channels, 1, activation=nn.SiLU)
        half = out_channels // 2
        self.pairs = nn.ModuleList(
            nn.Sequential(
                ConvNorm(out_channels, half, 3, activation=nn.SiLU),
                ConvNorm(half, out_channels, 3, activation=nn.SiLU),
            )
            for _ in range(depth)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Squeeze, then add each pair's answer."""
        x = self.squeeze(x)
        for pair in self.pairs:
            x = x + pair(x)
        return x
