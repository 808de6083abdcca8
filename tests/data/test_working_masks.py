"""Masks on their way to the network: where the pictures put them, in the order of the boxes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from boda.data.change import Change, apply
from boda.data.dataset import Batch, Pictures
from boda.data.loading import load
from boda.data.mosaic import mosaic
from boda.data.prepare import Preparation
from boda.data.readers import read
from boda.data.transforms import policies, random_table
from boda.masks import boxes as boxes_of
from boda.masks import encode, rasterize
from boda.ops import geometry
from boda.progress import Progress
from boda.types import Sample
from tests.data import mask_sets
from tests.data.mask_sets import CORNER, RECTANGLE, block
from tests.data.test_mosaic import table

SIDE = 96


def sample(outlines: list[object], size: tuple[int, int] = (30, 40), **more: object) -> Sample:
    """A picture of objects with these outlines; the boxes count them."""
    boxes = [[i, i, i + 2, i + 2] for i in range(len(outlines))]
    return Sample(
        "a",
        "a",
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        labels=np.arange(len(outlines)),
        outlines=outlines,
        size=size,
        **more,  # type: ignore[arg-type]
    )


def looked_up(mask: np.ndarray, preparation: Preparation) -> np.ndarray:
    """The working mask, a pixel at a time: what lies under the pixel's centre."""
    (sx, _, tx), (_, sy, ty), _ = preparation.matrix(*mask.shape)
    out = np.zeros((preparation.height, preparation.width), bool)
    for row, column in np.ndindex(*out.shape):
        x, y = (column + 0.5 - tx) / sx, (row + 0.5 - ty) / sy
        if 0 <= x < mask.shape[1] and 0 <= y < mask.shape[0]:
            out[row, column] = mask[int(y), int(x)]
    return out


@pytest.mark.parametrize("rule", ["letterbox", "stretch", "crop"])
@pytest.mark.parametrize("size", [(23, 47), (60, 60), (95, 33)])
def test_bitmaps_go_where_the_picture_goes(rule: str, size: tuple[int, int]) -> None:
    preparation = Preparation(*size, rule=rule)  # type: ignore[arg-type]
    generator = np.random.default_rng(0)
    masks = generator.random((3, 31, 41)) > 0.7
    masks[2] = block((31, 41), (0, 0, 41, 31))
    code = encode(masks[1], compressed=False)
    made = Pictures([sample([encode(masks[0]), code, encode(masks[2])], (31, 41))], preparation,
                    task="instances").masks  # fmt: skip
    assert made is not None and made[0].dtype == torch.bool
    expected = [looked_up(mask, preparation) for mask in masks]
    np.testing.assert_array_equal(made[0].numpy(), expected)
    again = sample([None] * 3, (31, 41), masks=masks)  # as drawn samples bring them
    held = Pictures([again], preparation, task="instances").masks
    assert held is not None and torch.equal(held[0], made[0])


def test_polygons_are_drawn_at_the_size_of_the_network() -> None:
    """A thin line that no pixel of the original has is there where pixels are finer."""
    thin = np.array([(4.0, 4.05), (36.0, 4.05), (36.0, 4.35), (4.0, 4.35)])
    preparation = Preparation(300, 400, rule="letterbox")
    pictures = Pictures([sample([[thin], [np.array(RECTANGLE, float), np.array(CORNER, float)]])],
                        preparation, task="instances")  # fmt: skip
    assert pictures.masks is not None
    assert not rasterize([thin], (30, 40)).any()
    line, both = pictures.masks[0].numpy()
    assert 300 * 3 < line.sum() < 340 * 4
    finer = [(40, 50, 200, 250), (220, 20, 380, 100), (300, 100, 380, 280)]
    np.testing.assert_array_equal(both, block((300, 400), *finer))


