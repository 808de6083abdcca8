"""The task ``upscale`` end to end, on pictures of stripes whose small ones are made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import boda
from boda import models, runtime, tasks
from boda.data.dataset import Batch
from boda.data.low_resolution import small
from boda.data.prepare import Preparation
from boda.enlarging import enlarged, pixels
from boda.errors import DataError, UsageError
from boda.models.state_files import read_state
from boda.progress import Progress
from boda.runs import Run
from boda.types import Sample
from tests.data.map_sets import save
from tests.stirring import stirred

QUIET = Progress(quiet=True)
SMALL = {"blocks": "1", "width": "8", "patch": "8", "patches": "48", "size": "20", "scale": "2"}
TILE = 24
Boda = Callable[..., tuple[int, str, str]]


def stripes(generator: np.random.Generator, height: int, width: int) -> np.ndarray:
    """(height, width, 3) uint8: waves of two colours, with an edge across."""
    y, x = np.mgrid[:height, :width]
    angle, length = generator.uniform(0, np.pi), generator.uniform(4, 9)
    wave = np.sign(np.sin((np.cos(angle) * x + np.sin(angle) * y) * 2 * np.pi / length))
    one, other = generator.integers(0, 256, (2, 3))
    return np.where(wave[..., None] > 0, one, other).astype(np.uint8)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of several sizes, train and test; sides that 2 does not divide too."""
    root, generator = tmp_path_factory.mktemp("plain"), np.random.default_rng(0)
    for split, count in (("train", 6), ("test", 3)):
        for number in range(count):
            picture = stripes(generator, 50 + 3 * number, 60 - 5 * number)
            save(picture, root / split / f"줄{number}.png")
    return root


def fit(data: Path, out: Path, model: str = "srresnet", **how) -> Run:
    settings = SMALL | how.pop("settings", {})
    size = settings.pop("size")
    return boda.fit(
        "upscale", data, out=out, model=model, size=size, progress=QUIET, settings=settings,
        **{"epochs": 2, "batch": 8, "val": "none", **how},
    )  # fmt: skip


