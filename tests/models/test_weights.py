"""Weights from files: what fits is taken, what does not is named, and no code is run."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from boda import models
from boda.errors import DataError
from boda.models import weights


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
    layout, new = weights.load(other, file)
    assert layout.name == "boda" and new == []
    for name, tensor in net.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor)


def test_another_number_of_classes_keeps_the_new_head(net, tmp_path: Path) -> None:
    file = write("safetensors", net.state_dict(), tmp_path)
    other = models.create("lenet5", classes=3)
    head = other.output.weight.clone()
    _, new = weights.load(other, file)
    assert new == ["output.weight", "output.bias"]
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


@pytest.mark.slow
def test_the_published_resnet20_reaches_what_was_measured(shared_data: Path) -> None:
    """81.0 % on the even-numbered test files (DATA.md, by an independent NumPy forward pass)."""
    import boda
    from boda.data import readers
    from boda.data.dataset import Pictures
    from boda.evaluating import evaluate
    from boda.trained import Trained

    dataset = readers.read(shared_data / "cifar10-jpg")
    trained = Trained.of_model(
        "resnet20", shared_data / "weights" / "resnet20_cifar10.th", dataset.classes
    )
    even = [s for s in dataset.splits["test"] if int(Path(s.id).stem) % 2 == 0]
    figures, _ = evaluate(trained, Pictures(even, trained.preparation))
    assert len(even) == 5000
    assert figures["metrics"]["accuracy"] == pytest.approx(0.810, abs=0.001)
    assert boda.__version__
