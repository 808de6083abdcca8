"""``boda augment``: what a fit would see of one picture."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from boda.cli.common import Json, emit
from boda.cli.pictures import Picture, read_picture, target, write_picture
from boda.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

    from boda.data.prepare import Preparation

MOST = 200  # versions on one sheet
LONGER = 224  # pixels to which a picture's longer side is brought, where no size is given
MARGIN, GAP, LINE = 24, 14, 22


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command()(augment)


def augment(
    image: Picture,
    policy: Annotated[
        str, typer.Option(help="none, mirrored, light, digits, photos or strong")
    ] = "photos",
    count: Annotated[int, typer.Option(help="versions that are drawn")] = 11,
    seed: Annotated[int, typer.Option(help="of the random numbers")] = 0,
    size: Annotated[
        str | None,
        typer.Option(help="N or HxW, as a fit crops it; else all of it, at most 224 pixels long"),
    ] = None,
    boxes: Annotated[
        list[str] | None,
        typer.Option(
            help="x1,y1,x2,y2 in pixels of the picture; drawn where they move. Repeatable"
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="the picture to write; IMAGE-POLICY.png if left away")
    ] = None,
    as_json: Json = False,
) -> None:
    """Draw versions of a picture, as a fit with --augment POLICY would see them.

    Mixing is left away, since it takes two pictures.

    Example: boda augment photo.jpg --policy strong --out versions.png

    Example: boda augment street.jpg --boxes 40,60,120,200 --boxes 300,80,360,210
    """
    from boda.data.transforms import policies

    chosen = policies[policy]
    if not 1 <= count <= MOST:
        raise UsageError(f"--count {count}: give 1 to {MOST}.")
    if seed < 0:
        raise UsageError(f"--seed {seed}: give 0 or more.")
    file = target(out, f"{image.stem}-{policy}.png", image)
    picture = read_picture(image)
    marked = [_box(text, picture.shape[1], picture.shape[0]) for text in boxes or []]
    preparation = _preparation(size, picture.shape[0], picture.shape[1])
    pictures, versions = _versions(picture, preparation, marked, chosen, seed, count)
    write_picture(file, _sheet(pictures, versions, f"{image.name} · {policy} · seed {seed}"))
    result = {
        "image": str(image),
        "policy": policy,
        "seed": seed,
        "size": [preparation.height, preparation.width],
        "versions": versions[1:],
        "file": str(file),
    }
    if as_json:
        emit(result)
        return
    print(f"{image}: {count} versions of {preparation.height}×{preparation.width}, {policy}")
    if marked:
        gone = sum(box is None for version in versions for box in version["boxes"])
        print(f"boxes    {len(marked)} moved along; {gone} times one left the picture")
    print(f"drawn    {file}")


def _versions(
    picture: np.ndarray,
    preparation: Preparation,
    boxes: list[tuple[float, ...]],
    policy: Any,
    seed: int,
    count: int,
) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """(1 + count, H, W, 3) uint8, the picture itself first, and where its boxes are in each.

    A box that is gone is None; matrices are version ← original picture.
    """
    from dataclasses import replace

    import torch

    from boda.data.change import Change, apply
    from boda.data.dataset import Batch
    from boda.data.transforms import random_table
    from boda.ops import geometry

    prepared = torch.from_numpy(preparation(picture).copy()).permute(2, 0, 1)
    size = preparation.height, preparation.width
    working = torch.from_numpy(preparation.matrix(picture.shape[0], picture.shape[1]))
    placed = geometry.warp_boxes(torch.tensor(boxes).reshape(-1, 4), working)
    numbers = torch.arange(len(boxes))

    def batch(n: int) -> Batch:
        images, zeros = prepared.expand(n, -1, -1, -1), torch.zeros(n, dtype=torch.int64)
        if not boxes:
            return Batch(images, zeros, zeros)
        return Batch(images, zeros, zeros, boxes=[placed] * n, box_labels=[numbers] * n)

    change = replace(policy.draw(random_table(count, seed, 0), size), weights=None, patches=None)
    pictures, told = [], []
    # The picture itself goes the same way, so its boxes are cropped as those of the others.
    for each in (Change(geometry.identity()[None]), change):
        matrix = geometry.identity().expand(count, 3, 3) if each.matrix is None else each.matrix
        part = apply(batch(len(matrix)), each)
        pictures.append(part.images)
        for i in range(len(matrix)):
            where: list[Any] = [None] * len(boxes)
            if part.boxes is not None and part.box_labels is not None:
                for number, box in zip(part.box_labels[i].tolist(), part.boxes[i], strict=True):
                    where[number] = box.tolist()
            bent = each.control is not None and bool(each.control[i].any())
            told.append({"matrix": (matrix[i] @ working).tolist(), "bent": bent, "boxes": where})
    return torch.cat(pictures).permute(0, 2, 3, 1).numpy(), told


def _preparation(size: str | None, height: int, width: int) -> Preparation:
    from boda.data.prepare import Preparation
    from boda.options import parse_size

    if size is not None:
        return Preparation(*parse_size(size))
    factor = min(1.0, LONGER / max(height, width))
    smaller = max(1, round(height * factor)), max(1, round(width * factor))
    return Preparation(*smaller, rule="stretch")


def _box(text: str, width: int, height: int) -> tuple[float, ...]:
    try:
        x1, y1, x2, y2 = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--boxes {text}: four numbers are meant, x1,y1,x2,y2.") from None
    if not (0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height):
        raise UsageError(
            f"--boxes {text}: in this picture, {width} wide and {height} high, a box has "
            f"0 <= x1 < x2 <= {width} and 0 <= y1 < y2 <= {height}."
        )
    return x1, y1, x2, y2


def _sheet(pictures: np.ndarray, versions: list[dict[str, Any]], title: str) -> np.ndarray:
    """All versions beside and below each other, with their boxes, the picture itself first."""
    import numpy as np
    from PIL import Image, ImageDraw

    from boda.look.writing import write
    from boda.pen import MUTED, PALETTE, PAPER, RULE

    count, height, width = pictures.shape[:3]
    factor = max(1, LONGER // 2 // max(height, width))  # tiny pictures as squares
    height, width = height * factor, width * factor
    columns = min(count, math.ceil(math.sqrt(count * 4 / 3)))
    rows = math.ceil(count / columns)
    step_x, step_y = width + GAP, height + GAP + LINE
    size = (2 * MARGIN + columns * step_x - GAP, 2 * MARGIN + LINE + rows * step_y - GAP)
    canvas = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(canvas)
    write(pen, (MARGIN, MARGIN + 12), title, 16)
    for i, (picture, version) in enumerate(zip(pictures, versions, strict=True)):
        x = MARGIN + (i % columns) * step_x
        y = MARGIN + LINE + (i // columns) * step_y
        enlarged = np.ascontiguousarray(picture.repeat(factor, 0).repeat(factor, 1))
        canvas.paste(Image.fromarray(enlarged), (x, y))
        pen.rectangle((x - 1, y - 1, x + width, y + height), outline=RULE)
        for number, box in enumerate(version["boxes"]):
            if box is not None:
                x1, y1, x2, y2 = (round(factor * value) for value in box)
                edges = (x + x1, y + y1, max(x + x1, x + x2 - 1), max(y + y1, y + y2 - 1))
                pen.rectangle(edges, outline=PALETTE[number % len(PALETTE)], width=2)
        write(pen, (x, y + height + 16), "original" if i == 0 else str(i), 13, MUTED)
    return np.asarray(canvas)
