"""A class for every pixel: what is learned, what is ignored, what is told of it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from boda import api, models, runtime, tasks
from boda.data.dataset import Batch, Pictures
from boda.data.prepare import Preparation
from boda.errors import UsageError
from boda.models.segnet import SegNet
from boda.models.unet import UNet, UNet2015
from boda.onnx_export import export
from boda.ops import edge_avoiding
from boda.ops.borders import boundary_weights
from boda.progress import Progress
from boda.tasks.segment.segmenter import Config, Segmenter
from boda.tasks.steps import walked
from boda.types import IGNORED, Sample
from tests.slow_reference import segmentation as slow

SIDE = 32


def method(config: Config | None = None, name: str = "unet", **options: object) -> Segmenter:
    torch.manual_seed(0)
    net = models.create(name, classes=3, channels=3, **options)
    return Segmenter(net, Preparation(SIDE, SIDE, 3, "stretch"), config or Config())


def squares(count: int = 4) -> Batch:
    """Red squares and green discs on gray; the picture's first rows are not known."""
    draw = np.random.default_rng(1)
    images = draw.integers(90, 130, (count, 3, SIDE, SIDE)).astype(np.uint8)
    maps = np.zeros((count, SIDE, SIDE), np.uint8)
    y, x = np.mgrid[:SIDE, :SIDE]
    for image, classes in zip(images, maps, strict=True):
        left, top = draw.integers(2, 12, 2)
        classes[top : top + 8, left : left + 8] = 1
        row, column = draw.integers(20, 27, 2)
        classes[(y - row) ** 2 + (x - column) ** 2 < 16] = 2
        image[:, classes == 1] = np.array([[200], [40], [40]])
        image[:, classes == 2] = np.array([[40], [180], [60]])
        classes[:2] = IGNORED
    index = torch.arange(count)
    return Batch(torch.from_numpy(images), index * 0, index, semantic=torch.from_numpy(maps))


def test_the_losses_that_are_named_are_the_plain_ones() -> None:
    batch, made = squares(2), method(Config(loss="cross-entropy+dice+focal"), width=4)
    losses = made.eval()(batch)
    assert list(losses) == ["cross-entropy", "dice", "focal"]
    with torch.no_grad():
        logits = made.logits(batch.images).double().numpy()
    assert batch.semantic is not None
    truth = batch.semantic.numpy()
    assert losses["cross-entropy"].item() == pytest.approx(
        slow.focal(logits, truth, 0.0, [1, 1, 1]), rel=1e-5
    )
    assert losses["dice"].item() == pytest.approx(slow.dice(logits, truth), rel=1e-5)
    assert losses["focal"].item() == pytest.approx(
        slow.focal(logits, truth, 2.0, [1, 1, 1]), rel=1e-5
    )


def test_pixels_that_are_not_known_teach_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """No loss has a slope there, and none is without one elsewhere."""
    batch = squares(2)
    made = method(Config(loss="cross-entropy+dice+focal", borders=10.0), width=4).eval()
    logits = made.logits(batch.images).detach().requires_grad_()
    monkeypatch.setattr(made, "logits", lambda images: logits)
    assert batch.semantic is not None
    unknown = (batch.semantic == IGNORED)[:, None].expand_as(logits)
    for loss in made(batch).values():
        (slope,) = torch.autograd.grad(loss, logits, retain_graph=True)
        assert unknown.any() and not slope[unknown].any() and slope[~unknown].all()


def test_pixels_between_things_count_more() -> None:
    batch, made = squares(2), method(Config(loss="cross-entropy", borders=10.0), width=4).eval()
    assert batch.semantic is not None
    loss = made(batch)["cross-entropy"].item()
    with torch.no_grad():
        surprise = -made.logits(batch.images).float().log_softmax(1).numpy()
    total = weights = 0.0
    for planes, classes in zip(surprise, batch.semantic.numpy(), strict=True):
        own = 1 + boundary_weights(classes, w0=10.0)
        for y, x in zip(*np.nonzero(classes != IGNORED), strict=True):
            total += own[y, x] * planes[classes[y, x], y, x]
            weights += own[y, x]
    assert loss == pytest.approx(total / weights, rel=1e-4)


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UsageError, match="Did you mean dice"):
        Config(loss="cross-entropy+dise")
    with pytest.raises(UsageError, match="class_weights"):
        Config(class_weights=(1.0, -1.0))
    with pytest.raises(UsageError, match="name it in loss"):
        Config(loss="dice", borders=10)


@pytest.mark.parametrize("ground", [-2, 3, 7])
def test_a_ground_that_is_no_class_is_refused(ground: int) -> None:
    with pytest.raises(UsageError, match=f"ground={ground}, and the classes are 0 to 2"):
        Segmenter.refuse({"ground": ground}, 3, 8)
    Segmenter.refuse({"ground": 2}, 3, 8)
    Segmenter.refuse({"ground": -1}, 3, 8)


