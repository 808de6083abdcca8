"""Maps in tiles: the same as of the whole picture where no tile ends nearby, in little memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from boda import map_tiling, models, outputs
from boda.data.prepare import Preparation
from boda.errors import UsageError
from boda.predicting import Predictor

CLASSES = 5
FIELD = 16  # pixels around one that `small` sees, counted below
TIE = 1e-5  # probabilities that differ by less may be sorted otherwise in another batch


def small() -> nn.Module:
    """Four 3×3 convolutions and two poolings: 1 + 1 + 2 + 2 + 4 + 3 + 1 pixels to either side."""
    torch.manual_seed(0)
    net = nn.Sequential(
        *(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)),
        *(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)),
        *(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.Upsample(scale_factor=4)),
        nn.Conv2d(8, CLASSES, 3, padding=1),
    )
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.4)
    return net.eval()


def runner(net: nn.Module):
    """The network as a predictor calls it."""

    def network(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            pixels = torch.from_numpy(np.ascontiguousarray(images)).float() / 128 - 1
            logits = net(pixels)[..., : images.shape[2], : images.shape[3]]
            return logits.softmax(1).numpy()

    return network


def landscape(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Blobs of many sizes: smooth enough that a picture of half the size shows them too."""
    noise = np.random.default_rng(seed)
    out = np.zeros((3, height, width))
    for cell in (8, 32, 128):
        grid = noise.normal(size=(3, height // cell + 3, width // cell + 3))
        y, x = np.arange(height) / cell, np.arange(width) / cell
        rows, columns = y.astype(int), x.astype(int)
        fy, fx = (y - rows)[:, None], (x - columns)[None]
        corners = [grid[:, rows + dy][:, :, columns + dx] for dy in (0, 1) for dx in (0, 1)]
        out += corners[0] * (1 - fy) * (1 - fx) + corners[1] * (1 - fy) * fx
        out += corners[2] * fy * (1 - fx) + corners[3] * fy * fx
    return (128 + 40 * out).clip(0, 255).astype(np.uint8).transpose(1, 2, 0).copy()


def whole(network, picture: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Classes of the picture seen at once at a size, and by how much the best one leads there."""
    preparation = Preparation(*size, rule="stretch")
    planes = network(preparation(picture).transpose(2, 0, 1)[None])[0]
    ordered = np.sort(planes, 0)
    return outputs.class_map(planes, preparation, picture.shape[:2]), ordered[-1] - ordered[-2]


def in_tiles(network, picture: np.ndarray, tile: int, size: tuple[int, int]) -> np.ndarray:
    preparation = Preparation(*size, rule="stretch")
    return map_tiling.tiled_map(picture, tile, preparation, network)


def test_tiles_are_the_whole_picture_away_from_its_right_and_lower_edge() -> None:
    """2,000 × 1,500: a tile has no weight where its rim is within the receptive field."""
    picture, network = landscape(1500, 2000), runner(small())
    one, lead = whole(network, picture, (1500, 2000))
    many = in_tiles(network, picture, 256, (192, 256))
    sure = lead > TIE
    assert sure.mean() > 0.999
    inside = np.s_[: 1500 - FIELD, : 2000 - FIELD]
    assert np.array_equal(one[inside][sure[inside]], many[inside][sure[inside]])
    assert len(np.unique(one)) == CLASSES
    # Tiles laid side by side do differ, or this would prove nothing.
    beside = np.zeros_like(one)
    for y in range(0, 1500, 192):
        for x in range(0, 2000, 256):
            cut = picture[y : y + 192, x : x + 256]
            beside[y : y + 192, x : x + 256] = whole(network, cut, cut.shape[:2])[0]
    assert (one != beside)[inside].sum() > 10_000


def test_where_the_field_is_larger_only_the_seams_differ() -> None:
    """Half the working size: the overlap of 32 pixels is less than what the network sees."""
    picture, network = landscape(500, 700), runner(small())
    one, lead = whole(network, picture, (500, 700))
    many = in_tiles(network, picture, 128, (128, 128))
    far = np.ones(700, bool)
    for start in range(0, 700, 96):  # from the tile's rim to where the one before has no weight
        far[start + 8 : start + 8 + FIELD] = False
        far[max(start + 32 - 8 - FIELD, 0) : start + 32 - 8] = False
    clear = far[:500, None] & far[None] & (lead > TIE)
    clear[500 - FIELD :], clear[:, 700 - FIELD :] = False, False
    assert clear.mean() > 0.4
    assert np.array_equal(one[clear], many[clear])


def test_unet_in_tiles_is_unet_on_the_whole_picture() -> None:
    """2,000 × 1,500 in tiles of 512, which overlap by 128: equal where no rim is in U-Net's sight.

    Two convolutions and a pooling a level down, a layer that enlarges and two convolutions a level
    up: 62 + 15 + 30 + 30 pixels to either side.
    """
    torch.manual_seed(0)
    net = models.create("unet", classes=CLASSES, width=4, up="transposed", light=False).eval()
    nn.init.normal_(net.head.weight)
    picture, network, sight = landscape(1500, 2000), runner(net), 137
    one, lead = whole(network, picture, (1500, 2000))
    many = in_tiles(network, picture, 512, (512, 512))
    far = np.ones(2000, bool)
    for start in range(384, 2000, 384):
        far[start : start + sight] = far[start + 128 - sight : start + 128] = False
    clear = far[:1500, None] & far[None] & (lead > TIE)
    clear[1500 - sight :], clear[:, 2000 - sight :] = False, False
    assert clear.mean() > 0.3 and len(np.unique(one[clear])) > 1
    assert np.array_equal(one[clear], many[clear])
    assert 0.9 < (one == many).mean() < 1


@pytest.mark.parametrize(("tile", "scale"), [(512, 0.5), (384, 2 / 3), (100, 2.56)])
def test_tiles_of_another_size_are_the_whole_picture_at_their_scale(
    tile: int, scale: float
) -> None:
    picture, network = landscape(420, 600), runner(small())
    size = round(420 * scale), round(600 * scale)
    one, _ = whole(network, picture, size)
    many = in_tiles(network, picture, tile, (192, 256))
    rows, columns = (np.arange(n) * scale for n in (420, 600))
    near = np.ix_(rows < size[0] - FIELD - 3, columns < size[1] - FIELD - 3)
    # Sizes are rounded to whole working pixels for the whole picture, and for tiles not.
    assert (one[near] != many[near]).mean() < 0.01


def test_scales_without_rounding_agree_exactly() -> None:
    """Each pixel's classes are read from finished rows only, whatever band they come from."""
    picture, network = landscape(512, 640), runner(small())
    for tile, size in ((512, (256, 320)), (128, (1024, 1280))):
        one, _ = whole(network, picture, size)
        many = in_tiles(network, picture, tile, (192, 256))
        inside = np.s_[: 512 - 2 * FIELD - 4, : 640 - 2 * FIELD - 4]
        assert (one[inside] != many[inside]).mean() < 1e-4


@settings(deadline=None)
@given(st.integers(1, 3000), st.integers(2, 700))
def test_tiles_cover_everything_and_meet_the_grid(length: int, tile: int) -> None:
    starts = map_tiling.starts(length, tile)
    assert starts[0] == 0 and starts[-1] + tile >= length
    assert len(starts) == 1 or starts[-2] + tile < length  # none too many
    steps = np.diff(starts)
    assert len(set(steps.tolist())) <= 1
    assert (tile - steps >= tile / 4).all()
    if tile >= 43:
        assert (starts % 32 == 0).all()
    weights = map_tiling.weights(starts, tile)
    total = np.zeros(starts[-1] + tile)
    for start, row in zip(starts, weights, strict=True):
        total[start : start + tile] += row
    np.testing.assert_allclose(total, 1, rtol=1e-6)
    assert (weights >= 0).all()


def test_weights_are_nothing_at_the_rim_and_rise_linearly() -> None:
    weights = map_tiling.weights(np.array([0, 192, 384]), 256)
    assert (weights[0, :192] == 1).all() and (weights[2, 64:] == 1).all()
    assert not weights[1, :16].any() and not weights[1, -16:].any()
    np.testing.assert_allclose(np.diff(weights[1, 16:48]), 1 / 32, rtol=1e-5)
    np.testing.assert_allclose(weights[1], weights[1, ::-1])


def test_no_seam_is_seen_between_tiles_that_disagree() -> None:
    """Each tile's own brightness says how sure it is: the answer changes slowly from one to the next."""

    def moody(images: np.ndarray) -> np.ndarray:
        share = images.mean((1, 2, 3)) / 255
        planes = np.ones((len(images), 2, *images.shape[2:]), np.float32)
        planes[:, 0] *= share[:, None, None]
        planes[:, 1] = np.linspace(0, 1, images.shape[2])[:, None]
        return planes

    picture = np.repeat(np.linspace(0, 255, 480).astype(np.uint8)[None], 64, 0)
    found = in_tiles(moody, np.stack([picture] * 3, 2), 64, (64, 64))
    border = (found == 0).sum(0)  # height at which class 1 wins
    assert border.max() - border.min() > 40
    assert np.abs(np.diff(border)).max() <= 2  # a step of a tile would be one of 4 to 5


def test_only_a_row_of_tiles_is_held() -> None:
    """12 million pixels of 8 classes as floats are 384 MB; the tiles' rows are 26 MB."""

    def network(images: np.ndarray) -> np.ndarray:
        planes = np.empty((len(images), 8, *images.shape[2:]), np.float32)
        for k in range(8):
            planes[:, k] = images[:, k % 3] == 32 * k
        return planes

    picture = np.zeros((3000, 4000, 3), np.uint8)
    picture[1000:2000] = 32
    preparation = Preparation(192, 256, rule="stretch")
    tracemalloc.start()
    try:
        found = map_tiling.tiled_map(picture, 256, preparation, network)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found[:1000].max() == 0 and found[1000:2000].min() == 1 and found[2000:].max() == 0
    assert peak < 140e6


def predictor(tile: int | None, tta: bool = False) -> Predictor:
    names = [f"class {i}" for i in range(CLASSES)]
    made = Predictor(runner(small()), "segment", names, Preparation(96, 128, rule="stretch"))
    made.adjust(tile=tile, tta=tta)
    return made


def test_a_predictor_looks_in_tiles_where_the_picture_is_larger() -> None:
    picture = landscape(200, 300)
    told = predictor(128).predict(picture)
    assert told.semantic is not None and told.areas is not None and told.labels is not None
    same = in_tiles(runner(small()), picture, 128, (96, 128))
    assert np.array_equal(told.semantic, same)
    assert told.areas.tolist() == sorted((np.unique(same, return_counts=True)[1]).tolist())[::-1]
    for size in ((96, 128), (50, 128), (96, 40)):  # no larger: as without tiles
        cut = picture[: size[0], : size[1]]
        one, other = predictor(128).predict(cut), predictor(None).predict(cut)
        assert np.array_equal(one.semantic, other.semantic)


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (97, 128), (33, 129)])
def test_any_size_has_an_answer(size: tuple[int, int]) -> None:
    told = predictor(64).predict(landscape(*size))
    assert told.semantic is not None and told.semantic.shape == size and told.areas is not None
    assert told.areas.sum() == size[0] * size[1]


def test_the_order_of_pictures_stays() -> None:
    pictures = [landscape(60, 50, 1), landscape(200, 300, 2), landscape(64, 64, 3)]
    found = list(predictor(128).predict_all(pictures, batch=2))
    assert [p.size for p in found] == [(60, 50), (200, 300), (64, 64)]


def test_mirrors_and_tiles_together_know_no_left_and_right() -> None:
    """Both looked at, a mirrored picture has the mirrored answer; in tiles, where tiles mirror too."""
    picture = landscape(96, 128)
    one = predictor(None, tta=True).predict(picture).semantic
    other = predictor(None, tta=True).predict(picture[:, ::-1].copy()).semantic
    alone = predictor(None).predict(picture).semantic
    assert one is not None and other is not None and alone is not None
    assert np.array_equal(one, other[:, ::-1])
    assert (one != alone).any()
    wide = landscape(96, 128 + 96)  # two tiles
    one, other = (
        predictor(128, tta=True).predict(p.copy()).semantic for p in (wide, wide[:, ::-1])
    )
    assert one is not None and other is not None
    assert np.array_equal(one, other[:, ::-1])


def test_confidence_and_tiny_tiles_are_refused() -> None:
    with pytest.raises(UsageError, match="--conf is for detect"):
        predictor(None).adjust(conf=0.5)
    with pytest.raises(UsageError, match="at least 32 pixels"):
        predictor(16)
