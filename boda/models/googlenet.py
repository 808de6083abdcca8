"""GoogLeNet: modules that look at several sizes at once, and 22 layers with a tenth of the weights.

Szegedy et al., "Going deeper with convolutions", 2014, arXiv 1409.4842 (``googlenet-2014``).
Deviations of that: response normalization has AlexNet's constants, which the paper does not give,
and convolutions begin with He's weights (arXiv 1502.01852). ``googlenet`` is what torchvision has
under that name, so that its weights fit: batch norm instead of biases and response normalization,
3×3 kernels where the paper has 5×5, a last pooling of 2×2 instead of 3×3, and less dropout.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from boda.models import register
from boda.models.alexnet import response_norm
from boda.models.layers import at_least

PAPER = "Szegedy, Liu, Jia, Sermanet, Reed, Anguelov, Erhan, Vanhoucke, Rabinovich 2014"
# The paper's Table 1: 1×1; reduction and 3×3; reduction and 5×5; projection behind the pooling.
INCEPTIONS = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
WATCHED = {"4a": "aux1", "4d": "aux2"}  # the modules whose output an auxiliary head judges


def convolution(
    channels: int, out_channels: int, kernel: int, *, norm: bool, stride: int = 1
) -> nn.Sequential:
    """Convolution that keeps the size (but for its stride), batch norm or a bias, ReLU."""
    parts: dict[str, nn.Module] = {
        "conv": nn.Conv2d(channels, out_channels, kernel, stride, kernel // 2, bias=not norm)
    }
    if norm:
        parts["bn"] = nn.BatchNorm2d(out_channels, eps=1e-3)
    return nn.Sequential(OrderedDict(parts, relu=nn.ReLU(inplace=True)))


class Inception(nn.Module):
    """1×1, 3×3, 5×5 and a pooling side by side: (N, channels, H, W) → (N, the sum of four, H, W).

    Args:
        channels: of the input.
        widths: a row of ``INCEPTIONS``; 1×1 convolutions reduce what the dear 3×3 and 5×5 see.
        norm: batch norm, and torchvision's 3×3 in the place of 5×5.
    """

    def __init__(self, channels: int, widths: tuple[int, ...], *, norm: bool) -> None:
        super().__init__()
        one, reduce3, three, reduce5, five, pooled = widths
        self.branch1 = convolution(channels, one, 1, norm=norm)
        self.branch2 = nn.Sequential(
            convolution(channels, reduce3, 1, norm=norm),
            convolution(reduce3, three, 3, norm=norm),
        )
        self.branch3 = nn.Sequential(
            convolution(channels, reduce5, 1, norm=norm),
            convolution(reduce5, five, 3 if norm else 5, norm=norm),
        )
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(3, 1, padding=1), convolution(channels, pooled, 1, norm=norm)
        )
        self.out_channels = one + three + five + pooled

    def forward(self, x: Tensor) -> Tensor:
        """The four branches, one behind the other along the channels."""
        branches = (self.branch1, self.branch2, self.branch3, self.branch4)
        return torch.cat([branch(x) for branch in branches], 1)


class AuxiliaryHead(nn.Module):
    """A classifier in the middle of the network, so that the lower layers get a gradient too.

    (N, channels, H, W) → (N, classes). The paper's 5×5 pooling, 3 apart, makes 4×4 of 14×14. Maps
    of other sizes, and torchvision's always, are averaged to 4×4.
    """

    def __init__(self, channels: int, classes: int, *, norm: bool) -> None:
        super().__init__()
        self.conv = convolution(channels, 128, 1, norm=norm)
        self.fc1 = nn.Linear(4 * 4 * 128, 1024)
        self.dropout = nn.Dropout(0.7)
        self.fc2 = nn.Linear(1024, classes)
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        """Pooling, 1×1 convolution, two dense layers."""
        as_published = not self.norm and x.shape[-2:] == (14, 14)
        x = F.avg_pool2d(x, 5, 3) if as_published else F.adaptive_avg_pool2d(x, 4)
        x = F.relu(self.fc1(self.conv(x).flatten(1)))
        return self.fc2(self.dropout(x))


class GoogLeNet(nn.Module):
    """Three convolutions, nine inception modules, the mean of each map, one dense layer.

    Args:
        classes, channels: of the output and of the pictures.
        auxiliary: two more heads, which help in training; their losses count 0.3 each in the paper.
        norm: torchvision's network (True) or the paper's (False).
    """

    def __init__(
        self,
        classes: int = 1000,
        channels: int = 3,
        auxiliary: bool = False,
        *,
        norm: bool = True,
    ) -> None:
        super().__init__()
        self.smallest = 15 if norm else 31
        # In the order of use: forward goes through them as they stand.
        self.conv1 = convolution(channels, 64, 7, stride=2, norm=norm)
        self.maxpool1 = _pool(3)
        if not norm:
            self.norm1 = response_norm()
        self.conv2 = convolution(64, 64, 1, norm=norm)
        self.conv3 = convolution(64, 192, 3, norm=norm)
        if not norm:
            self.norm2 = response_norm()
        self.maxpool2 = _pool(3)
        channels = 192
        for name, widths in INCEPTIONS.items():
            inception = Inception(channels, widths, norm=norm)
            self.add_module(f"inception{name}", inception)
            channels = inception.out_channels
            if auxiliary and name in WATCHED:
                self.add_module(WATCHED[name], AuxiliaryHead(channels, classes, norm=norm))
            if name == "3b":
                self.maxpool3 = _pool(3)
            if name == "4e":
                self.maxpool4 = _pool(2 if norm else 3)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(0.2 if norm else 0.4)
        self.fc = nn.Linear(channels, classes)
        for module in self.modules():
            # By fan-in: behind every reduction fan-out would multiply, and there are 18 of them.
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """(N, channels, H, W) → (N, classes) logits.

        In training mode with auxiliary heads: (logits, those of the first head, of the second).
        """
        at_least(x, self.smallest, "GoogLeNet")
        judged = []
        for part in self.children():
            if not isinstance(part, AuxiliaryHead):
                x = part(x)
            elif self.training:
                judged.append(part(x))
        return (x, *judged) if judged else x


def _pool(size: int) -> nn.MaxPool2d:
    return nn.MaxPool2d(size, 2, ceil_mode=True)


@register("googlenet", size=224, smallest=15, classes=1000, paper=f"{PAPER}, arXiv 1409.4842")
def googlenet(classes: int, channels: int, auxiliary: bool = False) -> GoogLeNet:
    """GoogLeNet with batch norm, as torchvision has it; 6,624,904 parameters with 1,000 classes.

    Its public weights want pictures of mean 0.5 and standard deviation 0.5.
    """
    return GoogLeNet(classes, channels, auxiliary)


@register("googlenet-2014", size=224, smallest=31, classes=1000, paper=f"{PAPER}, arXiv 1409.4842")
def googlenet_2014(classes: int, channels: int, auxiliary: bool = False) -> GoogLeNet:
    """GoogLeNet as in the paper, with 5×5 kernels and biases; 6,998,552 parameters."""
    return GoogLeNet(classes, channels, auxiliary, norm=False)
