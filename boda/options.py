"""What a person can choose in a fit: one list for the shell, for Python and for the record.

No torch here, so that ``boda fit --help`` answers at once.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from boda.errors import UsageError, unknown

SCHEDULES = ("cosine", "linear", "one-cycle", "constant")


def option(default: Any, help: str) -> Any:
    """A dataclass field with its help text."""
    return field(default=default, metadata={"help": help})


@dataclass
class Plan:
    """How a fit goes; recorded in the run. Every field can be given with ``--set field=value``."""

    epochs: int | None = option(None, "passes over the training pictures")
    minutes: float | None = option(None, "measured time, instead of epochs")
    batch: int = option(128, "pictures a step, on each device")
    rate: float = option(0.1, "peak learning rate")
    schedule: str = option("cosine", "cosine, linear, one-cycle or constant")
    warmup: float = option(0.05, "share of the fit in which the rate rises")
    clip: float = option(0.0, "largest norm of the gradient; 0 = no limit")
    accumulate: int = option(1, "batches whose gradients make one step")
    ema: float = option(0.0, "decay of averaged weights, for example 0.999; 0 = off")
    patience: int = option(0, "epochs without progress before stopping; 0 = off")
    augment: str = option("none", "name of the augmentation")
    calm: float = option(
        0.0, "share of the fit at its end without mosaics, in which networks learn as they are used"
    )
    views: int = option(0, "augmented versions of a picture in all; 0 = a new one every epoch")
    thaw: float = option(0.0, "share of the fit in which frozen blocks thaw; 0 = they stay frozen")
    keep_features: bool = option(True, "where only the head learns, compute its input once")
    precision: str = option("auto", "auto, 32, bf16 or 16")
    device: str = option("auto", "auto, cpu, cuda or mps")
    devices: int = option(1, "processes on this machine")
    nodes: int = option(1, "machines")
    seed: int = option(0, "of weights, order and augmentation")
    save_seconds: float = option(60.0, "between two saves in mid-epoch")

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            raise unknown("schedule", self.schedule, SCHEDULES)
        for name in ("batch", "rate", "accumulate", "devices", "nodes", "epochs", "minutes"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UsageError(f"{name} is {value}; it must be more than 0.")
        for name in ("clip", "patience", "views", "seed", "save_seconds"):
            if not getattr(self, name) >= 0:
                raise UsageError(f"{name} is {getattr(self, name)}; it must not be less than 0.")
        for name in ("warmup", "ema", "thaw", "calm"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}; it must be from 0 to below 1.")

    def factor(self, progress: float) -> float:
        """The learning rate as a share of its peak; ``progress`` from 0 to 1."""
        warmup = 0.3 if self.schedule == "one-cycle" else self.warmup
        if progress < warmup:
            return progress / warmup
        if self.schedule == "constant":
            return 1.0
        rest = min(1.0, (progress - warmup) / (1 - warmup))
        return (1 + math.cos(math.pi * rest)) / 2 if self.schedule == "cosine" else 1 - rest


@dataclass
class FitOptions:
    """What a fit takes; None leaves the choice to the task, which looks at the data."""

    model: str | None = option(None, "name of the network; see `boda models`")
    epochs: int | None = option(None, "passes over the training pictures")
    minutes: float | None = option(None, "measured time instead, from the command's start")
    val: str | None = option(None, "other data to validate on, or `none`: learn from everything")
    weights: str | None = option(
        None,
        "to start from: a file, an https address, a run, or `imagenet` or `coco` for the public ones",
    )
    freeze: str | None = option(
        None,
        "what keeps these weights: all but the head, none, N blocks from the input, gradual, auto",
    )
    augment: str | None = option(
        None,
        "none, mirrored, light, digits, photos, scenes, places, poses, jitter or strong; see boda augment",
    )
    batch: int | None = option(None, "pictures a step")
    lr: float | None = option(None, "peak learning rate")
    size: str | None = option(None, "of the network's input: N or HxW")
    pairs: str | None = option(
        None, "for translate: make pairs of each picture: gray, edges or small"
    )
    balance: bool = option(
        False, "weigh the loss so that rare classes count as much as common ones"
    )
    precision: str = option("auto", "auto, 32, bf16 or 16")
    device: str = option("auto", "auto, cpu, cuda or mps")
    devices: int = option(1, "processes on this machine")
    nodes: int = option(1, "machines")
    seed: int = option(0, "of the split, the weights, the order and the augmentation")
    drop: bool = option(False, "leave out pictures with errors, and count them")
    format: str | None = option(None, "how to read the data, where it can be read in two ways")

    @classmethod
    def of(cls, values: dict[str, Any]) -> FitOptions:
        """From keyword arguments; an unknown one is a ``UsageError`` with the nearest."""
        names = [f.name for f in dataclasses.fields(cls)]
        for name in values:
            if name not in names:
                raise unknown("option", name, names)
        options = cls(**values)
        if options.epochs is not None and options.minutes is not None:
            raise UsageError("give --epochs or --minutes, not both.")
        return options


def parse_size(text: str | int) -> tuple[int, int]:
    """(H, W) of "224" or "192x256"."""
    parts = str(text).lower().split("x")
    if not 1 <= len(parts) <= 2 or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise UsageError(f"--size is N or HxW, for example 224 or 192x256, not '{text}'.")
    return int(parts[0]), int(parts[-1])


def parse_settings(settings: dict[str, str], *targets: type) -> list[dict[str, Any]]:
    """The values of ``--set field=value``, one dictionary for each dataclass in ``targets``.

    Raises:
        UsageError: no target has such a field (the nearest is named), or the value is not of its type.
    """
    found: list[dict[str, Any]] = [{} for _ in targets]
    known = {f.name: (f, i) for i, target in enumerate(targets) for f in dataclasses.fields(target)}
    for name, text in settings.items():
        if name not in known:
            raise unknown("setting", name, known)
        each, index = known[name]
        found[index][name] = _parse(name, str(text), str(each.type))
    return found


def _parse(name: str, text: str, kind: str) -> Any:
    readers: dict[str, Callable[[str], Any]] = {
        "int": int,
        "float": _parse_float,
        "bool": _parse_bool,
        "tuple": _parse_floats,
    }
    reader = next((readers[key] for key in readers if kind.startswith(key)), str)
    try:
        return reader(text)
    except ValueError:
        raise UsageError(f"--set {name}={text}: a value of type {kind} is meant.") from None


def _parse_bool(text: str) -> bool:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if text.lower() not in words:
        raise ValueError(text)
    return words[text.lower()]


def _parse_float(text: str) -> float:
    """A number, which infinity and "not a number" are not: no record could hold them."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _parse_floats(text: str) -> tuple[float, ...]:
    return tuple(_parse_float(part) for part in text.split(","))
