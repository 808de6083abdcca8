"""Tiles: wherever an object lies, it is found exactly once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from boda import tiling
from boda.data.prepare import Preparation
from boda.errors import UsageError
from boda.mirroring import mirrored
from boda.predicting import Predictor

TILE = 100


def bright(images: np.ndarray) -> np.ndarray:
    """A network that finds bright rectangles: red ones are class 0, green ones class 1."""
    rows = np.zeros((len(images), 50, 6), np.float32)
    for image, out in zip(images, rows, strict=True):
        found = []
        for label in (0, 1):
            places = ndimage.find_objects(ndimage.label(image[label] > 160)[0])
            for y, x in places:
                share = 0.5 + min(0.4, (y.stop - y.start) * (x.stop - x.start) / image[0].size)
                found.append([x.start, y.start, x.stop, y.stop, share, label])
        out[: len(found)] = np.array(found, np.float32).reshape(-1, 6)
    return rows


def predictor(tile: int | None = None, side: int = 100, tta: bool = False) -> Predictor:
    made = Predictor(bright, "detect", ["red", "green"], Preparation(side, side, rule="letterbox"))
    made.adjust(tile=tile, tta=tta)
    return made


def painted(size: tuple[int, int], boxes: list[tuple[int, ...]], channel: int = 0) -> np.ndarray:
    picture = np.zeros((*size, 3), np.uint8)
    for x1, y1, x2, y2 in boxes:
        picture[y1:y2, x1:x2, channel] = 255
    return picture


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """IoU of two boxes, by hand."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


@given(st.integers(1, 700), st.integers(1, 700), st.integers(8, 300))
def test_tiles_cover_everything_and_overlap_enough(height: int, width: int, tile: int) -> None:
    views = tiling.windows((height, width), tile)
    assert views[0].tolist() == [0, 0, width, height]
    if max(height, width) <= tile:
        assert len(views) == 1
        return
    tiles = views[1:]
    assert ((tiles[:, 2] - tiles[:, 0]) == min(tile, width)).all()
    assert ((tiles[:, 3] - tiles[:, 1]) == min(tile, height)).all()
    assert tiles.min() >= 0 and (tiles[:, 2:] <= (width, height)).all()
    for axis, length in ((0, width), (1, height)):
        starts = sorted(set(tiles[:, axis].tolist()))
        ends = [start + min(tile, length) for start in starts]
        assert starts[0] == 0 and ends[-1] == length
        assert all(e - s >= tile / 4 for e, s in zip(ends, starts[1:], strict=False))
        # one tile less would overlap by less than a quarter
        assert len(starts) <= 1 or (len(starts) - 2) * int(0.75 * tile) + tile < length


@st.composite
def rectangle(draw: st.DrawFn, size: tuple[int, int], least: int = 10) -> tuple[int, ...]:
    height, width = size
    x1, y1 = draw(st.integers(0, width - least)), draw(st.integers(0, height - least))
    x2, y2 = draw(st.integers(x1 + least, width)), draw(st.integers(y1 + least, height))
    return x1, y1, x2, y2


def pieces(objects: list[np.ndarray], size: tuple[int, int], whole: bool) -> list[tuple]:
    """What a perfect network sees in each view: every object's part in it."""
    found = []
    for number, window in enumerate(tiling.windows(size, TILE)):
        low = [np.maximum(box[:2], window[:2]) for box in objects]
        high = [np.minimum(box[2:], window[2:]) for box in objects]
        there = [i for i in range(len(objects)) if (high[i] > low[i]).all()]
        if number == 0 and not whole:
            there = []
        boxes = [np.concatenate([low[i], high[i]]) - np.tile(window[:2], 2) for i in there]
        scores = np.full(len(there), 0.9, np.float32)
        array = np.array(boxes, np.float32).reshape(-1, 4)
        found.append((array, scores, np.zeros(len(there), np.int64)))
    return found


