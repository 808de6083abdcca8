"""Changes that let slopes through, against loops over pixels, and finite differences."""

import pytest
import torch
from torch.autograd import gradcheck

from boda.ops.differentiable_augmentation import coloured, cut, disguised, shifted


@pytest.fixture
def pictures():
    return (
        torch.rand(4, 3, 8, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2
        - 1
    )


def test_colours_pixel_by_pixel(pictures):
    light, saturation, contrast = torch.tensor(
        [[0.5, -0.25, 0, 0], [0, 2, 1, 0.5], [1.5, 0.5, 1, 1]], dtype=torch.float64
    )
    found = coloured(pictures, light, saturation, contrast)
    for n, picture in enumerate((pictures + light.view(-1, 1, 1, 1)).clone()):
        for i in range(8):
            for j in range(10):
                gray = sum(float(picture[c, i, j]) for c in range(3)) / 3
                for c in range(3):
                    picture[c, i, j] = gray + saturation[n] * (picture[c, i, j] - gray)
        mean = picture.sum() / picture.numel()
        torch.testing.assert_close(found[n], mean + contrast[n] * (picture - mean))


def test_nothing_changes_a_colour(pictures):
    none, once = torch.zeros(4, dtype=torch.float64), torch.ones(4, dtype=torch.float64)
    torch.testing.assert_close(coloured(pictures, none, once, once), pictures)


def test_shifts_and_cuts_pixel_by_pixel(pictures):
    down, right = torch.tensor([0, 3, -2, 8]), torch.tensor([0, -4, 9, 1])
    found, holed = shifted(pictures, down, right), cut(pictures, down, right, (4, 5))
    for n in range(4):
        for i in range(8):
            for j in range(10):
                y, x = i - int(down[n]), j - int(right[n])
                there = 0 <= y < 8 and 0 <= x < 10
                assert torch.equal(
                    found[n, :, i, j],
                    pictures[n, :, y, x] if there else torch.zeros(3, dtype=torch.float64),
                )
                gone = 0 <= y < 4 and 0 <= x < 5
                assert torch.equal(holed[n, :, i, j], pictures[n, :, i, j] * (not gone))


def test_slopes_come_through():
    x = torch.randn(2, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    numbers = torch.tensor([0.3, 0.7], dtype=torch.float64)
    places = torch.tensor([1, -1])

    def changed(x):
        x = shifted(coloured(x, numbers, 2 * numbers, numbers), places, places)
        return cut(x, places, places, (2, 2))

    assert gradcheck(changed, x)


def test_disguises_differ_and_stay_within_the_papers_bounds():
    torch.manual_seed(0)
    white = torch.ones(200, 1, 16, 16)
    seen = disguised(white)
    assert seen.shape == white.shape and seen.dtype == torch.float32
    values = torch.stack([each[each != 0].mean() for each in seen])  # its light alone
    assert 0.5 <= values.min() < 0.6 and 1.4 < values.max() <= 1.5
    gone = (seen == 0).float().mean((1, 2, 3))
    assert 0.03 < gone.min() < 0.25 < gone.max() < 0.5
    assert len({each.numpy().tobytes() for each in seen}) == 200


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_any_precision_and_layout(dtype):
    x = torch.rand(3, 3, 12, 9).to(dtype, memory_format=torch.channels_last)
    assert disguised(x).shape == x.shape
