"""Pictures turned about their upright axis, against a loop and NumPy's interpolation."""

import numpy as np
import pytest
import torch

from boda.errors import UsageError
from boda.ops.turning import turned, turned_both_ways


@pytest.mark.parametrize("by", [-0.5, -0.18, 0.0, 0.3])
@pytest.mark.parametrize("width", [1, 2, 9, 40])
def test_against_interpolation_row_by_row(by, width):
    random = np.random.default_rng(0)
    x = random.normal(size=(2, 3, 4, width))
    centres = (np.arange(width) + 0.5) * 2 / width - 1
    came = centres + by * (1 - centres**2)
    found = turned(torch.from_numpy(x), by).numpy()
    for place in np.ndindex(2, 3, 4):
        np.testing.assert_allclose(found[place], np.interp(came, centres, x[place]), atol=1e-9)


def test_edges_stay_and_the_middle_moves():
    x = torch.arange(101.0).expand(1, 1, 1, 101)
    moved = turned(x, 0.2)[0, 0, 0] - x[0, 0, 0]
    assert abs(moved[0]) < 0.2 and abs(moved[-1]) < 0.2
    assert moved[50] == pytest.approx(0.2 * 101 / 2, rel=1e-4) and moved.argmax() == 50
    assert (turned(x, 0.5)[0, 0, 0].diff() >= 0).all()  # no columns change places


def test_a_mirror_turns_the_other_way():
    x = torch.rand(2, 1, 5, 12)
    torch.testing.assert_close(turned(x.flip(3), 0.2), turned(x, -0.2).flip(3))
    views = turned_both_ways(x, 0.2).view(6, 2, 1, 5, 12)
    torch.testing.assert_close(views[0], x)
    # What is seen in a mirror has the same six views, in another order.
    others = turned_both_ways(x.flip(3), 0.2).view(6, 2, 1, 5, 12)
    for one, other in enumerate((3, 5, 4, 0, 2, 1)):
        torch.testing.assert_close(others[one], views[other])


def test_too_much_is_refused():
    with pytest.raises(UsageError, match="cannot be turned by"):
        turned(torch.zeros(1, 1, 2, 2), 0.51)
