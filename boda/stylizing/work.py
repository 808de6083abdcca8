"""What a style transfer is asked for, made ready for a size: pictures, masks, layers and their weights.

Deviation from Gatys et al. 2015, arXiv 1508.06576: each layer's loss is divided by the mean square of
its maps (the content's, by that of the content's picture; a style's, by its square, of the styles'),
so that a weight means the same for every network.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from PIL import Image as Pillow
from torch import Tensor

from boda import machine, models
from boda.errors import UsageError
from boda.stylizing import colours
from boda.stylizing.features import Source
from boda.stylizing.objective import Objective, Style, Weights, windows
from boda.stylizing.optimizing import REMEMBERED
from boda.stylizing.options import StylizeOptions, parse_layers, parse_shares

GIGA = 10**9
HELD = 3  # times the maps themselves: what paddings and poolings keep, and gradients
BALANCED = 256  # pixels of the longer side of pictures by which the layers are balanced


@dataclass
class Request:
    """The pictures, as they were given.

    Attributes:
        content: (H, W, 3) uint8.
        styles: likewise, one or more.
        masks: (H, W) uint8 for each style, white where it goes; none = everywhere.
    """

    content: np.ndarray
    styles: Sequence[np.ndarray]
    masks: Sequence[np.ndarray] = field(default_factory=list)


class Work:
    """What is the same at every size: the network, its layers and their weights.

    Attributes:
        style_layers, content_layers: with their weights as they were asked for.
        weights: of the layers, balanced.
        shares: of the styles; they add up to 1.
        rough: whether the processor is quick in bfloat16.
    """

    def __init__(
        self, request: Request, options: StylizeOptions, source: Source, device: str
    ) -> None:
        self.request, self.options, self.source, self.device = request, options, source, device
        self.rough = machine.choose_precision(options.precision, device) == "bf16"
        default = source.default_layers() if _needed(options) else ((), "")
        self.style_layers = (
            parse_layers(options.style_layers, "style-layers")
            if options.style_layers is not None
            else dict.fromkeys(default[0], 1.0)
        )
        self.content_layers = (
            parse_layers(options.content_layers, "content-layers")
            if options.content_layers is not None
            else {default[1]: 1.0}
        )
        self.names = [*dict.fromkeys([*self.content_layers, *self.style_layers])]
        source.check(self.names)
        self.shares = parse_shares(options.shares, len(request.styles))
        if any(not mask.any() for mask in request.masks):
            raise UsageError(
                "a mask is black everywhere: its style would go nowhere. Leave it away."
            )
        self.weights = self._balanced()

    def steps(self, level: int) -> int:
        """Gradients at this size."""
        return self.options.steps if level == 0 else math.ceil(self.options.steps / 2)

    def at(self, size: int) -> Level:
        """The work at one size of the longer side."""
        return Level(self, _proportioned(self.request.content, size))

    def begin(self, level: Level) -> Tensor:
        """The picture to begin with."""
        if self.options.start == "content":
            return level.content
        generator = torch.Generator().manual_seed(self.options.seed)
        return torch.rand((1, 3, *level.size), generator=generator).to(self.device)

    def tensor(self, picture: np.ndarray, size: tuple[int, int]) -> Tensor:
        """A picture at a size, antialiased, (1, C, H, W) in 0..1."""
        drawn = Pillow.fromarray(picture)
        if picture.shape[:2] != size:
            drawn = drawn.resize(size[::-1], Pillow.Resampling.LANCZOS)
        values = torch.from_numpy(np.array(drawn)).to(self.device).float() / 255
        return (
            values[None, None] if values.ndim == 2 else values.permute(2, 0, 1)[None].contiguous()
        )

    def style(self, number: int, longer: int, content: Tensor) -> Style:
        """A style at a size of its longer side, or at its own where that is less."""
        picture = self.request.styles[number]
        longer = min(round(longer * self.options.style_size), max(picture.shape[:2]))
        values = self.tensor(picture, self._large_enough(_proportioned(picture, longer), "a style"))
        if self.options.colors == "histogram":
            values = colours.matched(values, content)
        elif self.options.colors == "luminance":
            bright = [colours.brightness(p)[:, :1] for p in (values, content)]
            values = colours.matched(*bright).expand(-1, 3, -1, -1)
        mask = None
        if self.request.masks:
            size = content.shape[2], content.shape[3]
            mask = self.tensor(self.request.masks[number], size)[0, 0]
        return Style(values, self.shares[number], mask)

    def content(self, size: tuple[int, int]) -> Tensor:
        """The content, gray where brightness alone is transferred."""
        values = self.tensor(self.request.content, self._large_enough(size, "the content"))
        return colours.brightness(values) if self.options.colors == "luminance" else values

    def _large_enough(self, size: tuple[int, int], what: str) -> tuple[int, int]:
        smallest = models.entry(self.source.model).smallest
        if min(size) < smallest:
            raise UsageError(
                f"{what} would have {size[1]}×{size[0]} pixels, and {self.source.model} needs "
                f"{smallest} each way. Give a larger --size, or another picture."
            )
        return size

    def _balanced(self) -> Weights:
        """The weights of the layers, over what their maps amount to."""
        features = self.source.features(self.names, device=self.device)
        small = min(BALANCED, self.options.size)
        content = self.content(_proportioned(self.request.content, small))
        with torch.no_grad():
            maps = features(content)
            squares = {name: maps[name].square().mean().item() for name in self.content_layers}
            amounts = dict.fromkeys(self.style_layers, 0.0)
            for number, share in enumerate(self.shares):
                style = features(self.style(number, small, content).picture)
                for name in amounts:
                    amounts[name] += share * style[name].square().mean().item()
        total, all_style = (sum(w.values()) for w in (self.content_layers, self.style_layers))
        tiny = torch.finfo(torch.float32).tiny
        return Weights(
            {k: w / total / max(squares[k], tiny) for k, w in self.content_layers.items()},
            {
                k: self.options.style_weight * w / all_style / max(amounts[k] ** 2, tiny)
                for k, w in self.style_layers.items()
            },
            self.options.variation,
        )


class Level:
    """The work at one size, (H, W)."""

    def __init__(self, work: Work, size: tuple[int, int]) -> None:
        self.work, self.size = work, size
        self.content = work.content(size)
        self.styles = [
            work.style(number, max(size), self.content)
            for number in range(len(work.request.styles))
        ]
        self.tile, self.margin = self._tile()
        self.tiles = len(windows(size, self.tile, self.margin))

    def objective(self, dtype: torch.dtype) -> Objective:
        """The loss at this size, computed in a dtype."""
        work = self.work
        features = work.source.features(work.names, dtype, work.device)
        return Objective(features, self.content, self.styles, work.weights, self.tile, self.margin)

    def remembered(self) -> int:
        """Pairs that L-BFGS keeps: those that take half as much memory as the maps may, 3 at least."""
        pair = 2 * self.content.numel() * self.content.element_size()
        return max(3, min(REMEMBERED, int(self.work.options.memory * GIGA / 2 / pair)))

    def finished(self, pixels: Tensor) -> np.ndarray:
        """What the pixels (1, 3, H, W) are as a picture, (H, W, 3) uint8."""
        if self.work.options.colors == "luminance":
            coloured = self.work.tensor(self.work.request.content, self.size)
            pixels = colours.recoloured(pixels.clamp(0, 1), coloured)
        values = (pixels[0].clamp(0, 1) * 255).round().byte()
        return values.permute(1, 2, 0).cpu().numpy()

    def _tile(self) -> tuple[int, int]:
        """The side of a tile whose maps fit into the memory, and the margin around it; 0, 0 = none."""
        source, allowed = self.work.source, self.work.options.memory * GIGA
        last = source.deepest(self.work.names)
        each = source.bytes(last, torch.float32) * HELD
        largest = max(self.size, *(style.picture.shape[2:] for style in self.styles), key=math.prod)
        if math.prod(largest) * each <= allowed:
            return 0, 0
        needed = f"--memory {math.ceil(math.prod(largest) * each / GIGA)}, or a smaller --size"
        margin = source.margin(last)
        if margin is None:
            raise UsageError(
                f"{largest[1]}×{largest[0]} pixels are too many for {self.work.options.memory:g} GB "
                f"with {source.model}. Give {needed}; a VGG is computed in tiles."
            )
        stride = source.layers[last].stride
        side = math.isqrt(int(allowed / each)) - 2 * margin
        if side < stride:
            raise UsageError(
                f"{self.work.options.memory:g} GB are too little for one tile. Give {needed}."
            )
        return side // stride * stride, margin


def as_mask(picture: np.ndarray) -> np.ndarray:
    """(H, W) uint8, how bright a picture (H, W, 3) is."""
    return np.asarray(Pillow.fromarray(picture).convert("L"))


def _proportioned(picture: np.ndarray, longer: int) -> tuple[int, int]:
    """(H, W) of a picture at a size of its longer side."""
    scale = longer / max(picture.shape[:2])
    return max(1, round(picture.shape[0] * scale)), max(1, round(picture.shape[1] * scale))


def _needed(options: StylizeOptions) -> bool:
    """Whether a layer is left to boda."""
    return options.style_layers is None or options.content_layers is None
