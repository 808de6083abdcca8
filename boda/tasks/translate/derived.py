"""What is given to the generator and what it is to make: pairs of the data, or made of each picture.

Networks see −1 to 1. Of pairs that are made, the picture itself is the truth: its lightness is given
and its colours are to be found (Lab, as Zhang, Isola, Efros 2016, arXiv 1603.08511), or its edges, or
a copy of a quarter of its size.
"""

from __future__ import annotations

import torch
from torch import Tensor

from boda.errors import unknown
from boda.ops.color import grayscale, lab_to_rgb, rgb_to_lab
from boda.ops.convolution import correlate
from boda.ops.kernels import kernel
from boda.ops.resampling import enlarge, reduce
from boda.ops.signed import HALF, signed

LIGHT, COLOUR = 50.0, 110.0  # of Lab: L is 0 to 100, a and b about −110 to 110
STEEP = 4.0  # Sobel's magnitude of a step from black to white
FAINT = 4.0  # times as much, so that an edge of a quarter of that is black
FACTOR = 4  # by which "small" reduces
PAIRS = ("data", "gray", "edges", "small")


class Pairs:
    """The data's own: what is given is one picture, what is wanted is another.

    All take and give (N, 3, H, W).
    """

    def given(self, pictures: Tensor) -> Tensor:
        """uint8 → what the generator sees."""
        return signed(pictures)

    def wanted(self, pictures: Tensor) -> Tensor:
        """uint8 of what is to be made → what the generator is to give."""
        return signed(pictures)

    def whole(self, given: Tensor, made: Tensor) -> Tensor:
        """What the generator made, with what need not be made since it was given."""
        return made

    def picture(self, whole: Tensor) -> Tensor:
        """RGB from 0 to 1 of that."""
        return (whole.float() + 1) / 2

    def shown(self, pictures: Tensor) -> Tensor:
        """uint8 → RGB from 0 to 1 of what is given of it."""
        return self.picture(self.given(pictures))


class Gray(Pairs):
    """L of Lab three times → L, a, b; the picture keeps its own L."""

    def given(self, pictures: Tensor) -> Tensor:
        """L three times."""
        return (_lab(pictures)[:, :1] / LIGHT - 1).expand(-1, 3, -1, -1)

    def wanted(self, pictures: Tensor) -> Tensor:
        """L, a and b."""
        lab = _lab(pictures)
        return torch.cat([lab[:, :1] / LIGHT - 1, lab[:, 1:] / COLOUR], 1)

    def whole(self, given: Tensor, made: Tensor) -> Tensor:
        """The L that was given, with the a and b that were made."""
        return torch.cat([given[:, :1], made[:, 1:].to(given)], 1)

    def picture(self, whole: Tensor) -> Tensor:
        """Colours that RGB lacks are clipped."""
        lab = whole.float()
        return lab_to_rgb(torch.cat([(lab[:, :1] + 1) * LIGHT, lab[:, 1:] * COLOUR], 1))

    def shown(self, pictures: Tensor) -> Tensor:
        """The gray picture of that lightness."""
        given = self.given(pictures)
        return self.picture(torch.cat([given[:, :1], torch.zeros_like(given[:, 1:])], 1))


class Edges(Pairs):
    """Dark lines on white, where the brightness changes, three times → the picture."""

    def given(self, pictures: Tensor) -> Tensor:
        """Sobel's magnitude, 1 where there is none and −1 from a quarter of the steepest on."""
        gray = grayscale(pictures.float() / 255)
        squares = [
            correlate(gray, kernel(f"sobel-{axis}"), padding="same", pad_mode="replicate").square()
            for axis in "xy"
        ]
        steep = sum(squares, torch.zeros_like(gray)).sqrt()
        return (1 - 2 * (steep * (FAINT / STEEP)).clamp(max=1)).expand(-1, 3, -1, -1)


class Small(Pairs):
    """The picture reduced to a quarter of its sides, antialiased, and enlarged again → the picture."""

    def given(self, pictures: Tensor) -> Tensor:
        """As large as the picture, of a sixteenth of its pixels."""
        small = reduce(pictures.float() / HALF - 1, FACTOR)
        return enlarge(small, FACTOR).clamp(-1, 1)


def pairs_of(name: str) -> Pairs:
    """How a method's pairs come about.

    Raises:
        UsageError: there is no such way.
    """
    kinds: dict[str, type[Pairs]] = {"data": Pairs, "gray": Gray, "edges": Edges, "small": Small}
    if name not in kinds:
        raise unknown("pairs", name, PAIRS)
    return kinds[name]()


def _lab(pictures: Tensor) -> Tensor:
    return rgb_to_lab(pictures.float() / 255)
