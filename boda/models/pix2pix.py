"""pix2pix: a U-Net that makes one picture of another, and a PatchGAN that judges both together.

Isola, Zhu, Zhou, Efros, "Image-to-image translation with conditional adversarial networks", 2016,
arXiv 1611.07004. ``pix2pix-2016`` is the paper's: eight halvings by 4×4 convolutions, C64 to C512, as
many doublings, skips between them, dropout in the three innermost doublings. ``pix2pix`` is for a
CPU: it halves less often and has half as many maps or less, doubles by layers that begin as bilinear
interpolation, without a checkerboard (``upsampling``), and what was given skips as well: the last
convolutions see its very pixels.

Deviations: in use, batch norms take their running averages and dropout is off, where the paper's
generator goes on with the statistics of its one test picture and draws noise: the same picture always
gives the same. Of a U-Net's innermost map, one pixel of the smallest picture, no norm is taken.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from boda.errors import UsageError
from boda.models import register
from boda.models.layers import at_least
from boda.models.patchgan import SLOPE, PatchGAN, begin, convolution, normalization
from boda.models.upsampling import divisible, sized, upsampling

PAPER = "Isola, Zhu, Zhou, Efros 2016, arXiv 1611.07004"
WIDEST = 8  # times the first level's width
DROPPED = 3  # doublings with dropout, the innermost ones


class TranslatingUNet(nn.Module):
    """Down to small maps and up again, with skips: (N, channels, H, W) → (N, 3, H, W) in −1..1.

    Sides that 2 to the power of ``depth`` does not divide are continued by their edge meanwhile.

    Args:
        channels: of the pictures, −1 to 1.
        width: maps of the first level; each level below has twice as many, eight times at most.
        depth: how often the sides are halved.
        up: how they are doubled; "4x4" is the paper's transposed convolution, with random weights at
            first; else see ``upsampling``.
        norm: "batch", "instance" or "none".
        dropout: in the innermost doublings, as noise.
        refined: maps of two more convolutions at full size, which see the picture beside what was
            made of it; 0 leaves them away, as the paper does.

    Raises:
        UsageError: a number that leaves no layer, an unknown norm or way up.
    """

    def __init__(
        self,
        channels: int = 3,
        width: int = 64,
        depth: int = 8,
        up: str = "4x4",
        norm: str = "batch",
        dropout: float = 0.5,
        refined: int = 0,
    ) -> None:
        super().__init__()
        if min(channels, width) < 1 or depth < 2 or not 0 <= dropout < 1:
            raise UsageError(
                f"a U-Net of {channels} channels, width {width}, depth {depth} and dropout {dropout}. "
                "Give 1 or more, a depth of 2 or more, and a dropout from 0 to below 1."
            )
        self.stride = 2**depth
        widths = [width * min(WIDEST, 2**level) for level in range(depth)]
        self.down = nn.ModuleList()
        for level, (before, after) in enumerate(pairwise([channels, *widths])):
            inner = 0 < level < depth - 1
            layers: list[nn.Module] = [convolution(before, after, 2, norm if inner else "none")]
            layers += normalization(after, norm) if inner else []
            self.down.append(nn.Sequential(*layers))
        self.enlarge, self.normed = nn.ModuleList(), nn.ModuleList()
        for level in reversed(range(depth)):
            before = widths[level] * (1 if level == depth - 1 else 2)
            after = widths[level - 1] if level else refined or 3
            self.enlarge.append(_enlarging(up, before, after, norm if level else "none"))
            rest = normalization(after, norm) if level else []
            if dropout and level and depth - 1 - DROPPED <= level < depth - 1:
                rest.append(nn.Dropout(dropout))
            self.normed.append(nn.Sequential(*rest))
        self.refine = _refining(channels, refined) if refined else None

    def forward(self, x: Tensor) -> Tensor:
        """Activations stand before the convolutions, so that what skips is not bent yet."""
        size = x.shape[-2:]
        given = x = divisible(x, self.stride)
        maps, sizes = [], []
        for level, layer in enumerate(self.down):
            sizes.append(x.shape[-2:])
            x = layer(nn.functional.leaky_relu(x, SLOPE) if level else x)
            maps.append(x)
        for layer, rest, skip, wanted in zip(
            self.enlarge, self.normed, [*reversed(maps[:-1]), None], reversed(sizes), strict=True
        ):
            x = rest(layer(nn.functional.relu(x), wanted))
            if skip is not None:
                x = torch.cat([x, skip], 1)
        if self.refine is not None:
            x = self.refine(torch.cat([x, given], 1))
        return sized(torch.tanh(x), size)


class Plain4x4(nn.Module):
    """Transposed convolution of 4×4 with stride 2, random at first: (N, C, H, W) → (N, C', 2H, 2W)."""

    def __init__(self, channels: int, out_channels: int, bias: bool) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(channels, out_channels, 4, 2, 1, bias=bias)

    def forward(self, x: Tensor, size: torch.Size) -> Tensor:
        """``size`` is what it gives in any case."""
        return self.up(x)


def _refining(channels: int, width: int) -> nn.Sequential:
    """Two convolutions that see a picture beside maps: (N, width + channels, H, W) → (N, 3, H, W)."""
    layers = nn.Sequential(
        nn.Conv2d(width + channels, width, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(width, 3, 3, padding=1),
    )
    begin(layers)
    return layers


def _enlarging(up: str, channels: int, out_channels: int, norm: str) -> nn.Module:
    if up == "4x4":
        return Plain4x4(channels, out_channels, bias=norm != "batch")
    return upsampling(up, channels, out_channels)


class Pix2Pix(nn.Module):
    """Two networks: (N, channels, H, W) in −1..1 → (N, 3, H, W) in −1..1 by the generator.

    Args:
        generator: makes the picture.
        discriminator: of (N, channels + 3, H, W), what was given and what was made of it.
        smallest: side of the pictures.
    """

    def __init__(self, generator: nn.Module, discriminator: PatchGAN, smallest: int) -> None:
        super().__init__()
        self.generator, self.discriminator = generator, discriminator
        self.smallest = smallest

    def forward(self, x: Tensor) -> Tensor:
        """What is used after the fit: the generator alone."""
        at_least(x, self.smallest, "pix2pix")
        return self.generator(x)


@register("pix2pix-2016", size=256, smallest=256, paper=PAPER, task="translate", method="pix2pix")
def pix2pix_2016(classes: int, channels: int) -> Pix2Pix:
    """The paper's, for 256×256; 54,414,531 parameters that make pictures and 2,768,705 that judge."""
    generator = TranslatingUNet(channels)
    begin(generator)
    return Pix2Pix(generator, PatchGAN(channels + 3), 256)


@register("pix2pix", size=128, smallest=32, paper=PAPER, task="translate", method="pix2pix")
def pix2pix(
    classes: int,
    channels: int,
    width: int = 32,
    depth: int = 5,
    up: str = "transposed",
    norm: str = "batch",
    patches: int = 3,
    refined: int = 16,
) -> Pix2Pix:
    """A leaner pair for a CPU, for any size from 32 on; ``patches=3`` judges patches of 70×70."""
    generator = TranslatingUNet(channels, width, depth, up, norm, 0.0, refined)
    if up == "4x4":
        begin(generator)
    judge = PatchGAN(channels + 3, width, patches, norm)
    return Pix2Pix(generator, judge, max(32, judge.smallest))
