"""The network that flattens: every pixel is an input of its own, where it lies means nothing.

The lecture notes' reason for convolution; two hidden layers as in LeCun et al. 1998, table of Fig.
9.
"""

from __future__ import annotations

from torch import Tensor, nn

from boda.errors import UsageError
from boda.models import register


class MLP(nn.Module):
    """flatten → 300 → 100 → classes, ReLU between. Takes (N, channels, side, side) of one side only."""

    def __init__(self, classes: int = 10, channels: int = 1, side: int = 32) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels * side * side, 300),
            nn.ReLU(),
            nn.Linear(300, 100),
            nn.ReLU(),
            nn.Linear(100, classes),
        )

        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, side, side) → (N, classes) logits."""
        if x.shape[-2:] != (self.side, self.side):
            height, width = x.shape[-2:]
            raise UsageError(
                f"mlp has a weight for every pixel of {self.side}×{self.side} and none for "
                f"{height}×{width}. "
                f"Use --size {self.side}."
            )
        return self.layers(x)


@register("mlp", size=32, smallest=32, channels=1, paper="LeCun, Bottou, Bengio, Haffner 1998")
def mlp(classes: int, channels: int) -> MLP:
    """A multi-layer perceptron 300-100 on flattened 32×32 pictures; keeps no spatial information."""
    return MLP(classes, channels)
