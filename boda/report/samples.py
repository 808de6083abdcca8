"""The report's section of what a network made: pictures written after epochs, and how they were measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from boda.report.parts import esc, heading, thumbnail

SHOWN = 6  # of those there are, the first and the last among them
SIDE = 480  # pixels


def samples(record: Mapping[str, Any], evaluation: Mapping[str, Any]) -> str:
    """What was made after some of the epochs, the last first; empty where nothing was."""
    folder = Path(str(record.get("run") or "")) / "samples"
    files = sorted(folder.glob("epoch-*.png")) if record.get("run") else []
    if not files:
        return ""
    places = np.unique(np.linspace(0, len(files) - 1, SHOWN).round().astype(int))[::-1]
    cards = "".join(_card(files[int(i)]) for i in places)
    lead = "The same places of each sheet, after some of the epochs, the last first."
    if features := evaluation.get("features"):
        lead += f" FID and KID are of these features, and of no others: <b>{esc(features)}</b>."
    told = "".join(f"<p>{esc(each)}</p>" for each in evaluation.get("remarks") or ())
    return heading("Samples", lead) + told + f'<div class="gallery large">{cards}</div>'


def _card(file: Path) -> str:
    epoch = int(file.stem.rpartition("-")[2])
    with Image.open(file) as picture:
        image = thumbnail(
            np.asarray(picture.convert("RGB")), f"pictures made after epoch {epoch}", SIDE
        )
    return f"<figure>{image}<figcaption>epoch <b>{epoch}</b></figcaption></figure>"
