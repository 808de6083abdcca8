"""SegNet: VGG-16 and its mirror image; what a pooling threw away is put back where it stood.

Badrinarayanan, Kendall, Cipolla, "SegNet: A deep convolutional encoder-decoder architecture for
image segmentation", 2015, arXiv 1511.00561. Only the switches of the poolings skip, a place for each
maximum, no maps. Deviations: an odd side is pooled to its larger half, so that any size comes
back; the way down begins with He's random weights (arXiv 1502.01852), in the paper with those of a
VGG-16 for ImageNet.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from torch import Tensor, nn

from boda.errors import UsageError
from boda.models import register
from boda.models.layers import ConvNorm, at_least, initialize
from boda.models.upsampling import pool, put_back
from boda.models.vgg import DEPTHS, SMALLEST, WIDTHS

PAPER = "Badrinarayanan, Kendall, Cipolla 2015, arXiv 1511.00561"


class SegNet(nn.Module):
    """Five stages down and five up: (N, channels, H, W) → (N, classes, H, W) logits, H, W >= 32.

    Args:
        classes, channels: of the output and of the pictures.
        width: factor of VGG-16's channels; 1 is the paper's.

    Attributes:
        unpools: whether its answer hangs on where maxima stood.
    """

    unpools = True

    def __init__(self, classes: int = 11, channels: int = 3, width: float = 1.0) -> None:
        super().__init__()
        if not 1 / WIDTHS[0] <= width <= 16:
            raise UsageError(
                f"a SegNet of width {width}. Give a factor from {1 / WIDTHS[0]:.3g} to 16; the "
                "paper's is 1."
            )
        widths = [round(width * n) for n in WIDTHS]
        inside, depths = [channels, *widths[:-1]], DEPTHS[16]
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for before, after, depth in zip(inside, widths, depths, strict=True):
            self.down.append(_stage([before, *[after] * depth]))
        for before, after, depth in zip(inside[:0:-1], widths[:0:-1], depths[:0:-1], strict=True):
            self.up.append(_stage([*[after] * depth, before]))
        self.up.append(_stage([widths[0]] * depths[0]))
        initialize(self)
        self.head = nn.Conv2d(widths[0], classes, 3, padding=1)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Convolve and pool five times, un-pool and convolve five times."""
        at_least(x, SMALLEST, "segnet")
        return self.decode((x.shape[-2], x.shape[-1]), *self.encode(x))

    def encode(self, x: Tensor) -> tuple[Tensor, ...]:
        """The coarsest map, and the switches of each pooling, the finest first."""
        places = []
        for convolve in self.down:
            x, switches = pool(convolve(x))
            places.append(switches)
        return (x, *places)

    def encoded(self, values: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """``encode`` from its parts: of each level the map, the pooled one and the switches, in turn."""
        return (values[-2], *values[2::3])

    def decode(self, size: Sequence[int], x: Tensor, *places: Tensor) -> Tensor:
        """Logits of pictures of that size from what ``encode`` gives."""
        sizes: list[Sequence[int]] = [
            size,
            *((switches.shape[-2], switches.shape[-1]) for switches in places[:-1]),
        ]
        for convolve, switches, finer in zip(self.up, places[::-1], sizes[::-1], strict=True):
            x = convolve(put_back(x, switches, finer))
        return self.head(x)


def _stage(widths: list[int]) -> nn.Sequential:
    """3×3 convolutions with these channels between them, each with batch norm and ReLU."""
    pairs = itertools.pairwise(widths)
    return nn.Sequential(*(ConvNorm(a, b, activation=nn.ReLU) for a, b in pairs))


@register(
    "segnet",
    size=256,
    smallest=SMALLEST,
    classes=11,
    paper=PAPER,
    task="segment",
    method="segmenter",
)
def segnet(classes: int, channels: int, width: float = 0.25) -> SegNet:
    """SegNet of a quarter of the paper's channels, for a CPU; ``width=1`` has the paper's 29.4 million."""
    return SegNet(classes, channels, width)
