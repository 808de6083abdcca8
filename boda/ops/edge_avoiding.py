"""Who is alike in a picture: how like its pixels are to their neighbours, and means over those that are.

Aurich, Weule 1995, "Non-linear Gaussian filters performing edge preserving diffusion"; Tomasi, Manduchi
1998, "Bilateral filtering for gray and color images"; by the colours of another picture, Petschnigg et
al. 2004, "Digital photography with flash and no-flash image pairs". A large window is made of a few
small ones, whose places lie further and further apart: Dammertz, Sewtz, Hanika, Lensch 2010,
"Edge-avoiding à-trous wavelet transform for fast global illumination filtering". As something to look
at, likeness tells shapes whatever their colours are: Shechtman, Irani 2007, "Matching local
self-similarities across images and videos".

Deviations: a window has 3×3 places that differ by their colours alone, where the paper's has 5×5 that
also count less further out; the widest window comes first, so that the last word has the nearest. In the
last, a pixel counts as much as it is like the pixels around it: one on an edge is of two colours and has
little to say, and takes what the side it is more like says. Of colours d apart the likeness is
(1 − d²/16σ²)⁸, and 0 from 4σ on: as exp(−d²/2σ²) is to 0.04, in less time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

NEXT = ((0, 1), (1, 1), (1, 0), (1, -1))  # four of the eight neighbours; the others lie opposite
PART = 2**18  # values that are worked on at a time on a CPU, so that they stay in its cache
NOBODY = 1e4  # a colour that nothing is like
LEAST = 0.01  # that a pixel on an edge counts


class Alike:
    """How like the pixels of a picture are to their neighbours.

    Args:
        guide: (N, G, H, W) the colours that tell who is alike. A gradient reaches them where they ask
            for one.
        sigmas: pixels to the neighbours, 1 or more, the farthest first → the distance of two colours, in
            their own scale, at which a neighbour counts 0.6.
    """

    def __init__(self, guide: Tensor, sigmas: Mapping[int, float]) -> None:
        self.size = guide.shape[-2], guide.shape[-1]
        self.colours, self.sigmas = guide.flatten(2), sigmas  # rows lie one behind the other
        self.column = torch.arange(guide[0, 0].numel(), device=guide.device) % self.size[1]
        self.windows: dict[int, list[Tensor]] = {}
        self.scaled: dict[float, tuple[Tensor, Tensor, Tensor]] = {}

    def places(self, step: int) -> Tensor:
        """The means over 2×2 pixels of how like they are to those so far away, one of the steps.

        Returns:
            (N, 4, ⌈H/2⌉, ⌈W/2⌉), 0 to 1, and 0 beyond the picture: of each of ``NEXT``; see ``opposite``. Of
            odd sides the last squares are halves.
        """
        return torch.cat(
            [_halved(share.view(-1, 1, *self.size)) for share in self._window(step)], 1
        )

    def mean(self, values: Tensor) -> Tensor:
        """Every value becomes the mean of its like neighbours and itself, once for each step.

        Args:
            values: (N, C, H, W) of any scale.

        Returns:
            (N, C, H, W). Beyond the picture there are no neighbours. What a pixel gets lies within the
            sum of the steps of it, and the last step more: so far away it hangs on who counts.
        """
        windows = [self._shares_of(step) for step in self.sigmas]
        flat = values.contiguous().flatten(2)
        if torch.compiler.is_compiling() or self.colours.requires_grad:
            return _means(flat, windows).view(values.shape)
        in_parts: Any = _InParts.apply
        return in_parts(flat, windows).view(values.shape)

    def _shares_of(self, step: int) -> _Window:
        """Whom the mean of this step is taken over; in the last step pixels on edges count less."""
        height, width = self.size
        alike = [
            (step * (y * width + x), share)
            for (y, x), share in zip(NEXT, self._window(step), strict=True)
            if height > step * y and width > step * abs(x)
        ]
        one = torch.ones_like(self.colours[:, :1])
        around = _sum(one, alike)
        if step != min(self.sigmas):
            return _Window(alike, None, 1 / around)
        counts = ((around - 1) / (2 * len(NEXT))).clamp(min=LEAST)
        return _Window(alike, counts, 1 / _sum(counts, alike))

    def _window(self, step: int) -> list[Tensor]:
        """(N, 1, H·W) for each of ``NEXT``: how like a pixel is to that neighbour; 0 where there is none."""
        if step not in self.windows:
            self.windows[step] = [self._likeness(step, y, x) for y, x in NEXT]
        return self.windows[step]

    def _scaled(self, sigma: float) -> tuple[Tensor, Tensor, Tensor]:
        """Colours c that are not alike from 1 apart, |c|² and 1 − |c|²; nobody's below the picture."""
        if sigma not in self.scaled:
            below = max(self.sigmas) * (self.size[1] + 1)
            colours = F.pad(self.colours / (4 * sigma), (0, below), value=NOBODY)
            squares = (colours * colours).sum(1, keepdim=True)
            self.scaled[sigma] = colours, squares, 1 - squares
        return self.scaled[sigma]

    def _likeness(self, step: int, y: int, x: int) -> Tensor:
        """Of colours c and d 1 − |c − d|² as 1 − |c|² − |d|² + 2 c·d: no difference has to be kept."""
        colours, squares, left = self._scaled(self.sigmas[step])
        width, pixels = self.size[1], self.colours.shape[-1]
        here, there = slice(pixels), slice(far := step * (y * width + x), far + pixels)
        like = left[..., here] - squares[..., there]
        for colour in colours.split(1, 1):
            like.addcmul_(colour[..., here], colour[..., there], value=2)
        like.clamp_(0, 1).square_().square_().square_()
        if x:  # the end of a row is no neighbour of the next one's beginning
            like *= self.column < width - step if x > 0 else self.column >= step
        return like


