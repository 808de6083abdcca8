"""SRGAN: SRResNet, and a discriminator that tells its pictures from real ones.

Ledig et al., "Photo-realistic single image super-resolution using a generative adversarial
network", 2016, arXiv 1609.04802: figure 4 and section 2.1. The discriminator has eight 3×3
convolutions, every second of which halves the map, and two dense layers.

Deviations: the last layer gives logits, the losses have the sigmoid. ``size=0`` takes the means of
the maps instead of all of their values, so that pictures of any size can be judged and nineteen of
the twenty-four million parameters are not needed.
"""

from __future__ import annotations

from torch import Tensor, nn

from boda.errors import UsageError
from boda.models import register
from boda.models.layers import ConvNorm, at_least, initialize
from boda.models.srresnet import SRResNet

PAPER = "Ledig et al. 2016, arXiv 1609.04802"
SLOPE = 0.2  # of the leaky ReLU below 0
HALVED = 16  # times: by four of the convolutions


class Discriminator(nn.Module):
    """(N, channels, H, W), 0 to 1 → (N,) logits, above 0 where a picture looks real.

    Args:
        channels: of the pictures.
        size: H and W, a multiple of 16, 96 in the paper; 0 = any from 16 on.
        width: maps of the first layer; the last has eight times as many.

    Raises:
        UsageError: a size that 16 does not divide, a width below 1.
    """

    def __init__(self, channels: int = 3, size: int = 96, width: int = 64) -> None:
        super().__init__()
        if size < 0 or size % HALVED or width < 1:
            raise UsageError(
                f"size={size} and width={width}. Give a multiple of 16, or 0 for any, and 1 or more."
            )
        self.size = size
        self.features = nn.Sequential(nn.Conv2d(channels, width, 3, padding=1), _leaky())
        before = width
        for i in range(1, 8):
            after = width * 2 ** (i // 2)
            self.features.extend([ConvNorm(before, after, stride=1 + i % 2), _leaky()])
            before = after
        side = size // HALVED or 1
        pooled = [] if size else [nn.AdaptiveAvgPool2d(1)]
        self.judge = nn.Sequential(
            *pooled,
            nn.Flatten(),
            nn.Linear(before * side**2, 16 * width),
            _leaky(),
            nn.Linear(16 * width, 1),
        )
        initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        """Maps, then one number a picture."""
        if self.size and x.shape[-2:] != (self.size, self.size):
            height, width = x.shape[-2:]
            raise UsageError(
                f"this discriminator judges pictures of {self.size}×{self.size}, not of "
                f"{height}×{width}. Build it with size={height}, or 0 for any."
            )
        at_least(x, HALVED, "srgan's discriminator")
        return self.judge(self.features(2 * x - 1))[:, 0]


def _leaky() -> nn.LeakyReLU:
    return nn.LeakyReLU(SLOPE, inplace=True)


class SRGAN(nn.Module):
    """Two networks: (N, channels, H, W) → (N, channels, scale·H, scale·W) by the generator.

    Args:
        generator: an ``SRResNet``, best one that was fitted by pixels before, as in the paper.
        discriminator: judges what it makes.

    Attributes:
        scale, reach: the generator's.
        begins: the registered network that the generator is.
    """

    begins = "srresnet"

    def __init__(self, generator: SRResNet, discriminator: Discriminator) -> None:
        super().__init__()
        self.generator, self.discriminator = generator, discriminator
        self.scale, self.reach = generator.scale, generator.reach

    def forward(self, x: Tensor) -> Tensor:
        """What is used after the fit: the generator alone."""
        return self.generator(x)


def srgan_2016(classes: int, channels: int, scale: int = 4, size: int = 96) -> SRGAN:
    """The paper's pair; 1,549,462 parameters that make pictures and 23,563,649 that judge them."""
    return SRGAN(SRResNet(channels, scale), Discriminator(channels, size))


@register("srgan", size=96, smallest=16, paper=PAPER, classes=1, task="upscale", method="srgan")
def srgan(classes: int, channels: int, scale: int = 4, blocks: int = 8, width: int = 32) -> SRGAN:
    """``srresnet`` with a discriminator of as many maps, for any size, for a CPU."""
    generator = SRResNet(channels, scale, blocks, width, norm=False, skip=True)
    return SRGAN(generator, Discriminator(channels, 0, width))
