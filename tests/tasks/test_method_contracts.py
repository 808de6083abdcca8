"""What every task and every method must do; a new one is tested by being registered."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch

from boda import models, outputs, tasks
from boda.data.dataset import Batch, Pictures
from boda.data.loading import WHOLE
from boda.data.prepare import Preparation
from boda.data.survey import Survey
from boda.evaluating import measure
from boda.options import FitOptions, Plan, parse_size
from boda.tasks.base import methods
from boda.types import Sample
from tests.stirring import stirred

TASKS = tasks.names()
METHODS = methods.names()


def fits(name: str, entry: models.Entry) -> bool:
    """Whether the method fits this network: its own, or one its task borrows."""
    task = tasks.task(tasks.method(name).task)
    return entry.method == name or (task.method == name and entry.task == task.borrows)


def cost(entry: models.Entry) -> int:
    return entry.smallest**2 * entry.channels * entry.parameters


SMALLEST = {  # the cheapest network of each method
    name: min((e for e in map(models.entry, models.names()) if fits(name, e)), key=cost).name
    for name in METHODS
}


def new_method(name: str) -> tuple[tasks.Method, models.Entry]:
    torch.manual_seed(0)
    kind, entry = tasks.method(name), models.entry(SMALLEST[name])
    channels = entry.channels
    preparation = Preparation(
        entry.smallest, entry.smallest, channels, mean=(0.4,) * channels, std=(0.2,) * channels
    )
    net = stirred(models.create(entry.name, classes=kind.values(CLASSES[kind.task])))
    return kind(net, preparation, kind.Config()), entry


CLASSES = {  # as the data has them
    "classify": 10,
    "detect": 3,
    "generate": 3,
    "instances": 3,
    "localize": 3,
    "landmarks": 5,
    "match": 3,
    "segment": 3,
    "translate": 2,
    "upscale": 1,  # which nothing asks for
}


def some_batch(entry: models.Entry, count: int = 6, classes: int = 3) -> Batch:
    """Random pictures with everything that a task may want to know of them; the last has no object."""
    generator = torch.Generator().manual_seed(0)
    side = entry.smallest
    shape = (count, entry.channels, side, side)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    corners = torch.rand(count, 1, 2, 2, generator=generator).sort(2).values * side * 0.8
    corners[:, :, 1] += 0.2 * side
    boxes = [each.flatten(1) for each in corners[:-1]] + [torch.zeros(0, 4)]
    points = torch.rand(count, 5, 3, generator=generator) * side
    large = entry.options.get("scale", 1) * side
    return Batch(
        images,
        torch.arange(count) % classes,
        torch.arange(count),
        boxes=boxes,
        box_labels=[torch.arange(len(each)) + i % 3 for i, each in enumerate(boxes)],
        masks=[torch.rand(len(each), side, side, generator=generator) < 0.5 for each in boxes],
        semantic=torch.randint(0, classes, (count, side, side), generator=generator).byte(),
        points=points,
        targets=torch.randint(0, 256, (count, 3, large, large), generator=generator).byte(),
    )


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_complete(name: str) -> None:
    task = tasks.task(name)
    assert task.name == name and task.description.endswith(".")
    assert name in outputs.readers, "an exported file must know what the task's numbers mean"


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("samples", [4, 100, 10_000, 10_000_000])
@pytest.mark.parametrize("side", [8, 40, 41, 100, 2000])
@pytest.mark.parametrize("gray", [True, False])
def test_defaults_are_possible_and_have_reasons(
    name: str, samples: int, side: int, gray: bool
) -> None:
    look = Survey(samples, 3, side, side, gray, samples, samples)
    task = tasks.task(name)
    chosen = task.defaults(look, None)
    assert all(default.reason for default in chosen.values())
    values = {field: default.value for field, default in chosen.items()}
    entry = models.entry(values["model"])
    least = 1 if "size" in entry.options else entry.smallest  # it is built for the size it is given
    assert task.method_of(entry) and min(parse_size(values["size"])) >= least
    known = {field.name for field in dataclasses.fields(Plan)}
    Plan(**{field: value for field, value in values.items() if field in known})


@pytest.mark.parametrize("name", METHODS)
def test_settings_are_few_and_explained(name: str) -> None:
    fields = dataclasses.fields(tasks.method(name).Config)
    assert len(fields) <= 12
    assert all(field.metadata.get("help") for field in fields)


@pytest.mark.parametrize("kind", [Plan, FitOptions])
def test_options_are_explained(kind: type) -> None:
    assert all(field.metadata.get("help") for field in dataclasses.fields(kind))


@pytest.mark.parametrize("name", METHODS)
def test_losses_are_finite_scalars_that_reach_every_parameter(name: str) -> None:
    method, entry = new_method(name)
    for turn in range(len(method.optimizers(0.1))):  # those of adversaries together
        losses = method(some_batch(entry), turn)
        assert losses and all(loss.ndim == 0 and loss.isfinite() for loss in losses.values())
        sum(losses.values()).backward()
    for parameter_name, parameter in method.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, parameter_name


@pytest.mark.parametrize("name", METHODS)
def test_optimizers_hold_every_parameter_once(name: str) -> None:
    method, _ = new_method(name)
    optimizers = method.optimizers(0.1)
    assert 1 <= len(optimizers) <= 2
    held = [id(p) for o in optimizers for group in o.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in method.parameters())


@pytest.mark.parametrize("name", METHODS)
def test_a_few_steps_lower_the_loss(name: str) -> None:
    method, entry = new_method(name)
    batch = some_batch(entry)
    for turn, optimizer in enumerate(method.optimizers(1e-3)):  # while the adversary stands still
        values = []
        for _ in range(15):
            torch.manual_seed(0)  # of what is drawn: the same each time
            total = sum(method(batch, turn).values())
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            values.append(total.item())
        assert values[-1] < values[0]


@pytest.mark.parametrize("name", METHODS)
def test_the_output_reads_gray_and_colour_alike(name: str) -> None:
    """An exported network is always given RGB; a gray one takes its luma."""
    method, entry = new_method(name)
    images = some_batch(entry).images
    method.eval()
    with torch.inference_mode():
        out = method.output(images)
        if entry.channels == 1:
            torch.testing.assert_close(
                method.output(images.expand(-1, 3, -1, -1)), out, atol=1e-5, rtol=0
            )
    picture = np.zeros((entry.smallest, entry.smallest, 3), np.uint8)
    classes = [str(number) for number in range(CLASSES[method.task])]
    seen = outputs.Seen(picture, "memory", Preparation(entry.smallest, entry.smallest))
    prediction = outputs.readers[method.task](out[0].numpy(), classes, seen)
    assert prediction.source == "memory" and prediction.to_dict()


@pytest.mark.parametrize("name", METHODS)
def test_its_task_measures_its_output_and_names_the_worst(name: str) -> None:
    """Outputs of a network that knows nothing, for pictures with everything a task may ask for."""
    method, entry = new_method(name)
    task, side = tasks.task(method.task), entry.smallest
    preparation = Preparation(side, side, entry.channels, task.rule)
    classes = [str(number) for number in range(CLASSES[method.task])]
    generator = np.random.default_rng(0)
    large = entry.options.get("scale", 1) * side
    samples = [
        Sample(
            str(i),
            f"memory:{i}",
            label=i % len(classes),
            boxes=np.array([[0.1, 0.2, 0.8, 0.9]], np.float32) * side,
            labels=np.array([i % len(classes)]),
            masks=generator.random((1, side, side)) < 0.5,
            semantic=generator.integers(0, len(classes), (side, side), dtype=np.uint8),
            points=generator.uniform(0, side, (5, 2)).astype(np.float32),
            size=(side, side),
            _image=generator.integers(0, 256, (side, side, 3), dtype=np.uint8),
            target=generator.integers(0, 256, (large, large, 3), dtype=np.uint8),
        )
        for i in range(6)
    ]
    images = np.stack([preparation(sample.image).transpose(2, 0, 1) for sample in samples])
    pictures = WHOLE.get(task.name, Pictures)(samples, preparation, images, task.name)
    metrics, outputs_of_all = task.metrics(classes), []
    figures = measure(method, task, pictures, metrics, size=4, keep=outputs_of_all)
    assert task.headline in figures and all(np.isfinite(v) for v in figures.values())
    json.dumps(task.details(metrics))
    worst = task.mistakes(classes, np.concatenate(outputs_of_all), pictures, 3)
    assert len(worst) <= 3
    for row in worst:
        assert {"image", "source", "truth", "predicted", "score"} <= row.keys()
        assert row["image"].dtype == np.uint8 and row["image"].shape[2] == 3


@pytest.mark.parametrize("name", METHODS)
def test_normalization_is_the_formula(name: str) -> None:
    method, entry = new_method(name)
    images = some_batch(entry).images
    expected = (images.double() / 255 - 0.4) / 0.2
    torch.testing.assert_close(method.normalize(images).double(), expected, atol=1e-5, rtol=0)
    # Beside the network there may be earlier pictures, which a resumed fit goes on with.
    assert not [key for key in method.state_dict() if not key.startswith(("net.", "pool_"))]


def test_heads_within_a_network_learn_with_a_share() -> None:
    torch.manual_seed(0)
    kind, entry = tasks.method("classifier"), models.entry("googlenet")
    net = models.create("googlenet", classes=5, auxiliary=True)
    method = kind(net, Preparation(64, 64), kind.Config())
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8, generator=generator)
    batch = Batch(images, torch.tensor([0, 1, 2, 4]), torch.arange(4))
    assert entry.method == "classifier"
    torch.manual_seed(2)  # dropout
    losses = method(batch)
    torch.manual_seed(2)
    main, *within = net(method.normalize(images))
    expected = [torch.nn.functional.cross_entropy(each, batch.labels) for each in (main, *within)]
    assert losses["loss"].item() == pytest.approx(expected[0].item(), rel=1e-4)
    assert losses["auxiliary"].item() == pytest.approx(
        0.3 * (expected[1] + expected[2]).item(), rel=1e-4
    )
    method.eval()
    assert set(method(batch)) == {"loss"} and method.output(images).shape == (4, 5)


def test_a_name_is_one_setting() -> None:
    """`--set name=…` of the plan, of the method and of the network mean different things."""
    plan = {field.name for field in dataclasses.fields(Plan)}
    for entry in map(models.entry, models.names()):
        method = {f.name for f in dataclasses.fields(tasks.method(entry.method).Config)}
        assert not plan & method and not (plan | method) & set(entry.options), entry.name
