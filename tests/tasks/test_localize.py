"""One object a picture: the loss by plain loops, what is masked, several objects, and a whole fit."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import boda
from boda import models, outputs, tasks
from boda.data import readers, synthetic
from boda.data.change import apply
from boda.data.dataset import Batch, Pictures
from boda.data.largest import largest, with_largest
from boda.data.prepare import Preparation
from boda.data.transforms import policies, random_table
from boda.metrics import NothingToMeasure
from boda.progress import Progress
from boda.tasks.localize import BEND, Localizer
from boda.types import Dataset, Sample
from tests.data.detection_sets import COCO

SIZE = (40, 60)  # (H, W)


class Fixed(torch.nn.Module):
    """A network that always says the same."""

    def __init__(self, numbers: torch.Tensor) -> None:
        super().__init__()
        self.fc = torch.nn.Linear(1, numbers.numel(), bias=False)
        self.numbers = torch.nn.Parameter(numbers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.numbers


def localizer(numbers: torch.Tensor) -> Localizer:
    return Localizer(Fixed(numbers), Preparation(*SIZE), Localizer.Config())


def batch_of(boxes: list[list[list[float]]], labels: list[list[int]]) -> Batch:
    count = len(boxes)
    return Batch(
        torch.zeros(count, 3, *SIZE, dtype=torch.uint8),
        torch.zeros(count, dtype=torch.int64),
        torch.arange(count),
        boxes=[torch.tensor(each).view(-1, 4) for each in boxes],
        box_labels=[torch.tensor(each, dtype=torch.int64) for each in labels],
    )


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_the_losses_are_a_loop() -> None:
    """y = [Pc, bx, by, bh, bw, c1, c2, c3]: the third picture has nothing, so only its Pc counts."""
    numbers = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
    boxes = [[[3.0, 4, 33, 24]], [[10.0, 0, 60, 40]], []]
    method = localizer(numbers)
    losses = method(batch_of(boxes, [[2], [0], []]))
    presence, away, wrong = [], [], []
    for row, own, label in zip(numbers.tolist(), boxes, (2, 0, None), strict=True):
        said = sigmoid(row[0])
        presence.append(-math.log(said) if own else -math.log(1 - said))
        if not own:
            continue
        x, y, high, wide = (sigmoid(n) for n in row[1:5])
        x1, y1, x2, y2 = own[0]
        true = ((x1 + x2) / 120, (y1 + y2) / 80, (y2 - y1) / 40, (x2 - x1) / 60)
        smooth = 0.0
        for a, b in zip((x, y, high, wide), true, strict=True):
            gap = abs(a - b)
            smooth += gap**2 / (2 * BEND) if gap < BEND else gap - BEND / 2
        u = ((x - wide / 2) * 60, (y - high / 2) * 40, (x + wide / 2) * 60, (y + high / 2) * 40)
        both = max(0, min(u[2], x2) - max(u[0], x1)) * max(0, min(u[3], y2) - max(u[1], y1))
        areas = (u[2] - u[0]) * (u[3] - u[1]) + (x2 - x1) * (y2 - y1)
        iou = both / (areas - both)
        gap = ((u[0] + u[2] - x1 - x2) / 2) ** 2 + ((u[1] + u[3] - y1 - y2) / 2) ** 2
        hull = (max(u[2], x2) - min(u[0], x1)) ** 2 + (max(u[3], y2) - min(u[1], y1)) ** 2
        angles = math.atan((u[2] - u[0]) / (u[3] - u[1])) - math.atan((x2 - x1) / (y2 - y1))
        v = 4 / math.pi**2 * angles**2
        away.append(1 - (iou - gap / hull - v * v / (1 - iou + v)) + smooth)
        wrong.append(-math.log(math.exp(row[5 + label]) / sum(math.exp(n) for n in row[5:])))
    assert losses["presence"].item() == pytest.approx(sum(presence) / 3, rel=1e-5)
    assert losses["box"].item() == pytest.approx(3 * sum(away) / 2, rel=1e-4)
    assert losses["classes"].item() == pytest.approx(sum(wrong) / 2, rel=1e-5)


def test_where_nothing_is_only_pc_learns() -> None:
    method = localizer(torch.randn(3, 8, generator=torch.Generator().manual_seed(1)))
    sum(method(batch_of([[], [[3.0, 4, 33, 24]], []], [[], [1], []])).values()).backward()
    gradient = method.net.numbers.grad
    assert (gradient[[0, 2], 1:] == 0).all() and (gradient[:, 0] != 0).all()
    assert (gradient[1] != 0).all()


def test_pictures_without_any_object_can_be_learned_from() -> None:
    method = localizer(torch.randn(2, 8))
    losses = method(batch_of([[], []], [[], []]))
    sum(losses.values()).backward()
    assert losses["box"] == losses["classes"] == 0 and losses["presence"] > 0
    assert (method.net.numbers.grad[:, 1:] == 0).all()


def test_heads_within_a_network_learn_with_a_share() -> None:
    first, second = torch.randn(2, 1, 8, generator=torch.Generator().manual_seed(3)).unbind(0)
    batch = batch_of([[[3.0, 4, 33, 24]]], [[1]])
    both = localizer(first)
    both.net.forward = lambda x: (first, second)
    losses, other = both(batch), localizer(second)(batch)
    assert {k: losses[k] for k in other} == localizer(first)(batch)
    assert losses["auxiliary"].item() == pytest.approx(0.3 * sum(other.values()).item(), rel=1e-5)


def test_of_several_objects_the_largest_is_learned() -> None:
    numbers = torch.randn(1, 8, generator=torch.Generator().manual_seed(2))
    several = batch_of([[[0.0, 0, 5, 5], [10, 10, 50, 30], [1, 1, 9, 9]]], [[0, 2, 1]])
    alone = batch_of([[[10.0, 10, 50, 30]]], [[2]])
    assert {k: v.item() for k, v in localizer(numbers)(several).items()} == {
        k: v.item() for k, v in localizer(numbers)(alone).items()
    }


def test_the_output_is_what_the_numbers_say() -> None:
    numbers = torch.zeros(1, 8)
    numbers[0, 0], numbers[0, 5] = 2.0, 1.0
    numbers[0, 1] = math.log(0.25 / 0.75)  # bx = 0.25
    row = localizer(numbers).output(torch.zeros(1, 3, *SIZE, dtype=torch.uint8))[0]
    expected = [sigmoid(2), 15 - 15, 20 - 10, 15 + 15, 20 + 10]  # bh = bw = 1/2 of 40 and 60
    assert row[:5].tolist() == pytest.approx(expected, abs=1e-5)
    assert row[5:].sum().item() == pytest.approx(1) and row[5] > row[6] == row[7]


def test_a_prediction_is_in_pixels_of_the_original() -> None:
    """A picture of 80 × 80 letterboxed into 60 × 40: scale 1/2, ten pixels of gray on each side."""
    picture = np.zeros((80, 80, 3), np.uint8)
    seen = outputs.Seen(picture, "memory", Preparation(*SIZE, rule="letterbox"))
    row = np.array([0.9, 20, 10, 40, 30, 0.25, 0.75], np.float32)
    found = outputs.readers["localize"](row, ["cat", "dog"], seen)
    assert found.boxes.tolist() == [[20, 20, 60, 60]] and found.boxes.dtype == np.float32
    assert found.names == ["dog"] and found.labels.tolist() == [1]
    assert found.scores == pytest.approx([0.9 * 0.75])
    row[0] = 0.49
    nothing = outputs.readers["localize"](row, ["cat", "dog"], seen)
    assert nothing.boxes.shape == (0, 4) and nothing.names == [] and len(nothing.scores) == 0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "instances.json").write_text(json.dumps(COCO), "utf-8")
    for name, size in (("1.png", (40, 30)), ("2.png", (20, 20))):
        Image.new("RGB", size, (90, 140, 30)).save(tmp_path / name)
    return tmp_path


def test_the_largest_object_stays_and_that_is_said(folder: Path) -> None:
    data = readers.read(folder, task="localize")
    (samples,) = data.splits.values()
    assert data.task == "localize"
    assert [s.boxes.tolist() for s in samples] == [[[0, 0, 40, 30]], [[2, 3, 8, 9]]]
    assert [data.classes[int(s.labels[0])] for s in samples] == ["dog", "dog"]
    (told,) = [p for p in data.problems if "several objects" in p.why]
    assert told.severity == "warning" and "1 pictures" in told.why and "1 others" in told.why
    detect = readers.read(folder, task="detect")
    assert sum(len(s.boxes) for s in next(iter(detect.splits.values()))) == 3
    assert not [p for p in detect.problems if "several objects" in p.why]


def sample(boxes: list[list[float]], **marks: list[bool]) -> Sample:
    flags = {name: np.array(values) for name, values in marks.items()}
    rows = np.array(boxes, np.float32).reshape(-1, 4)
    return Sample("a", "a", boxes=rows, labels=np.arange(len(boxes)), size=(99, 99), **flags)


def test_a_crowd_stays_only_where_there_is_nothing_else() -> None:
    small, large = [0.0, 0, 4, 4], [0.0, 0, 50, 50]
    both = sample([large, small], crowd=[True, False])
    alone = sample([small, large], crowd=[True, True], difficult=[False, True])
    data = with_largest(Dataset(Path("x"), "coco", "localize", ["a", "b"], {"all": [both, alone]}))
    kept = Pictures(data.splits["all"], Preparation(99, 99))
    assert [b.tolist() for b in kept.boxes] == [[small], [large]]
    assert [label.tolist() for label in kept.box_labels] == [[1], [1]]
    assert both.crowd.tolist() == [True, False], "what was read stays as it was"


def test_the_largest_is_by_area_and_the_first_of_equals() -> None:
    assert largest(np.array([[0, 0, 2, 9], [0, 0, 5, 5], [5, 5, 10, 10]], np.float32)) == 1


def test_places_moves_boxes_with_their_pictures() -> None:
    """A white rectangle on black is found again where its box says."""
    images = torch.zeros(8, 3, 64, 64, dtype=torch.uint8)
    images[:, :, 20:44, 16:52] = 255
    boxes = [torch.tensor([[16.0, 20, 52, 44]])] * 8
    zero = torch.zeros(8, dtype=torch.int64)
    batch = Batch(images, zero, torch.arange(8), boxes=boxes, box_labels=[zero[:1]] * 8)
    change = policies["places"].draw(random_table(8, 0, 0), (64, 64))
    moved = apply(batch, replace(change, colour=None))
    assert not torch.equal(moved.images, images)
    for picture, own in zip(moved.images.float().mean(1), moved.boxes, strict=True):
        light = picture > 185  # white, where 114 moved in
        rows, columns = light.any(1).nonzero().flatten(), light.any(0).nonzero().flatten()
        seen = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        assert own[0].tolist() == pytest.approx([float(n) for n in seen], abs=1.01)


def test_val_without_any_object_is_told() -> None:
    task = tasks.task("localize")
    empty = [Sample("a", "a", boxes=np.zeros((0, 4), np.float32), size=(40, 60))]
    metrics = task.metrics(["cat"])
    rows = np.array([[0.2, 0, 0, 1, 1, 1.0]], np.float32)
    task.update(metrics, rows, Pictures(empty, Preparation(*SIZE)), torch.tensor([0]))
    with pytest.raises(NothingToMeasure, match="no object in these 1 pictures"):
        metrics.compute()


def write(folder: Path, count: int) -> None:
    """Single shapes as COCO JSON; the first of every six pictures in val."""
    for split in ("train", "val"):
        (folder / split).mkdir(parents=True)
    content = {split: {"images": [], "annotations": []} for split in ("train", "val")}
    for i in range(count):
        drawn = synthetic.single(0, i, 32)
        split = "train" if i % 6 else "val"
        Image.fromarray(drawn.image).save(folder / split / f"{i}.png")
        own = content[split]
        own["images"].append({"id": i, "file_name": f"{split}/{i}.png", "width": 32, "height": 32})
        for box, label in zip(drawn.boxes.tolist(), drawn.labels.tolist(), strict=True):
            x1, y1, x2, y2 = box
            row = {"id": i, "image_id": i, "category_id": label, "bbox": [x1, y1, x2 - x1, y2 - y1]}
            own["annotations"].append(row)
    names = [{"id": i, "name": name} for i, name in enumerate(synthetic.SHAPES)]
    for split, own in content.items():
        text = json.dumps({**own, "categories": names})
        (folder / f"instances_{split}.json").write_text(text, "utf-8")


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> boda.runs.Run:
    folder = tmp_path_factory.mktemp("localize")
    write(folder / "data", 48)
    return boda.fit(
        "localize",
        folder / "data",
        out=folder / "run",
        epochs=40,
        size="32",
        precision="32",
        augment="none",
        progress=Progress(quiet=True),
    )


def test_a_fit_learns_where_things_are(fitted: boda.runs.Run) -> None:
    losses = [row["train_loss"] for row in fitted.history()]
    assert losses[-1] < 0.7 * losses[0]
    train = boda.evaluate(fitted.path, split="train")
    assert train["metrics"]["mean_iou"] > 0.4 and train["metrics"]["presence_accuracy"] > 0.7
    told = boda.evaluate(fitted.path)
    assert set(told["metrics"]) == {
        *("mean_iou", "iou50", "localized", "class_accuracy", "presence_accuracy")
    }
    assert set(told["per_class"]) == set(synthetic.SHAPES)
    assert "IoU" in fitted.report.read_text("utf-8") or told["metrics"]["localized"] == 1


def test_the_exported_file_says_the_same(fitted: boda.runs.Run, tmp_path: Path) -> None:
    file, difference = boda.export(fitted.path, tmp_path / "model.onnx")
    assert difference < 1e-5
    pictures = sorted((Path(fitted.record["data"]["root"]) / "val").glob("*.png"))
    ours = [p.to_dict() for p in fitted.trained().predictor().predict_all(pictures)]
    theirs = [p.to_dict() for p in boda.runtime.load(file).predict_all(pictures)]
    assert [p["names"] for p in ours] == [p["names"] for p in theirs]
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a["boxes"], b["boxes"], atol=1e-3)


def test_its_weights_alone_are_not_taken_for_a_classifiers(fitted: boda.runs.Run) -> None:
    with pytest.raises(boda.errors.UsageError, match="a run for localize"):
        boda.predict(fitted.record["model"], [np.zeros((32, 32, 3), np.uint8)], weights=fitted.path)


def test_any_network_for_classification_will_do() -> None:
    task = tasks.task("localize")
    for name in ("lenet5", "alexnet", "mobilenet-v2"):
        assert task.method_of(models.entry(name)) == "localizer"
    with pytest.raises(boda.errors.UsageError, match="a network for detect"):
        task.method_of(models.entry("yolo"))