def opposite(places: Tensor, far: int) -> Tensor:
    """Of ``places``, of a step of 2·far pixels, the neighbours that lie opposite: the same maps, moved."""
    height, width = places.shape[-2:]
    beyond = F.pad(places, (far, far, far, 0))
    moved = [
        each[..., far - far * y :, far - far * x :][..., :height, :width]
        for each, (y, x) in zip(beyond.split(1, 1), NEXT, strict=True)
    ]
    return torch.cat(moved, 1)


class _Window(NamedTuple):
    """Whom a mean is taken over; all but ``alike`` (N, 1, H·W).

    Attributes:
        alike: distances, and how like each pixel is to the one that far behind it.
        counts: how much each pixel counts; None for all the same.
        share: 1 over the sum of all that a pixel's mean is taken over.
    """

    alike: list[tuple[int, Tensor]]
    counts: Tensor | None
    share: Tensor

    def of(self, part: slice) -> _Window:
        """That of some of the pictures."""
        alike = [(distance, share[part]) for distance, share in self.alike]
        counts = None if self.counts is None else self.counts[part]
        return _Window(alike, counts, self.share[part])


def _means(flat: Tensor, windows: Sequence[_Window]) -> Tensor:
    """(N, C, H·W) through one window after the other."""
    for alike, counts, share in windows:
        flat = _sum(flat if counts is None else flat * counts, alike) * share
    return flat


class _InParts(torch.autograd.Function):
    """``_means``, a few pictures at a time, by windows that have no gradient.

    Who is alike is so both ways, so a sum over a window is its own adjoint.
    """

    @staticmethod
    def forward(ctx: Any, flat: Tensor, windows: list[_Window]) -> Tensor:
        ctx.windows = windows
        parts = _parts(flat)
        return torch.cat([_means(flat[p], [each.of(p) for each in windows]) for p in parts])

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        out = []
        for part in _parts(slope):
            flat = slope[part].contiguous()
            for alike, counts, share in reversed([each.of(part) for each in ctx.windows]):
                flat = _sum(flat * share, alike)
                flat = flat if counts is None else flat * counts
            out.append(flat)
        return torch.cat(out), None


def _parts(values: Tensor) -> list[slice]:
    """So few pictures each that they stay in a processor's cache; elsewhere all at once."""
    size = len(values)
    some = PART // max(1, values[0].numel()) if values.device.type == "cpu" and size else size
    return [slice(i, i + max(1, some)) for i in range(0, max(1, size), max(1, some))]


def _halved(maps: Tensor) -> Tensor:
    """(N, C, ⌈H/2⌉, ⌈W/2⌉): means of 2×2 pixels; several times as fast as a pooling."""
    height, width = maps.shape[-2:]
    if height % 2 or width % 2:
        maps = F.pad(maps, (0, width % 2, 0, height % 2), mode="replicate")
    rows = maps[..., ::2, :] + maps[..., 1::2, :]
    return (rows[..., ::2] + rows[..., 1::2]) / 4


def _sum(flat: Tensor, alike: Sequence[tuple[int, Tensor]]) -> Tensor:
    """(N, C, H·W): every value and those of its neighbours, as far as they are alike."""
    total = flat.clone()
    for distance, shares in alike:
        here, there, share = flat[..., :-distance], flat[..., distance:], shares[..., :-distance]
        if torch.compiler.is_compiling():  # an exported file adds whole maps several times as fast
            total = total + F.pad(share * there, (0, distance))
            total = total + F.pad(share * here, (distance, 0))
        else:
            total[..., :-distance].addcmul_(share, there)
            total[..., distance:].addcmul_(share, here)
    return total
