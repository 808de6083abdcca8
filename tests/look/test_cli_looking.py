"""The two verbs, as typed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from typer.testing import CliRunner

from boda import models
from boda.cli.looking import look_at, register, summary_of
from boda.data.prepare import Preparation
from boda.errors import DataError, UsageError
from boda.runs import Run


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer(pretty_exceptions_enable=False)
    register(made)
    return made


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    file = tmp_path / "사진.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 70, 3), dtype=np.uint8)).save(
        file
    )
    return file


@pytest.fixture
def run(tmp_path: Path) -> Path:
    preparation = Preparation(40, 40, channels=1, mean=(0.3,), std=(0.2,))
    record = {
        "task": "classify", "method": "classifier", "model": "lenet5",
        "options": {}, "classes": ["a", "b", "c"],
        "preparation": preparation.to_dict(), "config": {}, "plan": {},
        "data": {}, "seed": 0, "versions": {},
    }  # fmt: skip
    made = Run.create(tmp_path / "run", record)
    made.save_weights(models.create("lenet5", classes=3).state_dict())
    return made.path


def test_summary(app):
    result = CliRunner().invoke(app, ["summary", "lenet5", "--json"])
    found = json.loads(result.stdout)
    assert (found["model"], found["parameters"], found["multiply_adds"]) == (
        "lenet5",
        61_706,
        416_520,
    )
    text = CliRunner().invoke(app, ["summary", "resnet20", "--input", "3,64,64"]).stdout
    assert "input 3×64×64" in text and "269,722" in text


def test_summary_of_other_channels_and_of_a_run(run):
    assert summary_of("lenet5", "3,32,32").parameters == 61_706 + 300
    found = summary_of(str(run))
    assert found.input == [1, 40, 40] and found.layers[-1].output_shape == [3]


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("lenet6", None, "Did you mean lenet5"),
        ("lenet5", "3,32", "C,H,W"),
        ("lenet5", "a,b,c", "parted by commas"),
        ("lenet5", "1,0,32", "1 or more"),
        ("lenet5", "1,8,8", "--size 32"),
    ],
)
def test_summary_errors(name, given, words):
    with pytest.raises(UsageError, match=words):
        summary_of(name, given)


def test_look_at_a_run(run, photo, tmp_path):
    found = look_at(str(run), photo, "net.c1", "0,5,5", tmp_path / "seen")
    assert found["layer"] == "c1" and found["value"] == pytest.approx(found["network"], abs=1e-5)
    assert Path(found["picture"]) == tmp_path / "seen" / "c1-at-0-5-5.png"
    # the run's preparation: 40×40 gray, its mean and deviation
    net = models.create("lenet5", classes=3)
    opened = Run.open(run)
    opened.load_weights(net)
    working = opened.preparation(np.asarray(Image.open(photo)))
    picture = (torch.from_numpy(working.copy()).permute(2, 0, 1)[None] / 255 - 0.3) / 0.2
    assert found["value"] == pytest.approx(net.c1(picture)[0, 0, 5, 5].item(), abs=1e-5)


def test_look_at_maps(app, photo, tmp_path):
    typed = ["look", "resnet20", str(photo), "--out", str(tmp_path), "--json"]
    state = torch.get_rng_state()
    found = json.loads(CliRunner().invoke(app, typed).stdout)
    assert found["layer"] == "conv1" and found["output_shape"] == [16, 32, 32]
    assert Image.open(found["picture"]).size[0] > 400
    assert found == json.loads(CliRunner().invoke(app, typed).stdout)  # the same random weights
    assert torch.equal(state, torch.get_rng_state())
    text = CliRunner().invoke(app, [*typed[:-1], "--layer", "fc", "--at", "3"]).stdout
    assert "heaviest products" in text and "random" in text


def test_look_with_weights(photo, tmp_path):
    net = models.create("lenet5")
    torch.save(net.state_dict(), tmp_path / "w.pt")
    found = look_at("lenet5", photo, "c1", "0,0,0", tmp_path, tmp_path / "w.pt")
    assert found["parts"][0]["kernel"][0][0] == pytest.approx(
        float(net.c1.weight[0, 0, 0, 0].detach())
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"at": "0,28,0"}, "outside of the output of c1, which is 6×28×28"),
        ({"at": "0,x"}, "parted by commas"),
        ({"layer": "c2"}, "unknown layer 'c2'"),
        ({"name": "lenet"}, "Did you mean lenet5"),
    ],
)
def test_look_errors(changes, words, photo, tmp_path):
    given = {"name": "lenet5", "image": photo, "layer": "c1", "at": None, "out": tmp_path / "out"}
    with pytest.raises(UsageError, match=words):
        look_at(**(given | changes))
    assert not (tmp_path / "out").exists()


def test_data_errors(run, tmp_path, photo):
    with pytest.raises(DataError, match="cannot be read"):
        look_at("lenet5", tmp_path / "none.png")
    with pytest.raises(DataError, match="no run folder"):
        look_at("runs/nothing", photo)
    with pytest.raises(UsageError, match="its own weights"):
        look_at(str(run), photo, weights="w.pt")


def test_help_needs_no_torch():
    code = "import sys, boda.cli.looking; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
