"""Small sets of boxes in every format, written by hand: two pictures, three boxes, two classes.

The same boxes in all of them: 1.png, 40 × 30, has 고양이 at (4, 5, 20, 25) and dog at (0, 0, 40, 30);
2.png, 20 × 20, has dog at (2, 3, 8, 9).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

TRUTH = {
    "1.png": {("고양이", 4.0, 5.0, 20.0, 25.0), ("dog", 0.0, 0.0, 40.0, 30.0)},
    "2.png": {("dog", 2.0, 3.0, 8.0, 9.0)},
}
COCO: dict[str, Any] = {
    "images": [
        {"id": 7, "file_name": "1.png", "width": 40, "height": 30},
        {"id": 9, "file_name": "2.png", "width": 20, "height": 20},
    ],
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 3, "bbox": [4, 5, 16, 20], "iscrowd": 0},
        {"id": 2, "image_id": 7, "category_id": 90, "bbox": [0, 0, 40, 30], "iscrowd": 0},
        {"id": 3, "image_id": 9, "category_id": 90, "bbox": [2, 3, 6, 6], "iscrowd": 0},
    ],
    "categories": [{"id": 90, "name": "dog"}, {"id": 3, "name": "고양이"}],
}
XML = """<annotation>
 <filename>{name}</filename>
 <size><width>{width}</width><height>{height}</height><depth>3</depth></size>
{objects}</annotation>
"""
OBJECT = """ <object>
  <name>{}</name>
  <bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox>
 </object>
"""
XML_1 = XML.format(
    name="1.png",
    width=40,
    height=30,
    objects=OBJECT.format("고양이", 5, 6, 20, 25) + OBJECT.format("dog", 1, 1, 40, 30),
)
XML_2 = XML.format(name="2.png", width=20, height=20, objects=OBJECT.format("dog", 3, 4, 8, 9))
YOLO_1 = "0 0.3 0.5 0.4 0.6666666666666666\n1 0.5 0.5 1 1\n"
YOLO_2 = "1 0.25 0.3 0.3 0.3\n"
YAML = "names:\n  0: 고양이\n  1: dog\n"
CSV = "file,x1,y1,x2,y2,class\n1.png,4,5,20,25,고양이\n1.png,0,0,40,30,dog\n2.png,2,3,8,9,dog\n"


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def pictures(folder: Path) -> Path:
    """1.png and 2.png."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (height, width) in (("1.png", (30, 40)), ("2.png", (20, 20))):
        picture = np.arange(height * width * 3).reshape(height, width, 3).astype(np.uint8)
        Image.fromarray(picture).save(folder / name)
    return folder


def coco(root: Path, content: Any = COCO) -> Path:
    pictures(root / "images")
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    write(root / "instances.json", text)
    return root


def voc(root: Path, first: str = XML_1, second: str = XML_2) -> Path:
    pictures(root / "JPEGImages")
    write(root / "Annotations" / "1.xml", first)
    write(root / "Annotations" / "2.xml", second)
    return root


def yolo(root: Path, first: str = YOLO_1, second: str = YOLO_2, names: str = YAML) -> Path:
    pictures(root / "images")
    write(root / "labels" / "1.txt", first)
    write(root / "labels" / "2.txt", second)
    if names:
        write(root / "data.yaml", names)
    return root


def boxes(root: Path, text: str = CSV) -> Path:
    pictures(root)
    write(root / "boxes.csv", text)
    return root


MAKERS = {"coco": coco, "voc": voc, "yolo": yolo, "boxes": boxes}


def samples_of(root: Path) -> dict[str, Path]:
    """One set of every format."""
    return {name: maker(root / name) for name, maker in MAKERS.items()}
