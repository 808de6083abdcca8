"""PSNR, SSIM, L1, Y and colours against scikit-image's recorded figures and against arithmetic."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from boda.errors import UsageError
from boda.metrics.pictures import Likeness, ab_error, l1, luma, psnr, ssim, without_border
from boda.ops import to_chw
from tests.golden.patterns import pairs
from tests.slow_reference import pictures as slow

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "pictures.json").read_text())
NAMES = list(pairs())
FIGURES = {"psnr": psnr, "ssim": ssim, "l1": l1, "ab_error": ab_error}


def pair(name):
    said, truth = (to_chw(torch.from_numpy(x))[None] for x in pairs()[name])
    return said, truth


@pytest.mark.parametrize("name", NAMES)
def test_against_scikit_image(name):
    said, truth = pair(name)
    expected = GOLDEN["pairs"][name]
    near = {"rel": 1e-9, "abs": 1e-12}
    # The white of Lab is written with fewer digits there.
    colours = {"rel": 1e-3, "abs": 1e-2}
    for figure, measure in FIGURES.items():
        tolerance = colours if figure == "ab_error" else near
        assert measure(said, truth).item() == pytest.approx(expected[figure], **tolerance), figure
    one, other = luma(said), luma(truth)
    assert psnr(one, other).item() == pytest.approx(expected["y_psnr"], **near)
    assert ssim(one, other).item() == pytest.approx(expected["y_ssim"], **near)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), st.integers(11, 14), st.integers(11, 13))
def test_ssim_against_a_loop_over_windows(seed, height, width):
    random = np.random.default_rng(seed)
    said, truth = random.random((2, 1, 1, height, width))
    expected = slow.ssim(said[0, 0].tolist(), truth[0, 0].tolist())
    assert ssim(said, truth).item() == pytest.approx(expected, abs=1e-12)


def test_ssim_of_flat_pictures_is_the_brightness_term():
    x, y = torch.full((1, 1, 12, 12), 0.25), torch.full((1, 1, 12, 12), 0.75)
    assert ssim(x, y).item() == pytest.approx((2 * 0.25 * 0.75 + 1e-4) / (0.0625 + 0.5625 + 1e-4))


def test_what_is_equal_and_what_is_opposite():
    said, truth = pair("opposite")
    assert ssim(truth, truth).item() == 1 and l1(truth, truth).item() == 0
    assert psnr(truth, truth).item() == math.inf and ab_error(truth, truth).item() == 0
    assert psnr(said, truth).item() == 0 and l1(said, truth).item() == 1
    assert -1 < ssim(said, truth).item() < -0.9


@pytest.mark.parametrize("measure", FIGURES.values(), ids=FIGURES)
def test_arrays_bytes_and_floats_are_one(measure):
    said, truth = pair("noise")
    expected = measure(said, truth)
    assert measure(said.numpy(), truth.numpy()).equal(expected)
    torch.testing.assert_close(measure(said.double() / 255, truth), expected)
    both = measure(torch.cat([said, truth]), torch.cat([truth, said]))
    assert both.shape == (2,) and both.dtype == torch.float64
    torch.testing.assert_close(both, expected.expand(2), rtol=1e-12, atol=1e-12)


def test_luma_of_black_white_and_the_primaries():
    """MATLAB's rgb2ycbcr: 16, 235, and what each primary adds."""
    colours = torch.tensor([[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]])
    found = luma(colours.to(torch.uint8).T[:, None])[0, 0] * 255
    assert found.tolist() == pytest.approx([16, 235, 81.481, 144.553, 40.966])


def test_the_border_is_cut_on_all_sides():
    picture = torch.arange(30.0).view(1, 1, 5, 6)
    assert without_border(picture, 2).tolist() == [[[[14.0, 15.0]]]]
    assert without_border(picture, 0).equal(picture)
    for border in (3, -1):
        with pytest.raises(UsageError, match=f"a border of {border} leaves nothing of 5×6"):
            without_border(picture, border)


def test_likeness_of_super_resolution():
    said, truth = pair("noise")
    metric = Likeness(y=True, border=3)
    each = metric.update(said, truth)
    one, other = (luma(x[..., 3:-3, 3:-3]) for x in (said, truth))
    assert each == {name: FIGURES[name](one, other).tolist() for name in ("psnr", "ssim", "l1")}
    assert metric.compute() == {name: values[0] for name, values in each.items()}
    framed = said.clone()
    framed[..., :3, :] = 0  # what is in the border does not count
    again = Likeness(y=True, border=3)
    again.update(framed, truth)
    assert again.compute() == metric.compute()


def test_gray_pictures_are_their_own_y():
    said, truth = (x[:, :1] for x in pair("blur"))
    metric = Likeness(y=True)
    metric.update(said, truth)
    assert metric.compute()["psnr"] == psnr(said, truth).item()
    assert "ab_error" not in metric.compute()


def test_the_order_changes_no_bit_and_the_grouping_nothing_but_rounding():
    same = [pair(name) for name in NAMES if name != "smallest"]
    one, other, third, whole = Likeness(), Likeness(), Likeness(), Likeness()
    for said, truth in same:
        one.update(said, truth)
    for said, truth in reversed(same[2:]):
        other.update(said, truth)
    for said, truth in same[:2]:
        third.update(said, truth)
    other.merge(third)
    assert other.compute() == one.compute() and other.samples == one.samples == len(same)
    whole.update(*(torch.cat(side) for side in zip(*same, strict=True)))
    assert whole.compute() == pytest.approx(one.compute(), rel=1e-12)
    assert list(one.compute()) == ["psnr", "ssim", "l1", "ab_error"]


def test_a_perfect_picture_counts_100_db():
    said, truth = pair("noise")
    metric = Likeness()
    metric.update(said, truth)
    metric.update(truth, truth)
    assert metric.compute()["psnr"] == pytest.approx((psnr(said, truth).item() + 100) / 2)


def test_refusals():
    said, truth = pair("noise")
    with pytest.raises(UsageError, match=r"\(1, 3, 24, 31\) and \(1, 3, 24, 30\)"):
        psnr(said, truth[..., 1:])
    with pytest.raises(UsageError, match=r"Give \(N, C, H, W\) twice"):
        l1(said[0], truth[0])
    with pytest.raises(UsageError, match=r"torch\.int64"):
        psnr(said.long(), truth.long())
    with pytest.raises(UsageError, match="windows of 11×11, these pictures have 24×10"):
        ssim(said[..., :10], truth[..., :10])
    with pytest.raises(UsageError, match="three channels"):
        ab_error(said[:, :1], truth[:, :1])
    with pytest.raises(ValueError, match="no pictures"):
        Likeness().compute()
    with pytest.raises(ValueError, match="same channel and border"):
        Likeness().merge(Likeness(border=2))
