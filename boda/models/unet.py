"""U-Net: a way down that sees what there is, a way up that says where, and skips between them.

Ronneberger, Fischer, Brox, "U-Net: Convolutional networks for biomedical image segmentation", 2015,
arXiv 1505.04597. ``unet-2015`` is the paper's, whose convolutions do not pad. ``unet`` pads, takes any
size and has batch norms. With ``light=False`` it is the one that people use. By default it is light,
for a CPU: it looks at squares of 2×2 pixels (Shi et al. 2016, arXiv 1609.05158), adds maps that skip
(Chaurasia, Culurciello 2017, LinkNet, arXiv 1707.03718) and has at most 96 channels. It is told how like
each pixel is to its neighbours (``edge_avoiding``), so that it need not learn first that a shape is the
same in every colour; what it lacks at borders it gets from there too. Up-sampling begins as bilinear
interpolation, without a checkerboard (``upsampling``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from boda.errors import UsageError
from boda.models import register
from boda.models.layers import ConvNorm, Doubling, at_least, initialize
from boda.models.upsampling import divisible, pool, sized, upsampling
from boda.ops.edge_avoiding import NEXT, Alike, opposite

PAPER = "Ronneberger, Fischer, Brox 2015, arXiv 1505.04597"
LEVELS = 5  # of maps, each half as large as the one above it
SMALLEST = 2 ** (LEVELS - 1)
WIDEST = 96  # channels of a light network
# Pixels to the neighbours, and by how many of the pictures' standard deviations like colours differ: 0.2
# are about 13 of 255. Next to a pixel they may differ more, since pixels on an edge are of two colours.
ALIKE = {16: 0.2, 8: 0.2, 4: 0.2, 2: 0.2, 1: 0.5}
TOLD = 8, 4, 2, 1  # of them those that a network is told of
REACH = 2  # pixels beyond its square that a convolution of 2×2 squares sees
EDGE = 92  # pixels on each side of which the paper's network says nothing: (572 − 388)/2


class UNet2015(nn.Module):
    """The paper's: (N, channels, H, W) → (N, classes, H − 184, W − 184) logits.

    Every convolution eats a pixel on each side, and maps that skip are cut to what is left. Dropout
    stands at the end of the way down, behind its last two levels, as in the authors' files. A side is
    legal where every pooling gets an even map: 188, 204, 220, …, 572, …

    Args:
        classes, channels: of the output and of the pictures.
    """

    def __init__(self, classes: int = 2, channels: int = 1) -> None:
        super().__init__()
        widths = [64 * 2**level for level in range(LEVELS)]
        inside = [channels, *widths[:-1]]
        self.down = nn.ModuleList(_valid(a, b) for a, b in zip(inside, widths, strict=True))
        self.drop = nn.Dropout()
        self.enlarge = nn.ModuleList(Doubling(2 * w, w) for w in reversed(widths[:-1]))
        self.up = nn.ModuleList(_valid(2 * w, w) for w in reversed(widths[:-1]))
        self.head = nn.Conv2d(widths[0], classes, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                _begin(module)

    def forward(self, x: Tensor) -> Tensor:
        """Down, up, and a score a class for the pixels in the middle."""
        at_least(x, _legal(1), "unet-2015")
        _refuse_illegal(x)
        skips = []
        for level, convolve in enumerate(self.down):
            x = convolve(x if level == 0 else F.max_pool2d(x, 2))
            if level >= LEVELS - 2:
                x = self.drop(x)
            skips.append(x)
        for enlarge, convolve, skip in zip(self.enlarge, self.up, skips[-2::-1], strict=True):
            x = enlarge(x)
            x = convolve(torch.cat([centre(skip, x.shape[-2], x.shape[-1]), x], 1))
        return self.head(x)

    def margins(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Pixels at the top, bottom, left and right by which a picture is mirrored, as in the paper.

        The output of the padded picture covers it: its first (height, width) are the picture's.
        """
        tall, wide = _legal(height), _legal(width)
        return EDGE, tall - height - EDGE, EDGE, wide - width - EDGE


def _valid(channels: int, out_channels: int) -> nn.Sequential:
    """Two 3×3 convolutions without padding, each with ReLU: two pixels less on each side."""
    return nn.Sequential(
        nn.Conv2d(channels, out_channels, 3),
        nn.ReLU(inplace=True),
        nn.Conv2d(out_channels, out_channels, 3),
        nn.ReLU(inplace=True),
    )


