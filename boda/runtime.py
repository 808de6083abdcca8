"""Runs an exported file with ONNX Runtime, NumPy and Pillow, without torch; the same Prediction."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from boda.data.prepare import Preparation
from boda.errors import DataError, UsageError
from boda.predicting import Predictor


def session(data: bytes) -> Any:
    """ONNX Runtime's session for an exported file's bytes, on the CPU.

    Raises:
        UsageError: ONNX Runtime is not installed.
    """
    try:
        import onnxruntime
    except ImportError:
        raise UsageError(
            'running .onnx files needs ONNX Runtime: pip install "boda[export]"'
        ) from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # its warnings are about its own optimizations
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def load(path: str | Path) -> Predictor:
    """A predictor from a ``.onnx`` file that ``boda export`` wrote.

    Raises:
        DataError: the file is missing, damaged, or was not written by boda.
        UsageError: ONNX Runtime is not installed.
    """
    file = Path(path)
    if not file.is_file():
        raise DataError("there is no such file", file=file, fix="Check the path.")
    try:
        running = session(file.read_bytes())
    except UsageError:
        raise
    except Exception as error:  # ONNX Runtime has no public base class for these
        raise DataError(
            f"ONNX Runtime cannot load it ({str(error).splitlines()[0][:120]})",
            file=file,
            fix="Export it again: boda export RUN",
        ) from None
    about = running.get_modelmeta().custom_metadata_map.get("boda")
    if about is None:
        raise DataError(
            "the file does not say how to prepare pictures for it",
            file=file,
            fix="Only files written by `boda export` can be run.",
        )
    record = json.loads(about)
    name = running.get_inputs()[0].name

    def network(images: np.ndarray) -> np.ndarray:
        return running.run(None, {name: images})[0]

    preparation = Preparation.from_dict(record["preparation"])
    reach = record.get("reach", 0)
    return Predictor(network, record["task"], record["classes"], preparation, reach)
