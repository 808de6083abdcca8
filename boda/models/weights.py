"""Weights from files: our own and other people's. Loading never runs code from a file.

A layout is a row of a table: how the other names its tensors, and how its network wants its
pictures.
"""

from __future__ import annotations

import json
import re
import warnings
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from boda.data.prepare import Preparation
from boda.errors import DataError

MOST_HEADER = 100_000_000  # bytes; safetensors' own bound
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Layout:
    """Somebody's way to store a network.

    Attributes:
        name: whose.
        mark: a pattern of a tensor's name that only this layout has.
        renames: (pattern, replacement) pairs from their names to ours.
        mean, std: of pixel values in 0..1; None keeps the run's.
    """

    name: str
    mark: str
    renames: tuple[tuple[str, str], ...] = ()
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


LAYOUTS = (
    # akamaster/pytorch_resnet_cifar10: the CIFAR networks of arXiv 1512.03385.
    Layout(
        "cifar-resnet", r"linear\.weight", ((r"^linear\.", "fc."),), IMAGENET_MEAN, IMAGENET_STD
    ),
)
BODA = Layout("boda", "")


def read_state(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors, .pth/.pt or .npz file by name, ``state_dict`` and ``module.`` unwrapped.

    Raises:
        DataError: the file is missing, damaged, or holds something other than tensors.
    """
    file = Path(path)
    if not file.is_file():
        raise DataError("there is no such file of weights", file=file, fix="Check the path.")
    try:
        found = _read(file)
    except DataError:
        raise
    except Exception as error:  # a damaged file makes the unpickler raise whatever it stumbles over
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise DataError(
            f"the weights cannot be read ({reason})",
            file=file,
            fix="Fetch or copy the file again; it must be .safetensors, .pth or .npz with tensors only.",
        ) from None
    for wrapper in ("state_dict", "model", "net"):
        if isinstance(found.get(wrapper), dict):
            found = found[wrapper]
    named = {k: v for k, v in found.items() if isinstance(k, str) and isinstance(v, Tensor)}
    tensors = {re.sub(r"^module\.", "", name): tensor for name, tensor in named.items()}
    if not tensors:
        raise DataError("the file holds no tensors", file=file, fix="Name a file of weights.")
    return tensors


def about(path: str | Path) -> dict[str, Any] | None:
    """What weights that boda wrote say of themselves: model, classes, preparation; else None."""
    with open(path, "rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if length > MOST_HEADER or stream.read(1) != b"{":
            return None
        stream.seek(8)
        try:
            text = json.loads(stream.read(length)).get("__metadata__", {}).get("boda")
            return json.loads(text) if text else None
        except (ValueError, AttributeError):
            return None


def _read(file: Path) -> dict[str, Any]:
    with open(file, "rb") as stream:
        head = stream.read(16)
    if head[8:9] == b"{":  # safetensors: eight bytes of length, then JSON
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(file)
        except SafetensorError as error:
            raise ValueError(str(error)) from None
    if _is_npz(file):
        with np.load(file, allow_pickle=False) as arrays:
            return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about old pickles; what matters raises
        found = torch.load(file, map_location="cpu", weights_only=True)
    if not isinstance(found, dict):
        raise ValueError(f"it holds a {type(found).__name__}, not a dictionary of tensors")
    return found


def channels_of(path: str | Path) -> int | None:
    """How many channels the pictures have that the first convolution of these weights expects."""
    first = next((t for t in read_state(path).values() if t.ndim == 4), None)
    return int(first.shape[1]) if first is not None and first.shape[1] in (1, 3) else None


def _is_npz(file: Path) -> bool:
    if not zipfile.is_zipfile(file):
        return False
    with zipfile.ZipFile(file) as archive:
        return any(name.endswith(".npy") for name in archive.namelist())


def load(net: nn.Module, path: str | Path) -> tuple[Layout, list[str]]:
    """Fill ``net`` from a file in any known layout.

    Where only the head's number of classes differs, the head keeps its new weights.

    Returns:
        The layout, and the names of the tensors that kept their new weights.

    Raises:
        DataError: tensors are missing, left over or of another shape.
    """
    tensors = read_state(path)
    layout = next((row for row in LAYOUTS if any(re.search(row.mark, k) for k in tensors)), BODA)
    for pattern, ours in layout.renames:
        tensors = {re.sub(pattern, ours, name): tensor for name, tensor in tensors.items()}
    own = net.state_dict()
    head = [
        k
        for k in own
        if k.startswith(_head(own)) and k in tensors and own[k].shape != tensors[k].shape
    ]
    for name in head:
        tensors[name] = own[name]
    missing, surplus = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    other = [k for k in own.keys() & tensors.keys() if own[k].shape != tensors[k].shape]
    if missing or surplus or other:
        parts = [
            ("lacks", missing),
            ("has beside it", surplus),
            ("has in another shape", sorted(other)),
        ]
        why = "; ".join(f"it {word} {', '.join(names[:3])}" for word, names in parts if names)
        raise DataError(
            f"the weights are of another network: {why}",
            file=path,
            fix="Name the --model they belong to.",
        )
    net.load_state_dict(tensors, strict=False)
    return layout, head


def _head(state: dict[str, Tensor]) -> str:
    """The prefix of the last layer, whose rows are the classes."""
    return list(state)[-1].rpartition(".")[0] + "."


def with_layout(preparation: Preparation, layout: Layout) -> Preparation:
    """The preparation that a layout's weights expect."""
    if layout.mean is None or layout.std is None or preparation.channels != len(layout.mean):
        return preparation
    return replace(preparation, mean=layout.mean, std=layout.std)
