"""What the commands share."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="one JSON document on standard output")]


def emit(result: Any) -> None:
    """One JSON document on standard output."""
    print(json.dumps(result, ensure_ascii=False, allow_nan=False))
