"""What several networks share."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from boda.errors import UsageError


def at_least(x: Tensor, smallest: int, name: str) -> None:
    """Refuse (…, H, W) pictures smaller than the network can take, with the fix."""
    height, width = x.shape[-2:]
    if min(height, width) < smallest:
        raise UsageError(
            f"{name} cannot take pictures of {height}×{width}: its layers leave too little of them. "
            f"Use --size {smallest} or more."
        )


def initialize(net: nn.Module) -> None:
    """Random weights for convolutions before ReLU: variance 2/fan-out, biases 0.

    The fan-out is k²·C'/groups. From He, Zhang, Ren, Sun, "Delving deep into rectifiers", 2015,
    arXiv 1502.01852, its backward case. Other layers stay as PyTorch makes them.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
            nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def cell_means(x: Tensor, grid: int) -> Tensor:
    """The means over grid × grid cells, which overlap by a value where the sides do not fit.

    As ``F.adaptive_avg_pool2d``, but of operations that every exporter knows for every size.

    Args:
        x: (N, C, H, W).
        grid: cells a side.

    Returns:
        (N, C, grid, grid)
    """
    for dim in (2, 3):
        side = x.shape[dim]
        if side == grid:
            continue
        ends = [(i * side // grid, -(-(i + 1) * side // grid)) for i in range(grid)]
        cells = [x.narrow(dim, a, b - a).mean(dim, keepdim=True) for a, b in ends]
        x = torch.cat(cells, dim)
    return x


class SqueezeExcitation(nn.Module):
    """A gate for every channel, from the averages of all: (N, C, H, W) → the same shape.

    x · sigmoid(fc2(activation(fc1(mean of x over H and W)))). Hu, Shen, Albanie, Sun, Wu,
    "Squeeze-and-excitation networks", 2017, arXiv 1709.01507. The two dense layers are 1×1
    convolutions with biases, as in the public weights.

    Args:
        channels: C.
        squeezed: values between the two layers; C/r in the paper, with r = 16.
        activation: between them, a function that may work in place.
    """

    def __init__(
        self, channels: int, squeezed: int, activation: Callable[[Tensor], Tensor] = F.relu_
    ) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """Every channel, times its gate in 0..1."""
        squeezed = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.fc2(self.activation(self.fc1(squeezed))))


class Depthwise(nn.Conv2d):
    """k×k convolution of every channel by itself, without bias: (N, C, H, W) → (N, C, ⌈H/stride⌉, …).

    Learning in bfloat16 on a CPU it computes in float32 where that is faster: the derivative of
    oneDNN's depthwise convolutions with stride 2 or 5×5 kernels takes two to three times as long in
    bfloat16 (torch 2.13 and 2.15, AVX512-BF16).

    Args:
        channels: C.
        kernel: k, odd.
        stride: of the convolution.
    """

    def __init__(self, channels: int, kernel: int, stride: int) -> None:
        super().__init__(
            channels, channels, kernel, stride, kernel // 2, groups=channels, bias=False
        )
        self.slow_in_bfloat16 = kernel > 3 or stride > 1

    def forward(self, x: Tensor) -> Tensor:
        """The same dtype as ``x`` has, or as autocast wants."""
        if not (self.training and self.slow_in_bfloat16 and x.dtype == torch.bfloat16):
            return super().forward(x)
        if x.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float()).bfloat16()


