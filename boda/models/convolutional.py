"""A classifier as one convolution: all windows of a picture in one pass, and what they share once.

Sermanet, Eigen, Zhang, Mathieu, Fergus, LeCun, "OverFeat", 2013, arXiv 1312.6229; Long, Shelhamer,
Darrell, "Fully convolutional networks", 2014, arXiv 1411.4038. A dense layer on C maps of h×w is a
convolution with h×w kernels: on a window it fits in one place, on a larger picture it slides. The
mean of the last maps is an average pooling that moves by one.

Any classifier is taken, however its ``forward`` is written: it looks at one window while its calls
are written down, and these are done again on larger pictures, with the network's own weights. What
comes out is compared with the network before it is handed out. Where the network pads, a window by
itself has zeros around it and a window in a picture has neighbours: the two differ, and
``Convolutional.difference`` says by how much.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, product
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from boda.errors import BodaError, UsageError
from boda.models.reading import Value, Weight, mapped, read, refusal, tensors_in

Pair = tuple[int, int]
ROUNDING = 1e-4  # of the logits: above the rounding of float32, below what padding changes
FAR = 2**15  # pixels; strides below 128 follow from the windows in it, whatever is left at its edge


class Convolutional(nn.Module):
    """A network that slides: (N, C, H, W) → (N, classes, H', W') logits, one column a window.

    The window of column (i, j) has its upper left corner at pixel (i·stride, j·stride). Dropout and
    batch norms are those of evaluation. The weights are the network's own tensors: what changes
    there changes here.

    Attributes:
        net: the network.
        window: (h, w), pixels of one window.
        stride: pixels from one window to the next, down and across: the product of the strides.
        channels: C.
        difference: how far, at most, the logits of a picture of noise with 2×2 windows lie from
            those of its windows one by one, as a share of how far these lie from the logits of an
            empty picture; NaN where the picture changes nothing. With the weights of the moment
            when this was made.
    """

    def __init__(self, net: nn.Module, window: Pair, channels: int) -> None:
        super().__init__()
        self.net, self.window, self.channels = net, window, channels
        self.stride: Pair = (1, 1)  # until it is known: then nothing is cut away
        with _evaluating(net), _refusing(net):
            reader = read(net, self._noise(window).to(next(net.parameters())))
            self._calls, self._result = reader.calls, reader.result
            for name, constant in reader.constants.items():
                self.register_buffer(name, constant, persistent=False)
            self.stride = self._strides()
            self.difference = self._compare()

    @property
    def exact(self) -> bool:
        """Whether a window's logits do not depend on what lies around it: the network never pads."""
        return self.difference <= ROUNDING

    def windows(self, size: Pair) -> Pair:
        """How many windows fit into (H, W) pixels, down and across."""
        pairs = zip(size, self.window, self.stride, strict=True)
        rows, columns = (max(0, (side - window) // step + 1) for side, window, step in pairs)
        return rows, columns

    def forward(self, x: Tensor) -> Tensor:
        """All windows in one pass: H' = (H − h) // stride + 1, and W' likewise.

        Raises:
            UsageError: the picture is smaller than a window, or has other channels.
        """
        (height, width), (h, w) = x.shape[-2:], self.window
        if x.ndim != 4 or x.shape[1] != self.channels or height < h or width < w:
            raise UsageError(
                f"a picture of shape {tuple(x.shape)} for windows of {h}×{w}. Give "
                f"(N, {self.channels}, H, W) with H of {h} or more and W of {w} or more."
            )
        rows, columns = self.windows((height, width))
        return self._pass(x)[..., :rows, :columns]  # a last one may have hung over the edge

    def _pass(self, x: Tensor) -> Tensor:
        """The network's calls, one after the other."""
        weights = dict(_state(self))
        values = {0: x}

        def fetch(part: Any) -> Any:
            if isinstance(part, Value):
                return values[part.number]
            return weights[part.name] if isinstance(part, Weight) else part

        for call in self._calls:
            out = call.function(*mapped(call.args, fetch), **mapped(call.kwargs, fetch))
            values.update(zip(call.results, tensors_in(out), strict=True))
            for number in call.spent:
                del values[number]
        return values[self._result]

    def _strides(self) -> Pair:
        """Pixels between windows, from how many there are in a picture of tens of thousands of lines.

        Shapes are all that is asked for, so nothing is computed.
        """
        state = {name: tensor.to("meta") for name, tensor in _state(self)}
        size = [side + FAR for side in self.window]
        picture = torch.empty(1, self.channels, *size, device="meta")
        with torch.no_grad():
            rows, columns = functional_call(self, state, (picture,)).shape[2:]
        if min(rows, columns) < 2:
            raise refusal(self.net, "its output does not grow with the picture")
        return round(FAR / (rows - 1)), round(FAR / (columns - 1))

    def _compare(self) -> float:
        """``difference``, from 2×2 windows; on the CPU, in float32, where nothing rounds more."""
        own = {n: t.cpu().float() if t.is_floating_point() else t.cpu() for n, t in _state(self)}
        nets = {n.removeprefix("net."): t for n, t in own.items() if n.startswith("net.")}
        (h, w), (down, across) = self.window, self.stride
        picture = self._noise((h + down, w + across))
        corners = product((0, down), (0, across))
        each = torch.cat([picture[..., i : i + h, j : j + w] for i, j in corners])
        with torch.no_grad():
            alone = functional_call(self.net, nets, (each,))
            empty = functional_call(self.net, nets, (torch.zeros_like(each[:1]),))
            first = functional_call(self, own, (each[:1],))
            together = functional_call(self, own, (picture,))
        fits = first.shape == (1, alone.shape[1], 1, 1)
        largest = alone.abs().max()
        if not fits or not (first[0, :, 0, 0] - alone[0]).abs().max() <= ROUNDING * largest:
            raise refusal(self.net, "its calls come to other logits when they are done again")
        apart = (together[0].flatten(1).T - alone).abs().max()
        return float(apart / (alone - empty).abs().max())

    def _noise(self, size: Pair) -> Tensor:
        """A picture that is always the same."""
        return torch.randn(1, self.channels, *size, generator=torch.Generator().manual_seed(0))


def convolutionalize(
    net: nn.Module, size: int | Pair, channels: int | None = None
) -> Convolutional:
    """A classifier in its convolutional form; its weights are shared, not copied.

    Args:
        net: (N, C, h, w) → (N, classes), of any ``forward``: with flattened maps or their mean
            behind the convolutions.
        size: of a window, pixels: h = w, or (h, w).
        channels: C; by default what the first convolution takes.

    Returns:
        A module for pictures of ``size`` and more: see ``Convolutional``. Windows of 14×14 make
        2×2 outputs of 16×16 pixels where the network's strides multiply to 2.

    Raises:
        UsageError: the network cannot take such windows, or has no convolutional form: where a
            layer in the middle sees all of the window (squeeze and excitation), or where it comes
            to something that this module has no rule for.
    """
    window = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
    if min(window) < 1:
        raise UsageError(f"windows of {window[0]}×{window[1]} pixels. Give 1 or more.")
    if channels is None:
        kernels = [p for p in net.parameters() if p.ndim == 4]
        if not kernels:
            raise UsageError(
                f"{type(net).__name__} has no convolution that says how many channels its pictures "
                "have. Give channels=3 or channels=1."
            )
        channels = kernels[0].shape[1]
    return Convolutional(net, window, channels)


def _state(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers by name."""
    return chain(module.named_parameters(), module.named_buffers())


@contextmanager
def _evaluating(net: nn.Module) -> Iterator[None]:
    """Evaluation mode within, and every part's own mode again behind it."""
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def _refusing(net: nn.Module) -> Iterator[None]:
    """Whatever a network's own code does with a size that it does not know is told in one sentence."""
    try:
        yield
    except BodaError:
        raise
    except Exception as error:
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise refusal(net, f"its layers do not fit together on such pictures ({why})") from error
