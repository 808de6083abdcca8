"""Mosaics: what is seen of an object and its box move together."""

from __future__ import annotations

import torch

from boda.data.dataset import Batch
from boda.data.mosaic import NUMBERS, _kept, mosaic
from boda.data.prepare import GRAY
from boda.data.transforms import policies, random_table

SIDE = 96


def marked(count: int = 8) -> Batch:
    """Each picture shows one bright rectangle of its own brightness; its class is the picture's number."""
    generator = torch.Generator().manual_seed(0)
    images = torch.zeros(count, 3, SIDE, SIDE, dtype=torch.uint8)
    boxes = []
    for i in range(count):
        x, y = torch.randint(4, 40, (2,), generator=generator).tolist()
        w, h = torch.randint(24, 50, (2,), generator=generator).tolist()
        images[i, :, y : y + h, x : x + w] = 130 + 15 * i
        boxes.append(torch.tensor([[float(x), y, x + w, y + h]]))
    labels = [torch.tensor([i]) for i in range(count)]
    return Batch(images, torch.zeros(count).long(), torch.arange(count), boxes, labels)


def table(count: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, NUMBERS, generator=torch.Generator().manual_seed(seed))


def test_boxes_are_where_the_objects_are() -> None:
    seen = 0
    for seed in range(10):
        out = mosaic(marked(), table(8, seed), 1.0)
        assert out.boxes is not None and out.box_labels is not None
        for image, boxes, labels in zip(out.images, out.boxes, out.box_labels, strict=True):
            assert len(boxes) == len(labels) <= 4
            for box, label in zip(boxes.tolist(), labels.tolist(), strict=True):
                # Of its brightness, without the rims that resampling mixes with the ground.
                there = (image[0].int() - (130 + 15 * label)).abs() <= 2
                # A rim of a brighter one may have this brightness too, but it is one pixel wide.
                inner = torch.nn.functional.avg_pool2d(there[None].float(), 3, 1, 1)[0] == 1
                y, x = inner.nonzero().unbind(1)
                if not len(x):
                    continue
                seen += 1
                rim = 5  # pixels: that, and antialiasing of the smallest scale, 0.4
                assert (
                    abs(x.min().item() - box[0]) <= rim and abs(x.max().item() + 1 - box[2]) <= rim
                )
                assert (
                    abs(y.min().item() - box[1]) <= rim and abs(y.max().item() + 1 - box[3]) <= rim
                )
    assert seen > 150


def test_what_is_hardly_seen_has_no_box() -> None:
    """Less than a quarter in its place, or less than two pixels wide there."""
    boxes = torch.tensor(
        [
            [-30.0, 0, 10, 40],  # a quarter is in
            [-31.0, 0, 9, 40],  # less
            [0, 0, 1.5, 40],  # whole, but narrow
            [50, 50, 60, 60],  # behind the edge
            [-5, -5, 60, 60],  # around it all
        ]
    )
    assert _kept(boxes, (40, 40)).tolist() == [True, False, False, False, True]
    out = mosaic(marked(), table(8), 1.0)
    assert out.boxes is not None and sum(map(len, out.boxes)) < 4 * 8
    for each in out.boxes:
        assert (each[:, 2:] > each[:, :2]).all() and (each >= 0).all() and (each <= SIDE).all()


def test_a_share_of_none_changes_nothing() -> None:
    batch = marked()
    out = mosaic(batch, table(8), 0.0)
    assert torch.equal(out.images, batch.images)
    assert all(torch.equal(a, b) for a, b in zip(out.boxes or [], batch.boxes or [], strict=True))


def test_the_given_batch_stays_as_it_was() -> None:
    batch, before = marked(), marked()
    mosaic(batch, table(8), 1.0)
    assert torch.equal(batch.images, before.images)


def test_a_picture_alone_is_a_mosaic_of_itself() -> None:
    out = mosaic(marked(1), table(1), 1.0)
    assert out.images.shape == (1, 3, SIDE, SIDE) and len((out.boxes or [])[0]) >= 1


def test_scenes_are_calm_when_asked() -> None:
    batch, numbers = marked(), random_table(8, 0, 0)
    policy = policies["scenes"]
    wild, calm = policy.augment(batch, numbers), policy.augment(batch, numbers, calm=True)
    assert max(len(each) for each in wild.boxes or []) > 1
    assert max(len(each) for each in calm.boxes or []) == 1
    assert not torch.equal(wild.images, calm.images)


def test_where_no_picture_lies_it_is_gray() -> None:
    numbers = table(8)
    numbers[:, 3::3] = 0.0  # the smallest scale
    out = mosaic(marked(), numbers, 1.0)
    assert (out.images == GRAY).all(1).flatten(1).any(1).all()
