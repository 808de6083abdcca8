"""``boda generate``: new pictures of a run that was fitted to make some."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from boda.cli.common import Json, emit, with_options
from boda.cli.pictures import write_picture
from boda.generating import GenerateOptions
from boda.progress import Progress


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command()(with_options(generate, GenerateOptions, BEFORE, AFTER))


BEFORE = {
    "run": (Annotated[str, typer.Argument(help="a run of `boda fit generate`")], ...),
    "out": (
        Annotated[Path, typer.Option(help="the folder to write; not there yet, or empty")],
        ...,
    ),
}
AFTER = {
    "grid": (Annotated[bool, typer.Option("--grid", help="one sheet, grid.png")], False),
    "as_json": (Json, False),
}


def generate(run: str, out: Path, grid: bool, as_json: bool, **chosen: Any) -> None:
    """Make new pictures with a run that learned to.

    Examples:
      boda generate runs/generate-1 --count 100 --out made/

      boda generate runs/generate-1 --count 8 --interpolate 10 --out between/

      boda generate runs/generate-1 --label 7 --grid --out sevens/

      boda generate runs/generate-1 --nearest --out copies/
    """
    from boda import api
    from boda.runs import refuse_used

    refuse_used(out)
    made = api.generate(run, **chosen, progress=Progress())
    if grid or chosen["interpolate"] or chosen["nearest"]:
        files = {out / "grid.png": made.grid()}
    else:
        digits = len(str(len(made.pictures)))
        files = {
            out / f"{i:0{digits}}.png": picture for i, picture in enumerate(made.pictures, start=1)
        }
    for file, picture in files.items():
        write_picture(file, picture)
    result: dict[str, Any] = {
        "run": run,
        "count": len(made.pictures),
        "seed": chosen["seed"],
        "files": [str(file) for file in files],
    }
    result |= {} if made.names is None else {"names": made.names}
    result |= {} if made.copies is None else {"copies": made.copies}
    if as_json:
        emit(result)
        return
    if made.copies is not None:
        print(
            f"nearer to a training picture than all but 1 % of unseen ones: "
            f"{100 * made.copies['copied']:.1f} % (1 % where nothing is copied)"
        )
    print(f"written  {len(files):,} file{'s' * (len(files) > 1)} in {out}")
