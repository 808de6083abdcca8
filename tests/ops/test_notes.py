"""Every worked example of the lecture notes, §1 to §3, as numbers; misprints shown to be such."""

import numpy as np
import pytest
import torch
from scipy import signal

from boda import ops
from boda.ops import convolve, correlate, kernel, output_size, transposed

t = torch.tensor


# --- §1 images ------------------------------------------------------------------------------------


def test_a_bitmap_is_1_in_black_and_0_in_white():
    assert ops.bitmap(t([[0, 255], [255, 0]], dtype=torch.uint8)).tolist() == [[1, 0], [0, 1]]


def test_256_256_3_becomes_3_256_256():
    assert ops.to_chw(torch.zeros(256, 256, 3)).shape == (3, 256, 256)


# --- §2 convolution -------------------------------------------------------------------------------


def test_two_dice_show_10_in_3_of_36_cases():
    die = t([0] + [1 / 6] * 6, dtype=torch.float64)
    both = ops.sum_of_independent(die, die)
    assert both[10] == pytest.approx(3 / 36)
    by_hand = sum(die[k] * die[10 - k] for k in (4, 5, 6))
    assert both[10] == pytest.approx(float(by_hand))
    assert (both * 36).round().int().tolist() == [0, 0, 1, 2, 3, 4, 5, 6, 5, 4, 3, 2, 1]


IMAGE, K = t([[3, 1, 4], [1, 5, 9], [2, 6, 5]]), t([[1, 2], [3, 2]])


def test_convolution_flips_the_kernel():
    assert convolve(IMAGE, K).tolist() == [[16, 33], [27, 54]]
    i, w = IMAGE.tolist(), K.tolist()
    c00 = i[0][0] * w[1][1] + i[1][0] * w[0][1] + i[0][1] * w[1][0] + i[1][1] * w[0][0]
    assert c00 == 16


def test_cross_correlation_does_not_and_the_slides_35_is_a_misprint():
    assert correlate(IMAGE, K).tolist() == [[18, 42], [29, 51]]
    assert signal.correlate2d(IMAGE, K, "valid").tolist() == [[18, 42], [29, 51]]
    i, w = IMAGE.tolist(), K.tolist()
    assert i[1][0] * w[0][0] + i[1][1] * w[0][1] + i[2][0] * w[1][0] + i[2][1] * w[1][1] == 29


def test_the_binary_image():
    image = t([[1, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 1, 1], [0, 0, 1, 1, 0], [0, 1, 1, 0, 0]])
    out = correlate(image, t([[1, 0, 1], [0, 1, 0], [1, 0, 1]]))
    assert out.tolist() == [[4, 3, 4], [2, 4, 3], [2, 3, 4]]


def test_padding_1_stride_2_and_the_slides_table_is_a_misprint():
    image = t([[2, 2, 3, 3, 3], [0, 1, 3, 0, 3], [2, 3, 0, 1, 3], [3, 3, 2, 1, 2], [3, 3, 0, 2, 3]])
    weights = t([[2, 0, 1], [1, 0, 0], [0, 1, 1]])
    expected = [[1, 5, 6], [7, 8, 3], [3, 10, 4]]
    assert correlate(image, weights, padding=1, stride=2).tolist() == expected
    scipys = signal.correlate2d(np.pad(image, 1), weights, "valid")[::2, ::2]
    assert scipys.tolist() == expected
    printed = [[1, 6, 5], [7, 10, 9], [7, 10, 8]]
    for operation in (correlate, convolve):
        for mode in ("zeros", "replicate", "reflect", "circular"):
            out = operation(image, weights, padding=1, stride=2, pad_mode=mode)
            assert out.tolist() != printed


def test_blur_is_the_mean_of_10_by_10():
    assert torch.allclose(kernel("box-10"), torch.full((10, 10), 1 / 100))
    assert correlate(torch.full((10, 10), 7.0), kernel("box-10")).item() == pytest.approx(7)


def test_edges():
    image = t([[10, 10, 10, 0, 0, 0]] * 6)
    assert correlate(image, kernel("vertical-edge").long()).tolist() == [[0, 30, 30, 0]] * 4
    assert correlate(image.T, kernel("horizontal-edge").long()).T.tolist() == [[0, 30, 30, 0]] * 4
    assert kernel("vertical-edge").tolist() == [[1, 0, -1]] * 3
    assert kernel("sobel-x")[:, 2].tolist() == [1, 2, 1]
    assert kernel("scharr-x")[:, 2].tolist() == [3, 10, 3]


def test_scharr_is_not_only_for_vertical_edges():
    image = t([[10.0] * 6] * 3 + [[0.0] * 6] * 3)  # a horizontal edge
    assert correlate(image, kernel("scharr-x")).abs().max() == 0
    assert correlate(image, kernel("scharr-x").T).abs().max() == 160


