"""Objects as pictures of numbers: COCO's panoptic format, a PNG a picture and one JSON.

Kirillov, He, Girshick, Rother, Dollár, "Panoptic segmentation", 2018, arXiv 1801.00868. Other tools
read it; here there are things only, no stuff.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from boda.cli.signing import MADE_BY, ours, signed
from boda.errors import UsageError
from boda.files import atomic_write
from boda.masks import panoptic_png
from boda.types import Prediction

INFO = {"made_by": MADE_BY[1]}


class Panoptic:
    """``OUT/panoptic.json`` and the PNGs in ``OUT/panoptic/``.

    Args:
        out: the folder.
        classes: the names; categories are numbered from 1 in their order.

    Raises:
        UsageError: what is there already is none of ours.
    """

    def __init__(self, out: Path, classes: Sequence[str]) -> None:
        self.folder, self.file = out / "panoptic", out / "panoptic.json"
        if self.file.exists() and not _made_here(self.file):
            raise UsageError(
                f"{self.file} is there already, and is none that boda predict wrote: name another "
                f"folder than {out} with --out."
            )
        self.categories = [
            {"id": number, "name": name, "isthing": 1} for number, name in enumerate(classes, 1)
        ]
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []

    def add(self, prediction: Prediction, name: str) -> None:
        """Write one picture's objects as ``name``.png, the surest on top where they overlap.

        Raises:
            UsageError: a file of this name is there that is not ours.
        """
        assert prediction.masks is not None and prediction.scores is not None
        assert prediction.labels is not None and prediction.names is not None
        place = self.folder / name
        if place.exists() and not ours(place):
            raise UsageError(f"{place} is there already, and is not ours: name another --out.")
        picture, segments = panoptic_png(
            prediction.masks, prediction.scores, prediction.labels, prediction.names
        )
        self.folder.mkdir(parents=True, exist_ok=True)
        atomic_write(place, signed(picture))
        number, (height, width) = len(self.images) + 1, prediction.size
        image = {"id": number, "file_name": Path(prediction.source).name}
        self.images.append({**image, "height": height, "width": width})
        self.annotations.append({"image_id": number, "file_name": name, "segments_info": segments})

    def close(self) -> None:
        """Write the JSON."""
        content = {
            "info": INFO,
            "images": self.images,
            "annotations": self.annotations,
            "categories": self.categories,
        }
        text = json.dumps(content, ensure_ascii=False, indent=1)
        atomic_write(self.file, text.encode("utf-8"))


def _made_here(file: Path) -> bool:
    try:
        return bool(json.loads(file.read_text("utf-8")).get("info") == INFO)
    except (OSError, ValueError, AttributeError):
        return False
