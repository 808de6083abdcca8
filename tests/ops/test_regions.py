"""Graph segmentation against a loop over edges, selective search against pixels counted anew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from boda.data.readers import read
from boda.errors import UsageError
from boda.ops import graph_segmentation, regions
from boda.ops.graph_segmentation import FINE, segment
from boda.ops.regions import selective_search
from tests.slow_reference import boxes as slow_boxes
from tests.slow_reference import regions as slow


def patchwork(seed: int, height: int, width: int, channels: int = 3, noise: int = 8) -> np.ndarray:
    """Tiles of 3 × 3 in random colours, with noise; float32."""
    random = np.random.default_rng(seed)
    tiles = random.integers(0, 256, (height // 3 + 1, width // 3 + 1, channels))
    picture = tiles.repeat(3, 0).repeat(3, 1)[:height, :width]
    return (picture + random.integers(-noise, noise + 1, picture.shape)).astype(np.float32)


def scene(height: int = 90, width: int = 120) -> np.ndarray:
    """A red box at 30..70 × 20..60 on noisy green, uint8."""
    random = np.random.default_rng(0)
    picture = np.full((height, width, 3), (60, 150, 70), np.int64)
    picture[20:60, 30:70] = (200, 40, 30)
    return np.clip(picture + random.integers(-6, 7, picture.shape), 0, 255).astype(np.uint8)


def cells(random: np.random.Generator, height: int, width: int, count: int) -> np.ndarray:
    """(H, W) int64, every pixel's nearest of ``count`` random places."""
    places = random.permutation(height * width)[:count]
    rows, columns = np.mgrid[:height, :width, :1][:2]
    squared = (rows - places // width) ** 2 + (columns - places % width) ** 2
    return squared.argmin(-1)


def sets(labels: np.ndarray) -> set[frozenset[int]]:
    flat = labels.ravel()
    return {frozenset(np.flatnonzero(flat == number).tolist()) for number in np.unique(flat)}


# ---------------------------------------------------------------- segmentation


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 10**6),
    st.integers(1, 24),
    st.integers(1, 24),
    st.sampled_from([1, 3]),
    st.sampled_from([0.0, 1.0, 30.0, 150.0, 900.0]),
    st.sampled_from([0, 1, 4, 15]),
)
def test_a_level_at_once_gives_what_edge_after_edge_gives(
    seed: int, height: int, width: int, channels: int, k: float, smallest: int
) -> None:
    picture = patchwork(seed, height, width, channels)
    edges = slow.weighed(picture.astype(float).tolist(), FINE)
    expected = slow.segmented(edges, height * width, lambda level: (level / FINE) ** 2, k, smallest)
    labels = segment(picture, k, smallest, sigma=0)
    assert labels.shape == (height, width)
    assert sorted(set(labels.ravel().tolist())) == list(range(len(expected)))
    assert sets(labels) == expected


def test_the_order_within_a_level_does_not_matter_to_the_loop_either() -> None:
    # What the module's docstring claims, of the paper's algorithm itself.
    picture = patchwork(5, 20, 22, noise=2)
    edges = slow.weighed(picture.astype(float).tolist(), FINE)
    random = np.random.default_rng(1)
    found = set()
    for _ in range(5):
        mixed = [edges[i] for i in random.permutation(len(edges))]
        mixed.sort(key=lambda edge: edge[0])
        result = slow.segmented(mixed, 440, lambda level: (level / FINE) ** 2, 60.0, 0)
        found.add(frozenset(result))
    assert len(found) == 1 and 20 < len(next(iter(found))) < 400


def test_levels_are_fine_enough_to_tell_slight_differences() -> None:
    weights = np.array([1.0, 1.2, 10, 10.9, 100, 102.6])
    picture = np.cumsum([0, *weights])[None, :, None]
    edges = graph_segmentation.edges_of(picture.astype(np.float64))
    levels = np.repeat(np.arange(len(edges.starts) - 1), np.diff(edges.starts))
    found = (levels / FINE) ** 2
    assert len(set(levels.tolist())) == len(weights)
    assert np.abs(found - np.sort(weights)).max() < 0.7


def test_scale_size_and_blur_do_what_they_say() -> None:
    picture = scene()
    labels = segment(picture, 1000, 300)
    assert (labels.min(), labels.max()) == (0, 1), "the box and its ground"
    inside = labels == labels[40, 50]
    assert (
        slow_boxes.iou(slow.box(set(zip(*np.nonzero(inside), strict=True))), (30, 20, 70, 60)) > 0.9
    )
    assert segment(picture, 0.5, 0, sigma=0).max() > segment(picture, 30, 0, sigma=0).max() > 1
    for smallest in (5, 40):
        sizes = np.bincount(segment(picture, 5, smallest, sigma=0).ravel())
        assert sizes.min() >= smallest
    assert segment(picture, 10, 0, sigma=2).max() < segment(picture, 10, 0, sigma=0).max()


