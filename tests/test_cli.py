"""The command line as scripts and people meet it: results on stdout, one clear message, the exit status."""

from __future__ import annotations

import gzip
import json
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import write_shapes


def refused(result: tuple[int, str, str], *words: str) -> str:
    """One message, exit status 2, nothing on standard output, no traceback; it says each of the words."""
    status, out, err = result
    message = " ".join(err.split())
    assert status == 2, message
    assert out == "" and "Traceback" not in err
    for word in words:
        assert word in message
    return message


# ---------------------------------------------------------------- the loop


def test_the_loop_in_json(boda, shapes: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    status, text, _ = boda(
        "fit", "classify", shapes, "--epochs", 3, "--batch", 8, "--out", out, "--json"
    )
    fitted = json.loads(text)
    assert status == 0
    assert set(fitted) == {"run", "task", "model", "epochs", "seconds", "metrics"}
    assert (fitted["task"], fitted["model"], fitted["epochs"]) == ("classify", "lenet5", 3)

    status, text, _ = boda("evaluate", out, "--json")
    measured = json.loads(text)
    assert status == 0 and measured["split"] == "test" and measured["samples"] == 60
    assert {"task", "model", "data", "split", "samples", "metrics", "per_class"} <= set(measured)
    assert set(measured["per_class"]) == {"가로", "box", "세로"}

    picture = next((shapes / "test" / "세로").iterdir())
    status, text, _ = boda("predict", out, picture, "--out", tmp_path / "seen", "--json")
    (prediction,) = json.loads(text)["predictions"]
    assert status == 0 and prediction["source"] == str(picture)
    assert sum(prediction["scores"]) == pytest.approx(1, abs=1e-5)
    assert Image.open(tmp_path / "seen" / f"{picture.stem}.png").size[0] >= 224

    status, text, _ = boda("export", out, "--json")
    exported = json.loads(text)
    assert status == 0 and Path(exported["file"]).stat().st_size == exported["bytes"]
    assert exported["difference"] <= 1e-4

    for name in ("run.json", "model.safetensors", "history.jsonl", "state.pt", "report.html"):
        assert (out / name).stat().st_size > 0
    report = (out / "report.html").read_text("utf-8")
    assert "가로" in report and "60 test pictures" in report


def test_people_are_told_what_to_do_next(boda, shapes_run: Path) -> None:
    status, out, _ = boda("evaluate", shapes_run, "--split", "val")
    assert status == 0 and "accuracy" in out and "precision" in out


def test_runs_side_by_side(boda, shapes: Path, shapes_run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    boda("fit", "classify", shapes, "--epochs", 1, "--lr", "0.01", "--out", other)
    status, text, _ = boda("compare", shapes_run, other, "--json")
    compared = json.loads(text)
    assert status == 0 and compared["runs"] == [str(shapes_run), str(other)]
    assert compared["settings"]["epochs"] == [6, 1]
    assert compared["settings"]["rate"][1] == 0.01 and "seed" not in compared["settings"]
    assert len(compared["metrics"]["accuracy"]) == 2
    assert boda("compare", shapes_run, other)[0] == 0


def test_the_registries(boda) -> None:
    status, text, _ = boda("models", "--json")
    found = {row["name"]: row for row in json.loads(text)}
    assert status == 0 and found["resnet20"]["parameters"] == 269_722
    assert found["lenet5"]["input"] == "1×32×32"
    assert json.loads(boda("tasks", "--json")[1])[0]["headline"] == "accuracy"
    assert "resnet20" in boda("models")[1] and "classify" in boda("tasks")[1]


def test_check_in_json(boda, shapes: Path) -> None:
    status, text, _ = boda("check", shapes, "--json")
    report = json.loads(text)
    assert status == 0 and report["samples"] == 180 and report["problems"] == []
    assert report["splits"] == {"train": 120, "test": 60}


def test_help_has_an_example(boda) -> None:
    for verb in ("check", "fit", "evaluate", "predict", "export", "compare", "models", "demo"):
        status, out, _ = boda(verb, "--help")
        assert status == 0 and f"boda {verb}" in out.split("Example")[1]


def test_standard_output_is_one_document_from_the_shell(shapes_run: Path, shapes: Path) -> None:
    picture = next((shapes / "test" / "box").iterdir())
    command = [sys.executable, "-m", "boda", "predict", str(shapes_run), str(picture), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["predictions"][0]["names"]
    assert done.stderr == ""


@pytest.mark.slow  # .ci/run makes the demo too, and looks at the same
def test_the_demo(boda, tmp_path: Path) -> None:
    status, text, _ = boda("demo", "--out", tmp_path / "demo", "--json")
    result = json.loads(text)
    assert status == 0 and result["samples"] == 599
    assert result["accuracy"] >= 0.98
    assert Image.open(result["sheet"]).size[0] > 500
    assert Path(result["report"]).exists() and len(result["next"]) == 3
    from boda.cli.demo import _free

    assert _free(tmp_path / "demo") == tmp_path / "demo-2", "an older demo is left alone"


# ---------------------------------------------------------------- bad input


@pytest.fixture
def no_run(tmp_path: Path):
    """A place for a run that must stay empty."""
    out = tmp_path / "refused"
    yield out
    assert not out.exists(), "a refused fit wrote something"


def test_a_path_that_is_not_there(boda, no_run: Path, shapes: Path) -> None:
    refused(
        boda("fit", "classify", f"{shapes}x", "--out", no_run), f"{shapes}x", "nothing at this path"
    )


def test_an_empty_folder(boda, no_run: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    refused(boda("fit", "classify", tmp_path / "empty", "--out", no_run), "empty", "Understood")


def test_one_class(boda, no_run: Path, tmp_path: Path) -> None:
    write_shapes(tmp_path / "all", 3, seed=0)
    (tmp_path / "one").mkdir()
    (tmp_path / "all" / "box").rename(tmp_path / "one" / "box")
    refused(boda("fit", "classify", tmp_path / "one", "--out", no_run), "one class")


@pytest.mark.parametrize("kind", ["text", "truncated", "empty", "bomb"])
def test_bad_pictures_stop_the_fit_or_are_dropped(
    boda, no_run: Path, tmp_path: Path, kind: str
) -> None:
    data = tmp_path / "data"
    write_shapes(data, 10, seed=0)
    bad = data / "box" / "bad.jpg"
    if kind == "text":
        bad.write_text("this is no picture")
    elif kind == "truncated":
        Image.fromarray(
            np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
        ).save(bad)
        bad.write_bytes(bad.read_bytes()[:1500])
    elif kind == "empty":
        bad.write_bytes(b"")
    else:
        Image.new("1", (20_000, 20_000)).save(bad, format="PNG")
    message = refused(boda("fit", "classify", data, "--out", no_run), str(bad), "--drop")
    assert message.count(str(bad)) == 1
    status, text, _ = boda("check", data, "--json")
    (problem,) = json.loads(text)["problems"]
    assert status == 2 and problem["file"] == str(bad) and problem["fix"]

    status, _, err = boda(
        "fit", "classify", data, "--drop", "--epochs", 1, "--out", tmp_path / "dropped"
    )
    assert status == 0 and "left out: 1" in err
    record = json.loads((tmp_path / "dropped" / "run.json").read_text("utf-8"))
    assert sum(record["check"]["dropped"].values()) == 1
    assert (
        sum(record["split"]["counts"].values()) - 1 == sum(record["data"]["splits"].values()) == 30
    )


def test_an_idx_file_that_lies(boda, no_run: Path, tmp_path: Path) -> None:
    data = tmp_path / "mnist"
    data.mkdir()
    header = struct.pack(">IIII", 0x803, 60_000, 28, 28)
    (data / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + bytes(100)))
    (data / "train-labels-idx1-ubyte").write_bytes(
        struct.pack(">II", 0x801, 60_000) + bytes(60_000)
    )
    message = refused(boda("fit", "classify", data, "--out", no_run), "train-images-idx3-ubyte.gz")
    assert "47,040,000" in message or "47040000" in message or "47,040,016" in message


def test_an_archive_that_reaches_outside(boda, no_run: Path, tmp_path: Path) -> None:
    file = tmp_path / "evil.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("cats/../../evil.png", b"x")
    refused(boda("fit", "classify", file, "--out", no_run), "evil.zip", "../../evil.png")


def test_an_archive_that_is_a_bomb(boda, no_run: Path, tmp_path: Path) -> None:
    file = tmp_path / "bomb.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a/1.png", "b/1.png"):
            archive.writestr(name, bytes(300_000_000))
    assert file.stat().st_size < 1_000_000
    refused(boda("fit", "classify", file, "--out", no_run), "bomb.zip")


@pytest.mark.parametrize(
    ("arguments", "nearest"),
    [
        (("classfy", "DATA"), "unknown task 'classfy'. Did you mean classify"),
        (("classify", "DATA", "--model", "lenet-5"), "Did you mean lenet5"),
        (("classify", "DATA", "--augment", "lite"), "Did you mean light"),
        (("classify", "DATA", "--format", "folder"), "Did you mean folders"),
        (("classify", "DATA", "--set", "optimiser=sgd"), "Did you mean optimizer"),
        (("classify", "DATA", "--set", "optimizer=sdg"), "Did you mean sgd"),
        (("classify", "DATA", "--set", "clip"), "field=value"),
        (("classify", "DATA", "--set", "clip=much"), "a value of type float"),
        (("classify", "DATA", "--set", "class_weights=1,inf"), "a value of type tuple"),
        (("classify", "DATA", "--size", "big"), "N or HxW"),
        (("classify", "DATA", "--size", "8"), "--size 32"),
        (("classify", "DATA", "--epochs", "2", "--minutes", "1"), "not both"),
        (("classify", "DATA", "--batch", "0"), "must be more than 0"),
        (("classify", "DATA", "--device", "tpu"), "--device auto"),
        (("classify", "DATA", "--precision", "64"), "unknown precision"),
        (("classify", "DATA", "--weights", "nothing.pth"), "no such file of weights"),
        (("classify",), "needs a task and data"),
        (("--resume", "nothing"), "no run folder"),
        (("--resume", "nothing", "--out", "elsewhere"), "goes on in its own folder"),
        (("classify", "DATA", "--set", "class_weights=1,2"), "2 numbers for 3 classes"),
        (("classify", "DATA", "--set", "patience=-1"), "must not be less than 0"),
        (("classify", "DATA", "--precision", "16", "--device", "cpu"), "Use bf16 or 32"),
    ],
)
def test_what_is_misspelt(boda, no_run: Path, shapes: Path, arguments, nearest: str) -> None:
    words = [shapes if word == "DATA" else word for word in arguments]
    if "--resume" not in arguments:
        words += ["--out", no_run]
    refused(boda("fit", *words), nearest)


def test_a_run_folder_in_use_is_refused(boda, shapes: Path, shapes_run: Path) -> None:
    before = sorted((p.name, p.stat().st_mtime_ns) for p in shapes_run.iterdir())
    refused(boda("fit", "classify", shapes, "--out", shapes_run), "not empty", "--resume")
    assert before == sorted((p.name, p.stat().st_mtime_ns) for p in shapes_run.iterdir())


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("run.json", b"{", "the record cannot be read"),
        ("run.json", b"{}", "the record lacks task"),
        ("run.json", b"[]", "the record"),
        ("run.json", b'{"task": 1}', "the record lacks method"),
        ("run.json", None, "no run folder"),
        ("model.safetensors", b"garbage", "the weights cannot be read"),
        ("model.safetensors", None, "the run has no weights"),
    ],
)
def test_a_corrupted_run(
    boda, shapes_run: Path, shapes: Path, tmp_path: Path, file, content, words
) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in shapes_run.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    (copy / file).unlink() if content is None else (copy / file).write_bytes(content)
    picture = next((shapes / "test" / "box").iterdir())
    refused(boda("predict", copy, picture), words, str(copy))


