"""Task-aligned assignment against plain loops written from the paper's section 3.2."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from boda.ops.anchors import grid_centres
from boda.ops.assignment import assign_aligned
from boda.ops.boxes import iou


def slow(scores, predicted, boxes, centres, strides, most, power):
    """{cell: (object, share, quality)}, one comparison at a time."""
    claims: dict[int, list[int]] = {}
    aligned: dict[tuple[int, int], float] = {}
    ranks: dict[tuple[int, int], float] = {}
    for j, box in enumerate(boxes.tolist()):
        rows = []
        for i, (x, y) in enumerate(centres.tolist()):
            mx, my = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
            reach_x = max((box[2] - box[0]) / 2, strides[i].item())
            reach_y = max((box[3] - box[1]) / 2, strides[i].item())
            if abs(x - mx) < reach_x and abs(y - my) < reach_y:
                overlap = iou(predicted[i], boxes[j]).item()
                value = scores[i, j].item() ** power[0] * overlap ** power[1]
                apart = ((x - mx) ** 2 + (y - my) ** 2) ** 0.5
                aligned[i, j] = value
                ranks[i, j] = value + 1e-9 / (1 + apart)
                rows.append((ranks[i, j], i))
        for _, i in sorted(rows, reverse=True)[:most]:
            claims.setdefault(i, []).append(j)
    owner = {
        i: max(js, key=lambda j: (iou(predicted[i], boxes[j]).item(), -j))
        for i, js in claims.items()
    }
    for j in range(len(boxes)):
        if j not in owner.values():
            owners = list(owner.values())
            spare = [
                (rank, -i) for (i, k), rank in ranks.items()
                if k == j and (i not in owner or owners.count(owner[i]) > 1)
            ]  # fmt: skip
            if spare:
                owner[-max(spare)[1]] = j
    out = {}
    for i, j in owner.items():
        mine = [k for k, o in owner.items() if o == j]
        top = max(aligned[k, j] + 1e-9 for k in mine)
        best = max(iou(predicted[k], boxes[j]).item() for k in mine)
        share = (aligned[i, j] + 1e-9) / top
        out[i] = (j, share, share * best)
    return out


def some_cells(generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Centres, strides and predicted boxes of two grids on 64 pixels."""
    parts = [(grid_centres((n, n), 64 / n).flatten(0, 1), 64 / n) for n in (8, 4)]
    centres = torch.cat([c for c, _ in parts])
    strides = torch.cat([torch.full((len(c),), s) for c, s in parts])
    half = 4 + 20 * torch.rand(len(centres), 2, generator=generator)
    middle = centres + 8 * torch.rand(len(centres), 2, generator=generator) - 4
    return centres, strides, torch.cat([middle - half, middle + half], 1)


@given(seed=st.integers(0, 10_000), count=st.integers(1, 6), most=st.integers(1, 12))
@settings(max_examples=40, deadline=None)
def test_equals_the_plain_loops(seed: int, count: int, most: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    centres, strides, predicted = some_cells(generator)
    low = 48 * torch.rand(count, 2, generator=generator)
    boxes = torch.cat([low, low + 2 + 14 * torch.rand(count, 2, generator=generator)], 1)
    scores = torch.rand(len(centres), count, generator=generator)
    given = assign_aligned(scores, predicted, boxes, centres, strides, most)
    expected = slow(scores, predicted, boxes, centres, strides, most, (0.5, 6.0))
    assert given.cells.tolist() == sorted(expected)
    for cell, number, share, quality in zip(*(each.tolist() for each in given), strict=True):
        assert number == expected[cell][0]
        assert share == pytest.approx(expected[cell][1], rel=1e-3, abs=1e-6)
        assert quality == pytest.approx(expected[cell][2], rel=1e-3, abs=1e-6)


def test_an_object_within_another_keeps_a_cell() -> None:
    """All cells of the small one overlap the large one more: one of them is spared for it."""
    centres, strides, _ = some_cells(torch.Generator().manual_seed(0))
    boxes = torch.tensor([[8.0, 8, 40, 40], [20, 20, 28, 28]])
    predicted = boxes[:1].expand(len(centres), 4)
    given = assign_aligned(torch.ones(len(centres), 2), predicted, boxes, centres, strides, 500)
    assert sorted(set(given.objects.tolist())) == [0, 1]
    assert given.objects.tolist().count(1) == 1


def test_the_smallest_object_is_given_a_cell() -> None:
    centres, strides, predicted = some_cells(torch.Generator().manual_seed(0))
    boxes = torch.tensor([[16.2, 16.2, 16.9, 16.9]])
    given = assign_aligned(torch.rand(len(centres), 1), predicted, boxes, centres, strides)
    assert len(given.cells) and set(given.objects.tolist()) == {0}


def test_the_best_cell_is_to_say_its_overlap() -> None:
    centres, strides, predicted = some_cells(torch.Generator().manual_seed(3))
    boxes = torch.tensor([[10.0, 12, 40, 44]])
    given = assign_aligned(torch.ones(len(centres), 1), predicted, boxes, centres, strides)
    assert given.quality.max().item() == pytest.approx(
        iou(predicted[given.cells], boxes).max().item(), rel=1e-5
    )


def test_no_objects_no_cells() -> None:
    centres, strides, predicted = some_cells(torch.Generator().manual_seed(0))
    given = assign_aligned(
        torch.zeros(len(centres), 0), predicted, torch.zeros(0, 4), centres, strides
    )
    assert [len(each) for each in given] == [0, 0, 0, 0]


def test_nothing_learns_through_the_assignment() -> None:
    centres, strides, predicted = some_cells(torch.Generator().manual_seed(0))
    scores = torch.rand(len(centres), 1, requires_grad=True)
    boxes = torch.tensor([[10.0, 12, 40, 44]])
    assert not assign_aligned(scores, predicted, boxes, centres, strides).quality.requires_grad
