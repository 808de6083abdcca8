"""Networks that begin at 0, woken for tests that follow gradients through them."""

from __future__ import annotations

from torch import nn


def stirred(net: nn.Module) -> nn.Module:
    """The network without kernels that are all 0, through which no gradient goes back."""
    for parameter in net.parameters():
        if parameter.ndim == 4 and not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    return net