def test_a_record_of_another_version_is_named(
    boda, shapes_run: Path, shapes: Path, tmp_path
) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in shapes_run.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    record = json.loads((copy / "run.json").read_text("utf-8"))
    record["config"]["a_field_of_tomorrow"] = 1
    record["plan"]["another"] = 1
    (copy / "run.json").write_text(json.dumps(record), "utf-8")
    picture = next((shapes / "test" / "box").iterdir())
    refused(boda("predict", copy, picture), "another version of boda")
    refused(boda("fit", "--resume", copy, "--epochs", 9), "another version of boda")


def test_the_second_prediction_replaces_the_first(
    boda, shapes: Path, shapes_run: Path, tmp_path
) -> None:
    picture, other = sorted((shapes / "test" / "box").iterdir())[:2]
    copy = tmp_path / "a" / picture.name
    copy.parent.mkdir()
    for source in (picture, other):
        copy.write_bytes(source.read_bytes())
        assert boda("predict", shapes_run, copy, "--out", tmp_path / "seen")[0] == 0
    assert [p.name for p in (tmp_path / "seen").iterdir()] == [picture.name]
    same_name = shapes / "test" / "가로" / picture.name
    boda("predict", shapes_run, copy, same_name, "--out", tmp_path / "seen")
    assert len(list((tmp_path / "seen").iterdir())) == 2


