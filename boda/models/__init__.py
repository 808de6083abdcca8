"""The networks, one file a paper family: plain ``nn.Module``s and small registered functions.

A registered function takes ``classes`` and ``channels`` and returns a module that maps (N,
channels, H, W) float tensors to (N, classes) logits. What it takes beyond that, such as ``width``,
are the network's options: each has a default, and ``--set width=0.5`` chooses another. Adding a
network is adding a file here that registers it.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, make_dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from boda.errors import unknown
from boda.registry import Registry

Build = Callable[..., nn.Module]


@dataclass(frozen=True)
class Entry:
    """A registered network.

    Attributes:
        name: lower-case, family and depth together, parts joined by hyphens.
        build: ``build(classes=…, channels=…) → nn.Module``.
        task, method: what the network is fitted for, and how.
        size: (H, W) of the paper's pictures.
        smallest: the smallest legal height and width.
        channels: of the paper's pictures, 1 = gray.
        classes: of the paper.
        paper: authors, year and arXiv id where there is one.
    """

    name: str
    build: Build
    task: str
    method: str
    size: tuple[int, int]
    smallest: int
    channels: int
    classes: int
    paper: str

    @property
    def summary(self) -> str:
        """The first sentence of the builder's docstring."""
        return (self.build.__doc__ or "").strip().split("\n")[0]

    @property
    def family(self) -> str:
        """The file it stands in: networks of one paper, or of papers that continue each other."""
        return self.build.__module__.rpartition(".")[2]

    @property
    def options(self) -> dict[str, Any]:
        """What the builder takes beside classes and channels, with its defaults."""
        parameters = inspect.signature(self.build).parameters
        return {n: p.default for n, p in parameters.items() if n not in ("classes", "channels")}

    @property
    def settings(self) -> type:
        """The options as a dataclass, for ``--set``."""
        fields = [(name, type(value).__name__, value) for name, value in self.options.items()]
        return make_dataclass("Settings", fields)

    @property
    def parameters(self) -> int:
        """Trainable numbers with the paper's classes and channels; counted without memory."""
        return sum(p.numel() for p in _outline(self.name).parameters() if p.requires_grad)

    @property
    def begins(self) -> str:
        """The network whose weights its generator may start from; empty where it has none."""
        return getattr(_outline(self.name), "begins", "")

    @property
    def normalizes(self) -> bool:
        """Whether it has batch norms, which keep its values in range at any learning rate."""
        return any(isinstance(m, nn.BatchNorm2d) for m in _outline(self.name).modules())


_models: Registry[Entry] = Registry("model")


def register(
    name: str,
    *,
    size: int,
    smallest: int,
    paper: str,
    channels: int = 3,
    classes: int = 10,
    task: str = "classify",
    method: str = "classifier",
) -> Callable[[Build], Build]:
    """Enter the decorated builder; see `Entry` for the fields."""

    def enter(build: Build) -> Build:
        entry = Entry(name, build, task, method, (size, size), smallest, channels, classes, paper)
        _models.add(name, entry)
        return build

    return enter


@cache
def _registry() -> Registry[Entry]:
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return _models


def names(task: str | None = None) -> list[str]:
    """The registered names, sorted; only those of ``task`` where one is given."""
    return [name for name in _registry().names() if task in (None, _models[name].task)]


def entry(name: str) -> Entry:
    """What is registered under ``name``; an unknown one is a ``UsageError`` with the nearest."""
    return _registry()[name]


def create(
    name: str, *, classes: int | None = None, channels: int | None = None, **options: Any
) -> nn.Module:
    """A new network with random weights; classes, channels and options default to the paper's.

    Raises:
        UsageError: no network has that name, or it has no such option; the nearest is named.
    """
    found = entry(name)
    for option in options:
        if option not in found.options:
            raise unknown(f"option of {name}", option, found.options)
    return found.build(
        classes=classes or found.classes, channels=channels or found.channels, **options
    )


@cache
def _outline(name: str) -> nn.Module:
    """The paper's network without memory for its numbers."""
    with torch.device("meta"), _Unfilled():
        return create(name)


class _Unfilled(TorchFunctionMode):
    """Leaves normal numbers out: where there is no memory, torch would import its compiler for them."""

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func in (nn.init.normal_, Tensor.normal_):
            return args[0] if args else (kwargs or {})["tensor"]
        return func(*args, **(kwargs or {}))