def test_crowds_and_difficult_objects_are_not_among_them() -> None:
    outlines: list[object] = [[np.array(c, float)] for c in (RECTANGLE, CORNER, RECTANGLE)]
    crowd, difficult = np.array([True, False, False]), np.array([False, False, True])
    one = sample([None, outlines[1], None], crowd=crowd, difficult=difficult)
    pictures = Pictures([one, sample([])], Preparation(30, 40), task="instances")
    batch = pictures.batch(torch.zeros(2, 3, 30, 40, dtype=torch.uint8), torch.tensor([1, 0]))
    assert batch.masks is not None and batch.boxes is not None
    assert [mask.shape for mask in batch.masks] == [(0, 30, 40), (1, 30, 40)]
    assert [len(boxes) for boxes in batch.boxes] == [0, 1]
    np.testing.assert_array_equal(batch.masks[1][0].numpy(), mask_sets.TRUTH["1.png"][1])


def test_kept_masks_are_the_same_and_nobody_shares_them() -> None:
    pictures = Pictures(
        [sample([[np.array(RECTANGLE, float)]])], Preparation(37, 51), task="instances"
    )
    assert pictures.masks is not None and len(pictures.masks) == 1
    first = pictures.masks[0]
    kept = first.clone()
    first.zero_()
    assert torch.equal(pictures.masks[0], kept) and torch.equal(pictures.masks[-1], kept)
    with pytest.raises(IndexError):
        pictures.masks[1]


@pytest.mark.parametrize("format", mask_sets.MAKERS)
def test_only_instances_pays_for_masks(format: str, tmp_path: Path) -> None:
    root, preparation = mask_sets.MAKERS[format](tmp_path), Preparation(64, 64, rule="letterbox")
    made = {
        task: load(read(root, task=task), preparation, False, Progress(quiet=True), ("all",))
        for task in ("detect", "instances")
    }
    assert made["detect"].pictures["all"].masks is None
    (batch,) = made["instances"].pictures["all"].in_order(2)
    assert batch.masks is not None and batch.boxes is not None
    for masks, boxes in zip(batch.masks, batch.boxes, strict=True):
        assert len(masks) == len(boxes)
        assert np.abs(boxes_of(masks.numpy()) - boxes.numpy()).max() <= 1
    (plain,) = made["detect"].pictures["all"].in_order(2)
    assert plain.masks is None and torch.equal(plain.images, batch.images)


# ---- augmentation


def scenes(count: int = 8) -> Batch:
    """Each picture shows one ellipse of its own brightness, which is its mask; its class is the number."""
    generator = torch.Generator().manual_seed(0)
    images = torch.zeros(count, 3, SIDE, SIDE, dtype=torch.uint8)
    y, x = torch.meshgrid(*[torch.arange(SIDE) + 0.5] * 2, indexing="ij")
    masks, boxes = [], []
    for i in range(count):
        cx, cy = (torch.rand(2, generator=generator) * 40 + 28).tolist()
        rx, ry = (torch.rand(2, generator=generator) * 14 + 12).tolist()
        mask = ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1
        images[i, :, mask] = 130 + 15 * i
        masks.append(mask[None])
        boxes.append(torch.from_numpy(boxes_of(mask[None].numpy())))
    labels = [torch.tensor([i]) for i in range(count)]
    zeros = torch.zeros(count).long()
    return Batch(images, zeros, torch.arange(count), boxes, labels, masks)


def assert_masks_are_on_the_objects(batch: Batch, least: float) -> int:
    """Of the pixels that are an object's, but for its rim, its mask has at least that share."""
    assert batch.masks is not None and batch.boxes is not None and batch.box_labels is not None
    seen = 0
    for image, masks, boxes, labels in zip(
        batch.images, batch.masks, batch.boxes, batch.box_labels, strict=True
    ):
        assert len(masks) == len(boxes) == len(labels) and masks.dtype == torch.bool
        assert masks.shape[1:] == image.shape[1:]
        for mask, box, label in zip(masks, boxes, labels.tolist(), strict=True):
            there = (image[0].int() - (130 + 15 * label)).abs() <= 2
            inner = torch.nn.functional.avg_pool2d(there[None].float(), 3, 1, 1)[0] == 1
            if inner.sum() < 20:
                continue
            seen += 1
            assert (inner & mask).sum() >= least * inner.sum()
            # The mask of one object is the object, not its surroundings.
            grown = torch.nn.functional.max_pool2d(there[None].float(), 7, 1, 3)[0] > 0
            assert (mask & grown).sum() >= least * mask.sum()
            x1, y1, x2, y2 = boxes_of(mask[None].numpy())[0].tolist()
            assert x1 >= box[0] - 2 and y1 >= box[1] - 2 and x2 <= box[2] + 2 and y2 <= box[3] + 2
    return seen


