"""Drawing examples: never more than asked, background only from the background."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from boda.ops.sampling import sample_balanced

GIVEN = st.lists(st.sampled_from([-2, -1, 0, 1, 5]), max_size=60)


@given(GIVEN, st.integers(1, 40), st.sampled_from([0.0, 0.25, 0.5, 1.0]))
def test_what_is_drawn(given: list[int], count: int, share: float) -> None:
    positive, negative = sample_balanced(torch.tensor(given, dtype=torch.int64), count, share)
    there = [i for i, value in enumerate(given) if value >= 0]
    background = [i for i, value in enumerate(given) if value == -1]
    assert set(positive.tolist()) <= set(there) and set(negative.tolist()) <= set(background)
    assert positive.tolist() == sorted(set(positive.tolist()))
    assert negative.tolist() == sorted(set(negative.tolist()))
    assert len(positive) == min(len(there), int(count * share))
    assert len(negative) == min(len(background), count - len(positive))


def test_every_example_has_its_turn() -> None:
    torch.manual_seed(0)
    given = torch.tensor([0] * 30 + [-1] * 30)
    counts = torch.zeros(60)
    for _ in range(600):
        for places in sample_balanced(given, 20, 0.5):
            counts[places] += 1
    assert (counts / 600 - 1 / 3).abs().max() < 0.1  # ten of thirty each; deviation 0.02
