"""What the commands share."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Callable
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="one JSON document on standard output")]
Parameters = dict[str, tuple[Any, Any]]  # annotation and default, by name


def emit(result: Any) -> None:
    """One JSON document on standard output."""
    print(json.dumps(result, ensure_ascii=False, allow_nan=False))


def with_options(
    command: Callable[..., None], kind: type, before: Parameters, after: Parameters
) -> Callable[..., None]:
    """``command`` with an option for every field of a dataclass: there is one list, not two.

    Args:
        command: takes the fields' values, and the others', by name.
        kind: its fields are bool, int, float or str, or one of these or None, with help texts.
        before: (annotation, default) of what else the command takes, by name.
        after: likewise, told behind the fields.
    """
    listed = dict(before)
    for field in dataclasses.fields(kind):
        hints: dict[str, Any] = {"int": int, "float": float, "bool": bool}
        hint = hints.get(str(field.type).split(" |")[0], str)
        named = typer.Option(f"--{field.name.replace('_', '-')}", help=field.metadata["help"])
        hint = hint if field.default is not None else hint | None
        listed[field.name] = Annotated[hint, named], field.default
    listed |= after
    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(
                name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=hint
            )
            for name, (hint, default) in listed.items()
        ]
    )
    command.__annotations__ = {name: hint for name, (hint, _) in listed.items()}
    return command
