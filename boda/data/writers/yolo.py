"""YOLO txt: ``images/train/1.jpg``, ``labels/train/1.txt`` and ``data.yaml``.

Shares have as many decimals as it takes to give the same pixels again. The format knows neither
crowds, which are left out (a box around many objects is no object), nor outlines of more than one
piece; of difficult objects it cannot say that they are so.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path, PurePosixPath

from boda.files import atomic_write
from boda.types import Dataset, Sample


def place(dataset: Dataset, split: str, id: str) -> str:
    """``images/train/1.jpg``; ``images/1.jpg`` where there are no splits."""
    return f"{_folder('images', split)}/{id}"


def write(dataset: Dataset, folder: Path) -> Counter[str]:
    """Write a .txt a picture and ``data.yaml``; returns what could not be said."""
    told: Counter[str] = Counter()
    for split, samples in dataset.splits.items():
        for sample in samples:
            name = PurePosixPath(_folder("labels", split)) / sample.id
            file = folder / name.with_suffix(".txt")
            file.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(file, _lines(sample, told).encode())
    # A JSON text is also a YAML text in quotation marks: "no" stays a name.
    names = [f"  {i}: {json.dumps(n, ensure_ascii=False)}" for i, n in enumerate(dataset.classes)]
    splits = [f"{split}: {_folder('images', split)}" for split in dataset.splits if split != "all"]
    text = "\n".join([*splits, f"nc: {len(names)}", "names:", *names, ""])
    atomic_write(folder / "data.yaml", text.encode())
    return told


def _folder(role: str, split: str) -> str:
    return role if split == "all" else f"{role}/{split}"


def _lines(sample: Sample, told: Counter[str]) -> str:
    assert sample.boxes is not None and sample.labels is not None and sample.size is not None
    height, width = sample.size
    lines = []
    for i, (box, label) in enumerate(zip(sample.boxes.tolist(), sample.labels, strict=True)):
        if sample.crowd is not None and sample.crowd[i]:
            told["crowds left out"] += 1
            continue
        told["outlines left out"] += sample.outlines is not None and sample.outlines[i] is not None
        told["difficult objects not marked so"] += sample.difficult is not None and bool(
            sample.difficult[i]
        )
        x1, y1, x2, y2 = box
        shares = (
            (x1 + x2) / 2 / width,
            (y1 + y2) / 2 / height,
            (x2 - x1) / width,
            (y2 - y1) / height,
        )
        lines.append(" ".join([str(int(label)), *(repr(share) for share in shares)]) + "\n")
    return "".join(lines)
