"""Weights from files: what fits is taken, what does not is named, and no code is run."""

from __future__ import annotations

import csv
import hashlib
import json
import pickle
import re
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

import boda
from boda import fetching, models
from boda.data import imagenet
from boda.errors import DataError, UsageError
from boda.models import layouts, published, weights
from boda.models.published import Published
from boda.progress import Progress
from boda.trained import Trained

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture
def net() -> torch.nn.Module:
    torch.manual_seed(0)
    return models.create("lenet5")


def write(kind: str, state: dict[str, torch.Tensor], path: Path) -> Path:
    file = path / f"weights.{kind}"
    if kind == "safetensors":
        save_file(state, file)
    elif kind == "npz":
        np.savez(file, **{k: v.numpy() for k, v in state.items()})
    else:
        wrapped = {"state_dict": {f"module.{k}": v for k, v in state.items()}, "best_prec1": 1.0}
        torch.save(wrapped, file)
    return file


@pytest.mark.parametrize("kind", ["safetensors", "npz", "pth"])
def test_every_format_gives_the_same_weights(net, kind: str, tmp_path: Path) -> None:
    file = write(kind, net.state_dict(), tmp_path)
    other = models.create("lenet5")
    found = weights.load(other, file)
    assert found.new == found.left_out == [] and found.layout.mean is None
    for name, tensor in net.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor)


def test_another_number_of_classes_keeps_the_new_head(net, tmp_path: Path) -> None:
    file = write("safetensors", net.state_dict(), tmp_path)
    other = models.create("lenet5", classes=3)
    head = other.output.weight.clone()
    found = weights.load(other, file)
    assert found.new == ["output.weight", "output.bias"] and found.classes == 10
    assert torch.equal(other.output.weight, head)
    assert torch.equal(other.c1.weight, net.c1.weight)


def test_weights_of_another_network_are_refused(net, tmp_path: Path) -> None:
    file = write("safetensors", net.state_dict(), tmp_path)
    with pytest.raises(DataError, match="another network: it lacks"):
        weights.load(models.create("resnet20"), file)


class Evil:
    def __reduce__(self):
        return (Path("/tmp/boda-was-here").touch, ())


@pytest.mark.parametrize("kind", ["pickle", "torch", "text", "empty", "cut"])
def test_damaged_and_hostile_files_are_refused(net, kind: str, tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    if kind == "pickle":
        file.write_bytes(pickle.dumps({"c1.weight": Evil()}))
    elif kind == "torch":
        torch.save({"c1.weight": Evil()}, file)
    elif kind == "text":
        file.write_text("these are no weights")
    elif kind == "empty":
        file.write_bytes(b"")
    else:
        whole = write("safetensors", net.state_dict(), tmp_path).read_bytes()
        file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"weights\.pth: the weights cannot be read"):
        weights.load(net, file)
    assert not Path("/tmp/boda-was-here").exists()