def test_the_paper_s_network_says_something_of_every_pixel() -> None:
    """It gives less than it takes; the picture is continued by its mirror image."""
    torch.manual_seed(0)
    net = models.create("unet-2015", classes=2, channels=1).eval()
    assert isinstance(net, UNet2015)
    made = Segmenter(net, Preparation(100, 120, 1, "stretch", (0.5,), (0.25,)), Config()).eval()
    images = torch.randint(0, 256, (1, 3, 100, 120), dtype=torch.uint8)
    out = made.output(images)
    assert out.shape == (1, 2, 100, 120)
    torch.testing.assert_close(out.sum(1), torch.ones(1, 100, 120))
    # The same pixels, with mirrored ones around them put there by hand.
    top, bottom, left, right = net.margins(100, 120)
    rows = np.pad(np.arange(100), (top, bottom), "reflect")
    columns = np.pad(np.arange(120), (left, right), "reflect")
    with torch.no_grad():
        by_hand = net(made.normalize(images)[:, :, rows][..., columns]).softmax(1)
    torch.testing.assert_close(out, by_hand[..., :100, :120])


@pytest.mark.parametrize(("name", "options"), [("unet", {"width": 8}), ("segnet", {"width": 0.25})])
def test_pictures_are_learned_by_heart(name: str, options: dict[str, float]) -> None:
    batch, made = squares(4), method(Config(loss="cross-entropy+dice"), name, **options).train()
    (optimizer,) = made.optimizers(1e-2)
    for _ in range(80):
        optimizer.zero_grad()
        sum(made(batch).values(), torch.zeros(())).backward()
        optimizer.step()
    said = made.eval().output(batch.images).argmax(1)
    assert batch.semantic is not None
    known = batch.semantic != IGNORED
    assert (said == batch.semantic)[known].float().mean() > 0.98


NETWORKS_THAT_UNPOOL = [
    ("unet", {"width": 2, "up": "unpool", "light": False}),
    ("segnet", {"width": 1 / 16}),
]


@pytest.mark.parametrize(("name", "options"), NETWORKS_THAT_UNPOOL)
def test_the_steps_of_un_pooling_networks_are_their_way(
    name: str, options: dict[str, object]
) -> None:
    made = method(None, name, **options).eval()
    made.size = (SIDE + 5, SIDE + 3)
    images = torch.randint(0, 256, (2, 3, *made.size), dtype=torch.uint8)
    with torch.inference_mode():
        *values, output = walked(made.steps(), images)
        torch.testing.assert_close(output, made.output(images))
        assert isinstance(made.net, UNet | SegNet)
        whole = made.net.encode(made.normalize(images))
        for own, theirs in zip(made.net.encoded(values), whole, strict=True):
            torch.testing.assert_close(own, theirs)


@pytest.mark.parametrize(("name", "options"), NETWORKS_THAT_UNPOOL)
def test_un_pooling_networks_are_exported_from_flat_pictures(
    name: str, options: dict[str, object], tmp_path: Path
) -> None:
    """In flat parts all maxima are equal but for rounding, which chooses otherwise in ONNX Runtime."""
    made = method(None, name, **options).eval()
    for module in made.net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.bias)
    flat = np.full((4, 3, SIDE, SIDE), 90, np.uint8)
    flat[:, 0, 8:20, 5:25] = 210
    flat[2:] = np.random.default_rng(0).integers(0, 256, (2, 3, SIDE, SIDE))
    assert export(made, {"task": "segment"}, flat, tmp_path / "net.onnx") <= 1e-4


def test_an_exported_light_unet_takes_any_number_of_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a CPU means are taken of a few pictures at a time, of which a file must know nothing."""
    monkeypatch.setattr(edge_avoiding, "PART", 1)
    made = method(None, "unet", width=8).eval()
    many = np.random.default_rng(0).integers(0, 256, (5, 3, SIDE, SIDE), np.uint8)
    assert export(made, {"task": "segment"}, many, tmp_path / "net.onnx") <= 1e-4


def pictures_of(maps: list[np.ndarray]) -> Pictures:
    samples = [
        Sample(
            id=str(i), source=f"{i}.png", semantic=each, _image=np.zeros((*each.shape, 3), np.uint8)
        )
        for i, each in enumerate(maps)
    ]
    images = np.zeros((len(maps), 3, 8, 8), np.uint8)
    return Pictures(samples, Preparation(8, 8, 3, "stretch"), images, "segment")


def test_it_is_measured_in_the_pictures_own_pixels() -> None:
    """Working pictures of 8×8, originals of 16×24: each cell counts six of the original's pixels."""
    truth = np.zeros((16, 24), np.uint8)
    truth[:, 12:] = 1
    pictures = pictures_of([truth])
    task = tasks.task("segment")
    outputs = np.zeros((1, 2, 8, 8), np.float32)
    outputs[0, 0, :, :6] = outputs[0, 1, :, 6:] = 1  # says 0 for two columns too many: 6 pixels
    metrics = task.metrics(["ground", "thing"])
    task.update(metrics, outputs, pictures, torch.tensor([0]))
    assert metrics.confusion.tolist() == [[192, 0], [96, 96]]
    assert metrics.compute()["pixel_accuracy"] == pytest.approx(0.75)


