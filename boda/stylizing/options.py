"""What a person can choose in a style transfer: one list for the shell and for Python. No torch here."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from boda.errors import UsageError, unknown
from boda.options import option

STARTS = ("content", "noise")
OPTIMIZERS = ("lbfgs", "adam")
COLORS = ("style", "luminance", "histogram")
SMALLEST, LARGEST = 32, 16_384  # pixels of the longer side


@dataclass
class StylizeOptions:
    """How pixels are fitted."""

    network: str = option(
        "vgg19", "whose layers tell content and style; or a .safetensors that --fit wrote"
    )
    weights: str = option("imagenet", "of the network: a file, an https address, or `imagenet`")
    content_layers: str | None = option(
        None, "layers and their weights, as relu4_2 or relu3_2:1,relu4_2:2"
    )
    style_layers: str | None = option(
        None, "layers and their weights, as relu1_1,relu2_1:0.5; conv1_1, relu1_1 … of a VGG"
    )
    style_weight: float = option(1000.0, "how much the style counts where the content counts 1")
    shares: str | None = option(None, "of several styles, in their order, as 2,1; else equal")
    variation: float = option(0.0, "how much roughness counts; 0 = not")
    colors: str = option(
        "style", "style; luminance or histogram keep the content's (arXiv 1606.05897)"
    )
    start: str = option("content", "content or noise")
    size: int = option(512, "pixels of the longer side of the result")
    style_size: float = option(1.0, "size of the styles' pictures, 1 = the result's")
    steps: int = option(300, "gradients, at the first size; half as many at each further one")
    first_size: int = option(512, "where larger results begin; it doubles up to theirs")
    optimizer: str = option("lbfgs", "lbfgs or adam")
    rate: float = option(0.02, "of adam, where white is 1")
    memory: float = option(4.0, "GB for a tile's maps, and half as many for what lbfgs remembers")
    precision: str = option("auto", "auto, 32 or bf16, which ends in 32")
    device: str = option("auto", "auto, cpu, cuda or mps")
    seed: int = option(0, "of the noise")

    def __post_init__(self) -> None:
        for name, known in (("start", STARTS), ("optimizer", OPTIMIZERS), ("colors", COLORS)):
            if getattr(self, name) not in known:
                raise unknown(name, getattr(self, name), known)
        for name in ("size", "first_size"):
            if not SMALLEST <= getattr(self, name) <= LARGEST:
                raise UsageError(
                    f"--{_word(name)} is {getattr(self, name)}; it is {SMALLEST} to {LARGEST} pixels."
                )
        for name in ("style_weight", "style_size", "rate", "memory"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise UsageError(f"--{_word(name)} is {value:g}; it must be more than 0.")
        if self.steps < 1:
            raise UsageError(f"--steps is {self.steps}; it must be at least 1.")
        if not 0 <= self.variation < math.inf or self.seed < 0:
            raise UsageError("--variation and --seed must not be less than 0.")

    @classmethod
    def of(cls, values: dict[str, Any]) -> StylizeOptions:
        """From keyword arguments; an unknown one is a ``UsageError`` with the nearest."""
        names = [f.name for f in dataclasses.fields(cls)]
        for name in values:
            if name not in names:
                raise unknown("option", name, names)
        return cls(**values)

    @property
    def sizes(self) -> list[int]:
        """Of the longer side, from coarse to fine."""
        sizes = [self.size]
        while sizes[0] > self.first_size:
            sizes.insert(0, math.ceil(sizes[0] / 2))
        return sizes


def parse_layers(text: str, option: str) -> dict[str, float]:
    """Weights by layer of "relu1_1,relu2_1:0.5"; 1 where none is given.

    Raises:
        UsageError: a weight is no number above 0, or a layer is named twice.
    """
    found: dict[str, float] = {}
    for part in text.split(","):
        name, _, weight = part.strip().partition(":")
        if name in found:
            raise UsageError(f"--{option}: {name} is named twice.")
        found[name] = parse_weight(weight or "1", option)
    return found


def parse_shares(text: str | None, count: int) -> list[float]:
    """The shares of so many styles, which add up to 1.

    Raises:
        UsageError: not as many, or one is no number above 0.
    """
    if text is None:
        return [1 / count] * count
    given = [parse_weight(part, "shares") for part in text.split(",")]
    if len(given) != count:
        raise UsageError(
            f"--shares has {len(given)} numbers for {count} styles. Give one for each."
        )
    return [share / sum(given) for share in given]


def parse_weight(text: str, option: str) -> float:
    """A number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise UsageError(f"--{option}: '{text.strip()}' is no number above 0.")
    return value


def _word(name: str) -> str:
    return name.replace("_", "-")