def _begin(layer: nn.Conv2d | nn.ConvTranspose2d) -> None:
    """The paper's weights: variance 2/N, N the values that one output value is made of; biases 0."""
    window = 1 if isinstance(layer, nn.ConvTranspose2d) else math.prod(layer.kernel_size)
    nn.init.normal_(layer.weight, std=math.sqrt(2 / (window * layer.in_channels)))
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)


def _legal(covered: int) -> int:
    """The smallest side whose output covers so many pixels: 16b + 124 becomes 16b − 60, b ≥ 4."""
    return 16 * max(4, math.ceil((covered + 60) / 16)) + 124


def _refuse_illegal(x: Tensor) -> None:
    height, width = (_legal(side - 2 * EDGE) for side in x.shape[-2:])
    if (height, width) != tuple(x.shape[-2:]):
        raise UsageError(
            f"unet-2015 cannot take pictures of {x.shape[-2]}×{x.shape[-1]}: a pooling would get a "
            f"map with an odd side. Pad them to {height}×{width}, the next legal size; `margins` "
            "tells how much covers a picture."
        )


def centre(x: Tensor, height: int, width: int) -> Tensor:
    """The middle (height, width) of a map."""
    top, left = (x.shape[-2] - height) // 2, (x.shape[-1] - width) // 2
    return x[..., top : top + height, left : left + width]


