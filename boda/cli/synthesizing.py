"""``boda synth``: drawn pictures with every kind of label."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from boda.cli.common import Json, emit
from boda.errors import Stopped
from boda.progress import Progress


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command()(synth)


def synth(
    out: Annotated[Path, typer.Argument(help="the folder to write; not there yet, or empty")],
    count: Annotated[int, typer.Option(help="pictures of each kind")] = 200,
    size: Annotated[int, typer.Option(help="pixels of a picture's side")] = 128,
    seed: Annotated[int, typer.Option(help="another seed, other pictures")] = 0,
    kind: Annotated[
        list[str] | None, typer.Option(help="scenes, objects, faces or domains alone; repeatable")
    ] = None,
    as_json: Json = False,
) -> None:
    """Draw pictures with exact labels of every kind, to try things on.

    Scenes with boxes, polygons and masks, single objects, faces with points, day and night, and two
    domains of shapes; OUT/README.txt tells what is where.

    Example: boda synth drawn/ --count 500 --size 160

    Example: boda synth drawn/ --count 4000 --kind scenes
    """
    from boda import api

    try:
        result = api.synth(out, count, size, seed, Progress(), kind or ())
    except KeyboardInterrupt:  # else typer would say "Aborted!"
        raise Stopped("stopped; nothing was written") from None
    if as_json:
        emit(result)
        return
    splits = ", ".join(f"{number:,} {split}" for split, number in result["splits"].items())
    print(f"pictures {count:,} of each kind ({splits}), {size}×{size}")
    empty = result["empty"]
    told = {
        "scenes": f"{result['boxes']:,} objects: {', '.join(result['classes'])}",
        "objects": f"{count - empty:,}, and {empty:,} pictures without one",
        "faces": f"{len(result['points'])} points each",
        "domains": "an ellipse each, and a triangle each",
    }
    for name in result["kinds"]:
        print(f"{name:<8} {told[name]}")
    print(f"written  {out}; what is where: {out / 'README.txt'}")