def merged(found: list[tuple], size: tuple[int, int], tile: int = TILE) -> tuple:
    """By a network that sees exactly."""
    views = tiling.windows(size, tile)
    return tiling.merge(found, views, np.zeros(len(views)), size, tile)


@settings(max_examples=150, deadline=None)
@given(rectangle((230, 310)), st.booleans())
def test_the_pieces_of_an_object_become_it_again(box: tuple[int, ...], whole: bool) -> None:
    """Also where the picture as a whole shows nothing, so that it must be put together."""
    size, objects = (230, 310), [np.array(box, float)]
    found = pieces(objects, size, whole)
    boxes, scores, labels = merged(found, size)
    assert boxes.tolist() == [list(box)]
    assert scores == pytest.approx([0.9]) and labels.tolist() == [0]


@settings(max_examples=150, deadline=None)
@given(rectangle((230, 310)), rectangle((230, 310)), st.booleans())
@example(
    (0, 0, 86, 95), (53, 1, 120, 157), False
)  # pieces of both agree by half: the best goes first
def test_two_objects_stay_two(a: tuple[int, ...], b: tuple[int, ...], whole: bool) -> None:
    """Objects of one class that touch or overlap a little: neither is lost nor swallowed."""
    objects = [np.array(box, float) for box in (a, b)]
    if overlap(*objects) > 0.2:
        return
    size = (230, 310)
    found = pieces(objects, size, whole)
    boxes, _, _ = merged(found, size)
    assert sorted(boxes.tolist()) == sorted([list(a), list(b)])


@settings(max_examples=60, deadline=None)
@given(st.lists(rectangle((260, 330), 16), min_size=1, max_size=5), st.sampled_from([0, 1]))
def test_a_network_finds_each_object_once(boxes: list[tuple[int, ...]], channel: int) -> None:
    """Through the whole way: tiles are cut, scaled to half their size, read, moved back, merged."""
    apart: list[tuple[int, ...]] = []
    for box in boxes:  # a margin, so that the fake network sees two objects as two at half size too
        near = (box[0] - 9, box[1] - 9, box[2] + 9, box[3] + 9)
        if all(overlap(np.array(near), np.array(other)) == 0 for other in apart):
            apart.append(box)
    prediction = predictor(TILE, side=50).predict(painted((260, 330), apart, channel))
    assert prediction.boxes is not None and prediction.scores is not None
    assert prediction.names == [["red", "green"][channel]] * len(apart)
    assert (np.diff(prediction.scores) <= 0).all()
    for box in apart:
        shared = [overlap(found, np.array(box)) for found in prediction.boxes]
        assert max(shared) >= 0.6  # at half the size an edge lies up to two pixels off


def test_small_objects_are_seen_only_in_tiles() -> None:
    """A square of 8 pixels in 800: at 100 pixels it is one pixel, in a tile it is all there."""
    picture = painted((800, 800), [(397, 203, 405, 211)])
    assert predictor().predict(picture).names == []  # one gray pixel is not bright
    prediction = predictor(TILE).predict(picture)
    assert prediction.boxes is not None
    np.testing.assert_allclose(prediction.boxes, [[397, 203, 405, 211]])
    assert prediction.size == (800, 800)


def test_what_the_whole_picture_shows_roughly_is_no_second_object() -> None:
    """At 50 pixels for 330 its edges lie up to seven pixels off: an IoU of 0.43 with what it is."""
    prediction = predictor(TILE, side=50).predict(painted((260, 330), [(0, 0, 10, 10)]))
    assert prediction.boxes is not None
    np.testing.assert_allclose(prediction.boxes, [[0, 0, 10, 10]], atol=0.1)


SIDE_BY_SIDE = [[0, 0, 175, 100], [0, 0, 100, 100], [75, 0, 175, 100]]  # the whole, and two tiles


