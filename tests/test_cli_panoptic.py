"""Masks from the shell: COCO's panoptic PNGs and JSON beside the drawn pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from boda.cli.panoptic import Panoptic
from boda.errors import UsageError
from boda.masks import decode
from boda.types import Prediction


def seen(name: str) -> Prediction:
    masks = np.zeros((2, 6, 8), bool)
    masks[0, 1:4, 1:5] = True
    masks[1, 2:5, 3:7] = True  # hides a part of the first
    return Prediction(
        source=name,
        size=(6, 8),
        labels=np.array([1, 0]),
        names=["dog", "고양이"],
        scores=np.array([0.6, 0.9]),
        boxes=np.array([[1, 1, 5, 4], [3, 2, 7, 5]], np.float32),
        masks=masks,
    )


def test_every_pixel_is_of_the_surest_object(tmp_path: Path) -> None:
    panoptic = Panoptic(tmp_path, ["고양이", "dog"])
    panoptic.add(seen("a/x.jpg"), "x.png")
    panoptic.close()
    pixels = np.asarray(Image.open(tmp_path / "panoptic" / "x.png")).astype(int)
    ids = pixels[..., 0] + 256 * pixels[..., 1] + 65536 * pixels[..., 2]
    content = json.loads((tmp_path / "panoptic.json").read_text("utf-8"))
    (row,) = content["annotations"]
    assert row["file_name"] == "x.png" and content["images"][0]["file_name"] == "x.jpg"
    first, second = row["segments_info"]
    assert (ids == first["id"]).sum() == first["area"] == 12 - 4
    assert (ids == second["id"]).sum() == second["area"] == 12
    assert second["bbox"] == [3, 2, 4, 3] and second["category_id"] == 1
    assert [c["name"] for c in content["categories"]] == ["고양이", "dog"]
    Panoptic(tmp_path, ["dog"])  # its own file may be replaced


@pytest.mark.parametrize("text", ["{}", "[]", "no JSON", '{"info": {"year": 2017}}'])
def test_a_persons_own_file_is_never_replaced(tmp_path: Path, text: str) -> None:
    (tmp_path / "panoptic.json").write_text(text)
    with pytest.raises(UsageError, match="none that boda predict wrote"):
        Panoptic(tmp_path, ["dog"])
    assert (tmp_path / "panoptic.json").read_text() == text


def test_a_persons_own_picture_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "panoptic").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "panoptic" / "x.png")
    with pytest.raises(UsageError, match="not ours"):
        Panoptic(tmp_path, ["고양이", "dog"]).add(seen("x.jpg"), "x.png")


def test_masks_are_told_when_the_pixels_are_gone() -> None:
    prediction = seen("x.jpg")
    told = prediction.to_dict()
    masks = prediction.masks
    prediction.forget_pixels()
    assert prediction.masks is None and prediction.to_dict() == told
    assert masks is not None and decode(told["masks"][0]).tolist() == masks[0].tolist()
