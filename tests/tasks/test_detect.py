"""The task from end to end: fit, evaluate, predict, export, resume, on drawn scenes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import boda
from boda import engine, models, tasks
from boda.api import evaluate, export, fit, predictor, synth
from boda.data import readers
from boda.data.classes import by_name
from boda.data.convert import convert
from boda.data.dataset import Pictures
from boda.data.prepare import Preparation
from boda.data.survey import Survey
from boda.errors import DataError, UsageError
from boda.evaluating import measure
from boda.onnx_export import export as write
from boda.outputs import Seen
from boda.outputs import readers as read
from boda.progress import Progress
from boda.tasks.detect.task import Detect, truth
from boda.types import Sample

QUIET = Progress(quiet=True)
SMALL = {"width": "0.125", "save_seconds": "1000"}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn") / "out"
    synth(folder, count=40, size=64, seed=1)
    return folder / "scenes"


@pytest.fixture(scope="module")
def run(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "detect"
    fit("detect", scenes, epochs=3, batch=8, size="64", settings=SMALL, out=out, progress=QUIET)
    return out


def test_a_run_is_complete(run: Path) -> None:
    record = json.loads((run / "run.json").read_text())
    assert record["task"] == "detect" and record["method"] == "yolo"
    assert record["preparation"]["rule"] == "letterbox"
    assert record["defaults"]["grid"]["value"] == "8×8×1×11, 4×4×1×11, 2×2×1×11"
    assert sum(record["data"]["class_counts"].values()) > 40  # boxes, not pictures
    assert {"map", "map50"} <= record["metrics"].keys()
    assert (run / "report.html").stat().st_size > 10_000
    assert all(0 <= row["val_map"] <= 1 for row in boda.load(run).history())


def test_evaluate_tells_the_figures(run: Path) -> None:
    told = evaluate(run, split="test", progress=QUIET)
    assert told["samples"] == 6 and set(told["per_class"]) == set(told["curves"]) | {
        name for name, row in told["per_class"].items() if not row["support"]
    }
    size = len(told["per_class"]) + 1
    assert np.array(told["confusion"]).shape == (size, size)
    json.dumps(told)


def test_boxes_are_in_pixels_of_the_original() -> None:
    """256×128 in a letterbox of 64: a quarter, 16 pixels of gray above."""
    rows = np.zeros((3, 6), np.float32)
    rows[0] = 16, 16 + 8, 32, 16 + 16, 0.9, 1
    rows[1] = 0, 0, 64, 64, 0.8, 0
    seen = Seen(np.zeros((128, 256, 3), np.uint8), "memory", Preparation(64, 64, rule="letterbox"))
    told = read["detect"](rows, ["a", "b"], seen)
    assert told.boxes is not None and told.names == ["b", "a"]
    assert told.boxes.tolist() == [[64, 32, 128, 64], [0, 0, 256, 128]]


def test_the_exported_file_finds_the_same(run: Path, scenes: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    file, difference = export(run, tmp_path / "model.onnx")
    assert difference <= 1e-4
    pictures = sorted((scenes / "test").glob("*.png"))
    ours, theirs = predictor(run), predictor(file)
    ours.confidence = theirs.confidence = 0.0
    for a, b in zip(ours.predict_all(pictures), theirs.predict_all(pictures), strict=True):
        assert a.scores is not None and b.scores is not None and len(a.scores) > 5
        np.testing.assert_allclose(a.scores[:5], b.scores[:5], atol=1e-4)
        assert a.size == b.size and a.boxes is not None and (a.boxes <= 64).all()


def test_no_detection_at_all_is_an_empty_prediction(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    trained = boda.load(run).trained()
    for head in trained.method.net.heads:  # type: ignore[union-attr]
        torch.nn.init.constant_(head.boxes.bias, -40.0)
        torch.nn.init.zeros_(head.boxes.weight)
    about = {
        "task": "detect",
        "classes": trained.classes,
        "preparation": trained.preparation.to_dict(),
    }
    pictures = np.random.default_rng(0).integers(0, 256, (3, 3, 64, 64), dtype=np.uint8)
    assert write(trained.method, about, pictures, tmp_path / "none.onnx") <= 1e-4
    for each in (trained.predictor(), predictor(tmp_path / "none.onnx")):
        each.confidence = 0.0
        prediction = each.predict(np.zeros((40, 90, 3), np.uint8))
        assert prediction.boxes is not None and prediction.boxes.shape == (0, 4)
        assert prediction.to_dict()["boxes"] == []
        assert prediction.draw().shape == (40, 90, 3)


def test_a_fit_that_was_stopped_goes_on_as_if_not(scenes: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    options = {"batch": 8, "size": "64", "settings": SMALL, "progress": QUIET}
    fit("detect", scenes, epochs=2, out=whole, **options)

    class Stop(Exception):  # noqa: N818
        pass

    begun = 0
    original = engine.Engine._epoch

    def once(self: engine.Engine) -> None:
        nonlocal begun
        begun += 1
        if begun == 2:
            self._save()
            raise Stop
        original(self)

    engine.Engine._epoch = once  # type: ignore[method-assign]
    try:
        with pytest.raises(Stop):
            fit("detect", scenes, epochs=2, out=parts, **options)
    finally:
        engine.Engine._epoch = original  # type: ignore[method-assign]
    fit(resume=parts, progress=QUIET)
    name = "model.safetensors"
    assert (whole / name).read_bytes() == (parts / name).read_bytes()


def test_crowds_and_difficult_objects_are_not_learned_and_count_neither_way(scenes: Path) -> None:
    samples = list(readers.read(scenes, task="detect").splits["train"][:4])
    sample = next(s for s in samples if s.boxes is not None and len(s.boxes) > 1)
    sample.crowd = np.zeros(len(sample.boxes), bool)  # type: ignore[arg-type]
    sample.crowd[0] = True
    pictures = Pictures([sample], Preparation(64, 64, rule="letterbox"))
    assert pictures.boxes is not None and sample.boxes is not None
    assert len(pictures.boxes[0]) == len(sample.boxes) - 1
    told = truth(sample)
    assert told.crowd is not None and told.crowd.tolist() == sample.crowd.tolist()


def test_other_data_is_matched_by_its_names(run: Path, scenes: Path, tmp_path: Path) -> None:
    """The same pictures with the classes in another order: the same figures."""
    dataset = readers.read(scenes, task="detect")
    order = list(reversed(range(len(dataset.classes))))
    turned = by_name(dataset, [dataset.classes[i] for i in order])
    only = dataclasses.replace(turned, splits={"test": turned.splits["test"]})
    convert(only, "coco", tmp_path / "other")
    here = evaluate(run, split="test", progress=QUIET)["metrics"]
    there = evaluate(run, tmp_path / "other", split="test", progress=QUIET)["metrics"]
    assert here == pytest.approx(there)


def test_small_objects_are_not_lost_in_mosaics() -> None:
    """At 128 pixels, boxes of a tenth of the picture are 13 pixels, of a half 64."""
    for share, policy in ((0.1, "places"), (0.5, "scenes"), (0.0, "scenes")):
        look = Survey(100, 3, 128, 128, False, 50, 20, 200, share)
        assert Detect().defaults(look, None)["augment"].value == policy


def test_balance_is_refused(scenes: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="balance"):
        fit("detect", scenes, epochs=1, balance=True, size="64", out=tmp_path / "x", progress=QUIET)


def test_nothing_to_find_is_told() -> None:
    blank = [Sample("1", "memory", boxes=np.zeros((0, 4), np.float32), size=(64, 64))]
    pictures = Pictures(blank, Preparation(64, 64), np.zeros((1, 3, 64, 64), np.uint8))
    kind = tasks.method("yolo")
    method = kind(
        models.create("yolo", classes=1, width=0.125), pictures.preparation, kind.Config()
    )
    task = Detect()
    with pytest.raises(DataError, match="no objects in these 1 pictures: nothing to measure"):
        measure(method, task, pictures, task.metrics(["a"]))


def test_a_backbone_takes_a_classifiers_weights(shapes_like: Path, tmp_path: Path) -> None:
    """resnet18 fitted as a classifier becomes the beginning of yolo-small."""
    torch.manual_seed(5)
    state = models.create("resnet18", classes=1000).state_dict()
    save_file(state, tmp_path / "resnet18.safetensors")
    out = tmp_path / "run"
    fit(
        "detect", shapes_like, model="yolo-small", epochs=1, size="64", freeze="all", batch=8,
        weights=str(tmp_path / "resnet18.safetensors"), out=out, progress=QUIET,
    )  # fmt: skip
    net = boda.load(out).trained().method.net
    kept = net.backbone.net.state_dict()  # type: ignore[union-attr]
    assert all(torch.equal(kept[name], state[name]) for name in kept)
    record = json.loads((out / "run.json").read_text())
    assert record["freeze"]["blocks"] == record["freeze"]["of"] > 8
    assert record["preparation"]["mean"] == pytest.approx([0.485, 0.456, 0.406])  # as they expect


@pytest.fixture(scope="module")
def shapes_like(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pictures a split, in COCO's format."""
    folder = tmp_path_factory.mktemp("few") / "out"
    synth(folder, count=12, size=64, seed=2)
    return folder / "scenes"


def test_a_backbone_without_the_option_is_told_what_to_do(
    shapes_like: Path, tmp_path: Path
) -> None:
    out = tmp_path / "x"
    for name, says in (
        ("lenet5", "--set width=1"),
        ("resnt18", "resnet18"),
    ):
        with pytest.raises(UsageError, match=says):
            fit("detect", shapes_like, settings={"backbone": name}, out=out, progress=QUIET)
    with pytest.raises(UsageError, match="cannot be a backbone"):
        settings = {"backbone": "lenet5", "width": "1"}
        fit("detect", shapes_like, settings=settings, out=out, progress=QUIET)
    assert not out.exists()


def test_a_picture_alone_can_be_drawn(run: Path, tmp_path: Path) -> None:
    Image.new("RGB", (80, 50), (30, 60, 90)).save(tmp_path / "plain.png")
    prediction = predictor(run).predict(tmp_path / "plain.png")
    assert prediction.draw().shape == (50, 80, 3)
