"""LeNet-5 with all of its details, as it was in 1998.

LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition", 1998,
section II-B. Beside ``lenet5``: a map of C3 sees only some maps of S2, sub-sampling is trained,
tanh is scaled, and a class's output is the distance to a picture of the class. Deviations: the
output is *minus* the squared distance, so that it is a logit for cross entropy (the paper's second
criterion, its equation 9, is that but for one constant class of rubbish); the 7×12 pictures of the
digits are drawn anew; without ten classes the codes are pseudo-random. In pictures larger than
32×32 the maps of C5 are averaged.
"""

from __future__ import annotations

import random
from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from boda.models import register
from boda.models.layers import at_least

# Table I: the maps of S2 that each map of C3 sees. Fewer connections, and a break of symmetry:
# what sees different inputs finds different features.
TABLE = (
    *((0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (4, 5, 0), (5, 0, 1)),
    *((0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (3, 4, 5, 0), (4, 5, 0, 1), (5, 0, 1, 2)),
    *((0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5)),
    (0, 1, 2, 3, 4, 5),
)
# Seven by twelve, ink and paper: the 84 values that F6 is to take for each digit.
DIGITS = """
..###.. ...#... ..###.. .#####. .....#. ####### ..####. ####### ..###.. ..###..
.#...#. ..##... .#...#. #.....# ....##. #...... .#....# ......# .#...#. .#...#.
#.....# .#.#... #.....# ......# ...#.#. #...... #...... ......# #.....# #.....#
#.....# ...#... ......# ......# ..#..#. #...... #...... .....#. #.....# #.....#
#.....# ...#... ......# .....#. .#...#. #.###.. #.###.. .....#. .#...#. #.....#
#.....# ...#... .....#. ..###.. #....#. ##...#. ##...#. ....#.. ..###.. #.....#
#.....# ...#... ....#.. .....#. #....#. ......# #.....# ....#.. .#...#. .#...##
#.....# ...#... ...#... ......# ####### ......# #.....# ...#... #.....# ..###.#
#.....# ...#... ..#.... ......# .....#. ......# #.....# ...#... #.....# ......#
#.....# ...#... .#..... ......# .....#. ......# #.....# ..#.... #.....# ......#
.#...#. ...#... #...... #.....# .....#. #....#. .#...#. ..#.... .#...#. #....#.
..###.. .#####. ####### .#####. .....#. .####.. ..###.. ..#.... ..###.. .####..
"""


def squash(x: Tensor) -> Tensor:
    """1.7159·tanh(2x/3), value by value: f(±1) = ±1, and there it bends most."""
    return 1.7159 * torch.tanh(2 / 3 * x)


def begin(inputs: int | Tensor, *parameters: Tensor) -> None:
    """The paper's random weights: uniform, at most 2.4 over the number of inputs of a unit."""
    with torch.no_grad():
        for parameter in parameters:
            parameter.uniform_(-2.4, 2.4).div_(inputs)


class Squash(nn.Module):
    """``squash`` as a layer."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape, and the same shape."""
        return squash(x)


class Subsampling(nn.Module):
    """The sum of each 2×2, times a coefficient, plus a bias: one of each a map, both are trained.

    (N, channels, H, W) → (N, channels, H/2, W/2).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.coefficient = nn.Parameter(torch.empty(channels))
        self.bias = nn.Parameter(torch.empty(channels))
        begin(4, self.coefficient, self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Sum, multiply, add."""
        sums = 4 * F.avg_pool2d(x, 2)
        return sums * self.coefficient[:, None, None] + self.bias[:, None, None]


class PartialConvolution(nn.Module):
    """C3: 16 maps by 5×5 kernels, one for each of the 60 crosses of the paper's table.

    (N, 6, H, W) → (N, 16, H − 4, W − 4). It runs as one convolution, faster than one for each map,
    whose other 36 kernels are zeros.
    """

    places: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(60, 5, 5))
        self.bias = nn.Parameter(torch.empty(16))
        crosses = [(to, source) for to, sources in enumerate(TABLE) for source in sources]
        places = torch.full((16, 6), len(crosses))  # of the kernel; behind the last one is the zero
        for number, cross in enumerate(crosses):
            places[cross] = number
        self.register_buffer("places", places.flatten(), persistent=False)
        inputs = 25 * torch.tensor([len(TABLE[to]) for to, _ in crosses])
        begin(inputs[:, None, None], self.weight)
        begin(25 * torch.tensor([len(sources) for sources in TABLE]), self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Lay the kernels out as (16, 6, 5, 5), and convolve."""
        kernels = F.pad(self.weight, (0, 0, 0, 0, 0, 1)).index_select(0, self.places)
        return F.conv2d(x, kernels.view(16, 6, 5, 5), self.bias)


class RadialBasis(nn.Module):
    """Minus the squared distance to each class's code: (N, 84) → (N, classes), at most 0.

    The codes are ±1 and are not trained: ink and paper of ``DIGITS``, read in lines, for ten
    classes; else drawn by Python's ``random`` from one fixed seed.
    """

    codes: Tensor

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.register_buffer("codes", digits() if classes == 10 else drawn(classes))

    def forward(self, x: Tensor) -> Tensor:
        """−Σ_j (x_j − w_ij)², without the rounding of |x|² − 2xw + |w|²."""
        return -(x[:, None] - self.codes).square().sum(2)


def digits() -> Tensor:
    """The ten pictures as (10, 84) of −1 (paper) and 1 (ink)."""
    lines = [line.split() for line in DIGITS.split("\n") if line]
    glyphs = ["".join(line[digit] for line in lines) for digit in range(10)]
    return torch.tensor([[1.0 if mark == "#" else -1.0 for mark in glyph] for glyph in glyphs])


def drawn(classes: int) -> Tensor:
    """(classes, 84) of −1 and 1, always the same."""
    seeded = random.Random(1998)
    return torch.tensor(
        [[1.0 if seeded.random() < 0.5 else -1.0 for _ in range(84)] for _ in range(classes)]
    )


class LeNet5Of1998(nn.Module):
    """C1 6@28 → S2 6@14 → C3 16@10 → S4 16@5 → C5 120@1 → F6 84 → classes.

    Takes (N, channels, H, W) with H, W >= 32. Every layer but the last is squashed.
    """

    def __init__(self, classes: int = 10, channels: int = 1) -> None:
        super().__init__()
        self.c1 = nn.Conv2d(channels, 6, 5)
        self.s2 = Subsampling(6)
        self.c3 = PartialConvolution()
        self.s4 = Subsampling(16)
        self.c5 = nn.Conv2d(16, 120, 5)
        f6, output = nn.Linear(120, 84), RadialBasis(classes)
        self.head = nn.Sequential(OrderedDict(f6=f6, squash=Squash(), output=output))
        for inputs, layer in ((25 * channels, self.c1), (25 * 16, self.c5), (120, f6)):
            begin(inputs, *layer.parameters())

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) → (N, classes) logits, at most 0."""
        at_least(x, 32, "lenet5-1998")
        for layer in (self.c1, self.s2, self.c3, self.s4, self.c5):
            x = squash(layer(x))
        return self.head(x.mean((2, 3)))


def connections(net: LeNet5Of1998, height: int = 32, width: int = 32) -> dict[str, int]:
    """How many connections each layer has, as the paper counts: a unit's inputs, and its bias.

    Args:
        net: the network.
        height: of the picture, at least 32.
        width: likewise.

    Returns:
        By the names c1, s2, c3, s4, c5, f6 and output; 340,908 together for 32×32 and ten digits.
    """
    layers = {"c1": net.c1, "s2": net.s2, "c3": net.c3, "s4": net.s4, "c5": net.c5}
    layers |= {name: layer for name, layer in net.head.named_children() if name != "squash"}
    found: dict[str, int] = {}

    def count(name: str, layer: nn.Module, out: Tensor) -> None:
        places = out[0, 0].numel()  # of a map: the weights are shared by all of them
        found[name] = places * _at_one_place(layer)

    hooks = [
        layer.register_forward_hook(lambda layer, _, out, name=name: count(name, layer, out))
        for name, layer in layers.items()
    ]
    try:
        with torch.no_grad():
            net(net.c1.weight.new_zeros(1, net.c1.in_channels, height, width))
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _at_one_place(layer: nn.Module) -> int:
    """The connections to one place of every map: a weight is one, but a coefficient has four."""
    if isinstance(layer, Subsampling):
        return 2 * 2 * layer.coefficient.numel() + layer.bias.numel()
    if isinstance(layer, RadialBasis):
        return layer.codes.numel()
    return sum(parameter.numel() for parameter in layer.parameters())


@register(
    "lenet5-1998",
    size=32,
    smallest=32,
    channels=1,
    paper="LeCun, Bottou, Bengio, Haffner 1998",
)
def lenet5_1998(classes: int, channels: int) -> LeNet5Of1998:
    """LeNet-5 as it was published, with sparse C3 and drawn codes; 60,000 trainable parameters."""
    return LeNet5Of1998(classes, channels)
