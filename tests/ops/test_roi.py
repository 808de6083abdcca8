"""RoI align and RoI pooling against plain loops, torchvision (recorded), ONNX Runtime and by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from boda import ops
from boda.errors import UsageError
from boda.onnx_export import _quietly
from boda.onnx_operators import translations
from boda.ops.roi_operator import align
from tests.slow_reference import roi as slow

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "roi.json").read_text("utf-8"))
STRIDES = (4, 8, 16, 32)
quick = settings(max_examples=60, deadline=None)
t = torch.tensor


def recorded(told):
    return t(told["values"]).view(told["shape"])


def thrown(n, seed, extent=160, dtype=torch.float64):
    """Boxes on eighths of pixels in and around a picture; some without sides or turned over."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.randint(-3 * extent, 9 * extent, (n, 2), generator=generator)
    sides = torch.randint(-extent, 7 * extent, (n, 2), generator=generator)
    return torch.cat([corner, corner + sides], 1).to(dtype) / 8


def drawn(shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def which(n, pictures, seed):
    return torch.randint(0, pictures, (n,), generator=torch.Generator().manual_seed(seed))


# --- align ----------------------------------------------------------------------------------------


def test_a_slope_is_read_at_the_centres_of_the_cells():
    # In a map that rises by 1 a pixel, the mean over a cell is the value at its centre; with
    # ``aligned`` pixel k has its value at k + 0.5, without it at k.
    slope = torch.arange(20.0).expand(1, 1, 20, 20)
    box = t([[16.0, 24, 72, 48]])  # 4..18 and 6..12 in the map
    for aligned, shift in ((True, 0.5), (False, 0)):
        pooled = ops.roi_align(slope, box, t([0]), (3, 7), scale=1 / 4, aligned=aligned)[0, 0]
        across = [4 + 2 * (j + 0.5) - shift for j in range(7)]
        assert pooled.tolist() == [pytest.approx(across)] * 3
        turned = ops.roi_align(slope.mT, box, t([0]), (3, 7), scale=1 / 4, aligned=aligned)[0, 0]
        assert turned[:, 0].tolist() == pytest.approx([6 + 2 * (i + 0.5) - shift for i in range(3)])


def test_the_border_reaches_one_pixel_out():
    centres = t([-1.25, -1, 8, 8.25])  # the map's last pixel is 7
    boxes = torch.stack([centres - 1, centres - 1, centres + 1, centres + 1], 1)
    pooled = ops.roi_align(
        torch.ones(1, 1, 8, 8), boxes, torch.zeros(4).long(), 1, scale=1, samples=1
    )
    assert pooled.flatten().tolist() == [0, 1, 1, 0]


@given(
    seed=st.integers(0, 2**32),
    size=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    scale=st.sampled_from([1, 0.5, 1 / 16, 0.3]),
    samples=st.integers(1, 3),
    aligned=st.booleans(),
)
@quick
def test_align_is_the_plain_loop(seed, size, scale, samples, aligned):
    maps, boxes = drawn((2, 2, 6, 9), seed), thrown(5, seed) / 16 / scale
    pictures = which(5, 2, seed)
    ours = ops.roi_align(maps, boxes, pictures, size, scale=scale, samples=samples, aligned=aligned)
    loop = [
        [slow.align(m, box, size, scale, samples, aligned) for m in maps[i].tolist()]
        for box, i in zip(boxes.tolist(), pictures.tolist(), strict=True)
    ]
    assert ours.shape == (5, 2, *size) and ours.is_contiguous()
    assert (ours - t(loop, dtype=torch.float64)).abs().max() < 1e-12


def same_with_gradient(maps, pooled, told):
    """Six digits were recorded; a gradient is a sum of some hundred numbers."""
    assert (pooled - recorded(told["pooled"])).abs().max() < 4e-6
    counted = torch.arange(pooled.numel()).view_as(pooled) % 7 - 3.0
    gradient = torch.autograd.grad(pooled, maps, counted)[0]
    assert (gradient - recorded(told["gradient"])).abs().max() < 4e-5
    assert gradient.abs().max() > 1


@pytest.mark.parametrize("told", GOLDEN["align"], ids=lambda told: f"aligned={told['aligned']}")
def test_align_and_its_gradient_are_torchvisions(told):
    maps, boxes = recorded(GOLDEN["maps"]).requires_grad_(), recorded(GOLDEN["boxes"])
    how = {"samples": told["samples"], "aligned": told["aligned"]}
    pooled = ops.roi_align(maps, boxes, t(GOLDEN["pictures"]), told["size"], scale=1 / 4, **how)
    same_with_gradient(maps, pooled, told)


@pytest.mark.parametrize("aligned", [False, True])
def test_the_gradient_is_that_of_finite_differences(aligned):
    maps = [drawn((2, 1, 4, 5), 0).requires_grad_(), drawn((2, 1, 3, 2), 1).requires_grad_()]
    boxes, pictures, levels = thrown(5, 2) / 20, which(5, 2, 3), which(5, 2, 4)

    def pooled(*maps):
        return align(list(maps), boxes, pictures, levels, [2, 2], 2, aligned)

    assert torch.autograd.gradcheck(pooled, maps)
    assert torch.autograd.gradgradcheck(pooled, maps)


def test_the_operator_keeps_its_promises_to_torch():
    maps = [drawn((2, 3, 8, 9), 0), drawn((2, 3, 4, 5), 1)]
    boxes, pictures, levels = thrown(6, 2) / 16, which(6, 2, 3), which(6, 2, 4)
    maps = [level.bfloat16().requires_grad_() for level in maps]
    operator = torch.ops.boda.align.default
    torch.library.opcheck(operator, (maps, boxes.float(), pictures, levels, [3, 2], 2, False))


def test_the_gradient_has_the_same_bits_with_every_number_of_threads():
    maps, boxes = drawn((2, 32, 20, 30), 0, torch.float32), thrown(60, 1, dtype=torch.float32)
    weight = drawn((60, 32, 7, 7), 2, torch.float32)
    before, gradients = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            maps = maps.detach().requires_grad_()
            pooled = ops.roi_align(maps, boxes, which(60, 2, 3), scale=1 / 4)
            gradients.append(torch.autograd.grad(pooled, maps, weight)[0])
    finally:
        torch.set_num_threads(before)
    assert gradients[0].equal(gradients[1]) and gradients[0].abs().max() > 0


# --- levels ---------------------------------------------------------------------------------------


def test_a_box_of_224_belongs_to_level_4():
    sides = t([0.0, 55, 111.9, 112, 223.9, 224, 447.9, 448, 5000, torch.nan])
    boxes = torch.stack([torch.zeros(10), torch.zeros(10), sides, sides], 1)
    assert ops.box_levels(boxes, STRIDES).tolist() == [0, 0, 0, 1, 1, 2, 2, 3, 3, 0]
    assert ops.box_levels(boxes, (16, 32)).tolist() == [0, 0, 0, 0, 0, 0, 0, 1, 1, 0]
    assert ops.box_levels(t([[0.0, 0, 112, 448]]), STRIDES).tolist() == [2]  # √(wh) = 224
    # What rounding takes from 224 is given back: up to 1e-6 of a level, as in torchvision.
    below = t([[0.0, 0, 223.9999, 223.9999], [0, 0, 223.999, 223.999]])
    assert ops.box_levels(below, STRIDES).tolist() == [2, 1]


def test_a_pyramid_is_pooled_as_torchvision_does():
    levels, boxes = [recorded(level) for level in GOLDEN["levels"]], recorded(GOLDEN["sized"])
    pictures = (torch.arange(len(boxes)) >= len(boxes) // 2).long()
    expected = recorded(GOLDEN["pooled"])
    assert set(ops.box_levels(boxes, STRIDES).tolist()) == {0, 1, 2, 3}
    pooled = ops.pool_levels(levels, STRIDES, boxes, pictures, 3)
    assert (pooled - expected).abs().max() < 2e-5
    mixed = torch.randperm(len(boxes), generator=torch.Generator().manual_seed(0))
    again = ops.pool_levels(levels, STRIDES, boxes[mixed], pictures[mixed], 3)
    assert again.equal(pooled[mixed])


def test_each_box_of_a_pyramid_sees_its_level_only():
    maps = [drawn((2, 3, 64 // s, 96 // s), s, torch.float32) for s in STRIDES]
    maps = [level.requires_grad_() for level in maps]
    boxes, pictures = t([[3.0, 5, 90, 60], [-200, -150, 100, 130]]), t([1, 0])  # levels 0 and 2
    pooled = ops.pool_levels(maps, STRIDES, boxes, pictures, aligned=True)
    for i, level in enumerate((0, 2)):
        alone = ops.roi_align(
            maps[level], boxes[[i]], pictures[[i]], scale=1 / STRIDES[level], aligned=True
        )
        assert pooled[[i]].equal(alone)
    pooled.sum().backward()
    reached = [[bool(level.grad[i].any()) for i in range(2)] for level in maps]
    assert reached == [[False, True], [False, False], [True, False], [False, False]]


# --- pooling --------------------------------------------------------------------------------------


def test_pooling_by_hand():
    # 0.5 is rounded to 1 and 2.5 to 3, so the box covers pixels 1 to 3; in two cells both of them
    # have the middle one.
    maps = t([[5.0, 1, 7, 2, 9]]).view(1, 1, 1, 5)
    assert ops.roi_pool(maps, t([[0.5, 0, 2.5, 0]]), t([0]), (1, 2), scale=1).tolist() == [
        [[[7, 7]]]
    ]
    assert ops.roi_pool(maps, t([[2.5, 0, 6, 0]]), t([0]), (1, 2), scale=1).tolist() == [[[[9, 0]]]]
    # torch rounds 2.5 to 2; C rounds it, and -2.5, away from 0: pixels -3 to 0.
    assert ops.roi_pool(maps, t([[-2.5, 0, 0, 0]]), t([0]), (1, 2), scale=1).tolist() == [
        [[[0, 5]]]
    ]


@given(
    seed=st.integers(0, 2**32),
    size=st.tuples(st.integers(1, 8), st.integers(1, 8)),
    scale=st.sampled_from([1, 0.5, 1 / 16]),
)
@quick
def test_pooling_is_the_plain_loop(seed, size, scale):
    maps, boxes = drawn((2, 2, 7, 11), seed), thrown(5, seed) / 16 / scale
    pictures = which(5, 2, seed)
    ours = ops.roi_pool(maps, boxes, pictures, size, scale=scale)
    loop = [
        [slow.pool(m, box, size, scale) for m in maps[i].tolist()]
        for box, i in zip(boxes.tolist(), pictures.tolist(), strict=True)
    ]
    assert ours.is_contiguous() and ours.equal(t(loop, dtype=torch.float64))


def test_pooling_and_its_gradient_are_torchvisions():
    maps, boxes = recorded(GOLDEN["maps"]).requires_grad_(), recorded(GOLDEN["boxes"])
    pooled = ops.roi_pool(maps, boxes, t(GOLDEN["pictures"]), (13, 2), scale=1 / 4)
    same_with_gradient(maps, pooled, GOLDEN["pool"])


def test_of_equal_maxima_the_first_has_the_gradient():
    maps = torch.ones(1, 1, 4, 4, requires_grad=True)
    ops.roi_pool(maps, t([[0.0, 0, 3, 3]]), t([0]), 2, scale=1).sum().backward()
    assert maps.grad[0, 0].nonzero().tolist() == [[0, 0], [0, 2], [2, 0], [2, 2]]


# --- both -----------------------------------------------------------------------------------------

BOTH = [ops.roi_align, ops.roi_pool]


@pytest.mark.parametrize("pool", BOTH)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_is_computed_in_float32(pool, dtype):
    maps = drawn((2, 3, 9, 9), 0, torch.float32).to(dtype).requires_grad_()
    boxes, pictures = thrown(20, 1, dtype=torch.float32), which(20, 2, 2)
    exact = maps.detach().float().requires_grad_()
    low = pool(maps, boxes, pictures, scale=1 / 16)
    high = pool(exact, boxes, pictures, scale=1 / 16)
    assert low.dtype == dtype and low.equal(high.to(dtype))
    weight = drawn(low.shape, 3, torch.float32).to(dtype)
    low.backward(weight)
    high.backward(weight.float())
    assert maps.grad.dtype == dtype and maps.grad.equal(exact.grad.to(dtype))


def test_a_pyramid_of_low_precision_is_computed_in_float32():
    maps = [drawn((2, 3, 64 // s, 96 // s), s, torch.float32).bfloat16() for s in STRIDES]
    boxes, pictures = 3 * thrown(40, 1, dtype=torch.float32), which(40, 2, 2)
    low = ops.pool_levels(maps, STRIDES, boxes, pictures)
    high = ops.pool_levels([level.float() for level in maps], STRIDES, boxes, pictures)
    assert low.any() and low.equal(high.bfloat16())


@pytest.mark.parametrize("pool", BOTH)
def test_no_boxes(pool):
    maps = torch.ones(2, 3, 8, 8, requires_grad=True)
    pooled = pool(maps, torch.zeros(0, 4), torch.zeros(0).long(), (2, 5), scale=1)
    assert pooled.shape == (0, 3, 2, 5)
    pooled.sum().backward()
    assert maps.grad.equal(torch.zeros(2, 3, 8, 8))


@pytest.mark.parametrize("pool", BOTH)
def test_boxes_that_are_no_numbers_or_far_away_are_0(pool):
    maps = torch.ones(1, 1, 8, 8)
    wrong = torch.full((1, 4), torch.nan)
    far = t([[1e9, 1e9, 2e9, 2e9], [-1e30, -1e30, -1e29, -1e29], [torch.inf] * 4])
    good = t([[0.0, 0, 7, 7]])
    pooled = pool(maps, torch.cat([wrong, far, good]), torch.zeros(5).long(), scale=1)
    assert pooled[:4].eq(0).all() and pooled[4].eq(1).all()


@pytest.mark.parametrize("pool", BOTH)
def test_what_does_not_fit_is_named(pool):
    maps, boxes, pictures = torch.ones(2, 3, 8, 8), torch.zeros(5, 4), torch.zeros(5).long()
    wrong = {
        r"maps of shape \(3, 8, 8\)": ((maps[0], boxes, pictures), {}),
        r"torch.int64. Give \(N, C, H, W\) of floats": ((maps.long(), boxes, pictures), {}),
        r"boxes of shape \(5, 5\)": ((maps, torch.zeros(5, 5), pictures), {}),
        "int64 for each box": ((maps, boxes, pictures[:4]), {}),
        "torch.float32, for 5 boxes": ((maps, boxes, pictures.float()), {}),
        "pictures from 0 to 2 for 2": ((maps, boxes, t([0, 1, 2, 0, 0])), {}),
        "pictures from -1 to 1": ((maps, boxes, t([0, 1, -1, 0, 0])), {}),
        "a scale of 0": ((maps, boxes, pictures), {"scale": 0}),
        "size": ((maps, boxes, pictures, 0), {}),
        "meta": ((maps, boxes.to("meta"), pictures), {}),
    }
    for message, (arguments, more) in wrong.items():
        with pytest.raises(UsageError, match=message):
            pool(*arguments, **{"scale": 1, **more})


def test_what_does_not_fit_a_pyramid_is_named():
    maps, boxes, pictures = [torch.ones(2, 3, 8, 8)] * 2, torch.zeros(5, 4), torch.zeros(5).long()
    wrong = {
        "2 levels and 1 strides": (maps, (4,)),
        "0 levels": ([], ()),
        "powers of 2": (maps, (4, 12)),
        r"\(2, 4, 8, 8\)": ([maps[0], torch.ones(2, 4, 8, 8)], (4, 8)),
        "torch.float32 and torch.float64": ([maps[0], maps[0].double()], (4, 8)),
    }
    for message, (levels, strides) in wrong.items():
        with pytest.raises(UsageError, match=message):
            ops.pool_levels(levels, strides, boxes, pictures)
    with pytest.raises(UsageError, match="0 samples"):
        ops.roi_align(maps[0], boxes, pictures, scale=1, samples=0)


# --- ONNX -----------------------------------------------------------------------------------------


class Pooling(nn.Module):
    def __init__(self, levels, aligned):
        super().__init__()
        self.levels, self.aligned = levels, aligned

    def forward(self, maps, boxes, pictures):
        strides = STRIDES[: self.levels]
        if self.levels == 1:
            how = {"scale": 1 / 4, "samples": 3, "aligned": self.aligned}
            return ops.roi_align(maps, boxes, pictures, (3, 5), **how)
        pyramid = [nn.functional.avg_pool2d(maps, stride // 4) for stride in strides]
        return ops.pool_levels(pyramid, strides, boxes, pictures, 4, aligned=self.aligned)


@pytest.mark.parametrize(("levels", "aligned"), [(1, True), (4, False)])
def test_onnx_runtime_pools_alike(levels, aligned):
    runtime = pytest.importorskip("onnxruntime")

    def example(pictures, count):
        boxes = thrown(count, count, dtype=torch.float32)
        boxes[::2] *= 4  # so that there are some for each level
        given = drawn((pictures, 3, 32, 48), count, torch.float32)
        return given, boxes, which(count, pictures, count)

    method, dims = Pooling(levels, aligned), [{0: torch.export.Dim(name, min=1)} for name in "nr"]
    with _quietly():
        program = torch.onnx.export(
            method,
            example(2, 6),
            dynamo=True,
            input_names=["maps", "boxes", "pictures"],
            dynamic_shapes=(dims[0], dims[1], dims[1]),
            custom_translation_table=translations(),
        )
    session = runtime.InferenceSession(program.model_proto.SerializeToString())
    for pictures, count in ((2, 6), (3, 80), (1, 1), (1, 0)):
        inputs = example(pictures, count)
        feed = dict(zip(("maps", "boxes", "pictures"), map(np.asarray, inputs), strict=True))
        got, ours = session.run(None, feed)[0], method(*inputs)
        assert got.shape == ours.shape
        assert np.abs(got - ours.numpy()).max(initial=0) < 2e-6
    assert len(ops.box_levels(example(3, 80)[1], STRIDES).unique()) == 4