def test_a_mosaic_carries_masks() -> None:
    seen = 0
    for seed in range(6):
        batch = scenes()
        out = mosaic(batch, table(8, seed), 1.0)
        seen += assert_masks_are_on_the_objects(out, 0.98)
        assert out.masks is not None
        for masks in out.masks:
            assert len(masks) == 0 or masks.sum(0).max() <= 1, "the four places are apart"
        without = mosaic(replace(batch, masks=None), table(8, seed), 1.0)
        assert without.masks is None and torch.equal(without.images, out.images)
        assert batch.masks is not None and torch.equal(batch.masks[0], (scenes().masks or [])[0])
    assert seen > 80


def test_a_mosaic_of_pictures_without_objects_has_none() -> None:
    batch = scenes(4)
    empty = torch.zeros(0, SIDE, SIDE, dtype=torch.bool)
    batch.masks, batch.boxes = [empty] * 4, [torch.zeros(0, 4)] * 4
    batch.box_labels = [torch.zeros(0).long()] * 4
    out = mosaic(batch, table(4), 1.0)
    assert [mask.shape for mask in out.masks or []] == [(0, SIDE, SIDE)] * 4


def test_a_matrix_moves_masks_as_pictures() -> None:
    batch = scenes()
    turned = geometry.rotate(20, (SIDE / 2, SIDE / 2))
    for matrix in (geometry.mirror(SIDE), turned, geometry.scale(1.3, 0.8, (40, 50))):
        out = apply(batch, Change(matrix=matrix.expand(8, 3, 3)))
        assert assert_masks_are_on_the_objects(out, 0.99) >= 6
    gone = apply(batch, Change(matrix=geometry.translate(SIDE, 0).expand(8, 3, 3)))
    assert [mask.shape for mask in gone.masks or []] == [(0, SIDE, SIDE)] * 8
    control = 4 * torch.randn(8, 2, 4, 4, generator=torch.Generator().manual_seed(1))
    bent = apply(batch, Change(control=control))
    assert assert_masks_are_on_the_objects(bent, 0.98) == 8


@pytest.mark.parametrize("name", ["scenes", "places"])
def test_policies_move_masks(name: str) -> None:
    """Colours change, so that the masks can only be compared with their boxes."""
    batch = scenes()
    out = policies[name].augment(batch, random_table(8, 0, 0))
    assert out.masks is not None and out.boxes is not None
    for masks, boxes in zip(out.masks, out.boxes, strict=True):
        assert len(masks) == len(boxes)
        tight = boxes_of(masks.numpy())
        # A turned box is larger than its object's own, never smaller.
        assert (tight[:, :2] >= boxes[:, :2].numpy() - 2).all()
        assert (tight[:, 2:] <= boxes[:, 2:].numpy() + 2).all()


def test_masks_of_pennfudan_stand_on_the_pictures(shared_data: Path) -> None:
    """Painted with their masks, the pictures are prepared as the masks are."""
    preparation = Preparation(256, 320, rule="letterbox")
    samples = read(shared_data / "pennfudan").splits["all"][::40]
    pictures = Pictures(samples, preparation, task="instances")
    assert pictures.masks is not None
    for i, one in enumerate(samples):
        numbers = np.asarray(Image.open(one.source))
        for k, mask in enumerate(pictures.masks[i].numpy(), start=1):
            shown = preparation(np.repeat((numbers == k)[..., None], 3, 2).astype(np.uint8) * 255)
            gray = preparation(np.zeros((*numbers.shape, 3), np.uint8))  # the letterbox's edges
            other = (shown[..., 0] > gray[..., 0] + 127) != mask
            assert other.sum() <= 0.06 * mask.sum()
