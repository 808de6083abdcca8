"""Everything known of a picture moves with it: marked pixels are found again under their labels."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from boda.data import operations
from boda.data.change import Change, apply, pictures
from boda.data.dataset import Batch
from boda.ops import geometry, photometric

SIZE = (60, 80)
quick = settings(max_examples=25, deadline=None)

MOVEMENTS = {
    "mirror": lambda n, s: Change(operations.mirror(n[:, 0], s)),
    "crop by whole pixels": lambda n, s: Change(operations.shift(n[:, :2], s)),
    "resized crop": lambda n, s: Change(operations.resized_crop(n[:, :4], s, 0.3)),
    "rotation": lambda n, s: Change(operations.affine(n, s, degrees=180, zoom=0, slant=0)),
    "scaling": lambda n, s: Change(operations.affine(n, s, degrees=0, zoom=0.5, slant=0)),
    "shear": lambda n, s: Change(operations.affine(n, s, degrees=0, zoom=0, slant=30)),
    "translation": lambda n, s: Change(
        operations.affine(n, s, degrees=0, zoom=0, slant=0, move=0.3)
    ),
    "perspective": lambda n, s: Change(operations.perspective(n[:, :8], s, 0.3)),
    "local warping": lambda n, s: Change(control=operations.local_warp(n[:, :18], s, 0.05)),
    "one after the other": lambda n, s: Change(
        geometry.compose(
            operations.mirror(n[:, 0], s),
            operations.affine(n[:, 1:6], s, degrees=40, zoom=0.2, slant=10, move=0.1),
            operations.perspective(n[:, 6:14], s, 0.1),
        ),
        control=operations.local_warp(n[:, 14:32], s, 0.05),
    ),
}


def disc(x: float, y: float, radius: float) -> torch.Tensor:
    """(H, W) bool."""
    rows, columns = torch.meshgrid(*(torch.arange(n) + 0.5 for n in SIZE), indexing="ij")
    return (rows - y) ** 2 + (columns - x) ** 2 < radius**2


def box_of(mask: torch.Tensor) -> torch.Tensor:
    """(1, 4): the smallest box that holds all its pixels."""
    rows, columns = mask.nonzero().unbind(1)
    ends = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    return torch.stack(ends).float()[None]


def marked(x: float, y: float, radius: float) -> Batch:
    """One picture with a disc, in blue a small spot at its centre, and all that can be known of it."""
    mask = disc(x, y, radius)
    rows, columns = torch.meshgrid(*(torch.arange(n) + 0.5 for n in SIZE), indexing="ij")
    spot = 250 * torch.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * 1.5**2))
    return Batch(
        images=torch.stack([mask * 200, mask * 200, spot]).to(torch.uint8)[None],
        labels=torch.zeros(1, dtype=torch.int64),
        index=torch.zeros(1, dtype=torch.int64),
        boxes=[box_of(mask)],
        box_labels=[torch.tensor([7])],
        masks=[mask[None]],
        semantic=mask[None].to(torch.uint8),
        points=torch.tensor([[[x, y, 2.0]]]),
    )


@pytest.mark.parametrize("name", MOVEMENTS)
@given(
    seed=st.integers(0, 10**6),
    x=st.floats(12, 68),
    y=st.floats(12, 48),
    radius=st.floats(6, 11),
)
@quick
def test_labels_lie_where_the_marked_pixels_are_found(name, seed, x, y, radius) -> None:
    numbers = torch.rand(1, 32, generator=torch.Generator().manual_seed(seed))
    before = marked(x, y, radius)
    after = apply(before, MOVEMENTS[name](numbers, SIZE))
    found = after.images[0, 0] > 100
    border = found[0].any() or found[-1].any() or found[:, 0].any() or found[:, -1].any()
    if after.boxes[0].numel() == 0:  # dropped: a quarter of the box, or less, was to be seen
        assert border or not found.any()
        assert after.masks[0].shape == (0, *SIZE) and after.box_labels[0].numel() == 0
        return
    assert after.box_labels[0].tolist() == [7]
    for other in (after.masks[0][0], after.semantic[0] == 1):  # nearest against bilinear
        differ = (other ^ found).sum().item()
        assert differ <= 0.35 * math.sqrt(math.pi * found.sum().item()) * 2 + 4
    rows, columns = found.nonzero().unbind(1)
    if len(rows) == 0:
        return
    x1, y1, x2, y2 = after.boxes[0][0].tolist()
    assert 0 <= x1 < x2 <= SIZE[1] and 0 <= y1 < y2 <= SIZE[0]
    assert columns.min() >= x1 - 1 and columns.max() + 1 <= x2 + 1
    assert rows.min() >= y1 - 1 and rows.max() + 1 <= y2 + 1
    if not border:
        weight = after.images[0, 2].double()
        mass = [
            ((weight.sum(1 - axis) * (torch.arange(SIZE[axis]) + 0.5)).sum() / weight.sum()).item()
            for axis in (1, 0)
        ]
        # A bend may move even a small spot's centre of mass a little off the bent point.
        near = 1.0 if name in ("local warping", "one after the other") else 0.5
        assert after.points[0, 0].tolist()[:2] == pytest.approx(mass, abs=near)
        assert after.points[0, 0, 2] == 2


def test_the_flip_of_0_0_3_4_in_width_10_is_7_0_10_4_and_the_pixels_land_there() -> None:
    images = torch.zeros(2, 3, 6, 10, dtype=torch.uint8)
    images[:, :, 0:4, 0:3] = 200
    box = torch.tensor([[0.0, 0, 3, 4]])
    zeros = torch.zeros(2, dtype=torch.int64)
    batch = Batch(images, zeros, zeros, boxes=[box, box])
    out = apply(batch, Change(operations.mirror(torch.tensor([0.0, 0.9]), (6, 10))))
    assert [each.tolist() for each in out.boxes] == [[[7, 0, 10, 4]], [[0, 0, 3, 4]]]
    assert (out.images[0, :, 0:4, 7:10] == 200).all() and out.images[0].sum() == images[0].sum()
    assert out.images[1].equal(images[1])
    assert batch.boxes[0].equal(box) and batch.images[0, 0, 0, 0] == 200, (
        "the batch is not written to"
    )


def test_boxes_are_dropped_by_their_visible_share_and_take_label_and_mask_along() -> None:
    boxes = torch.tensor([[0.0, 0, 8, 8], [4, 4, 12, 12], [20, 20, 21, 30], [30, 0, 40, 8]])
    masks = torch.zeros(4, *SIZE, dtype=torch.bool)
    zero = torch.zeros(1, dtype=torch.int64)
    images = torch.zeros(1, 3, *SIZE, dtype=torch.uint8)
    batch = Batch(images, zero, zero, boxes=[boxes], box_labels=[torch.arange(4)], masks=[masks])
    # 6 pixels to the left: of the first box a quarter stays, which is enough.
    out = apply(batch, Change(geometry.translate(-6, 0)[None]))
    assert out.box_labels[0].tolist() == [0, 1, 2, 3] and out.masks[0].shape[0] == 4
    assert out.boxes[0][0].tolist() == [0, 0, 2, 8]
    out = apply(batch, Change(geometry.translate(-6.5, 0)[None]))
    assert out.box_labels[0].tolist() == [1, 2, 3] and out.masks[0].shape[0] == 3
    # The third one is a pixel wide; squeezed, it is less.
    out = apply(batch, Change(geometry.scale(0.9)[None]))
    assert out.box_labels[0].tolist() == [0, 1, 3]


def test_points_that_leave_lose_their_visibility_and_mirrored_ones_swap() -> None:
    zero = torch.zeros(2, dtype=torch.int64)
    images = torch.zeros(2, 1, 10, 10, dtype=torch.uint8)
    points = torch.tensor([[[1.0, 2, 2], [8, 3, 1], [5, 9, 2]]]).expand(2, 3, 3)
    order = torch.tensor([1, 0, 2])
    batch = Batch(images, zero, zero, points=points, mirror_order=order)
    matrix = torch.stack([geometry.mirror(10), geometry.translate(-2, 0)])
    out = apply(batch, Change(matrix))
    assert out.points[0].tolist() == [[2, 3, 1], [9, 2, 2], [5, 9, 2]]
    assert out.points[1].tolist() == [[-1, 2, 0], [6, 3, 1], [3, 9, 2]]
    flat = apply(Batch(images, zero, zero, points=points[..., :2]), Change(matrix))
    assert flat.points[1].tolist() == [[-1, 2], [6, 3], [3, 9]]


def test_what_moves_in_is_fill_in_pictures_and_ignored_in_class_maps() -> None:
    zero = torch.zeros(1, dtype=torch.int64)
    images = torch.full((1, 3, 8, 8), 50, dtype=torch.uint8)
    semantic = torch.full((1, 8, 8), 3, dtype=torch.uint8)
    moved = geometry.translate(4, 0)[None]
    for fill, expected in ((9, 9), ("reflect", 114), ("edge", 50)):
        out = apply(Batch(images, zero, zero, semantic=semantic), Change(moved, fill))
        assert out.images[0, 0, 0].tolist() == [expected] * 4 + [50] * 4
        assert out.semantic[0, 0].tolist() == [255] * 4 + [3] * 4
    plain = apply(Batch(images, zero, zero), Change(moved, "reflect"))
    assert (plain.images == 50).all(), "without places it may be reflected"


def test_a_map_moves_by_its_own_matrix_whatever_the_others_do() -> None:
    """A batch in which pictures are mirrored, moved, enlarged and turned: each as it is alone, warped."""
    maps = torch.randint(0, 7, (5, 20, 30), generator=torch.Generator().manual_seed(0)).byte()
    size, flip = (20, 30), geometry.mirror(30)
    matrices = torch.stack(
        [
            geometry.identity(),
            flip,
            geometry.translate(3, -2) @ flip,
            geometry.scale(2.0),
            geometry.rotate(20),
        ]
    )
    zero = torch.zeros(5, dtype=torch.int64)
    batch = Batch(maps[:, None].expand(-1, 3, -1, -1), zero, zero, semantic=maps)
    moved = apply(batch, Change(matrices)).semantic
    for each, matrix, found in zip(maps, matrices, moved, strict=True):
        assert torch.equal(found, geometry.warp(each, matrix, size, "nearest", 255))


def ramp(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(4)
    coarse = torch.rand(shape[0], shape[1], 5, 5, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, shape[2:], mode="bilinear")
    return (smooth * 255).to(torch.uint8)


def test_copies_and_windows_are_what_the_warp_would_give() -> None:
    """The fast ways against the one that takes any matrix, on pictures without sharp edges."""
    images, generator = ramp(8, 3, 48, 64), torch.Generator().manual_seed(0)
    numbers = torch.rand(8, 5, generator=generator)
    size = (48, 64)
    for matrix in (
        operations.mirror(numbers[:, 0], size),
        geometry.compose(
            operations.resized_crop(numbers[:, 1:], size, 0.3),
            operations.mirror(numbers[:, 0], size),
        ),
        geometry.mirror_vertical(48).expand(8, 3, 3),
    ):
        fast = pictures(images, Change(matrix, "edge")).float()
        slow = geometry.warp(images.float(), matrix, size, fill="edge")
        # A window is resampled from its own pixels alone: half a pixel at its rim is not that.
        assert (fast - slow)[..., 4:-4, 4:-4].abs().max() <= 1 + 1e-3


def test_a_picture_does_not_depend_on_its_batch_whatever_happens_to_the_others() -> None:
    images = ramp(7, 3, 40, 56)
    size = (40, 56)
    identity, bent = geometry.identity(), torch.zeros(7, 2, 5, 5)
    bent[6, :, 2, 2] = 2.0
    numbers = torch.rand(7, 8, generator=torch.Generator().manual_seed(3))
    matrix = torch.stack(
        [
            identity,
            geometry.mirror(56),
            geometry.translate(3, -2),
            operations.resized_crop(numbers[3:4, :4], size, 0.3)[0],
            geometry.rotate(10, (28, 20)),
            operations.perspective(numbers[5:6], size, 0.2)[0],
            geometry.rotate(-10, (28, 20)),
        ]
    )
    change = Change(
        matrix,
        0,
        control=bent,
        colour=operations.jitter(numbers, 0.4, 20),
        blur=torch.tensor([0, 1.0, 0, 0.7, 0, 2.0, 0]),
        noise=torch.tensor([0, 0, 9.0, 0, 0, 3, 5]),
        seeds=torch.arange(7),
    )
    together = pictures(images, change)
    for i in range(7):
        row = Change(
            **{
                name: value[i : i + 1] if isinstance(value, torch.Tensor) else value
                for name, value in vars(change).items()
            }
        )
        assert pictures(images[i : i + 1], row)[0].equal(together[i]), i


def test_one_matrix_a_picture_is_rounded_once() -> None:
    """Mirror, turn and colour in one: the same as in floating numbers, not as step by step."""
    images = ramp(4, 3, 32, 32)
    matrix = geometry.rotate(torch.tensor([5.0, 20, -30, 90]), (16, 16))
    colour = photometric.compose(photometric.brightness(1.3), photometric.saturation(0.5))
    out = pictures(images, Change(matrix, "edge", colour=colour.expand(4, 5, 5)))
    exact = geometry.warp(images.double(), matrix, (32, 32), fill="edge")
    exact = photometric.recolor(exact, colour, white=255.0)
    assert (out.double() - exact).abs().max() <= 0.5 + 1e-3


def test_holes_are_gray_and_nothing_else_changes() -> None:
    images = ramp(2, 3, 16, 16)
    holes = torch.tensor([[2, 3, 6, 9], [0, 0, 0, 0]])
    before = images.clone()
    out = pictures(images, Change(holes=holes))
    assert images.equal(before)
    assert (out[0, :, 3:9, 2:6] == 114).all()
    out[0, :, 3:9, 2:6] = images[0, :, 3:9, 2:6]
    assert out.equal(images)


def test_a_batch_takes_everything_to_another_device() -> None:
    batch = marked(20, 20, 8)
    batch.mirror_order, batch.mixed = torch.tensor([0]), (batch.labels, torch.ones(1))
    batch.targets = batch.images
    there = batch.to(torch.device("meta"))
    for name, value in vars(there).items():
        for each in value if isinstance(value, list | tuple) else [value]:
            assert each.device.type == "meta", name
