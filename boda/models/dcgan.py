"""GAN of convolutions alone: the generator doubles maps up to a picture, the discriminator halves it.

Radford, Metz, Chintala, "Unsupervised representation learning with deep convolutional generative
adversarial networks", 2015, arXiv 1511.06434, with its guidelines: strides for pooling, batch norms
but at the picture's ends, no hidden dense layers, ReLU up and leaky ReLU (0.2) down, all weights from
N(0, 0.02²). With classes as in ``gan``. For other losses the discriminator can do without batch norms:
spectral normalization (Miyato, Kataoka, Koyama, Yoshida 2018, arXiv 1802.05957), or layer norms as
the gradient penalty wants them (Gulrajani et al. 2017, arXiv 1704.00028).

Deviations: kernels are 4×4, since 5×5 with stride 2 reach some pixels by more values than others, a
checkerboard (``upsampling``), and 4×4 do not, but for the outermost pixels; and the pictures' sides
may be 28, 32, 64, 128 or any that halves down to maps of 4 to 7. Maps of 6 and 7 the discriminator
halves once more: of 28×28 two layers would be left to it, which see 10 pixels. Of fewer than 64
channels the first weights are larger, so that values are as large as with 64: else those of a narrow
discriminator are below the batch norms' eps, no slope comes back, and the generator stays gray.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TypeVar

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from boda.errors import UsageError, unknown
from boda.models import register
from boda.models.gan import Adversaries, Discriminator, Generator

PAPER = "Radford, Metz, Chintala 2015, arXiv 1511.06434"
NORMS = ("batch", "spectral", "layer", "none")
SMALLEST, LARGEST = 4, 7  # sides of the maps that a generator begins with
DEEPER = 5  # above it the discriminator halves once more than the generator doubles
DEVIATION, WIDTH = 0.02, 64  # of the first weights, and the width below which it grows
LEAK = 0.2
Layer = TypeVar("Layer", nn.Linear, nn.Conv2d, nn.ConvTranspose2d, nn.Embedding)


def dcgan(
    channels: int = 3,
    size: int = 64,
    width: int = 64,
    noise: int = 100,
    classes: int = 0,
    norm: str = "batch",
) -> Adversaries:
    """DCGAN; at 64×64 in colour 3,576,704 and 2,765,568 parameters, as commonly built.

    The maps of the paper's figure, 1024 at 4×4 down to 128 at 32×32, are those of ``width=128``.

    Args:
        channels: of the pictures, (channels, size, size).
        size: 4, 5, 6 or 7 doubled at least once, as 28, 32, 64, 96 and 128 are.
        width: channels of the maps of half the picture's side; each halving has twice as many.
        noise: numbers that a picture is made of.
        classes: 0 for none.
        norm: of the discriminator: "batch" (the paper's), "spectral", "layer" or "none".

    Raises:
        UsageError: a size that does not halve down, a number that leaves no layer, an unknown norm.
    """
    if min(channels, width, noise) < 1:
        raise UsageError(
            f"a DCGAN of {channels} channels, width {width} and {noise} numbers of noise. Give 1 or "
            "more of each."
        )
    if norm not in NORMS:
        raise unknown("norm", norm, NORMS)
    side, doublings = _halved(size)
    std = DEVIATION * max(1, WIDTH / width) ** 0.5
    widths = [width * 2**level for level in range(doublings)]
    upwards = _upwards(noise * (2 if classes else 1), side, [*reversed(widths), channels], std)
    if side > DEEPER:  # the paper's discriminators end at 4×4
        widths.append(2 * widths[-1])
        side //= 2
    features = _downwards([channels, *widths], norm, std)
    numbers = widths[-1] * side * side
    head = _begun(nn.Linear(numbers, 1, bias=norm != "batch"), std, norm)
    kinds = _begun(nn.Embedding(classes, numbers), std, norm) if classes else None
    judge = Discriminator(features, head, kinds, (channels, size))
    return Adversaries(Generator(upwards, noise, classes), judge)


@register("dcgan", size=64, smallest=64, paper=PAPER, task="generate", method="adversarial")
def dcgan_2015(
    classes: int, channels: int, size: int = 64, width: int = 64, norm: str = "batch"
) -> Adversaries:
    """Convolutions with strides up and down, batch norms, and 100 numbers of noise."""
    return dcgan(channels, size, width, norm=norm)


@register(
    "dcgan-conditional",
    size=64,
    smallest=64,
    paper=f"{PAPER}; Miyato, Koyama 2018, arXiv 1802.05637",
    task="generate",
    method="adversarial",
)
def dcgan_conditional(
    classes: int, channels: int, size: int = 64, width: int = 64, norm: str = "batch"
) -> Adversaries:
    """``dcgan`` that is told which class to draw, with a projection discriminator."""
    return dcgan(channels, size, width, classes=classes, norm=norm)


def _upwards(numbers: int, side: int, widths: list[int], std: float) -> nn.Sequential:
    """(N, numbers) → (N, C₀, side, side) → … → (N, C, size, size) in −1..1."""
    layers = nn.Sequential(
        _begun(nn.Linear(numbers, widths[0] * side * side, bias=False), std),
        nn.Unflatten(1, (widths[0], side, side)),
    )
    for before, after in pairwise(widths):
        # A bias before a batch norm would be taken away again.
        layers.append(nn.BatchNorm2d(before))
        layers.append(nn.ReLU(inplace=True))
        layers.append(_begun(nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False), std))
    return layers.append(nn.Tanh())


def _downwards(widths: list[int], norm: str, std: float) -> nn.Sequential:
    """(N, C, size, size) → … → (N, C₀·side·side); the picture's own layer has no norm."""
    layers = nn.Sequential()
    for level, (before, after) in enumerate(pairwise(widths)):
        bias = norm != "batch"
        layers.append(_begun(nn.Conv2d(before, after, 4, 2, 1, bias=bias), std, norm))
        if level and norm == "batch":
            layers.append(nn.BatchNorm2d(after))
        if level and norm == "layer":
            layers.append(nn.GroupNorm(1, after))
        layers.append(nn.LeakyReLU(LEAK, inplace=True))
    return layers.append(nn.Flatten())


def _begun(layer: Layer, std: float, norm: str = "") -> Layer:
    """The layer with its first weights; their largest singular value kept at 1 where asked."""
    nn.init.normal_(layer.weight, std=std)
    if not isinstance(layer, nn.Embedding) and layer.bias is not None:
        nn.init.zeros_(layer.bias)
    if norm == "spectral":
        spectral_norm(layer)  # in place
    return layer


def _halved(size: int) -> tuple[int, int]:
    """The side of the smallest maps, and how often it is doubled.

    Raises:
        UsageError: there are none, with the nearest sizes that have some.
    """
    side, doublings = size, 0
    while side > LARGEST and side % 2 == 0:
        side, doublings = side // 2, doublings + 1
    if doublings == 0 or not SMALLEST <= side <= LARGEST:
        sizes = [start << times for start in range(SMALLEST, LARGEST + 1) for times in range(1, 12)]
        near = sorted(sizes, key=lambda other: abs(other - size))[:2]
        raise UsageError(
            f"dcgan cannot make pictures of {size}×{size}: they do not halve down to maps of 4 to "
            f"7. Use --size {' or '.join(str(s) for s in sorted(near))}."
        )
    return side, doublings
