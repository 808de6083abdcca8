"""Maps of classes as pictures of numbers: a PNG a picture, and the names of the classes beside them.

The value of a pixel is its class; a palette makes the classes seen in any viewer. With the pictures
they were made of, ``boda`` and other tools read them as data with masks.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from boda.cli.signing import ours, signed
from boda.draw_maps import colours
from boda.errors import UsageError
from boda.files import atomic_write
from boda.types import Prediction, is_ground


class IndexMaps:
    """``OUT/labels/classes.txt``, a name a line, and the PNGs beside it.

    Args:
        out: the folder.
        classes: the names.
        names: of the PNGs that will be written.

    Raises:
        UsageError: what is there already is none of ours, or is of other classes.
    """

    def __init__(self, out: Path, classes: Sequence[str], names: Sequence[str]) -> None:
        self.folder = out / "labels"
        self.palette = _palette(classes)
        lines = [" ".join(name.split()) for name in classes]
        if any(line.startswith("#") for line in lines):  # alone in a line it would be a comment
            lines = [f"{number}: {line}" for number, line in enumerate(lines)]
        self.classes = "".join(f"{line}\n" for line in lines)
        self.file = self.folder / "classes.txt"
        if self.file.exists() and not self._same():
            raise UsageError(
                f"{self.file} is there already, with other classes than these: name another folder "
                f"than {out} with --out."
            )
        theirs = [self.folder / name for name in names]
        theirs = [path for path in theirs if path.exists() and not ours(path)]
        if theirs:
            raise UsageError(
                f"{theirs[0]} is there already, and is none that boda predict drew: name another "
                f"folder than {out} with --out."
            )

    def add(self, prediction: Prediction, name: str) -> None:
        """Write one picture's classes, at its own size, as ``name``."""
        assert prediction.semantic is not None
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.file.exists():
            atomic_write(self.file, self.classes.encode("utf-8"))
        atomic_write(self.folder / name, signed(prediction.semantic, self.palette))

    def _same(self) -> bool:
        try:
            return self.file.read_text("utf-8") == self.classes
        except (OSError, ValueError):
            return False


def _palette(classes: Sequence[str]) -> np.ndarray:
    """(256, 3) uint8; what is left over is black, and so is 255, which is never predicted."""
    out = colours().copy()
    out[255] = 0
    out[[i for i, name in enumerate(classes) if is_ground(name)]] = 0
    return out