def test_a_missing_file_is_named(net, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file of weights"):
        weights.load(net, tmp_path / "nothing.pth")


WRAPPED = {
    "a dictionary": lambda state: {"state_dict": state, "epoch": 3},
    "another": lambda state: {"model": state, "optimizer": {}},
    "DataParallel": lambda state: {f"module.{k}": v for k, v in state.items()},
    "DataParallel within": lambda state: {k.replace(".", ".module."): v for k, v in state.items()},
    "torch.compile": lambda state: {f"_orig_mod.module.{k}": v for k, v in state.items()},
}


@pytest.mark.parametrize("how", WRAPPED)
def test_wrapped_weights_are_unwrapped(net, how: str, tmp_path: Path) -> None:
    torch.save(WRAPPED[how](net.state_dict()), tmp_path / "old.pth")
    other = models.create("lenet5")
    weights.load(other, tmp_path / "old.pth")
    assert torch.equal(other.c3.weight, net.c3.weight)


# ---------------------------------------------------------------- whose file it is


@pytest.fixture
def squeezenet() -> nn.Module:
    torch.manual_seed(1)
    return models.create("squeezenet-1.1")


def saved(net: nn.Module, path: Path) -> Path:
    torch.save(net.state_dict(), path)
    return path


@pytest.fixture
def row(squeezenet: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Published:
    """A table with one file, as if its weights had been published; the file is ``theirs.pth``."""
    file = saved(squeezenet, tmp_path / "theirs.pth")
    digits = hashlib.sha256(file.read_bytes()).hexdigest()[:8]
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{unused.getsockname()[1]}/"
    found = Published("squeezenet-1.1", f"squeezenet-{digits}.pth", 58.2, 80.6, place=nowhere)
    monkeypatch.setattr(published, "PUBLISHED", (found,))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return found


def test_a_published_file_is_known_by_its_content(row: Published, tmp_path: Path, capsys) -> None:
    trained = Trained.of_model("squeezenet-1.1", tmp_path / "theirs.pth", Progress())
    preparation = trained.preparation
    assert (preparation.height, preparation.resize, preparation.mean) == (224, 256, imagenet.MEAN)
    assert trained.named and trained.classes[0] == "tench"
    told = capsys.readouterr().err
    assert row.file in told and "58.2 % right on ImageNet" in told
    assert "224×224 from the middle of a shorter side of 256" in told


def test_a_published_file_of_another_network_is_refused(row: Published, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"another network: they are squeezenet-1\.1's"):
        Trained.of_model("resnet20", tmp_path / "theirs.pth")


def test_what_is_assumed_is_said(squeezenet: nn.Module, tmp_path: Path, capsys) -> None:
    trained = Trained.of_model("squeezenet-1.1", saved(squeezenet, tmp_path / "a.pth"), Progress())
    assert not trained.named and trained.classes[0] == "tench"
    assert trained.preparation.mean == imagenet.MEAN and trained.preparation.resize == 256
    assert "ImageNet is assumed, for their 1,000 classes" in capsys.readouterr().err


def test_what_cannot_be_known_is_said(tmp_path: Path, capsys) -> None:
    file = saved(models.create("squeezenet-1.1", classes=7), tmp_path / "a.pth")
    trained = Trained.of_model("squeezenet-1.1", file, Progress())
    assert not trained.named and trained.classes == list("0123456")
    assert trained.preparation.mean == (0.5, 0.5, 0.5)
    told = capsys.readouterr().err
    assert "do not say how their pictures were normalized" in told
    assert "mean 0.5 0.5 0.5, deviation 0.25 0.25 0.25" in told


def test_a_run_tells_everything_itself(shapes_run: Path, capsys) -> None:
    trained = Trained.of_model("lenet5", shapes_run, Progress())
    run = boda.load(shapes_run)
    assert trained.named and trained.classes == run.classes
    assert trained.preparation == run.preparation
    assert "which boda fitted with lenet5" in capsys.readouterr().err


def test_networks_with_the_same_tensors_are_told_apart(tmp_path: Path) -> None:
    about = {"model": "resnet20", "options": {}, "classes": list("0123456789"), "preparation": {}}
    state = models.create("resnet20").state_dict()
    save_file(state, tmp_path / "a.safetensors", {"boda": json.dumps(about)})
    with pytest.raises(DataError, match="they are resnet20's, and not plain20's"):
        Trained.of_model("plain20", tmp_path / "a.safetensors")
    named = {re.sub("^fc", "linear", name): tensor for name, tensor in state.items()}
    torch.save(named, tmp_path / "b.th")
    assert weights.load(models.create("resnet20"), tmp_path / "b.th").layout.name == "akamaster"
    with pytest.raises(DataError, match="akamaster's, where there is no plain20"):
        Trained.of_model("plain20", tmp_path / "b.th")


def test_metadata_that_is_damaged_is_said(tmp_path: Path) -> None:
    about = {"model": "lenet5", "options": {}, "classes": list("0123456789"), "preparation": {}}
    state = models.create("lenet5").state_dict()
    save_file(state, tmp_path / "a.safetensors", {"boda": json.dumps(about)})
    with pytest.raises(DataError, match="damaged, or of another version"):
        Trained.of_model("lenet5", tmp_path / "a.safetensors")


# ---------------------------------------------------------------- the word "imagenet"


def test_the_official_file_is_found_in_the_cache(row: Published, tmp_path: Path) -> None:
    fetching.folder().mkdir(parents=True)
    (tmp_path / "theirs.pth").rename(fetching.folder() / row.file)
    Image.new("RGB", (300, 260), (200, 120, 30)).save(tmp_path / "a.png")
    found = boda.predict("squeezenet-1.1", [tmp_path / "a.png"], weights="imagenet")
    assert len(found[0].names) == 5 and set(found[0].names) < set(imagenet.names())


def test_without_a_connection_one_message_says_what_to_put_where(row: Published) -> None:
    with pytest.raises(DataError) as error:
        Trained.of_model("squeezenet-1.1", "imagenet")
    assert row.url in str(error.value) and "\n" not in str(error.value)
    assert f"put it into {fetching.folder()} as {row.file}" in str(error.value)


def test_a_network_without_official_weights_is_told_which_have_some() -> None:
    with pytest.raises(UsageError, match=r"no official file .* for lenet5\. There is for alexnet"):
        Trained.of_model("lenet5", "imagenet")


def test_a_fit_starts_from_the_official_file(row: Published, tmp_path: Path, capsys) -> None:
    fetching.folder().mkdir(parents=True)
    (tmp_path / "theirs.pth").rename(fetching.folder() / row.file)
    generator = np.random.default_rng(0)
    for kind in ("a", "b"):
        (tmp_path / "data" / kind).mkdir(parents=True)
        for number in range(6):
            picture = generator.integers(0, 256, (48, 48, 3), dtype=np.uint8)
            Image.fromarray(picture).save(tmp_path / "data" / kind / f"{number}.png")
    run = boda.fit(
        "classify",
        tmp_path / "data",
        model="squeezenet-1.1",
        weights="imagenet",
        size="33",
        epochs=1,
        augment="none",
        out=tmp_path / "run",
    )
    assert run.preparation.mean == imagenet.MEAN
    assert (run.preparation.height, run.preparation.resize) == (33, 0)
    assert run.record["weights"]["new"] == ["classifier.1.weight", "classifier.1.bias"]
    assert "another number of classes: classifier.1.weight" in capsys.readouterr().err


# ---------------------------------------------------------------- the tables


def test_the_table_is_what_torchvision_says_of_its_files() -> None:
    golden = json.loads((GOLDEN / "torchvision_weights.json").read_text("utf-8"))["files"]
    table = {row.url: row for row in published.PUBLISHED}
    assert {row["url"] for row in golden} == {
        u for u in table if u.startswith("https://download.p")
    }
    for theirs in golden:
        ours = table[theirs["url"]]
        spelled = (
            ours.model.replace("-", "_").replace(".", "_").replace("squeezenet_", "squeezenet")
        )
        assert spelled == theirs["network"]
        for name in ("top1", "top5", "size", "resize"):
            assert getattr(ours, name) == theirs[name], (ours.model, name)
        mean, std = np.array(theirs["mean"]), np.array(theirs["std"])
        if ours.model == "googlenet":  # its module goes from there to what it was fitted to
            mean, std = mean + std * (0.5 - mean) / std, std * 0.5 / std
        np.testing.assert_allclose(ours.mean, mean)
        np.testing.assert_allclose(ours.std, std)


def test_every_published_file_has_its_network_and_its_hash() -> None:
    for row in (*published.PUBLISHED, *published.CIFAR):
        assert row.model in models.names()
        assert row.url.startswith("https://")
        assert fetching.hash_in(row.file) or row.model == "mobilenet-v1"


@pytest.mark.parametrize(
    ("theirs", "model"), [("legacy_seresnet50", "seresnet50"), ("mobilenetv1_100", "mobilenet-v1")]
)
def test_timm_s_names_lead_to_ours(theirs: str, model: str) -> None:
    shapes = json.loads((GOLDEN / "timm_tensors.json").read_text("utf-8"))[theirs]
    layout = layouts.marked(shapes)
    assert re.fullmatch(layout.models, model)
    for pattern, ours in layout.renames:
        shapes = {re.sub(pattern, ours, name): shape for name, shape in shapes.items()}
    with torch.device("meta"):
        own = models.create(model).state_dict()
    assert shapes == {name: list(tensor.shape) for name, tensor in own.items()}


def caffe_names() -> list[str]:
    """The layers of the authors' prototxt that have weights, in its order."""
    fires = [
        f"fire{n}/{part}" for n in range(2, 10) for part in ("squeeze1x1", "expand1x1", "expand3x3")
    ]
    return ["conv1", *fires, "conv10"]


def test_caffe_s_squeezenet_sees_blue_green_red(squeezenet: nn.Module, tmp_path: Path) -> None:
    convolutions = [m for m in squeezenet.eval().modules() if isinstance(m, nn.Conv2d)]
    arrays = {}
    for name, layer in zip(caffe_names(), convolutions, strict=True):
        arrays[f"{name}.weight"] = layer.weight.detach().half().numpy()
        arrays[f"{name}.bias"] = layer.bias.detach().numpy()
        layer.weight.data = layer.weight.data.half().float()
    np.savez(tmp_path / "caffe.npz", **arrays)
    picture = np.random.default_rng(0).integers(0, 256, (227, 227, 3), dtype=np.uint8)
    blue_first = picture[..., ::-1].astype(np.float32) - np.float32([104, 117, 123])
    with torch.inference_mode():
        theirs = squeezenet(torch.from_numpy(blue_first).permute(2, 0, 1)[None]).softmax(1)
    trained = Trained.of_model("squeezenet-1.1", tmp_path / "caffe.npz")
    ours = trained.run(np.ascontiguousarray(picture.transpose(2, 0, 1))[None])
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-4)
    assert (trained.preparation.height, trained.preparation.resize) == (227, 256)


def test_auxiliary_heads_may_stay_behind_and_follow_the_classes(tmp_path: Path) -> None:
    file = saved(models.create("googlenet", auxiliary=True), tmp_path / "a.pth")
    found = weights.load(models.create("googlenet", classes=5), file)
    assert found.new == ["fc.weight", "fc.bias"]
    assert found.left_out and all(name.startswith("aux") for name in found.left_out)
    found = weights.load(models.create("googlenet", classes=5, auxiliary=True), file)
    ends = ("aux1.fc2", "aux2.fc2", "fc")
    assert sorted(found.new) == sorted(
        f"{end}.{kind}" for end in ends for kind in ("bias", "weight")
    )
    assert found.left_out == []


# ---------------------------------------------------------------- ImageNet's classes


def test_the_class_names_are_a_thousand_and_in_the_order_of_their_numbers() -> None:
    assert len(set(imagenet.names())) == len(imagenet.numbers()) == 1000
    assert imagenet.numbers() == sorted(imagenet.numbers())
    assert imagenet.names()[134] != imagenet.names()[517]  # the bird and the machine


def test_the_class_names_are_those_of_the_sample(shared_data: Path) -> None:
    with open(shared_data / "imagenet-sample" / "labels.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 125
    for row in rows:
        index = int(row["class_index"])
        assert imagenet.numbers()[index] == row["wnid"]
        assert imagenet.names()[index] == row["name"].replace("_", " ")


def test_folders_of_imagenet_are_measured_by_their_numbers(row: Published, tmp_path: Path) -> None:
    for folder in ("n01440764", "great_white_shark"):
        (tmp_path / "data" / folder).mkdir(parents=True)
        Image.new("RGB", (64, 64)).save(tmp_path / "data" / folder / "1.png")
    Image.new("RGB", (64, 64), (9, 9, 9)).save(tmp_path / "data" / "n01440764" / "2.png")
    result = boda.evaluate("squeezenet-1.1", tmp_path / "data", weights=tmp_path / "theirs.pth")
    support = {name: row["support"] for name, row in result["per_class"].items() if row["support"]}
    assert support == {"tench": 2, "great white shark": 1}
    assert "top5_accuracy" in result["metrics"]


def test_classes_that_are_not_named_are_those_of_the_data(tmp_path: Path, capsys) -> None:
    file = saved(models.create("squeezenet-1.1", classes=2), tmp_path / "a.pth")
    for folder in ("개", "고양이"):
        (tmp_path / "data" / folder).mkdir(parents=True)
        Image.new("RGB", (64, 64)).save(tmp_path / "data" / folder / "1.png")
    result = boda.evaluate("squeezenet-1.1", tmp_path / "data", weights=file, progress=Progress())
    assert set(result["per_class"]) == {"개", "고양이"}
    assert "those of the data, in their order" in capsys.readouterr().err


# ---------------------------------------------------------------- what was published comes out


def accuracy_on_cifar(shared_data: Path, model: str, every: int) -> tuple[int, float]:
    """Pictures and accuracy of the published weights on the test files whose number ``every`` divides."""
    from boda.data import readers
    from boda.data.classes import by_name
    from boda.data.dataset import Pictures
    from boda.evaluating import evaluate

    trained = Trained.of_model(model, shared_data / "weights" / f"{model}_cifar10.th")
    assert trained.named  # known by its hash
    dataset = by_name(readers.read(shared_data / "cifar10-jpg"), trained.classes)
    some = [s for s in dataset.splits["test"] if int(Path(s.id).stem) % every == 0]
    figures, _ = evaluate(trained, Pictures(some, trained.preparation))
    return len(some), figures["metrics"]["accuracy"]


@pytest.mark.slow
def test_the_published_resnet20_reaches_what_was_measured(shared_data: Path) -> None:
    """81.0 % on the even-numbered test files (DATA.md, by an independent NumPy forward pass)."""
    count, accuracy = accuracy_on_cifar(shared_data, "resnet20", every=2)
    assert count == 5000 and accuracy == pytest.approx(0.810, abs=0.001)


@pytest.mark.slow
def test_the_published_resnet56_reaches_what_was_measured(shared_data: Path) -> None:
    """83.8 % on every tenth test file (DATA.md, by an independent NumPy forward pass)."""
    count, accuracy = accuracy_on_cifar(shared_data, "resnet56", every=10)
    assert count == 1000 and accuracy == pytest.approx(0.838, abs=0.001)


@pytest.mark.slow
def test_the_published_squeezenet_recognizes_imagenet(shared_data: Path) -> None:
    """65.6 % and 83.2 % of these 125 with a plain crop of 227 pixels, zeros outside small pictures.

    Twelve pictures are smaller than that, and are enlarged here.
    """
    file = shared_data / "weights" / "squeezenet1_1_fp16.npz"
    result = boda.evaluate("squeezenet-1.1", shared_data / "imagenet-sample", weights=file)
    assert result["samples"] == 125
    assert result["metrics"]["accuracy"] == pytest.approx(0.656, abs=0.017)
    assert result["metrics"]["top5_accuracy"] >= 0.82
