"""Writes drawn detections and what pycocotools says of them.

Run in an environment that has pycocotools, from the repository (torch and boda are not needed):

    python -m benchmarks.record_detection

Among the pictures: empty ones, ones without objects, ones with crowds, one with more than 100
detections of a class; equal scores and equal overlaps; objects at the limits of the sizes; classes
that are never found, never there, or there only as a crowd.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import json
from pathlib import Path

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

GOLDEN = Path(__file__).parents[1] / "tests" / "golden" / "detection.json"
CLASSES = 6  # 3 is never found, 4 never there, 5 there only as a crowd
SCORE = 0.25
Rows = list[list[float]]  # x, y, w, h, then score and label, or label, crowd and area


def picture(rng: np.random.Generator) -> tuple[Rows, Rows]:
    """Objects and detections, most of them near an object."""
    truth: Rows = []
    for _ in range(int(rng.integers(0, 6))):
        w, h = (int(side) for side in rng.choice([8, 16, 32, 40, 64, 96, 130], 2))
        label = int(rng.choice([0, 0, 1, 2, 3, 5]))
        crowd = int(label == 5 or rng.random() < 0.15)
        area = w * h if rng.random() < 0.6 else int(w * h * 0.7)
        truth.append([*(int(c) for c in rng.integers(0, 300, 2)), w, h, label, crowd, area])
    found: Rows = []
    for x, y, w, h, label, _, _ in truth:
        for _ in range(int(rng.integers(0, 4)) * (label != 3)):
            dx, dy, dw, dh = (int(d) for d in rng.integers(-2, 3, 4))
            said = label if rng.random() < 0.8 else int(rng.choice([0, 1, 2, 4]))
            box = [x + dx, y + dy, max(2, w + dw), max(2, h + dh)]
            found.append([*box, int(rng.integers(1, 21)) / 20, said])
    for _ in range(int(rng.integers(0, 3))):
        box = [int(c) for c in rng.integers(2, 100, 4)]
        found.append([*box, int(rng.integers(1, 21)) / 20, int(rng.choice([0, 1, 2, 4, 5]))])
    return truth, found


def crowded(rng: np.random.Generator) -> tuple[Rows, Rows]:
    """More than 100 detections of a class; the object is found by late ones as well."""
    truth: Rows = [[50, 50, 40, 40, 0, 0, 1600], [200, 50, 40, 40, 0, 0, 1600]]
    truth.append([0, 200, 300, 100, 0, 1, 30000])
    places = rng.integers(40, 62, (130, 2))
    found: Rows = [
        [int(x) + 150 * (i % 2), int(y) + 150 * (i % 5 == 0), 40, 40, round(1 - i / 200, 3), 0]
        for i, (x, y) in enumerate(places)
    ]
    return truth, found


def twins() -> tuple[Rows, Rows]:
    """A detection that overlaps two objects alike: which one it takes decides about the next."""
    truth: Rows = [[0, 0, 10, 10, 2, 0, 100], [4, 0, 10, 10, 2, 0, 100]]
    return truth, [[2, 0, 10, 10, 0.9, 2], [0, 0, 10, 10, 0.8, 2]]


def evaluate(pictures: list[tuple[Rows, Rows]], classes: bool = True) -> COCOeval:
    truth = [
        {"image_id": i, "bbox": row[:4], "category_id": row[4], "iscrowd": row[5], "area": row[6]}
        for i, (rows, _) in enumerate(pictures)
        for row in rows
    ]
    found = [
        {"image_id": i, "bbox": row[:4], "score": row[4], "category_id": row[5]}
        for i, (_, rows) in enumerate(pictures)
        for row in rows
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "info": {},
            "images": [{"id": i} for i in range(len(pictures))],
            "categories": [{"id": k} for k in range(CLASSES)],
            # Numbers from 1: pycocotools takes a match with number 0 for none.
            "annotations": [{"id": n, **row} for n, row in enumerate(truth, start=1)],
        }
        coco.createIndex()
        out = COCOeval(coco, coco.loadRes(found), "bbox")
        out.params.useCats = int(classes)
        out.evaluate()
        out.accumulate()
        out.summarize()
    return out


def main() -> None:
    rng = np.random.default_rng(7)
    pictures = [picture(rng) for _ in range(60)] + [([], []), crowded(rng), twins()]
    coco = evaluate(pictures)
    precision, recall = (coco.eval[name] for name in ("precision", "recall"))
    sure = [(truth, [row for row in found if row[4] >= SCORE]) for truth, found in pictures]
    right = wrong = 0
    for seen in evaluate(sure, classes=False).evalImgs:
        if seen and seen["aRng"] == [0, 1e10]:
            counts = ~seen["dtIgnore"][0].astype(bool)
            right += int((counts & (seen["dtMatches"][0] > 0)).sum())
            wrong += int((counts & (seen["dtMatches"][0] == 0)).sum())
    told = {
        "pycocotools": importlib.metadata.version("pycocotools"),
        "classes": CLASSES,
        "pictures": [{"truth": truth, "found": found} for truth, found in pictures],
        "stats": [float(value) for value in coco.stats],
        "ap": precision[:, :, :, 0, 2].mean((0, 1)).tolist(),
        "ap50": precision[0, :, :, 0, 2].mean(0).tolist(),
        "ar": recall[:, :, 0, 2].mean(0).tolist(),
        "precision75_of_class_0": precision[5, :, 0, 0, 2].tolist(),
        "whatever the class": {"score": SCORE, "right": right, "wrong": wrong},
    }
    GOLDEN.write_text(json.dumps(told, separators=(",", ":")) + "\n", "utf-8")
    print(f"{len(pictures)} pictures in {GOLDEN}: {coco.stats}")


if __name__ == "__main__":
    main()
