"""SRResNet: residual blocks at the small size, enlarged at the very end.

Ledig et al., "Photo-realistic single image super-resolution using a generative adversarial
network", 2016, arXiv 1609.04802. Enlarging is a sub-pixel convolution: s² maps become one that is s
times as large, Shi et al. 2016, arXiv 1609.05158. All of the s² begin with the same kernel (ICNR),
so that the picture begins as nearest neighbours and not as a checkerboard: Aitken et al. 2017,
arXiv 1707.02937.

``srresnet-2016`` is the paper's. ``srresnet`` is the one to fit: without batch norms, with ReLU and
3×3 ends, as EDSR has it (Lim et al. 2017, arXiv 1707.02921); its only sub-pixel convolution gives
the pixels themselves, as in Shi et al.; and it adds them to the bicubic picture, as which it begins.

Deviations: pictures are 0 to 1 on both sides and 0.5 is taken off inside, so that the padding's
zeros are gray; of ``srresnet`` each block begins at a tenth of its size (Wang et al. 2018, arXiv
1809.00219), since no norm holds their sum down.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from boda.errors import UsageError
from boda.models import register
from boda.models.layers import initialize
from boda.ops.resampling import AROUND, enlarge

PAPER = "Ledig et al. 2016, arXiv 1609.04802"
SCALES = (2, 3, 4)
BEGINNING = 0.1  # of a block without norms, as a share of what it would be


class SubPixel(nn.Sequential):
    """3×3 convolution to s² maps for each of C', then these side by side: (N, C, H, W) → (N, C', sH, sW).

    Args:
        channels, out_channels: C and C'.
        scale: s.
        kernel: side of the convolution's, odd.
    """

    def __init__(self, channels: int, out_channels: int, scale: int, kernel: int = 3) -> None:
        convolution = nn.Conv2d(channels, out_channels * scale**2, kernel, padding=kernel // 2)
        super().__init__(convolution, nn.PixelShuffle(scale))

    def begin(self) -> None:
        """Give the s² maps of each channel the first one's weights: ICNR."""
        convolution, shuffle = self
        assert isinstance(convolution, nn.Conv2d) and isinstance(shuffle, nn.PixelShuffle)
        every = shuffle.upscale_factor**2
        with torch.no_grad():
            for numbers in (convolution.weight, convolution.bias):
                assert numbers is not None
                numbers.copy_(numbers[::every].repeat_interleave(every, 0))


class Block(nn.Module):
    """x + F(x), F two 3×3 convolutions: (N, C, H, W) → the same shape.

    Args:
        width: C.
        norm: a batch norm behind each convolution and PReLU between them; else ReLU alone.
    """

    def __init__(self, width: int, norm: bool) -> None:
        super().__init__()
        first, second = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        self.layers = (
            nn.Sequential(first, nn.BatchNorm2d(width), nn.PReLU(), second, nn.BatchNorm2d(width))
            if norm
            else nn.Sequential(first, nn.ReLU(inplace=True), second)
        )

    def forward(self, x: Tensor) -> Tensor:
        """The sum."""
        return x + self.layers(x)


class SRResNet(nn.Module):
    """(N, channels, H, W) → (N, channels, scale·H, scale·W), 0 to 1; not clipped.

    Args:
        channels: of the pictures.
        scale: 2, 3 or 4.
        blocks: residual ones, 1 or more.
        width: maps of all of them.
        norm: the paper's ends, norms and PReLU; else EDSR's and one sub-pixel convolution.
        skip: add what the network says to the bicubic picture; it begins at 0 then.

    Raises:
        UsageError: another scale; no block or no map.
    """

    def __init__(
        self,
        channels: int = 3,
        scale: int = 4,
        blocks: int = 16,
        width: int = 64,
        norm: bool = True,
        skip: bool = False,
    ) -> None:
        super().__init__()
        if scale not in SCALES or blocks < 1 or width < 1:
            raise UsageError(
                f"scale={scale}, blocks={blocks} and width={width}. Scales are 2, 3 and 4; blocks "
                "and width 1 or more."
            )
        self.scale, self.skip = scale, skip
        side = 9 if norm else 3
        self.head = nn.Sequential(nn.Conv2d(channels, width, side, padding=side // 2))
        if norm:
            self.head.append(nn.PReLU())
        self.body = nn.Sequential(*(Block(width, norm) for _ in range(blocks)))
        self.body.append(nn.Conv2d(width, width, 3, padding=1))
        if norm:
            self.body.append(nn.BatchNorm2d(width))
        self.tail = nn.Sequential()
        if norm:
            for step in (2, 2) if scale == 4 else (scale,):
                self.tail.append(SubPixel(width, width, step))
                self.tail.append(nn.PReLU())
            self.tail.append(nn.Conv2d(width, channels, side, padding=side // 2))
        else:
            self.tail.append(SubPixel(width, channels, scale))
        self._begin(norm)

    def _begin(self, norm: bool) -> None:
        initialize(self)
        for module in self.modules():
            if isinstance(module, SubPixel):
                module.begin()
            if isinstance(module, Block) and not norm:
                second = module.layers[-1]
                assert isinstance(second, nn.Conv2d)
                second.weight.data.mul_(BEGINNING)
        last = [module for module in self.tail.modules() if isinstance(module, nn.Conv2d)][-1]
        if self.skip:
            nn.init.zeros_(last.weight)
        else:  # what is put out has a variance near the input's, and gray in its middle
            last.weight.data.mul_(math.sqrt(last.out_channels / (2 * last.in_channels)))

    @property
    def reach(self) -> int:
        """Pixels of the small picture, to each side, beyond which nothing changes a pixel.

        A tile that has so many around it is enlarged as the whole picture would be.
        """
        around, finer = 0.0, 1
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                around += module.kernel_size[0] // 2 / finer
            if isinstance(module, nn.PixelShuffle):
                finer *= module.upscale_factor
        return max(math.ceil(around), AROUND)

    def forward(self, x: Tensor) -> Tensor:
        """Look around at the small size, then enlarge."""
        maps = self.head(x - 0.5)
        out = self.tail(maps + self.body(maps))
        return out + (enlarge(x, self.scale) if self.skip else 0.5)


@register(
    "srresnet-2016",
    size=96,
    smallest=16,
    paper=PAPER,
    classes=1,
    task="upscale",
    method="enhancer",
)
def srresnet_2016(classes: int, channels: int, scale: int = 4) -> SRResNet:
    """The paper's SRResNet, 16 blocks of 64 maps; 1,549,462 parameters at ×4."""
    return SRResNet(channels, scale)


@register(
    "srresnet", size=96, smallest=16, paper=PAPER, classes=1, task="upscale", method="enhancer"
)
def srresnet(
    classes: int, channels: int, scale: int = 2, blocks: int = 8, width: int = 32
) -> SRResNet:
    """SRResNet without norms, from the bicubic picture on, for a CPU; 161,580 parameters at ×2."""
    return SRResNet(channels, scale, blocks, width, norm=False, skip=True)
