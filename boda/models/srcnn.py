"""SRCNN: three convolutions that sharpen a picture that bicubic interpolation has enlarged.

Dong, Loy, He, Tang, "Image super-resolution using deep convolutional networks", 2014, arXiv
1501.00092. 9-1-5 with 64 and 32 maps, on the luminance alone; the colours stay bicubic.

Deviations: the network enlarges by itself, so that it takes the small picture. The luminance is
0.299 R + 0.587 G + 0.114 B in the picture's own units; the paper's Y is a multiple of it plus 16.
Borders are continued by their edge, as in the authors' files; in the paper the network pads only
when it is tested, with zeros. The first two layers begin as He et al. have it (arXiv 1502.01852)
instead of almost at 0, from where Adam is slow to leave.
"""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

from boda.errors import UsageError
from boda.models import register
from boda.models.layers import initialize
from boda.ops.color import grayscale
from boda.ops.resampling import AROUND, enlarge

PAPER = "Dong, Loy, He, Tang 2014, arXiv 1501.00092"


class SRCNN(nn.Module):
    """(N, channels, H, W) → (N, channels, scale·H, scale·W) in the same units, 0 to 1.

    Args:
        channels: 3 for RGB, of which only the luminance is sharpened, or 1 for gray.
        scale: how many times as large, 2 or more.
        widths: maps behind the first and the second layer.
        kernels: sides of the three layers' kernels, odd; the paper also has 9-3-5 and 9-5-5.

    Attributes:
        luminance: its loss is to be taken of the luminance: it cannot change more.

    Raises:
        UsageError: another number of channels, a scale below 2, an even kernel.
    """

    luminance = True

    def __init__(
        self,
        channels: int = 3,
        scale: int = 2,
        widths: tuple[int, int] = (64, 32),
        kernels: tuple[int, int, int] = (9, 1, 5),
    ) -> None:
        super().__init__()
        if channels not in (1, 3) or scale < 2 or any(side % 2 == 0 for side in kernels):
            raise UsageError(
                f"channels={channels}, scale={scale} and kernels={kernels}. SRCNN takes 1 or 3 "
                "channels, a scale of 2 or more, and odd kernels."
            )
        self.scale = scale
        sides = (1, *widths, 1)
        self.patches, self.mapping, self.reconstruction = (
            nn.Conv2d(a, b, side, padding=side // 2, padding_mode="replicate")
            for a, b, side in zip(sides[:-1], sides[1:], kernels, strict=True)
        )
        initialize(self)
        nn.init.normal_(self.reconstruction.weight, std=0.001)

    @property
    def reach(self) -> int:
        """Pixels of the small picture, to each side, beyond which nothing changes a pixel.

        A tile that has so many around it is enlarged as the whole picture would be.
        """
        sides = (self.patches, self.mapping, self.reconstruction)
        large = sum(convolution.kernel_size[0] // 2 for convolution in sides)
        return math.ceil(large / self.scale) + AROUND

    def forward(self, x: Tensor) -> Tensor:
        """Enlarge, then sharpen: patches → maps, maps → maps, maps → pixels."""
        large = enlarge(x, self.scale)
        light = grayscale(large) if large.shape[1] == 3 else large
        maps = F.relu(self.mapping(F.relu(self.patches(light))))
        # Where only the luminance changes, red, green and blue all change by as much.
        return large + (self.reconstruction(maps) - light)


@register("srcnn", size=96, smallest=16, paper=PAPER, classes=1, task="upscale", method="enhancer")
def srcnn(classes: int, channels: int, scale: int = 2) -> SRCNN:
    """SRCNN 9-1-5; the paper's 8,032 weights and 97 biases."""
    return SRCNN(channels, scale)