class ConvNorm(nn.Sequential):
    """k×k convolution without bias, padded by (k − 1)/2, batch norm, activation.

    (N, C, H, W) → (N, C', ⌈H/stride⌉, ⌈W/stride⌉) for odd k.

    Args:
        channels, out_channels: C and C'.
        kernel: k.
        stride: of the convolution.
        depthwise: every channel by itself; C' is C then.
        activation: its class, such as ``nn.ReLU6``; None for none.
    """

    def __init__(
        self,
        channels: int,
        out_channels: int,
        kernel: int = 3,
        stride: int = 1,
        depthwise: bool = False,
        activation: type[nn.ReLU | nn.ReLU6 | nn.SiLU] | None = None,
    ) -> None:
        convolution = (
            Depthwise(channels, kernel, stride)
            if depthwise
            else nn.Conv2d(channels, out_channels, kernel, stride, kernel // 2, bias=False)
        )
        super().__init__(convolution, nn.BatchNorm2d(out_channels))
        if activation is not None:
            self.append(activation(inplace=True))


class Doubling(nn.ConvTranspose2d):
    """Transposed convolution, 2×2 with stride 2: (N, C, H, W) → (N, C', 2H, 2W).

    No two of its patches overlap, so it is a 1×1 convolution to 4C' channels whose numbers are then
    laid out in 2×2. Computed so, since PyTorch's derivative of the transposed convolution takes
    several times as long on CPUs in bfloat16.
    """

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__(channels, out_channels, 2, 2)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """As ``nn.ConvTranspose2d``."""
        weight = self.weight.permute(1, 2, 3, 0).reshape(-1, self.in_channels, 1, 1)
        assert self.bias is not None
        out = F.conv2d(x, weight, self.bias.repeat_interleave(4))
        patches = out.unflatten(1, (-1, 2, 2)).permute(0, 1, 4, 2, 5, 3)  # (N, C', H, 2, W, 2)
        return patches.flatten(4, 5).flatten(2, 3)


class FixedNorm(nn.Module):
    """Batch norm whose numbers never change: (N, C, H, W) → the same shape.

    Weight, bias and running averages are buffers, as in detectors that learn from two pictures at a
    time: averages over so few would be noise. The names are those of ``nn.BatchNorm2d``.
    """

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.register_buffer("weight", torch.ones(channels))
        self.register_buffer("bias", torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """One product and one sum for each value."""
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        shift = self.bias - self.running_mean * scale
        return x * scale.view(1, -1, 1, 1).to(x.dtype) + shift.view(1, -1, 1, 1).to(x.dtype)


def fix_norms(net: nn.Module) -> None:
    """Put a ``FixedNorm`` in the place of every batch norm of a network, with its numbers."""
    for module in list(net.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                fixed = FixedNorm(child.num_features, child.eps)
                state = child.state_dict()
                del state["num_batches_tracked"]
                fixed.load_state_dict(state)
                setattr(module, name, fixed)


def fold_eps(tensors: dict[str, Tensor], theirs: float, ours: float = 1e-5) -> dict[str, Tensor]:
    """The tensors of a network whose norms add another number to the variances than ours do.

    Each norm's weight is multiplied by √((variance + ours) / (variance + theirs)), so that it scales
    as it did. In float64, so that only the last rounding is left.

    Args:
        tensors: by name; norms have a ``weight`` and a ``running_var``.
        theirs: what they add to a variance.
        ours: what we add.

    Returns:
        the same names; what is no norm's weight is the same tensor.
    """
    folded = dict(tensors)
    for name, tensor in tensors.items():
        place, _, last = name.rpartition(".")
        if last == "running_var":
            weight, variance = tensors[f"{place}.weight"], tensor.double()
            growth = ((variance + ours) / (variance + theirs)).sqrt()
            folded[f"{place}.weight"] = (weight.double() * growth).to(weight.dtype)
    return folded


class StochasticDepth(nn.Module):
    """Leaves out a block's F(x), for each picture of the batch by itself: (N, …) → the same shape.

    In training F(x) becomes 0 with probability ``p`` and F(x)/(1 − p) otherwise; in evaluation
    nothing is done. Huang, Sun, Liu, Sedra, Weinberger, "Deep networks with stochastic depth", 2016,
    arXiv 1603.09382, there for the whole batch at once.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Zeros, or the value scaled so that its expectation stays."""
        if not self.training or self.p == 0:
            return x
        kept = torch.empty((x.shape[0],) + (1,) * (x.ndim - 1), dtype=x.dtype, device=x.device)
        return x * kept.bernoulli_(1 - self.p).div_(1 - self.p)

    def extra_repr(self) -> str:
        """The probability, for ``print``."""
        return f"p={self.p:.3g}"


def rounded(channels: float, divisor: int = 8) -> int:
    """``channels`` to the nearest multiple of ``divisor``, but never more than a tenth below.

    How MobileNets and EfficientNets keep their widths friendly to hardware after a multiplication.
    """
    nearest = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return nearest if nearest >= 0.9 * channels else nearest + divisor
