"""A registry maps names to things: its names are the test matrix and the choices of the shell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from boda.errors import unknown

T = TypeVar("T")


class Registry(Generic[T]):
    """Names to things of one kind. A name is given once: a second registration raises ``ValueError``."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._things: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """A decorator that enters what it decorates under ``name``."""

        def enter(thing: T) -> T:
            self.add(name, thing)
            return thing

        return enter

    def add(self, name: str, thing: T) -> None:
        """Enter ``thing`` under ``name``."""
        if name in self._things:
            raise ValueError(f"{self.kind} '{name}' is registered twice")
        self._things[name] = thing

    def __getitem__(self, name: str) -> T:
        """The thing of that name, else a ``UsageError`` that names the nearest one."""
        try:
            return self._things[name]
        except KeyError:
            raise unknown(self.kind, name, self._things) from None

    def __contains__(self, name: object) -> bool:
        return name in self._things

    def __iter__(self) -> Iterator[str]:
        return iter(self._things)

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._things)
