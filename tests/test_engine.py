"""The loop: exact, honest about time, and it stops where it should."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import boda
from boda import engine, machine
from boda.errors import TrainingError, UsageError
from boda.looking import Looks
from boda.options import Plan
from boda.progress import Progress
from boda.runs import Run
from boda.tasks.classify import Classifier
from tests.data.translation_sets import apart, side_by_side

QUIET = Progress(quiet=True)


def fit(data: Path, out: Path, **options) -> Run:
    return boda.fit("classify", data, out=out, batch=16, progress=QUIET, **{"epochs": 2, **options})


def weights_of(run: Run | Path) -> bytes:
    return ((run.path if isinstance(run, Run) else run) / "model.safetensors").read_bytes()


def test_the_same_seed_gives_the_same_bytes(shapes: Path, tmp_path: Path) -> None:
    first, second = (fit(shapes, tmp_path / name) for name in ("a", "b"))
    third = fit(shapes, tmp_path / "c", seed=1)
    assert weights_of(first) == weights_of(second) != weights_of(third)


@pytest.mark.parametrize(
    ("task", "extra"),
    [
        pytest.param("classify", [], marks=pytest.mark.slow),  # the next one does more
        ("classify", ["--set", "ema=0.9", "--set", "accumulate=2"]),
        ("generate", ["--size", "16", "--set", "width=4"]),
    ],
)
def test_killed_and_resumed_gives_the_same_bytes(
    shapes: Path, tmp_path: Path, task: str, extra: list[str]
) -> None:
    whole, cut = killed_and_resumed(tmp_path, [task, str(shapes), "--epochs", "8", *extra])
    figure = "val_accuracy" if task == "classify" else "val_fid"
    rows = [[row[figure] for row in Run.open(p).history()] for p in (whole, cut)]
    assert rows[0] == rows[1] and len(rows[0]) == 8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "extra"),
    [
        ("translate", ["--model", "cyclegan", "--set", "pool=4", "--set", "width=4"]),
        ("translate", ["--model", "discogan", "--size", "64", "--set", "width=4"]),
        ("upscale", ["--model", "srgan", "--set", "patches=64", "--set", "width=4"]),
    ],
)
def test_adversaries_too(tmp_path: Path, task: str, extra: list[str]) -> None:
    """Both optimizers, and the pool of pictures that were made before."""
    data = apart(tmp_path / "data", 16, 2)
    data = data if task == "translate" else data / "trainA"
    killed_and_resumed(tmp_path, [task, str(data), "--epochs", "6", *extra])


def test_pairs_too(tmp_path: Path) -> None:
    data = side_by_side(tmp_path / "data", 16, 2)
    killed_and_resumed(
        tmp_path, ["translate", str(data), "--epochs", "6", "--set", "width=4", "--size", "32"]
    )


def killed_and_resumed(folder: Path, asked: list[str]) -> tuple[Path, Path]:
    """kill -9 in the middle of an epoch; the resumed run ends as one that was never stopped.

    Returns:
        The run that was never stopped, and the one that was.
    """
    command = [sys.executable, "-m", "boda", "fit", *asked]
    command += ["--batch", "4", "--set", "save_seconds=0.05"]
    whole, cut = folder / "whole", folder / "cut"
    subprocess.run([*command, "--out", str(whole)], check=True, capture_output=True)
    process = subprocess.Popen([*command, "--out", str(cut)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:  # in mid-epoch, at least one epoch done
        state = read_state(cut)
        if state and state["epoch"] >= 1 and state["batch"] > 0:
            break
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it was not killed in time"
    assert weights_of(cut) != weights_of(whole)
    resume = [sys.executable, "-m", "boda", "fit", "--resume", str(cut)]
    subprocess.run(resume, check=True, capture_output=True)
    assert weights_of(cut) == weights_of(whole)
    return whole, cut


def read_state(run: Path) -> dict | None:
    try:
        return torch.load(run / "state.pt", weights_only=True)["state"]
    except (OSError, RuntimeError, EOFError):
        return None


def test_ctrl_c_saves_everything_and_exits_with_130(shapes: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = [sys.executable, "-m", "boda", "fit", "classify", str(shapes), "--epochs", "5000"]
    process = subprocess.Popen([*command, "--out", str(out)], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (out / "state.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "everything is saved" in told and "Traceback" not in told
    assert Run.open(out).load_state()["state"]["step"] > 0


def test_more_epochs_extend_the_schedule(shapes: Path, tmp_path: Path, capsys) -> None:
    run = fit(shapes, tmp_path / "run", epochs=1)
    run = boda.fit(resume=run.path, epochs=3, progress=Progress())
    assert "extended from 1 epochs to 3 epochs" in capsys.readouterr().err
    assert [row["epoch"] for row in run.history()] == [1, 2, 3]
    assert run.record["epochs"] == 3


def test_minutes_are_measured(shapes: Path, tmp_path: Path) -> None:
    began = time.monotonic()
    run = fit(shapes, tmp_path / "run", epochs=None, minutes=0.05)
    assert 2.5 < run.record["seconds"] <= time.monotonic() - began
    assert run.record["seconds"] < 60 * 0.05 + 10, "but for the last step and the validation"
    rows = run.history()
    assert rows[-1]["steps"] > 10
    assert rows[-1]["rate"] < 0.05 * max(row["rate"] for row in rows), "the rate follows the clock"


def test_looking_takes_few_of_the_minutes(shapes: Path, tmp_path: Path, monkeypatch) -> None:
    """Where a look at val costs much, most epochs do without; the first and the last have theirs."""
    look = engine.measure

    def slow(*given, **named):
        time.sleep(0.5)
        return look(*given, **named)

    monkeypatch.setattr(engine, "measure", slow)
    rows = fit(shapes, tmp_path / "few", epochs=None, minutes=0.1).history()
    looked = ["val_accuracy" in row for row in rows]
    assert looked[0] and looked[-1] and looked.count(True) < len(looked) / 2
    rows = fit(shapes, tmp_path / "all", epochs=3).history()
    assert all("val_accuracy" in row for row in rows), "epochs are counted: each is looked at"


def test_changed_data_cannot_be_resumed(tmp_path: Path) -> None:
    from tests.conftest import write_shapes

    data = tmp_path / "data"
    write_shapes(data / "train", 10, seed=1)
    write_shapes(data / "test", 5, seed=2)
    run = fit(data, tmp_path / "run", epochs=1)
    write_shapes(data / "train", 10, seed=3)
    with pytest.raises(boda.errors.DataError, match="the data has changed"):
        boda.fit(resume=run.path, epochs=2, progress=QUIET)


@pytest.mark.parametrize(("precision", "dtype"), [("32", torch.float32), ("bf16", torch.bfloat16)])
def test_forward_runs_in_the_precision_asked_for(
    shapes: Path, tmp_path: Path, monkeypatch, precision: str, dtype: torch.dtype
) -> None:
    seen = set()
    forward = torch.nn.Conv2d.forward

    def spy(self, x):
        out = forward(self, x)
        if self.training:
            seen.add(out.dtype)
        return out

    monkeypatch.setattr(torch.nn.Conv2d, "forward", spy)
    fit(shapes, tmp_path / "run", epochs=1, precision=precision)
    assert seen == {dtype}


def test_a_loss_that_is_not_finite_names_the_files(
    shapes: Path, tmp_path: Path, monkeypatch
) -> None:
    forward = Classifier.forward

    def broken(self, batch, turn=0):
        return {name: loss * math.nan for name, loss in forward(self, batch, turn).items()}

    monkeypatch.setattr(Classifier, "forward", broken)
    with pytest.raises(TrainingError, match=r"not finite in epoch 1, step 1: loss = nan.*\.png"):
        fit(shapes, tmp_path / "run")


def test_out_of_memory_names_the_batch_that_fits(shapes: Path, tmp_path: Path, monkeypatch) -> None:
    forward = Classifier.forward

    def hungry(self, batch, turn=0):
        if self.training and len(batch.labels) > 5:
            raise torch.OutOfMemoryError
        return forward(self, batch, turn)

    monkeypatch.setattr(Classifier, "forward", hungry)
    with pytest.raises(TrainingError, match="Use --batch 4, with --set accumulate=4"):
        fit(shapes, tmp_path / "run")


def test_accumulation_equals_a_larger_batch(shapes: Path, tmp_path: Path) -> None:
    """Four batches of 8 make the step of one of 32; 96 pictures, so that no rest is smaller."""
    from tests.conftest import write_shapes

    data = tmp_path / "data"
    write_shapes(data / "train", 32, seed=1)
    kept = []
    for name, batch, accumulate in (("one", 32, 1), ("four", 8, 4)):
        run = boda.fit(
            "classify",
            data,
            out=tmp_path / name,
            epochs=2,
            batch=batch,
            precision="32",
            val="none",
            settings={"accumulate": str(accumulate), "optimizer": "sgd"},
            augment="none",
            progress=QUIET,
        )
        kept.append(run.load_state()["model"])
    for name, tensor in kept[0].items():
        torch.testing.assert_close(tensor, kept[1][name], atol=1e-5, rtol=1e-3)


def test_early_stopping(shapes: Path, tmp_path: Path) -> None:
    run = fit(shapes, tmp_path / "run", epochs=60, settings={"patience": "3", "rate": "0.000001"})
    assert len(run.history()) < 60
    assert run.record["finished"]


def test_averaged_weights_are_the_ones_kept(shapes: Path, tmp_path: Path) -> None:
    run = fit(shapes, tmp_path / "run", settings={"ema": "0.99"})
    raw = run.load_state()["model"]
    kept = boda.models.state_files.read_state(run.path / "model.safetensors")
    assert not torch.equal(raw["net.c1.weight"], kept["c1.weight"])


def test_without_validation_the_last_weights_are_kept(shapes: Path, tmp_path: Path) -> None:
    run = fit(shapes, tmp_path / "run", val="none")
    assert "val" not in run.record["split"]["counts"]
    assert "val_accuracy" not in run.history()[0]
    kept = boda.models.state_files.read_state(run.path / "model.safetensors")
    assert torch.equal(run.load_state()["model"]["net.c1.weight"], kept["c1.weight"])


@pytest.mark.parametrize("schedule", ["cosine", "linear", "one-cycle", "constant"])
def test_schedules_rise_and_stay_within_the_peak(schedule: str) -> None:
    plan = Plan(schedule=schedule)
    values = [plan.factor(i / 1000) for i in range(1001)]
    assert values[0] == 0 and max(values) == pytest.approx(1, abs=1e-3)
    assert values[-1] == pytest.approx(0 if schedule != "constant" else 1, abs=1e-9)
    peak = values.index(max(values))
    assert values[:peak] == sorted(values[:peak])
    assert values[peak:] == sorted(values[peak:], reverse=True)


def test_looks_take_a_twentieth_of_the_minutes_at_most() -> None:
    looks = Looks(Plan(minutes=3.0))
    assert looks.due(1, 20.0, chosen=True, last=False)  # nobody knows yet how long one takes
    looks.taken(5.0, 40.0)
    assert not looks.due(2, 139.0, chosen=True, last=False)
    assert looks.due(3, 140.0, chosen=True, last=False)
    assert looks.due(2, 41.0, chosen=True, last=True)
    patient = Looks(Plan(minutes=3.0, patience=2))
    patient.taken(5.0, 40.0)
    assert patient.due(2, 41.0, chosen=True, last=False)


def test_where_nothing_is_chosen_sixteen_epochs_are_looked_at_and_eight_each_doubling() -> None:
    looks = Looks(Plan(minutes=3.0))
    due = [e for e in range(1, 65) if looks.due(e, 0.0, chosen=False, last=False)]
    assert due == [*range(1, 17), *range(18, 33, 2), *range(36, 65, 4)]


def test_cosine_is_the_formula() -> None:
    assert Plan(warmup=0.0).factor(0.5) == pytest.approx((1 + math.cos(math.pi / 2)) / 2)


@pytest.mark.parametrize("bad", [{"batch": 0}, {"rate": -1.0}, {"epochs": 0}, {"rate": math.nan}])
def test_impossible_plans_are_refused(bad: dict) -> None:
    with pytest.raises(UsageError, match="must be more than 0"):
        Plan(**bad)


def test_precision_and_device_are_chosen() -> None:
    assert machine.choose_precision("32", "cpu") == "32"
    expected = "bf16" if machine.processor_has_bfloat16() else "32"
    assert machine.choose_precision("auto", "cpu") == expected
    with pytest.raises(UsageError, match="unknown precision"):
        machine.choose_precision("fp8", "cpu")
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="device 'cuda' is not here"):
            machine.choose_device("cuda")


def test_two_processes_learn_too(shapes: Path, tmp_path: Path) -> None:
    """Fabric starts the second process by the same command; both share their gradients.

    117 pictures in batches of 58: were the shares 59 and 58, one process would wait for the other for ever.
    """
    out = tmp_path / "run"
    command = [
        sys.executable,
        "-m",
        "boda",
        "fit",
        "classify",
        str(shapes),
        "--epochs",
        "4",
        "--json",
    ]
    command += ["--batch", "58", "--devices", "2", "--device", "cpu", "--out", str(out)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    assert json.loads(done.stdout)["epochs"] == 4
    run = Run.open(out)
    assert run.record["processes"] == 2
    assert run.record["data"]["splits"]["train"] == 117
    assert run.history()[-1]["steps"] == 4


def test_an_adversary_does_not_touch_the_other() -> None:
    left, right = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    optimizers = [torch.optim.SGD(m.parameters(), 0.1) for m in (left, right)]
    engine._only_requires_grad(optimizers[0], optimizers)
    assert left.weight.requires_grad and not right.weight.requires_grad


@pytest.mark.parametrize("epoch", [1, 2])
def test_stopped_between_an_epochs_last_batch_and_its_end(
    shapes: Path, tmp_path: Path, monkeypatch, epoch: int
) -> None:
    """Everything of the epoch is learned and saved, but it is not validated yet; also in the last epoch."""
    whole = fit(shapes, tmp_path / "whole", settings={"save_seconds": "0"})
    close = engine.Engine._close_epoch

    def crash(self) -> None:
        if self.state.epoch + 1 == epoch:
            raise ZeroDivisionError
        close(self)

    with monkeypatch.context() as patched:
        patched.setattr(engine.Engine, "_close_epoch", crash)
        with pytest.raises(ZeroDivisionError):
            fit(shapes, tmp_path / "cut", settings={"save_seconds": "0"})
    resumed = boda.fit(resume=tmp_path / "cut", progress=QUIET)
    assert weights_of(resumed) == weights_of(whole)
    assert [row["epoch"] for row in resumed.history()] == [1, 2]


def test_weights_saved_just_before_a_crash_are_put_back(
    shapes: Path, tmp_path: Path, monkeypatch
) -> None:
    """The file of weights and the state always tell of the same epoch once the run is resumed."""
    run = fit(shapes, tmp_path / "run", epochs=1)
    good = weights_of(run)
    (run.path / "model.safetensors").write_bytes(
        b"of an epoch that no line of the history describes"
    )
    with monkeypatch.context() as patched:
        patched.setattr(engine.Engine, "_epoch", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            boda.fit(resume=run.path, epochs=2, progress=QUIET)
    assert weights_of(run) == good


def test_a_budget_that_is_spent_before_the_first_step_still_gives_a_run(
    shapes: Path, tmp_path: Path
) -> None:
    run = fit(shapes, tmp_path / "run", epochs=None, minutes=0.0001)
    assert len(run.history()) == 1 and run.history()[0]["steps"] >= 1
    assert run.record["metrics"]["accuracy"] >= 0


def test_the_only_step_learns(shapes: Path, tmp_path: Path) -> None:
    run = boda.fit(
        "classify", shapes, out=tmp_path / "run", epochs=1, batch=128, progress=QUIET,
        settings={"warmup": "0.5"},
    )  # fmt: skip
    first = boda.trained.build(run.record).net.state_dict()
    kept = boda.models.state_files.read_state(run.path / "model.safetensors")
    assert run.history()[-1]["steps"] == 1
    assert not torch.equal(first["c1.weight"], kept["c1.weight"])


def test_a_gradient_that_is_not_finite_names_its_own_batch(
    shapes: Path, tmp_path: Path, monkeypatch
) -> None:
    class Sick(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            return gradient * math.nan

    forward = Classifier.forward

    def sick(self, batch, turn=0):
        return {"loss": Sick.apply(forward(self, batch, turn)["loss"])}

    monkeypatch.setattr(Classifier, "forward", sick)
    with pytest.raises(
        TrainingError, match=r"the gradient is not finite in epoch 1, step 1.*\.png"
    ):
        fit(shapes, tmp_path / "run", settings={"clip": "1"})


def test_a_run_cannot_be_cut_short_by_resuming(shapes: Path, tmp_path: Path) -> None:
    run = fit(shapes, tmp_path / "run", epochs=2)
    before = weights_of(run)
    with pytest.raises(UsageError, match="cannot be cut to 1 epochs"):
        boda.fit(resume=run.path, epochs=1, progress=QUIET)
    assert boda.fit(resume=run.path, progress=QUIET).record["finished"], "nothing left to do"
    assert weights_of(run) == before


def test_an_early_stopped_run_can_be_extended(shapes: Path, tmp_path: Path) -> None:
    slow = {"patience": "2", "rate": "0.000001"}
    run = fit(shapes, tmp_path / "run", epochs=20, settings=slow)
    done = len(run.history())
    assert done < 20
    assert len(boda.fit(resume=run.path, epochs=40, progress=QUIET).history()) > done


def test_the_persons_random_numbers_stay_theirs(shapes: Path, tmp_path: Path) -> None:
    torch.manual_seed(123)
    expected = torch.rand(3)
    torch.manual_seed(123)
    fit(shapes, tmp_path / "run", epochs=1)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    "bad", [{"patience": -1}, {"warmup": 1.0}, {"clip": -1.0}, {"ema": 1.0}, {"seed": -1}]
)
def test_settings_out_of_range_are_refused(bad: dict) -> None:
    with pytest.raises(UsageError, match=next(iter(bad))):
        Plan(**bad)