def test_regions_are_connected() -> None:
    labels = segment(patchwork(2, 60, 70), 100, 20)
    assert labels.max() > 10
    for number in range(labels.max() + 1):
        assert ndimage.label(labels == number, np.ones((3, 3)))[1] == 1


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 9, 3), (7, 1, 1), (2, 2, 3)])
def test_tiny_pictures(shape: tuple[int, int, int]) -> None:
    assert segment(np.full(shape, 7, np.uint8), 10, 1).tolist() == np.zeros(shape[:2]).tolist()
    apart = np.arange(np.prod(shape)).reshape(shape) * 100.0
    assert len(sets(segment(apart, 0, 0, sigma=0))) == shape[0] * shape[1]


def test_segment_refuses() -> None:
    for bad in (np.zeros((4, 4)), np.zeros((0, 4, 3))):
        with pytest.raises(UsageError, match=r"Give \(H, W, C\)"):
            segment(bad, 10, 1)
    with pytest.raises(UsageError, match="0 or more"):
        segment(np.zeros((4, 4, 3)), -1, 1)
    with pytest.raises(UsageError, match="0 or more"):
        segment(np.zeros((4, 4, 3)), 1, 1, sigma=float("nan"))


# ---------------------------------------------------------------- hierarchies


@pytest.mark.parametrize("measure", ["CTSF", "TSF", "C", "T", "F", "S"])
def test_joining_against_histograms_counted_anew(measure: str) -> None:
    random = np.random.default_rng(len(measure) + ord(measure[0]))
    # Sizes all differ: else shares like 2/9 + 1/9 and 3/9 tie but for the rounding.
    labels = cells(random, 26, 30, 16)
    bins = {
        "C": [random.integers(0, 4, labels.shape) for _ in range(3)],
        "T": [random.integers(0, 6, labels.shape) for _ in range(5)],
    }
    expected = slow.joined(
        labels.tolist(),
        {name: [p.tolist() for p in planes] for name, planes in bins.items()},
        measure,
    )
    described = regions._described(
        labels, [(plane, 4) for plane in bins["C"]], [(plane, 6) for plane in bins["T"]]
    )
    found = regions.hierarchy(described, int(labels.max()) + 1, measure)
    assert found.tolist() == expected
    assert len(found) == 31 and found[-1].tolist() == [0, 0, 30, 26]


def test_likeness_by_hand() -> None:
    # Two regions of 6 and 2 pixels in a picture of 40; the box around both has 12.
    described = regions.Regions(
        np.array([6.0, 2.0]),
        np.array([[0.0, 0, 3, 2], [2.0, 2, 4, 3]]),
        np.array([[0.5, 0.25, 0.25], [0.0, 0.5, 0.5]], np.float32),
        np.array([[1.0, 0.0], [0.25, 0.75]], np.float32),
        [{1}, {0}],
        40,
    )
    expected = {"C": 0.5, "T": 0.25, "S": 1 - 8 / 40, "F": 1 - (12 - 8) / 40}
    for letters in ("C", "T", "S", "F", "TSF", "CTSF"):
        value = regions.likeness(described, np.array([0]), np.array([1]), letters)
        assert value == pytest.approx([sum(expected[letter] for letter in letters)])


def test_colour_spaces_fill_0_to_255() -> None:
    random = np.random.default_rng(4)
    picture = random.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    pillow = Image.fromarray(picture)
    hsv = np.asarray(pillow.convert("HSV")).astype(float)
    found = regions._colours(picture, "hsv")
    turned = np.abs(found[..., 0] - hsv[..., 0])
    assert np.minimum(turned, 255 - turned).max() < 3  # Pillow rounds, its hue downwards
    assert np.abs(found[..., 1:] - hsv[..., 1:]).max() < 1.01
    assert np.array_equal(regions._colours(picture, "hue")[..., 0], found[..., 0])
    gray = np.asarray(pillow.convert("L"))
    assert np.array_equal(regions._colours(picture, "intensity")[..., 0], gray)
    red, green, total = picture[..., 0] / 1.0, picture[..., 1] / 1.0, picture.sum(2)
    rgi = np.stack([255 * red / total, 255 * green / total, total / 3], 2)
    assert np.abs(regions._colours(picture, "rgi") - rgi).max() < 1e-3
    colours = np.array([[[255, 255, 255], [0, 0, 0], [255, 0, 0]]], np.uint8)
    lab = [[255, 128, 128], [0, 128, 128], [53.24 * 2.55, 128 + 80.09, 128 + 67.20]]
    assert np.abs(regions._colours(colours, "lab")[0] - lab).max() < 0.1


