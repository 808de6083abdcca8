"""Local warping: SciPy's map_coordinates for pictures, and points that lie where they are seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from boda.errors import UsageError
from boda.ops import geometry as g

SIZE = (24, 30)
quick = settings(max_examples=25, deadline=None)


def field_of(seed: int, amount: float = 1.2, count: int = 1) -> torch.Tensor:
    """(N, 2, H, W): displacements of a few pixels; neighbours differ by less than a half."""
    generator = torch.Generator().manual_seed(seed)
    control = amount * (2 * torch.rand(count, 2, 4, 4, generator=generator).double() - 1)
    return g.smooth_field(control, SIZE)


def bent_matrix(seed: int) -> torch.Tensor:
    corners = torch.tensor([[0.0, 0], [30, 0], [30, 24], [0, 24]])
    moved = corners + 3 * torch.rand(4, 2, generator=torch.Generator().manual_seed(seed))
    return g.rotate(seed % 40 - 20.0, (15, 12)) @ g.perspective(corners, moved)


@given(st.integers(0, 10**6), st.booleans())
@quick
def test_a_bent_picture_is_looked_up_where_scipy_looks(seed, plain) -> None:
    image = torch.rand(*SIZE, generator=torch.Generator().manual_seed(seed)).double()
    matrix = g.identity() if plain else bent_matrix(seed)
    field = field_of(seed)[0]
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    place = np.stack([columns + field[0].numpy(), rows + field[1].numpy(), np.ones(SIZE)])
    back = np.einsum("ij,jhw->ihw", np.linalg.inv(matrix.numpy()), place)
    x, y = back[:2] / back[2]
    expected = ndimage.map_coordinates(image.numpy(), [y - 0.5, x - 0.5], order=1, mode="nearest")
    ours = g.warp(image, matrix, SIZE, fill="edge", field=field)
    assert np.allclose(ours.numpy(), expected, atol=1e-9)


@given(st.integers(0, 10**6))
@quick
def test_a_bent_point_lies_on_the_pixel_that_shows_it(seed) -> None:
    matrix, field = bent_matrix(seed), field_of(seed)[0]
    generator = torch.Generator().manual_seed(seed)
    inside = torch.tensor([30.0, 24]) * (0.25 + 0.5 * torch.rand(6, 2, generator=generator))
    moved = g.warp_points(inside.double(), matrix, field)
    # The field between the pixels, by hand: two linear interpolations.
    for point, target in zip(moved, g.warp_points(inside.double(), matrix), strict=True):
        x, y = (point - 0.5).tolist()
        offset = [
            ndimage.map_coordinates(plane.numpy(), [[y], [x]], order=1, mode="nearest")[0]
            for plane in field
        ]
        assert (point + torch.tensor(offset)).tolist() == pytest.approx(target.tolist(), abs=1e-6)


def test_no_displacement_is_no_bend_and_batches_are_their_parts() -> None:
    images = torch.rand(3, 2, *SIZE, generator=torch.Generator().manual_seed(0)).double()
    matrix = g.rotate(torch.tensor([5.0, -10, 20]), (15, 12))
    still = g.warp(images, matrix, SIZE, field=torch.zeros(3, 2, *SIZE))
    assert torch.allclose(still, g.warp(images, matrix, SIZE), atol=1e-6)
    fields, points = field_of(3, count=3), torch.rand(3, 4, 2).double() * 20
    boxes = torch.tensor([[3.0, 4, 9, 12], [10, 2, 20, 22]]).double().expand(3, 2, 4)
    for i in range(3):
        one = g.warp(images[i], matrix[i], SIZE, field=fields[i])
        assert torch.allclose(one, g.warp(images, matrix, SIZE, field=fields)[i])
        moved = g.warp_points(points, matrix, fields)
        assert torch.allclose(g.warp_points(points[i], matrix[i], fields[i]), moved[i])
        around = g.warp_boxes(boxes, matrix, SIZE, fields)
        assert torch.allclose(g.warp_boxes(boxes[i], matrix[i], SIZE, fields[i]), around[i])
    assert g.warp_boxes(torch.zeros(0, 4), matrix[0], SIZE, fields[0]).shape == (0, 4)


def test_the_field_goes_through_its_control_points_and_has_a_gradient() -> None:
    control = torch.rand(1, 2, 4, 4, dtype=torch.float64)
    field = g.smooth_field(control, (31, 31))
    assert torch.allclose(field[..., ::10, ::10], control)
    image = torch.rand(1, 1, 6, 7, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda c: g.warp(image, g.identity(), (6, 7), field=0.3 * g.smooth_field(c, (6, 7))),
        (control.requires_grad_(),),
    )


def test_refused() -> None:
    with pytest.raises(UsageError, match=r"\(N, 2, h, w\)"):
        g.smooth_field(torch.zeros(2, 4, 4), SIZE)
