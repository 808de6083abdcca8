"""What the methods with one network have in common: its optimizer, and the settings of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from boda.errors import UsageError, unknown
from boda.tasks.base import Default
from boda.tasks.muon import Muon

OPTIMIZERS = ("sgd", "adamw", "muon")
CHOICE = "sgd (Nesterov, 0.9), adamw, or muon"
LIGHT = 5_000_000  # parameters; Muon's steps of wide layers take longer than their gradients


@dataclass
class Optimizing:
    """Settings that a method's ``Config`` inherits."""

    optimizer: str = field(default="adamw", metadata={"help": CHOICE})
    weight_decay: float = field(default=0.05, metadata={"help": "not on norms and biases"})
    layer_decay: float = field(
        default=1.0, metadata={"help": "of the rate, from each block to the one before; 1 = none"}
    )

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise unknown("optimizer", self.optimizer, OPTIMIZERS)
        if not self.weight_decay >= 0:
            raise UsageError("weight_decay must not be less than 0.")
        if not 0 < self.layer_decay <= 1:
            raise UsageError(f"layer_decay is {self.layer_decay}; it is above 0 and at most 1.")


def optimizer(groups: list[dict[str, Any]], name: str, rate: float) -> torch.optim.Optimizer:
    """SGD with Nesterov's momentum of 0.9, AdamW, or Muon.

    Args:
        groups: what learns; see ``Method.groups``.
        name: one of ``OPTIMIZERS``.
        rate: the peak learning rate.
    """
    if name == "adamw":
        return torch.optim.AdamW(groups, rate, fused=True)
    if name == "muon":
        return Muon(groups, rate)
    return torch.optim.SGD(groups, rate, momentum=0.9, nesterov=True, fused=True)


def from_scratch(parameters: int, adam: float, muon: float = 1e-2) -> dict[str, Default]:
    """Optimizer and rate of a network that begins with random weights.

    Args:
        parameters: how many it has.
        adam: a rate that is usual for AdamW.
        muon: and for Muon.
    """
    if parameters > LIGHT:
        return {
            "optimizer": Default(
                "adamw", f"{parameters:,} parameters: Muon's steps would take long"
            ),
            "rate": Default(adam, "usual for Adam's steps with batch norms"),
        }
    return {
        "optimizer": Default("muon", "a small network: each step teaches more than one of Adam's"),
        "rate": Default(muon, "usual for Muon with batch norms"),
    }


def gently(rate: float) -> dict[str, Default]:
    """Optimizer and rate of a network that begins with weights from before."""
    return {
        "optimizer": Default("adamw", "small steps, of weights that are good already"),
        "rate": Default(rate, "the weights are good already"),
    }
