"""Files of tensors by name: safetensors, PyTorch's and NumPy's. Reading never runs code from a file."""

from __future__ import annotations

import json
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from boda.errors import DataError

MOST_HEADER = 100_000_000  # bytes; safetensors' own bound
WRAPPERS = ("state_dict", "model", "net", "model_state_dict")
SAID = ("model", "options", "classes", "preparation")  # in the metadata of our own files


def read_state(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors, .pth/.pt or .npz file by name, unwrapped.

    A ``state_dict`` within a dictionary is taken out, and the ``module.`` that
    ``nn.DataParallel`` and the ``_orig_mod.`` that ``torch.compile`` put into names.

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
    for wrapper in WRAPPERS:
        if isinstance(found.get(wrapper), dict):
            found = found[wrapper]
    named = {k: v for k, v in found.items() if isinstance(k, str) and isinstance(v, Tensor)}
    tensors = {re.sub(r"(^|\.)((module|_orig_mod)\.)+", r"\1", k): v for k, v in named.items()}
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
            said = json.loads(text) if text else None
        except (ValueError, AttributeError):
            return None
    return said if isinstance(said, dict) and all(name in said for name in SAID) else None


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


def _is_npz(file: Path) -> bool:
    if not zipfile.is_zipfile(file):
        return False
    with zipfile.ZipFile(file) as archive:
        return any(name.endswith(".npy") for name in archive.namelist())
