"""``conv4``: four convolutions for small drawings, the network of the one-shot literature.

Vinyals, Blundell, Lillicrap, Kavukcuoglu, Wierstra, "Matching networks for one shot learning", 2016,
arXiv 1606.04080, section 4.1.1. Deviations: the last maps are averaged, which for their 28×28 is no
change, since a single value is left of each; convolutions before a batch norm have no bias.
"""

from __future__ import annotations

from torch import Tensor, nn

from boda.models import register
from boda.models.layers import ConvNorm, at_least, initialize, rounded

PAPER = "Vinyals, Blundell, Lillicrap, Kavukcuoglu, Wierstra 2016, arXiv 1606.04080"
SMALLEST = 16  # pixels: four poolings leave one of them


class Conv4(nn.Module):
    """Four times 3×3 convolution, batch norm, ReLU and 2×2 max pooling; average, one dense layer.

    Args:
        classes, channels: of the output and of the pictures.
        width: multiplies the 64 channels.
    """

    def __init__(self, classes: int = 1200, channels: int = 1, width: float = 1.0) -> None:
        super().__init__()
        inside = rounded(64 * width)
        self.features = nn.Sequential(
            *(
                ConvNorm(before, inside, activation=nn.ReLU).append(nn.MaxPool2d(2))
                for before in (channels, inside, inside, inside)
            )
        )
        self.fc = nn.Linear(inside, classes)
        initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) → (N, classes) logits."""
        at_least(x, SMALLEST, "conv4")
        return self.fc(self.features(x).mean((2, 3)))


@register("conv4", size=28, smallest=SMALLEST, channels=1, classes=1200, paper=PAPER)
def conv4(classes: int, channels: int, width: float = 1.0) -> Conv4:
    """Four convolutions for drawings of 28×28, the classes being the characters learned from."""
    return Conv4(classes, channels, width)
