"""Anchors against plain loops; and the notes' examples on IoU, suppression, anchors, YOLO's grid."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from boda import ops
from boda.errors import UsageError
from tests.slow_reference import boxes as slow

quick = settings(max_examples=60, deadline=None)
t = torch.tensor


def thrown(n, seed, extent=8):
    """Boxes on whole pixels: many coincide, and many overlaps are equal."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.randint(0, extent, (n, 2), generator=generator)
    sides = torch.randint(1, extent, (n, 2), generator=generator)
    return torch.cat([corner, corner + sides], 1).double()


# --- grids ----------------------------------------------------------------------------------------


def test_a_grid_of_anchors():
    centres = ops.grid_centres((2, 3), 16)
    assert centres.shape == (2, 3, 2) and centres[1, 2].tolist() == [40, 24]
    grid = ops.anchor_grid((2, 3), 16, t([[4, 8], [20, 10]]))
    assert grid.shape == (2, 3, 2, 4) and grid.dtype == torch.float32
    for y in range(2):
        for x in range(3):
            for a, (w, h) in enumerate([(4, 8), (20, 10)]):
                cx, cy = 16 * x + 8, 16 * y + 8
                expected = [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]
                assert grid[y, x, a].tolist() == expected


# --- shapes ---------------------------------------------------------------------------------------


def test_iou_of_shapes_is_that_of_boxes_on_one_corner():
    a, b = t([[10.0, 20], [30, 5]]), t([[20.0, 10], [10, 20], [1, 1]])
    loop = [[slow.iou([0, 0, *p], [0, 0, *q]) for q in b.tolist()] for p in a.tolist()]
    assert ops.shape_iou(a, b).tolist() == [pytest.approx(row) for row in loop]
    assert ops.shape_iou(a, b)[0].tolist() == pytest.approx([1 / 3, 1, 1 / 200])


def test_shapes_of_clear_groups_are_their_means():
    generator = torch.Generator().manual_seed(0)
    groups = t([[12.0, 12], [80, 20], [30, 90], [200, 180]])
    sizes = groups.repeat_interleave(50, 0) * (1 + 0.1 * torch.rand(200, 2, generator=generator))
    means = sizes.reshape(4, 50, 2).mean(1)
    mixed = sizes[torch.randperm(200, generator=generator)]
    for seed in range(5):
        shapes = ops.anchor_shapes(mixed, 4, seed)
        assert shapes.dtype == torch.float32
        assert shapes.allclose(means, rtol=1e-5)  # the groups stand by area, as they come out
    assert ops.mean_best_iou(mixed, shapes) > 0.9 > ops.mean_best_iou(mixed, shapes[:2])


@given(st.integers(0, 2**32), st.integers(1, 5))
@quick
def test_shapes_are_a_fixed_point_of_k_means_with_iou(seed, count):
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.randint(4, 200, (40, 2), generator=generator).double()
    shapes = ops.anchor_shapes(sizes, count, seed)
    assert shapes.prod(1).diff().ge(0).all() and shapes.dtype == torch.float64
    assert ops.anchor_shapes(sizes, count, seed).equal(shapes)
    members = {a: [] for a in range(count)}
    for size in sizes.tolist():
        members[
            max(members, key=lambda a: slow.iou([0, 0, *size], [0, 0, *shapes[a].tolist()]))
        ].append(size)
    for a, sizes_of in members.items():
        mean = torch.tensor(sizes_of, dtype=torch.float64).mean(0)
        assert shapes[a].allclose(mean)


def test_boxes_far_from_all_others_get_a_shape_of_their_own():
    # Euclid would spend both shapes on the large ones; by IoU 2×2 is as far from 4×4 as 200 of 400.
    sizes = t([[2.0, 2]] * 5 + [[400, 400]] * 5 + [[300, 300]] * 5)
    assert ops.anchor_shapes(sizes, 2).tolist() == [[2, 2], [350, 350]]
    assert ops.anchor_shapes(sizes, 3).tolist() == [[2, 2], [300, 300], [400, 400]]


# --- matching -------------------------------------------------------------------------------------


