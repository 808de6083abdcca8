"""The losses of style transfer against plain loops and the notes' formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from boda.errors import UsageError
from boda.ops.style_losses import content_loss, gram_matrix, style_loss, total_variation
from tests.slow_reference import style as slow


def maps(channels: int, height: int, width: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, channels, height, width, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_matrix_is_that_of_plain_loops(layout: torch.memory_format) -> None:
    x = maps(5, 7, 4, 0).contiguous(memory_format=layout)
    gram = gram_matrix(x)
    np.testing.assert_allclose(gram.numpy() * 7 * 4, slow.gram_matrix(x[0].numpy()), rtol=1e-12)
    share = torch.rand(7, 4, dtype=torch.float64)
    wanted = slow.gram_matrix(x[0].numpy(), share.numpy()) / share.sum().item()
    np.testing.assert_allclose(gram_matrix(x, share).numpy(), wanted, rtol=1e-12)


def test_the_style_loss_has_the_notes_normalization() -> None:
    one, other = maps(6, 5, 3, 0), maps(6, 5, 3, 1)
    sums = [slow.gram_matrix(x[0].numpy()) for x in (one, other)]
    # 1/(2·n_H·n_W·n_C)², and not the one slide's 1/(2·n_H·n_W)², which lacks n_C = 6.
    wanted = ((sums[0] - sums[1]) ** 2).sum() / (2 * 5 * 3 * 6) ** 2
    assert slow.style_loss(*sums, positions=15) == pytest.approx(wanted)
    assert style_loss(gram_matrix(one), gram_matrix(other)).item() == pytest.approx(wanted)


def test_the_matrix_does_not_care_where_things_are() -> None:
    x = maps(4, 6, 6, 0)
    order = torch.randperm(36, generator=torch.Generator().manual_seed(0))
    moved = x.flatten(2)[..., order].view_as(x)
    torch.testing.assert_close(gram_matrix(x), gram_matrix(moved))
    assert content_loss(x, moved) > 0.5


def test_a_picture_twice_beside_itself_has_the_same_matrix() -> None:
    x = maps(4, 6, 5, 0)
    torch.testing.assert_close(gram_matrix(torch.cat([x, x], 3)), gram_matrix(x))


@pytest.mark.parametrize("shared", [False, True])
def test_the_gradient_is_that_of_differences(shared: bool) -> None:
    x = maps(4, 3, 5, 0).requires_grad_()
    share = torch.rand(3, 5, dtype=torch.float64) if shared else None
    torch.autograd.gradcheck(lambda m: (gram_matrix(m, share) ** 3).sum(), x)


@pytest.mark.parametrize("size", [(9, 7), (40, 33)])
def test_sixteen_bits_lose_no_more_than_the_maps_rounding(size: tuple[int, int]) -> None:
    x = maps(16, *size, 0).abs().float()
    rounded = x.bfloat16()
    wanted = gram_matrix(rounded.double())
    gram = gram_matrix(rounded.contiguous(memory_format=torch.channels_last))
    assert gram.dtype == torch.float32
    assert (gram - wanted).abs().max() < 1e-3 * wanted.abs().max()
    # Rounded to 16 bits at the end it would be four times as far away.
    assert (wanted.bfloat16() - wanted).abs().max() > 1e-3 * wanted.abs().max()


def test_the_content_loss_is_that_of_plain_loops() -> None:
    one, other = maps(3, 4, 5, 0), maps(3, 4, 5, 1)
    wanted = slow.content_loss(one[0].numpy(), other[0].numpy())
    assert content_loss(one, other).item() == pytest.approx(wanted)
    assert content_loss(one, one).item() == 0


def test_total_variation_of_a_step_and_of_a_slope() -> None:
    step = torch.zeros(1, 1, 4, 5)
    step[..., 2:] = 1  # one of four steps to the right, in every row
    assert total_variation(step).item() == pytest.approx(1 / 4)
    slope = torch.arange(4.0)[:, None].expand(1, 1, 4, 5)
    assert total_variation(slope).item() == pytest.approx(1)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: gram_matrix(torch.zeros(2, 3, 4, 4)), "one picture's"),
        (lambda: gram_matrix(torch.ones(1, 3, 4, 4), torch.zeros(4, 4)), "not all of them 0"),
        (lambda: gram_matrix(torch.ones(1, 3, 4, 4), torch.ones(4, 5)), "Give .H, W."),
        (lambda: gram_matrix(torch.ones(1, 3, 4, 4), -torch.ones(4, 4)), "0 or more"),
        (lambda: style_loss(torch.ones(3, 3), torch.ones(4, 4)), "one layer's"),
        (lambda: content_loss(torch.ones(1, 3, 4, 4), torch.ones(1, 3, 4, 5)), "one size"),
    ],
)
def test_what_does_not_fit_is_told(call: object, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        call()  # type: ignore[operator]
