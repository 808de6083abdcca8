"""From probabilities of the working picture to classes of the original: sizes, places, areas, JSON."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from boda import outputs, runtime
from boda.data.prepare import Preparation
from boda.errors import DataError
from boda.masks import decode
from boda.mirroring import mirrored
from boda.predicting import Predictor

NAMES = ["background", "고양이", "dog", "bird"]


def planes(count: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    raw = np.random.default_rng(seed).random((count, height, width)).astype(np.float32)
    return raw / raw.sum(0)


def interpolated(plane: np.ndarray, x: float, y: float) -> float:
    """Bilinear, at a place with continuous edges; beyond the last middle of a pixel its value."""
    height, width = plane.shape
    x, y = min(max(x - 0.5, 0), width - 1), min(max(y - 0.5, 0), height - 1)
    left, top = min(int(x), width - 2), min(int(y), height - 2)
    fx, fy = x - left, y - top
    (a, b), (c, d) = plane[top : top + 2, left : left + 2]
    return float((a * (1 - fx) + b * fx) * (1 - fy) + (c * (1 - fx) + d * fx) * fy)


@pytest.mark.parametrize("rule", ["stretch", "letterbox", "crop"])
@pytest.mark.parametrize("size", [(40, 52), (61, 33), (24, 90)])
def test_each_pixel_has_the_class_of_its_place_in_the_working_picture(
    rule: str, size: tuple[int, int]
) -> None:
    preparation = Preparation(12, 16, rule=rule)  # type: ignore[arg-type]
    given = planes(4, 12, 16)
    found = outputs.class_map(given, preparation, size)
    assert found.shape == size and found.dtype == np.uint8
    matrix = preparation.matrix(*size)
    for y in range(size[0]):
        for x in range(size[1]):
            at = matrix @ (x + 0.5, y + 0.5, 1)
            values = [interpolated(plane, at[0], at[1]) for plane in given]
            second, best = sorted(values)[-2:]
            if best - second > 1e-4:
                assert found[y, x] == int(np.argmax(values)), (x, y)


def test_of_a_smaller_picture_each_pixel_is_a_mean() -> None:
    """Where the working picture is larger, single pixels of it do not decide."""
    given = np.zeros((2, 40, 40), np.float32)
    given[0], given[1, ::4, ::4] = 0.4, 1.0
    assert not outputs.class_map(given, Preparation(40, 40, rule="stretch"), (5, 5)).any()


def test_of_equal_classes_the_lower_is_taken() -> None:
    given = np.full((3, 8, 8), 1 / 3, np.float32)
    assert not outputs.class_map(given, Preparation(8, 8, rule="stretch"), (13, 7)).any()


def test_only_two_planes_are_held() -> None:
    """60 classes at a million pixels would be 240 MB."""
    given = planes(60, 32, 32)
    tracemalloc.start()
    try:
        outputs.class_map(given, Preparation(32, 32, rule="stretch"), (1000, 1000))
        assert tracemalloc.get_traced_memory()[1] < 25e6
    finally:
        tracemalloc.stop()


def squares(images: np.ndarray) -> np.ndarray:
    """A network that sees class 1 where a picture is red, class 3 where it is green."""
    out = np.full((len(images), 4, *images.shape[2:]), 0.1, np.float32)
    out[:, 1] += images[:, 0] / 255
    out[:, 3] += images[:, 1] / 255
    out[:, 0] += 0.3
    return out


def picture() -> np.ndarray:
    image = np.zeros((30, 40, 3), np.uint8)
    image[:10, :20, 0], image[20:, 30:, 1] = 255, 255
    return image


def predictor(tta: bool = False) -> Predictor:
    made = Predictor(squares, "segment", NAMES, Preparation(30, 40, rule="stretch"))
    made.adjust(tta=tta)
    return made


def test_a_prediction_tells_what_is_there_the_largest_first() -> None:
    told = predictor().predict(picture())
    assert told.semantic is not None and told.labels is not None and told.areas is not None
    assert told.names == ["background", "고양이", "bird"] and told.labels.tolist() == [0, 1, 3]
    assert told.areas.tolist() == [900, 200, 100] and told.areas.dtype == np.int64
    assert (told.semantic[:10, :20] == 1).all() and (told.semantic[20:, 30:] == 3).all()
    assert told.scores is None and told.boxes is None


def test_json_tells_areas_shares_and_masks_also_without_the_pixels() -> None:
    told = predictor().predict(picture())
    semantic, row = told.semantic, told.to_dict()
    assert row["areas"] == [900, 200, 100] and row["shares"] == [0.75, 0.166667, 0.083333]
    assert semantic is not None and len(row["masks"]) == 3
    for label, code in zip(row["labels"], row["masks"], strict=True):
        assert np.array_equal(decode(code), semantic == label)
    told.forget_pixels()
    assert told.semantic is None and told._picture is None and told.to_dict() == row
    assert np.array_equal(told.class_map, semantic)
    told.forget_pixels()
    assert told.to_dict() == row


def test_the_mirrored_answer_is_turned_back() -> None:
    """Of a network that sees everything a little too far to the right, the mean is in the middle."""

    def late(images: np.ndarray) -> np.ndarray:
        return np.roll(squares(images), 2, axis=3)

    images = picture().transpose(2, 0, 1)[None]
    both = mirrored(late, "segment")(images)
    assert both.shape == (1, 4, 30, 40)
    expected = (np.roll(squares(images), 2, axis=3) + np.roll(squares(images), -2, axis=3)) / 2
    np.testing.assert_allclose(both, expected)
    plain, mean = predictor().predict(picture()), predictor(tta=True).predict(picture())
    assert np.array_equal(plain.semantic, mean.semantic)


def test_large_outputs_go_through_in_small_batches() -> None:
    """Maps of 200 classes at 512 pixels are 200 MB a picture."""
    looked: list[int] = []

    def network(images: np.ndarray) -> np.ndarray:
        looked.append(len(images))
        return np.broadcast_to(np.float32(0.5), (len(images), 200, *images.shape[2:]))

    names = [str(i) for i in range(200)]
    made = Predictor(network, "segment", names, Preparation(512, 512, rule="stretch"))
    assert len(list(made.predict_all([picture()[:2, :2]] * 3, batch=32))) == 3
    assert looked == [1, 1, 1]


def test_an_exported_file_tells_the_same(tmp_path: Path) -> None:
    """A graph by hand: a 1×1 convolution and a softmax."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    make, kinds = onnx.helper, onnx.TensorProto
    weights = np.zeros((4, 3, 1, 1), np.float32)
    weights[1, 0], weights[3, 1], bias = 0.04, 0.04, np.array([2, 0, 0, 0], np.float32)
    nodes = [
        make.make_node("Cast", ["images"], ["pixels"], to=kinds.FLOAT),
        make.make_node("Conv", ["pixels", "weights", "bias"], ["logits"]),
        make.make_node("Softmax", ["logits"], ["planes"], axis=1),
    ]
    graph = make.make_graph(
        nodes,
        "map",
        [make.make_tensor_value_info("images", kinds.UINT8, ["n", 3, 15, 20])],
        [make.make_tensor_value_info("planes", kinds.FLOAT, ["n", 4, 15, 20])],
        [
            onnx.numpy_helper.from_array(weights, "weights"),
            onnx.numpy_helper.from_array(bias, "bias"),
        ],
    )
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 18)], ir_version=9)
    import json

    preparation = Preparation(15, 20, rule="stretch")
    record = {"task": "segment", "classes": NAMES, "preparation": preparation.to_dict()}
    onnx.helper.set_model_props(model, {"boda": json.dumps(record)})
    onnx.save(model, tmp_path / "map.onnx")

    def same(images: np.ndarray) -> np.ndarray:
        logits = np.einsum("kc,nchw->nkhw", weights[..., 0, 0], images.astype(np.float32))
        logits += bias[:, None, None]
        shares = np.exp(logits - logits.max(1, keepdims=True))
        return shares / shares.sum(1, keepdims=True)

    ours = Predictor(same, "segment", NAMES, preparation)
    theirs = runtime.load(tmp_path / "map.onnx")
    for tile, tta in ((None, False), (None, True), (33, True)):
        ours.adjust(tile=tile, tta=tta)
        theirs.adjust(tile=tile, tta=tta)
        one, other = ours.predict(picture()), theirs.predict(picture())
        assert one.to_dict() == other.to_dict()
        assert one.names == ["background", "고양이", "bird"]


def test_an_array_without_pixels_is_no_picture() -> None:
    with pytest.raises(DataError, match=r"shape \(0, 5, 3\) is no picture"):
        predictor().predict(np.zeros((0, 5, 3), np.uint8))
