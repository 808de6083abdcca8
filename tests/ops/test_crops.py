"""Warped regions: against a plain loop, and against Pillow."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from boda.errors import UsageError
from boda.ops.crops import warp_regions, with_context

BOXES = torch.tensor(
    [[3.2, 4.1, 100.7, 80.3], [10, 10, 20.5, 30.25], [60, 5, 119, 88.5], [-30, 40, 53, 130]]
)
PICTURES = torch.tensor([0, 0, 1, 1])


def pictures() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, 3, 90, 120), generator=generator).float()


def test_inside_the_picture_it_is_pillows_antialiased_bilinear() -> None:
    images = pictures()
    crops = warp_regions(images, BOXES, PICTURES, 48)
    for k in range(3):
        picture = images[PICTURES[k]].permute(1, 2, 0).numpy().astype(np.uint8)
        box = tuple(BOXES[k].tolist())
        theirs = Image.fromarray(picture).resize((48, 48), Image.Resampling.BILINEAR, box=box)  # type: ignore[arg-type]
        # Pillow rounds to whole values twice.
        assert np.abs(crops[k].permute(1, 2, 0).numpy() - np.asarray(theirs)).max() <= 1.01


def test_a_cell_is_the_weighted_mean_around_its_centre() -> None:
    images, size = pictures(), 9
    crops = warp_regions(images, BOXES, PICTURES, size)
    for k, (x1, y1, x2, y2) in enumerate(BOXES.tolist()):
        wide, high = (x2 - x1) / size, (y2 - y1) / size
        for row in range(size):
            for column in range(size):
                x, y = x1 + (column + 0.5) * wide, y1 + (row + 0.5) * high
                expected = 0.0
                if 0 <= x <= 120 and 0 <= y <= 90:
                    across = [max(0.0, 1 - abs(i + 0.5 - x) / max(wide, 1)) for i in range(120)]
                    down = [max(0.0, 1 - abs(i + 0.5 - y) / max(high, 1)) for i in range(90)]
                    plane = images[PICTURES[k], 1].numpy()
                    total = np.array(down) @ plane @ np.array(across)
                    expected = total / sum(across) / sum(down)
                assert crops[k, 1, row, column].item() == pytest.approx(expected, abs=2e-3)
    assert (crops[3] == 0).any() and (crops[:3] != 0).all()


def test_context_is_a_share_of_the_crop() -> None:
    """p = 16 of 227 pixels: the region itself fills the middle 195."""
    box = torch.tensor([[10.0, 20, 205, 215]])
    assert torch.allclose(with_context(box, 16 / 227), torch.tensor([[-6.0, 4, 221, 231]]))
    assert torch.equal(with_context(box, 0), box)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError, match="4"):
        warp_regions(pictures(), BOXES[:, :3], PICTURES, 8)
    with pytest.raises(UsageError, match="1 or more"):
        warp_regions(pictures(), BOXES, PICTURES, 0)
    with pytest.raises(UsageError, match="margin"):
        with_context(BOXES, 0.5)
    assert warp_regions(pictures(), BOXES[:0], PICTURES[:0], 8).shape == (0, 3, 8, 8)
