"""``boda propose``: where in a picture an object may be, whatever it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from boda.cli.common import Json, emit
from boda.cli.pictures import read_picture, target, write_picture
from boda.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

SMALLEST, LARGEST = 800, 1600  # the longer side of a drawn picture, pixels
DIMMED = 0.7  # the share of the picture under the boxes; the rest is white


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command()(propose)


def propose(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE", help="pictures")],
    mode: Annotated[
        str, typer.Option(help="fast, some thousand regions; or quality, several times as many")
    ] = "fast",
    count: Annotated[
        int, typer.Option(help="regions that are drawn and told, the first ones")
    ] = 50,
    out: Annotated[
        Path | None,
        typer.Option(help="folder for IMAGE-regions.png; the working folder if left away"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Propose regions in which an object of any class may be (selective search), and draw them.

    Example: boda propose photo.jpg --count 100

    Example: boda propose photos/*.jpg --mode quality --out regions/
    """
    import time

    from boda.ops.regions import selective_search

    if count < 1:
        raise UsageError(f"--count {count}: give 1 or more.")
    files = _files(images, out)
    told: list[dict[str, Any]] = []
    for image, file in zip(images, files, strict=True):
        picture = read_picture(image)
        start = time.perf_counter()
        boxes = selective_search(picture, mode)
        seconds = time.perf_counter() - start
        first = boxes[:count]
        words = f"the first {len(first):,} of {len(boxes):,} regions · {mode}"
        write_picture(file, _drawn(picture, first, f"{image.name} · {words}"))
        told.append(
            {
                "source": str(image),
                "regions": len(boxes),
                "boxes": first.tolist(),
                "seconds": round(seconds, 3),
                "file": str(file),
            }
        )
        if not as_json:
            print(f"{image}: {words}, {seconds:.1f} s; drawn {file}")
    if as_json:
        emit({"mode": mode, "pictures": told})


def _files(images: list[Path], out: Path | None) -> list[Path]:
    """What is written for each picture, known before the work begins to be writable by name."""
    if out is not None and out.exists() and not out.is_dir():
        raise UsageError(f"--out {out} is a file. Give a folder.")
    files = []
    for image in images:
        name = f"{image.stem}-regions.png"
        files.append(target(None if out is None else out / name, name, image))
        if files[-1] in files[:-1]:
            raise UsageError(
                f"two pictures named {image.stem} would both be drawn as {files[-1]}. Give them "
                "one after the other, with an --out for each."
            )
    return files


def _drawn(picture: np.ndarray, boxes: np.ndarray, title: str) -> np.ndarray:
    """The paled picture with its boxes, the small ones on top, and the title below."""
    import numpy as np
    from PIL import Image, ImageDraw

    from boda.look.writing import width_of, write
    from boda.pen import MUTED, PALETTE, PAPER

    colours = PALETTE[:-1]  # its gray is no colour for a box on a pale picture

    image = Image.fromarray(np.ascontiguousarray(picture))
    longer = max(image.size)
    factor = min(max(longer, SMALLEST), LARGEST) / longer
    size = max(1, round(image.width * factor)), max(1, round(image.height * factor))
    image = image.resize(size, Image.Resampling.LANCZOS)
    image = Image.blend(Image.new("RGB", size, PAPER), image, DIMMED)
    pen, line = ImageDraw.Draw(image), max(2, max(size) // 400)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    for i, number in enumerate(np.argsort(-areas, kind="stable")):
        left, top, x2, y2 = (round(edge) for edge in (boxes[number] * factor).tolist())
        # Continuous edges: the box [0, 0, 3, 4] covers pixels 0..2 and 0..3.
        edges = (left, top, max(x2 - 1, left), max(y2 - 1, top))
        pen.rectangle(edges, outline=colours[i % len(colours)], width=line)
    text = min(max(max(size) // 45, 14), 26)
    canvas = Image.new(
        "RGB", (max(size[0], width_of(title, text) + text), size[1] + 2 * text), PAPER
    )
    canvas.paste(image)
    place = (text // 2, size[1] + round(text * 1.35))
    write(ImageDraw.Draw(canvas), place, title, text, MUTED)
    return np.asarray(canvas)
