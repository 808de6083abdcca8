"""What a fit decides and records: splits, defaults, dropping, balance, weights, normalization."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import boda
from boda.data.prepare import Preparation
from boda.data.survey import Survey
from boda.errors import UsageError
from boda.progress import Progress
from boda.runs import Run
from boda.tasks import task
from tests.conftest import SHAPES, write_shapes

QUIET = Progress(quiet=True)


def fit(data: Path, out: Path, **options) -> Run:
    return boda.fit("classify", data, out=out, progress=QUIET, **{"epochs": 1, **options})


def test_the_test_split_is_never_learned_from(shapes: Path, tmp_path: Path, monkeypatch) -> None:
    seen: set[str] = set()
    batches = boda.data.dataset.Pictures.batches

    def spy(self, order, size):
        seen.update(str(self.samples[int(i)].source) for i in order)
        return batches(self, order, size)

    monkeypatch.setattr(boda.data.dataset.Pictures, "batches", spy)
    run = fit(shapes, tmp_path / "run")
    assert len(seen) == 120 and not any("/test/" in source for source in seen)
    assert run.record["split"]["rule"].startswith("a little of train is held back")


def test_no_split_is_parted_and_recorded(tmp_path: Path) -> None:
    write_shapes(tmp_path / "data", 20, seed=0)
    first, second = (fit(tmp_path / "data", tmp_path / name) for name in ("a", "b"))
    assert first.record["split"]["counts"] == {"train": 48, "val": 12}
    assert first.record["split"] == second.record["split"]


def test_other_data_can_validate(shapes: Path, tmp_path: Path) -> None:
    write_shapes(tmp_path / "train", 20, seed=0)
    write_shapes(tmp_path / "other", 5, seed=9)
    run = fit(tmp_path / "train", tmp_path / "run", val=str(tmp_path / "other"))
    assert run.record["split"]["counts"] == {"train": 60, "val": 15}


def test_an_archive_gives_the_same_run_as_its_folder(shapes: Path, tmp_path: Path) -> None:
    file = tmp_path / "shapes.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for path in sorted(shapes.rglob("*.png")):
            archive.write(path, path.relative_to(shapes).as_posix())
    folder, packed = fit(shapes, tmp_path / "a"), fit(file, tmp_path / "b")
    assert (folder.path / "model.safetensors").read_bytes() == (
        packed.path / "model.safetensors"
    ).read_bytes()
    assert folder.record["data"]["fingerprint"] == packed.record["data"]["fingerprint"]


def test_colour_pictures_get_a_residual_network(tmp_path: Path) -> None:
    write_shapes(tmp_path / "data", 12, seed=0, color=True)
    run = fit(tmp_path / "data", tmp_path / "run")
    assert run.record["model"] == "resnet20" and run.preparation.channels == 3
    assert run.record["defaults"]["model"]["reason"].startswith("colour pictures")


@pytest.mark.parametrize(
    ("height", "width", "gray", "model"),
    [(28, 28, True, "lenet5"), (32, 32, False, "resnet20"), (200, 300, False, "resnet20-strided")],
)
def test_defaults_follow_the_pictures(height: int, width: int, gray: bool, model: str) -> None:
    look = Survey(1000, 5, height, width, gray, 200, 200)
    defaults = task("classify").defaults(look, None)
    assert defaults["model"].value == model
    assert all(default.reason for default in defaults.values())
    assert task("classify").defaults(look, "mlp")["model"].value == "mlp"


def test_balance_weighs_rare_classes_more(tmp_path: Path) -> None:
    write_shapes(tmp_path / "data", 20, seed=0)
    for number in range(4, 20):
        (tmp_path / "data" / "box" / f"{number:03}.png").unlink()
    run = fit(tmp_path / "data", tmp_path / "run", balance=True)
    weights, counts = run.record["config"]["class_weights"], run.record["data"]["class_counts"]
    assert weights[SHAPES.index("box") - 1] == max(weights)  # classes are sorted by code point
    total = sum(w * n for w, n in zip(weights, counts.values(), strict=True))
    assert total == pytest.approx(sum(counts.values()), rel=1e-4)


def test_weights_of_a_run_are_taken_over(shapes: Path, shapes_run: Path, tmp_path: Path) -> None:
    run = fit(shapes, tmp_path / "run", weights=str(shapes_run), lr=1e-9)
    assert run.preparation.mean == Run.open(shapes_run).preparation.mean
    assert run.record["metrics"]["accuracy"] == Run.open(shapes_run).record["metrics"]["accuracy"]
    before, after = (
        boda.models.state_files.read_state(path / "model.safetensors")
        for path in (shapes_run, run.path)
    )
    for name, tensor in before.items():
        torch.testing.assert_close(after[name], tensor, atol=1e-5, rtol=1e-4)


def test_gray_pictures_can_start_from_weights_for_colour(shapes: Path, tmp_path: Path) -> None:
    write_shapes(tmp_path / "colour", 12, seed=0, color=True)
    first = fit(tmp_path / "colour", tmp_path / "first", model="resnet20")
    run = fit(shapes, tmp_path / "run", model="resnet20", weights=str(first.path))
    assert run.preparation.channels == 3
    assert run.record["defaults"]["channels"]["reason"] == "the weights expect them"


def test_the_network_sees_what_was_measured(shapes_run: Path, shapes: Path) -> None:
    pictures = [np.asarray(Image.open(p)) for p in sorted((shapes / "train").rglob("*.png"))]
    mean, std = np.mean(pictures) / 255, np.std(pictures) / 255
    preparation = Run.open(shapes_run).preparation
    assert preparation.mean[0] == pytest.approx(mean, abs=0.01)
    assert preparation.std[0] == pytest.approx(std, abs=0.03)  # resizing smooths


def test_streaming_gives_the_same_weights_as_memory(
    shapes: Path, tmp_path: Path, monkeypatch
) -> None:
    """Pictures that do not fit in memory are decoded anew by workers; nothing else differs."""
    kept = fit(shapes, tmp_path / "kept", batch=16)
    monkeypatch.setattr(boda.data.loading, "memory_budget", lambda: 0)
    streamed = fit(shapes, tmp_path / "streamed", batch=16)
    one, two = (
        boda.models.state_files.read_state(r.path / "model.safetensors") for r in (kept, streamed)
    )
    for name, tensor in one.items():  # mean and deviation are rounded from the same few pictures
        torch.testing.assert_close(two[name], tensor, atol=1e-4, rtol=1e-3)


def test_unknown_options_are_told_the_nearest(shapes: Path) -> None:
    with pytest.raises(UsageError, match="Did you mean epochs"):
        boda.fit("classify", shapes, epoch=3)


# ---------------------------------------------------------------- three doors


@pytest.mark.parametrize("color", [False, True])
def test_the_three_doors_give_the_same_prediction(tmp_path: Path, color: bool) -> None:
    """Python, the command line's predictor and ONNX Runtime, on pictures of other sizes and modes."""
    write_shapes(tmp_path / "data", 12, seed=0, color=color)
    run = fit(tmp_path / "data", tmp_path / "run", epochs=2)
    file, difference = boda.export(run.path)
    assert difference <= 1e-4
    generator = np.random.default_rng(0)
    pictures = [tmp_path / f"{i}.png" for i in range(4)]
    for path, shape in zip(pictures, [(16, 16), (40, 23, 3), (9, 31, 4), (64, 64)], strict=True):
        Image.fromarray(generator.integers(0, 256, shape, dtype=np.uint8)).save(path)
    in_python = [boda.load(run.path).predict(path) for path in pictures]
    in_batches = boda.predict(run.path, pictures)
    exported = boda.predict(file, pictures)
    for one, two, three in zip(in_python, in_batches, exported, strict=True):
        assert one.names == two.names == three.names
        np.testing.assert_allclose(one.scores, two.scores, atol=1e-5)
        np.testing.assert_allclose(one.scores, three.scores, atol=1e-4)
        assert one.size == three.size == np.asarray(Image.open(one.source)).shape[:2]


