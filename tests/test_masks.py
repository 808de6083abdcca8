"""Masks against pycocotools (recorded) and plain loops."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boda import masks
from boda.data.outlines import polygons

GOLDEN = json.loads((Path(__file__).parent / "golden" / "masks.json").read_text("utf-8"))
quick = settings(max_examples=100, deadline=None)


@st.composite
def bitmaps(draw, most=12):
    """(H, W) bool: noise, stripes, or long runs."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    height, width = (draw(st.integers(1, most)) for _ in "hw")
    mask = rng.random((height, width)) < draw(st.sampled_from([0, 0.05, 0.5, 0.95, 1]))
    return np.kron(mask, np.ones(draw(st.sampled_from([(1, 1), (1, 7), (40, 3)])))) > 0


# --- COCO's polygons and run-length code ----------------------------------------------------------


def test_polygons_and_codes_are_pycocotools_to_the_pixel_and_letter():
    filled = 0
    for told in GOLDEN["outlines"]:
        size = tuple(told["size"])
        mask = masks.rasterize([np.reshape(p, (-1, 2)) for p in told["polygons"]], size)
        assert masks.encode(mask) == {"size": told["size"], "counts": told["counts"]}
        assert np.array_equal(masks.decode({"size": size, "counts": told["counts"]}), mask)
        x, y, width, height = told["box"]
        assert masks.areas(mask[None]).tolist() == [told["area"]]
        if told["area"]:
            assert masks.boxes(mask[None]).tolist() == [[x, y, x + width, y + height]]
            filled += 1
    assert filled > 100


def slow_string(runs):
    """The runs as COCO's string, letter by letter."""
    text = ""
    for i, run in enumerate(runs):
        left = run - runs[i - 2] if i > 2 else run
        while True:
            group, left = left % 32, left // 32
            done = left == (-1 if group >= 16 else 0)
            text += chr(48 + group + (0 if done else 32))
            if done:
                break
    return text


def slow_runs(mask):
    runs, last = [0], False
    for x in range(mask.shape[1]):
        for y in range(mask.shape[0]):
            if mask[y, x] != last:
                runs.append(0)
                last = not last
            runs[-1] += 1
    return runs


@quick
@given(bitmaps())
def test_codes_are_plain_loops(mask):
    runs, size = slow_runs(mask), list(mask.shape)
    assert masks.encode(mask, compressed=False) == {"size": size, "counts": runs}
    code = masks.encode(mask)
    assert code == {"size": size, "counts": slow_string(runs)}
    for counts in (runs, code["counts"], code["counts"].encode()):
        back = masks.decode({"size": size, "counts": counts})
        assert np.array_equal(back, mask) and back.dtype == bool and back.flags.c_contiguous


def test_a_worked_code():
    # Down the columns: 1 of background, 2 + 1 of the object, 5 of background.
    mask = np.zeros((3, 3), bool)
    mask[1:, 0] = mask[0, 1] = True
    assert masks.encode(mask, compressed=False)["counts"] == [1, 3, 5]
    assert masks.encode(mask)["counts"] == "135"  # the first three as they are, from "0"
    mask[2, 2] = True  # 1 3 4 1: the fourth is two less than the second
    assert masks.encode(mask)["counts"] == "134N"


def test_runs_of_no_pixels_are_read():
    code = {"size": [2, 2], "counts": [1, 1, 0, 1, 1, 0]}
    assert masks.decode(code).tolist() == [[False, True], [True, False]]
    assert masks.decode({"size": [0, 4], "counts": ""}).shape == (0, 4)


@pytest.mark.parametrize(
    ("counts", "why"),
    [
        ([1, 2], "do not add up to the picture's pixels"),
        ([2**62, 2**62, 2**62, 2**62, 4], "do not add up"),  # they do, modulo 2**64
        ("", "do not add up"),
        ([6, -2], "negative"),
        ("13N", "negative"),
        ("1 3", "no code"),
        ("1가", "no code"),
        ("1\ud800", "no code"),
        ("1o", "cut off"),
        ("o" * 13 + "0", "60 bits"),
    ],
)
def test_what_is_no_code_is_refused(counts, why):
    with pytest.raises(ValueError, match=why):
        masks.decode({"size": [2, 2], "counts": counts})