def test_padding_words():
    x, f = torch.rand(6, 6), 3
    for word, p, size in [("valid", 0, 4), ("same", (f - 1) // 2, 6), ("full", f - 1, 8)]:
        out = correlate(x, torch.rand(f, f), padding=word)
        assert out.shape == (size, size) and output_size(6, f, p) == size
    assert [sum(ops.same_padding(f)) for f in (2, 4)] == [1, 3]  # even: asymmetric
    row = t([[1, 2, 3]])
    one = t([[1, 0, 0]])  # shows what stands before the first pixel
    seen = {
        mode: correlate(row, one, padding=(0, 1), pad_mode=mode)[0, 0].item()
        for mode in ("zeros", "replicate", "reflect")
    }
    assert seen == {"zeros": 0, "replicate": 1, "reflect": 2}


def test_output_sizes():
    ten = correlate(torch.zeros(3, 32, 32), torch.zeros(10, 3, 4, 4), padding=1, stride=2)
    assert ten.shape == (10, 16, 16) and output_size(32, 4, 1, 2) == 16
    assert output_size(7, 3) == 5 and output_size(7, 3, stride=2) == 3


def test_volumes_and_their_parameters():
    assert correlate(torch.zeros(3, 6, 6), torch.zeros(2, 3, 3, 3)).shape == (2, 4, 4)
    assert ops.parameters(3, 3, 10) == 280


def test_sparse_connections():
    x = torch.rand(6, 6, dtype=torch.float64, requires_grad=True)
    correlate(x, torch.ones(3, 3))[0, 0].backward()
    assert x.grad.nonzero().tolist() == [[r, c] for r in range(3) for c in range(3)]


def test_one_by_one_convolution_changes_the_number_of_channels():
    assert ops.pointwise(torch.zeros(1, 192, 28, 28), torch.zeros(32, 192)).shape == (1, 32, 28, 28)


def test_transposed_2_by_2_becomes_4_by_4_and_overlaps_add_up():
    x = t([[2, 1], [3, 2]])
    out = transposed(x, torch.ones(3, 3, dtype=torch.int64), padding=1, stride=2, output_padding=1)
    assert out.tolist() == [[2, 3, 1, 1], [5, 8, 3, 3], [3, 5, 2, 2], [3, 5, 2, 2]]
    assert out[1, 1] == x.sum()  # all four windows meet there
    assert transposed(x, torch.ones(3, 3), padding=1, stride=2).shape == (3, 3)


def test_depthwise_separable_convolution_costs_1_over_n_plus_1_over_f_squared():
    out, f, channels, filters = (4, 4), 3, 3, 5
    ordinary = ops.multiply_adds(f, channels, filters, out)
    deep = ops.multiply_adds(f, channels, channels, out, groups=channels)
    wide = ops.multiply_adds(1, channels, filters, out)
    assert (ordinary, deep, wide) == (2160, 432, 240)
    assert (deep + wide) / ordinary == pytest.approx(ops.separable_ratio(f, filters))
    assert ops.separable_ratio(f, filters) == pytest.approx(1 / 5 + 1 / 9)


def test_the_bottleneck():
    assert ops.multiply_adds(5, 192, 32, (28, 28)) == 120_422_400
    narrow = ops.multiply_adds(1, 192, 16, (28, 28)) + ops.multiply_adds(5, 16, 32, (28, 28))
    assert narrow == 12_443_648


def test_two_3_by_3_see_as_much_as_one_5_by_5():
    assert ops.receptive_field([3, 3]) == ops.receptive_field([5]) == 5
    two = 2 * ops.parameters(3, 1, 64, bias=False)
    assert (two, ops.parameters(5, 1, 64, bias=False)) == (2 * 9 * 64, 25 * 64)


# --- §3 pooling -----------------------------------------------------------------------------------


def test_pooling():
    image = t([[31, 15, 28, 184], [0, 100, 70, 38], [12, 12, 7, 2], [12, 12, 45, 6]])
    assert ops.max_pool(image, 2).tolist() == [[100, 184], [12, 45]]
    assert ops.average_pool(image, 2).tolist() == [[36.5, 80], [12, 15]]
    misprint = image.clone()
    misprint[0, 0] = 29  # the other note's corner: its own average shows which one is meant
    assert ops.max_pool(misprint, 2).equal(ops.max_pool(image, 2))
    assert ops.average_pool(misprint, 2)[0, 0] == 36


def test_pooling_of_volumes():
    assert ops.max_pool(torch.zeros(2, 5, 5), 3, 1).shape == (2, 3, 3)
    assert ops.global_average_pool(torch.ones(2, 5, 5)).tolist() == [1, 1]
