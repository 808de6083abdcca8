"""``generate`` from the fit to the pictures: what is learned, measured, drawn and refused."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import draw_shape
from PIL import Image
from scipy import linalg
from scipy.spatial.distance import pdist

import boda
from boda import api, models, tasks
from boda.contact_sheet import picture_grid
from boda.data.dataset import Batch
from boda.data.prepare import Preparation
from boda.errors import UsageError
from boda.ops.adversarial_losses import AdversarialLoss
from boda.ops.signed import signed
from boda.progress import Progress
from boda.runs import Run
from boda.tasks.generate import samples
from boda.tasks.generate.adversarial import Adversarial
from boda.tasks.generate.features import Judge, Pixels
from boda.tasks.generate.fidelity import Likeness

QUIET = Progress(quiet=True)
SMALL = {"size": "16", "settings": {"width": "4", "save_seconds": "0"}, "progress": QUIET}


@pytest.fixture(scope="module")
def made_run(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("runs") / "made"
    return boda.fit("generate", shapes, model="dcgan-conditional", epochs=2, out=out, **SMALL)


def method(model: str = "dcgan", classes: int = 3, **config) -> Adversarial:
    torch.manual_seed(0)
    options = {"norm": "layer"} if config.get("gp") else {}
    net = models.create(model, classes=classes, channels=1, size=16, width=5, **options)
    return Adversarial(
        net, Preparation(16, 16, 1, "crop", (0.5,), (0.25,)), Adversarial.Config(**config)
    )


def batch(count: int = 5, channels: int = 1) -> Batch:
    random = torch.Generator().manual_seed(1)
    shape = (count, channels, 16, 16)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=random)
    return Batch(images, torch.arange(count) % 3, torch.arange(count))


def test_a_run_has_its_history_samples_and_figures(made_run: Run) -> None:
    first, last = made_run.history()
    for row in (first, last):
        assert 0 <= row["train_accuracy_real"] <= 1 and 0 <= row["train_accuracy_made"] <= 1
        assert row["train_diversity"] > 0 and row["val_fid"] > 0
    assert made_run.record["options"]["size"] == 16 and not made_run.record["exports"]
    sheets = sorted((made_run.path / "samples").iterdir())
    assert [file.name for file in sheets] == ["epoch-0001.png", "epoch-0002.png"]
    # The last sheet is what the kept weights make of the same noise, three classes in turn.
    kept = made_run.trained().method
    noise, labels = samples.drawn(kept, 63, 0), torch.arange(63) % 3
    expected = picture_grid(samples.pictures(kept, noise, labels), 3)
    assert np.array_equal(np.asarray(Image.open(sheets[-1])), expected)
    told = made_run.evaluation()
    assert told["features"] == "pixels 8×8" and "FID of" in told["remarks"][0]
    report = made_run.report.read_text("utf-8")
    figures = boda.evaluate(made_run.path, split="test")["metrics"]
    assert figures["fid"] > 2 * figures["real_fid"] > 0  # two epochs teach little
    assert "pixels 8×8" in report and 'id="samples"' in report and "boda generate" in report


def test_the_verb_writes_pictures_grids_and_ways(made_run: Run, tmp_path: Path, boda) -> None:
    def run(name: str, *more: object) -> dict:
        status, out, err = boda(
            "generate", made_run.path, "--out", tmp_path / name, *more, "--json"
        )
        assert status == 0, err
        return json.loads(out)

    told = run("plain", "--count", 4, "--seed", 3)
    assert [Path(file).name for file in told["files"]] == ["1.png", "2.png", "3.png", "4.png"]
    assert told["names"] == [*made_run.classes, made_run.classes[0]]
    pictures = [np.asarray(Image.open(file)) for file in told["files"]]
    again = api.generate(made_run.path, 4, seed=3).pictures
    assert all(map(np.array_equal, pictures, again)) and pictures[0].shape == (16, 16, 3)
    assert not np.array_equal(pictures[0], api.generate(made_run.path, 4, seed=4).pictures[0])
    one = run("grid", "--count", 4, "--label", made_run.classes[2], "--grid")
    assert one["names"] == [made_run.classes[2]] * 4 and len(one["files"]) == 1
    way = run("way", "--count", 2, "--interpolate", 5)
    assert way["count"] == 10 and len(set(way["names"][:5])) == 1
    both = run("near", "--count", 3, "--nearest")
    assert both["count"] == 6 and set(both["copies"]) == {"nearest_made", "nearest_real", "copied"}
    status, _, err = boda("generate", made_run.path, "--out", tmp_path / "plain")
    assert status == 2 and "not empty" in err


def test_the_way_is_straight_and_has_both_ends() -> None:
    one = method()
    noise = samples.between(one, 2, 3, seed=5).view(2, 3, -1)
    ends = samples.drawn(one, 4, seed=5).view(2, 2, -1)
    torch.testing.assert_close(noise[:, [0, 2]], ends)
    torch.testing.assert_close(noise[:, 1], ends.mean(1))


def test_the_nearest_are_those_of_a_plain_search(made_run: Run, shapes: Path) -> None:
    made = api.generate(made_run.path, 3)
    beside = api.generate(made_run.path, 3, nearest=True).pictures
    files = sorted((shapes / "train").rglob("*.png"))
    real = np.stack([np.asarray(Image.open(f), np.float64) for f in files])
    for i, picture in enumerate(made.pictures):
        assert np.array_equal(beside[2 * i], picture)
        there = beside[2 * i + 1][..., 0]
        best = np.sqrt(np.square(real - picture[..., 0]).sum((1, 2))).min()
        # What was held back for val is in those files too: none is nearer than the best of all.
        assert np.sqrt(np.square(there - picture[..., 0].astype(float)).sum()) >= best - 1e-9
        assert (real == there).all((1, 2)).any()


@pytest.mark.parametrize("model", ["dcgan", "dcgan-conditional", "gan"])
def test_a_turn_is_the_formula_and_the_other_stands_still(model: str) -> None:
    both = method(model, loss="hinge").eval()
    some, loss = batch(), AdversarialLoss("hinge")
    labels = some.labels if both.classes else None
    real = some.images.float() / 127.5 - 1
    torch.manual_seed(3)
    made = both.net.generate(both.net.draw(5), labels).detach()
    judge = both.net.discriminator
    torch.manual_seed(3)
    told = both(some, 0)
    expected = loss.discriminator(judge(real, labels), judge(made, labels))
    torch.testing.assert_close(told["discriminator"], expected)
    told["discriminator"].backward()
    assert all(p.grad is None for p in both.net.generator.parameters())
    torch.manual_seed(3)
    torch.testing.assert_close(both(some, 1)["generator"], loss.generator(judge(made, labels)))
    apart = pdist(made.flatten(1).numpy()).mean() / pdist(real.flatten(1).numpy()).mean()
    assert both.noted["diversity"].item() == pytest.approx(apart, rel=1e-4)


def test_penalties_are_added_with_their_share() -> None:
    once = method(loss="wasserstein", gp=10.0)
    torch.manual_seed(1)
    told = once(batch())
    assert set(told) == {"discriminator", "gp"} and told["gp"] > 0
    twice = method(loss="wasserstein", gp=20.0, r1=1.0)
    torch.manual_seed(1)
    more = twice(batch())
    torch.testing.assert_close(more["gp"], 2 * told["gp"])
    assert more["r1"] > 0


def test_of_few_pictures_the_discriminator_sees_changed_ones(made_run: Run) -> None:
    chosen = made_run.record["defaults"]["diffaugment"]
    assert made_run.record["config"]["diffaugment"] is True and "by heart" in chosen["reason"]
    many = SimpleNamespace(samples=60_000, height=28, width=28, gray=True, classes=10)
    assert tasks.task("generate").defaults(many, None)["diffaugment"].value is False
    seen = []
    one = method(diffaugment=True)
    one.net.discriminator.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    one(batch())
    one(batch(), turn=1)["generator"].backward()
    real = signed(batch().images)
    for shown in seen:  # a quarter is cut out of most, and nothing of the whole picture stays
        assert (shown == 0).float().mean() > 0.1 and not torch.isclose(shown, real).any(0).any()
    assert len(seen) == 3 and all(p.grad.abs().sum() > 0 for p in one.net.generator.parameters())


def test_a_made_picture_follows_from_the_real_one_alone() -> None:
    one = method("dcgan-conditional").eval()
    images = batch(7).images
    with torch.inference_mode():
        together = one.output(images)
        alone = torch.cat([one.output(each) for each in images.split(2)])
        turned = one.output(images.flip(0)).flip(0)
    torch.testing.assert_close(together, alone)
    torch.testing.assert_close(together, turned)
    assert together.unique(dim=0).shape[0] == 7 and 0 <= together.min() <= together.max() <= 1


def test_figures_against_scipy() -> None:
    random = np.random.default_rng(0)
    real, made = (random.integers(0, high, (90, 1, 16, 16), dtype=np.uint8) for high in (255, 160))
    metrics = Likeness(Pixels())
    for part in range(0, 90, 30):
        metrics.update(real[part : part + 30], made[part : part + 30])
    told = metrics.compute()
    means = [x.reshape(90, 8, 2, 8, 2).mean((2, 4)).reshape(90, 64) / 255.0 for x in (real, made)]

    def fid(one: np.ndarray, other: np.ndarray) -> float:
        a, b = np.cov(one.T), np.cov(other.T)
        return np.square(one.mean(0) - other.mean(0)).sum() + np.trace(
            a + b - 2 * linalg.sqrtm(a @ b).real
        )

    assert told["fid"] == pytest.approx(fid(*means), rel=1e-3)
    assert told["real_fid"] == pytest.approx(fid(means[0][0::2], means[0][1::2]), rel=1e-3)
    assert told["diversity"] == pytest.approx(pdist(means[1]).mean() / pdist(means[0]).mean(), 1e-4)
    assert not [each for each in metrics.details()["remarks"] if "collapsed" in each]


def test_collapse_is_told() -> None:
    random = np.random.default_rng(0)
    real = random.integers(0, 255, (70, 1, 16, 16), dtype=np.uint8)
    metrics = Likeness(Pixels())
    metrics.update(real, np.broadcast_to(real[:1], real.shape).copy())
    assert metrics.compute()["diversity"] == 0
    assert any("collapsed" in each for each in metrics.details()["remarks"])
    task = tasks.task("generate")
    assert "collapsed" in task.remark({"train_diversity": 0.05}) and not task.remark({})
    assert not task.remark({"train_diversity": 0.5})


def test_a_judge_gives_the_input_of_its_last_layer(shapes_run: Path, made_run: Run) -> None:
    judge = Judge(str(shapes_run))
    random = np.random.default_rng(0)
    pictures = np.stack([draw_shape(i % 3, random) for i in range(6)])[:, None]
    features, said = judge(pictures)
    trained = judge.trained
    last = trained.method.net.get_submodule(trained.method.head)
    with torch.inference_mode():
        again = last(torch.from_numpy(features)).softmax(1)
    np.testing.assert_allclose(said, again.numpy(), atol=1e-5)
    for picture, row in zip(pictures, said, strict=True):
        prediction = Run.open(shapes_run).predict(picture[0])
        assert prediction.scores[0] == pytest.approx(row.max(), abs=1e-4)
    assert "lenet5" in judge.name and len(judge.classes) == 3
    with pytest.raises(UsageError, match="fit classify"):
        Judge(str(made_run.path))


def test_with_a_judge_the_classes_are_counted(
    shapes: Path, shapes_run: Path, tmp_path: Path
) -> None:
    settings = {**SMALL["settings"], "judge": str(shapes_run)}
    run = boda.fit(
        "generate", shapes, epochs=1, out=tmp_path / "run", **{**SMALL, "settings": settings}
    )
    told = boda.evaluate(run.path, split="test")
    assert str(shapes_run) in told["features"] and 0 < told["metrics"]["confidence"] <= 1
    assert sum(row["support"] for row in told["per_class"].values()) == told["samples"] == 60


def test_pictures_without_classes_are_enough(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    (tmp_path / "data").mkdir()
    for i in range(30):
        Image.fromarray(draw_shape(i % 3, random)).save(tmp_path / "data" / f"{i}.png")
    run = boda.fit("generate", tmp_path / "data", epochs=1, out=tmp_path / "run", **SMALL)
    assert len(api.generate(run.path, 2).pictures) == 2
    with pytest.raises(UsageError, match="told no classes"):
        api.generate(run.path, label="1")
    with pytest.raises(UsageError, match="class folders"):
        boda.fit("generate", tmp_path / "data", model="dcgan-conditional", progress=QUIET)


def test_refusals(made_run: Run, shapes_run: Path, shapes: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Did you mean"):
        api.generate(made_run.path, label="bax")
    with pytest.raises(UsageError, match="2 steps"):
        api.generate(made_run.path, interpolate=1)
    with pytest.raises(UsageError, match="makes no pictures of noise"):
        api.generate(shapes_run)
    with pytest.raises(UsageError, match="boda generate"):
        made_run.predict(np.zeros((16, 16), np.uint8))
    with pytest.raises(UsageError, match="drawn from noise"):
        boda.export(made_run.path)
    for settings, size, words in (
        ({"gp": "10", "norm": "batch"}, "16", "norm=layer"),
        ({"loss": "hinges"}, "16", "Did you mean hinge"),
        ({"smoothing": "0.1", "loss": "wasserstein"}, "16", "smoothing"),
        ({"pace": "0"}, "16", "pace"),
        ({"judge": str(made_run.path)}, "16", "fit classify"),
        ({}, "16x32", "--size 16"),
        ({}, "30", "--size 28 or 32"),
    ):
        with pytest.raises(UsageError, match=words):
            boda.fit(
                "generate",
                shapes,
                size=size,
                settings={"width": "4", **settings},
                out=tmp_path / "no",
                progress=QUIET,
            )
        assert not (tmp_path / "no").exists()


def test_figures_of_many_short_epochs_are_thinned(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for split in ("train", "val"):
        (tmp_path / "data" / split).mkdir(parents=True)
        for i in range(4):
            picture = Image.fromarray(draw_shape(i % 3, random))
            picture.save(tmp_path / "data" / split / f"{i}.png")
    run = boda.fit("generate", tmp_path / "data", epochs=21, out=tmp_path / "run", **SMALL)
    measured = [row["epoch"] for row in run.history() if "val_fid" in row]
    assert measured == [*range(1, 17), 18, 20, 21] and len(run.history()) == 21
    sheets = sorted(file.name for file in (run.path / "samples").iterdir())
    assert sheets == [f"epoch-{epoch:04}.png" for epoch in measured]
    assert run.record["defaults"]["diffaugment"]["value"] is True
