"""What a picture is to be: like the content in some layers, like the styles in others; and its gradient.

Where the picture is larger than a tile, the gradient is computed in two passes over tiles, and is
that of the whole picture: the first pass adds up the Gram matrices, from which it is known how the
loss changes with each product of two maps; the second takes that back to the pixels, tile by tile.
Around its tile the network sees as much as its layers look at, so no tile has a border of its own.
Only one tile's maps are held, beside the content's.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from boda.ops.style_losses import content_loss, gram_matrix, style_loss, total_variation
from boda.stylizing.features import Features

LEAST = 32  # pixels of a tile: the largest stride of a VGG
Grams = dict[tuple[str, int | None], Tensor]  # by layer and by style; None = no style's own


@dataclass(frozen=True)
class Style:
    """A picture whose style is wanted.

    Attributes:
        picture: (1, 3, H, W) RGB in 0..1, of any size.
        weight: how much it counts beside the others.
        mask: (H, W) in 0..1 of the content's size, where it is wanted; None = everywhere.
    """

    picture: Tensor
    weight: float = 1.0
    mask: Tensor | None = None


@dataclass(frozen=True)
class Weights:
    """How much each part of the loss counts.

    Attributes:
        content, style: by layer.
        variation: of ``total_variation``.
    """

    content: dict[str, float]
    style: dict[str, float]
    variation: float = 0.0

    @property
    def layers(self) -> list[str]:
        """All that are needed."""
        return [*dict.fromkeys([*self.content, *self.style])]


@dataclass(frozen=True)
class Losses:
    """The parts of the loss, each with its weights; their sum is the loss."""

    content: float
    style: float
    variation: float

    @property
    def total(self) -> float:
        """The loss."""
        return sum(astuple(self))


@dataclass(frozen=True)
class Window:
    """A tile of a picture, and what the network sees around it, in pixels.

    Attributes:
        tile, seen: y1, x1, y2, x2.
        size: (H, W) of the picture.
    """

    tile: tuple[int, int, int, int]
    seen: tuple[int, int, int, int]
    size: tuple[int, int]

    def of(self, picture: Tensor) -> Tensor:
        """What the network sees, of (…, H, W); a view."""
        y1, x1, y2, x2 = self.seen
        return picture[..., y1:y2, x1:x2]

    def core(self, maps: Tensor, stride: int) -> Tensor:
        """The tile's part of the maps of what is seen; the picture's last tiles take the rest."""
        (y1, x1, y2, x2), (top, left, _, _) = self.tile, self.seen
        bottom = None if y2 == self.size[0] else (y2 - top) // stride
        right = None if x2 == self.size[1] else (x2 - left) // stride
        return maps[..., (y1 - top) // stride : bottom, (x1 - left) // stride : right]

    def whole(self, maps: Tensor, stride: int) -> tuple[int, int]:
        """(H', W') of the maps of the whole picture, where these are of what is seen."""
        if self.seen == (0, 0, *self.size):
            return maps.shape[2], maps.shape[3]
        return self.size[0] // stride, self.size[1] // stride


def windows(size: tuple[int, int], tile: int, margin: int) -> list[Window]:
    """Tiles beside each other that make up a picture, in rows.

    Args:
        size: (H, W).
        tile: their side, a multiple of the largest stride; 0, or no less than the size = one tile.
        margin: what is seen around them, as far as the picture goes; another multiple.
    """
    height, width = size
    side = tile if 0 < tile < max(size) else max(size)
    return [
        Window(
            (y, x, _end(y + side, height), _end(x + side, width)),
            (
                max(y - margin, 0),
                max(x - margin, 0),
                min(_end(y + side, height) + margin, height),
                min(_end(x + side, width) + margin, width),
            ),
            size,
        )
        for y in range(0, max(1, height - LEAST), side)
        for x in range(0, max(1, width - LEAST), side)
    ]


def _end(place: int, length: int) -> int:
    """Where a tile ends; one of a few lines more would have no maps of its own behind it."""
    return length if place >= length - LEAST else place


class Objective:
    """The loss of pictures of one size, and its gradient.

    Args:
        features: with the layers of ``weights``.
        content: (1, 3, H, W) RGB in 0..1.
        styles: one or more.
        weights: of the parts.
        tile, margin: see ``windows``.
    """

    def __init__(
        self,
        features: Features,
        content: Tensor,
        styles: list[Style],
        weights: Weights,
        tile: int = 0,
        margin: int = 0,
    ) -> None:
        self.features, self.styles, self.weights = features, styles, weights
        self.tile, self.margin = tile, margin
        self.windows = windows((content.shape[2], content.shape[3]), tile, margin)
        masked = [i for i, style in enumerate(styles) if style.mask is not None]
        self.regions: list[int | None] = [*masked]  # places in styles; None = all of the picture
        if len(masked) < len(styles):
            self.regions.append(None)
        self._shares: dict[tuple[int | None, tuple[int, int]], Tensor] = {}
        with torch.no_grad():
            self.targets = [self._grams(style.picture, [None]) for style in styles]
        self._aim(content)

    def _aim(self, content: Tensor) -> None:
        with torch.no_grad():
            self.content = [self._cores(window, window.of(content)) for window in self.windows]
        self.values = {  # how many a layer's maps have
            name: sum(part[name].numel() for part in self.content) for name in self.weights.content
        }

    def of_content(self, content: Tensor) -> Objective:
        """The same styles with another content, (1, 3, H, W)."""
        other = copy.copy(self)
        other.windows = windows((content.shape[2], content.shape[3]), self.tile, self.margin)
        other._aim(content)
        return other

    def losses(self, picture: Tensor) -> Losses:
        """The parts of the loss of (1, 3, H, W), without a gradient."""
        with torch.no_grad():
            content = torch.zeros(())
            for window, target in zip(self.windows, self.content, strict=True):
                content = content + self._content(self._cores(window, window.of(picture)), target)
            style = self._style(self._grams(picture, self.regions))
            return _told(content, style, self._variation(picture))

    def gradient(self, picture: Tensor) -> tuple[Losses, Tensor]:
        """The parts of the loss, and how the loss changes with each value of (1, 3, H, W)."""
        leaf = picture.detach().clone(memory_format=torch.contiguous_format).requires_grad_()
        variation = self._variation(leaf)
        if len(self.windows) == 1:
            maps = self.features(leaf)
            content = self._content(maps, self.content[0])
            style = self._style(self._products(self.windows[0], maps, self.regions))
            (content + style + variation).backward()
            assert leaf.grad is not None
            return _told(content, style, variation), leaf.grad
        variation.backward()
        assert leaf.grad is not None
        with torch.no_grad():
            grams = self._grams(leaf, self.regions)
        for gram in grams.values():
            gram.requires_grad_()
        style, content = self._style(grams), torch.zeros(())
        slopes = dict(zip(grams, torch.autograd.grad(style, [*grams.values()]), strict=True))
        for window, target in zip(self.windows, self.content, strict=True):
            part = window.of(leaf.detach()).clone().requires_grad_()
            maps = self.features(part)
            cores = {name: window.core(maps[name], self._stride(name)) for name in target}
            near, made = self._content(cores, target), self._products(window, maps, self.regions)
            (near + sum((slopes[key] * gram).sum() for key, gram in made.items())).backward()
            assert part.grad is not None
            window.of(leaf.grad).add_(part.grad)
            content = content + near.detach()
        return _told(content, style, variation), leaf.grad

    def _stride(self, layer: str) -> int:
        return self.features.strides[layer]

    def _cores(self, window: Window, seen: Tensor) -> dict[str, Tensor]:
        """A tile's maps of the content's layers."""
        maps = self.features(seen)
        return {
            name: window.core(maps[name], self._stride(name)).clone()
            for name in self.weights.content
        }

    def _content(self, cores: dict[str, Tensor], target: dict[str, Tensor]) -> Tensor:
        """A tile's part of the content's part of the loss."""
        parts = [
            weight * (target[name].numel() / self.values[name])
            * content_loss(cores[name], target[name])
            for name, weight in self.weights.content.items()
        ]  # fmt: skip
        return torch.stack(parts).sum() if parts else torch.zeros(())

    def _grams(self, picture: Tensor, regions: Sequence[int | None]) -> Grams:
        """The Gram matrices of a picture of any size."""
        size = picture.shape[2], picture.shape[3]
        sums: Grams = {}
        for window in windows(size, self.tile, self.margin):
            made = self._products(window, self.features(window.of(picture)), regions)
            sums = {key: sums[key] + part if sums else part for key, part in made.items()}
        return sums

    def _products(
        self, window: Window, maps: dict[str, Tensor], regions: Sequence[int | None]
    ) -> Grams:
        """A tile's part of the Gram matrices of its picture."""
        found: Grams = {}
        for name in self.weights.style:
            core, stride = window.core(maps[name], self._stride(name)), self._stride(name)
            whole = window.whole(maps[name], stride)
            for region in regions:
                if region is None:
                    part = core[0, 0].numel() / (whole[0] * whole[1])
                    found[name, region] = gram_matrix(core) * part
                    continue
                share = self._share(region, whole)
                y, x = window.tile[0] // stride, window.tile[1] // stride
                here = share[y : y + core.shape[2], x : x + core.shape[3]]
                if here.any():
                    gram = gram_matrix(core, here) * (here.sum() / share.sum())
                else:
                    gram = torch.zeros((core.shape[1],) * 2, device=core.device)
                found[name, region] = gram
        return found

    def _share(self, region: int | None, size: tuple[int, int]) -> Tensor:
        """What counts of each position of maps, (H', W')."""
        if (region, size) not in self._shares:
            mask = self.styles[region or 0].mask
            assert mask is not None
            self._shares[region, size] = F.adaptive_avg_pool2d(mask[None, None], size)[0, 0]
        return self._shares[region, size]

    def _style(self, grams: Grams) -> Tensor:
        """The styles' part of the loss."""
        parts = [
            style.weight * weight
            * style_loss(grams[name, None if style.mask is None else i], target[name, None])
            for i, (style, target) in enumerate(zip(self.styles, self.targets, strict=True))
            for name, weight in self.weights.style.items()
        ]  # fmt: skip
        return torch.stack(parts).sum()

    def _variation(self, picture: Tensor) -> Tensor:
        """The roughness's part of the loss."""
        return self.weights.variation * total_variation(picture)


def _told(content: Tensor, style: Tensor, variation: Tensor) -> Losses:
    return Losses(*(float(part.detach()) for part in (content, style, variation)))
