"""PatchGAN: a discriminator that judges every patch of a picture, and not the picture as a whole.

Isola, Zhu, Zhou, Efros, "Image-to-image translation with conditional adversarial networks", 2016,
arXiv 1611.07004, section 3.2.2 and the appendix: C64-C128-C256-C512 of 4×4 convolutions, the first
three with stride 2, and one more to a number a patch, each of which sees 70×70 pixels. Fewer layers
see less: 34×34 with two, 16×16 with one.

Deviation: the paper's last layer has a sigmoid; here the losses have it. With ``norm="spectral"``
nothing is normalized but the kernels (Miyato, Kataoka, Koyama, Yoshida 2018, arXiv 1802.05957): batch
and instance norms take away how bright a patch is, which by day and by night is all that matters.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from boda.errors import UsageError, unknown
from boda.models.layers import at_least

SLOPE = 0.2  # of the leaky ReLU below 0
NORMS = ("batch", "instance", "none")
STD = 0.02  # of the first weights


class PatchGAN(nn.Module):
    """(N, channels, H, W) → (N, 1, H', W') logits, above 0 where a patch looks real.

    Args:
        channels: of the pictures, and of what they are to fit where that is judged with them.
        width: maps of the first layer; each further one has twice as many, eight times at most.
        layers: with stride 2; three of them see 70×70 pixels.
        norm: "batch" (the paper's), "instance", "none", or "spectral", which keeps the largest
            singular value of every kernel at 1.

    Raises:
        UsageError: a number that leaves no layer, an unknown norm.
    """

    def __init__(
        self, channels: int = 6, width: int = 64, layers: int = 3, norm: str = "batch"
    ) -> None:
        super().__init__()
        if min(channels, width, layers) < 1:
            raise UsageError(
                f"a PatchGAN of {channels} channels, width {width} and {layers} layers. Give 1 or "
                "more of each."
            )
        self.smallest = smallest(layers)
        widths = [channels, *(width * min(8, 2**level) for level in range(layers + 1))]
        self.layers = nn.Sequential()
        for level, (before, after) in enumerate(pairwise(widths)):
            stride = 2 if level < layers else 1
            # The picture's own layer has no norm.
            normed = norm if level and norm != "spectral" else "none"
            self.layers.append(convolution(before, after, stride, normed))
            self.layers.extend([*normalization(after, normed), nn.LeakyReLU(SLOPE, inplace=True)])
        self.layers.append(convolution(widths[-1], 1, 1, "none"))
        begin(self)
        if norm == "spectral":
            for layer in self.layers:
                if isinstance(layer, nn.Conv2d):
                    spectral_norm(layer)  # in place

    def forward(self, x: Tensor) -> Tensor:
        """One number a patch; the patches lie 2 to the power of ``layers`` pixels apart."""
        at_least(x, self.smallest, "this PatchGAN")
        return self.layers(x)


def smallest(layers: int) -> int:
    """The smallest side of which two patches a direction are left."""
    return 2 ** (layers + 2)


def convolution(before: int, after: int, stride: int, norm: str) -> nn.Conv2d:
    """4×4, padded by 1; without a bias, where a batch norm would take it away again."""
    return nn.Conv2d(before, after, 4, stride, 1, bias=norm != "batch")


def normalization(channels: int, norm: str) -> list[nn.Module]:
    """The layer of that norm, or none.

    Raises:
        UsageError: there is no such norm.
    """
    if norm not in NORMS:
        raise unknown("norm", norm, NORMS)
    if norm == "none":
        return []
    return [nn.BatchNorm2d(channels) if norm == "batch" else nn.InstanceNorm2d(channels)]


def begin(net: nn.Module) -> None:
    """The first weights of pix2pix and CycleGAN: N(0, 0.02²), those of batch norms N(1, 0.02²)."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, std=STD)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1, STD)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
