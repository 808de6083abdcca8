"""A feature pyramid: maps of many sizes, all of which know what there is.

Lin, Dollár, Girshick, He, Hariharan, Belongie, "Feature pyramid networks for object detection",
2016, arXiv 1612.03144. Deviation: batch norms, where they are wanted.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class FeaturePyramid(nn.Module):
    """From the coarsest map down: each finer one has the coarser ones added to it.

    Args:
        widths: channels of the given maps, the finest first; each is half as large as the one before.
        width: channels of the maps that come out; 256 in the paper.
        norm: batch norm behind every convolution.
    """

    def __init__(self, widths: list[int], width: int, norm: bool = False) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(_convolution(each, width, 1, norm) for each in widths)
        self.smooth = nn.ModuleList(_convolution(width, width, 3, norm) for _ in widths)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Maps of ``widths`` channels → as many of ``width``, of the same sizes, and one of half the last."""
        row = [lateral(x) for lateral, x in zip(self.lateral, maps, strict=True)]
        for i in range(len(row) - 1, 0, -1):
            size = row[i - 1].shape[-2:]
            row[i - 1] = row[i - 1] + F.interpolate(row[i], size=size, mode="nearest")
        out = [smooth(x) for smooth, x in zip(self.smooth, row, strict=True)]
        return [*out, F.max_pool2d(out[-1], 1, 2)]


def _convolution(channels: int, out_channels: int, kernel: int, norm: bool) -> nn.Module:
    """k×k, with a bias or a batch norm; the paper has no activation here."""
    convolution = nn.Conv2d(channels, out_channels, kernel, padding=kernel // 2, bias=not norm)
    nn.init.kaiming_uniform_(convolution.weight, a=1)
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)
        return convolution
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels))
