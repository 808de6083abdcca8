"""The records: they validate themselves, and read pictures only when asked."""

from __future__ import annotations

import json

import numpy as np
import pytest

from boda.errors import DataError, Problem, UsageError, unknown
from boda.registry import Registry
from boda.run_lengths import decode
from boda.types import ArraySamples, Prediction, Sample


def test_a_sample_reads_its_picture_once() -> None:
    calls = []

    def read() -> np.ndarray:
        calls.append(1)
        return np.zeros((2, 3, 3), np.uint8)

    sample = Sample("a", "a.png", read, label=0)
    assert not calls
    assert sample.image.shape == (2, 3, 3) and sample.image is sample.image
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"label": -1}, "classes are 0-based"),
        ({"boxes": np.zeros((2, 3))}, "shape"),
        ({"boxes": np.array([[5.0, 0, 5, 4]])}, "x1 < x2"),
        ({"boxes": np.array([[-1.0, 0, 5, 4]])}, "0 <= x1"),
        ({"boxes": np.array([[0.0, 0, 5, 4]]), "labels": np.array([1, 2])}, "2 labels"),
    ],
)
def test_a_wrong_sample_says_why_and_where(fields: dict, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        Sample("a", "boxes.csv:7", **fields)
    assert "boxes.csv:7" in str(caught.value)


def test_a_sample_without_a_picture_says_so() -> None:
    with pytest.raises(ValueError, match="neither a picture nor a way"):
        _ = Sample("a", "a.png").image


def test_array_samples_are_samples() -> None:
    images = np.arange(5 * 2 * 2, dtype=np.uint8).reshape(5, 2, 2)
    samples = ArraySamples(images, np.arange(5), "digits.gz")
    assert [s.label for s in samples] == [0, 1, 2, 3, 4]
    assert samples[1].source == "digits.gz:2"
    assert samples[-1].image.shape == (2, 2, 3)
    assert np.array_equal(samples[3].image[..., 1], images[3])
    assert [s.label for s in samples[1:4:2]] == [1, 3]
    with pytest.raises(IndexError):
        samples[5]
    with pytest.raises(ValueError, match="4 labels"):
        ArraySamples(images, np.arange(4), "x")


def test_a_prediction_is_json() -> None:
    prediction = Prediction(
        "a.png", (4, 6), np.array([1, 0]), ["개", "cat"], np.float32([0.75, 0.25])
    )
    assert json.loads(json.dumps(prediction.to_dict())) == {
        "source": "a.png",
        "size": [4, 6],
        "labels": [1, 0],
        "names": ["개", "cat"],
        "scores": [0.75, 0.25],
    }


def test_a_name_is_registered_once() -> None:
    registry: Registry[int] = Registry("thing")
    registry.register("one")(1)
    with pytest.raises(ValueError, match="thing 'one' is registered twice"):
        registry.add("one", 2)
    assert registry["one"] == 1 and "one" in registry and list(registry) == registry.names()
    with pytest.raises(UsageError, match=r"unknown thing 'onne'\. Did you mean one"):
        registry["onne"]


def test_unknown_names_all_when_none_is_near() -> None:
    assert "Known: lenet5, mlp." in str(unknown("model", "transformer", ["mlp", "lenet5"]))


def test_a_data_error_names_file_line_field_why_and_fix() -> None:
    error = DataError("no such class", file="a.csv", line=3, field="label", fix="Add it.")
    assert str(error) == "a.csv:3 [label]: no such class. Add it."
    many = DataError(
        problems=[Problem("bad", "Mend it.", f"{i}.png") for i in range(30)], summary="So."
    )
    assert str(many).count("bad") == 20 and "… and 10 more" in str(many)
    assert str(many).endswith("So.")


def test_masks_in_json_are_cocos_code() -> None:
    masks = np.zeros((2, 3, 4), bool)
    masks[1, 1:, 2] = True
    said = json.loads(json.dumps(Prediction("x", (3, 4), masks=masks).to_dict()))["masks"]
    # Down the columns: all 12 of background; 7 of background, 2 of the object, 3 of background.
    assert said == [{"size": [3, 4], "counts": "<"}, {"size": [3, 4], "counts": "723"}]
    for mask, code in zip(masks, said, strict=True):
        assert np.array_equal(decode(code), mask)