class UNet(nn.Module):
    """With padding and batch norms: (N, channels, H, W) → (N, classes, H, W) logits.

    Takes any size from 16 on. A map with an odd side is pooled to the larger half, and what comes
    back twice as large is cut to the map that skips.

    Args:
        classes, channels: of the output and of the pictures.
        width: channels of the first level; each level below has twice as many.
        up: see ``upsampling``. "2x2" is the paper's layer.

    Attributes:
        unpools: whether its answer hangs on where maxima stood.
    """

    def __init__(
        self, classes: int = 2, channels: int = 3, width: int = 16, up: str = "transposed"
    ) -> None:
        super().__init__()
        self.unpools = up == "unpool"
        widths = [_some(width) * 2**level for level in range(LEVELS)]
        inside = [channels, *widths[:-1]]
        self.down = nn.ModuleList(pair(a, b) for a, b in zip(inside, widths, strict=True))
        self.enlarge = nn.ModuleList(upsampling(up, 2 * w, w) for w in reversed(widths[:-1]))
        self.up = nn.ModuleList(pair(2 * w, w) for w in reversed(widths[:-1]))
        self.head = score(width, classes)
        initialize(self.down)
        initialize(self.up)

    def forward(self, x: Tensor) -> Tensor:
        """Down, up, and a score a class for every pixel."""
        at_least(x, SMALLEST, "unet")
        return self.decode((x.shape[-2], x.shape[-1]), *self.encode(x))

    def encode(self, x: Tensor) -> tuple[Tensor, ...]:
        """The maps of all levels, the finest first, and the switches of the poolings between them."""
        maps, places = [self.down[0](x)], []
        for convolve in self.down[1:]:
            pooled, switches = pool(maps[-1])
            maps.append(convolve(pooled))
            places.append(switches)
        return (*maps, *places)

    def encoded(self, values: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """``encode`` from its parts: of each level the map, the pooled one and the switches, in turn."""
        return (*values[::3], *values[2::3])

    def decode(self, size: Sequence[int], *values: Tensor) -> Tensor:
        """Logits of pictures of that size from what ``encode`` gives."""
        *skips, x = values[:LEVELS]
        sizes: list[Sequence[int]] = [
            size,
            *((skip.shape[-2], skip.shape[-1]) for skip in skips[1:]),
        ]
        rows = zip(
            self.enlarge, self.up, skips[::-1], sizes[::-1], values[: LEVELS - 1 : -1], strict=True
        )
        for enlarge, convolve, skip, finer, switches in rows:
            x = convolve(torch.cat([skip, enlarge(x, finer, switches)], 1))
        return self.head(x)


class LightUNet(nn.Module):
    """For a CPU: (N, channels, H, W) → (N, classes, H, W) logits, with less than a tenth of the work.

    A square of 2×2 pixels is one place with four times the channels, so all levels have half the
    resolution; maps are added where the usual network lays them beside each other; one convolution
    follows on the way up, not two. At the end a place tells the scores of its four pixels. With
    ``edges`` a place is also told how like its pixels are, in the mean, to their neighbours at 8, 4, 2 and
    1 pixels; and in use each pixel takes the mean of the scores over those that are like it, up to 16
    pixels away. A fit begins without that mean, which takes a quarter of a step's time, and ends with it
    (``as_used``): then the scores are learned that have the best means.

    Args:
        classes, channels: of the output and of the pictures.
        width: channels of the first level; each level below has twice as many, up to 96.
        up: "bilinear", "transposed" or "2x2"; see ``upsampling``.
        edges: whether it is looked at who is alike.

    Attributes:
        as_used: whether it takes the means in training too.

    Raises:
        UsageError: no channels, or no such way up.
    """

    def __init__(
        self,
        classes: int = 2,
        channels: int = 3,
        width: int = 32,
        up: str = "bilinear",
        edges: bool = True,
    ) -> None:
        super().__init__()
        self.edges, self.as_used = edges, False
        if up == "unpool":
            raise UsageError("a light U-Net does not un-pool. Add --set light=false.")
        widths = [min(width * 2**level, max(width, WIDEST)) for level in range(LEVELS)]
        told = sum(len(NEXT) * (2 if step > REACH else 1) for step in TOLD) if edges else 0
        self.first = convolved(4 * channels + told, _some(width))
        self.down = nn.ModuleList(pair(a, b) for a, b in pairwise(widths))
        self.enlarge = nn.ModuleList(upsampling(up, b, a) for a, b in pairwise(widths))[::-1]
        self.up = nn.ModuleList(convolved(each, each) for each in widths[-2::-1])
        self.head = score(width, 4 * classes)
        for part in (self.first, self.down, self.up):
            initialize(part)

    def forward(self, x: Tensor) -> Tensor:
        """Down, up, four pixels for each place, and a score a class for every pixel."""
        at_least(x, SMALLEST, "unet")
        places = F.pixel_unshuffle(divisible(x, 2), 2)
        alike = Alike(x.float().contiguous(), ALIKE) if self.edges else None
        if alike is not None:
            places = torch.cat([places, *(2 * each - 1 for each in _told(alike))], 1)
        maps = [self.first(places)]
        for convolve in self.down:
            maps.append(convolve(F.max_pool2d(maps[-1], 2, ceil_mode=True)))
        y = maps.pop()
        for enlarge, convolve, skip in zip(self.enlarge, self.up, reversed(maps), strict=True):
            y = convolve(skip + enlarge(y, skip.shape[-2:]))
        scores = sized(F.pixel_shuffle(self.head(y), 2), x.shape[-2:])
        if alike is None or (self.training and not self.as_used):
            return scores
        return alike.mean(scores.float())


def _told(alike: Alike) -> Iterator[Tensor]:
    """Of each step its maps, and their opposites where the first convolution does not see so far."""
    for step in TOLD:
        yield (places := alike.places(step))
        if step > REACH:
            yield opposite(places, step // 2)


def _some(width: int) -> int:
    if width < 1:
        raise UsageError(f"width={width} leaves no channels. Give 1 or more, such as 32.")
    return width


def convolved(channels: int, out_channels: int) -> ConvNorm:
    """A 3×3 convolution with batch norm and ReLU: (N, C, H, W) → (N, C', H, W)."""
    return ConvNorm(channels, out_channels, activation=nn.ReLU)


def pair(channels: int, out_channels: int) -> nn.Sequential:
    """Two 3×3 convolutions, each with batch norm and ReLU: (N, C, H, W) → (N, C', H, W)."""
    return nn.Sequential(convolved(channels, out_channels), convolved(out_channels, out_channels))


def score(channels: int, classes: int) -> nn.Conv2d:
    """A score a class for every pixel: 1×1, small weights and no bias at first, so nobody is sure."""
    layer = nn.Conv2d(channels, classes, 1)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


@register(
    "unet-2015",
    size=572,
    smallest=188,
    channels=1,
    classes=2,
    paper=PAPER,
    task="segment",
    method="segmenter",
)
def unet_2015(classes: int, channels: int) -> UNet2015:
    """The paper's U-Net, gray 572×572 → 388×388; 31,030,658 parameters with two classes."""
    return UNet2015(classes, channels)


@register(
    "unet",
    size=256,
    smallest=SMALLEST,
    classes=2,
    paper=PAPER,
    task="segment",
    method="segmenter",
)
def unet(
    classes: int,
    channels: int,
    width: int = 32,
    up: str = "bilinear",
    light: bool = True,
    edges: bool = True,
) -> UNet | LightUNet:
    """U-Net with padding and batch norms; by default a light one of 32 channels at first, for a CPU.

    The light one looks at who is alike, unless ``edges=False``. With ``light=False``,
    ``width=64`` and ``up=2x2`` it has the 31,037,698 parameters of the one that people use.
    """
    if light:
        return LightUNet(classes, channels, width, up, edges)
    return UNet(classes, channels, width, up)