@pytest.fixture(scope="module")
def run(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A small network after some hundred steps."""
    settings = {"patches": "640", "precision": "32", "blocks": "2", "width": "16", "rate": "0.01"}
    return fit(plain, tmp_path_factory.mktemp("runs") / "run", epochs=3, settings=settings)


def test_it_learns_and_its_figures_are_the_formula(plain: Path, run: Run) -> None:
    told = boda.evaluate(run.path)
    assert told["split"] == "test" and told["samples"] == 3
    figures, learned = told["metrics"], boda.evaluate(run.path, split="train")["metrics"]
    assert learned["psnr"] > learned["bicubic_psnr"], "these stripes were learned"
    method, found = run.trained().method, []
    for row, file in zip(told["per_picture"], sorted((plain / "test").iterdir()), strict=True):
        whole = np.asarray(Image.open(file))
        large = whole[: whole.shape[0] // 2 * 2, : whole.shape[1] // 2 * 2]
        low = torch.tensor(small(large, 2)).permute(2, 0, 1)[None]
        with torch.inference_mode():
            made = (255 * method.output(low)[0]).round().permute(1, 2, 0).numpy()
        weights = np.array([65.481, 128.553, 24.966]) / 255
        one, other = (16 + picture.astype(np.float64) @ weights for picture in (made, large))
        wanted = -10 * np.log10(np.square((one - other)[2:-2, 2:-2] / 255).mean())
        assert row["psnr"] == pytest.approx(wanted, abs=1e-6) and row["source"] == str(file)
        found.append(wanted)
    assert figures["psnr"] == pytest.approx(np.mean(found), abs=1e-6)


@pytest.mark.parametrize("size", [(TILE, TILE), (25, 53), (70, TILE), (64, 47)])
@pytest.mark.parametrize("name", ["srresnet", "srcnn", "srresnet-2016"])
def test_tiles_give_what_the_whole_picture_gives(name: str, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    options = {} if name == "srcnn" else {"blocks": 1, "width": 8}
    net = models.create("srcnn" if name == "srcnn" else "srresnet", **options)
    if name == "srresnet-2016":
        net = models.srresnet.SRResNet(3, 4, 1, 8)
    net = stirred(net).eval()
    assert 2 * net.reach < TILE, "else nothing is left of a tile"
    for parameter in net.parameters():  # so that far pixels count too
        parameter.data *= 2
    picture = np.random.default_rng(1).integers(60, 190, (*size, 3)).astype(np.uint8)
    seen = []

    def network(images: np.ndarray) -> np.ndarray:
        seen.append(images.shape)
        with torch.inference_mode():
            return net(torch.from_numpy(images).float() / 255).clamp(0, 1).numpy()

    whole = pixels(network(picture.transpose(2, 0, 1)[None])[0])
    del seen[:]
    tiled = enlarged(picture, Preparation(TILE, TILE, rule="tiles"), net.reach, network)
    assert tiled.shape == whole.shape == (net.scale * size[0], net.scale * size[1], 3)
    assert np.abs(tiled.astype(int) - whole).max() <= 1 and (tiled != whole).mean() < 1e-3
    assert all(shape[0] <= 4 and shape[1:] == (3, TILE, TILE) for shape in seen), (
        "and no more memory"
    )
    if size == (64, 47):
        narrow = enlarged(picture, Preparation(TILE, TILE, rule="tiles"), 0, network)
        assert np.abs(narrow.astype(int) - whole).max() > 1, "the reach is needed"


def test_a_picture_below_a_tile_is_mirrored() -> None:
    picture = stripes(np.random.default_rng(2), 7, 30)
    seen = []

    def network(images: np.ndarray) -> np.ndarray:
        seen.append(images)
        return (images / 255).repeat(2, 2).repeat(2, 3)

    made = enlarged(picture, Preparation(16, 16, rule="tiles"), 3, network)
    np.testing.assert_array_equal(made, picture.repeat(2, 0).repeat(2, 1))
    mirrored = np.concatenate([picture, picture[::-1], picture])[:16, :16]
    np.testing.assert_array_equal(seen[0][0].transpose(1, 2, 0), mirrored)


def test_exported_it_makes_the_same_pictures(run: Run, plain: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    file, difference = boda.api.export(run.path, tmp_path / "model.onnx")
    assert difference < 1e-4
    picture = plain / "test" / "줄0.png"
    one, other = runtime.load(file).predict(picture), run.predict(picture)
    assert one.image is not None and other.image is not None and one.image.shape == (100, 120, 3)
    assert np.abs(one.image.astype(int) - other.image).max() <= 1
    assert other.draw() is other.image and other.to_dict() == {
        "source": str(picture),
        "size": [50, 60],
        "made": [100, 120],
    }


def test_pictures_need_a_folder(run: Run, plain: Path, tmp_path: Path, boda: Boda) -> None:
    status, _, err = boda("predict", run.path, plain / "test")
    assert status == 2 and "upscale makes pictures: name a folder for them, --out DIR" in err
    status, said, err = boda("predict", run.path, plain / "test", "--out", tmp_path / "out")
    assert status == 0, err
    for file in (plain / "test").iterdir():
        before, after = (Image.open(path) for path in (file, tmp_path / "out" / file.name))
        assert after.size == (2 * before.width, 2 * before.height)
        assert f"{file}: made, {after.width}×{after.height}" in said


def test_pairs_say_their_scale(plain: Path, run: Run, tmp_path: Path, boda: Boda) -> None:
    for number, file in enumerate(sorted((plain / "test").iterdir())):
        large = np.asarray(Image.open(file))
        large = large[: large.shape[0] // 3 * 3, : large.shape[1] // 3 * 3]
        save(large, tmp_path / "pairs" / f"{number}_HR.png")
        save(small(large, 3), tmp_path / "pairs" / f"{number}_LR.png")
    how = {name: value for name, value in SMALL.items() if name not in ("scale", "size")}
    command = ["fit", "upscale", tmp_path / "pairs", "--epochs", 1, "--batch", 8, "--size", 20]
    command += [word for name, value in how.items() for word in ("--set", f"{name}={value}")]
    status, _, err = boda(*command, "--val", "none", "--out", tmp_path / "run")
    assert status == 0, err
    assert Run.open(tmp_path / "run").record["options"]["scale"] == 3
    status, _, err = boda(*command, "--set", "scale=2", "--out", tmp_path / "other")
    assert status == 2 and "is enlarged 3 times in this data, not 2" in err
    assert not (tmp_path / "other").exists()
    status, _, err = boda("evaluate", run.path, tmp_path / "pairs")
    assert status == 2 and "is enlarged 3 times in this data, not 2" in err


def test_val_is_measured_on_whole_pictures(plain: Path, tmp_path: Path) -> None:
    """And the report shows the worst: bicubic, made and true beside each other."""
    run = fit(plain / "train", tmp_path / "run", epochs=1, val=None)
    (row,) = run.history()
    assert row["steps"] == 6 and row["val_psnr"] == run.record["metrics"]["psnr"]
    assert "bicubic_ssim" in run.record["metrics"]
    assert "dB, bicubic" in run.report.read_text()


@pytest.mark.parametrize("model", ["srresnet", "srgan"])
def test_crashed_and_resumed_gives_the_same_bytes(
    plain: Path, tmp_path: Path, interrupted: Callable[..., tuple[Run, Run]], model: str
) -> None:
    """In the middle of the second epoch: the same patches, both optimizers, the same averages."""
    how = {"model": model, "settings": {"save_seconds": "0"}}
    whole, resumed = interrupted(lambda out: fit(plain, out, **how), tmp_path)
    rows = [[row["train_loss"] for row in each.history()] for each in (whole, resumed)]
    assert rows[0] == rows[1] and len(rows[0]) == 2


def test_a_generator_starts_from_what_was_fitted(plain: Path, run: Run, tmp_path: Path) -> None:
    """The options are the weights'; at a rate of nearly 0 the generator stays what it was."""
    made = boda.fit(
        "upscale", plain, model="srgan", weights=str(run.path), epochs=1, batch=8, val="none",
        out=tmp_path / "run", size="20", progress=QUIET,
        settings={"patch": "8", "patches": "8", "rate": "1e-12", "ema": "0"},
    )  # fmt: skip
    assert made.record["options"] == {"scale": 2, "blocks": 2, "width": 16}
    before = read_state(run.path / "model.safetensors")
    after = read_state(made.path / "model.safetensors")
    for name, tensor in before.items():
        torch.testing.assert_close(after[f"generator.{name}"], tensor)
    assert any(name.startswith("discriminator.") for name in after)
    row = made.history()[0]
    assert 0 <= row["train_real_right"] <= 1 and 0 <= row["train_made_right"] <= 1


def new_srgan() -> tuple[tasks.Method, Batch]:
    torch.manual_seed(0)
    kind = tasks.method("srgan")
    net = models.create("srgan", scale=2, blocks=1, width=4)
    method = kind(stirred(net), Preparation(16, 16, mean=(0.0,) * 3, std=(1.0,) * 3), kind.Config())
    small, large = (torch.randint(0, 256, (4, 3, s, s), dtype=torch.uint8) for s in (8, 16))
    index = torch.arange(4)
    return method, Batch(small, torch.zeros(4).long(), index, targets=large)


def test_an_adversary_learns_from_its_own_turn() -> None:
    """And the weights of its losses are those of the configuration."""
    method, batch = new_srgan()
    sum(method(batch, 0).values()).backward()
    assert all(p.grad is None for p in method.net.generator.parameters())
    assert all(p.grad is not None for p in method.net.discriminator.parameters())
    losses = method.eval()(batch, 1)
    assert set(losses) == {"pixels", "adversarial"}
    with torch.no_grad():
        made = method.net(batch.images / 255)
        wanted = -torch.nn.functional.logsigmoid(method.net.discriminator(made)).mean()
    assert losses["adversarial"].item() == pytest.approx(1e-3 * wanted.item(), rel=1e-5)
    apart = (made - batch.targets / 255).abs().mean()
    assert losses["pixels"].item() == pytest.approx(apart.item(), rel=1e-5)


def test_features_are_measured_in_where_they_are_named(
    plain: Path, run: Run, shared_data: Path
) -> None:
    called = f"squeezenet-1.1:{shared_data / 'weights' / 'squeezenet1_1_fp16.npz'}"
    run = Run.open(run.path)
    run.record["config"]["features"] = called
    trained = run.trained()
    task = tasks.task("upscale").of(trained.method)
    metrics = task.metrics([])
    truth = stripes(np.random.default_rng(3), 64, 64)
    sample = Sample("a", "a", _image=small(truth, 2), target=truth)
    metrics.add(truth, sample)
    assert metrics.compute()["perceptual"] == pytest.approx(0, abs=1e-6)
    metrics.add(small(truth, 2).repeat(2, 0).repeat(2, 1), sample)
    assert metrics.rows[1]["perceptual"] > 0.1


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"size": "10"}, r"its tiles are 11 or more"),
        ({"scale": "5"}, "Scales are 2, 3 and 4"),
        ({"loss": "l3"}, "unknown loss"),
        ({"patch": "0"}, "give 1 or more"),
        ({"features": "nothing"}, "give MODEL:FILE"),
        ({"features": "lenet5:x"}, "compared in the features of squeezenet-1.1"),
        ({"augment": "light"}, "turned and mirrored already"),
    ],
)
def test_refused_before_anything_is_written(
    plain: Path, tmp_path: Path, how: dict[str, str], told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        fit(plain, tmp_path / "run", settings=how)
    assert not (tmp_path / "run").exists()


def test_too_small_to_measure_is_named(run: Run, tmp_path: Path) -> None:
    save(stripes(np.random.default_rng(4), 40, 14), tmp_path / "data" / "klein.png")
    with pytest.raises(DataError, match=r"klein\.png.*too few to measure"):
        boda.evaluate(run.path, tmp_path / "data")
