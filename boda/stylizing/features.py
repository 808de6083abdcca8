"""The maps of a network's layers, computed no further than the deepest one that is asked for.

Layers of a VGG have the names of the literature (conv1_1, relu1_1, pool1, …), those of other networks
the names of their modules. A file may hold no more than a network's beginning: then there are the
layers that it reaches.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from boda import models
from boda.errors import DataError, UsageError, unknown
from boda.models import weights
from boda.models.published import locate
from boda.models.vgg import VGG
from boda.progress import Progress

LOOK = 224  # pixels of the picture with which a network's layers are counted
STYLE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")  # of a VGG, Gatys et al.
CONTENT = "relu4_2"
OTHERS = {  # style and content of networks whose layers have other names
    "squeezenet-1.1": (
        ("features.1", "features.3", "features.4", "features.6", "features.7"),
        "features.6",
    )
}


@dataclass(frozen=True)
class Layer:
    """A layer that can be asked for.

    Attributes:
        module: its name in the network.
        stride: pixels from one value of its maps to the next.
        values: of its maps, for each pixel of the picture.
        there: whether the file of weights reaches it.
    """

    module: str
    stride: int
    values: float
    there: bool


class Source:
    """A network with weights from a file, and the layers that these reach.

    Attributes:
        model: its registered name.
        file: of the weights.
        layers: by name, in order of use.
        told: whose weights these are, for the person.
    """

    def __init__(self, model: str, file: str | Path) -> None:
        self.model, self.file = model, Path(file)
        with torch.device("meta"):
            self.net = models.create(model).eval()
        found = weights.read(self.file, self.net, model, whole=False)
        if found.layout.mean is None or found.layout.std is None or found.channels != 3:
            raise DataError(
                "it does not say how its pictures were normalized, or they were not RGB",
                file=self.file,
                fix="Take weights that were fitted to ImageNet, such as --weights imagenet.",
            )
        self.mean, self.std, self.told = found.layout.mean, found.layout.std, found.tell()
        named, outputs = _names(self.net), _outputs(self.net, models.entry(model).channels)
        own = self.net.state_dict()
        fitting = {
            name: tensor.float() if tensor.is_floating_point() else tensor
            for name, tensor in found.tensors.items()
            if name in own and own[name].shape == tensor.shape
        }
        self.net.load_state_dict(fitting, strict=False, assign=True)
        self.net.requires_grad_(False)
        for module in self.net.modules():
            if isinstance(module, nn.Conv2d) and found.layout.padding != "zeros":
                module.padding_mode = found.layout.padding  # type: ignore[assignment]
        self.layers: dict[str, Layer] = {}
        there = True
        for place, shape in outputs.items():
            there = there and not _missing(self.net.get_submodule(place))
            stride = 2 ** round(torch.tensor(LOOK / shape[-1]).log2().item())
            values = shape.numel() / LOOK**2
            self.layers[named[place]] = Layer(place, stride, values, there)

    def check(self, names: Sequence[str]) -> None:
        """Refuse layers that are not there.

        Raises:
            UsageError: the network has no such layer. DataError: the file does not reach it.
        """
        for name in names:
            if name not in self.layers:
                raise unknown(f"layer of {self.model}", name, self.layers)
            if not self.layers[name].there:
                raise DataError(
                    f"the weights do not reach {name}: of {self.model} they hold the layers "
                    f"{', '.join(self.there) or 'none'}",
                    file=self.file,
                    fix="Choose among these with --style-layers and --content-layers, or give the "
                    "network's whole weights.",
                )

    @property
    def there(self) -> list[str]:
        """The layers that the file reaches, in order of use."""
        return [name for name, layer in self.layers.items() if layer.there]

    def default_layers(self) -> tuple[tuple[str, ...], str]:
        """Those of the style, and the one of the content: the literature's, as far as they are there.

        Raises:
            UsageError: nothing is known of such a network.
        """
        if isinstance(self.net, VGG):
            style = tuple(name for name in STYLE if name in self.there)
            rectified = [name for name in self.there if name.startswith("relu")]
            content = CONTENT if CONTENT in self.there else (rectified or [CONTENT])[-1]
            return style or STYLE[:1], content
        if self.model not in OTHERS:
            some = ", ".join(list(self.layers)[:12])
            raise UsageError(
                f"which layers of {self.model} tell content and style is not known: name them with "
                f"--content-layers and --style-layers. Its first are {some}."
            )
        return OTHERS[self.model]

    def margin(self, deepest: str) -> int | None:
        """How far a value of this layer looks, in pixels, at the most; None where it is not known.

        Known of VGGs, whose maps have the picture's size, or exactly a half, a quarter, … of it.
        """
        if not isinstance(self.net, VGG):
            return None
        reach = stride = 1
        for name in self.layers:
            reach += stride if name.startswith(("conv", "pool")) else 0
            stride *= 2 if name.startswith("pool") else 1
            if name == deepest:
                break
        return -(-reach // stride) * stride

    def deepest(self, names: Sequence[str]) -> str:
        """The one of these layers that is used last."""
        return max(names, key=[*self.layers].index)

    def bytes(self, deepest: str, dtype: torch.dtype) -> float:
        """Of the maps of all layers up to this one, for each pixel of the picture.

        Modules that hold others are not counted with them.
        """
        used = [*self.layers][: [*self.layers].index(deepest) + 1]
        leaves = [
            n for n in used if not [*self.net.get_submodule(self.layers[n].module).children()]
        ]
        return sum(self.layers[name].values for name in leaves) * dtype.itemsize

    def features(
        self, names: Sequence[str], dtype: torch.dtype = torch.float32, device: str = "cpu"
    ) -> Features:
        """What computes the maps of these layers.

        Raises:
            UsageError, DataError: as ``check``.
        """
        self.check(names)
        return Features(self, names, dtype, device)


class Features(nn.Module):
    """(1, 3, H, W) RGB in 0..1 → the maps of layers, by name; see ``Source.features``.

    Args:
        source: the network.
        names: of layers that are there.
        dtype: in which the network computes; bfloat16 takes half the time where the processor has
            it.
        device: where.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, source: Source, names: Sequence[str], dtype: torch.dtype, device: str
    ) -> None:
        super().__init__()
        self.names, self.dtype, self.device = list(names), dtype, torch.device(device)
        self.last = source.deepest(names)
        self.strides = {name: source.layers[name].stride for name in names}
        net = copy.deepcopy(source.net)
        for part in net.modules():  # what lies deeper has no numbers, and takes no memory
            for key, tensor in part._parameters.items():
                if tensor is not None and not tensor.is_meta:
                    part._parameters[key] = nn.Parameter(
                        _placed(tensor.detach(), dtype, self.device), requires_grad=False
                    )
            for key, buffer in part._buffers.items():
                if buffer is not None and not buffer.is_meta:
                    part._buffers[key] = _placed(buffer, dtype, self.device)
        self.net = net
        self._ours = isinstance(net, VGG)
        self.steps = net.features if isinstance(net, VGG) else net  # a tile may be small
        self._found: dict[str, Tensor] = {}
        for name in names:
            module = net.get_submodule(source.layers[name].module)
            module.register_forward_hook(self._keep(name))
        if isinstance(net, VGG):
            kept = {source.layers[name].module for name in names}
            for number, layer in enumerate(net.features):
                if isinstance(layer, nn.ReLU) and f"features.{number - 1}" in kept:
                    layer.inplace = False
        shape = (1, 3, 1, 1)
        for key, value in (("mean", source.mean), ("std", source.std)):
            self.register_buffer(key, torch.tensor(value, device=self.device).view(shape))

    def _keep(self, name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def keep(_module: nn.Module, _given: Any, maps: Tensor) -> None:
            # What other networks do with their maps behind a layer is not known: it may be in place.
            self._found[name] = maps if self._ours else maps.clone()
            if name == self.last:
                raise _Enough

        return keep

    def forward(self, picture: Tensor) -> dict[str, Tensor]:
        """(1, 3, H, W) RGB in 0..1 → maps (1, C, H', W') by name.

        Raises:
            UsageError: the picture is too small for the network.
        """
        x = ((picture - self.mean) / self.std).to(self.dtype)
        self._found = {}
        with contextlib.suppress(_Enough):
            self.steps(x.contiguous(memory_format=torch.channels_last))
        found, self._found = self._found, {}
        return {name: found[name] for name in self.names}


class _Enough(Exception):  # noqa: N818 it is no error
    """All maps are there: what lies deeper need not be computed."""


def load(model: str, source: str, progress: Progress) -> Source:
    """A registered network with the weights that ``--weights`` means.

    Raises:
        UsageError: there is no such network, or no such weights for it. DataError: the file is
            damaged, or another network's.
    """
    models.entry(model)
    found = Source(model, locate(source, model, progress))
    progress.say(found.told)
    return found


def _names(net: nn.Module) -> dict[str, str]:
    """What the layers are called, by the names of their modules."""
    named = {name: name for name, _ in net.named_modules()}
    if isinstance(net, VGG):
        stage, place = 1, 0
        for number, layer in enumerate(net.features):
            place += isinstance(layer, nn.Conv2d)
            kind = {nn.Conv2d: "conv", nn.ReLU: "relu", nn.BatchNorm2d: "norm"}.get(type(layer))
            named[f"features.{number}"] = f"{kind}{stage}_{place}" if kind else f"pool{stage}"
            if kind is None:
                stage, place = stage + 1, 0
    return named


def _outputs(net: nn.Module, channels: int) -> dict[str, torch.Size]:
    """The sizes of the maps that modules put out, by name, in order of use; without memory."""
    found: dict[str, torch.Size] = {}

    def note(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def look(_module: nn.Module, _given: Any, out: Any) -> None:
            if isinstance(out, Tensor) and out.ndim == 4:
                found.setdefault(name, out.shape)

        return look

    hooks = [
        module.register_forward_hook(note(name))
        for name, module in net.named_modules()
        if name and not (isinstance(net, VGG) and not name.startswith("features."))
    ]
    net(torch.empty(1, channels, LOOK, LOOK, device="meta"))
    for hook in hooks:
        hook.remove()
    return found


def _missing(module: nn.Module) -> bool:
    """Whether a number that the module computes with is not there."""
    tensors = module.state_dict(keep_vars=True).items()
    return any(t.is_meta and not name.endswith(weights.COUNTER) for name, t in tensors)


def _placed(tensor: Tensor, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Of that dtype where it is floating; channels last where it has four sides."""
    placed = tensor.to(device, dtype if tensor.is_floating_point() else None)
    return placed.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else placed
