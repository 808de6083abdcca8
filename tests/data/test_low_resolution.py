"""Small pictures made of large ones: cut, reduced by plain loops' arithmetic, and read when asked for."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from boda.data.low_resolution import paired, scale_of, small
from boda.data.readers import read
from boda.errors import DataError, UsageError
from boda.types import Dataset, Sample
from tests.data import superres_sets as sets
from tests.data.map_sets import save
from tests.slow_reference import resampling as slow


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_small_picture_is_a_plain_loop(scale: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (13, 10, 3)).astype(np.uint8)
    found = small(picture, scale)
    height, width = 13 // scale, 10 // scale
    assert found.shape == (height, width, 3) and found.dtype == np.uint8
    for channel in range(3):
        kept = picture[: height * scale, : width * scale, channel]
        wanted = slow.resize(kept, (height, width)).clip(0, 255)
        assert np.abs(found[..., channel] - wanted).max() <= 0.5 + 1e-3


def test_plain_pictures_become_pairs(tmp_path: Path) -> None:
    save(np.full((11, 13, 3), 200, np.uint8), tmp_path / "1.png")
    dataset = paired(read(tmp_path, task="upscale"), 3)
    (sample,) = dataset.splits["all"]
    sample = pickle.loads(pickle.dumps(sample))
    assert sample.size == sample.image.shape[:2] == (3, 4)
    assert sample.target_image.shape == (9, 12, 3) and scale_of(sample) == 3
    assert (sample.image == 200).all() and (sample.target_image == 200).all()
    assert sample.id == "1.png" and sample.source.endswith("1.png")


def test_pairs_stay_as_they_are(tmp_path: Path) -> None:
    """What others made small is never made anew."""
    dataset = read(sets.in_one_folder(tmp_path), task="upscale")
    again = paired(dataset, 2)
    for one, other in zip(dataset.splits["all"], again.splits["all"], strict=True):
        assert one is other and scale_of(other) == 2
    with pytest.raises(
        UsageError, match=r"enlarged 2 times in this data, not 4. Use --set scale=2"
    ):
        paired(dataset, 4)


def test_pictures_in_memory(tmp_path: Path) -> None:
    whole = np.random.default_rng(0).integers(0, 256, (9, 7, 3)).astype(np.uint8)
    dataset = Dataset(tmp_path, "", "upscale", [], {"train": [Sample("a", "a", _image=whole)]})
    (sample,) = paired(dataset, 2).splits["train"]
    np.testing.assert_array_equal(sample.target_image, whole[:8, :6])
    np.testing.assert_array_equal(sample.image, small(whole, 2))
    known = Sample("a", "a", _image=whole[:4, :3], target=whole[:8, :6])
    dataset.splits["train"] = [known]
    assert paired(dataset, 2).splits["train"] == [known] and scale_of(known) == 2
    np.testing.assert_array_equal(known.target_image, whole[:8, :6])


def test_what_cannot_be_reduced_is_named(tmp_path: Path) -> None:
    sets.pictures(tmp_path)
    save(np.zeros((3, 9, 3), np.uint8), tmp_path / "thin.png")
    dataset = read(tmp_path, task="upscale")
    with pytest.raises(DataError, match=r"thin\.png: 3×9 pixels cannot be reduced 4 times"):
        paired(dataset, 4)
    assert len(paired(dataset, 3)) == 3
    with pytest.raises(UsageError, match="Give 2 or more"):
        paired(dataset, 1)


def test_a_sample_without_a_target() -> None:
    sample = Sample("a", "here.png", _image=np.zeros((4, 4, 3), np.uint8))
    assert scale_of(sample) is None
    with pytest.raises(ValueError, match=r"here\.png: the sample has no picture to be produced"):
        _ = sample.target_image


def test_pillow_makes_nearly_the_same(shared_data: Path) -> None:
    """Away from the border and from where Pillow rounds and clips between its passes."""
    picture = np.asarray(Image.open(shared_data / "superres" / "T91" / "t1.png").convert("RGB"))
    picture = picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2]
    size = (picture.shape[1] // 2, picture.shape[0] // 2)
    theirs = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC)).astype(int)
    apart = np.abs(small(picture, 2) - theirs)[3:-3, 3:-3]
    assert (apart <= 1).mean() > 0.99
