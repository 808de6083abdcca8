"""Squeeze and excitation: a network learns which of its channels matter for this picture.

Hu, Shen, Albanie, Sun, Wu, "Squeeze-and-excitation networks", 2017, arXiv 1709.01507. The gate
itself is ``layers.SqueezeExcitation``. The networks for ImageNet follow the paper's Caffe models:
bottlenecks have their stride in the first 1×1, and the stem's pooling rounds up and does not pad.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from boda.errors import UsageError
from boda.models import register
from boda.models.layers import SqueezeExcitation
from boda.models.parts import blocks
from boda.models.resnet import BasicBlock, Bottleneck, CifarResNet, ResidualBlock, ResNet

PAPER = "Hu, Shen, Albanie, Sun, Wu 2017, arXiv 1709.01507"
LEAST = 4  # squeezed values; a single one is dead behind its ReLU as often as not


class OriginalBottleneck(Bottleneck):
    """With its stride in the first 1×1, as in the papers."""

    stride_first = True


class Gated(nn.Module):
    """A block and a gate on its output: (N, C, H, W) of the block → the same shape."""

    def __init__(self, block: nn.Module, se: nn.Module) -> None:
        super().__init__()
        self.block = block
        self.se = se

    def forward(self, x: Tensor) -> Tensor:
        """The block's channels, each times its gate."""
        return self.se(self.block(x))


def with_squeeze_excitation(model: nn.Module, r: int = 16, size: int = 224) -> nn.Module:
    """Attach squeeze-and-excitation gates to a network, which then has r channels for one squeezed.

    Where: at every block of several convolutions (residual, inception, fire, inverted residual,
    depthwise-separable), or, in a network without such blocks (LeNet, AlexNet, VGG), at every
    convolution, behind its batch norm; never at the head. A block with a shortcut is gated before
    the shortcut is added, as in the paper; its new tensors are called ``….se.fc1.weight`` and so on,
    the old ones keep their names. Every other block X becomes a ``Gated``, with the old tensors under
    ``X.block`` and the new ones under ``X.se``. To start from public weights, load them first.

    A convolution is gated before its ReLU. Since gates are positive, relu(g·x) = g·relu(x): only
    the averages that the gate looks at are those before the ReLU.

    Args:
        model: changed in place.
        r: the reduction; never below four squeezed values.
        size: of a picture that the network takes; only shapes are computed with it.

    Returns:
        The model.

    Raises:
        UsageError: the network has no convolutions before its head, or has gates already.
    """
    if r < 1:
        raise UsageError(f"r={r}: a gate squeezes C channels to C/r. Give 1 or more, such as 16.")
    places = _places(model)
    if not places:
        raise UsageError(
            f"{type(model).__name__} has no convolutions to gate before its head. "
            "Choose a convolutional network, such as resnet20."
        )
    names = {module: name for name, module in model.named_modules()}
    for place in places:
        if getattr(place, "se", None) is not None:
            raise UsageError(f"{names[place]} has a gate already. Start from a network without.")
    channels = [_told(place) for place in places]
    if None in channels:
        channels = _seen(model, [names[place] for place in places], size)
    for place, width in zip(places, channels, strict=True):
        assert width is not None
        se = SqueezeExcitation(width, max(LEAST, width // r)).to(next(model.parameters()))
        if hasattr(place, "se"):
            place.se = se
        else:
            model.set_submodule(names[place], Gated(place, se))
    return model


def _places(model: nn.Module) -> list[nn.Module]:
    """The blocks of several convolutions, or else the ends of those that have one."""
    found = [(block[-1], sum(map(_convolutions, block))) for block in blocks(model)]
    several = [last for last, convolutions in found if convolutions > 1]
    return several or [last for last, convolutions in found if convolutions == 1]


def _convolutions(module: nn.Module) -> int:
    return sum(p.ndim > 2 for p in module.parameters())  # a dense layer has two dimensions


def _told(module: nn.Module) -> int | None:
    """The channels of its output, where it says how many."""
    return getattr(module, "out_channels", None) or getattr(module, "num_features", None)


def _seen(model: nn.Module, names: list[str], size: int) -> list[int | None]:
    """Of these modules, by a pass on a copy that has shapes and no numbers."""
    twin = copy.deepcopy(model).to("meta").eval()
    found: dict[str, int] = {}
    for name in names:

        def note(_module: nn.Module, _inputs: object, out: Tensor, name: str = name) -> None:
            found[name] = out.shape[1]

        twin.get_submodule(name).register_forward_hook(note)
    first = next(p for p in twin.parameters() if p.ndim == 4)
    with torch.no_grad():
        twin(torch.empty(1, first.shape[1], size, size, device="meta", dtype=first.dtype))
    return [found[name] for name in names]


def _caffe(
    block: type[ResidualBlock], depths: tuple[int, int, int, int], classes: int, channels: int
) -> nn.Module:
    net = ResNet(block, depths, classes, channels)
    net.maxpool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
    net.smallest = 19
    return with_squeeze_excitation(net)


@register("seresnet20", size=32, smallest=3, paper=PAPER)
def seresnet20(classes: int, channels: int) -> nn.Module:
    """ResNet-20 for CIFAR-sized pictures with gates that squeeze to four values."""
    return with_squeeze_excitation(CifarResNet(3, classes, channels))


@register("seresnet18", size=224, smallest=19, classes=1000, paper=PAPER)
def seresnet18(classes: int, channels: int) -> nn.Module:
    """SE-ResNet-18; 11,778,592 parameters with a thousand classes."""
    return _caffe(BasicBlock, (2, 2, 2, 2), classes, channels)


@register("seresnet50", size=224, smallest=19, classes=1000, paper=PAPER)
def seresnet50(classes: int, channels: int) -> nn.Module:
    """SE-ResNet-50; 28,088,024 parameters with a thousand classes."""
    return _caffe(OriginalBottleneck, (3, 4, 6, 3), classes, channels)
