"""Boxes and suppression against plain loops, torchvision (recorded) and numbers worked by hand."""

import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from boda import ops
from boda.errors import UsageError
from boda.ops import suppression
from tests.slow_reference import boxes as slow

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "boxes.json").read_text("utf-8"))
OVERLAPS = ["iou", "giou", "diou", "ciou"]
quick = settings(max_examples=60, deadline=None)
t = torch.tensor


def recorded(name):
    return t(GOLDEN[name])


def thrown(n, seed, extent=40, least=0, dtype=torch.float64):
    """Boxes on quarters of pixels: many coincide, touch or have no area."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.randint(0, extent, (n, 2), generator=generator)
    sides = torch.randint(least, extent, (n, 2), generator=generator)
    return torch.cat([corner, corner + sides], 1).to(dtype) / 4


# --- formats --------------------------------------------------------------------------------------


def test_one_box_in_every_format():
    forms = {"xyxy": [10, 20, 40, 60], "xywh": [10, 20, 30, 40], "cxcywh": [25, 40, 30, 40]}
    for source, given_box in forms.items():
        for target, expected in forms.items():
            assert ops.convert_boxes(t([given_box]), source, target).tolist() == [expected]
    box = t([10.0, 20, 40, 60])
    assert ops.normalize_boxes(box, (80, 100)).tolist() == pytest.approx([0.1, 0.25, 0.4, 0.75])
    assert ops.denormalize_boxes(ops.normalize_boxes(box, (80, 100)), (80, 100)).allclose(box)
    assert ops.box_area(box) == 1200


def test_clipping_keeps_what_lies_in_the_picture():
    boxes = t([[-5.0, 2, 8, 40], [3, 4, 5, 6], [20, 20, 30, 30], [-9, -9, -1, -1]])
    inside = ops.clip_boxes(boxes, (10, 12))
    assert inside.tolist() == [[0, 2, 8, 10], [3, 4, 5, 6], [12, 10, 12, 10], [0, 0, 0, 0]]
    picture = torch.zeros(10, 12)
    for box, area in zip(boxes.long().clamp(min=0).tolist(), ops.box_area(inside), strict=True):
        assert picture[box[1] : box[3], box[0] : box[2]].numel() == area


# --- overlap --------------------------------------------------------------------------------------


def test_overlaps_by_hand():
    a = t([0.0, 0, 2, 2])
    assert ops.iou(a, t([1.0, 1, 3, 3])) == pytest.approx(1 / 7)
    assert ops.iou(a, a) == 1 and ops.iou(a, t([2.0, 0, 4, 2])) == 0
    # Apart: around both lies 6×2 = 12, of which 8 are theirs; centres 4 apart, diagonal² 40.
    b = t([4.0, 0, 6, 2])
    assert ops.giou(a, b) == pytest.approx(-4 / 12) and ops.diou(a, b) == pytest.approx(-16 / 40)
    # The same centre, 2×2 against 4×1: IoU 2/6; aspect ratios of 45° and of atan 4.
    wide = t([-1.0, 0.5, 3, 1.5])
    v = 4 / math.pi**2 * (math.pi / 4 - math.atan(4)) ** 2
    assert ops.diou(a, wide) == ops.iou(a, wide) == pytest.approx(1 / 3)
    assert ops.ciou(a, wide) == pytest.approx(1 / 3 - v * v / (2 / 3 + v))


@pytest.mark.parametrize("name", OVERLAPS)
def test_overlaps_are_torchvisions(name):
    ours = ops.pairwise(getattr(ops, name), recorded("a"), recorded("b"))
    assert ours.shape == (12, 9)
    assert (ours - recorded(name)).abs().max() < 2e-6


@pytest.mark.parametrize("name", OVERLAPS)
@given(seed=st.integers(0, 2**32), dtype=st.sampled_from([torch.float32, torch.float64]))
@quick
def test_overlaps_are_the_plain_loop(name, seed, dtype):
    least = 1 if name == "ciou" else 0  # a loop that divides by the height needs one
    a, b = thrown(5, seed, least=least, dtype=dtype), thrown(7, seed + 1, least=least, dtype=dtype)
    ours = ops.pairwise(getattr(ops, name), a, b)
    loop = [[getattr(slow, name)(p, q) for q in b.tolist()] for p in a.tolist()]
    assert ours.dtype == dtype
    assert (ours - t(loop, dtype=dtype)).abs().max() < (1e-6 if dtype == torch.float32 else 1e-12)
    assert ours.diagonal().equal(getattr(ops, name)(a, b[:5]))


@pytest.mark.parametrize("name", OVERLAPS)
def test_overlaps_are_differentiable(name):
    overlap = getattr(ops, name)
    a = t([[0.1, 0.2, 2.3, 2.9], [5.1, 5.2, 6.3, 8.7]], dtype=torch.float64)
    b = t([[1.0, 1.1, 3.4, 3.3], [0.2, 0.4, 1.1, 2.9]], dtype=torch.float64).requires_grad_()
    if name == "ciou":  # α counts as a number, so the gradient is that of diou − α·v
        loss = overlap(a, b).sum()
        width, height = b[:, 2] - b[:, 0], b[:, 3] - b[:, 1]
        angle = ((a[:, 2] - a[:, 0]) / (a[:, 3] - a[:, 1])).atan() - (width / height).atan()
        v = 4 / math.pi**2 * angle**2
        alpha = (v / (1 - ops.iou(a, b) + v)).detach()
        expected = torch.autograd.grad((ops.diou(a, b) - alpha * v).sum(), b)[0]
        assert torch.autograd.grad(loss, b)[0].allclose(expected)
    else:
        assert torch.autograd.gradcheck(lambda x: overlap(a, x), (b,))
    flat = t([[1.0, 1, 1, 1], [1, 1, 4, 1]], requires_grad=True)  # no area, one of them no side
    overlap(flat, flat.detach().clone()).sum().backward()
    assert flat.grad.isfinite().all()


def test_only_the_generalized_ones_pull_boxes_that_are_apart():
    a = t([0.0, 0, 2, 2], requires_grad=True)
    b = t([10.0, 0, 12, 2])
    pulls = {n: torch.autograd.grad(getattr(ops, n)(a, b), a)[0][2].item() for n in OVERLAPS}
    assert pulls.pop("iou") == 0 and min(pulls.values()) > 0


def test_low_precision_and_integers_are_computed_in_float32():
    a, b = t([[0, 0, 300, 300]]), t([[1, 0, 300, 300]])
    for dtype in (torch.int64, torch.float16, torch.bfloat16):  # 300² is inf in float16
        out = ops.iou(a.to(dtype), b.to(dtype))
        assert out.dtype == torch.float32 and out.isfinite().all() and 0.99 < out.item() < 1


# --- deltas ---------------------------------------------------------------------------------------


def test_deltas_by_hand_and_torchvisions():
    anchor, box = t([[0.0, 0, 10, 20]]), t([[5.0, 10, 15, 50]])
    deltas = ops.encode_boxes(box, anchor)
    assert deltas.tolist() == [pytest.approx([0.5, 1, 0, math.log(2)])]
    assert ops.decode_boxes(deltas, anchor).allclose(box)
    theirs = recorded("encoded")
    assert ops.encode_boxes(recorded("a")[:9], recorded("b")).allclose(theirs, atol=1e-5)
    assert ops.decode_boxes(theirs, recorded("b")).allclose(recorded("a")[:9], atol=1e-3)


@given(st.integers(0, 2**32))
@quick
def test_decoding_undoes_encoding(seed):
    boxes, anchors = thrown(6, seed, least=1), thrown(4, seed + 1, least=1)
    deltas = ops.encode_boxes(boxes[:, None], anchors)
    assert deltas.shape == (6, 4, 4)
    assert ops.decode_boxes(deltas, anchors).allclose(boxes[:, None].expand(6, 4, 4))


def test_a_wild_delta_grows_an_anchor_to_no_more_than_a_thousand():
    box = ops.decode_boxes(t([[0.0, 0, 1e9, 0]]), t([[0.0, 0, 16, 16]]))
    assert box.tolist() == [pytest.approx([8 - 500, 0, 8 + 500, 16])]


# --- suppression ----------------------------------------------------------------------------------


def overlaps(boxes):
    return ops.pairwise(ops.iou, boxes, boxes).tolist()


def test_suppression_is_torchvisions():
    many, scores, labels = recorded("many"), recorded("scores"), recorded("labels")
    for threshold, kept in GOLDEN["nms"].items():
        assert ops.nms(many, scores, float(threshold)).tolist() == kept
    assert ops.nms(many, scores, 0.3, labels).tolist() == GOLDEN["nms by class"]


@st.composite
def crowds(draw):
    n = draw(st.integers(0, 90))
    seed = draw(st.integers(0, 2**32))
    generator = torch.Generator().manual_seed(seed)
    boxes = thrown(n, seed, draw(st.sampled_from([6, 20, 200])), dtype=torch.float32)
    boxes = boxes * draw(st.sampled_from([1, 1e-3, 1e4])) + draw(st.sampled_from([0, -30, 1e6]))
    scores = torch.randint(0, 8, (n,), generator=generator) / 8
    labels = torch.randint(-2, draw(st.sampled_from([-1, 3])), (n,), generator=generator)
    return boxes, scores, labels


@given(crowds(), st.sampled_from([0, 0.05, 0.3, 0.5, 0.9, 1]), st.sampled_from([0.1, 2, 64]))
@quick
def test_suppression_is_the_greedy_loop(drawn, threshold, crowded):
    boxes, scores, labels = drawn
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(suppression, "CROWDED", crowded)  # so that early removal has its turn, too
        patch.setattr(suppression, "CANDIDATES", 200)
        patch.setattr(suppression, "BLOCK", 5)
        patch.setattr(suppression, "ROUNDS", 2)
        kept = ops.nms(boxes, scores, threshold, labels)
        alike = ops.nms(boxes, scores, threshold)
    threshold = t(threshold).item()  # as the IoUs, in float32
    loop = slow.greedy(overlaps(boxes), scores.tolist(), threshold, labels.tolist())
    assert kept.tolist() == loop
    assert alike.tolist() == slow.greedy(overlaps(boxes), scores.tolist(), threshold, [0] * 90)


@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.8])
def test_suppression_of_many_sizes_is_the_greedy_loop(threshold):
    generator = torch.Generator().manual_seed(3)
    half = torch.exp(torch.rand(600, 2, generator=generator) * 5)
    centres = torch.rand(600, 2, generator=generator) * 300
    boxes = torch.cat([centres - half, centres + half], 1)
    scores = torch.rand(600, generator=generator)
    loop = slow.greedy(overlaps(boxes), scores.tolist(), threshold, [0] * 600)
    assert ops.nms(boxes, scores, threshold).tolist() == loop


@pytest.mark.parametrize("offset", [0, 5e5])  # where float32 has steps of 1/32
@pytest.mark.parametrize("threshold", [0.02, 0.1, 0.3, 0.5, 0.75, 0.95])
def test_pairs_as_far_apart_as_their_overlap_allows_are_found(threshold, offset):
    # Beside another box of its size, inside a larger one at its edge; in x and in y; either first.
    apart = (1 - threshold) / (1 + threshold)
    beside = t([[0, 0, 1, 1], [apart, 0, 1 + apart, 1]])
    inside = t([[0, 0, 1, 1], [0, 0, threshold, 1]])
    pairs = [beside, inside]
    pairs = [p for q in pairs for p in (q, q[:, [1, 0, 3, 2]])]
    pairs = [p for q in pairs for p in (q, q.flip(0), -q[:, [2, 3, 0, 1]])]
    corners = torch.arange(len(pairs) * 40).reshape(-1, 1, 1) * 7.31 % 1009  # strips begin anywhere
    boxes = (torch.stack(pairs).repeat(40, 1, 1) * 5 + corners).flatten(0, 1)
    dust = torch.rand(3000, 2, generator=torch.Generator().manual_seed(0)) * 1000  # thin strips
    boxes = torch.cat([boxes, torch.cat([dust, dust + 0.01], 1)]) + offset
    labels = torch.arange(len(boxes)) // 2  # nobody but the partner counts
    first, second = boxes[0::2], boxes[1::2]
    for limit in (threshold - 1e-3, threshold, threshold + 1e-3):
        hit = ops.iou(first, second) > limit
        kept = ops.nms(boxes, -torch.arange(len(boxes)), limit, labels)
        dropped = set(range(len(boxes))) - set(kept.tolist())
        assert dropped == set((2 * hit.nonzero()[:, 0] + 1).tolist())
        if offset == 0 and limit != threshold:
            assert bool(hit[: len(pairs) * 40].all()) == (limit < threshold)


def test_a_long_chain_keeps_every_second_box():
    x = torch.arange(501.0) * 3  # each overlaps the next by 7/13 and the one after it by 4/16
    boxes = torch.stack([x, x * 0, x + 10, x * 0 + 10], 1)
    assert ops.nms(boxes, -x, 0.5).tolist() == list(range(0, 501, 2))


def test_of_equal_scores_the_lower_index_stays():
    boxes = t([[0.0, 0, 10, 10], [0, 0, 10, 10], [50, 0, 60, 10], [0, 0, 10, 9]])
    assert ops.nms(boxes, t([0.5, 0.5, 0.5, 0.5]), 0.5).tolist() == [0, 2]
    assert ops.nms(boxes, t([0.5, 0.5, 0.7, 0.6]), 0.5).tolist() == [2, 3]


def test_an_iou_of_exactly_the_threshold_stays():
    boxes = t([[0.0, 0, 10, 10], [0, 0, 10, 3]])  # 3/10, which no binary number is
    for dtype in (torch.float32, torch.float64):
        assert ops.nms(boxes.to(dtype), t([2.0, 1]), 0.3).tolist() == [0, 1]
        assert ops.nms(boxes.to(dtype), t([2.0, 1]), 0.2999).tolist() == [0]


def test_classes_leave_each_other_alone_however_far_the_boxes_and_however_large_the_numbers():
    box = t([[30000.0, 0, 30001, 1], [30000.25, 0, 30001.25, 1]])  # IoU 0.6
    assert ops.nms(box, t([0.9, 0.8]), 0.5, t([2**40, 2**40])).tolist() == [0]
    assert ops.nms(box, t([0.9, 0.8]), 0.5, t([2**40, 2**40 + 1])).tolist() == [0, 1]
    outside = t([[0.0, 0, 10, 10], [-10, -10, 0, 0], [0, 0, 10, 10]])
    assert ops.nms(outside, t([3.0, 2, 1]), 0.5, t([0, 1, 1])).tolist() == [0, 1, 2]


def test_boxes_that_are_no_boxes_overlap_nothing():
    inf, nan = math.inf, math.nan
    boxes = t([[0, 0, 4, 4], [nan, 0, 4, 4], [0, 0, inf, 4], [3, 3, 3, 3], [4, 4, 0, 0]])
    assert ops.nms(boxes, t([5.0, 4, 3, 2, 1]), 0.0).tolist() == [0, 1, 2, 3, 4]
    both = torch.cat([boxes, boxes[:1]])
    assert ops.nms(both, t([5.0, 4, 3, 2, 1, 0]), 0.5).tolist() == [0, 1, 2, 3, 4]
    wide = t([[-3e38, 0, 3e38, 4], [-3e38, 0, 3e38, 4], [0, 0, 4, 4], [0, 0, 4, 4]])
    assert ops.nms(wide, t([3.0, 2, 1, 0]), 0.5).tolist() == [0, 1, 2]
    assert ops.nms(boxes[:0], t([]), 0.5).tolist() == []


DECAYS = {
    "gaussian": lambda overlap: math.exp(-(overlap**2) / 0.4),
    "linear": lambda overlap: 1 - overlap if overlap >= 0.3 else 1.0,
}


@pytest.mark.parametrize("decay", DECAYS)
@given(n=st.integers(0, 25), seed=st.integers(0, 2**32))
@quick
def test_soft_suppression_is_the_plain_loop(decay, n, seed):
    generator = torch.Generator().manual_seed(seed)
    boxes, labels = thrown(n, seed), torch.randint(0, 2, (n,), generator=generator)
    scores = torch.randperm(n, generator=generator).double() / max(n, 1)
    kept, lowered = ops.soft_nms(boxes, scores, decay=decay, sigma=0.4, labels=labels)
    loop = slow.soft(overlaps(boxes), scores.tolist(), labels.tolist(), DECAYS[decay], 0.001)
    assert lowered.tolist() == pytest.approx([score for _, score in loop], rel=1e-9)
    # Where two lowered scores agree to the last digits, either may come first.
    order = dict(loop)
    assert [order[i] for i in kept.tolist()] == pytest.approx(lowered.tolist(), rel=1e-9)


def test_soft_suppression_by_hand():
    boxes = t([[0.0, 0, 2, 2], [0, 0, 2, 1], [9, 9, 10, 10]])
    kept, scores = ops.soft_nms(boxes, t([0.8, 0.8, 0.7]))
    assert kept.tolist() == [0, 2, 1]
    assert scores.tolist() == pytest.approx([0.8, 0.7, 0.8 * math.exp(-0.25 / 0.5)])
    kept, scores = ops.soft_nms(boxes, t([0.8, 0.8, 0.7]), decay="linear")
    assert scores.tolist() == pytest.approx([0.8, 0.7, 0.4])
    assert ops.soft_nms(boxes, t([0.8, 0.8, 0.7]), decay="linear", floor=0.5)[0].tolist() == [0, 2]


# --- errors ---------------------------------------------------------------------------------------

B, S = torch.zeros(2, 4), torch.zeros(2)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: ops.convert_boxes(B, "xyxy", "cxcwh"), "Did you mean cxcywh"),
        (lambda: ops.convert_boxes(B[:, :3], "xyxy", "xywh"), "four numbers"),
        (lambda: ops.iou(B, t(1.0)), "four numbers"),
        (lambda: ops.pairwise(ops.iou, B, B[0]), "(…, N, 4)"),
        (lambda: ops.clip_boxes(B, (0, 4)), "(H, W)"),
        (lambda: ops.nms(B[0], S, 0.5), "(N, 4)"),
        (lambda: ops.nms(B, S[:1], 0.5), "scores"),
        (lambda: ops.nms(B, S, 0.5, S[:1]), "labels"),
        (lambda: ops.nms(B, S, 50), "0..1"),
        (lambda: ops.nms(B, S, math.nan), "0..1"),
        (lambda: ops.soft_nms(B, S, decay="gauss"), "Did you mean gaussian"),
        (lambda: ops.soft_nms(B, S, sigma=0), "above 0"),
    ],
)
def test_refused(call, says):
    with pytest.raises(UsageError) as error:
        call()
    assert says in str(error.value)
