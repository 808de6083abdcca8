"""Small sets of masks in every format, written by hand: two pictures, three objects, one class.

The same masks in all of them: 1.png, 40 × 30, has a rectangle and a corner; 2.png, 20 × 20, has a
small rectangle. Their edges lie between pixels, so polygons and bitmaps say the same.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.data.detection_sets import pictures, write

Corners = list[tuple[int, int]]
RECTANGLE: Corners = [(4, 5), (20, 5), (20, 25), (4, 25)]
CORNER: Corners = [(22, 2), (38, 2), (38, 28), (30, 28), (30, 10), (22, 10)]
SMALL: Corners = [(2, 3), (8, 3), (8, 9), (2, 9)]
SHAPES = {"1.png": [RECTANGLE, CORNER], "2.png": [SMALL]}
SIZES = {"1.png": (30, 40), "2.png": (20, 20)}


def block(size: tuple[int, int], *boxes: tuple[int, int, int, int]) -> np.ndarray:
    """(H, W) bool, true in the boxes x1, y1, x2, y2."""
    mask = np.zeros(size, bool)
    for x1, y1, x2, y2 in boxes:
        mask[y1:y2, x1:x2] = True
    return mask


TRUTH = {
    "1.png": [
        block((30, 40), (4, 5, 20, 25)),
        block((30, 40), (22, 2, 38, 10), (30, 10, 38, 28)),
    ],
    "2.png": [block((20, 20), (2, 3, 8, 9))],
}
BOXES = {"1.png": [[4, 5, 20, 25], [22, 2, 38, 28]], "2.png": [[2, 3, 8, 9]]}


def region(corners: Corners, kind: str = "polygon", **attributes: Any) -> dict[str, Any]:
    """A region of VIA."""
    xs, ys = zip(*corners, strict=True)
    shape = {"name": kind, "all_points_x": list(xs), "all_points_y": list(ys)}
    return {"shape_attributes": shape, "region_attributes": attributes}


def shape(corners: Any, label: str = "object", **more: Any) -> dict[str, Any]:
    """A shape of LabelMe."""
    points = [list(point) for point in corners]
    return {"label": label, "points": points, "group_id": None, "shape_type": "polygon", **more}


VIA = {
    f"{name}{number}": {
        "filename": name,
        "size": number,
        "regions": [region(corners, name="object") for corners in shapes],
        "file_attributes": {},
    }
    for number, (name, shapes) in enumerate(SHAPES.items())
}
LABELME = {
    name: {
        "version": "5.4.1",
        "flags": {},
        "shapes": [shape(corners) for corners in shapes],
        "imagePath": name,
        "imageData": None,
        "imageHeight": SIZES[name][0],
        "imageWidth": SIZES[name][1],
    }
    for name, shapes in SHAPES.items()
}


def save(mask: np.ndarray, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path)
    return path


def instance_png(root: Path) -> Path:
    pictures(root / "images")
    for name, masks in TRUTH.items():
        numbered = sum(i * mask.astype(np.uint8) for i, mask in enumerate(masks, start=1))
        save(np.asarray(numbered, np.uint8), root / "masks" / name)
    return root


def dsb(root: Path) -> Path:
    for name, masks in TRUTH.items():
        stem = Path(name).stem
        pictures(root / stem / "images")
        for other in set(TRUTH) - {name}:
            (root / stem / "images" / other).unlink()
        for number, mask in enumerate(masks):
            save(mask.astype(np.uint8) * 255, root / stem / "masks" / f"{number}a.png")
    return root


def via(root: Path, content: Any = VIA) -> Path:
    pictures(root)
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    write(root / "via_region_data.json", text)
    return root


def labelme(root: Path, first: Any = LABELME["1.png"]) -> Path:
    pictures(root)
    write(root / "1.json", first if isinstance(first, str) else json.dumps(first, indent=1))
    write(root / "2.json", json.dumps(LABELME["2.png"], indent=1))
    return root


MAKERS = {"instance-png": instance_png, "dsb": dsb, "via": via, "labelme": labelme}


def samples_of(root: Path) -> dict[str, Path]:
    """One set of every format."""
    return {name: maker(root / name) for name, maker in MAKERS.items()}
