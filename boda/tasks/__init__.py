"""A task fixes the data, the prediction, the metrics and the headline; a method fits it.

Adding a method is adding one file here (or in a task's folder) that registers it.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from boda.tasks.base import Default, Method, Start, Task, methods, tasks
from boda.tasks.steps import Stage

__all__ = ["Default", "Method", "Stage", "Start", "Task", "method", "names", "task"]


@cache
def _load() -> None:
    for module in pkgutil.walk_packages(__path__, f"{__name__}."):
        importlib.import_module(module.name)


def names() -> list[str]:
    """The tasks there are."""
    _load()
    return tasks.names()


def task(name: str) -> Task:
    """The task of that name; an unknown one is a ``UsageError`` with the nearest."""
    _load()
    return tasks[name]


def method(name: str) -> type[Method]:
    """The method of that name."""
    _load()
    return methods[name]