def test_the_worst_pictures_come_first() -> None:
    right, wrong = np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.uint8)
    wrong[:, 4:] = 1
    pictures = pictures_of([right, wrong])
    task = tasks.task("segment")
    condensed = task.condensed(np.stack([np.ones((2, 8, 8)) * [[[0.9]], [[0.1]]]] * 2))
    assert condensed.shape == (2, 8, 8) and condensed.dtype == np.uint8
    (row,) = task.mistakes(["ground", "thing"], condensed, pictures, 5)
    assert row["source"] == "1.png" and row["score"] == 0.5
    assert row["truth"] == "most of it: thing taken for ground"


def drawn(root: Path, count: int = 12) -> Path:
    """Pictures of 40×30 with masks 0 and 1 in folders, and their names."""
    draw = np.random.default_rng(0)
    for split, many in (("train", count), ("test", 4)):
        for i in range(many):
            picture = draw.integers(90, 130, (30, 40, 3)).astype(np.uint8)
            mask = np.zeros((30, 40), np.uint8)
            x, y = draw.integers(2, 20), draw.integers(2, 12)
            mask[y : y + 14, x : x + 16] = 1
            picture[mask == 1] = (210, 50, 40)
            for kind, array in (("images", picture), ("masks", mask)):
                place = root / split / kind
                place.mkdir(parents=True, exist_ok=True)
                Image.fromarray(array).save(place / f"{i:02}.png")
    (root / "classes.txt").write_text("background\nthing\n", "utf-8")
    return root


def test_the_whole_loop(tmp_path: Path) -> None:
    """Fit with balanced classes, evaluate, predict, export: the exported file says the same."""
    data, said = drawn(tmp_path / "data"), io.StringIO()
    run = api.fit(
        "segment",
        data,
        model="unet",
        progress=Progress(stream=said),
        epochs=4,
        lr=1e-2,
        balance=True,
        augment="none",
        settings={"width": "4", "loss": "cross-entropy+dice"},
        out=tmp_path / "run",
    )
    weights = run.record["config"]["class_weights"]
    assert weights[1] > weights[0] > 0  # the ground is common
    assert "cross-entropy+dice you chose it" in said.getvalue()
    counts = run.record["data"]["class_counts"]  # pixels
    assert counts["background"] > counts["thing"] > 0 and sum(counts.values()) % (30 * 40) == 0
    result = api.evaluate(run.path)
    assert result["split"] == "test" and result["samples"] == 4
    assert set(result["per_class"]) == {"background", "thing"} and result["absent"] == []
    assert np.sum(result["confusion"]) == 4 * 30 * 40
    picture = data / "test" / "images" / "00.png"
    prediction = run.predict(picture)
    assert prediction.semantic is not None and prediction.semantic.shape == (30, 40)
    path, difference = api.export(run.path)
    assert difference <= 1e-4
    again = runtime.load(path).predict(picture)
    assert again.semantic is not None
    assert (again.semantic == prediction.semantic).mean() > 0.999


def test_in_the_last_part_of_a_fit_it_learns_as_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward, noted = Segmenter.forward, []

    def noting(self: Segmenter, batch: Batch, turn: int = 0) -> dict[str, torch.Tensor]:
        noted.append(self.net.as_used)
        return forward(self, batch, turn)

    monkeypatch.setattr(Segmenter, "forward", noting)
    settings = {"width": "4", "calm": "0.25"}
    run = api.fit(
        "segment",
        drawn(tmp_path / "data"),
        model="unet",
        epochs=4,
        batch=2,
        settings=settings,
        out=tmp_path / "run",
    )
    steps = run.history()[-1]["steps"]
    assert noted[-steps:] == [step >= 0.75 * steps for step in range(steps)]


def test_classes_are_found_again_by_name(tmp_path: Path) -> None:
    """Other data may number its classes otherwise."""
    data = drawn(tmp_path / "data", 6)
    run = api.fit(
        "segment", data, model="unet", epochs=1, settings={"width": "4"}, out=tmp_path / "run"
    )
    here = api.evaluate(run.path, data, split="test")
    other = drawn(tmp_path / "other", 6)
    for mask in other.rglob("masks/*.png"):
        Image.fromarray(1 - np.asarray(Image.open(mask))).save(mask)
    (other / "classes.txt").write_text("thing\nbackground\n", "utf-8")
    assert api.evaluate(run.path, other, split="test")["confusion"] == here["confusion"]
