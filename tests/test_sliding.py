"""Sliding windows: drawn squares of two sizes are found where they were drawn, in one pass and in batches."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from boda import models, sliding
from boda.data.prepare import Preparation
from boda.errors import DataError, UsageError
from boda.sliding import Sliding, Windows
from boda.tasks.classify import Classifier
from boda.trained import Trained
from boda.types import Prediction

SIDE = 16  # of the window


def squares(channels: int = 3, classes: tuple[str, ...] = ("background", "square")) -> Trained:
    """A classifier made by hand: a bright 8×8 in the middle of a dark 16×16 is a square.

    Class 0 has the logit 0; class 1 has 4·(Σ inner − Σ outer / 3) − 50 over the means of 2×2, which
    is 14 for the square, −50 for all bright and for all dark.
    """
    net = nn.Sequential(
        nn.Conv2d(channels, 1, 2, stride=2), nn.Flatten(), nn.Linear(64, len(classes))
    )
    template = torch.full((8, 8), -1 / 3)
    template[2:6, 2:6] = 1
    with torch.no_grad():
        nn.init.constant_(net[0].weight, 1 / (4 * channels))
        nn.init.zeros_(net[0].bias)
        nn.init.zeros_(net[2].weight)
        nn.init.zeros_(net[2].bias)
        net[2].bias[2:] = -90.0
        net[2].weight[1], net[2].bias[1] = 4 * template.flatten(), -50.0
    preparation = Preparation(SIDE, SIDE, channels, mean=(0.0,) * channels, std=(1.0,) * channels)
    method = Classifier(net, preparation, Classifier.Config()).eval()
    return Trained("classify", "by hand", list(classes), preparation, method)


def drawn(height: int, width: int, *corners: tuple[int, int, int]) -> np.ndarray:
    """A dark picture with bright squares (x, y, side)."""
    picture = np.zeros((height, width, 3), np.uint8)
    for x, y, side in corners:
        picture[y : y + side, x : x + side] = 255
    return picture


def overlap(a: np.ndarray, b: tuple[float, ...]) -> float:
    """IoU of two boxes, by hand."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    both = max(0.0, width) * max(0.0, height)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def assert_both_found(found: Prediction) -> None:
    """The 8×8 at (20, 30) and the 16×16 at (72, 48), each in the middle of a box twice its size."""
    assert found.boxes is not None and found.labels is not None and found.scores is not None
    assert found.names == ["square", "square"] and found.labels.tolist() == [1, 1]
    assert found.boxes.dtype == np.float32 and found.size == (100, 120)
    assert found.scores[0] >= found.scores[1] > 0.99
    small, large = sorted(found.boxes, key=lambda box: box[2] - box[0])
    assert overlap(small, (16, 26, 32, 42)) > 0.75
    assert overlap(large, (64, 40, 96, 72)) > 0.75


TWO = drawn(100, 120, (20, 30, 8), (72, 48, 16))


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("mode", sliding.MODES)
def test_two_squares_are_found_at_two_scales(mode: sliding.Mode, channels: int) -> None:
    finder = Sliding(squares(channels), Windows(mode, stride=2))
    assert (finder.convolutional is None) == (mode == "windows")
    assert_both_found(finder.predict(TWO))


def test_at_one_scale_only_one_of_them_is_found() -> None:
    for scale, size in ((1.0, 16), (0.5, 32)):
        found = Sliding(squares(), Windows(scales=(scale,))).predict(TWO)
        assert found.boxes is not None and len(found.boxes) == 1
        assert found.boxes[0].tolist() == [*found.boxes[0][:2], *(found.boxes[0][:2] + size)]


def test_one_pass_and_batches_agree_also_at_the_edges_of_tiles(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (61, 75, 3), dtype=np.uint8)
    anything = {"stride": 2, "confidence": 0.0, "overlap": 1.0, "scales": (1.0, 0.6)}
    trained = Trained.of_model("windows-course")
    whole = _in_order(Sliding(trained, Windows("convolutional", **anything)).predict(picture))
    assert len(whole) == 4 * (25 * 32 + 13 * 17) and np.ptp(whole[:, 5]) > 0.05
    monkeypatch.setattr(sliding, "TILE", 5)
    for mode in ("convolutional", "windows"):
        again = next(Sliding(trained, Windows(mode, **anything)).predict_all([picture], 7))
        np.testing.assert_allclose(whole, _in_order(again), atol=1e-5)


def _in_order(found: Prediction) -> np.ndarray:
    """(N, 6) box, label, score; by box and label."""
    rows = np.column_stack([found.boxes, found.labels, found.scores])
    return rows[np.lexsort(rows[:, :5].T)]


@pytest.mark.parametrize("mode", ["convolutional", "windows"])
def test_the_windows_cover_the_picture_to_its_edges(mode: sliding.Mode) -> None:
    settings = Windows(mode, (1.0,), stride=6, confidence=0.0, overlap=1.0)
    found = Sliding(squares(), settings).predict(np.zeros((33, 47, 3), np.uint8))
    lefts, tops = range(0, 42, 6), range(0, 20, 6)  # until one reaches 47, and 33
    assert max(lefts) + SIDE >= 47 and max(tops) + SIDE >= 33
    expected = {(x, y, min(x + SIDE, 47), min(y + SIDE, 33)) for x in lefts for y in tops}
    assert {tuple(box) for box in found.boxes.tolist()} == expected
    assert len(found.boxes) == len(expected)


def test_nothing_in_the_picture_is_no_box() -> None:
    found = Sliding(squares()).predict(drawn(50, 60))
    assert found.boxes.shape == (0, 4) and found.scores.shape == found.labels.shape == (0,)
    assert found.names == [] and found.to_dict()["boxes"] == []
    assert found.draw().shape == (50, 60, 3)


