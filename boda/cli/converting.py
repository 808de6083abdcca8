"""``boda convert``: boxes from one format into another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from boda.cli.common import Json, emit
from boda.errors import DataError
from boda.progress import Progress


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command()(convert)


def convert(
    data: Annotated[str, typer.Argument(help="pictures with boxes: a folder, archive or file")],
    out: Annotated[Path, typer.Argument(help="the folder to write; not there yet, or empty")],
    to: Annotated[str, typer.Option("--to", help="coco, voc or yolo")],
    format: Annotated[
        str | None, typer.Option(help="how to read the data, where two ways fit")
    ] = None,
    link: Annotated[
        bool, typer.Option("--link", help="hard-link the pictures instead of copying them")
    ] = False,
    drop: Annotated[bool, typer.Option("--drop", help="leave out pictures with errors")] = False,
    as_json: Json = False,
) -> None:
    """Write pictures with boxes in another format; splits and classes are kept.

    Example: boda convert voc-folder/ yolo-folder/ --to yolo
    """
    from boda import api
    from boda.data.convert import convert as write
    from boda.data.convert import refuse_full
    from boda.data.writers import writer

    writer(to)
    refuse_full(out)  # before every picture is looked at
    progress = Progress()
    report = api.check(data, "detect", format, progress)
    if report.errors and not drop:
        summary = "Mend it, or leave the pictures with errors out with --drop."
        raise DataError(problems=report.errors, summary=summary)
    dataset, dropped = report.drop()
    with progress.working("writing the pictures"):
        found = write(dataset, to, out, link, progress.advance)
    result: dict[str, Any] = {
        "data": data,
        "format": dataset.format,
        "to": to,
        "out": str(out),
        **found,
        "dropped": dropped,
        "warnings": len(report.warnings),
    }
    if as_json:
        emit(result)
        return
    splits = ", ".join(f"{count:,} {split}" for split, count in found["splits"].items())
    print(f"{data}: {dataset.format} → {to}")
    print(f"pictures {found['samples']:,} ({splits}), {found['boxes']:,} boxes")
    for what, count in found["told"].items():
        print(f"noted    {count:,} {what}")
    if dropped:
        print(f"dropped  {', '.join(f'{count:,} of {split}' for split, count in dropped.items())}")
    print(f"written  {out}")
