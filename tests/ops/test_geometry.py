"""Pictures, boxes, points and masks move together; oracles: flips, F.interpolate, Pillow, SciPy."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from boda.errors import UsageError
from boda.ops import geometry as g

quick = settings(max_examples=40, deadline=None)


def random_image(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def random_uint8(*shape):
    return torch.randint(0, 256, shape, dtype=torch.uint8)


# --- exact cases ---------------------------------------------------------------------------------


def test_the_flip_of_0_0_3_4_in_width_10_is_7_0_10_4_and_the_pixels_land_there():
    box = torch.tensor([[0.0, 0.0, 3.0, 4.0]])
    image = torch.zeros(1, 6, 10, dtype=torch.uint8)
    image[:, 0:4, 0:3] = 200
    matrix = g.mirror(10)
    assert g.warp_boxes(box, matrix).tolist() == [[7, 0, 10, 4]]
    moved = g.warp(image, matrix, (6, 10))
    assert (moved[:, 0:4, 7:10] == 200).all() and moved.sum() == image.sum()


def test_mirrors_and_quarter_turns_are_exact_for_uint8_and_for_nearest():
    image = random_uint8(2, 3, 6, 6)
    for mode in ("bilinear", "nearest"):
        assert g.warp(image, g.mirror(6), (6, 6), mode).equal(image.flip(-1))
        assert g.warp(image, g.mirror_vertical(6), (6, 6), mode).equal(image.flip(-2))
        for turns in range(4):
            turned = g.warp(image, g.rotate(90 * turns, (3, 3)), (6, 6), mode)
            assert turned.equal(torch.rot90(image, turns, (-2, -1)))


def test_a_crop_is_a_translation():
    image = random_uint8(3, 8, 9)
    assert g.warp(image, g.translate(-2, -3), (4, 5)).equal(image[:, 3:7, 2:7])


@pytest.mark.parametrize("target", [(13, 20), (7, 9), (14, 18), (5, 30)])
def test_a_resize_is_f_interpolate(target):
    image = random_image(2, 3, 7, 9)
    matrix = g.resize((7, 9), target)
    expected = F.interpolate(image, target, mode="bilinear", align_corners=False)
    assert torch.allclose(g.warp(image, matrix, target, fill="edge"), expected, atol=1e-12)
    blended = g.warp(image, matrix, target)
    rows, columns = (math.ceil(t / s / 2) for t, s in zip(target, (7, 9), strict=True))
    inside = (..., slice(rows, -rows), slice(columns, -columns))
    assert torch.allclose(blended[inside], expected[inside], atol=1e-12)


@pytest.mark.parametrize("target", [(3, 4), (7, 9), (14, 18), (13, 20), (7, 3), (700, 900)])
def test_nearest_is_interpolates_nearest_exact(target):
    image = torch.arange(63, dtype=torch.float32).reshape(1, 1, 7, 9)
    expected = F.interpolate(image, target, mode="nearest-exact")
    assert g.warp(image, g.resize((7, 9), target), target, "nearest").equal(expected)


def test_halving_takes_every_second_pixel_evenly():
    """Centres fall on the edge between two pixels: rounding to even would give 0, 2, 2, 4, 4, …"""
    row = torch.arange(16).expand(2, 16)
    halved = g.warp(row, g.resize((2, 16), (1, 8)), (1, 8), "nearest")
    assert halved.tolist() == [[1, 3, 5, 7, 9, 11, 13, 15]]


@pytest.mark.parametrize("degrees", [10, 37, -120])
def test_rotation_turns_as_pillow_does(degrees):
    image = (random_image(32, 32) * 255).to(torch.uint8)
    expected = Image.fromarray(image.numpy()).rotate(degrees, Image.Resampling.BILINEAR)
    ours = g.warp(image, g.rotate(degrees, (16, 16)), (32, 32))
    inside = (slice(8, 24), slice(8, 24))
    difference = ours[inside].int() - torch.as_tensor(np.array(expected))[inside].int()
    assert difference.abs().max() <= 1


@given(st.floats(-180, 180), st.floats(-30, 30), st.floats(0.6, 2), st.floats(-3, 3))
@quick
def test_any_affine_movement_equals_scipys(degrees, slant, factor, shift):
    image = random_image(9, 12)
    centre = (6.0, 4.5)
    matrix = g.compose(
        g.scale(factor, centre=centre),
        g.shear(slant, centre=centre),
        g.rotate(degrees, centre),
        g.translate(shift, -shift),
    )
    # SciPy: rows first, pixel centres at integers, input ← output.
    swap = np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, 1]])
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    back = np.linalg.inv(half) @ swap @ np.linalg.inv(matrix.numpy()) @ swap @ half
    for fill, mode, value in [("edge", "nearest", 0), (0.25, "grid-constant", 0.25)]:
        expected = ndimage.affine_transform(
            image.numpy(), back, output_shape=(10, 11), order=1, mode=mode, cval=value
        )
        ours = g.warp(image, matrix, (10, 11), fill=fill)
        assert np.allclose(ours.numpy(), expected, atol=1e-9)


def test_fill_number_edge_and_reflect():
    image = torch.tensor([[[1.0, 2, 3]]])
    out = {
        fill: g.warp(image, g.translate(2, 0), (1, 5), fill=fill)[0, 0].tolist()
        for fill in (0, 114, "edge", "reflect")
    }
    assert out[0] == [0, 0, 1, 2, 3]
    assert out[114] == [114, 114, 1, 2, 3]
    assert out["edge"] == [1, 1, 1, 2, 3]
    assert out["reflect"] == [2, 1, 1, 2, 3]


# --- together: mark pixels, move the picture, find them -------------------------------------------


def movement(draw_angle, mirrored, dx, dy, height, width):
    matrix = g.rotate(draw_angle, (width / 2, height / 2))
    if mirrored:
        matrix = g.compose(g.mirror(width), matrix)
    return g.compose(matrix, g.translate(dx, dy))


movements = st.tuples(
    st.sampled_from([0.0, 90, 180, 270]), st.booleans(), st.integers(-3, 3), st.integers(-3, 3)
)


@given(movements, st.integers(0, 11), st.integers(0, 11), st.data())
@quick
def test_picture_box_point_and_mask_move_together_exactly(move, x1, y1, data):
    size = (12, 12)
    x2, y2 = data.draw(st.integers(x1 + 1, 12)), data.draw(st.integers(y1 + 1, 12))
    matrix = movement(*move, *size)
    image = torch.zeros(1, *size, dtype=torch.uint8)
    image[:, y1:y2, x1:x2] = 255
    mask = image.bool()
    box = g.warp_boxes(torch.tensor([[x1, y1, x2, y2]]), matrix, size).round(decimals=4)
    moved = g.warp(image, matrix, size)
    assert g.warp(mask, matrix, size, "nearest").equal(moved == 255)
    assert set(moved.unique().tolist()) <= {0, 255}
    found = moved[0].nonzero()
    if len(found) == 0:
        assert ((box[:, 2:] - box[:, :2]) <= 0).any()
        return
    (top, left), (bottom, right) = found.amin(0).tolist(), (found.amax(0) + 1).tolist()
    assert box.tolist() == [[left, top, right, bottom]]
    corner = torch.zeros(1, *size)  # one pixel's centre as a point
    corner[:, y1, x1] = 1
    point = g.warp_points(torch.tensor([[x1 + 0.5, y1 + 0.5, 2.0]]), matrix)[0]
    seen = g.warp(corner, matrix, size)[0]
    column, row = math.floor(point[0]), math.floor(point[1])
    assert point[2] == 2
    if 0 <= row < 12 and 0 <= column < 12:
        assert seen[row, column] == pytest.approx(1, abs=1e-4)


@given(st.floats(-180, 180), st.floats(0.5, 2), st.floats(-25, 25), st.booleans(), st.booleans())
@quick
def test_a_box_holds_its_object_and_a_point_sits_on_it(degrees, factor, slant, mirrored, bend):
    height, width = 60, 80
    matrix = g.compose(
        g.mirror(width) if mirrored else g.identity(),
        g.rotate(degrees, (40, 30)),
        g.shear(slant, centre=(40, 30)),
        g.scale(factor, centre=(40, 30)),
    )
    if bend:
        corners = torch.tensor([[0.0, 0], [80, 0], [80, 60], [0, 60]])
        matrix = (
            g.perspective(corners, corners + torch.tensor([[3.0, 2], [0, 1], [-5, 0], [2, -4]]))
            @ matrix
        )
    yy, xx = torch.meshgrid(torch.arange(60) + 0.5, torch.arange(80) + 0.5, indexing="ij")
    disc = (((xx - 42) ** 2 + (yy - 27) ** 2) < 64).float()  # about (42, 27), radius 8
    moved = g.warp(disc[None], matrix, (height, width))[0]
    mask = moved > 0.5
    if mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any():
        return  # cut by the border: the centre of mass says nothing
    box = g.warp_boxes(torch.tensor([[34.0, 19, 50, 35]]), matrix)[0]
    rows, columns = mask.nonzero().unbind(-1)
    assert columns.min() >= box[0] - 1 and columns.max() + 1 <= box[2] + 1
    assert rows.min() >= box[1] - 1 and rows.max() + 1 <= box[3] + 1
    centre = g.warp_points(torch.tensor([[42.0, 27.0]]), matrix)[0]
    mass = torch.stack([(moved * xx).sum(), (moved * yy).sum()]) / moved.sum()
    assert (centre - mass).abs().max() < (0.5 if bend else 0.2)


@given(st.floats(-180, 180), st.floats(0.3, 3), st.floats(-40, 40))
@quick
def test_there_and_back_again(degrees, factor, slant):
    matrix = g.compose(g.rotate(degrees, (5, 5)), g.scale(factor), g.shear(slant, -slant / 2))
    points = random_image(7, 2) * 100
    back = g.warp_points(g.warp_points(points, matrix), g.invert(matrix))
    assert torch.allclose(back, points, atol=1e-7)


# --- batches, dtypes, gradients -------------------------------------------------------------------


def test_builders_broadcast_over_a_batch():
    angles = torch.tensor([0.0, 30, 90])
    assert g.rotate(angles, (3, 4)).shape == (3, 3, 3)
    assert g.translate(torch.tensor([1.0, 2]), 5).shape == (2, 3, 3)
    assert g.compose(g.mirror(8), g.rotate(angles), g.identity()).shape == (3, 3, 3)
    for i, angle in enumerate(angles):
        assert torch.allclose(g.rotate(angles, (3, 4))[i], g.rotate(float(angle), (3, 4)))


def test_one_matrix_each():
    images = random_image(3, 2, 6, 8)
    matrices = g.rotate(torch.tensor([0.0, 20, 70]), (4, 3))
    together = g.warp(images, matrices, (5, 5))
    each = [g.warp(image, matrix, (5, 5)) for image, matrix in zip(images, matrices, strict=True)]
    assert torch.allclose(together, torch.stack(each))
    assert g.warp(images[0], matrices, (5, 5)).shape == (3, 2, 5, 5)
    boxes = torch.tensor([[0.0, 0, 3, 4], [1, 1, 2, 2]]).expand(3, 2, 4)
    assert torch.allclose(
        g.warp_boxes(boxes, matrices)[1], g.warp_boxes(boxes[1], matrices[1]), atol=1e-5
    )
    assert g.warp_points(torch.zeros(3, 5, 3), matrices).shape == (3, 5, 3)


@pytest.mark.parametrize(
    "dtype", [torch.uint8, torch.int64, torch.bool, torch.float16, torch.bfloat16, torch.float64]
)
def test_every_dtype_stays_itself(dtype):
    image = (random_image(2, 5, 7) * 2).to(dtype)
    out = g.warp(image, g.mirror(7), (5, 7))
    assert out.dtype == dtype
    assert torch.allclose(out.double(), image.flip(-1).double(), rtol=1e-12)


def test_large_integers_and_class_maps_survive():
    labels = torch.tensor([[0, 255, 2**31 + 1], [3, 7, 9]])
    assert g.warp(labels, g.mirror(3), (2, 3), "nearest", fill=255).equal(labels.flip(-1))
    shifted = g.warp(labels, g.translate(1, 0), (2, 3), "nearest", fill=255)
    assert shifted.tolist() == [[255, 0, 255], [255, 3, 7]]


def test_no_objects():
    matrix = g.mirror(7)
    assert g.warp(torch.zeros(0, 5, 7, dtype=torch.bool), matrix, (4, 6)).shape == (0, 4, 6)
    assert g.warp_boxes(torch.zeros(0, 4), matrix, (4, 6)).shape == (0, 4)
    assert g.warp_points(torch.zeros(0, 2), matrix).shape == (0, 2)


def test_differentiable_in_picture_matrix_points_and_boxes():
    image = random_image(1, 1, 4, 5).requires_grad_()
    angle = torch.tensor([11.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda i, a: g.warp(i, g.rotate(a, (2.1, 2.3)), (4, 4)), (image, angle)
    )
    boxes = torch.tensor([[0.0, 0, 3, 4]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda b, a: g.warp_boxes(b, g.rotate(a[0])), (boxes, angle))


def test_perspective_takes_four_points_to_four_points():
    source = torch.tensor([[0.0, 0], [10, 0], [10, 5], [0, 5]])
    target = torch.tensor(
        [[[1.0, 0], [9, 1], [10, 5], [0, 4]], [[0, 0], [20, 0], [20, 10], [0, 10]]]
    )
    matrix = g.perspective(source, target)
    assert matrix.shape == (2, 3, 3)
    assert torch.allclose(g.warp_points(source.expand(2, 4, 2), matrix), target, atol=1e-5)
    assert torch.allclose(matrix[1], g.scale(2.0), atol=1e-12)


def test_a_perspective_is_looked_up_point_by_point():
    source = torch.tensor([[0.0, 0], [16, 0], [16, 16], [0, 16]])
    target = torch.tensor([[2.0, 1], [14, 0], [16, 15], [1, 12]])
    matrix = g.perspective(source, target)
    ramp = torch.arange(16, dtype=torch.float64).expand(16, 16) + 0.5  # its value is x
    out = g.warp(ramp, matrix, (16, 16), fill="edge")
    centre = torch.tensor([[7.5, 8.5]], dtype=torch.float64)
    expected = g.warp_points(centre, g.invert(matrix))[0, 0]
    assert out[8, 7] == pytest.approx(float(expected), abs=1e-9)


def test_what_lies_beyond_the_horizon_is_fill_and_boxes_stay_finite():
    horizon = g.identity()
    horizon[2, 0] = -0.2  # x = 5 is the horizon
    boxes = g.warp_boxes(torch.tensor([[1.0, 1, 8, 2]]), horizon, (10, 10))
    assert boxes.isfinite().all() and boxes[0, 2] == 10
    assert g.warp(torch.ones(10, 10), horizon, (10, 10)).isfinite().all()


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda i: g.warp(i, g.identity(), (4, 4), "linear"), "bilinear"),
        (lambda i: g.warp(i, g.identity(), (4, 4), fill="edges"), "edge"),
        (lambda i: g.warp(i, g.identity(), (0, 4)), "at least 1"),
        (lambda i: g.warp(i, torch.eye(2), (4, 4)), "(3, 3)"),
        (lambda i: g.warp(i, torch.eye(3).expand(3, 3, 3), (4, 4)), "one matrix for each"),
        (lambda i: g.warp(i, g.scale(0.0), (4, 4)), "cannot be undone"),
        (lambda i: g.warp(i, g.scale(math.nan), (4, 4)), "cannot be undone"),
        (lambda i: g.warp(i[0, 0, 0], g.identity(), (4, 4)), "(N, C, H, W)"),
        (lambda i: g.warp_boxes(torch.zeros(3), g.identity()), "(N, 4)"),
        (lambda i: g.warp_points(torch.zeros(3, 4), g.identity()), "(K, 2)"),
        (lambda i: g.perspective(torch.zeros(4, 2), torch.zeros(4, 2)), "no perspective"),
        (lambda i: g.resize((0, 3), (4, 4)), "(H, W)"),
    ],
)
def test_refused(call, says):
    with pytest.raises(UsageError) as error:
        call(torch.zeros(2, 1, 4, 4))
    assert says in str(error.value)
