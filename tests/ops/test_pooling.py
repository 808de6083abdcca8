"""Oracle: a plain loop over windows."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from boda import ops
from boda.errors import UsageError
from tests.slow_reference.pooling import pool

quick = settings(max_examples=50, deadline=None)


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@st.composite
def windows(draw):
    f = draw(st.integers(1, 4))
    return {
        "size": f,
        "stride": draw(st.integers(1, 4)),
        "padding": draw(st.integers(0, f // 2)),
        "round_up": draw(st.booleans()),
    }


@given(windows(), st.integers(1, 2), st.integers(7, 9), st.integers(7, 9))
@quick
def test_max_and_min_are_the_plain_loop(window, dilation, height, width):
    x = numbers(height, width)
    words = {**window, "dilation": dilation}
    assert np.allclose(ops.max_pool(x, **words), pool(x.numpy(), max, **words))
    assert np.allclose(ops.min_pool(x, **words), pool(x.numpy(), min, empty=np.inf, **words))


@given(windows(), st.integers(4, 9), st.integers(4, 9))
@quick
def test_average_is_the_plain_loop(window, height, width):
    x = numbers(height, width)
    expected = pool(x.numpy(), np.mean, empty=0, **window)
    assert np.allclose(ops.average_pool(x, **window), expected)
    expected = pool(x.numpy(), np.nanmean, empty=np.nan, **window)
    assert np.allclose(ops.average_pool(x, count_padding=False, **window), expected)


@given(windows(), st.integers(4, 9))
@quick
def test_indices_are_where_the_maximum_stood_and_unpool_puts_it_back(window, n):
    x = numbers(2, 3, n, n + 1)
    values, indices = ops.max_pool_indices(x, **window)
    assert values.equal(ops.max_pool(x, **window))
    assert torch.gather(x.flatten(2), 2, indices.flatten(2)).equal(values.flatten(2))
    back = ops.unpool(values, indices, (n, n + 1))
    stood = back != 0
    assert back[stood].equal(x[stood])
    assert stood.flatten(2).sum(-1).tolist() == [
        [len(set(channel.flatten().tolist())) for channel in sample] for sample in indices
    ]


def test_rectangles_leading_axes_and_global():
    x = numbers(2, 3, 4, 6, 8)
    assert ops.max_pool(x, (2, 4)).shape == (2, 3, 4, 3, 2)
    assert torch.allclose(ops.average_pool(x, (6, 8))[..., 0, 0], ops.global_average_pool(x))
    assert ops.max_pool(x, (6, 8))[..., 0, 0].equal(ops.global_max_pool(x))
    assert ops.min_pool(x[0, 0, 0], 3, 1).shape == (4, 6)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32, torch.bfloat16])
def test_dtypes(dtype):
    x = torch.arange(16).reshape(4, 4).to(dtype)
    assert ops.max_pool(x, 2).tolist() == [[5, 7], [13, 15]] and ops.max_pool(x, 2).dtype == dtype
    assert ops.min_pool(x, 2).tolist() == [[0, 2], [8, 10]] and ops.min_pool(x, 2).dtype == dtype
    assert ops.average_pool(x, 2).tolist() == [[2.5, 4.5], [10.5, 12.5]]
    assert ops.global_average_pool(x) == 7.5 and ops.global_max_pool(x) == 15


def test_differentiable():
    x = numbers(1, 2, 4, 5).requires_grad_()
    for operation in (ops.max_pool, ops.min_pool, ops.average_pool):
        assert torch.autograd.gradcheck(lambda t, call=operation: call(t, 2, padding=1), (x,))
    indices = ops.max_pool_indices(x, 2)[1]
    assert torch.autograd.gradcheck(
        lambda v: ops.unpool(v, indices, (4, 5)), (numbers(1, 2, 2, 2).requires_grad_(),)
    )


X = torch.zeros(1, 4, 4)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: ops.max_pool(X, 5), "covers 5"),
        (lambda: ops.average_pool(X, 3, padding=2), "at most 1"),
        (lambda: ops.max_pool(X, 2, 0), "from 1 up"),
        (lambda: ops.min_pool(X[0, 0], 2), "(…, H, W)"),
        (lambda: ops.unpool(X, torch.zeros(1, 2, 2, dtype=torch.int64), (8, 8)), "differ"),
        (lambda: ops.unpool(X, torch.full((1, 4, 4), 9), (2, 4)), "outside"),
    ],
)
def test_refused(call, says):
    with pytest.raises(UsageError) as error:
        call()
    assert says in str(error.value)
