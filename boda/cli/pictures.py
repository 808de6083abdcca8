"""What the commands share that take one picture and draw one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from boda.errors import DataError, UsageError

if TYPE_CHECKING:
    import numpy as np

Picture = Annotated[Path, typer.Argument(help="a picture")]

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}


def read_picture(image: Path) -> np.ndarray:
    """(H, W, 3) uint8.

    Raises:
        DataError: it cannot be read, or is no picture.
    """
    from boda.data.image import decode

    try:
        data = image.read_bytes()
    except OSError as error:
        why = f"the picture cannot be read ({error.strerror or error})"
        raise DataError(why, file=image, fix="Check the path.") from None
    return decode(data, str(image))


def target(out: Path | None, name: str, image: Path | None = None) -> Path:
    """The file to write, known to be one that may be: asked before the work is done.

    Args:
        out: a file, a folder for ``name``, or None for ``name`` in the working folder.
        name: of the file, where ``out`` gives none.
        image: the picture that is read, which is never written over.

    Raises:
        UsageError: the name has another suffix than .png or .jpg, or is that of ``image``.
    """
    file = Path(name) if out is None else out / name if out.is_dir() else out
    if file.suffix.lower() not in FORMATS:
        raise UsageError(f"--out {file}: give a name that ends in .png or .jpg.")
    if image is not None and file.exists() and image.exists() and file.samefile(image):
        raise UsageError(f"{file} is the picture itself, which stays as it is. Give another --out.")
    return file


def write_picture(file: Path, picture: np.ndarray) -> None:
    """Write (H, W, 3) uint8, or gray (H, W), to a file that ``target`` gave.

    Raises:
        UsageError: it cannot be written.
    """
    import io

    from PIL import Image

    from boda.files import atomic_write

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, FORMATS[file.suffix.lower()], quality=95)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(file, buffer.getvalue())
    except OSError as error:
        raise UsageError(f"{file} cannot be written ({error.strerror or error}).") from None
