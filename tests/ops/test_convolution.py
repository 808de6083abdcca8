"""Oracles: SciPy in all modes and boundaries, plain loops, gradcheck; Hypothesis over shapes."""

import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, signal

from boda import ops
from boda.errors import UsageError
from boda.ops import convolve, correlate, output_size, transposed
from tests.slow_reference import convolution as slow

MODES = ("full", "same", "valid")
BOUNDARIES = {"fill": "zeros", "wrap": "circular"}
quick = settings(max_examples=60, deadline=None)


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# --- SciPy ----------------------------------------------------------------------------------------


@given(st.integers(1, 12), st.integers(1, 7), st.sampled_from(MODES))
@quick
def test_one_dimension_is_scipys(n, f, mode):
    if f > n:
        n, f = f, n  # SciPy exchanges them itself where the kernel is longer
    x, k = numbers(n), numbers(f, seed=1)
    expected = signal.convolve(x, k, mode=mode, method="direct")
    assert np.allclose(convolve(x, k, padding=mode), expected)
    # signal.correlate's "same" puts an even kernel one further than correlate2d's: not compared.
    if mode != "same" or f % 2:
        expected = signal.correlate(x, k, mode=mode, method="direct")
        assert np.allclose(correlate(x, k, padding=mode), expected)


@given(st.tuples(*[st.integers(5, 10)] * 2), st.tuples(*[st.integers(1, 5)] * 2),
       st.sampled_from(MODES), st.sampled_from(list(BOUNDARIES)))  # fmt: skip
@quick
def test_two_dimensions_are_scipys(shape, window, mode, boundary):
    x, k = numbers(*shape), numbers(*window, seed=1)
    words = {"padding": mode, "pad_mode": BOUNDARIES[boundary]}
    expected = signal.convolve2d(x, k, mode=mode, boundary=boundary)
    assert np.allclose(convolve(x, k, **words), expected)
    expected = signal.correlate2d(x, k, mode=mode, boundary=boundary)
    assert np.allclose(correlate(x, k, **words), expected)


@given(st.tuples(*[st.integers(5, 10)] * 2), st.tuples(*[st.integers(1, 5)] * 2),
       st.sampled_from([("replicate", "nearest"), ("reflect", "mirror"), ("zeros", "constant"),
                        ("circular", "grid-wrap")]))  # fmt: skip
