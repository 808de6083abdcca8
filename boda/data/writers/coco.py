"""COCO JSON, a file a split: ``annotations/instances_train.json`` with the pictures in ``train/``.

Categories get the ids 1 to K in the order of the classes. ``difficult`` is our own key.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from boda.data.writers import plain
from boda.files import atomic_json
from boda.types import Dataset, Sample


def place(dataset: Dataset, split: str, id: str) -> str:
    """``train/1.jpg``; ``images/1.jpg`` where there are no splits."""
    return f"{'images' if split == 'all' else split}/{id}"


def write(dataset: Dataset, folder: Path) -> Counter[str]:
    """Write one JSON a split; COCO can say everything that is read."""
    (folder / "annotations").mkdir()
    categories = [{"id": i, "name": name} for i, name in enumerate(dataset.classes, start=1)]
    for split, samples in dataset.splits.items():
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for number, sample in enumerate(samples, start=1):
            assert sample.size is not None
            height, width = sample.size
            images.append({"id": number, "file_name": sample.id, "width": width, "height": height})
            annotations += _objects(sample, number, len(annotations))
        end = "" if split == "all" else f"_{split}"
        content = {"images": images, "annotations": annotations, "categories": categories}
        atomic_json(folder / "annotations" / f"instances{end}.json", content)
    return Counter()


def _objects(sample: Sample, image: int, before: int) -> list[dict[str, Any]]:
    assert sample.boxes is not None and sample.labels is not None
    found = []
    for i, (box, label) in enumerate(zip(sample.boxes.tolist(), sample.labels, strict=True)):
        x1, y1, x2, y2 = box
        outline = None if sample.outlines is None else sample.outlines[i]
        area = (x2 - x1) * (y2 - y1) if sample.areas is None else float(sample.areas[i])
        record: dict[str, Any] = {
            "id": before + i + 1,
            "image_id": image,
            "category_id": int(label) + 1,
            "bbox": [plain(value) for value in (x1, y1, x2 - x1, y2 - y1)],
            "area": plain(area),
            "iscrowd": int(sample.crowd is not None and sample.crowd[i]),
        }
        if isinstance(outline, dict):
            record["segmentation"] = outline
        elif outline is not None:
            record["segmentation"] = [np.asarray(points).ravel().tolist() for points in outline]
        if sample.difficult is not None and sample.difficult[i]:
            record["difficult"] = 1
        found.append(record)
    return found
