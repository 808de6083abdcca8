"""``boda stylize``: the content of one picture in the style of others."""

from __future__ import annotations

import glob
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from boda.cli.common import Json, emit, with_options
from boda.cli.pictures import target
from boda.cli.portraying import made_by_boda, write_signed
from boda.errors import Stopped, UsageError
from boda.progress import Progress
from boda.stylizing.options import StylizeOptions

if TYPE_CHECKING:
    import numpy as np


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command()(with_options(stylize, StylizeOptions, BEFORE, AFTER))


BEFORE = {
    "pictures": (
        Annotated[
            list[Path],
            typer.Argument(
                metavar="CONTENT STYLE…", help="pictures; with --fit the style, else what is shown"
            ),
        ],
        ...,
    ),
    "out": (
        Annotated[
            Path, typer.Option(help="the picture to write, .png or .jpg; with --fit .safetensors")
        ],
        ...,
    ),
}
AFTER = {
    "mask": (
        Annotated[
            list[Path] | None,
            typer.Option(help="one for each style, in their order: white where it goes"),
        ],
        None,
    ),
    "every": (
        Annotated[
            int, typer.Option(help="steps between pictures on the way, OUT-0050.png; 0 = none")
        ],
        0,
    ),
    "fit": (
        Annotated[
            Path | None,
            typer.Option(
                metavar="FOLDER", help="fit a network for the style on pictures like these instead"
            ),
        ],
        None,
    ),
    "minutes": (Annotated[float, typer.Option(help="of --fit")], 30.0),
    "as_json": (Json, False),
}


def stylize(
    pictures: list[Path],
    out: Path,
    mask: list[Path] | None,
    every: int,
    fit: Path | None,
    minutes: float,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Give a picture the style of others, by fitting its pixels; or fit a network to a style.

    Examples:
      boda stylize photo.jpg painting.jpg --out styled.png

      boda stylize photo.jpg one.jpg two.jpg --shares 2,1 --colors luminance --out styled.png

      boda stylize photo.jpg sky.jpg ground.jpg --mask above.png --mask below.png --out styled.png

      boda stylize painting.jpg --fit photos/ --minutes 30 --out painting.safetensors

      boda stylize photo.jpg --network painting.safetensors --out styled.png
    """
    from boda import api

    if fit is not None:
        if len(pictures) != 1:
            raise UsageError(f"--fit takes one style, not {len(pictures)} pictures.")
        fitted = api.fit_style(pictures[0], fit, out, minutes, progress=Progress(), **chosen)
        result = {"out": fitted.file, **fitted.to_dict()}
        _tell(result, as_json, fitted.stopped)
        return
    if every < 0:
        raise UsageError(f"--every is {every}; it must not be less than 0.")
    content, *styles = pictures
    file = _target(out, [*pictures, *(mask or [])])
    made = api.stylize(
        content,
        styles,
        masks=mask or [],
        seen=_on_the_way(file, every),
        progress=Progress(),
        **chosen,
    )
    write_signed(file, made.picture, None)
    _tell({"out": str(file), **made.to_dict()}, as_json, made.stopped)


def _tell(result: dict[str, Any], as_json: bool, stopped: bool) -> None:
    if as_json:
        emit(result)
    elif "loss" in result:
        parts = f"content {result['content_loss']:.4g}, style {result['style_loss']:.4g}"
        print(
            f"loss {result['loss']:.4g} ({parts}) after {result['steps']} steps in "
            f"{result['seconds']:.0f} s"
        )
    if not as_json:
        print(f"written  {result['out']}")
    if stopped:
        raise Stopped(f"stopped after {result['steps']} steps; {result['out']} is what was reached")


def _target(out: Path, pictures: list[Path]) -> Path:
    """The file to write, known to be one that may be: no picture of a person's is replaced."""
    for picture in pictures:
        file = target(out, f"{pictures[0].stem}-stylized.png", picture)
    if file.exists() and not made_by_boda(file):
        raise UsageError(
            f"{file} is there already, and is none that boda wrote: give another --out."
        )
    return file


def _on_the_way(file: Path, every: int) -> Callable[[int, Callable[[], np.ndarray]], None]:
    """Writes a picture now and then; none of a person's is replaced."""
    for there in file.parent.glob(f"{glob.escape(file.stem)}-[0-9]*{file.suffix}") if every else ():
        if there.stem[len(file.stem) + 1 :].isdigit() and not made_by_boda(there):
            raise UsageError(
                f"{there} is there already, and is none that boda wrote: give another --out."
            )

    def seen(step: int, picture: Callable[[], np.ndarray]) -> None:
        if every and step % every == 0:
            write_signed(file.with_stem(f"{file.stem}-{step:04}"), picture(), None)

    return seen