@quick
def test_borders_are_ndimages(shape, window, modes):
    ours, theirs = modes
    x, k = numbers(*shape), numbers(*window, seed=1)
    # ndimage's centre is element f // 2; the origin brings it to ours, (f - 1) // 2.
    origin = [(f - 1) // 2 - f // 2 for f in window]
    expected = ndimage.correlate(x.numpy(), k.numpy(), mode=theirs, origin=origin)
    assert np.allclose(correlate(x, k, padding="same", pad_mode=ours), expected)


# --- plain loops ----------------------------------------------------------------------------------


@st.composite
def layers(draw):
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    window = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    dilation = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    pads = draw(st.tuples(*[st.tuples(st.integers(0, 3), st.integers(0, 3))] * 2))
    size = [
        draw(st.integers(max(4, d * (f - 1) + 1), 9)) for f, d in zip(window, dilation, strict=True)
    ]
    return {
        "signal": (draw(st.integers(1, 2)), groups * draw(st.integers(1, 2)), *size),
        "filters": groups * draw(st.integers(1, 2)),
        "window": window,
        "pads": pads,
        "pad_mode": draw(st.sampled_from(["zeros", "replicate", "reflect", "circular"])),
        "stride": draw(st.tuples(st.integers(1, 3), st.integers(1, 3))),
        "dilation": dilation,
        "groups": groups,
        "dtype": draw(st.sampled_from([torch.float64, torch.float32, torch.int64, torch.uint8])),
    }


@given(layers())
@quick
def test_every_layer_is_the_plain_loop(layer):
    depth = layer["signal"][1] // layer["groups"]
    x = (numbers(*layer["signal"]) * 20).abs().to(layer["dtype"])
    k = (numbers(layer["filters"], depth, *layer["window"], seed=1) * 9).to(layer["dtype"])
    bias = (numbers(layer["filters"], seed=2) * 9).to(layer["dtype"])
    words = {name: layer[name] for name in ("pad_mode", "stride", "dilation", "groups")}
    wide = (lambda t: t.numpy()) if x.is_floating_point() else (lambda t: t.long().numpy())
    expected = slow.correlate(wide(x), wide(k), wide(bias), pads=layer["pads"], **words)
    ours = correlate(x, k, bias, padding=layer["pads"], **words)
    flipped = slow.correlate(wide(x), wide(k.flip(2, 3)), wide(bias), pads=layer["pads"], **words)
    if x.is_floating_point():
        tolerance = 1e-9 if x.dtype == torch.float64 else 1e-2
        assert ours.dtype == x.dtype
        assert np.allclose(ours, expected, rtol=1e-5, atol=tolerance)
        return
    assert ours.dtype == torch.int64 and np.array_equal(ours, expected)
    assert np.array_equal(convolve(x, k, bias, padding=layer["pads"], **words), flipped)


@given(layers())
@quick
def test_sizes_are_the_formulas(layer):
    shape = correlate(
        numbers(*layer["signal"][2:]), numbers(*layer["window"]), padding=layer["pads"],
        stride=layer["stride"], dilation=layer["dilation"],
    ).shape  # fmt: skip
    for axis in (0, 1):
        arguments = [layer[name][axis] for name in ("window", "pads", "stride", "dilation")]
        assert output_size(layer["signal"][2 + axis], *arguments) == shape[axis]


@given(st.integers(1, 9), st.integers(1, 6), st.integers(1, 3), st.integers(1, 3))
@quick
def test_same_keeps_the_size_and_its_strided_form_is_every_sth_value(n, f, stride, dilation):
    x, k = numbers(n, n), numbers(f, f, seed=1)
    for operation in (correlate, convolve):
        whole = operation(x, k, padding="same", dilation=dilation)
        assert whole.shape == x.shape
        strided = operation(x, k, padding="same", dilation=dilation, stride=stride)
        assert strided.shape == (-(-n // stride),) * 2
        assert torch.allclose(strided, whole[::stride, ::stride])


@pytest.mark.parametrize("f", [2, 3, 4, 5])
def test_same_of_an_even_kernel_is_pytorchs_and_has_the_odd_one_behind(f):
    x, k = numbers(1, 1, 8, 9), numbers(1, 1, f, f, seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = F.conv2d(x, k, padding="same")
    assert torch.allclose(correlate(x, k, padding="same"), expected)
    assert ops.same_padding(4) == (1, 2) and ops.same_padding(3, dilation=2) == (2, 2)
    x, k = torch.tensor([1, 2, 3]), torch.tensor([0, 1])
    assert correlate(x, k, padding="same").tolist() == [2, 3, 0]
    assert convolve(x, k, padding="same").tolist() == [0, 1, 2]


# --- shapes and dtypes ----------------------------------------------------------------------------


def test_leading_axes_and_ranks():
    x, k = numbers(2, 3, 4, 8, 9), numbers(3, 2, seed=1)
    assert torch.allclose(correlate(x, k)[1, 2, 3], correlate(x[1, 2, 3], k))
    bank = numbers(5, 4, 3, 3, seed=2)
    assert correlate(x, bank).shape == (2, 3, 5, 6, 7)
    assert torch.allclose(correlate(x, bank)[1, 2], correlate(x[1, 2], bank))
    one, filters = numbers(2, 4, 11), numbers(6, 2, 3, seed=3)
    expected = F.conv1d(one, filters, stride=2, padding=1, groups=2)
    assert torch.allclose(correlate(one, filters, stride=2, padding=1, groups=2), expected)
    assert correlate(one[0], filters, groups=2).shape == (6, 9)
    assert correlate(numbers(0, 3, 8, 8), numbers(2, 3, 3, 3)).shape == (0, 2, 6, 6)
    assert correlate(x, k, torch.tensor(2.0))[0, 0].allclose(correlate(x[0, 0], k) + 2)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_signals_floating_dtype_stays(dtype):
    image = torch.arange(25).reshape(5, 5)
    expected = correlate(image, torch.tensor([[1, 0, -1]]))
    out = correlate(image.to(dtype), torch.tensor([[1.0, 0, -1]]))
    assert out.dtype == dtype and out.double().equal(expected.double())
    assert correlate(image.to(torch.uint8), torch.tensor([[0.5]])).dtype == torch.float32


@pytest.mark.parametrize("pad_mode", ["zeros", "reflect", "replicate", "circular"])
def test_integers_are_exact_also_beyond_2_to_53(pad_mode):
    big = 2**61 + 1
    out = correlate(torch.tensor([big, 1, 2]), torch.tensor([1]), padding=1, pad_mode=pad_mode)
    assert out[1] == big
    out = correlate(torch.tensor([[200, 255]], dtype=torch.uint8), torch.tensor([[-255, 255]]))
    assert out.tolist() == [[55 * 255]]


def test_lists_do_for_tuples_and_transposed_integers_are_exact():
    x = torch.arange(30).reshape(5, 6)
    k = torch.tensor([[1, 2, 3]])
    lists = correlate(x, k, padding=[[0, 1], [2, 1]], stride=[1, 2])
    assert lists.equal(correlate(x, k, padding=((0, 1), (2, 1)), stride=(1, 2)))
    assert transposed(torch.tensor([2**61 + 1]), torch.tensor([1, 3]))[0] == 2**61 + 1


def test_complex_signals():
    x = torch.complex(numbers(6), numbers(6, seed=1))
    assert np.allclose(convolve(x, numbers(3)), np.convolve(x, numbers(3), "valid"))


# --- derivatives ----------------------------------------------------------------------------------


@pytest.mark.parametrize("pad_mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("operation", [correlate, convolve])
def test_differentiable(operation, pad_mode):
    x, k = numbers(1, 2, 5, 4).requires_grad_(), numbers(2, 1, 2, 3, seed=1).requires_grad_()
    b = numbers(2, seed=2).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda *a: operation(*a, padding="same", pad_mode=pad_mode, stride=(2, 1), groups=2),
        (x, k, b),
    )


# --- transposed -----------------------------------------------------------------------------------


@given(
    st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.integers(0, 1), st.integers(0, 2)
)
@quick
def test_transposed_lays_down_kernels(n, f, stride, padding, more):
    more = min(more, stride - 1)
    if (n - 1) * stride + f + more - 2 * padding < 1:
        return
    x, k = numbers(n, n + 1), numbers(f, f, seed=1)
    expected = slow.transposed(x.numpy(), k.numpy(), padding, stride, more)
    ours = transposed(x, k, padding=padding, stride=stride, output_padding=more)
    assert ours.shape == expected.shape and np.allclose(ours, expected)


@given(layers())
@quick
def test_transposed_is_the_transpose(layer):
    """⟨correlate(x), y⟩ = ⟨x, transposed(y)⟩, whatever the layer."""
    depth = layer["signal"][1] // layer["groups"]
    padding = [min(p) for p in layer["pads"]]
    words = {name: layer[name] for name in ("stride", "dilation", "groups")}
    x, k = numbers(*layer["signal"]), numbers(layer["filters"], depth, *layer["window"], seed=1)
    y = correlate(x, k, padding=padding, **words)
    other = numbers(*y.shape, seed=2)
    missing = [
        n - ((m - 1) * s - 2 * p + d * (f - 1) + 1)
        for n, m, s, p, d, f in zip(
            x.shape[2:], y.shape[2:], layer["stride"], padding, layer["dilation"], layer["window"],
            strict=True,
        )
    ]  # fmt: skip
    back = transposed(other, k, padding=padding, output_padding=missing, **words)
    assert back.shape == x.shape
    assert torch.allclose((y * other).sum(), (x * back).sum())


def test_transposed_shapes_and_dtypes():
    x, k = numbers(2, 4, 5), numbers(4, 3, 2, seed=1)
    assert torch.allclose(transposed(x, k, stride=2), F.conv_transpose1d(x, k, stride=2))
    assert transposed(x[0], k).shape == (3, 6)
    assert transposed(torch.tensor([1, 2]), torch.tensor([1, 10])).tolist() == [1, 12, 20]
    assert torch.autograd.gradcheck(transposed, (numbers(3, 2).requires_grad_(), numbers(2, 2)))


# --- depthwise, pointwise -------------------------------------------------------------------------


def test_depthwise_and_pointwise():
    x, k, w = numbers(2, 3, 6, 6), numbers(6, 3, 3, seed=1), numbers(4, 6, seed=2)
    deep = ops.depthwise(x, k, padding="same")
    for channel in range(6):
        expected = correlate(x[:, channel // 2], k[channel], padding="same")
        assert torch.allclose(deep[:, channel], expected)
    mixed = ops.pointwise(deep, w, torch.ones(4))
    assert torch.allclose(mixed, torch.einsum("oc,nchw->nohw", w, deep) + 1)
    for bad in (lambda: ops.depthwise(x, k[:4]), lambda: ops.pointwise(x, k)):
        with pytest.raises(UsageError, match="Give"):
            bad()


# --- the matrix views -----------------------------------------------------------------------------


@given(layers())
@quick
def test_correlation_is_one_matrix_product(layer):
    depth = layer["signal"][1]
    words = {name: layer[name] for name in ("pad_mode", "stride", "dilation")}
    x, k = numbers(*layer["signal"]), numbers(layer["filters"], depth, *layer["window"], seed=1)
    expected = correlate(x, k, padding=layer["pads"], **words)
    columns = ops.im2col(x, layer["window"], padding=layer["pads"], **words)
    assert torch.allclose((k.flatten(1) @ columns).reshape(expected.shape), expected)
    matrix = ops.toeplitz(k[0, 0], x.shape[2:], padding=layer["pads"], **words)
    expected = correlate(x[0, 0], k[0, 0], padding=layer["pads"], **words)
    assert torch.allclose(matrix @ x[0, 0].flatten(), expected.flatten())


def test_im2col_is_unfold_and_keeps_integers():
    x = torch.arange(2 * 3 * 25).reshape(2, 3, 5, 5)
    columns = ops.im2col(x, (2, 3), padding=1, stride=2)
    assert columns.dtype == torch.int64
    assert columns.double().equal(F.unfold(x.double(), (2, 3), padding=1, stride=2))


def test_toeplitz_shows_sparse_connections_and_shared_weights():
    matrix = ops.toeplitz(torch.tensor([1, 2, 3]), (6,))
    assert matrix.tolist() == [
        [1, 2, 3, 0, 0, 0], [0, 1, 2, 3, 0, 0], [0, 0, 1, 2, 3, 0], [0, 0, 0, 1, 2, 3]
    ]  # fmt: skip
    kernel = torch.arange(1, 10).reshape(3, 3)
    matrix = ops.toeplitz(kernel, (6, 6))
    assert matrix.shape == (16, 36)
    assert all(sorted(row[row != 0].tolist()) == list(range(1, 10)) for row in matrix)
    for axis in (0, 1):  # constant along the diagonals within a block
        block = matrix[:4, 6 * axis : 6 * axis + 6]
        assert block[1:, 1:].equal(block[:-1, :-1])
    back = matrix.T @ torch.arange(16)
    assert back.equal(transposed(torch.arange(16).reshape(4, 4), kernel).flatten())


# --- sums, costs ----------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.lists(st.integers(1, 9), min_size=1))
@quick
def test_the_sum_of_independent_numbers(a, b):
    p, q = (torch.tensor(x, dtype=torch.float64) / sum(x) for x in (a, b))
    out = ops.sum_of_independent(p, q)
    assert np.allclose(out, slow.convolve1d(p.tolist(), q.tolist()))
    mean = [float((d * torch.arange(len(d))).sum()) for d in (p, q, out)]
    assert mean[2] == pytest.approx(mean[0] + mean[1])


@pytest.mark.parametrize(("f", "channels", "filters", "groups"), [(3, 3, 10, 1), ((2, 5), 8, 6, 2)])
def test_costs_are_what_the_layer_has(f, channels, filters, groups):
    layer = torch.nn.Conv2d(channels, filters, f, groups=groups)
    assert ops.parameters(f, channels, filters, groups=groups) == sum(
        p.numel() for p in layer.parameters()
    )
    ones = layer(torch.zeros(1, channels, 9, 9))
    with torch.no_grad():  # every product is 1: the sum counts the multiplications
        layer.weight.fill_(1), layer.bias.fill_(0)
        counted = layer(torch.ones(1, channels, 9, 9)).sum()
    assert ops.multiply_adds(f, channels, filters, tuple(ones.shape[2:]), groups=groups) == counted


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 2), st.integers(1, 2)), max_size=4))
@quick
def test_the_receptive_field_is_where_the_gradient_is(stack):
    field = ops.receptive_field(stack)
    x = torch.zeros(field + 40, dtype=torch.float64, requires_grad=True)
    out = x
    for f, stride, dilation in stack:
        out = correlate(out, torch.ones(f, dtype=torch.float64), stride=stride, dilation=dilation)
    out[0].backward()
    touched = x.grad.nonzero()
    assert int(touched.max()) + 1 == field and int(touched.min()) == 0


# --- what is refused ------------------------------------------------------------------------------

X, K = torch.zeros(1, 2, 4, 4), torch.zeros(3, 3)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: correlate(X[0, 0], torch.zeros(5, 5)), 'padding="same"'),
        (lambda: correlate(X, torch.zeros(1, 2, 3, 3), dilation=2), "covers 5"),
        (
            lambda: correlate(X, torch.zeros(10, 10), padding="same", pad_mode="reflect"),
            "at most 3",
        ),
        (lambda: correlate(X, torch.zeros(3, 3), padding=5, pad_mode="circular"), "at most 4"),
        (lambda: correlate(X, torch.zeros(3, 3), padding="sam"), "Did you mean same"),
        (lambda: correlate(X, torch.zeros(3, 3), pad_mode="zero"), "Did you mean zeros"),
        (lambda: correlate(X, torch.zeros(3, 3), padding=-1), "from 0 up"),
        (lambda: correlate(X, torch.zeros(3, 3), padding=0.5), "from 0 up"),
        (lambda: correlate(X.long(), K.long(), torch.tensor([0.5])), "integer bias"),
        (lambda: correlate(X, torch.zeros(3, 3), padding=((1, 1, 1), 1)), "(before, after)"),
        (lambda: correlate(X, torch.zeros(3, 3), padding=(1, 1, 1)), "2 axes"),
        (lambda: correlate(X, torch.zeros(3, 3), stride=0), "from 1 up"),
        (lambda: correlate(X, torch.zeros(3, 3), stride=1.5), "from 1 up"),
        (lambda: correlate(X, torch.zeros(1, 3, 3, 3)), "wants 3"),
        (lambda: correlate(X, torch.zeros(3, 1, 3, 3), groups=2), "2 groups"),
        (lambda: correlate(X, torch.zeros(3, 3), groups=2), "2 groups"),
        (lambda: correlate(X[0, 0], torch.zeros(1, 1, 3, 3)), "C, H, W"),
        (lambda: correlate(X, torch.zeros(1, 1, 1, 3, 3)), "(h, w)"),
        (lambda: correlate(X, torch.zeros(0, 3)), "(h, w)"),
        (lambda: transposed(X, torch.zeros(3, 3), output_padding=1), "smaller than the stride"),
        (lambda: transposed(X, torch.zeros(1, 1), padding=2), "everything"),
        (lambda: transposed(X, torch.zeros(3, 1, 3, 3)), "wants 3"),
        (lambda: ops.toeplitz(torch.zeros(3), (4, 4)), "(h, w)"),
        (lambda: ops.sum_of_independent(torch.ones(2), torch.ones(1)), "distribution"),
        (lambda: output_size(3, 5), "covers 5"),
    ],
)
def test_refused(call, says):
    with pytest.raises(UsageError) as error:
        call()
    assert says in str(error.value)
