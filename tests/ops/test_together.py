"""The operators of a detector's end: exact, picture by picture."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from boda.ops.suppression import nms
from boda.ops.together import best, keep


@given(
    st.lists(st.lists(st.integers(0, 4), min_size=9, max_size=9), min_size=1, max_size=4),
    st.integers(1, 9),
)
@settings(max_examples=100, deadline=None)
def test_the_best_are_those_of_a_stable_sort(rows: list[list[int]], count: int) -> None:
    scores = torch.tensor(rows, dtype=torch.float32)
    expected = [sorted(range(9), key=lambda i: (-row[i], i))[:count] for row in rows]
    assert best(scores, count).tolist() == expected


def test_a_batch_is_suppressed_picture_by_picture() -> None:
    generator = torch.Generator().manual_seed(0)
    low = 50 * torch.rand(3, 40, 2, generator=generator)
    boxes = torch.cat([low, low + 5 + 20 * torch.rand(3, 40, 2, generator=generator)], 2)
    scores = torch.rand(3, 40, generator=generator).round(decimals=1)  # ties and zeros
    labels = torch.randint(0, 2, (3, 40), generator=generator)
    kept = keep(boxes, scores, labels, 2, 0.4)
    for i in range(3):
        there = [k for k in range(40) if scores[i, k] > 0]
        chosen = nms(boxes[i, there], scores[i, there], 0.4, labels[i, there])
        assert kept[i].nonzero()[:, 0].tolist() == sorted(there[k] for k in chosen.tolist())
    assert kept.any() and not kept[scores == 0].any()


def test_no_score_no_box() -> None:
    assert not keep(torch.rand(2, 5, 4), torch.zeros(2, 5), torch.zeros(2, 5).long(), 1, 0.5).any()


def test_the_operators_keep_their_promises_to_torch() -> None:
    scores = torch.rand(2, 30)
    torch.library.opcheck(torch.ops.boda.best.default, (scores, 7))
    boxes = torch.rand(2, 30, 4).sort(2).values
    torch.library.opcheck(
        torch.ops.boda.keep.default, (boxes, scores, torch.zeros(2, 30).long(), 1, 0.5)
    )
