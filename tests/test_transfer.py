"""Transfer learning: what is frozen stays, what is kept gives the same, and the advice has reasons."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import boda
from boda import freezing, models, tasks
from boda.data.prepare import Preparation
from boda.errors import UsageError
from boda.features import Features
from boda.models.parts import blocks, head
from boda.progress import Progress
from boda.runs import Run
from boda.tasks.classify import Classifier, Config
from boda.trained import whose
from tests.conftest import write_shapes

QUIET = Progress(quiet=True)


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on other, coloured pictures, whose weights are the beginning of all others."""
    folder = tmp_path_factory.mktemp("others")
    write_shapes(folder / "data", 20, seed=5, color=True)
    fit(folder / "data", folder / "run", weights=None, freeze=None, epochs=1)
    return folder / "run"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    write_shapes(folder / "train", 16, seed=6, color=True)
    write_shapes(folder / "val", 8, seed=7, color=True)
    return folder


def fit(data: Path, out: Path, **options) -> Run:
    settings = options.pop("settings", {})
    chosen = {"model": "resnet20", "epochs": 3, "batch": 8, "precision": "32", **options}
    return boda.fit("classify", data, out=out, settings=settings, progress=QUIET, **chosen)


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model.safetensors")


def unchanged(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, tensor in before.items() if torch.equal(tensor, after[name])}


def test_everything_but_the_head_stays_to_the_bit(data: Path, others: Path, tmp_path: Path) -> None:
    run = fit(data, tmp_path / "run", weights=str(others), freeze="all")
    before, after = weights_of(others), weights_of(run.path)
    assert unchanged(before, after) == before.keys() - {"fc.weight", "fc.bias"}
    assert run.record["freeze"] == {
        "blocks": 10,
        "of": 10,
        "gradual": False,
        "reason": "you chose it",
    }


def test_some_blocks_stay_with_their_running_averages(data, others, tmp_path) -> None:
    run = fit(data, tmp_path / "run", weights=str(others), freeze="4")
    stayed = unchanged(weights_of(others), weights_of(run.path))
    assert {name for name in stayed if not name.endswith("num_batches_tracked")} == {
        name
        for name in weights_of(others)
        if name.startswith(("conv1.", "bn1.", "layer1.")) and not name.endswith("tracked")
    }


@pytest.mark.parametrize("augment", ["none", "light"])
def test_kept_features_give_what_computing_them_anew_gives(
    data: Path, others: Path, tmp_path: Path, augment: str
) -> None:
    same = {"weights": str(others), "freeze": "all", "augment": augment, "epochs": 5}
    views = "1" if augment == "none" else "2"
    kept = fit(data, tmp_path / "kept", settings={"views": views}, **same)
    anew = fit(data, tmp_path / "anew", settings={"views": views, "keep_features": "no"}, **same)
    first, second = weights_of(kept.path), weights_of(anew.path)
    for name in ("fc.weight", "fc.bias"):
        torch.testing.assert_close(first[name], second[name], atol=1e-5, rtol=1e-4)
        assert not torch.equal(first[name], weights_of(others)[name])
    for one, other in zip(kept.history(), anew.history(), strict=True):
        assert one["train_loss"] == pytest.approx(other["train_loss"], rel=1e-3)
        assert one["val_accuracy"] == other["val_accuracy"]


def test_maps_that_are_kept_meet_the_same_dropout(data: Path, tmp_path: Path) -> None:
    first = fit(data, tmp_path / "first", model="squeezenet-1.1", size="32", epochs=1, lr=1e-3)
    same = {"weights": str(first.path), "model": None, "freeze": "all", "size": "32", "lr": 1e-2}
    kept = fit(data, tmp_path / "kept", settings={"views": "1"}, **same)
    anew = fit(data, tmp_path / "anew", settings={"views": "1", "keep_features": "no"}, **same)
    begun, one, other = (weights_of(run.path) for run in (first, kept, anew))
    name = "classifier.1.weight"
    torch.testing.assert_close(one[name], other[name], atol=1e-5, rtol=1e-4)
    assert (one[name] - begun[name]).abs().max() > 1e-3


