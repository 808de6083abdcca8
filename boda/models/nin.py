"""Network in network: behind each convolution a small perceptron slides over the picture with it.

Lin, Chen, Yan, "Network in network", 2013, arXiv 1312.4400; here the network for CIFAR-10. A 1×1
convolution is a dense layer at every place, and the mean over the last maps, one a class, takes the
place of the dense layers at the end. The paper leaves the widths open; they are those of the
authors' published network, whose second pooling is an average. Deviation: He's initial weights
(arXiv 1502.01852).
"""

from __future__ import annotations

from torch import Tensor, nn

from boda.models import register
from boda.models.layers import at_least, initialize


def convolution(channels: int, out_channels: int, kernel: int) -> list[nn.Module]:
    """A convolution that keeps the size, and ReLU."""
    return [nn.Conv2d(channels, out_channels, kernel, padding=kernel // 2), nn.ReLU(inplace=True)]


def mlpconv(channels: int, widths: tuple[int, int, int], kernel: int) -> list[nn.Module]:
    """A convolution, then two of 1×1: the perceptron's layers. Each is followed by ReLU."""
    first, second, third = widths
    return [
        *convolution(channels, first, kernel),
        *convolution(first, second, 1),
        *convolution(second, third, 1),
    ]


class NetworkInNetwork(nn.Module):
    """Three mlpconv layers; the last has a map for each class, whose mean is the class's logit.

    Takes (N, channels, H, W) with H, W >= 4. The third mlpconv layer reaches into the classifier.
    """

    def __init__(self, classes: int = 10, channels: int = 3) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *mlpconv(channels, (192, 160, 96), 5),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            nn.Dropout(),
            *mlpconv(96, (192, 192, 192), 5),
            nn.AvgPool2d(3, 2, ceil_mode=True),
            nn.Dropout(),
            *convolution(192, 192, 3),
            *convolution(192, 192, 1),
        )
        self.classifier = nn.Sequential(
            *convolution(192, classes, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
        initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) → (N, classes) logits, none below zero."""
        at_least(x, 4, "nin")
        return self.classifier(self.features(x))


@register("nin", size=32, smallest=4, paper="Lin, Chen, Yan 2013, arXiv 1312.4400")
def nin(classes: int, channels: int) -> NetworkInNetwork:
    """Network in network for CIFAR-sized pictures; 966,986 parameters with ten classes."""
    return NetworkInNetwork(classes, channels)