@given(
    st.integers(0, 2**32),
    st.integers(1, 12),
    st.integers(1, 5),
    st.sampled_from([(0.7, 0.3), (0.5, 0.5), (0.5, 0.4), (1.0, 0.0)]),
)
@quick
def test_matching_is_the_plain_loop(seed, anchors, objects, thresholds):
    a, b = thrown(anchors, seed), thrown(objects, seed + 1)
    overlap = [[slow.iou(p, q) for q in b.tolist()] for p in a.tolist()]
    assert ops.match_anchors(a, b, *thresholds).tolist() == slow.matched(overlap, *thresholds)


def test_matching_by_hand():
    anchors = t([[0.0, 0, 10, 10], [0, 0, 10, 5], [50, 50, 60, 60], [0, 0, 10, 3], [0, 0, 10, 3]])
    objects = t([[0.0, 0, 10, 9], [52, 52, 90, 90], [0, 0, 10, 2]])
    # 0.9 with the first; 5/9, between; the second's best, though small; the third's best, twice.
    assert ops.match_anchors(anchors, objects).tolist() == [0, -2, 1, 2, 2]
    assert ops.match_anchors(anchors, objects[:0]).tolist() == [-1] * 5
    assert ops.match_anchors(anchors[:0], objects).tolist() == []
    assert ops.match_anchors(anchors[2:3], objects[:1]).tolist() == [-1]  # touches nothing


def test_of_equal_overlaps_the_object_of_lower_index_is_found():
    anchors, objects = t([[0.0, 0, 10, 10]] * 2), t([[0.0, 0, 10, 8], [0, 2, 10, 10]])
    assert ops.match_anchors(anchors, objects).tolist() == [0, 0]
    small = t([[0.0, 0, 10, 2], [0, 8, 10, 10]])  # below both thresholds, but the best there is
    assert ops.match_anchors(anchors[:1], small).tolist() == [0]


def test_an_object_keeps_its_best_anchor_even_where_another_object_fits_it_better():
    anchors = t([[0.0, 0, 10, 10], [0, 0, 10, 8]])
    objects = t([[0.0, 0, 10, 8], [0, 6, 10, 12]])  # the first fits both better
    assert ops.pairwise(ops.iou, anchors, objects)[0].argmax() == 0
    assert ops.match_anchors(anchors, objects).tolist() == [1, 0]