@quick
@given(bitmaps())
def test_the_outlines_of_a_mask_cover_it(mask):
    assert np.array_equal(masks.rasterize(polygons(mask), mask.shape), mask)


def test_polygons_beyond_the_picture():
    everything = np.array([[-9, -9], [30, -9], [30, 30], [-9, 30]])
    assert masks.rasterize([everything], (6, 8)).all()
    assert not masks.rasterize([everything + 50, everything[:1]], (6, 8)).any()
    assert masks.rasterize([], (6, 8)).shape == (6, 8)
    for wrong in (1e6, np.nan, np.inf):
        with pytest.raises(ValueError, match="131,072"):
            masks.rasterize([np.array([[0, 0], [wrong, 0], [5, 5.0]])], (6, 8))


def test_an_outline_of_any_format():
    square = np.array([[1, 1], [4, 1], [4, 3], [1, 3.0]])
    mask = np.zeros((4, 6), bool)
    mask[1:3, 1:4] = True
    assert not masks.of_outline(None, (4, 6)).any()
    for outline in ([square], masks.encode(mask), masks.encode(mask, compressed=False)):
        assert np.array_equal(masks.of_outline(outline, (4, 6)), mask)
    with pytest.raises(ValueError, match=r"of \[4, 6\], the picture of \(6, 4\)"):
        masks.of_outline(masks.encode(mask), (6, 4))


# --- boxes and overlap ----------------------------------------------------------------------------


def test_boxes_have_continuous_edges_and_an_empty_mask_none():
    three = np.zeros((3, 5, 7), bool)
    three[0, 1:3, 2] = three[1] = True
    assert masks.boxes(three).tolist() == [[2, 1, 3, 3], [0, 0, 7, 5], [0, 0, 0, 0]]
    assert masks.areas(three).tolist() == [2, 35, 0]
    assert masks.boxes(three[:0]).shape == (0, 4) and masks.areas(three[:0]).shape == (0,)


@quick
@given(st.integers(0, 2**32 - 1))
def test_overlap_is_counted_pixel_by_pixel(seed):
    rng = np.random.default_rng(seed)
    a, b = (rng.random((n, 6, 9)) < rng.choice([0.02, 0.3, 1]) for n in rng.integers(0, 5, 2))
    crowd = rng.random(len(b)) < 0.5
    shared, share, plain = masks.shared(a, b), masks.iou(a, b, crowd), masks.iou(a, b)
    assert shared.shape == share.shape == plain.shape == (len(a), len(b))
    for i, one in enumerate(a):
        for j, other in enumerate(b):
            both, either = int((one & other).sum()), int((one | other).sum())
            assert shared[i, j] == both
            assert plain[i, j] == (both / either if either else 0)
            whole = int(one.sum()) if crowd[j] else either
            assert share[i, j] == (both / whole if whole else 0)


# --- pasting --------------------------------------------------------------------------------------