def test_an_exported_file_runs_without_torch(
    shapes_run: Path, shapes: Path, tmp_path: Path
) -> None:
    import subprocess
    import sys

    file, _ = boda.export(shapes_run, tmp_path / "모델.onnx")
    picture = next((shapes / "test" / "가로").iterdir())
    code = (
        "import sys; sys.modules['torch'] = None\n"
        f"import boda; p = boda.predict({str(file)!r}, [{str(picture)!r}])[0]\n"
        "print(p.names[0])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == boda.load(shapes_run).predict(picture).names[0]


def test_the_exported_file_says_what_it_is(shapes_run: Path, tmp_path: Path) -> None:
    import json

    import onnx

    file, _ = boda.export(shapes_run, tmp_path / "model.onnx")
    model = onnx.load(file)
    (about,) = (json.loads(p.value) for p in model.metadata_props if p.key == "boda")
    assert about["classes"] == Run.open(shapes_run).classes and about["task"] == "classify"
    assert Preparation.from_dict(about["preparation"]) == Run.open(shapes_run).preparation
    (images,) = model.graph.input
    assert images.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    sizes = [d.dim_value for d in images.type.tensor_type.shape.dim]
    assert sizes[1:] == [3, 32, 32]


def test_evaluate_maps_classes_by_name(shapes_run: Path, shapes: Path, tmp_path: Path) -> None:
    """Two of the three classes, in another order: the figures are those of these pictures."""
    whole = boda.evaluate(shapes_run)["per_class"]
    for name in ("세로", "box"):
        (tmp_path / name).mkdir()
        for path in (shapes / "test" / name).iterdir():
            (tmp_path / name / path.name).write_bytes(path.read_bytes())
    part = boda.evaluate(shapes_run, tmp_path)
    assert part["samples"] == 40
    for name in ("세로", "box"):
        assert part["per_class"][name]["recall"] == whole[name]["recall"]


def test_predict_takes_arrays(shapes_run: Path) -> None:
    run = boda.load(shapes_run)
    gray = np.full((20, 30), 90, np.uint8)
    color = np.repeat(gray[..., None], 3, axis=2)
    np.testing.assert_allclose(run.predict(gray).scores, run.predict(color).scores)
    with pytest.raises(boda.errors.DataError, match="no picture"):
        run.predict(gray.astype(float))


def test_the_prediction_draws_itself(shapes_run: Path, shapes: Path, tmp_path: Path) -> None:
    picture = next((shapes / "test" / "가로").iterdir())
    prediction = boda.load(shapes_run).predict(picture)
    prediction.save(tmp_path / "seen.png")
    assert Image.open(tmp_path / "seen.png").size[0] >= 224
    assert prediction._repr_png_().startswith(b"\x89PNG")
    assert prediction.to_dict()["names"] == prediction.names


# ---------------------------------------------------------------- what changed since


def test_a_changed_folder_is_not_measured_as_if_it_were_the_same(tmp_path: Path) -> None:
    """Other files are dealt otherwise: what is val now may have been learned from."""
    write_shapes(tmp_path / "data", 20, seed=0)
    run = fit(tmp_path / "data", tmp_path / "run")
    boda.evaluate(run.path)
    extra = next((tmp_path / "data" / "box").iterdir())
    (extra.parent / "zzz.png").write_bytes(extra.read_bytes())
    with pytest.raises(boda.errors.DataError, match="the data has changed"):
        boda.evaluate(run.path)


def test_the_split_follows_the_seed_that_is_recorded(tmp_path: Path) -> None:
    write_shapes(tmp_path / "data", 20, seed=0)
    run = fit(tmp_path / "data", tmp_path / "run", settings={"seed": "5"})
    assert run.record["seed"] == run.record["split"]["seed"] == run.record["plan"]["seed"] == 5
    assert boda.evaluate(run.path)["samples"] == 12


def test_settings_stand_among_the_choices(shapes: Path, tmp_path: Path) -> None:
    run = fit(shapes, tmp_path / "run", settings={"rate": "0.5", "augment": "none"})
    assert run.record["defaults"]["rate"] == {"value": 0.5, "reason": "you chose it"}
    assert run.record["plan"]["rate"] == 0.5 and run.record["plan"]["augment"] == "none"


def test_what_a_fit_left_out_stays_out(tmp_path: Path) -> None:
    write_shapes(tmp_path / "data" / "train", 10, seed=0)
    write_shapes(tmp_path / "data" / "test", 5, seed=1)
    (tmp_path / "data" / "test" / "box" / "bad.png").write_text("no picture")
    run = fit(tmp_path / "data", tmp_path / "run", drop=True)
    assert boda.evaluate(run.path)["samples"] == 15
    with pytest.raises(boda.errors.DataError, match=r"bad\.png"):
        boda.evaluate(run.path, tmp_path / "data" / "test")
    assert boda.evaluate(run.path, tmp_path / "data" / "test", drop=True)["samples"] == 15


def test_every_picture_of_a_split_may_be_bad(tmp_path: Path) -> None:
    write_shapes(tmp_path / "data" / "train", 2, seed=0)
    write_shapes(tmp_path / "data" / "val", 2, seed=1)
    for path in (tmp_path / "data" / "val").rglob("*.png"):
        path.write_text("no picture")
    with pytest.raises(boda.errors.DataError, match="every picture of val has an error"):
        fit(tmp_path / "data", tmp_path / "run", drop=True)


def test_other_data_to_validate_on_is_found_from_anywhere(tmp_path: Path, monkeypatch) -> None:
    write_shapes(tmp_path / "train", 10, seed=0)
    write_shapes(tmp_path / "other", 5, seed=9)
    monkeypatch.chdir(tmp_path)
    run = fit(Path("train"), tmp_path / "run", val="other")
    monkeypatch.chdir("/")
    assert len(boda.fit(resume=run.path, epochs=2, progress=QUIET).history()) == 2


def test_a_runs_weights_file_knows_its_classes_and_normalization(
    shapes: Path, shapes_run: Path
) -> None:
    file = shapes_run / "model.safetensors"
    named = boda.evaluate("lenet5", shapes, weights=file)
    assert named["metrics"] == boda.evaluate(shapes_run)["metrics"]
    picture = next((shapes / "test" / "box").iterdir())
    (prediction,) = boda.predict("lenet5", [picture], weights=file)
    assert prediction.names == boda.load(shapes_run).predict(picture).names


def test_a_run_that_learned_from_everything_says_so(tmp_path: Path) -> None:
    write_shapes(tmp_path / "data", 10, seed=0)
    run = fit(tmp_path / "data", tmp_path / "run", val="none")
    with pytest.raises(UsageError, match="learned from everything"):
        boda.evaluate(run.path)
    assert boda.evaluate(run.path, split="train")["samples"] == 30
