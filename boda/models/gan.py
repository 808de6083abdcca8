"""Generator against discriminator: the first ones, made of dense layers, and what later ones share.

Goodfellow, Pouget-Abadie, Mirza, Xu, Warde-Farley, Ozair, Courville, Bengio, "Generative adversarial
nets", 2014, arXiv 1406.2661; widths, dropout and first weights are those of its authors' program for
MNIST. With classes, the generator gets one vector a class beside its noise (after Mirza, Osindero,
"Conditional generative adversarial nets", 2014, arXiv 1411.1784), and the discriminator adds the
product of its features with another (Miyato, Koyama, "cGANs with projection discriminator", 2018,
arXiv 1802.05637).

Deviations: the generator ends in tanh, which is the paper's sigmoid from −1 to 1, and without its
first biases from the data's mean; weights are not cut to a length.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from boda.errors import UsageError
from boda.models import register

PAPER = "Goodfellow et al. 2014, arXiv 1406.2661"
CONDITIONAL = "Mirza, Osindero 2014, arXiv 1411.1784"
PIECES = 5  # straight lines that a maxout unit is the largest of
REACHES = 0.05, 0.005  # first weights are uniform up to this: of the generator, the discriminator


class Generator(nn.Module):
    """Noise, and the vector of a class, to pictures: (N, noise) → (N, C, H, W) in −1..1.

    Args:
        layers: (N, noise), or (N, 2·noise) with classes, to pictures.
        noise: numbers that a picture is made of.
        classes: 0 for none.
    """

    def __init__(self, layers: nn.Module, noise: int, classes: int = 0) -> None:
        super().__init__()
        self.noise, self.classes = noise, classes
        self.kinds = nn.Embedding(classes, noise) if classes else None
        if self.kinds is not None:
            nn.init.uniform_(self.kinds.weight, -1, 1)  # as the noise: neither drowns the other
        self.layers = layers

    def forward(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """Labels (N,) integers where there are classes, None else.

        Raises:
            UsageError: noise of another length, labels that lack or that nothing is there for.
        """
        if noise.ndim != 2 or noise.shape[1] != self.noise:
            raise UsageError(
                f"noise of shape {tuple(noise.shape)}. Give (N, {self.noise}) numbers from −1 to 1."
            )
        if self.kinds is not None:
            noise = torch.cat([noise, self.kinds(_of_classes(labels, self.classes))], 1)
        else:
            _of_none(labels)
        return self.layers(noise)


class Discriminator(nn.Module):
    """How real pictures look: (N, C, H, W) → (N,) logits, above 0 for real.

    Args:
        features: (N, C, H, W) → (N, D).
        head: D → 1.
        kinds: (classes, D), or None without classes.
        shape: (C, side) of the pictures.
    """

    def __init__(
        self,
        features: nn.Module,
        head: nn.Linear,
        kinds: nn.Embedding | None,
        shape: tuple[int, int],
    ) -> None:
        super().__init__()
        self.features, self.head, self.kinds, self.shape = features, head, kinds, shape

    @property
    def mixes(self) -> bool:
        """Whether pictures of a batch change each other's logits: a gradient penalty forbids it."""
        return any(isinstance(module, nn.BatchNorm2d) for module in self.modules())

    def forward(self, pictures: Tensor, labels: Tensor | None = None) -> Tensor:
        """Labels (N,) integers where there are classes, None else.

        Raises:
            UsageError: pictures of another size, labels that lack or that nothing is there for.
        """
        features = self.features(self._fitting(pictures))
        logits = self.head(features)[:, 0]
        if self.kinds is None:
            _of_none(labels)
            return logits
        directions = self.kinds(_of_classes(labels, self.kinds.num_embeddings))
        return logits + (directions * features).sum(1)

    def all_classes(self, pictures: Tensor) -> Tensor:
        """(N, classes) logits, of each picture as each class; (N, 1) without classes."""
        features = self.features(self._fitting(pictures))
        logits = self.head(features)
        return logits if self.kinds is None else logits + features @ self.kinds.weight.T

    def _fitting(self, pictures: Tensor) -> Tensor:
        channels, side = self.shape
        if pictures.shape[1:] != (channels, side, side):
            raise UsageError(
                f"this discriminator looks at {channels}×{side}×{side}, these pictures have "
                f"{'×'.join(map(str, pictures.shape[1:]))}. Use --size {side}, or build another."
            )
        return pictures