def slow_paste(small, box, size):
    """Each pixel's middle reads the small mask, between its cells' middles; 0 is around it."""
    out = np.zeros(size)
    height, width = small.shape
    padded = np.pad(small, 1)
    x1, y1, x2, y2 = box
    for y in range(size[0]):
        for x in range(size[1]):
            if not (x1 <= x + 0.5 < x2 and y1 <= y + 0.5 < y2):
                continue
            u = (x + 0.5 - x1) / (x2 - x1) * width + 0.5  # in the padded mask, cells' middles whole
            v = (y + 0.5 - y1) / (y2 - y1) * height + 0.5
            i, j = int(v), int(u)
            p, q = v - i, u - j
            upper = (1 - q) * padded[i, j] + q * padded[i, j + 1]
            lower = (1 - q) * padded[i + 1, j] + q * padded[i + 1, j + 1]
            out[y, x] = (1 - p) * upper + p * lower
    return out


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_pasting_is_the_plain_loop(seed):
    rng = np.random.default_rng(seed)
    small = rng.random((3, *rng.integers(1, 6, 2)))
    corners = rng.uniform(-8, 14, (3, 2)).round(1)
    boxes = np.hstack([corners, corners + rng.uniform(0.2, 20, (3, 2)).round(1)])
    for threshold in (0.5, 0.2):
        pasted = masks.paste(small, boxes, (11, 13), threshold)
        assert pasted.shape == (3, 11, 13) and pasted.dtype == bool
        for mask, values, box in zip(pasted, small, boxes, strict=True):
            read = slow_paste(values, box, (11, 13))
            sure = np.abs(read - threshold) > 1e-5
            assert np.array_equal(mask[sure], (read >= threshold)[sure])


def test_a_sure_mask_fills_its_box_but_for_the_rim():
    full = np.ones((4, 28, 28), np.float32)
    boxes = np.array([[2, 3, 9, 8], [-5, -5, 4.6, 2.4], [30, 30, 40, 40], [5, 5, 5, 9.0]])
    pasted = masks.paste(full, boxes, (10, 12))
    assert masks.boxes(pasted).tolist() == [[2, 3, 9, 8], [0, 0, 5, 2], [0] * 4, [0] * 4]
    assert masks.areas(pasted).tolist() == [35, 10, 0, 0]
    assert masks.paste(full[:0], boxes[:0], (10, 12)).shape == (0, 10, 12)


# --- maps of all objects --------------------------------------------------------------------------


def overlapping():
    three = np.zeros((4, 6, 8), bool)
    three[0, :4], three[1, 2:], three[2, 5, 5:] = True, True, True
    three[3, 5, 7] = True  # covered by a surer one
    return three, np.array([0.9, 0.5, 0.8, 0.3])


def test_the_surest_is_on_top():
    three, scores = overlapping()
    ids = masks.numbered(three, scores)
    assert ids.dtype == np.uint8
    assert ids.tolist() == [[1] * 8] * 4 + [[2] * 8] + [[2] * 5 + [3] * 3]
    assert masks.numbered(three)[3, 0] == 1 and masks.numbered(three, -scores)[3, 0] == 2
    assert not masks.numbered(three[:0]).any()
    many = np.zeros((300, 1, 300), bool)
    many[np.arange(300), 0, np.arange(300)] = True
    assert masks.numbered(many).dtype == np.uint16
    assert masks.numbered(many)[0].tolist() == list(range(1, 301))
    with pytest.raises(ValueError, match="65,536 objects"):
        masks.numbered(np.zeros((1 << 16, 1, 1), bool))


def test_the_panoptic_picture_says_each_pixels_object():
    three, scores = overlapping()
    picture, segments = masks.panoptic_png(three, scores, np.array([4, 0, 4, 1]), list("abac"))
    assert picture.shape == (6, 8, 3) and picture.dtype == np.uint8
    assert [s["id"] for s in segments] == [1, 2, 3]  # nothing is seen of the fourth
    assert segments[1] == {
        "id": 2, "category_id": 1, "name": "b", "area": 13, "bbox": [0, 4, 8, 2], "score": 0.5,
    }  # fmt: skip
    ids = picture.astype(int) @ [1, 256, 65536]
    for segment in segments:
        assert segment["area"] == (ids == segment["id"]).sum()
    json.dumps(segments)
    many = np.zeros((300, 1, 300), bool)
    many[np.arange(300), 0, np.arange(300)] = True
    picture, segments = masks.panoptic_png(many, np.ones(300), np.zeros(300, int), ["a"] * 300)
    assert picture[0, 299].tolist() == [300 - 256, 1, 0] and segments[299]["id"] == 300


def test_masks_do_not_import_torch():
    code = "import sys, boda.masks; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
