"""MobileNets: a convolution is parted into one for each channel and one across the channels.

v1: Howard, Zhu, Chen, Kalenichenko, Wang, Weyand, Andreetto, Adam, "MobileNets", 2017, arXiv
1704.04861. v2: Sandler, Howard, Zhu, Zhmoginov, Chen, "MobileNetV2: inverted residuals and linear
bottlenecks", 2018, arXiv 1801.04381; its tensors are named as in torchvision's files. ``width``
multiplies all channels. Deviations: v1 has ReLU6 as in its published code, where the paper writes
ReLU; widths are rounded to multiples of 8, which changes none of the published ones.
"""

from __future__ import annotations

from torch import Tensor, nn

from boda.errors import UsageError
from boda.models import register
from boda.models.layers import ConvNorm, at_least, initialize, rounded

PAPER_V1 = "Howard, Zhu, Chen, Kalenichenko, Wang, Weyand, Andreetto, Adam 2017, arXiv 1704.04861"
PAPER_V2 = "Sandler, Howard, Zhu, Zhmoginov, Chen 2018, arXiv 1801.04381"
SMALLEST = 17  # with less, a stride of 2 gets a single pixel


class DepthwiseSeparable(nn.Module):
    """3×3 in each channel, 1×1 across: (N, C, H, W) → (N, C', ⌈H/stride⌉, ⌈W/stride⌉).

    Costs 1/C' + 1/9 of the full 3×3. Batch norm and ReLU6 behind both.

    Args:
        channels, out_channels: C and C'.
        stride: of the 3×3.
    """

    def __init__(self, channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.depthwise = ConvNorm(
            channels, channels, 3, stride, depthwise=True, activation=nn.ReLU6
        )
        self.pointwise = ConvNorm(channels, out_channels, 1, activation=nn.ReLU6)
        self.out_channels = out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Depthwise, then pointwise."""
        return self.pointwise(self.depthwise(x))


class MobileNetV1(nn.Module):
    """Stem of stride 2, thirteen depthwise-separable blocks, global average, one dense layer.

    Args:
        classes, channels: of the output and of the pictures.
        width: multiplies the channels; 1, 0.75, 0.5 and 0.25 in the paper.
    """

    # Channels, blocks and stride of the first of each stage (paper, table 1).
    STAGES = ((64, 1, 1), (128, 2, 2), (256, 2, 2), (512, 6, 2), (1024, 2, 2))

    def __init__(self, classes: int = 1000, channels: int = 3, width: float = 1.0) -> None:
        super().__init__()
        _positive(width)
        inside = rounded(32 * width)
        self.stem = ConvNorm(channels, inside, 3, stride=2, activation=nn.ReLU6)
        self.blocks = nn.Sequential()
        for out, blocks, stride in self.STAGES:
            stage, out_channels = nn.Sequential(), rounded(out * width)
            for block in range(blocks):
                step = stride if block == 0 else 1
                stage.append(DepthwiseSeparable(inside, out_channels, step))
                inside = out_channels
            self.blocks.append(stage)
        self.fc = nn.Linear(inside, classes)
        initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) → (N, classes) logits."""
        at_least(x, SMALLEST, "mobilenet-v1")
        return self.fc(self.blocks(self.stem(x)).mean((2, 3)))


class InvertedResidual(nn.Module):
    """1×1 up, 3×3 in each channel, 1×1 down, and a shortcut between the narrow ends.

    (N, C, H, W) → (N, C', ⌈H/stride⌉, ⌈W/stride⌉). The last 1×1 is linear: ReLU would destroy
    what few channels carry. The shortcut is there where input and output have one size. ``se`` is
    empty, or a gate on F(x) (``senet``).

    Args:
        channels, out_channels: C and C'.
        stride: of the 3×3.
        expansion: channels of the 3×3 to one of the input; with 1 there is no first 1×1.
    """

    se: nn.Module | None

    def __init__(
        self, channels: int, out_channels: int, stride: int = 1, expansion: int = 6
    ) -> None:
        super().__init__()
        wide = channels * expansion
        up = [ConvNorm(channels, wide, 1, activation=nn.ReLU6)] if expansion != 1 else []
        self.conv = nn.Sequential(
            *up,
            ConvNorm(wide, wide, 3, stride, depthwise=True, activation=nn.ReLU6),
            *ConvNorm(wide, out_channels, 1),
        )
        self.register_module("se", None)
        self.out_channels = out_channels
        self.has_shortcut = stride == 1 and channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """F(x) + x, or F(x)."""
        out = self.conv(x)
        if self.se is not None:
            out = self.se(out)
        return out.add_(x) if self.has_shortcut else out


class MobileNetV2(nn.Module):
    """Stem of stride 2, seventeen inverted residuals, 1×1 to 1280, global average, one dense layer.

    Args:
        classes, channels: of the output and of the pictures.
        width: multiplies the channels; those of the last 1×1 only where it is above 1.
        dropout: share of the averages that is left out in training, before the dense layer.
    """

    # Expansion, channels, blocks and stride of the first of each stage (paper, table 2).
    STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
              (6, 160, 3, 2), (6, 320, 1, 1))  # fmt: skip

    def __init__(
        self, classes: int = 1000, channels: int = 3, width: float = 1.0, dropout: float = 0.2
    ) -> None:
        super().__init__()
        _positive(width)
        inside = rounded(32 * width)
        self.features = nn.Sequential(ConvNorm(channels, inside, 3, stride=2, activation=nn.ReLU6))
        for expansion, out, blocks, stride in self.STAGES:
            for block in range(blocks):
                step = stride if block == 0 else 1
                self.features.append(
                    InvertedResidual(inside, rounded(out * width), step, expansion)
                )
                inside = rounded(out * width)
        last = rounded(1280 * max(1.0, width))
        self.features.append(ConvNorm(inside, last, 1, activation=nn.ReLU6))
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(last, classes))
        initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) → (N, classes) logits."""
        at_least(x, SMALLEST, "mobilenet-v2")
        return self.classifier(self.features(x).mean((2, 3)))


def _positive(width: float) -> None:
    if not width > 0:
        raise UsageError(f"width={width} leaves no channels. Give a number above 0, such as 0.5.")


@register("mobilenet-v1", size=224, smallest=SMALLEST, classes=1000, paper=PAPER_V1)
def mobilenet_v1(classes: int, channels: int, width: float = 1.0) -> MobileNetV1:
    """MobileNet v1; 4,231,976 parameters with a thousand classes and width 1."""
    return MobileNetV1(classes, channels, width)


@register("mobilenet-v2", size=224, smallest=SMALLEST, classes=1000, paper=PAPER_V2)
def mobilenet_v2(classes: int, channels: int, width: float = 1.0) -> MobileNetV2:
    """MobileNet v2; 3,504,872 parameters with a thousand classes and width 1."""
    return MobileNetV2(classes, channels, width)