def of_two_tiles(*rows: tuple[int, list[float], float, int]) -> tuple[list, list, list]:
    """Boxes, scores and classes of what was seen: view, box in pixels of it, score, class."""
    size = (100, 175)
    assert tiling.windows(size, TILE).tolist() == SIDE_BY_SIDE
    found = []
    for view in range(3):
        mine = [row[1:] for row in rows if row[0] == view]
        boxes, scores, labels = zip(*mine, strict=True) if mine else ((), (), ())
        array = np.array(boxes, np.float32).reshape(-1, 4)
        found.append((array, np.array(scores), np.array(labels, int)))
    together = tiling.merge(found, np.array(SIDE_BY_SIDE), np.array([2.0, 1, 1]), size, TILE)
    return tuple(column.tolist() for column in together)  # type: ignore[return-value]


def test_a_sliver_at_a_tiles_border_is_left_to_the_next_tile() -> None:
    """There, where there is more to be seen of it, it is another thing."""
    sliver, thing = (1, [96, 40, 100, 60], 0.9, 1), (2, [21, 40, 60, 60], 0.8, 0)
    assert of_two_tiles(sliver, thing) == ([[96, 40, 135, 60]], [0.8], [0])


def test_the_edge_of_the_picture_cuts_nothing() -> None:
    """What is narrow there is a narrow thing."""
    assert of_two_tiles((1, [0, 40, 4, 60], 0.9, 0)) == ([[0, 40, 4, 60]], [0.9], [0])


def test_a_piece_that_was_seen_badly_belongs_to_what_covers_it() -> None:
    """It is less than half of what it should be, so it agrees with nothing."""
    whole, piece = (0, [40, 10, 170, 90], 0.7, 0), (2, [0, 20, 30, 60], 0.9, 0)
    assert of_two_tiles(whole, piece) == ([[40, 10, 170, 90]], [0.7], [0])
    other = (2, [0, 20, 30, 60], 0.9, 1)  # but a piece of another class is another thing
    assert of_two_tiles(whole, other)[2] == [1, 0]


def test_the_box_is_that_of_the_finest_view() -> None:
    rough, fine = (0, [76, 8, 99, 33], 0.9, 0), (1, [78, 10, 96, 30], 0.6, 0)
    assert of_two_tiles(rough, fine) == ([[78, 10, 96, 30]], [0.9], [0])


def test_those_that_agree_best_find_together() -> None:
    """Two things of one class that overlap; the whole picture shows one of them."""
    shown = (0, [10, 10, 60, 60], 0.95, 0)
    other, same = (1, [10, 22, 60, 72], 0.5, 0), (1, [10, 10, 60, 60], 0.6, 0)
    boxes, scores, _ = of_two_tiles(shown, other, same)
    assert boxes == [[10, 10, 60, 60], [10, 22, 60, 72]] and scores == [0.95, 0.5]


def test_views_do_not_mix_classes() -> None:
    box = [20.0, 10, 50, 30]
    boxes, _, labels = of_two_tiles((0, box, 0.9, 0), (1, box, 0.8, 1))
    assert boxes == [box, box] and labels == [0, 1]


def test_a_picture_no_larger_than_a_tile_is_seen_once() -> None:
    looked: list[int] = []
    made = predictor(TILE)
    made.network = lambda images: looked.append(len(images)) or bright(images)  # type: ignore[func-returns-value]
    made.predict(painted((100, 80), [(1, 1, 30, 30)]))
    assert looked == [1]
    list(made.predict_all([painted((101, 80), [(1, 1, 30, 30)])], batch=2))
    assert looked == [1, 2, 1]  # the whole and two tiles, no more than two together


def test_a_large_thing_is_not_taken_for_its_part() -> None:
    """A tile that takes the part it sees for the whole, and is even surer, does not win."""
    views = tiling.windows((200, 200), 120)
    found = [(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int))] * len(views)
    found[0] = (np.array([[10.0, 10, 190, 100]]), np.array([0.6]), np.array([0]))
    found[1] = (np.array([[10.0, 10, 115, 100]]), np.array([0.9]), np.array([0]))
    boxes, scores, _ = merged(found, (200, 200), 120)
    assert boxes.tolist() == [[10, 10, 190, 100]] and scores.tolist() == [0.6]


