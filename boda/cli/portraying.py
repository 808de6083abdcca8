"""``boda portrait``: a person stays sharp, the rest is blurred or replaced."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from boda.cli.common import Json, emit
from boda.cli.pictures import FORMATS, Picture, target
from boda.errors import UsageError
from boda.progress import Progress

if TYPE_CHECKING:
    import numpy as np

SOFTWARE = 0x0131  # the tag of EXIF that says what made a picture


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command()(portrait)


def portrait(
    image: Picture,
    run: Annotated[
        str,
        typer.Option(
            metavar="RUN|FILE.onnx", help="a run for segment or instances; a model with --weights"
        ),
    ],
    blur: Annotated[
        float | None,
        typer.Option(help="radius of the blur in pixels; 1/60 of the longer side if left away"),
    ] = None,
    background: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|COLOR",
            help="instead of the picture's own: a picture, #rrggbb, a colour's name or transparent",
        ),
    ] = None,
    keep: Annotated[
        str | None, typer.Option(help="the class that stays sharp; a person if left away")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="the picture to write, .png or .jpg; IMAGE-portrait.png if left away"),
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="where --run names a model: FILE, RUN, imagenet or coco")
    ] = None,
    as_json: Json = False,
) -> None:
    """Keep the person sharp and blur the rest with soft edges, or put another background behind.

    Example: boda portrait photo.jpg --run runs/segment-1 --blur 20 --out portrait.jpg

    Example: boda portrait photo.jpg --run runs/segment-1 --background beach.jpg

    Example: boda portrait cat.jpg --run runs/segment-1 --keep cat --background transparent
    """
    import time

    from boda import api

    file = _target(out, image, background)
    start = time.perf_counter()
    made = api.portrait(
        image,
        run,
        weights,
        blur=blur,
        background=background,
        keep=keep,
        progress=Progress(),
    )
    write_signed(file, made.picture, _profile(image))
    result = {
        "image": str(image),
        "run": run,
        "keep": made.name,
        "share": round(made.share, 6),
        "blur": made.blur,
        "background": background,
        "size": list(made.matte.shape),
        "seconds": round(time.perf_counter() - start, 3),
        "file": str(file),
    }
    if as_json:
        emit(result)
        return
    rest = "the rest" if background is None else f"behind it {background}"
    if made.blur:
        rest += f", blurred by a disc of radius {made.blur:g} pixels"
    print(f"{image}: {made.name}, {made.share:.1%} of the picture; {rest}")
    print(f"written  {file}")


def _target(out: Path | None, image: Path, background: str | None) -> Path:
    """The file to write, known to be one that may be: a person's own picture is never replaced."""
    file = target(out, f"{image.stem}-portrait.png", image)
    if background == "transparent" and file.suffix.lower() != ".png":
        raise UsageError(f"--out {file}: only a .png can be transparent.")
    if file.exists() and not made_by_boda(file):
        raise UsageError(
            f"{file} is there already, and is none that boda wrote: give another --out."
        )
    return file


def made_by_boda(file: Path) -> bool:
    """Whether boda made this PNG or JPEG."""
    from PIL import Image

    from boda.cli.signing import MADE_BY, ours

    if ours(file):
        return True
    try:
        with Image.open(file) as picture:
            return bool(picture.getexif().get(SOFTWARE) == MADE_BY[1])
    except (OSError, ValueError, SyntaxError):
        return False


def _profile(image: Path) -> bytes | None:
    """The colour profile of an RGB picture, in whose colours its pixels stay."""
    from boda.data.image import open_picture

    picture = open_picture(image.read_bytes(), str(image))
    return picture.info.get("icc_profile") if picture.mode in ("RGB", "RGBA") else None


def write_signed(file: Path, picture: np.ndarray, profile: bytes | None) -> None:
    """Write (H, W, 3) or (H, W, 4) uint8 as PNG or JPEG, with who made it.

    Raises:
        UsageError: it cannot be written.
    """
    from PIL import Image

    from boda.cli.signing import MADE_BY
    from boda.files import atomic_write

    exif = Image.Exif()  # where a photo was taken is not handed on
    exif[SOFTWARE] = MADE_BY[1]
    buffer = io.BytesIO()
    drawn, kind = Image.fromarray(picture), FORMATS[file.suffix.lower()]
    drawn.save(buffer, kind, quality=95, exif=exif, icc_profile=profile)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(file, buffer.getvalue())
    except OSError as error:
        raise UsageError(f"{file} cannot be written ({error.strerror or error}).") from None