class Adversaries(nn.Module):
    """The two as one network: pictures (N, C, H, W) in, what the discriminator says of them out."""

    def __init__(self, generator: Generator, discriminator: Discriminator) -> None:
        super().__init__()
        self.generator, self.discriminator = generator, discriminator

    def forward(self, pictures: Tensor) -> Tensor:
        """(N, 1) logits, above 0 for real; with classes (N, classes), how real as each of them."""
        return self.discriminator.all_classes(pictures)

    def generate(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """Pictures from noise, as in ``draw``.

        Args:
            noise: (N, noise).
            labels: (N,) integers where there are classes, None else.

        Returns:
            (N, C, H, W), −1 (black) to 1 (white).
        """
        return self.generator(noise, labels)

    def draw(self, count: int, random: torch.Generator | None = None) -> Tensor:
        """Noise for so many pictures, (count, noise) uniform in −1..1, as in both papers.

        What lies between two such points is such a point too: pictures on the way from one to the
        other have noise like that of training. Drawn on the CPU, so that it is the same everywhere.
        """
        return 2 * torch.rand(count, self.generator.noise, generator=random) - 1


class Maxout(nn.Linear):
    """The largest of five dense units, for each output: (N, D) → (N, D').

    Goodfellow, Warde-Farley, Mirza, Courville, Bengio, "Maxout networks", 2013, arXiv 1302.4389.
    """

    def __init__(self, numbers: int, units: int) -> None:
        super().__init__(numbers, units * PIECES)

    def forward(self, x: Tensor) -> Tensor:
        """Linear, then the maximum over the pieces."""
        return super().forward(x).unflatten(1, (-1, PIECES)).amax(2)


def gan(
    channels: int = 1, size: int = 28, width: int = 1200, noise: int = 100, classes: int = 0
) -> Adversaries:
    """The first GAN, of dense layers; on 28×28 2,503,984 and 1,231,441 parameters.

    Args:
        channels: of the pictures, (channels, size, size).
        size: their side.
        width: units of the generator's hidden layers; the discriminator's have a fifth, of five
            pieces each.
        noise: numbers that a picture is made of.
        classes: 0 for none.

    Raises:
        UsageError: a number that leaves no layer.
    """
    if min(channels, size, noise) < 1 or width < PIECES:
        raise UsageError(
            f"a GAN of {channels} channels, size {size}, width {width} and {noise} numbers of noise. "
            f"Give 1 or more, and a width of {PIECES} or more."
        )
    pixels, units = channels * size * size, width // PIECES
    upwards = nn.Sequential(
        nn.Linear(noise * (2 if classes else 1), width),
        nn.ReLU(inplace=True),
        nn.Linear(width, width),
        nn.ReLU(inplace=True),
        nn.Linear(width, pixels),
        nn.Tanh(),
        nn.Unflatten(1, (channels, size, size)),
    )
    features = nn.Sequential(
        nn.Flatten(),
        nn.Dropout(0.2),
        Maxout(pixels, units),
        nn.Dropout(0.5),
        Maxout(units, units),
        nn.Dropout(0.5),
    )
    head = nn.Linear(units, 1)
    kinds = nn.Embedding(classes, units) if classes else None
    judge = Discriminator(features, head, kinds, (channels, size))
    for part, reach in zip((upwards, judge), REACHES, strict=True):
        _begin(part, reach)
    return Adversaries(Generator(upwards, noise, classes), judge)


@register(
    "gan", size=28, smallest=28, paper=PAPER, channels=1, task="generate", method="adversarial"
)
def gan_2014(classes: int, channels: int, size: int = 28, width: int = 1200) -> Adversaries:
    """The first GAN, of dense layers with maxout, dropout and 100 numbers of noise."""
    return gan(channels, size, width)


@register(
    "gan-conditional",
    size=28,
    smallest=28,
    paper=CONDITIONAL,
    channels=1,
    task="generate",
    method="adversarial",
)
def gan_conditional(classes: int, channels: int, size: int = 28, width: int = 1200) -> Adversaries:
    """The first GAN, told which class to draw."""
    return gan(channels, size, width, classes=classes)


def _begin(net: nn.Module, reach: float) -> None:
    for module in net.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.uniform_(module.weight, -reach, reach)
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)


def _of_classes(labels: Tensor | None, classes: int) -> Tensor:
    if labels is None:
        raise UsageError(f"this network draws classes. Give a label, 0 to {classes - 1}, for each.")
    return labels


def _of_none(labels: Tensor | None) -> None:
    if labels is not None:
        raise UsageError("this network knows no classes. Give no labels, or build it with classes.")