def test_classes_are_not_mixed() -> None:
    one = (np.array([[10.0, 10, 50, 50]] * 2), np.array([0.9, 0.8]), np.array([0, 1]))
    boxes, _, labels = merged([one], (100, 100), 100)
    assert len(boxes) == 2 and labels.tolist() == [0, 1]


def test_a_mirrored_picture_gives_mirrored_boxes() -> None:
    """By a network that is wrong to one side: of both answers the mean is right."""

    def biased(images: np.ndarray) -> np.ndarray:
        rows = bright(images)
        rows[..., [0, 2]] += 4 * (rows[..., 4:5] > 0)
        return rows

    images = painted((100, 100), [(20, 30, 60, 70)]).transpose(2, 0, 1)[None]
    assert biased(images)[0, 0, :4].tolist() == [24, 30, 64, 70]
    both = mirrored(biased, "detect")(images)
    np.testing.assert_allclose(both[0, 0, :4], [20, 30, 60, 70], atol=1e-4)
    assert both[0, 0, 4] == pytest.approx(bright(images)[0, 0, 4])
    assert both.shape == biased(images).shape and not both[0, 1:].any()


def test_fusion_weighs_by_score_and_halves_what_one_side_saw() -> None:
    """Solovyev et al. 2019, with two models: the numbers are computed by hand."""
    answers = np.zeros((2, 1, 3, 6), np.float32)
    answers[0, 0, 0] = [10, 10, 50, 50, 0.9, 0]
    answers[0, 0, 1] = [60, 60, 90, 90, 0.4, 1]
    answers[1, 0, 0] = [100 - 56, 10, 100 - 16, 50, 0.3, 0]  # at 16..56 once it is turned back
    turns = iter(answers[::-1])  # the mirror image is looked at first
    both = mirrored(lambda images: next(turns).copy(), "detect")(np.zeros((1, 3, 100, 100)))
    np.testing.assert_allclose(both[0, 0], [11.5, 10, 51.5, 50, 0.6, 0], rtol=1e-5)
    np.testing.assert_allclose(both[0, 1], [60, 60, 90, 90, 0.2, 1], rtol=1e-5)
    assert not both[0, 2].any()


def test_of_classifiers_the_mean_is_taken() -> None:
    def left(images: np.ndarray) -> np.ndarray:
        share = images[..., :5].mean((1, 2, 3)) / 255
        return np.stack([share, 1 - share], 1)

    images = np.zeros((1, 3, 10, 10), np.uint8)
    images[..., :5] = 255
    assert left(images).tolist() == [[1, 0]]
    assert mirrored(left, "classify")(images).tolist() == [[0.5, 0.5]]


def test_tiles_and_mirrors_together() -> None:
    boxes = [(20, 30, 130, 170), (200, 10, 240, 50)]
    prediction = predictor(TILE, tta=True).predict(painted((220, 300), boxes))
    assert prediction.boxes is not None and len(prediction.boxes) == 2
    found = sorted(prediction.boxes.tolist())
    np.testing.assert_allclose(found, sorted(map(list, boxes)), atol=3)


def test_wrong_wishes_are_refused() -> None:
    with pytest.raises(UsageError, match="at least 32 pixels"):
        predictor(8)
    with pytest.raises(UsageError, match="a score from 0 to 1"):
        predictor().adjust(conf=1.5)
    classifier = Predictor(bright, "classify", ["a"], Preparation(8, 8))
    with pytest.raises(UsageError, match="--tile is for detect and segment, not for classify"):
        classifier.adjust(tile=64)
    with pytest.raises(UsageError, match="--tta is for classify and detect and segment, not"):
        Predictor(bright, "landmarks", ["a"], Preparation(8, 8)).adjust(tta=True)
