"""CycleGAN: two residual generators, there and back, and a PatchGAN for each domain.

Zhu, Park, Isola, Efros, "Unpaired image-to-image translation using cycle-consistent adversarial
networks", 2017, arXiv 1703.10593. The generators are those of Johnson et al. 2016 (``style_network``)
with 7×7 kernels at the ends: c7s1-64, d128, d256, nine residual blocks of 256 maps (six for pictures
of 128 pixels and less), u128, u64, c7s1-3. ``cyclegan-2017`` is the paper's. ``cyclegan`` is for a CPU:
its generators begin with what they are given (``retouching``), its discriminators see how bright it is.

Deviations: sizes double by repeating pixels before a 3×3 convolution, where the paper's transposed
ones of as many weights leave checkerboards; instance norms also scale and shift, as in Johnson's.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from boda.errors import UsageError
from boda.models import register
from boda.models.layers import at_least
from boda.models.patchgan import PatchGAN, begin
from boda.models.retouching import Retouching
from boda.models.style_network import STRIDE, Block, Unit
from boda.models.upsampling import divisible, sized

PAPER = "Zhu, Park, Isola, Efros 2017, arXiv 1703.10593"


class ResidualGenerator(nn.Module):
    """Down to a quarter of the size, residual blocks, and up: (N, channels, H, W) → the same, −1..1.

    Args:
        channels: of the pictures.
        width: maps at full size.
        blocks: residual ones.

    Raises:
        UsageError: a number that leaves no layer.
    """

    def __init__(self, channels: int = 3, width: int = 64, blocks: int = 9) -> None:
        super().__init__()
        if min(channels, width, blocks) < 1:
            raise UsageError(
                f"a generator of {channels} channels, width {width} and {blocks} blocks. Give 1 or "
                "more of each."
            )
        self.down = nn.Sequential(
            Unit(channels, width, 7),
            Unit(width, 2 * width, 3, stride=2),
            Unit(2 * width, 4 * width, 3, stride=2),
        )
        self.blocks = nn.Sequential(*(Block(4 * width) for _ in range(blocks)))
        self.up = nn.Sequential(
            nn.Upsample(scale_factor=2),
            Unit(4 * width, 2 * width, 3),
            nn.Upsample(scale_factor=2),
            Unit(2 * width, width, 3),
            nn.Conv2d(width, channels, 7, padding=3, padding_mode="reflect"),
        )
        begin(self)

    def forward(self, x: Tensor) -> Tensor:
        """Sides that 4 does not divide are continued by their edge meanwhile."""
        out = self.up(self.blocks(self.down(divisible(x, STRIDE))))
        return sized(torch.tanh(out), x.shape[-2:])


class TwoWays(nn.Module):
    """Two generators and two discriminators: (N, C, H, W) of A in −1..1 → the same of B.

    Args:
        generators: from A to B, and back.
        judges: of what looks like a picture of A, and of B.
        smallest: side of the pictures.
        name: of the network, for messages.
    """

    def __init__(
        self,
        generators: tuple[nn.Module, nn.Module],
        judges: tuple[nn.Module, nn.Module],
        smallest: int,
        name: str,
    ) -> None:
        super().__init__()
        self.generator, self.back = generators
        self.judge_a, self.judge_b = judges
        self.smallest, self.name = smallest, name

    def forward(self, x: Tensor) -> Tensor:
        """From A to B."""
        return self.translate(x)

    def translate(self, x: Tensor, back: bool = False) -> Tensor:
        """From A to B, or back."""
        at_least(x, self.smallest, self.name)
        return self.back(x) if back else self.generator(x)


@register("cyclegan-2017", size=256, smallest=32, paper=PAPER, task="translate", method="cyclegan")
def cyclegan_2017(classes: int, channels: int) -> TwoWays:
    """The paper's for 256×256: twice 11,388,675 parameters that make pictures, 2,764,737 that judge."""
    there, back = (ResidualGenerator(channels) for _ in range(2))
    judge_a, judge_b = (PatchGAN(channels, norm="instance") for _ in range(2))
    return TwoWays((there, back), (judge_a, judge_b), 32, "cyclegan-2017")


@register("cyclegan", size=64, smallest=32, paper=PAPER, task="translate", method="cyclegan")
def cyclegan(
    classes: int, channels: int, width: int = 32, patches: int = 3, slow: bool = False
) -> TwoWays:
    """For a CPU: its generators retouch what is given; ``patches=3`` judges patches of 70×70.

    ``slow=True`` is for domains that differ in their light.
    """
    return retouching_pair(channels, width, patches, slow, "cyclegan")


def retouching_pair(channels: int, width: int, patches: int, slow: bool, name: str) -> TwoWays:
    """Two generators that retouch, and two discriminators of patches with half of their width."""
    there, back = (Retouching(channels, width, slow) for _ in range(2))
    maps = max(1, width // 2)
    judge_a, judge_b = (PatchGAN(channels, maps, patches, "spectral") for _ in range(2))
    return TwoWays((there, back), (judge_a, judge_b), max(32, judge_a.smallest), name)
