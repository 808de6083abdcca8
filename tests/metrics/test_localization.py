"""One object a picture: against pixels that are counted, and numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boda.metrics import NothingToMeasure
from boda.metrics.localization import Localization, One, box_iou

NOTHING = One()


def one(label: int, *box: float) -> One:
    return One(label, np.array(box, np.float32))


@st.composite
def boxes(draw: st.DrawFn) -> np.ndarray:
    x1, x2 = sorted(draw(st.lists(st.integers(0, 12), min_size=2, max_size=2, unique=True)))
    y1, y2 = sorted(draw(st.lists(st.integers(0, 12), min_size=2, max_size=2, unique=True)))
    return np.array([x1, y1, x2, y2], np.float32)


def filled(box: np.ndarray) -> np.ndarray:
    x1, y1, x2, y2 = box.astype(int)
    mask = np.zeros((12, 12), bool)
    mask[y1:y2, x1:x2] = True
    return mask


@settings(max_examples=100, deadline=None)
@given(boxes(), boxes())
def test_the_overlap_is_that_of_counted_pixels(a: np.ndarray, b: np.ndarray) -> None:
    both, either = (filled(a) & filled(b)).sum(), (filled(a) | filled(b)).sum()
    assert box_iou(a, b) == pytest.approx(both / either, abs=1e-12)


def collected() -> Localization:
    metric = Localization(["cat", "dog", "owl"])
    assert metric.update(one(0, 0, 0, 4, 4), one(0, 0, 0, 4, 4)) == 1
    assert metric.update(one(1, 0, 0, 4, 4), one(0, 0, 0, 4, 8)) == 0.5  # the wrong class
    assert metric.update(one(1, 0, 0, 4, 1), one(1, 0, 0, 4, 4)) == 0.25
    assert metric.update(NOTHING, one(1, 0, 0, 4, 4)) == 0  # missed
    assert metric.update(one(1, 0, 0, 4, 4), NOTHING) == 0  # invented
    assert metric.update(NOTHING, NOTHING) == 0
    return metric


def test_the_figures_by_hand() -> None:
    figures = collected().compute()
    assert figures == pytest.approx(
        {
            "mean_iou": (1 + 0.5 + 0.25 + 0) / 4,  # what is missed counts, what is empty does not
            "iou50": 2 / 4,
            "localized": 1 / 4,  # the overlap and the class
            "class_accuracy": 2 / 3,  # of the three that are found
            "presence_accuracy": 4 / 6,
        }
    )
    assert collected().presence() == {"found": 3, "missed": 1, "invented": 1, "rightly_empty": 1}


def test_per_class_by_hand() -> None:
    table = collected().per_class()
    assert table["cat"] == {"mean_iou": 0.75, "iou50": 1.0, "class_accuracy": 0.5, "support": 2}
    assert table["dog"] == {"mean_iou": 0.125, "iou50": 0.0, "class_accuracy": 1.0, "support": 2}
    assert table["owl"]["support"] == 0


def test_pictures_without_any_object_cannot_be_measured() -> None:
    metric = Localization(["cat"])
    metric.update(NOTHING, NOTHING)
    with pytest.raises(NothingToMeasure, match="no object in these 1 pictures"):
        metric.compute()