def test_textures_tell_directions() -> None:
    ramp = np.tile(np.arange(40.0, dtype=np.float32) * 3, (40, 1))[..., None]  # brighter rightwards
    bins = [plane[20, 20] for plane, _ in regions._textures(ramp)]
    steep = regions.TEXTURE_BINS * np.sqrt(np.maximum(np.cos(np.arange(8) * np.pi / 4), 0))
    assert bins == np.minimum(steep + 1e-4, 9).astype(int).tolist() == [9, 8, 0, 0, 0, 0, 0, 8]


# ---------------------------------------------------------------- selective search


def test_boxes_are_inside_different_and_the_same_again() -> None:
    picture = scene()
    found = selective_search(picture)
    assert found.dtype == np.float32 and found.shape[1] == 4 and len(found) > 20
    assert (found[:, :2] >= 0).all() and (found[:, 2:] <= [120, 90]).all()
    assert (found[:, :2] < found[:, 2:]).all()
    assert len(np.unique(found, axis=0)) == len(found)
    assert np.array_equal(found, selective_search(picture))
    other = selective_search(picture, seed=1)
    assert not np.array_equal(found, other)
    assert np.array_equal(np.unique(found, axis=0), np.unique(other, axis=0))


def test_the_object_is_found_and_the_whole_picture_is_among_the_first() -> None:
    found = selective_search(scene())
    overlaps = [slow_boxes.iou(box, (30, 20, 70, 60)) for box in found.tolist()]
    assert max(overlaps) > 0.95
    assert [0, 0, 120, 90] in found[:10].tolist()


def test_quality_has_what_fast_has_and_more() -> None:
    picture = patchwork(7, 60, 80).clip(0, 255).astype(np.uint8)
    fast = {tuple(box) for box in selective_search(picture).tolist()}
    quality = {tuple(box) for box in selective_search(picture, "quality").tolist()}
    assert fast < quality


def test_ranks_order_the_boxes() -> None:
    # Random numbers that are all one: the order is that of the ranks.
    class Ones:
        def random(self, count: int) -> np.ndarray:
            return np.ones(count)

    one = np.array([[0, 0, 1, 1], [1, 0, 2, 1], [0, 0, 2, 1.0]])
    two = np.array([[0, 0, 1, 2], [0, 0, 2, 1.0]])
    found = regions._ordered([one, two], Ones())  # type: ignore[arg-type]
    assert found.tolist() == [[0, 0, 2, 1], [1, 0, 2, 1], [0, 0, 1, 2], [0, 0, 1, 1]]


def test_large_pictures_are_searched_smaller() -> None:
    picture = scene().repeat(2, 0).repeat(2, 1)  # 240 × 180
    found = selective_search(picture, longer=150)
    assert [0, 0, 240, 180] in found.tolist()
    assert max(slow_boxes.iou(box, (60, 40, 140, 120)) for box in found.tolist()) > 0.9
    small = np.asarray(Image.fromarray(picture).resize((150, 112), Image.Resampling.BILINEAR))
    factor = np.array([240 / 150, 180 / 112] * 2)
    assert np.allclose(found, selective_search(small) * factor, atol=1e-3)
    assert not np.array_equal(found, selective_search(picture, longer=None))


def test_one_even_picture_is_one_region() -> None:
    assert selective_search(np.full((30, 40, 3), 90, np.uint8)).tolist() == [[0, 0, 40, 30]]
    assert selective_search(np.zeros((1, 1, 3), np.uint8)).tolist() == [[0, 0, 1, 1]]


def test_selective_search_refuses() -> None:
    with pytest.raises(UsageError, match="Did you mean fast"):
        selective_search(scene(), "fats")
    for bad in (scene() / 255.0, scene()[..., :2], scene()[:0]):
        with pytest.raises(UsageError, match=r"\(H, W, 3\) uint8"):
            selective_search(bad)


def test_raccoons_are_found(shared_data: Path) -> None:
    dataset = read(shared_data / "raccoon")
    samples = sorted((s for split in dataset.splits.values() for s in split), key=lambda s: s.id)
    best = []
    for sample in samples[:90:30]:
        found = selective_search(sample.image)[:2000].tolist()
        assert sample.boxes is not None
        best += [max(slow_boxes.iou(box, one) for one in found) for box in sample.boxes.tolist()]
    assert min(best) > 0.5 and np.mean(best) > 0.75
