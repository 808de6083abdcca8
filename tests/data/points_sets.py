"""Small sets of points in every format, written by hand: two pictures, three points.

The same points in all of them, in pixels with continuous edges. The numbers of 300-W count from 1
and mean centres, those of COCO's whole numbers count from 0 and mean centres: hence the halves.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.data.detection_sets import pictures, write

NAMES = ["left_eye", "right_eye", "코"]
TRUTH = {
    "1.png": [[10.5, 12.5, 2.0], [24.5, 12.5, 2.0], [17.5, 20.5, 2.0]],
    "2.png": [[4.5, 5.5, 2.0], [14.5, 6.5, 2.0], [9.5, 11.5, 2.0]],
}
CSV = """file,left_eye_x,left_eye_y,right_eye_x,right_eye_y,코_x,코_y
1.png,10.5,12.5,24.5,12.5,17.5,20.5
2.png,4.5,5.5,14.5,6.5,9.5,11.5
"""
PTS = "version: 1\nn_points:  3\n{{\n{}\n}}\n"
PTS_1 = PTS.format("11 13\n25.0 13\n18 21.000")
PTS_2 = PTS.format("5 6\n15 7\n10 12")
COCO: dict[str, Any] = {
    "images": [
        {"id": 7, "file_name": "1.png", "width": 40, "height": 30},
        {"id": 9, "file_name": "2.png", "width": 20, "height": 20},
    ],
    "annotations": [
        {
            "id": 1,
            "image_id": 7,
            "category_id": 1,
            "bbox": [8, 9, 20, 16],
            "keypoints": [10, 12, 2, 24, 12, 2, 17, 20, 2],
        },
        {
            "id": 2,
            "image_id": 9,
            "category_id": 1,
            "bbox": [2, 3, 15, 12],
            "keypoints": [4, 5, 2, 14, 6, 2, 9, 11, 2],
        },
    ],
    "categories": [{"id": 1, "name": "사람", "keypoints": NAMES}],
}


def points(root: Path, text: str = CSV) -> Path:
    pictures(root)
    write(root / "points.csv", text)
    return root


def pts(root: Path, first: str = PTS_1, second: str = PTS_2) -> Path:
    pictures(root)
    write(root / "1.pts", first)
    write(root / "2.pts", second)
    return root


def keypoints(root: Path, content: Any = COCO) -> Path:
    pictures(root / "images")
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    write(root / "person_keypoints.json", text)
    return root


MAKERS = {"points": points, "pts": pts, "keypoints": keypoints}


def samples_of(root: Path) -> dict[str, Path]:
    """One set of every format."""
    return {name: maker(root / name) for name, maker in MAKERS.items()}
