"""AlexNet, the network that won ImageNet in 2012 and brought convolution back.

Krizhevsky, Sutskever, Hinton, "ImageNet classification with deep convolutional neural networks",
2012 (``alexnet-2012``); Krizhevsky, "One weird trick for parallelizing convolutional neural
networks", 2014, arXiv 1404.5997 (``alexnet``, all of it in one column, without normalization). Both
average the last maps to 6×6 where pictures are not of the published size. ``alexnet-2012`` takes
227×227, without which its maps are not the 55×55 of the paper, which says 224. ``alexnet`` has
torchvision's names and PyTorch's initial weights.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from boda.models import register
from boda.models.layers import at_least


class AlexNet(nn.Module):
    """Five convolutions, then three dense layers.

    Args:
        features: (N, channels, H, W) → (N, 256, H', W'), five convolutions and their poolings.
        classifier: (N, 256·6·6) → (N, classes).
        smallest: height and width below which the features leave nothing.
    """

    def __init__(self, features: nn.Sequential, classifier: nn.Sequential, smallest: int) -> None:
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d(6)
        self.classifier = classifier
        self.smallest = smallest

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) → (N, classes) logits."""
        at_least(x, self.smallest, "AlexNet")
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


def overlapping_pool() -> nn.MaxPool2d:
    """Windows of 3, two apart: neighbours share a line, which overfits a little less."""
    return nn.MaxPool2d(3, 2)


def response_norm() -> nn.LocalResponseNorm:
    """b_i = a_i / (2 + 10⁻⁴ Σ a_j²)^0.75, over the five maps j around map i at the same place.

    PyTorch takes the mean of the squares where the paper takes their sum; thus five times α.
    """
    return nn.LocalResponseNorm(5, alpha=5 * 1e-4, beta=0.75, k=2.0)


@register("alexnet", size=224, smallest=63, classes=1000, paper="Krizhevsky 2014, arXiv 1404.5997")
def alexnet(classes: int, channels: int) -> AlexNet:
    """AlexNet in one column, with torchvision's names; 61,100,840 parameters with 1,000 classes."""
    features = nn.Sequential(
        nn.Conv2d(channels, 64, 11, stride=4, padding=2),
        nn.ReLU(inplace=True),
        overlapping_pool(),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.ReLU(inplace=True),
        overlapping_pool(),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(inplace=True),
        overlapping_pool(),
    )
    classifier = nn.Sequential(
        nn.Dropout(),
        nn.Linear(256 * 6 * 6, 4096),
        nn.ReLU(inplace=True),
        nn.Dropout(),
        nn.Linear(4096, 4096),
        nn.ReLU(inplace=True),
        nn.Linear(4096, classes),
    )
    return AlexNet(features, classifier, smallest=63)


@register(
    "alexnet-2012", size=227, smallest=67, classes=1000, paper="Krizhevsky, Sutskever, Hinton 2012"
)
def alexnet_2012(classes: int, channels: int) -> AlexNet:
    """AlexNet as it was trained on two GPUs, in two halves; 60,965,224 parameters.

    A half was a GPU. The second, fourth and fifth convolution see only the maps of their own half,
    the third sees all: two groups, and one.
    """
    features = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(channels, 96, 11, stride=4),
            relu1=nn.ReLU(inplace=True),
            norm1=response_norm(),
            pool1=overlapping_pool(),
            conv2=nn.Conv2d(96, 256, 5, padding=2, groups=2),
            relu2=nn.ReLU(inplace=True),
            norm2=response_norm(),
            pool2=overlapping_pool(),
            conv3=nn.Conv2d(256, 384, 3, padding=1),
            relu3=nn.ReLU(inplace=True),
            conv4=nn.Conv2d(384, 384, 3, padding=1, groups=2),
            relu4=nn.ReLU(inplace=True),
            conv5=nn.Conv2d(384, 256, 3, padding=1, groups=2),
            relu5=nn.ReLU(inplace=True),
            pool5=overlapping_pool(),
        )
    )
    classifier = nn.Sequential(
        OrderedDict(
            fc6=nn.Linear(256 * 6 * 6, 4096),
            relu6=nn.ReLU(inplace=True),
            drop6=nn.Dropout(),
            fc7=nn.Linear(4096, 4096),
            relu7=nn.ReLU(inplace=True),
            drop7=nn.Dropout(),
            fc8=nn.Linear(4096, classes),
        )
    )
    net = AlexNet(features, classifier, smallest=67)
    # Biases of one give the layers named here positive inputs to their ReLUs from the start.
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
            early = name.endswith(("conv2", "conv4", "conv5", "fc6", "fc7"))
            nn.init.constant_(module.bias, 1.0 if early else 0.0)  # type: ignore[arg-type]
    return net
