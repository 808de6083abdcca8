"""Writes drawn outlines and masks, and what pycocotools makes of them.

Run in an environment that has pycocotools, from the repository (torch and boda are not needed), with
COCO's first 128 pictures' ``instances.json``, of which only the figures are kept:

    python -m benchmarks.record_masks ../shared/data/coco128/instances.json

Outlines: inside and outside of the picture, crossing themselves, of whole, half and arbitrary
coordinates, with corners said twice. Detections: empty pictures and masks, crowds, equal scores and
overlaps, sizes at their limits, classes that are never found, or there only as a crowd.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

GOLDEN = Path(__file__).parents[1] / "tests" / "golden" / "masks.json"
CLASSES = 5  # 3 is never found, 4 there only as a crowd
SIZE = (150, 200)
Row = list[Any]  # a polygon, then score and label, or label, crowd and area (0 for the mask's)


def outlines(rng: np.random.Generator) -> list[dict[str, Any]]:
    """Objects of a few polygons, and the run-length codes of what they cover together."""
    out = []
    for n in range(150):
        height, width = (int(side) for side in rng.integers(1, [40, 50]))
        polygons = []
        for _ in range(int(rng.integers(1, 4))):
            corners = rng.uniform(-0.6, 1.6, (int(rng.integers(3, 8)), 2)) * [width, height]
            corners = np.round(corners * (1, 2, 100)[n % 3]) / (1, 2, 100)[n % 3]
            corners = np.repeat(corners, 1 + int(n % 11 == 0), 0)
            polygons.append(corners.ravel().tolist())
        code = coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))
        again = coco_mask.encode(np.asfortranarray(coco_mask.decode(code)))
        box = coco_mask.toBbox(again).tolist()
        told = {"size": [height, width], "polygons": polygons, "box": box}
        out.append(told | {"counts": again["counts"].decode(), "area": int(coco_mask.area(again))})
    return out


def picture(rng: np.random.Generator) -> tuple[list[Row], list[Row]]:
    """Objects and detections, most of them near an object."""
    truth: list[Row] = []
    found: list[Row] = []
    for _ in range(int(rng.integers(0, 5))):
        side = int(rng.choice([10, 32, 33, 60, 96, 110]))
        corner = rng.integers(0, [SIZE[1] - side // 2, SIZE[0] - side // 2])
        shape = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * side
        if rng.random() < 0.5:  # less than a square
            shape = shape - (shape * rng.uniform(0, 0.6, (4, 2))).astype(int)
        label = int(rng.choice([0, 0, 1, 2, 3, 4]))
        crowd = int(label == 4 or rng.random() < 0.15)
        area = 0 if rng.random() < 0.6 else int(rng.choice([900, 1024, 1025, 9216, 9300]))
        truth.append([(shape + corner).ravel().tolist(), label, crowd, area])
        for _ in range(int(rng.integers(0, 4)) * (label != 3)):
            said = label if rng.random() < 0.8 else int(rng.choice([0, 1, 2]))
            moved = shape + corner + rng.integers(-4, 5, shape.shape)
            found.append([moved.ravel().tolist(), int(rng.integers(1, 21)) / 20, said])
    for _ in range(int(rng.integers(0, 3))):  # anywhere, also outside
        corners = rng.integers(-60, 220, 6).tolist()
        found.append([corners, int(rng.integers(1, 21)) / 20, int(rng.choice([0, 1, 2, 4]))])
    return truth, found


def drawn(pictures: list[tuple[list[Row], list[Row]]]) -> COCOeval:
    height, width = SIZE
    truth, found = [], []
    for i, (there, said) in enumerate(pictures):
        for polygon, label, crowd, area in there:
            code = coco_mask.merge(coco_mask.frPyObjects([polygon], height, width))
            row = {"image_id": i, "category_id": label, "iscrowd": crowd, "segmentation": code}
            truth.append(row | {"area": area or int(coco_mask.area(code))})
        for polygon, score, label in said:
            code = coco_mask.merge(coco_mask.frPyObjects([polygon], height, width))
            row = {"image_id": i, "category_id": label, "score": score}
            found.append(row | {"segmentation": code})
    images = [{"id": i, "height": height, "width": width} for i in range(len(pictures))]
    return evaluate(images, list(range(CLASSES)), truth, found)


def shifted(mask: np.ndarray, n: int) -> np.ndarray:
    """Moved by up to 8 pixels, as the number says."""
    dx, dy = (n % 5 - 2) * (1 + n % 3), (n * 3 % 7 - 3) * (1 + n % 2)
    out = np.zeros_like(mask)
    height, width = mask.shape
    out[max(dy, 0) : height + min(dy, 0), max(dx, 0) : width + min(dx, 0)] = mask[
        max(-dy, 0) : height + min(-dy, 0), max(-dx, 0) : width + min(-dx, 0)
    ]
    return out


def photographed(file: Path) -> COCOeval:
    """Real objects; each object n is found moved, some twice, some as another class, some not."""
    data = json.loads(file.read_text("utf-8"))
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(file))
    kinds = sorted(category["id"] for category in data["categories"])
    found = []
    for n, row in enumerate(data["annotations"]):
        if n % 13 == 0:
            continue
        label = kinds[(kinds.index(row["category_id"]) + (n % 9 == 0)) % len(kinds)]
        mask = coco.annToMask(row)
        for twice in range(1 + (n % 4 == 0)):
            code = coco_mask.encode(np.asfortranarray(shifted(mask, n + 17 * twice)))
            score = (n * 7919 + twice * 4001) % 10007 / 10007
            said = {"image_id": row["image_id"], "category_id": label, "score": score}
            found.append(said | {"segmentation": code})
    return evaluate(data["images"], kinds, data["annotations"], found)


def evaluate(images: list, kinds: list[int], truth: list[dict], found: list[dict]) -> COCOeval:
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "info": {},
            "images": images,
            "categories": [{"id": k} for k in kinds],
            # Numbers from 1: pycocotools takes a match with number 0 for none.
            "annotations": [row | {"id": n} for n, row in enumerate(truth, start=1)],
        }
        coco.createIndex()
        out = COCOeval(coco, coco.loadRes(found), "segm")
        out.evaluate()
        out.accumulate()
        out.summarize()
    return out


def main() -> None:
    rng = np.random.default_rng(6)
    pictures = [picture(rng) for _ in range(60)] + [([], [])]
    coco, real = drawn(pictures), photographed(Path(sys.argv[1]))
    precision, recall = (coco.eval[name] for name in ("precision", "recall"))
    told = {
        "pycocotools": importlib.metadata.version("pycocotools"),
        "outlines": outlines(rng),
        "classes": CLASSES,
        "size": SIZE,
        "pictures": [{"truth": truth, "found": found} for truth, found in pictures],
        "stats": coco.stats.tolist(),
        "ap": precision[:, :, :, 0, 2].mean((0, 1)).tolist(),
        "ar": recall[:, :, 0, 2].mean(0).tolist(),
        "coco128": real.stats.tolist(),
    }
    GOLDEN.write_text(json.dumps(told, separators=(",", ":")) + "\n", "utf-8")
    print(f"{GOLDEN}: {GOLDEN.stat().st_size:,} bytes; {coco.stats}, {real.stats}")


if __name__ == "__main__":
    main()
