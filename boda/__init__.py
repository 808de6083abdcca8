"""boda (보다, "to see"): seeing with convolutional networks. One loop for every task.

``check → fit → evaluate → predict → export``, the same words in the shell and in Python.
Nothing heavy is imported until it is used.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_VERBS = ("check", "compare", "evaluate", "export", "fit", "generate", "load", "predict", "stylize")
_PACKAGES = ("data", "gallery", "look", "metrics", "models", "ops", "tasks")
__all__ = [*_VERBS, *_PACKAGES, "summary"]  # noqa: PLE0604 they are strings


def __getattr__(name: str) -> Any:
    if name in _VERBS:
        return getattr(importlib.import_module("boda.api"), name)
    if name == "summary":
        return importlib.import_module("boda.look").summary
    if name in _PACKAGES:
        return importlib.import_module(f"boda.{name}")
    raise AttributeError(f"module 'boda' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