def test_folders_that_cannot_be_written_are_named(
    boda, shapes: Path, shapes_run: Path, tmp_path
) -> None:
    (tmp_path / "file").write_text("x")
    picture = next((shapes / "test" / "box").iterdir())
    refused(
        boda("predict", shapes_run, picture, "--out", tmp_path / "file"), str(tmp_path / "file")
    )
    refused(boda("fit", "classify", shapes, "--out", tmp_path / "file" / "run"), "is a file")
    refused(
        boda("export", shapes_run, "--out", tmp_path / "nowhere" / "x.onnx"), "cannot be written"
    )


def test_a_corrupted_state_is_named(boda, shapes_run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in shapes_run.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    (copy / "state.pt").write_bytes(b"PK\x03\x04 cut")
    refused(boda("fit", "--resume", copy, "--epochs", 9), "state.pt", "the state cannot be read")


def test_other_settings_cannot_be_resumed(boda, shapes_run: Path) -> None:
    refused(boda("fit", "--resume", shapes_run, "--lr", "1"), "keeps its settings", "lr")


def test_predict_goes_on_and_names_what_it_could_not_read(
    boda, shapes: Path, shapes_run: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    (folder / "bad.png").write_text("no picture")
    good = next((shapes / "test" / "box").iterdir())
    (folder / "good.png").write_bytes(good.read_bytes())
    status, text, err = boda("predict", shapes_run, folder, "--json")
    found = json.loads(text)
    assert status == 2 and "bad.png" in err
    assert [p["source"] for p in found["predictions"]] == [str(folder / "good.png")]
    assert found["problems"][0]["file"] == str(folder / "bad.png")


def test_predict_refuses_what_is_no_run(boda, shapes: Path, tmp_path: Path) -> None:
    picture = next((shapes / "test" / "box").iterdir())
    refused(boda("predict", "resnet20", picture), "network without weights", "--weights")
    refused(boda("predict", tmp_path / "x.onnx", picture), "no such file")
    (tmp_path / "x.onnx").write_bytes(b"garbage")
    refused(boda("predict", tmp_path / "x.onnx", picture), "ONNX Runtime cannot load it")


def test_classes_the_model_does_not_know(boda, shapes_run: Path, tmp_path: Path) -> None:
    write_shapes(tmp_path / "data", 3, seed=0)
    (tmp_path / "data" / "box").rename(tmp_path / "data" / "circle")
    refused(boda("evaluate", shapes_run, tmp_path / "data"), "does not know: circle", "가로")


def test_a_failure_of_ours_is_one_line_without_debug(boda, shapes_run: Path, monkeypatch) -> None:
    from boda import api

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(api, "compare", broken)
    status, _, err = boda("compare", shapes_run, shapes_run)
    assert status == 1 and "ZeroDivisionError: ours" in err and "Traceback" not in err
    with pytest.raises(ZeroDivisionError):
        boda("compare", shapes_run, shapes_run, "--debug")
