"""DiscoGAN: two encoder-decoders, there and back, and a discriminator for each domain.

Kim, Cha, Kim, Lee, Kim, "Learning to discover cross-domain relations with generative adversarial
networks", 2017, arXiv 1703.05192, section 2.4: 4×4 convolutions of stride 2 with leaky ReLU (0.2) and
batch norms down to 4×4 maps, and as many transposed ones with ReLU up, without skips; the
discriminators go down likewise and end in one number a picture. ``discogan-2017`` has its widths for
64×64. ``discogan`` is for a CPU, with the networks of ``cyclegan``: generators that begin with what they
are given (``retouching``), and discriminators of patches. Of four pictures of noise one with batch norms
is soon sure, and teaches nothing.

Deviations: pictures of other sizes than 64 have as many layers; the discriminator's last layer looks
at the mean of the places it fits at, which on 64×64 is one.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from boda.errors import UsageError
from boda.models import register
from boda.models.cyclegan import TwoWays, retouching_pair
from boda.models.patchgan import SLOPE, begin, convolution, normalization
from boda.models.upsampling import divisible, sized

PAPER = "Kim, Cha, Kim, Lee, Kim 2017, arXiv 1703.05192"
DEPTH = 4  # halvings: 64 pixels to 4
SMALLEST = 64


class EncoderDecoder(nn.Module):
    """Down to a sixteenth of the sides and up again: (N, channels, H, W) → the same, −1..1.

    Args:
        channels: of the pictures.
        width: maps of the first layer; each further one has twice as many.

    Raises:
        UsageError: a number that leaves no layer.
    """

    def __init__(self, channels: int = 3, width: int = 64) -> None:
        super().__init__()
        if min(channels, width) < 1:
            raise UsageError(f"{channels} channels and width {width}. Give 1 or more of each.")
        widths = [width * 2**level for level in range(DEPTH)]
        self.down = _halving(channels, widths)
        self.up = nn.Sequential()
        for before, after in pairwise([*reversed(widths), channels]):
            last = after == channels and before == width
            self.up.append(nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False))
            self.up.extend([] if last else [*normalization(after, "batch"), nn.ReLU(inplace=True)])
        begin(self)

    def forward(self, x: Tensor) -> Tensor:
        """Sides that 16 does not divide are continued by their edge meanwhile."""
        out = self.up(self.down(divisible(x, 2**DEPTH)))
        return sized(torch.tanh(out), x.shape[-2:])


class Discriminator(nn.Module):
    """(N, channels, H, W) → (N,) logits, above 0 where a picture looks like one of its domain.

    Args:
        channels: of the pictures.
        width: maps of the first layer.
    """

    def __init__(self, channels: int = 3, width: int = 64) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(DEPTH)]
        self.features = _halving(channels, widths)
        self.judge = nn.Conv2d(widths[-1], 1, 4, bias=False)
        begin(self)

    def forward(self, x: Tensor) -> Tensor:
        """Maps, then one number a picture."""
        return self.judge(self.features(x)).mean((1, 2, 3))


def _halving(channels: int, widths: list[int]) -> nn.Sequential:
    layers = nn.Sequential()
    for level, (before, after) in enumerate(pairwise([channels, *widths])):
        layers.append(convolution(before, after, 2, "batch"))
        layers.extend(normalization(after, "batch") if level else [])
        layers.append(nn.LeakyReLU(SLOPE, inplace=True))
    return layers


@register("discogan-2017", size=64, smallest=64, paper=PAPER, task="translate", method="discogan")
def discogan_2017(classes: int, channels: int) -> TwoWays:
    """The paper's widths; twice 5,513,856 parameters that make pictures and 2,765,568 that judge."""
    there, back = (EncoderDecoder(channels) for _ in range(2))
    judge_a, judge_b = (Discriminator(channels) for _ in range(2))
    return TwoWays((there, back), (judge_a, judge_b), SMALLEST, "discogan-2017")


@register("discogan", size=64, smallest=32, paper=PAPER, task="translate", method="discogan")
def discogan(
    classes: int, channels: int, width: int = 32, patches: int = 3, slow: bool = False
) -> TwoWays:
    """For a CPU: ``cyclegan``'s networks, whose discriminators judge patches; ``slow=True`` as there."""
    return retouching_pair(channels, width, patches, slow, "discogan")