def test_a_picture_smaller_than_the_window_is_enlarged() -> None:
    found = Sliding(squares()).predict(drawn(8, 12, (2, 2, 4)))
    assert found.boxes.tolist() == [[0, 0, 8, 8]] and found.size == (8, 12)
    only = Sliding(squares(), Windows(scales=(0.1,))).predict(drawn(8, 12, (2, 2, 4)))
    assert only.boxes.tolist() == [[0, 0, 8, 8]]


def test_a_picture_of_one_pixel() -> None:
    found = Sliding(squares()).predict(np.zeros((1, 1), np.uint8))
    assert found.boxes.shape == (0, 4)


@pytest.mark.parametrize("name", ["None", "NEGATIVE", "배경", unicodedata.normalize("NFD", "배경")])
def test_the_background_is_known_by_its_name(name: str) -> None:
    finder = Sliding(squares(classes=(name, "square")), Windows(confidence=0.0))
    assert set(finder.predict(TWO).names) == {"square"}


def test_the_background_may_be_named() -> None:
    trained = squares(classes=("street", "square", "other"))
    every = Sliding(trained, Windows(confidence=0.4)).predict(TWO)
    assert "street" in every.names
    named = Sliding(trained, Windows(background="street"))
    assert_both_found(named.predict(TWO))
    with pytest.raises(UsageError, match="Did you mean street"):
        Sliding(trained, Windows(background="streat"))


def test_of_two_classes_both_may_stay_in_one_place() -> None:
    trained = squares(classes=("background", "square", "box"))
    last = trained.method.net[2]
    with torch.no_grad():
        last.weight[2], last.bias[2] = last.weight[1], last.bias[1]
    found = Sliding(trained, Windows(scales=(1.0,), confidence=0.4)).predict(TWO)
    assert sorted(found.names) == ["box", "square"]
    assert np.ptp(found.boxes, axis=0).max() == 0


def test_files_are_read_and_what_cannot_be_is_named(tmp_path: Path) -> None:
    Image.fromarray(TWO).save(tmp_path / "두 개.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    finder = Sliding(squares())
    found = list(finder.predict_all([tmp_path / "broken.png", tmp_path / "두 개.png"]))
    assert len(found) == 1 and found[0].source.endswith("두 개.png")
    assert_both_found(found[0])
    assert [problem.file for problem in finder.problems] == [str(tmp_path / "broken.png")]
    with pytest.raises(DataError):
        finder.predict(tmp_path / "broken.png")


def test_a_network_that_pads_slides_window_by_window_unless_told() -> None:
    trained = Trained.of_model("resnet20")
    automatic = Sliding(trained)
    assert automatic.convolutional is None and automatic.stride == (8, 8)
    one_pass = Sliding(trained, Windows("convolutional"))
    assert one_pass.stride == (4, 4)
    assert one_pass.predict(np.zeros((40, 40, 3), np.uint8)).boxes.shape[1] == 4


def test_a_network_without_a_form_slides_window_by_window() -> None:
    trained = Trained.of_model("lenet5-1998")
    assert Sliding(trained).convolutional is None
    with pytest.raises(UsageError, match="cannot be made convolutional"):
        Sliding(trained, Windows("convolutional"))


def test_what_lenet_says_of_a_window_is_what_it_says_of_the_cut_out_picture() -> None:
    trained = Trained.of_model("lenet5")
    rng = np.random.default_rng(1)
    picture = rng.integers(0, 256, (44, 40, 3), dtype=np.uint8)
    finder = Sliding(trained, Windows(scales=(1.0,), confidence=0.0, overlap=1.0))
    found = finder.predict(picture)
    assert finder.convolutional is not None and len(found.boxes) == 10 * 4 * 3
    for box, label, score in zip(found.boxes, found.labels, found.scores, strict=True):
        x1, y1, x2, y2 = box.astype(int)
        alone = trained.run(picture[y1:y2, x1:x2].transpose(2, 0, 1)[None])[0]
        assert score == pytest.approx(alone[label], abs=1e-5)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"mode": "convolutionl"}, "Did you mean convolutional"),
        ({"scales": (1.0, 0.0)}, "factors above 0"),
        ({"scales": (float("nan"),)}, "factors above 0"),
        ({"stride": 0}, "Give 1 or more"),
        ({"stride": 17}, "leave gaps. Give a stride of at most 16"),
        ({"stride": 3, "mode": "convolutional"}, "2 pixels apart, or a multiple of that"),
        ({"confidence": 1.1}, "confidence is 1.1"),
        ({"overlap": -0.1}, "overlap is -0.1"),
    ],
)
def test_what_cannot_be_is_refused(settings: dict, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        Sliding(squares(), Windows(**settings))


def test_the_confidence_may_be_adjusted() -> None:
    finder = Sliding(squares())
    finder.adjust(conf=1.0)
    assert len(finder.predict(TWO).boxes) == 0
    finder.adjust(conf=0.5)
    assert_both_found(finder.predict(TWO))
    with pytest.raises(UsageError, match="confidence is 2"):
        finder.adjust(conf=2)
    with pytest.raises(UsageError, match="--tile and --tta"):
        finder.adjust(tile=64)


def test_only_classifiers_slide() -> None:
    trained = squares()
    trained.task = "detect"
    with pytest.raises(UsageError, match="needs no sliding window"):
        Sliding(trained)


def test_models_register_the_network_for_classify() -> None:
    entry = models.entry("windows-course")
    assert (entry.task, entry.size, entry.classes) == ("classify", (14, 14), 4)