@given(st.integers(0, 2**32), st.integers(0, 7), st.integers(1, 3))
@quick
def test_cells_and_anchors_are_the_plain_loop(seed, count, shapes):
    boxes = thrown(count, seed, extent=6)
    kinds = thrown(shapes, seed + 1)[:, 2:]
    out = ops.assign_to_cells(boxes, kinds, (2, 3), 4)
    assert out.shape == (count, 3)
    cells = [
        (min(int((y1 + y2) / 2 // 4), 1), min(int((x1 + x2) / 2 // 4), 2))
        for x1, y1, x2, y2 in boxes.tolist()
    ]
    assert [tuple(cell) for cell in out[:, :2].tolist()] == cells
    alike = [
        [slow.iou([0, 0, x2 - x1, y2 - y1], [0, 0, *kind]) for kind in kinds.tolist()]
        for x1, y1, x2, y2 in boxes.tolist()
    ]
    assert out[:, 2].tolist() == slow.assigned(cells, alike)


# --- the notes, §6 --------------------------------------------------------------------------------


def test_notes_an_iou_of_a_half_is_correct():
    truth, said = t([0.0, 0, 10, 10]), t([0.0, 0, 10, 5])
    assert ops.iou(said, truth) == 0.5 and ops.iou(said, truth) >= 0.5
    # Intersection through union, counted pixel by pixel.
    a, b = torch.zeros(20, 20, dtype=torch.bool), torch.zeros(20, 20, dtype=torch.bool)
    a[2:12, 3:15], b[5:18, 8:20] = True, True
    pixels = (a & b).sum() / (a | b).sum()
    assert ops.iou(t([3.0, 2, 15, 12]), t([8.0, 5, 20, 18])) == pytest.approx(pixels.item())


def test_notes_the_cell_that_holds_the_centre_is_responsible():
    # 100×100 in a 3×3 grid: the output is 3×3×8, [Pc, bx, by, bh, bw, c1, c2, c3] a cell.
    stride = 100 / 3
    boxes = t([[40.0, 70, 70, 90], [0, 0, 30, 40]])  # centres (55, 80), (15, 20)
    cells = ops.assign_to_cells(boxes, t([[30.0, 30]]), (3, 3), stride)
    assert cells[:, :2].tolist() == [[2, 1], [0, 0]]
    target = torch.zeros(3, 3, 8)
    centre = ops.convert_boxes(boxes, "xyxy", "cxcywh")
    row, column = cells[:, 0], cells[:, 1]
    inside = centre[:, :2] / stride - torch.stack([column, row], 1)
    assert ((inside >= 0) & (inside <= 1)).all()  # 0 <= bx, by <= 1
    target[row, column, 0] = 1
    assert target[..., 0].nonzero().tolist() == [[0, 0], [2, 1]]


def test_notes_a_pedestrian_and_a_car_with_one_centre_take_an_anchor_each():
    shapes = t([[20.0, 60], [60, 25]])  # anchor box 1 stands, anchor box 2 lies
    pedestrian, car = [42.0, 20, 58, 80], [15.0, 38, 85, 62]
    for boxes in ([pedestrian, car], [car, pedestrian]):
        out = ops.assign_to_cells(t(boxes), shapes, (3, 3), 100 / 3)
        assert out[:, :2].tolist() == [[1, 1], [1, 1]]
        assert out[:, 2].tolist() == ([0, 1] if boxes[0] == pedestrian else [1, 0])
    assert torch.zeros(3, 3, 2, 8).flatten(2).shape == (3, 3, 16)


def test_notes_the_tie_breaks():
    shapes = t([[20.0, 60], [60, 25]])
    one, same, third = [40.0, 20, 60, 80], [40.0, 20, 60, 80], [42.0, 22, 60, 80]
    # Two of one shape in a cell: the first takes its anchor, the second the other one.
    assert ops.assign_to_cells(t([one, same]), shapes, (3, 3), 100 / 3)[:, 2].tolist() == [0, 1]
    # The better fit comes first, whatever its place; a third object finds none.
    out = ops.assign_to_cells(t([third, one, same]), shapes, (3, 3), 100 / 3)
    assert out[:, 2].tolist() == [-1, 0, 1]


def test_notes_suppression_keeps_the_highest_probability_not_the_highest_iou():
    truth = t([0.0, 0, 10, 10])
    boxes = t([[0.0, 0, 10, 9], [0, 0, 10, 10], [30, 0, 40, 10], [31, 0, 41, 10]])
    scores = t([0.9, 0.6, 0.7, 0.8])
    assert ops.iou(boxes[1], truth) > ops.iou(boxes[0], truth)
    assert ops.nms(boxes, scores, 0.5).tolist() == [0, 3]  # one box for each object
    # Each class by itself.
    assert ops.nms(boxes, scores, 0.5, t([0, 1, 0, 0])).tolist() == [0, 3, 1]


# --- errors ---------------------------------------------------------------------------------------

SIZES = t([[3.0, 4], [3, 4], [5, 6]])


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: ops.anchor_shapes(SIZES, 3), "1 to 2"),
        (lambda: ops.anchor_shapes(SIZES, 0), "1 to 2"),
        (lambda: ops.anchor_shapes(SIZES - 3, 1), "no width"),
        (lambda: ops.anchor_shapes(SIZES * float("nan"), 1), "no width"),
        (lambda: ops.anchor_shapes(SIZES[0], 1), "(N, 2)"),
        (lambda: ops.anchor_shapes(SIZES[:0], 1), "0 different"),
        (lambda: ops.mean_best_iou(SIZES, SIZES[:0]), "at least one"),
        (lambda: ops.anchor_grid((2, 2), 8, SIZES[0]), "(N, 2)"),
        (lambda: ops.match_anchors(SIZES, SIZES), "four numbers"),
        (lambda: ops.match_anchors(torch.zeros(1, 4), torch.zeros(1, 4), 0.3, 0.7), "cross"),
        (lambda: ops.assign_to_cells(SIZES, SIZES, (2, 2), 8), "four numbers"),
    ],
)
def test_refused(call, says):
    with pytest.raises(UsageError) as error:
        call()
    assert says in str(error.value)