def test_features_are_computed_once(data, others, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    same = {"weights": str(others), "freeze": "all", "augment": "none"}

    def files() -> int:
        return len(list((tmp_path / "cache" / "boda" / "features").glob("*.safetensors")))

    first = fit(data, tmp_path / "a", **same)
    assert files() == 1
    monkeypatch.setattr(boda.features, "_compute", None)  # what it would raise if it were called
    second = fit(data, tmp_path / "b", **same)
    assert weights_of(first.path).keys() == weights_of(second.path).keys()
    assert (first.path / "model.safetensors").read_bytes() == (
        second.path / "model.safetensors"
    ).read_bytes()
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    fit(data, tmp_path / "c", **{**same, "augment": "light"})
    fit(data, tmp_path / "d", **{**same, "weights": str(first.path), "size": "24"})
    assert files() == 3
    (tmp_path / "cache" / "boda" / "features").rename(tmp_path / "away")
    (tmp_path / "cache" / "boda" / "features").write_text("no folder: nothing can be kept")
    assert weights_of(fit(data, tmp_path / "e", **same).path).keys()


def test_the_oldest_features_make_room(tmp_path: Path, monkeypatch) -> None:
    values = {"train": torch.zeros(1, 100)}
    monkeypatch.setattr(boda.features, "MOST", 1200)
    names = [tmp_path / f"{letter}.safetensors" for letter in "abcd"]
    for age, file in enumerate(names):
        boda.features._remember(file, values)
        if file.exists():
            import os

            os.utime(file, (age, age))
    assert [file.exists() for file in names] == [False, False, True, True]
    boda.features._remember(tmp_path / "large.safetensors", {"train": torch.zeros(1, 1000)})
    assert not (tmp_path / "large.safetensors").exists()


def test_views_take_turns() -> None:
    values = torch.arange(6.0).view(3, 2, 1)
    pictures = boda.data.dataset.Pictures(
        [boda.types.Sample("a", "a", label=0)] * 2, Preparation(8, 8)
    )
    features = Features(pictures, values)
    for epoch, expected in enumerate([[0, 1], [2, 3], [4, 5], [0, 1]]):
        features.begin(epoch)
        (batch,) = features.in_order(5)
        assert batch.images.flatten().tolist() == expected


@pytest.mark.parametrize("freeze", ["all", "gradual"])
def test_a_resumed_run_is_the_same(data, others, tmp_path, monkeypatch, freeze: str) -> None:
    same = {"weights": str(others), "freeze": freeze, "epochs": 4, "augment": "light"}
    whole = fit(data, tmp_path / "whole", **same)
    monkeypatch.setattr(boda.engine, "SAVE_EVERY", 0.0)
    step, count = boda.engine.Engine._step, 0

    def stopping(self, batch):
        nonlocal count
        count += 1
        if count == 15:  # in the third of the epochs, which have six steps
            self.stop.asked = True
        step(self, batch)

    monkeypatch.setattr(boda.engine.Engine, "_step", stopping)
    with pytest.raises(KeyboardInterrupt):
        fit(data, tmp_path / "cut", **same)
    monkeypatch.undo()
    boda.fit(resume=tmp_path / "cut", progress=QUIET)
    for name in ("model.safetensors",):
        assert (tmp_path / "cut" / name).read_bytes() == (whole.path / name).read_bytes()


def test_a_run_stopped_before_its_first_save_starts_from_its_weights(
    data, others, tmp_path
) -> None:
    run = fit(data, tmp_path / "run", weights=str(others), freeze="all", augment="none")
    expected = (run.path / "model.safetensors").read_bytes()
    for name in ("state.pt", "model.safetensors", "history.jsonl"):
        (run.path / name).unlink()
    del run.record["finished"]
    run.save_record()
    boda.fit(resume=run.path, progress=QUIET)
    assert (run.path / "model.safetensors").read_bytes() == expected


def test_blocks_thaw_from_the_head_down(data, others, tmp_path, monkeypatch) -> None:
    seen: list[int] = []
    thaw = boda.engine.Engine._thaw

    def spy(self):
        thaw(self)
        seen.append(self.method.frozen)

    monkeypatch.setattr(boda.engine.Engine, "_thaw", spy)
    run = fit(data, tmp_path / "run", weights=str(others), freeze="gradual", epochs=8)
    assert seen == [10, 8, 5, 3, 0, 0, 0, 0]
    stayed = unchanged(weights_of(others), weights_of(run.path))
    assert not stayed


@pytest.mark.parametrize(
    ("pictures", "blocks_", "word"),
    [(400, 10, "small set"), (5_000, 5, "larger set"), (50_000, 0, "large set")],
)
def test_the_advice_of_the_notes(pictures: int, blocks_: int, word: str) -> None:
    advice = freezing.choose("auto", 10, pictures, weights=True)
    assert advice.blocks == blocks_ and word in advice.reason
    assert freezing.only_the_head(None, pictures, weights=True) == (blocks_ == 10)
    assert freezing.choose(None, 10, pictures, weights=True) == advice
    assert freezing.choose(None, 10, pictures, weights=False).blocks == 0


def test_a_method_that_fine_tunes_keeps_nothing_unless_it_is_told_to() -> None:
    assert freezing.choose(None, 5, 100, True, tunes=True).blocks == 0
    assert freezing.choose("all", 5, 100, True, tunes=True).blocks == 5
    assert freezing.choose(None, 5, 100, True).blocks == 5
    assert tasks.method("rcnn").tunes and not tasks.method("classifier").tunes


@pytest.mark.parametrize(
    ("freeze", "weights", "why"),
    [
        ("some", True, "all, none, auto, gradual or a number"),
        ("-1", True, "a number of blocks"),
        ("11", True, "10 blocks before its head"),
        ("all", False, "random weights"),
        ("gradual", False, "random weights"),
    ],
)
def test_impossible_freezes(freeze: str, weights: bool, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        freezing.choose(freeze, 10, 500, weights)


def test_nothing_is_written_when_the_freeze_is_impossible(data, others, tmp_path) -> None:
    with pytest.raises(UsageError, match="10 blocks"):
        fit(data, tmp_path / "run", weights=str(others), freeze="12")
    assert not (tmp_path / "run").exists()


def test_rates_fall_from_the_head_to_the_input() -> None:
    net = models.create("resnet20", classes=3)
    method = Classifier(net, Preparation(32, 32), Config(layer_decay=0.5))
    (optimizer,) = method.optimizers(0.1)
    share = {id(p): g["rate_share"] for g in optimizer.param_groups for p in g["params"]}
    assert len(share) == len(list(net.parameters()))
    assert share[id(head(net)[1].weight)] == 1
    for depth, block in enumerate(reversed(blocks(net)), start=1):
        assert {share[id(p)] for m in block for p in m.parameters()} == {0.5**depth}


def test_a_frozen_method_trains_its_head_only_and_without_dropout() -> None:
    method = Classifier(models.create("resnet20"), Preparation(32, 32), Config())
    method.freeze(10)
    method.train()
    assert method.net.get_submodule("fc").training and not method.net.training
    assert [n for n, p in method.net.named_parameters() if p.requires_grad] == [
        "fc.weight",
        "fc.bias",
    ]
    method.freeze(3)
    method.train()
    assert method.net.training and not method.net.bn1.training and method.net.layer3.training


def test_weights_bring_their_network_and_its_options(data: Path, tmp_path: Path) -> None:
    half = {"settings": {"width": "0.5"}, "model": "mobilenet-v2", "size": "32"}
    first = fit(data, tmp_path / "first", epochs=1, **half)
    run = fit(data, tmp_path / "run", epochs=1, weights=str(first.path), model=None, size="32")
    assert (run.record["model"], run.record["options"]) == ("mobilenet-v2", {"width": 0.5})
    assert run.record["defaults"]["model"]["reason"] == "the weights are of it"


def test_a_layout_of_one_network_names_it(tmp_path: Path) -> None:
    net = models.create("squeezenet-1.1")
    torch.save(
        {"fire2/squeeze1x1.weight": net.state_dict()["features.3.squeeze.weight"]},
        tmp_path / "a.pth",
    )
    torch.save({"linear.weight": torch.zeros(10, 64)}, tmp_path / "b.pth")  # any CIFAR ResNet's
    assert whose(tmp_path / "a.pth") == ("squeezenet-1.1", {})
    assert whose(tmp_path / "b.pth") == (None, {})
